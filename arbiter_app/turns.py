"""Turns of the event loop for what is large: one piece of one thing is read, looked at or written in each, however many large things
there are, so that who has something small waits for one piece at most.
"""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

PIECE_BYTES = 64 * 1024
"""How much is looked at in a turn."""
_LOCKS: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


def large_turn() -> asyncio.Lock:
    """Held while a piece is worked on, and until the next turn begins; never while somebody else is waited for."""
    loop = asyncio.get_running_loop()
    lock = _LOCKS.get(loop)
    if lock is None:
        lock = _LOCKS[loop] = asyncio.Lock()
    return lock


async def next_large_turn() -> None:
    """Wait for the turn in which the next piece may be worked on."""
    async with large_turn():
        await asyncio.sleep(0)
