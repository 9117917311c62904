"""How many requests may be in work at once. More wait in a bounded queue, in order; the rest are refused at once.
What nobody waits for (a calibration) takes only places that no other wants, however long that takes.

Refused at once is also who would wait too long, by the pace at which places have been given lately: nobody should wait
for a refusal.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from arbiter_app.pipeline.errors import Overloaded

PACE_WEIGHT = 0.1
"""Of the newest interval in the mean interval between two places given."""


class Admission:
    """Bounded concurrency for one process. `enter` before the work, `leave` after it, always."""

    def __init__(self, places: int, queue: int, wait_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._free = places
        self._queue = queue
        self._wait_s = wait_s
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._last: deque[asyncio.Future[None]] = deque()
        self._clock = clock
        self._every_s = 0.0
        self._given_at: float | None = None
        self.places = places

    @property
    def waiting(self) -> int:
        """Requests in the queue."""
        return len(self._waiting)

    @property
    def running(self) -> int:
        """Requests in work."""
        return self.places - self._free

    def refuse_when_full(self) -> None:
        """Raises Overloaded when `enter` would at once."""
        if self._free > 0:
            return
        wait_s = (len(self._waiting) + 1) * self._every_s
        if len(self._waiting) >= self._queue or wait_s > self._wait_s:
            raise Overloaded("Arbiter is overloaded; try again in a moment", retry_after_s=max(1.0, wait_s))

    async def enter(self, *, last: bool = False) -> None:
        """Take a place, waiting for one if need be. Raises Overloaded; who is content to be `last` waits until nobody else does."""
        if self._free > 0 and not self._waiting:
            self._free -= 1
            return
        if not last:
            self.refuse_when_full()
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue = self._last if last else self._waiting
        queue.append(place)
        try:
            async with asyncio.timeout(None if last else self._wait_s):
                await place
        except BaseException as error:
            self._give_up(place, queue)
            if isinstance(error, TimeoutError):
                raise Overloaded("Arbiter is overloaded; try again in a moment", retry_after_s=2.0) from None
            raise

    def leave(self) -> None:
        """Give the place to whoever has waited longest, those who are content to be last after all others."""
        if self._waiting and self._gave(self._waiting):
            self._note_pace()
        elif not self._last or not self._gave(self._last):
            self._free += 1
            self._given_at = None
            self._every_s = 0.0

    def _gave(self, queue: deque[asyncio.Future[None]]) -> bool:
        while queue:
            place = queue.popleft()
            if not place.done():
                place.set_result(None)
                return True
        return False

    def _note_pace(self) -> None:
        now = self._clock()
        if self._given_at is not None:
            self._every_s += PACE_WEIGHT * (now - self._given_at - self._every_s)
        self._given_at = now

    def _give_up(self, place: asyncio.Future[None], queue: deque[asyncio.Future[None]]) -> None:
        """Leave the queue; a place that was given at the same moment goes to the next."""
        if place.done() and not place.cancelled():
            self.leave()
        elif place in queue:
            queue.remove(place)
