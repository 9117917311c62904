"""How far a judge can be trusted: its scores against objective checks and human votes on the same answers. Pure functions.

A score is read as  a + b x truth + error.  From n scores, the mean truth of a model's answers is then known as well as from
r^2 n objective grades, r being the correlation of scores with the truth (Fuller, Measurement Error Models, 1987, section
1.1); so r^2 is what one judged grade weighs, and (score - a) / b is what it says. Both start from a stated prior and
move with pairs: those of all tasks together first, those of the grade's own task above all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from arbiter_app.policy.statistics import wilson

PRIOR_N = 8.0
"""Pairs that the prior counts for (a judgement: it yields to one afternoon of checks)."""
PRIOR_WEIGHT = 0.5
"""What a judged grade weighs before anything is known: half an objective one."""
PRIOR_TRUTH_VARIANCE = 0.15
"""Variance of the truth, a share squared, in the prior pairs: that of answers of which 82 % are right, p(1 - p)."""
POOLED_N = 24.0
"""Pairs that all other tasks together count for at most, where one task is concerned."""
WELL_KNOWN_N, MIN_CHECKED_SHARE = 400.0, 0.1
"""Pairs of a task with objective checks by which a weight is known to within 0.04 (its standard error); with more of them
fewer answers are compared, down to this share of those that would be."""
MIN_SLOPE = 0.25
"""Least slope by which a score is divided: it bounds what one point of a judge that hardly tells answers apart may say."""
GOOD = 0.5
"""Score, 0 to 1, from which an answer counts as good: the middle of the scale."""

OBJECTIVE, PEOPLE = "objective", "people"
PairKey = tuple[str, str, str]
"""The judge, the task, and whom it was compared with: `objective` or `people`."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """Sums over pairs of (score, truth), both in 0..1; they add up in any order. `agreed`: both on one side of 0.5."""

    n: float = 0.0
    agreed: float = 0.0
    score: float = 0.0
    truth: float = 0.0
    score_sq: float = 0.0
    truth_sq: float = 0.0
    product: float = 0.0

    def __add__(self, other: Pairs) -> Pairs:
        """Both together."""
        return Pairs(*(getattr(self, name) + getattr(other, name) for name in FIELDS))

    def as_dict(self) -> dict[str, float]:
        """The sums by name."""
        return {name: getattr(self, name) for name in FIELDS}


FIELDS: tuple[str, ...] = tuple(spec.name for spec in fields(Pairs))


def pair(score: float, truth: float, sign: float = 1.0) -> Pairs:
    """One pair; `sign` -1 takes it back."""
    agreed = float((score >= GOOD) == (truth >= GOOD))
    return Pairs(*(sign * value for value in (1.0, agreed, score, truth, score**2, truth**2, score * truth)))


@dataclass(frozen=True, slots=True)
class PairMoments:
    """Pairs about their means: sums of squares and products, which add up over groups of different level."""

    n: float
    score: float
    truth: float
    score_ss: float
    truth_ss: float
    product_ss: float

    @classmethod
    def of(cls, pairs: Pairs) -> PairMoments:
        """The moments of one group."""
        n = max(pairs.n, 0.0)
        if n < 0.5:
            return cls(0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
        score, truth = pairs.score / n, pairs.truth / n
        return cls(
            n,
            score,
            truth,
            max(pairs.score_sq - n * score * score, 0.0),
            max(pairs.truth_sq - n * truth * truth, 0.0),
            pairs.product - n * score * truth,
        )

    def with_group(self, other: PairMoments) -> PairMoments:
        """Both groups, each about its own means; the means themselves are averaged by size."""
        n = self.n + other.n
        if n == 0:
            return self
        return PairMoments(
            n,
            (self.n * self.score + other.n * other.score) / n,
            (self.n * self.truth + other.n * other.truth) / n,
            self.score_ss + other.score_ss,
            self.truth_ss + other.truth_ss,
            self.product_ss + other.product_ss,
        )

    def at_most(self, n: float) -> PairMoments:
        """The same, counting for no more than n pairs."""
        share = min(1.0, n / self.n) if self.n > 0 else 1.0
        sums = (self.score_ss * share, self.truth_ss * share, self.product_ss * share)
        return PairMoments(self.n * share, self.score, self.truth, *sums)


def prior_of(weight: float) -> PairMoments:
    """PRIOR_N pairs of an unbiased judge of slope 1 whose squared correlation with the truth is this."""
    truth_ss = PRIOR_N * PRIOR_TRUTH_VARIANCE
    return PairMoments(PRIOR_N, 0.0, 0.0, truth_ss / weight, truth_ss, truth_ss)


PRIOR = prior_of(PRIOR_WEIGHT)


@dataclass(frozen=True, slots=True)
class Trust:
    """What a judged grade is worth in one task: its weight against an objective grade, and how to read a score."""

    weight: float
    slope: float
    bias: float
    around: float

    def read(self, score: float) -> float:
        """The truth that a score speaks for, in 0..1: `bias` is the mean of score - truth, `around` the mean truth."""
        truth = self.around + (score - self.bias - self.around) / max(self.slope, MIN_SLOPE)
        return min(1.0, max(0.0, truth))


def still_checked(known: Mapping[PairKey, Pairs], judge: str, task: str) -> float:
    """Of the answers of a task that may be compared with the judge: the share that still is, so much being known of it."""
    pairs = known.get((judge, task, OBJECTIVE))
    return 1.0 if pairs is None or pairs.n <= WELL_KNOWN_N else max(WELL_KNOWN_N / pairs.n, MIN_CHECKED_SHARE)


def trust(known: Mapping[PairKey, Pairs], judge: str, task: str, prior: PairMoments = PRIOR) -> Trust:
    """How far a judge is to be trusted in a task, from everything known about it."""
    here = elsewhere = PairMoments.of(Pairs())
    for (who, what, _), pairs in sorted(known.items()):
        if who == judge and what == task:
            here = here.with_group(PairMoments.of(pairs))
        elif who == judge:
            elsewhere = elsewhere.with_group(PairMoments.of(pairs))
    pooled = elsewhere.at_most(POOLED_N)
    total = prior.with_group(pooled).with_group(here)
    spread = total.score_ss * total.truth_ss
    correlation = max(0.0, total.product_ss) / spread**0.5 if spread > 0 else 0.0
    pairs_n = pooled.n + here.n
    bias = (pooled.n * (pooled.score - pooled.truth) + here.n * (here.score - here.truth)) / (pairs_n + PRIOR_N)
    around = (here.n * here.truth + pooled.n * pooled.truth) / pairs_n if pairs_n > 0 else GOOD
    slope = max(0.0, total.product_ss) / total.truth_ss if total.truth_ss > 0 else 1.0
    return Trust(correlation**2, slope, bias, around)


def report(known: Mapping[PairKey, Pairs], judge: str) -> list[dict[str, object]]:
    """Per task and reference: pairs, agreement with its 95 % interval, mean bias, and what a grade weighs there now."""
    return [
        _line(task, against, pairs, trust(known, judge, task).weight)
        for (who, task, against), pairs in sorted(known.items())
        if who == judge and pairs.n > 0.5
    ]


def overall(known: Mapping[PairKey, Pairs], judge: str, against: str) -> dict[str, object] | None:
    """The same over all tasks; None where there is no pair."""
    total = _sum(pairs for (who, _, whom), pairs in known.items() if who == judge and whom == against)
    return _line("", against, total, None) if total.n > 0.5 else None


def _sum(parts: Iterable[Pairs]) -> Pairs:
    total = Pairs()
    for one in parts:
        total = total + one
    return total


def _line(task: str, against: str, pairs: Pairs, weight: float | None) -> dict[str, object]:
    low, high = wilson(pairs.agreed, pairs.n)
    return {
        "task": task,
        "against": against,
        "n": round(pairs.n),
        "agreement": pairs.agreed / pairs.n,
        "low": low,
        "high": high,
        "bias": (pairs.score - pairs.truth) / pairs.n,
        "weight": weight,
    }
