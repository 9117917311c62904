"""The statistics of one bucket as arrays over the pool: as they are, and as they were when what is believed was worked out.

What is believed rests on sums that are taken over (`synced`) only once they may have moved a mean: working it out costs several
hundred microseconds. These older sums are part of the policy's state, and everything else here follows from them, so that a
policy loaded from its rows and state believes the same to the last digit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import exp, log
from operator import attrgetter

import numpy as np

from arbiter_app.policy.posterior import (
    LEAST,
    Array,
    BucketLikelihood,
    GapPrior,
    GradeEvidence,
    PairEvidence,
    QualityPosterior,
    bucket_likelihood,
    gap_scale,
    grade_evidence,
    pair_evidence,
    shared_posterior,
)
from arbiter_app.policy.prompt_size import PromptSize, fit_prompt_size
from arbiter_app.policy.statistics import PAIR_FIELDS, SIZE_FIELDS, ModelStats
from arbiter_app.policy.types import ModelFacts

REFRESH_AFTER = 1 / 16
"""What is believed is worked out anew once the means under it may have moved by this share (what it costs against what it
tells: at 1/24 the public replay is the same within its noise, and a tenth more has to be worked out) ..."""
SHARED_REFRESH_AFTER = 3 / 16
"""... and what buckets tell each other once they have, on average, moved by this one: each time makes all views be worked out anew."""

SUM_FIELDS = (
    *("calls", "shadow_n", "graded", "quality_sum", "quality_sq", "votes", "votes_sum", "cost_n", "cost_usd"),
    *(*PAIR_FIELDS, *SIZE_FIELDS),
)
"""The statistics that beliefs follow from: the rows [F] of all arrays of sums [F, K]."""
_CALLS, _SHADOWS, _GRADED, _COST_N, _COST_USD = (
    SUM_FIELDS.index(name) for name in ("calls", "shadow_n", "graded", "cost_n", "cost_usd")
)
_COUNTS, _SHARED_COUNTS = (_CALLS, _GRADED, _COST_N), (_GRADED, _COST_N)
_QUALITY, _VOTES = slice(_GRADED, _GRADED + 3), slice(_GRADED + 3, _GRADED + 5)
"""The rows of the grades (weight, sum, sum of squares), and of the votes (number, thumbs up)."""
_PAIRED = SUM_FIELDS.index("paired")
_PAIRS = slice(_PAIRED, _PAIRED + len(PAIR_FIELDS))
"""The rows of the pairs with the baseline, in the order of `pair_evidence`."""
_SIZES = slice(len(SUM_FIELDS) - len(SIZE_FIELDS), len(SUM_FIELDS))
_SUMS = attrgetter(*SUM_FIELDS)


def benchmark_grades(models: Sequence[str], bucket: str, facts: Mapping[str, ModelFacts], strength: float) -> Array:
    """Weight, total and sum of squares [3, K] of the grades that benchmark priors count for in a bucket."""
    task = bucket.partition(":")[0]
    priors = [facts[model].prior.get(task) if model in facts else None for model in models]
    columns = [(0.0, 0.0, 0.0) if one is None else (strength, strength * one, strength * one * one) for one in priors]
    return np.array(columns).T


def said_by(
    grades: Array, pairs: Array, baseline: int, evidence: GradeEvidence
) -> tuple[GradeEvidence, PairEvidence | None]:
    """What grades [3, K] say, read as `evidence`, apart from those that are in pairs with the baseline's [6, K], and what these say."""
    if not pairs[0].any():
        return evidence, None
    weight = np.maximum(grades[0] - pairs[0], 0.0)
    mean = np.clip((grades[1] - pairs[1]) / np.maximum(weight, LEAST), 0.0, 1.0)
    return GradeEvidence(weight, mean, evidence.noise), pair_evidence(pairs, evidence.noise, baseline)


