"""Has something changed? Sequential tests on one model in one bucket: its unit price, and its grades.

Both are CUSUM tests (Page, Continuous inspection schemes, Biometrika 41, 1954): evidence for a change is summed and never
falls below zero; at a threshold it is an alarm. What was seen since the sum last stood at zero is the new state of
affairs; it joins the history when the sum returns to zero, so that a beginning change does not hide itself.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from struct import Struct

PRICE_DRIFT = 1.0
"""Standard deviations that are taken off each step of the price's sum: half of the smallest shift to be noticed, two (Page)."""
PRICE_CLIP = 3.0
"""Standard deviations that one call counts for at most, so that no single charge is an alarm."""
PRICE_MIN_CALLS = 4.0
"""Calls that make a price's history before the test begins: fewer give no mean to be off from."""
PRICE_SD_N = 3.0
"""Calls that the expected standard deviation counts for beside the measured one (a judgement: two calls may be alike)."""
PRICE_SD_FLOOR = 0.02
"""Least standard deviation of the logarithm of a unit price: charges are rounded to some decimals."""
PRICE_FALL_EVIDENCE = 3.0
"""Times the evidence that a fall needs: discounts come and go, and cost nothing."""
QUALITY_MIN_GRADES = 10.0
"""Weight of grades that makes a history before the test begins: fewer hardly tell a mean from half of it."""
QUALITY_RANGE = 0.05, 0.98
"""Bounds of the mean grade that a fall is measured from, so that both likelihoods exist whatever was seen."""
QUALITY_FALL = 0.5
"""The change to be noticed, as a factor on the mean grade: half as good, which no tolerance bears."""
QUALITY_ERROR_N = 0.25
"""Scatter that is added where the error of the mean grade is estimated: the largest variance of a grade in 0..1, as of one more."""


@dataclass(slots=True)
class RunningSums:
    """Count, sum and sum of squares."""

    n: float = 0.0
    total: float = 0.0
    square: float = 0.0

    def add(self, value: float, weight: float = 1.0) -> None:
        """Count one value in."""
        self.n += weight
        self.total += weight * value
        self.square += weight * value * value

    def absorb(self, other: RunningSums) -> None:
        """Take over another's counts and empty it."""
        self.n, self.total, self.square = self.n + other.n, self.total + other.total, self.square + other.square
        other.n = other.total = other.square = 0.0

    def clear(self) -> None:
        """Start again."""
        self.n = self.total = self.square = 0.0

    def sums(self) -> tuple[float, float, float]:
        """The three numbers."""
        return self.n, self.total, self.square

    @property
    def mean(self) -> float:
        """The mean, 0 when empty."""
        return self.total / self.n if self.n > 0 else 0.0

    @property
    def scatter(self) -> float:
        """Sum of squared deviations from the mean."""
        return max(self.square - self.total * self.mean, 0.0)


Listed = tuple[float, float]
"""A list price: USD per token of prompt and of answer."""


@dataclass(slots=True)
class ChangeDetector:
    """State of both tests: evidence sums, history, and what was seen since the sums left zero.

    `price` holds the logarithms of the unit prices of charged calls; free calls, which have none, are counted (`free`).
    `spent` are the charges in USD since the price's sums left zero. `listed` is the list price that unit prices are relative to.
    """

    cusum_up: float = 0.0
    cusum_down: float = 0.0
    cusum_quality: float = 0.0
    price: RunningSums = field(default_factory=RunningSums)
    price_recent: RunningSums = field(default_factory=RunningSums)
    grade: RunningSums = field(default_factory=RunningSums)
    grade_recent: RunningSums = field(default_factory=RunningSums)
    spent: RunningSums = field(default_factory=RunningSums)
    free: float = 0.0
    free_recent: float = 0.0
    listed: Listed | None = None

    @property
    def unit(self) -> float:
        """What the history says is charged: the geometric mean of the unit prices, free calls as nothing."""
        return _typical(self.price, self.free)

    def settle(self) -> None:
        """The calls since the price's sums left zero are history, too."""
        self.price.absorb(self.price_recent)
        self.free, self.free_recent = self.free + self.free_recent, 0.0
        self.spent.clear()

    def reprice(self) -> None:
        """Start the price's history anew."""
        self.cusum_up = self.cusum_down = 0.0
        self.free = self.free_recent = 0.0
        for one in (self.price, self.price_recent, self.spent):
            one.clear()

    def regrade(self) -> None:
        """Start the grades' history anew."""
        self.cusum_quality = 0.0
        self.grade.clear()
        self.grade_recent.clear()

    def packed(self) -> bytes:
        """As bytes, for the store."""
        known = (self.free, self.free_recent, *(self.listed or (math.nan, math.nan)))
        flat = (
            self.cusum_up,
            self.cusum_down,
            self.cusum_quality,
            *[value for one in self._parts() for value in one.sums()],
        )
        return _LAYOUT.pack(*flat, *self.spent.sums(), *known)

    @classmethod
    def unpacked(cls, data: bytes) -> ChangeDetector:
        """From bytes, also of versions that did not count free calls. Raises struct.error when they are of neither form."""
        flat = _LAYOUT.unpack(data) if len(data) == _LAYOUT.size else (*_BEFORE.unpack(data), *_UNKNOWN)
        parts = [RunningSums(*flat[at : at + 3]) for at in range(3, 18, 3)]
        free, free_recent, listed_in, listed_out = flat[18:]
        listed = None if math.isnan(listed_in) else (listed_in, listed_out)
        price, price_recent, grade, grade_recent, spent = parts
        return cls(
            flat[0], flat[1], flat[2], price, price_recent, grade, grade_recent, spent, free, free_recent, listed
        )

    def _parts(self) -> tuple[RunningSums, ...]:
        return self.price, self.price_recent, self.grade, self.grade_recent


