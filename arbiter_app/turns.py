"""Turns of the event loop for what is large: one piece of one thing is read, looked at or written in each, however many large things
there are, so that who has something small waits for one piece at most.

Meanwhile other threads get the interpreter sooner than Python would give it to them: a loop that is never idle leaves it to nobody
of its own accord, and whoever writes the record of a small answer asks for it a dozen times. So the next piece also waits, for a
moment, while such a record is written (`goes_ahead`). The other way round, work on large things in a thread (`beside`) leaves the
interpreter to the loop as soon.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

P = ParamSpec("P")
T = TypeVar("T")

PIECE_BYTES = 64 * 1024
"""How much is looked at in a turn."""
SOON_S = 0.0005
"""How long a thread waits for the interpreter while something large is in work. Python's 5 ms are best while there is nothing: so
often changed, a small request costs a tenth more CPU."""
USUAL_S = sys.getswitchinterval()
MOST_WAY_S, LOOK_S = 0.005, 0.001
"""For how long a piece waits at most while a record is written, and how often it looks."""
REST_S = 0.05
"""For how long nothing large is in work before threads wait as usual again."""
_AHEAD: set[int] = set()
"""Who has work in a thread that small requests wait for."""


def goes_ahead(who: object) -> None:
    """Small requests wait for work of this one, in a thread: the next piece of what is large waits for it, too."""
    _AHEAD.add(id(who))


def has_gone(who: object) -> None:
    """It is done, or will take long."""
    _AHEAD.discard(id(who))


class LargeTurns(asyncio.Lock):
    """Held while a piece is worked on, and until the next turn begins; never while somebody else is waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._taken = False
        self._beside = 0
        self._hurried = False

    async def acquire(self) -> bool:  # type: ignore[override]
        """Wait for a turn."""
        self._hurry()
        await super().acquire()
        try:
            until = time.monotonic() + MOST_WAY_S
            while _AHEAD and time.monotonic() < until:  # noqa: ASYNC110 - another thread does it
                await asyncio.sleep(LOOK_S)
        except BaseException:
            self.release()
            raise
        return True

    async def beside(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What large work comes to, in a thread."""
        self._beside += 1
        try:
            self._hurry()
            return await asyncio.to_thread(work, *args, **kwargs)
        finally:
            self._beside -= 1

    def _hurry(self) -> None:
        """Something large is in work."""
        self._taken = True
        if not self._hurried:
            self._hurried = True
            sys.setswitchinterval(SOON_S)
            asyncio.get_running_loop().call_later(REST_S, self._rest)

    def _rest(self) -> None:
        """Threads wait as usual, unless something large is still in work."""
        if self._taken or self._beside:
            self._taken = False
            asyncio.get_running_loop().call_later(REST_S, self._rest)
        else:
            self._hurried = False
            sys.setswitchinterval(USUAL_S)


_TURNS: WeakKeyDictionary[asyncio.AbstractEventLoop, LargeTurns] = WeakKeyDictionary()


def large_turn() -> LargeTurns:
    """Those of the running loop."""
    loop = asyncio.get_running_loop()
    turns = _TURNS.get(loop)
    if turns is None:
        turns = _TURNS[loop] = LargeTurns()
    return turns


async def next_large_turn() -> None:
    """Wait for the turn in which the next piece may be worked on."""
    async with large_turn():
        await asyncio.sleep(0)


async def beside(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What large work comes to, in a thread."""
    return await large_turn().beside(work, *args, **kwargs)
