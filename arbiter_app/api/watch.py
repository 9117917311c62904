"""Looks after the requests in work: ends those whose caller has hung up, and those whose time is over.

One timer looks at all of them, for a task that listens and timers of its own would cost each request more than its answer
does. A caller is listened for only once its request has lasted until the next look; most are answered before.
"""

from __future__ import annotations

import asyncio
import math

from starlette.types import Receive

LOOK_EVERY_S = 0.025


class Watched:
    """One request in work. Its task is cancelled when it is to end; `gone` or `late` says why."""

    __slots__ = ("_listener", "_receive", "gone", "late", "task", "until")

    def __init__(self, task: asyncio.Task[object]) -> None:
        self.task = task
        self.until = math.inf
        self.gone = self.late = False
        self._receive: Receive | None = None
        self._listener: asyncio.Task[None] | None = None

    def within(self, seconds: float) -> None:
        """Give it so many seconds from now."""
        self.until = self.task.get_loop().time() + seconds

    @property
    def reading(self) -> bool:
        """Whether its body is still being read."""
        return self._receive is None

    def listen_to(self, receive: Receive) -> None:
        """Its body is read: what comes now on `receive` can only be the end of its caller."""
        self._receive = receive

    def look(self, now: float) -> None:
        """End it if its time is over; begin to listen for its caller."""
        if now >= self.until:
            self.until, self.late = math.inf, True
            self.task.cancel()
        elif self._receive is not None and self._listener is None:
            self._listener = self.task.get_loop().create_task(self._listen(self._receive))

    def close(self) -> None:
        """It has ended."""
        if self._listener is not None:
            self._listener.cancel()

    async def _listen(self, receive: Receive) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        self.gone = True
        self.task.cancel()


class Watch:
    """All requests in work."""

    def __init__(self) -> None:
        self._watched: set[Watched] = set()
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> Watched:
        """Look after the current task from now on."""
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only a task can be looked after")
        one = Watched(task)
        self._watched.add(one)
        if self._timer is None:
            self._timer = task.get_loop().call_later(LOOK_EVERY_S, self._look, task.get_loop())
        return one

    def end(self, one: Watched) -> None:
        """It has ended."""
        self._watched.discard(one)
        one.close()

    def cancel_all(self) -> None:
        """Cancel every task that is looked after."""
        for one in self._watched:
            one.task.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(LOOK_EVERY_S, self._look, loop) if self._watched else None
        now = loop.time()
        for one in tuple(self._watched):
            one.look(now)