_LAYOUT = Struct("<22d")
_BEFORE = Struct("<15d")
_UNKNOWN = (0.0, 0.0, 0.0, 0.0, 0.0, math.nan, math.nan)
"""What such bytes do not say: no free calls, no charges, no list price."""


def _typical(charged: RunningSums, free: float) -> float:
    return math.exp(charged.mean) * charged.n / (charged.n + free) if charged.n > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Alarm:
    """An alarm: what it was, what it is, the evidence (the CUSUM sum) that raised it, and what was charged in USD since the
    change."""

    old: float
    new: float
    evidence: float
    since: RunningSums = field(default_factory=RunningSums)


def update_price(
    detector: ChangeDetector, unit: float, charge_usd: float, *, floor: float, threshold: float, prior_sd: float
) -> Alarm | None:
    """Count one call's unit price in; an `Alarm` (of unit prices) when it is an alarm; the calls since the change are its
    history then.

    The test runs on the logarithm of the unit price, in standard deviations of its own history (`prior_sd` stands in
    for the first calls), each call clipped so that no single one is an alarm; moves under `floor` (relative) are none.
    A free call has no logarithm: it is as far off as a call can be where none was free, no news where all were, and in
    proportion between; so is a charged call the other way round.
    A fall needs more evidence (`PRICE_FALL_EVIDENCE`).
    """
    known = detector.price.n + detector.free
    if known < PRICE_MIN_CALLS:
        _count(detector, unit, charge_usd)
        detector.settle()
        return None
    z = _z_score(detector.price, detector.free / known, unit, floor, prior_sd)
    detector.cusum_up = max(0.0, detector.cusum_up + z - PRICE_DRIFT)
    detector.cusum_down = max(0.0, detector.cusum_down - z - PRICE_DRIFT)
    _count(detector, unit, charge_usd)
    evidence = max(detector.cusum_up, detector.cusum_down / PRICE_FALL_EVIDENCE)
    if evidence >= threshold:
        since = RunningSums(*detector.spent.sums())
        alarm = Alarm(detector.unit, _typical(detector.price_recent, detector.free_recent), evidence, since)
        detector.cusum_up = detector.cusum_down = detector.free = 0.0
        detector.price.clear()
        detector.settle()
        return alarm
    if detector.cusum_up == detector.cusum_down == 0.0:
        detector.settle()
    return None


def _z_score(history: RunningSums, free: float, unit: float, floor: float, prior_sd: float) -> float:
    """How far off a call is in standard deviations, within PRICE_CLIP; dearer is positive. `free`: the share of free calls."""
    if unit <= 0:
        return -PRICE_CLIP * (1 - free)
    off = math.log(unit) - history.mean if history.n > 0 else 0.0
    if abs(off) <= math.log1p(floor):
        return PRICE_CLIP * free
    sd = max(math.sqrt((PRICE_SD_N * prior_sd**2 + history.scatter) / (PRICE_SD_N + history.n)), PRICE_SD_FLOOR)
    return max(-PRICE_CLIP, min(PRICE_CLIP, off / sd + PRICE_CLIP * free))


def _count(detector: ChangeDetector, unit: float, charge_usd: float) -> None:
    if unit > 0:
        detector.price_recent.add(math.log(unit))
    else:
        detector.free_recent += 1.0
    detector.spent.add(charge_usd)


def update_quality(detector: ChangeDetector, quality: float, weight: float, *, threshold: float) -> Alarm | None:
    """Count one grade in; an `Alarm` (of mean grades) when the model became worse; its recent grades are its history then.

    The evidence is the log-likelihood ratio of `half as good as before` against `as before`, for a grade in 0..1 read
    as a share of successes; `as before` is one standard error under the mean, so that a lucky start is no promise.
    """
    history, recent = detector.grade, detector.grade_recent
    if history.n < QUALITY_MIN_GRADES or (recent.n == 0.0 and quality >= QUALITY_RANGE[1]):
        history.add(quality, weight)  # nobody is suspected, least of all for a grade as good as any before
        return None
    error = math.sqrt((history.scatter + QUALITY_ERROR_N) / (history.n + 1) / history.n)
    before = min(QUALITY_RANGE[1], max(QUALITY_RANGE[0], history.mean - error))
    after = before * QUALITY_FALL
    ratio = quality * math.log(after / before) + (1 - quality) * math.log((1 - after) / (1 - before))
    detector.cusum_quality = max(0.0, detector.cusum_quality + weight * ratio)
    recent.add(quality, weight)
    if detector.cusum_quality >= threshold:
        alarm = Alarm(history.mean, recent.mean, detector.cusum_quality)
        detector.cusum_quality = 0.0
        history.clear()
        history.absorb(recent)
        return alarm
    if detector.cusum_quality == 0.0:
        history.absorb(recent)
    return None
