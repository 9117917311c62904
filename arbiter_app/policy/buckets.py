"""The statistics as arrays over the pool, one set a bucket, kept in step with the table one model at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from arbiter_app.policy.belief import Array, Evidence, GapPrior, Message, evidence, message
from arbiter_app.policy.statistics import ModelStats
from arbiter_app.policy.types import ModelFacts, PolicySettings


class Bucket:
    """Grades, tries and charges of one bucket: arrays [K] in the order of the pool."""

    def __init__(self, size: int) -> None:
        self._sums = np.zeros((8, size))
        self._seen: Evidence | None = None
        self._message: Message | None = None

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
        self._seen = self._message = None

    @property
    def heard_of(self) -> bool:
        """Whether anything here was graded."""
        return bool(self._sums[0].any())

    def seen(self) -> Evidence:
        """The grades as evidence."""
        if self._seen is None:
            self._seen = evidence(self._sums[0], self._sums[1], self._sums[2])
        return self._seen

    def says(self, prior: GapPrior) -> Message:
        """What these grades say about the part that buckets share."""
        if self._message is None:
            self._message = message(self.seen(), prior)
        return self._message

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


def heard(buckets: Mapping[str, Bucket], but: str, prior: GapPrior) -> Message | None:
    """What all buckets but one say together; None when no other has a grade."""
    said = [one.says(prior) for name, one in buckets.items() if name != but and one.heard_of]
    if not said:
        return None
    precision, pull = said[0].precision.copy(), said[0].pull.copy()
    for one in said[1:]:
        precision += one.precision
        pull += one.pull
    return Message(precision, pull)


def expected_usd(
    here: Bucket, buckets: Iterable[Bucket], price: Array, base: int, strength: float
) -> tuple[Array, float]:
    """Expected USD of a request [K] in one bucket, and the baseline's mean over all buckets, the unit of money.

    List prices, scaled to what the baseline costs here, count as `strength` calls: fewer where calls contradict them, by
    the likelihood of the difference between the logarithms (standard deviation 1 a call).
    """
    n = usd = 0.0
    for one in buckets:
        charged = float(one.charged[base])
        n, usd = n + charged, usd + charged * float(one.mean_usd[base])
    listed = float(price[base])
    unit = (strength * listed + usd) / (strength + n) if strength + n > 0 else 0.0
    calls, mean = here.charged, here.mean_usd
    level = (strength * unit + calls[base] * mean[base]) / (strength + calls[base]) if strength + n > 0 else 0.0
    expected = price * (level / listed) if listed > 0 else price
    both = (expected > 0) & (mean > 0)
    off = np.log(np.where(both, mean, 1.0) / np.where(both, expected, 1.0))
    trust = np.where(both | (calls == 0), strength * np.exp(-0.5 * calls * off * off), 0.0)
    cost: Array = (trust * expected + calls * mean) / np.maximum(trust + calls, 1e-12)
    return cost, float(unit) if unit > 0 else float(cost.max()) or 1.0
