"""How many bytes of the runtime's answers are held in memory, in all: who needs more has to wait.

Whoever waits reads no further, so that its runtime has to wait, too. One answer at a time, the leader, may go beyond the
budget: however many have begun, there is always one that can be finished.
"""

from __future__ import annotations

import asyncio
from collections import deque

from arbiter_app.notices import bounds
from arbiter_app.pipeline.errors import Overloaded
from arbiter_app.turns import next_large_turn

FREE_BYTES = 256 * 1024
"""Of each answer, that are not counted: most are shorter."""
SETTING = "ARBITER_MAX_ANSWERS_BYTES"


class Budget:
    """The bytes that all answers may hold together."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.held = 0
        self._leader: int | None = None  # its `id`: a reference would keep an answer that nobody knows of any more
        self._waiting: deque[tuple[Hold, int, asyncio.Future[None]]] = deque()

    def take(self, hold: Hold, more: int) -> bool:
        """Count so many bytes more, if they may be held now."""
        fits = not self._waiting and self.held + more <= self.limit
        if not fits and self._leader is None:
            self._leader = id(hold)
        if not fits and self._leader != id(hold):
            return False
        self.held += more
        return True

    def give(self, hold: Hold, less: int, *, ended: bool) -> None:
        """So many bytes less are held; who waits for them goes on."""
        self.held -= less
        if ended and self._leader == id(hold):
            self._leader = None
        while self._waiting:
            first, more, told = self._waiting[0]
            if not told.done():
                if self.held + more > self.limit:
                    if self._leader is not None:
                        return
                    self._leader = id(first)
                self.held += more
                first.counted += more
                told.set_result(None)
            self._waiting.popleft()

    async def wait(self, hold: Hold, more: int, deadline: float) -> None:
        """Wait for so many bytes more. Raises Overloaded at the deadline, by `time.monotonic`."""
        bounds.count("answers_bytes", f"the answers in work hold {self.held:,} bytes; the next has to wait ({SETTING})")
        told: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((hold, more, told))
        try:
            async with asyncio.timeout_at(deadline):
                await told
        except TimeoutError:
            message = f"the answers in work hold more than {self.limit:,} bytes ({SETTING}); try again in a moment"
            raise Overloaded(message, code="answers_too_large", retry_after_s=5.0) from None


class Hold:
    """What one answer holds of a budget, until `release`, or until nobody knows of it any more."""

    __slots__ = ("_budget", "counted")

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.counted = 0

    async def grow(self, size: int, deadline: float) -> None:
        """See to it that the answer may hold `size` bytes. Raises Overloaded at the deadline, by `time.monotonic`."""
        more = size - FREE_BYTES - self.counted
        if more <= 0:
            return
        if self._budget.take(self, more):
            self.counted += more
        else:
            await self._budget.wait(self, more, deadline)
        await next_large_turn()

    def shrink(self, size: int) -> None:
        """The answer holds no more than `size` bytes now."""
        less = self.counted - max(0, size - FREE_BYTES)
        if less > 0:
            self.counted -= less
            self._budget.give(self, less, ended=self.counted == 0)

    def release(self) -> None:
        """The answer holds nothing any more."""
        self.shrink(0)

    def __del__(self) -> None:
        if self.counted:
            self.release()
