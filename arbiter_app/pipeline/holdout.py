"""The randomised holdout: a share of requests that the baseline answers, so that the saving is measured and not argued.

The draw belongs to a decision's seed, so it replays. Its budget opens evenly over the UTC day (an hour ahead), so that the
sample is not all from the early morning; when it is used up nothing is drawn and every propensity says so.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from arbiter_app.pipeline.types import PICO_PER_USD

DAY_S, AHEAD_S = 86_400.0, 3_600.0
_SALT = 0x686F6C646F7574


def drawn(seed: int, share: float) -> bool:
    """Whether the decision with this seed is held out, at this share."""
    return share > 0 and random.Random(seed ^ _SALT).random() < share


@dataclass(slots=True)
class Holdout:
    """The share, and the budget of a day in USD. Times are unix seconds."""

    share: float
    usd_a_day: float
    _day: int = 0
    _spent_pico: int = 0

    def chance(self, now: float) -> float:
        """The probability with which a request is held out now: the share, or 0 while the budget is used up."""
        if self.share <= 0:
            return 0.0
        opened = self.usd_a_day * min(1.0, (now % DAY_S + AHEAD_S) / DAY_S)
        return self.share if self._spent(now) < opened * PICO_PER_USD else 0.0

    def paid(self, now: float, pico: int) -> None:
        """A held-out request was charged."""
        self._spent_pico = self._spent(now) + pico

    def known(self, now: float, pico: int) -> None:
        """What the store says was spent on it since midnight, by every process."""
        self._spent_pico = max(self._spent(now), pico)

    def forget(self) -> None:
        """Nothing has been spent (after a reset)."""
        self._spent_pico = 0

    def _spent(self, now: float) -> int:
        day = int(now // DAY_S)
        if day != self._day:
            self._day, self._spent_pico = day, 0
        return self._spent_pico
