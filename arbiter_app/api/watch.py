"""Looks after the requests in work: ends those whose caller has hung up, and those whose time is over.

One timer looks at all of them, for timers of its own would cost each request more than they are worth.
"""

from __future__ import annotations

import asyncio
import math

LOOK_EVERY_S = 0.025


class Watched:
    """One request in work. Its task is cancelled when it is to end; `gone` or `late` says why."""

    __slots__ = ("gone", "late", "task", "until")

    def __init__(self, task: asyncio.Task[object]) -> None:
        self.task = task
        self.until = math.inf
        self.gone = self.late = False

    def within(self, seconds: float) -> None:
        """Give it so many seconds from now."""
        self.until = self.task.get_loop().time() + seconds

    def hang_up(self) -> None:
        """Its caller has gone."""
        self.gone = True
        self.task.cancel()

    def look(self, now: float) -> None:
        """End it if its time is over."""
        if now >= self.until:
            self.until, self.late = math.inf, True
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

    def cancel_all(self) -> None:
        """Cancel every task that is looked after."""
        for one in self._watched:
            one.task.cancel()

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = loop.call_later(LOOK_EVERY_S, self._look, loop) if self._watched else None
        now = loop.time()
        for one in tuple(self._watched):
            one.look(now)
