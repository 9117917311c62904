"""How often a stranger may do something that costs: at a steady rate with a burst, in memory that is bounded too."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

REMEMBERED = 10_000


class Allowance:
    """So many times within so many seconds for each of those who ask: the generic cell rate algorithm (ITU-T I.371).

    Who has not asked for longest is forgotten first, and begins anew then.
    """

    def __init__(self, times: int, within_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._every_s = within_s / times
        self._within_s = within_s
        self._clock = clock
        self._due: OrderedDict[str, float] = OrderedDict()

    def wait_s(self, who: str) -> float:
        """Seconds until it may be done again; 0 when it may be done now. Takes nothing."""
        now = self._clock()
        return max(0.0, max(now, self._due.get(who, now)) + self._every_s - self._within_s - now)

    def take(self, who: str) -> float:
        """Do it once if it may be done now (0); else seconds to wait."""
        wait_s = self.wait_s(who)
        if wait_s <= 0:
            now = self._clock()
            self._due[who] = max(now, self._due.get(who, now)) + self._every_s
            self._due.move_to_end(who)
            if len(self._due) > REMEMBERED:
                self._due.popitem(last=False)
        return max(0.0, wait_s)