class BucketSums:
    """Sums [F, K] of one bucket at one moment, and what follows from them alone, worked out once.

    `grades` [3, K] are weight, total and sum of squares with votes and benchmark priors counted in; `requests` are the
    calls that were asked for an answer, `base_charged` and `base_usd` the baseline's charged calls and their USD.
    """

    def __init__(self, sums: Array, extra_grades: Array, vote_weight: float, baseline: int) -> None:
        self.sums, self._extra, self._vote_weight, self._baseline = sums, extra_grades, vote_weight, baseline
        self.calls, self.graded, self.charged = sums[_CALLS], sums[_GRADED], np.maximum(sums[_COST_N], 0.0)
        self.requests = float(self.calls.sum() - sums[_SHADOWS].sum())
        usd = np.maximum(sums[_COST_USD], 0.0)
        self.mean_usd: Array = usd / np.maximum(self.charged, 0.5) * (self.charged > 0.5)
        self.base_charged = float(self.charged[baseline])
        self.base_usd = self.base_charged * float(self.mean_usd[baseline])
        self.grades, self.pairs = sums[_QUALITY] + extra_grades, sums[_PAIRS]
        votes = sums[_VOTES]
        if votes.any():
            self.grades[:2] += vote_weight * votes
            self.grades[2] += vote_weight * votes[1]
        np.maximum(self.grades[0], 0.0, out=self.grades[0])

    def moved_to(self, sums: Array) -> BucketSums:
        """The same bucket with other sums; what only grades decide is kept where they are the same."""
        other = BucketSums(sums, self._extra, self._vote_weight, self._baseline)
        if np.array_equal(other.grades, self.grades) and np.array_equal(other.pairs, self.pairs):
            other.grades, other.pairs = self.grades, self.pairs
            for name in ("evidence", "gap_scale", "_likelihood"):
                if name in self.__dict__:
                    other.__dict__[name] = self.__dict__[name]
        return other

    @cached_property
    def evidence(self) -> GradeEvidence:
        """The grades as evidence."""
        return grade_evidence(self.grades)

    @cached_property
    def gap_scale(self) -> float:
        """How large gaps are expected to be here."""
        return gap_scale(float(self.grades[0, self._baseline]), float(self.grades[1, self._baseline]))

    def likelihood(self, prior: GapPrior) -> BucketLikelihood:
        """What the grades say of the part that buckets share, and of the models here."""
        found: BucketLikelihood | None = self.__dict__.get("_likelihood")
        if found is None:
            found = self.__dict__["_likelihood"] = self._said(prior)
        return found

    def _said(self, prior: GapPrior) -> BucketLikelihood:
        alone, pairs = said_by(self.grades, self.pairs, self._baseline, self.evidence)
        return bucket_likelihood(alone, prior, self.gap_scale, pairs)

    @cached_property
    def size(self) -> PromptSize:
        """What long prompts cost here."""
        return fit_prompt_size(self.sums[_SIZES])


