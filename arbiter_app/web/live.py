"""Live data for open tabs: one snapshot per channel and process, computed once, encoded once, sent to every tab in it.

A channel is a topic with its arguments, `("feed", "*", "math")`. Tabs join by `watch`; the socket server forgets them when
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
Channel = tuple[str, ...]


class Sockets(Protocol):
    """The socket server, as far as live data needs it."""

    def join(self, sid: str, channel: str) -> Awaitable[None]: ...

    def leave(self, sid: str, prefix: str) -> Awaitable[None]: ...

    def occupied(self, channel: str) -> bool: ...

    def send(self, channel: str, state: str, variables: Vars) -> Awaitable[None]: ...

    def present(self, token: str) -> bool: ...

    def connected(self, sid: str) -> bool: ...

    def reload(self, sid: str) -> Awaitable[None]: ...


@dataclass(frozen=True, slots=True)
class Topic:
    """One kind of channel: which state class shows it, how often it may be sent, how its variables are made.

    `load` makes the variables from scratch. `fold`, if given, changes the present ones by the events of one tick and
    returns None when they do not concern the channel; without it the channel is loaded anew when an event of `kinds` came.
    """

    state: str
    every_s: float
    kinds: frozenset[str]
    load: Callable[[Channel], Awaitable[Vars]]
    fold: Callable[[Channel, Vars, list[Event]], Vars | None] | None = None


@dataclass(slots=True)
class _Snapshot:
    variables: Vars
    sent_at: float
    dirty: bool = False


class Live:
    """The fan-out of one process. `run` is its only task."""

    def __init__(
        self, feed: Feed, sockets: Sockets, topics: dict[str, Topic], clock: Callable[[], float] = time.monotonic
    ):
        self._feed = feed
        self._sockets = sockets
        self._topics = topics
        self._clock = clock
        self._channels: dict[Channel, _Snapshot] = {}
        self._loading: dict[Channel, asyncio.Task[Vars]] = {}
        self._somebody = asyncio.Event()

    async def watch(self, sid: str, channel: Channel) -> Vars:
        """Put a tab into a channel, out of the other channels of that topic, and return what the channel shows now."""
        await self._sockets.leave(sid, channel[0] + "|")
        snapshot = self._channels.get(channel)
        if snapshot is None:
            variables = await self._load_once(channel)
            snapshot = self._channels.setdefault(channel, _Snapshot(variables, self._clock()))
        await self._sockets.join(sid, "|".join(channel))
        self._somebody.set()
        return snapshot.variables

    async def look(self, channel: Channel) -> Vars:
        """What a channel shows now, without joining it."""
        snapshot = self._channels.get(channel)
        return snapshot.variables if snapshot is not None else await self._load_once(channel)

    async def fresh(self, channel: Channel) -> Vars:
        """What a channel shows once it is loaded anew: for whoever has just changed something in it."""
        variables = await self._topics[channel[0]].load(channel)
        if channel in self._channels:
            self._channels[channel].variables = variables
        return variables

    async def end(self, sid: str) -> None:
        """Take a tab out of every channel, and have it show what a visitor sees: whoever sat there has gone."""
        await self.unwatch(sid)
        await self._sockets.reload(sid)

    async def unwatch(self, sid: str) -> None:
        """Take a tab out of every channel."""
        await self._sockets.leave(sid, "")

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
        due = [
            one.sent_at + self._topics[channel[0]].every_s - now for channel, one in self._channels.items() if one.dirty
        ]
        return max(0.01, min([IDLE_CHECK_S, *due]))

    def _occupied(self) -> bool:
        for channel in [channel for channel in self._channels if not self._sockets.occupied("|".join(channel))]:
            del self._channels[channel]
        return bool(self._channels)

    def _note(self, events: list[Event]) -> None:
        for channel, snapshot in self._channels.items():
            topic = self._topics[channel[0]]
            mine = [one for one in events if one.kind in topic.kinds]
            if not mine:
                continue
            if topic.fold is None:
                snapshot.dirty = True
            elif (changed := topic.fold(channel, snapshot.variables, mine)) is not None:
                snapshot.variables, snapshot.dirty = changed, True

    async def _send_due(self) -> None:
        now = self._clock()
        for channel, snapshot in list(self._channels.items()):
            topic = self._topics[channel[0]]
            if not snapshot.dirty or now - snapshot.sent_at < topic.every_s:
                continue
            snapshot.dirty, snapshot.sent_at = False, now
            try:
                if topic.fold is None:
                    snapshot.variables = await self._load_once(channel)
                await self._sockets.send("|".join(channel), topic.state, snapshot.variables)
            except Exception:
                # One channel that cannot be computed must not stop the others; it is tried again at the next event.
                log.exception("the live view %s could not be refreshed", channel)

    async def _load_once(self, channel: Channel) -> Vars:
        """Load a channel; tabs that ask while it loads share the one load."""
        task = self._loading.get(channel)
        if task is None:
            task = asyncio.ensure_future(self._topics[channel[0]].load(channel))
            self._loading[channel] = task
            task.add_done_callback(lambda _: self._loading.pop(channel, None))
        return await asyncio.shield(task)
