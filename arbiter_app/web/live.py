"""Live data for open tabs: one snapshot per room and process, computed once, encoded once, sent to every tab in it.

A room is a topic with its arguments, `("feed", "*", "math")`. Tabs join by `watch`; the socket server forgets them when
they close, so that a closed tab costs nothing. While nobody watches, nothing is subscribed and nothing runs.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from arbiter_app.services.feed import Event, Feed

log = logging.getLogger("arbiter.web")

TICK_S = 0.1
IDLE_CHECK_S = 3.0
Vars = dict[str, Any]
Room = tuple[str, ...]


class Wire(Protocol):
    """The socket server, as far as live data needs it."""

    def join(self, sid: str, room: str) -> Awaitable[None]: ...

    def leave(self, sid: str, prefix: str) -> Awaitable[None]: ...

    def occupied(self, room: str) -> bool: ...

    def send(self, room: str, state: str, variables: Vars) -> Awaitable[None]: ...

    def present(self, token: str) -> bool: ...

    def connected(self, sid: str) -> bool: ...


@dataclass(frozen=True, slots=True)
class Topic:
    """One kind of room: which state class shows it, how often it may be sent, how its variables are made.

    `load` makes the variables from scratch. `fold`, if given, changes the present ones by the events of one tick and
    returns None when they do not concern the room; without it the room is loaded anew when an event of `kinds` came.
    """

    state: str
    every_s: float
    kinds: frozenset[str]
    load: Callable[[Room], Awaitable[Vars]]
    fold: Callable[[Room, Vars, list[Event]], Vars | None] | None = None


@dataclass(slots=True)
class _Snapshot:
    variables: Vars
    sent_at: float
    dirty: bool = False


class Live:
    """The fan-out of one process. `run` is its only task."""

    def __init__(self, feed: Feed, wire: Wire, topics: dict[str, Topic], clock: Callable[[], float] = time.monotonic):
        self._feed = feed
        self._wire = wire
        self._topics = topics
        self._clock = clock
        self._rooms: dict[Room, _Snapshot] = {}
        self._loading: dict[Room, asyncio.Task[Vars]] = {}
        self._somebody = asyncio.Event()

    @property
    def rooms(self) -> int:
        """How many rooms have a snapshot."""
        return len(self._rooms)

    async def watch(self, sid: str, room: Room) -> Vars:
        """Put a tab into a room, out of the other rooms of that topic, and return what the room shows now."""
        await self._wire.leave(sid, room[0] + "|")
        snapshot = self._rooms.get(room)
        if snapshot is None:
            variables = await self._load_once(room)
            snapshot = self._rooms.setdefault(room, _Snapshot(variables, self._clock()))
        await self._wire.join(sid, "|".join(room))
        self._somebody.set()
        return snapshot.variables

    async def look(self, room: Room) -> Vars:
        """What a room shows now, without joining it."""
        snapshot = self._rooms.get(room)
        return snapshot.variables if snapshot is not None else await self._load_once(room)

    async def unwatch(self, sid: str) -> None:
        """Take a tab out of every room."""
        await self._wire.leave(sid, "")

    async def run(self) -> None:
        """Follow the feed while somebody watches; sleep otherwise."""
        while True:
            await self._somebody.wait()
            with self._feed.subscribe() as queue:
                while self._occupied():
                    self._note(await self._events(queue))
                    await self._send_due()
                    await asyncio.sleep(TICK_S)
            self._somebody.clear()

    async def _events(self, queue: asyncio.Queue[Event]) -> list[Event]:
        try:
            found = [await asyncio.wait_for(queue.get(), self._patience())]
        except TimeoutError:
            return []
        while not queue.empty():
            found.append(queue.get_nowait())
        return found

    def _patience(self) -> float:
        """How long there is nothing to do without a new event, seconds."""
        now = self._clock()
        due = [one.sent_at + self._topics[room[0]].every_s - now for room, one in self._rooms.items() if one.dirty]
        return max(0.01, min([IDLE_CHECK_S, *due]))

    def _occupied(self) -> bool:
        for room in [room for room in self._rooms if not self._wire.occupied("|".join(room))]:
            del self._rooms[room]
        return bool(self._rooms)

    def _note(self, events: list[Event]) -> None:
        for room, snapshot in self._rooms.items():
            topic = self._topics[room[0]]
            mine = [one for one in events if one.kind in topic.kinds]
            if not mine:
                continue
            if topic.fold is None:
                snapshot.dirty = True
            elif (changed := topic.fold(room, snapshot.variables, mine)) is not None:
                snapshot.variables, snapshot.dirty = changed, True

    async def _send_due(self) -> None:
        now = self._clock()
        for room, snapshot in list(self._rooms.items()):
            topic = self._topics[room[0]]
            if not snapshot.dirty or now - snapshot.sent_at < topic.every_s:
                continue
            snapshot.dirty, snapshot.sent_at = False, now
            try:
                if topic.fold is None:
                    snapshot.variables = await self._load_once(room)
                await self._wire.send("|".join(room), topic.state, snapshot.variables)
            except Exception:
                # One room that cannot be computed must not stop the others; it is tried again at the next event.
                log.exception("the live view %s could not be refreshed", room)

    async def _load_once(self, room: Room) -> Vars:
        """Load a room; tabs that ask while it loads share the one load."""
        task = self._loading.get(room)
        if task is None:
            task = asyncio.ensure_future(self._topics[room[0]].load(room))
            self._loading[room] = task
            task.add_done_callback(lambda _: self._loading.pop(room, None))
        return await asyncio.shield(task)