class Bucket:
    """One bucket: its sums as they are (`live` [F, K], `tries` of each model, `repriced_up` the places of models whose price rose once), as its
    own beliefs know them (`synced`) and as those of other buckets do (`shared`).

    `requests` is the sum of the calls that were not beside another, `base_calls` and `base_graded` are the baseline's. `staleness` is the share by which
    means may have moved since `synced`, and `shared_staleness` that between `shared` and `synced`, where a model counts as if it had
    at least 1 / REFRESH_AFTER calls: the first trials of a model here are no news to all other buckets.
    """

    def __init__(self, size: int, baseline: int, extra_grades: Array, vote_weight: float) -> None:
        self._baseline = baseline
        self._sums, self.tries = np.zeros((len(SUM_FIELDS), size)), [0.0] * size
        self._later: dict[int, ModelStats] = {}
        """Statistics that are not in `_sums` yet: that can wait until somebody looks at these."""
        self._asked = [0.0] * size
        self.synced = self.shared = BucketSums(np.zeros_like(self._sums), extra_grades, vote_weight, baseline)
        self.repriced_up: set[int] = set()
        self.requests = self.base_calls = self.base_graded = 0.0
        self._stale, self._unshared = [0.0] * size, [0.0] * size
        self._unsynced: set[int] = set()
        self.believed: tuple[BucketLikelihood, object, QualityPosterior] | None = None
        """What is believed, for which reading of the grades and moment of the shared part."""

    @property
    def live(self) -> Array:
        """The sums [F, K] as they are."""
        for at, known in self._later.items():
            self._sums[:, at] = _SUMS(known)
        self._later.clear()
        return self._sums

    @property
    def graded(self) -> Array:
        """The weight of each model's grades [K], as it is."""
        row: Array = self.live[_GRADED]
        return row

    @property
    def pairs(self) -> Array:
        """The sums of pairs with the baseline [6, K], as they are."""
        return self.live[_PAIRS]

    @property
    def staleness(self) -> float:
        """By which share means may have moved since `synced`."""
        return sum(self._stale)

    @property
    def shared_staleness(self) -> float:
        """By which share means may have moved between `shared` and `synced`."""
        return sum(self._unshared)

    def put(self, at: int, known: ModelStats) -> None:
        """One model's statistics are others; they are read again when the sums are looked at."""
        asked = known.calls - known.shadow_n
        self.requests += asked - self._asked[at]
        self._asked[at], self._later[at], self.tries[at] = asked, known, known.tries
        if at == self._baseline:
            self.base_calls, self.base_graded = known.calls, known.graded
        (self.repriced_up.add if known.calls > known.tries else self.repriced_up.discard)(at)
        self._unsynced.add(at)
        self._stale[at] = _moved((known.calls, known.graded, known.cost_n), self.synced.sums, at, _COUNTS, 1.0)

    def sync(self) -> list[int]:
        """Let beliefs here rest on the sums as they are; the places of the models whose sums were others."""
        changed = sorted(self._unsynced)
        if changed:
            self.synced = self.synced.moved_to(self.live.copy())
            self._unsynced.clear()
            for at in changed:
                self._stale[at] = 0.0
                self._unshared[at] = self._moved_apart(at)
        return changed

    def share(self) -> list[int]:
        """Let beliefs of other buckets rest on the same; the places of the models whose sums were others."""
        changed = [] if self.shared is self.synced else _differing(self.synced.sums, self.shared.sums)
        self.shared, self._unshared = self.synced, [0.0] * len(self._unshared)
        return changed

    def restore(self, synced: Array, shared: Array) -> None:
        """Let beliefs rest on these sums [F, K]."""
        self.synced, self.shared = self.synced.moved_to(synced), self.shared.moved_to(shared)
        live = self.live
        self._unsynced = set(_differing(live, synced))
        for at in range(len(self._stale)):
            self._stale[at] = _moved([live.item(row, at) for row in _COUNTS], synced, at, _COUNTS, 1.0)
            self._unshared[at] = self._moved_apart(at)

    def _moved_apart(self, at: int) -> float:
        """By which share a model's means may have moved between `shared` and `synced`."""
        counts = [self.synced.sums.item(row, at) for row in _SHARED_COUNTS]
        return _moved(counts, self.shared.sums, at, _SHARED_COUNTS, 1 / REFRESH_AFTER)


def _moved(counts: Sequence[float], then: Array, at: int, rows: Sequence[int], least: float) -> float:
    """By which share a model's means may have moved since its counts were those in these rows of sums [F, K], where it counts as if it had
    `least` calls."""
    share = 0.0
    for count, row in zip(counts, rows, strict=True):
        share = max(share, abs(count - then.item(row, at)) / max(count, least))
    return share


def _differing(one: Array, other: Array) -> list[int]:
    """The places of the models whose columns differ."""
    places: list[int] = (one != other).any(axis=0).nonzero()[0].tolist()
    return places


