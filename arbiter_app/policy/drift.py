"""Has something changed? Sequential tests on one model in one bucket: its unit price, and its grades.

Both are CUSUM tests (Page, Continuous inspection schemes, Biometrika 41, 1954): evidence for a change is summed and never
falls below zero; at a threshold it is an alarm. What was seen since the sum last stood at zero is the new state of
affairs; it joins the history when the sum returns to zero, so that a beginning change does not hide itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from struct import Struct

from arbiter_app.policy.values import value

PRICE_DRIFT = 1.0
PRICE_CLIP = 3.0
PRICE_MIN_CALLS = 4.0
PRICE_SD_N = 3.0
PRICE_SD_FLOOR = 0.02
UNIT_FLOOR = 1e-12
QUALITY_MIN_GRADES = 10.0
QUALITY_BEFORE = 0.05, 0.98
QUALITY_FALL = 0.5


@dataclass(slots=True)
class Moments:
    """Count, sum and sum of squares."""

    n: float = 0.0
    total: float = 0.0
    square: float = 0.0

    def add(self, value: float, weight: float = 1.0) -> None:
        """Count one value in."""
        self.n += weight
        self.total += weight * value
        self.square += weight * value * value

    def absorb(self, other: Moments) -> None:
        """Take over another's counts and empty it."""
        self.n, self.total, self.square = self.n + other.n, self.total + other.total, self.square + other.square
        other.clear()

    def clear(self) -> None:
        """Start again."""
        self.n = self.total = self.square = 0.0

    @property
    def mean(self) -> float:
        """The mean, 0 when empty."""
        return self.total / self.n if self.n > 0 else 0.0

    @property
    def scatter(self) -> float:
        """Sum of squared deviations from the mean."""
        return max(self.square - self.total * self.mean, 0.0)


@dataclass(slots=True)
class Watch:
    """State of both tests: evidence sums, history, and what was seen since the sums left zero."""

    dearer: float = 0.0
    cheaper: float = 0.0
    worse: float = 0.0
    price: Moments = field(default_factory=Moments)
    price_recent: Moments = field(default_factory=Moments)
    grade: Moments = field(default_factory=Moments)
    grade_recent: Moments = field(default_factory=Moments)

    def reprice(self) -> None:
        """Start the price's history anew."""
        self.dearer = self.cheaper = 0.0
        self.price.clear()
        self.price_recent.clear()

    def regrade(self) -> None:
        """Start the grades' history anew."""
        self.worse = 0.0
        self.grade.clear()
        self.grade_recent.clear()

    def packed(self) -> bytes:
        """As bytes, for the store."""
        flat = (self.dearer, self.cheaper, self.worse)
        return _LAYOUT.pack(*flat, *[value for one in self._parts() for value in (one.n, one.total, one.square)])

    @classmethod
    def unpacked(cls, data: bytes) -> Watch:
        """From bytes. Raises struct.error when they are not of this form."""
        flat = _LAYOUT.unpack(data)
        parts = [Moments(*flat[at : at + 3]) for at in range(3, len(flat), 3)]
        return cls(*flat[:3], *parts)

    def _parts(self) -> tuple[Moments, ...]:
        return self.price, self.price_recent, self.grade, self.grade_recent


_LAYOUT = Struct("<15d")


@value
class Move:
    """An alarm: what it was, what it is, and the evidence (the CUSUM sum) that raised it."""

    old: float
    new: float
    evidence: float


def price_move(watch: Watch, unit: float, *, floor: float, threshold: float, prior_sd: float) -> Move | None:
    """Count one call's unit price in; a `Move` (of unit prices) when it is an alarm; the calls since the change are its
    history then.

    The test runs on the logarithm of the unit price, in standard deviations of its own history (`prior_sd` stands in
    for the first calls), each call clipped so that no single one is an alarm; moves under `floor` (relative) are none.
    A fall needs three times the evidence: discounts come and go, and cost nothing.
    """
    value = math.log(max(unit, UNIT_FLOOR))
    history, recent = watch.price, watch.price_recent
    if history.n < PRICE_MIN_CALLS:
        history.add(value)
        return None
    off, still = value - history.mean, math.log1p(floor)
    if recent.n == 0.0 and abs(off) <= still:
        history.add(value)  # as it would be in the end: nothing moves, and nothing had
        return None
    sd = max(math.sqrt((PRICE_SD_N * prior_sd**2 + history.scatter) / (PRICE_SD_N + history.n)), PRICE_SD_FLOOR)
    z = max(-PRICE_CLIP, min(PRICE_CLIP, off / sd)) if abs(off) > still else 0.0
    watch.dearer = max(0.0, watch.dearer + z - PRICE_DRIFT)
    watch.cheaper = max(0.0, watch.cheaper - z - PRICE_DRIFT)
    recent.add(value)
    evidence = max(watch.dearer, watch.cheaper / 3)
    if evidence >= threshold:
        move = Move(math.exp(history.mean), math.exp(recent.mean), evidence)
        watch.dearer = watch.cheaper = 0.0
        history.clear()
        history.absorb(recent)
        return move
    if watch.dearer == watch.cheaper == 0.0:
        history.absorb(recent)
    return None


def quality_move(watch: Watch, quality: float, weight: float, *, threshold: float) -> Move | None:
    """Count one grade in; a `Move` (of mean grades) when the model became worse; its recent grades are its history then.

    The evidence is the log-likelihood ratio of `half as good as before` against `as before`, for a grade in 0..1 read
    as a share of successes; `as before` is one standard error under the mean, so that a lucky start is no promise.
    """
    history, recent = watch.grade, watch.grade_recent
    if history.n < QUALITY_MIN_GRADES or (recent.n == 0.0 and quality >= QUALITY_BEFORE[1]):
        history.add(quality, weight)  # nobody is suspected, least of all for a grade as good as any before
        return None
    error = math.sqrt((history.scatter + 0.25) / (history.n + 1) / history.n)
    before = min(QUALITY_BEFORE[1], max(QUALITY_BEFORE[0], history.mean - error))
    after = before * QUALITY_FALL
    ratio = quality * math.log(after / before) + (1 - quality) * math.log((1 - after) / (1 - before))
    watch.worse = max(0.0, watch.worse + weight * ratio)
    recent.add(quality, weight)
    if watch.worse >= threshold:
        move = Move(history.mean, recent.mean, watch.worse)
        watch.worse = 0.0
        history.clear()
        history.absorb(recent)
        return move
    if watch.worse == 0.0:
        history.absorb(recent)
    return None
