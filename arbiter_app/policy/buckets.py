"""The statistics as arrays over the pool, one set a bucket, kept in step with the table one model at a time."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from math import exp, inf, log
from operator import attrgetter

import numpy as np

from arbiter_app.policy.belief import (
    Array,
    Belief,
    Evidence,
    GapPrior,
    Grades,
    Reading,
    evidence,
    reading,
    scale,
    shared,
)
from arbiter_app.policy.size import Size, size_of
from arbiter_app.policy.statistics import SIZE_FIELDS, ModelStats
from arbiter_app.policy.types import ModelFacts, PolicySettings
from arbiter_app.policy.values import value

NEWS = 1 / 24
"""What is believed is worked out anew once the means under it may have moved by this share."""
_SIZES = attrgetter(*SIZE_FIELDS)


class Bucket:
    """Grades, calls and charges of one bucket: arrays [K] in the order of the pool, and the sums that tell what long prompts
    cost, `sizes` [6, K].

    `all_calls` is their sum; `base_calls`, `base_graded`, `base_charged` and `base_usd` are the baseline's, `rose` the places of
    models whose price rose once. `news` tells by which shares means may have moved so far, a grade or a charge among n
    by 1/n; `graded_news` is the grades' part, and `said` what it was when the crowd heard of it.
    """

    def __init__(self, size: int, baseline: int) -> None:
        self._grades = Grades(size)
        self._baseline = baseline
        self._seen: Evidence | None = None
        self._reading: Reading | None = None
        self._belief: tuple[int, Belief] | None = None
        self.calls, self.tries, self.charged, self.mean_usd, self.graded = (np.zeros(size) for _ in range(5))
        self.sizes = np.zeros((len(SIZE_FIELDS), size))
        self.all_calls = self.base_calls = self.base_graded = self.base_charged = self.base_usd = 0.0
        self._size = 0.0, Size()
        self.rose: set[int] = set()
        self.news = self.graded_news = 0.0
        self.said = -inf

    def put(self, at: int, known: ModelStats, facts: ModelFacts | None, task: str, settings: PolicySettings) -> None:
        """Set one model's columns from its statistics; votes and a benchmark prior count as grades."""
        thumbs, up = settings.vote_weight * known.votes, settings.vote_weight * known.votes_sum
        weight, total, square = known.graded + thumbs, known.quality_sum + up, known.quality_sq + up
        prior = facts.prior.get(task) if facts is not None and facts.prior else None
        if prior is not None:
            strength = settings.prior_strength
            weight, total, square = weight + strength, total + strength * prior, square + strength * prior * prior
        told = self.graded_news
        self._grade(at, max(weight, 0.0), total, square)
        charged = max(known.cost_n, 0.0)
        self.news += max(1 / max(charged, 1.0), self.graded_news - told)
        mean = max(known.cost_usd, 0.0) / charged if charged > 0.5 else 0.0
        self.all_calls += known.calls - float(self.calls[at])
        self.calls[at], self.tries[at], self.graded[at] = known.calls, known.tries, known.graded
        self.charged[at], self.mean_usd[at] = charged, mean
        if at == self._baseline:
            self.base_calls, self.base_graded = known.calls, known.graded
            self.base_charged, self.base_usd = charged, charged * mean
        self.sizes[:, at] = _SIZES(known)
        (self.rose.add if known.calls > known.tries else self.rose.discard)(at)

    def _grade(self, at: int, *sums: float) -> None:
        """Set one model's grades, where they changed."""
        if self._grades.sums[at] == sums:
            return
        self._grades.put(at, *sums)
        self._seen = self._reading = None
        self.graded_news += 1 / max(sums[0], 1.0)

    def size(self) -> Size:
        """What long prompts cost here; worked out anew on news enough."""
        calls = float(self.sizes[0].sum())
        if calls > self._size[0] * (1 + NEWS) or calls < self._size[0]:
            self._size = calls, size_of(self.sizes)
        return self._size[1]

    def seen(self) -> Evidence:
        """The grades as evidence."""
        if self._seen is None:
            self._seen = evidence(self._grades)
        return self._seen

    def says(self, prior: GapPrior) -> Reading:
        """What these grades say, of the part that buckets share and of the models here."""
        if self._reading is None:
            self._reading = reading(self.seen(), prior, scale(self._grades, self._baseline))
        return self._reading

    def believed(self, crowd: Crowd) -> Belief:
        """What is believed of the models here."""
        mean, cov, version = crowd.shared(self)
        if self._belief is None or self._belief[0] != version:
            self._belief = version, self.says(crowd.prior).given(mean, cov)
        return self._belief[1]


class Crowd:
    """What all buckets say together about the part that they share. One is asked again when it has news enough."""

    def __init__(self, buckets: Mapping[str, Bucket], prior: GapPrior) -> None:
        self.prior = prior
        self._buckets = list(buckets.values())
        self._size = len(prior.mean)
        self._said = np.zeros((len(buckets), self._size**2 + self._size))
        self._shared: tuple[Array, Array] | None = None
        self._version = 0

    def shared(self, asking: Bucket) -> tuple[Array, Array, int]:
        """Mean [K] and covariance [K, K] of the shared part, and how often they changed. Who asks is heard in any case."""
        cells, before = self._size**2, self._version
        for at, one in enumerate(self._buckets):
            news = one.graded_news - one.said
            if news > NEWS or (news > 0 and one is asking):
                says, one.said = one.says(self.prior), one.graded_news
                self._said[at, :cells], self._said[at, cells:] = says.precision.ravel(), says.pull
                self._version += 1
        if self._shared is None or self._version != before:
            together = np.add.reduce(self._said)
            precision = together[:cells].reshape(self._size, -1)
            self._shared = shared(self.prior, precision, together[cells:])
        return *self._shared, self._version


@value
class Money:
    """Expected USD of a request [K] in one bucket, what it would be at list prices [K], and the baseline's mean over all
    buckets: the unit of money."""

    usd: Array
    listed: Array
    unit: float


def expected_usd(here: Bucket, buckets: Collection[Bucket], price: Array, base: int, strength: float) -> Money:
    """What a request is expected to cost.

    List prices, scaled to what the baseline costs here, count as `strength` calls: fewer where calls contradict them, by
    the likelihood of the difference between the logarithms (standard deviation 1 a call).
    """
    n, usd = sum([one.base_charged for one in buckets]), sum([one.base_usd for one in buckets])
    listed = float(price[base])
    prior = strength * _trust(n, usd, n * listed)
    unit = (prior * listed + usd) / (prior + n) if prior + n > 0 else 0.0
    calls, mean = here.charged, here.mean_usd
    level = (strength * unit + here.base_usd) / (strength + here.base_charged) if strength + n > 0 else 0.0
    expected = price * (level / listed) if listed > 0 else price
    both = (mean > 0) & (expected > 0)
    off = np.log(np.divide(mean, expected, out=np.ones_like(mean), where=both))
    trust = strength * np.where(both | (calls == 0) | (mean == expected), np.exp(-0.5 * calls * off * off), 0.0)
    weight = trust + calls
    cost: Array = np.divide(trust * expected + calls * mean, weight, out=expected.copy(), where=weight > 0)
    return Money(cost, expected, float(unit) if unit > 0 else float(cost.max()) or 1.0)


def _trust(calls: float, usd: float, expected: float) -> float:
    """How far calls that cost `usd` leave it likely that they were expected to cost `expected`, 0 to 1."""
    return exp(-0.5 * calls * log(usd / expected) ** 2) if usd > 0 and expected > 0 else 1.0