class SharedPosterior:
    """What all buckets say together about the part that they share, each by its `shared` sums."""

    def __init__(self, buckets: Mapping[str, Bucket], prior: GapPrior) -> None:
        self.prior = prior
        self._buckets = list(buckets.values())
        self._at = {one: at for at, one in enumerate(self._buckets)}
        size = len(prior.mean)
        self._cells = size * size
        self._likelihoods = np.zeros((len(buckets), self._cells + size))
        self._of: list[BucketSums | None] = [None] * len(buckets)
        self._moment = object()
        """Another one whenever the `shared` sums change."""
        self._total: Array | None = None
        self._charges: tuple[float, float] | None = None
        self._elsewhere: dict[int, tuple[Array, Array]] = {}

    def refresh(self) -> None:
        """The `shared` sums of some buckets are others; what is believed changes where their grades are."""
        self._charges = None
        if any(
            known is None or known.grades is not one.shared.grades
            for known, one in zip(self._of, self._buckets, strict=True)
        ):
            self._moment, self._total = object(), None
            self._elsewhere.clear()

    def base_charges(self, here: Bucket) -> tuple[float, float]:
        """The baseline's charged calls, and their USD, in all buckets but this one."""
        if self._charges is None:
            shared = [one.shared for one in self._buckets]
            self._charges = sum([one.base_charged for one in shared]), sum([one.base_usd for one in shared])
        n, usd = self._charges
        return (
            (n - here.shared.base_charged, max(usd - here.shared.base_usd, 0.0)) if here in self._at else self._charges
        )

    @property
    def moment(self) -> object:
        """Another one whenever what all buckets say together changes."""
        return self._moment

    def elsewhere(self, here: Bucket) -> tuple[Array, Array]:
        """What all other buckets say of the shared part: mean [K] and covariance [K, K]."""
        at, size = self._at.get(here, -1), len(self.prior.mean)
        found = self._elsewhere.get(at)
        if found is None:
            total = self._all() if at < 0 else self._all() - self._likelihoods[at]
            precision, info = total[: self._cells].reshape(size, size), total[self._cells :]
            found = self._elsewhere[at] = shared_posterior(self.prior, precision, info)
        return found

    def belief(self, here: Bucket, own: BucketSums) -> QualityPosterior:
        """What is believed of the models of a bucket with these sums, and the shared ones of all others."""
        likelihood, size = own.likelihood(self.prior), len(self.prior.mean)
        known = here.believed
        if known is None or known[0] is not likelihood or known[1] is not self._moment:
            total = self._all().copy()
            if here in self._at:
                total -= self._likelihoods[self._at[here]]
            total[: self._cells] += likelihood.precision.ravel()
            total[self._cells :] += likelihood.info_vector
            mean, cov = shared_posterior(self.prior, total[: self._cells].reshape(size, size), total[self._cells :])
            known = here.believed = likelihood, self._moment, likelihood.given(mean, cov)
        return known[2]

    def _all(self) -> Array:
        if self._total is None:
            for at, one in enumerate(self._buckets):
                known = self._of[at]
                if known is None or known.grades is not one.shared.grades:
                    likelihood = one.shared.likelihood(self.prior)
                    self._likelihoods[at, : self._cells], self._likelihoods[at, self._cells :] = (
                        likelihood.precision.ravel(),
                        likelihood.info_vector,
                    )
                    self._of[at] = one.shared
            self._total = np.add.reduce(self._likelihoods)
        return self._total


@dataclass(frozen=True, slots=True)
class ExpectedCost:
    """Expected USD of a request [K] in one bucket, what it would be at list prices [K], and the baseline's mean over all
    buckets: the unit of money."""

    usd: Array
    listed: Array
    unit: float


def expected_usd(
    here: BucketSums, elsewhere: tuple[float, float], price: Array, base: int, strength: float
) -> ExpectedCost:
    """What a request is expected to cost, from the sums here, and the baseline's charged calls and USD in all other buckets.

    List prices, scaled to what the baseline costs here, count as `strength` calls: fewer where calls contradict them, by
    the likelihood of the difference between the logarithms (standard deviation 1 a call).
    """
    n, usd = here.base_charged + elsewhere[0], here.base_usd + elsewhere[1]
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
    return ExpectedCost(cost, expected, float(unit) if unit > 0 else float(cost.max()) or 1.0)


def _trust(calls: float, usd: float, expected: float) -> float:
    """How far calls that cost `usd` leave it likely that they were expected to cost `expected`, 0 to 1."""
    return exp(-0.5 * calls * log(usd / expected) ** 2) if usd > 0 and expected > 0 else 1.0
