"""The statistics as arrays over the pool, one set a bucket, kept in step with the table one model at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import exp, log

import numpy as np

from arbiter_app.policy.belief import Array, Evidence, GapPrior, Message, evidence, message
from arbiter_app.policy.statistics import ModelStats
from arbiter_app.policy.types import ModelFacts, PolicySettings


class Bucket:
    """Grades, tries and charges of one bucket: arrays [K] in the order of the pool.

    `heard_of` is whether anything was graded here, `said` whether the crowd has the newest of it.
    """

    def __init__(self, size: int) -> None:
        self._sums = np.zeros((8, size))
        self._seen: Evidence | None = None
        self.heard_of = False
        self.said = False

    def put(self, at: int, known: ModelStats, facts: ModelFacts | None, task: str, settings: PolicySettings) -> None:
        """Set one model's columns from its statistics; votes and a benchmark prior count as grades."""
        thumbs, up = settings.vote_weight * known.votes, settings.vote_weight * known.votes_sum
        weight, total, square = known.graded + thumbs, known.quality_sum + up, known.quality_sq + up
        prior = facts.prior.get(task) if facts is not None and facts.prior else None
        if prior is not None:
            strength = settings.prior_strength
            weight, total, square = weight + strength, total + strength * prior, square + strength * prior * prior
        charged = max(known.cost_n, 0.0)
        mean = max(known.cost_usd, 0.0) / charged if charged > 0.5 else 0.0
        self._sums[:, at] = (max(weight, 0.0), total, square, known.calls, charged, mean, known.graded, known.tries)
        self.heard_of = self.heard_of or weight > 0
        self._seen, self.said = None, False

    def seen(self) -> Evidence:
        """The grades as evidence."""
        if self._seen is None:
            self._seen = evidence(self._sums[0], self._sums[1], self._sums[2])
        return self._seen

    def says(self, prior: GapPrior) -> Message:
        """What these grades say about the part that buckets share."""
        return message(self.seen(), prior)

    @property
    def calls(self) -> Array:
        """Calls [K]."""
        calls: Array = self._sums[3]
        return calls

    @property
    def tries(self) -> Array:
        """Calls since the price last rose [K]."""
        tries: Array = self._sums[7]
        return tries

    @property
    def charged(self) -> Array:
        """Calls with a known charge [K]."""
        charged: Array = self._sums[4]
        return charged

    @property
    def mean_usd(self) -> Array:
        """Mean charge [K], 0 where none is known."""
        mean: Array = self._sums[5]
        return mean

    @property
    def graded(self) -> Array:
        """Weight of the grades alone [K], without votes and priors."""
        graded: Array = self._sums[6]
        return graded


class Crowd:
    """What every bucket says about the shared part, stacked: only a bucket that changed is asked again."""

    def __init__(self, buckets: Mapping[str, Bucket], size: int) -> None:
        self._buckets = list(buckets.values())
        self._place = {name: at for at, name in enumerate(buckets)}
        self._precision = np.zeros((len(buckets), size, size))
        self._pull = np.zeros((len(buckets), size))

    def but(self, name: str, prior: GapPrior) -> Message | None:
        """What all buckets but one say together; None when no other has a grade."""
        own = self._place.get(name, -1)
        others = [at for at, one in enumerate(self._buckets) if at != own and one.heard_of]
        if not others:
            return None
        for at in others:
            one = self._buckets[at]
            if not one.said:
                says = one.says(prior)
                self._precision[at], self._pull[at], one.said = says.precision, says.pull, True
        return Message(np.add.reduce(self._precision[others]), np.add.reduce(self._pull[others]))


@dataclass(frozen=True, slots=True)
class Money:
    """Expected USD of a request [K] in one bucket, what it would be at list prices [K], and the baseline's mean over all
    buckets: the unit of money."""

    usd: Array
    listed: Array
    unit: float


def expected_usd(here: Bucket, buckets: Iterable[Bucket], price: Array, base: int, strength: float) -> Money:
    """What a request is expected to cost.

    List prices, scaled to what the baseline costs here, count as `strength` calls: fewer where calls contradict them, by
    the likelihood of the difference between the logarithms (standard deviation 1 a call).
    """
    n = usd = 0.0
    for one in buckets:
        charged = float(one.charged[base])
        n, usd = n + charged, usd + charged * float(one.mean_usd[base])
    listed = float(price[base])
    prior = strength * _trust(n, usd, n * listed)
    unit = (prior * listed + usd) / (prior + n) if prior + n > 0 else 0.0
    calls, mean = here.charged, here.mean_usd
    level = (strength * unit + calls[base] * mean[base]) / (strength + calls[base]) if strength + n > 0 else 0.0
    expected = price * (level / listed) if listed > 0 else price
    both = (expected > 0) & (mean > 0)
    off = np.log(np.where(both, mean, 1.0) / np.where(both, expected, 1.0))
    trust = np.where(both | (calls == 0), strength * np.exp(-0.5 * calls * off * off), 0.0)
    cost: Array = (trust * expected + calls * mean) / np.maximum(trust + calls, 1e-12)
    return Money(cost, expected, float(unit) if unit > 0 else float(cost.max()) or 1.0)


def _trust(calls: float, usd: float, expected: float) -> float:
    """How far calls that cost `usd` leave it likely that they were expected to cost `expected`, 0 to 1."""
    return exp(-0.5 * calls * log(usd / expected) ** 2) if usd > 0 and expected > 0 else 1.0
