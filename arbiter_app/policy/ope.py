"""What other choices would have cost and scored on the same traffic, from the decisions that were made.

Every decision counts for the model that was asked first, with the inverse of the probability with which it was asked
(self-normalised; no weight over 1 / MIN_PROPENSITY), in the bucket it learned in. What is averaged is the grade, and the charge beyond
the list price of the prompt: the prices and sizes of the prompts that a model did not see are the model's mean there, the
rest is corrected by the weighted residuals. Escalations belong to the model that was asked first.
(Doubly robust estimation: Dudik, Langford and Li, Doubly robust policy evaluation and learning, 2011; self-normalised
weights: Swaminathan and Joachims, The self-normalized estimator for counterfactual learning, 2015.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from arbiter_app.policy.savings import t95

MIN_PROPENSITY = 0.2
"""Least propensity that is divided by: no decision weighs more than five. It bounds the variance at the price of a bias: prompts
whose chance p was smaller count p / 0.2 of what they should, so a model that is asked rarely is judged mostly by the prompts that it
was asked for often. Random choices of the policies are made with chances from 0.1 (`explore_chance`) to 0.9."""
MIN_SUPPORT = 2.0
"""Plain decisions that a model must be worth in a bucket to count there: with fewer there is no variance."""
MIN_VALUES = 30.0
"""Values under which an arm is taken to vary at least as all arms do together: fewer may be equal by luck."""

Target = Callable[[str, tuple[str, ...]], Mapping[str, float]]
"""(bucket, eligible models) -> the probability of each model; they add up to 1, or to less where nobody can serve."""


@dataclass(frozen=True, slots=True)
class WeightedSums:
    """Sums over weighted values x: count, w, w^2, w x, w^2 x, w^2 x^2. They add up."""

    n: float = 0.0
    w: float = 0.0
    ww: float = 0.0
    wx: float = 0.0
    wwx: float = 0.0
    wwxx: float = 0.0

    def __add__(self, other: WeightedSums) -> WeightedSums:
        return WeightedSums(
            self.n + other.n,
            self.w + other.w,
            self.ww + other.ww,
            self.wx + other.wx,
            self.wwx + other.wwx,
            self.wwxx + other.wwxx,
        )

    @property
    def effective(self) -> float:
        """How many unweighted values are as informative."""
        return self.w * self.w / self.ww if self.ww > 0 else 0.0

    @property
    def mean(self) -> float:
        """The weighted mean; 0 without any."""
        return self.wx / self.w if self.w > 0 else 0.0

    @property
    def spread(self) -> float:
        """Variance of a single value, weighted like the mean's error; 0 below two."""
        if self.effective <= 1.0 + 1e-9:
            return 0.0
        around = self.wwxx - 2 * self.mean * self.wwx + self.mean**2 * self.ww
        return max(0.0, around / self.ww) * self.effective / (self.effective - 1)


@dataclass(frozen=True, slots=True)
class ArmSums:
    """What is known of one model in one bucket: charges beyond the prompt (USD), and grades."""

    usd: WeightedSums = WeightedSums()
    grade: WeightedSums = WeightedSums()


@dataclass(frozen=True, slots=True)
class LoggedGroup:
    """Decisions of one bucket that the same models could not serve: how many, their prompts' tokens, and how many of the
    routed ones (not held out) asked each model."""

    bucket: str
    rejected: frozenset[str]
    calls: float
    tokens: float
    routed: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class LoggedData:
    """The decisions of a period, summed; the largest groups first."""

    groups: Sequence[LoggedGroup] = ()
    arms: Mapping[tuple[str, str], ArmSums] = field(default_factory=dict)

    @property
    def calls(self) -> float:
        """Decisions."""
        return sum(group.calls for group in self.groups)

    def arm(self, bucket: str, model: str) -> ArmSums:
        """What is known of a model in a bucket."""
        return self.arms.get((bucket, model), _NOTHING)

    def supports(self, bucket: str, model: str, least: float = MIN_SUPPORT) -> bool:
        """Whether both charge and grade of a model in a bucket can be told: worth at least so many plain decisions."""
        arm = self.arm(bucket, model)
        return min(arm.usd.effective, arm.grade.effective) >= least - 1e-9

    def shares(self) -> dict[str, float]:
        """How many routed decisions asked each model."""
        asked: dict[str, float] = {}
        for group in self.groups:
            for model, n in group.routed.items():
                asked[model] = asked.get(model, 0.0) + n
        return asked


@dataclass(frozen=True, slots=True)
class MeanEstimate:
    """A mean a call with its 95 % interval, and how many plain decisions would tell as much."""

    value: float
    low: float
    high: float
    effective: float


@dataclass(frozen=True, slots=True)
class SupportGap:
    """Calls that a target would send to a model which has hardly been tried there."""

    bucket: str
    model: str
    calls: float
    answers: float
    grades: float


@dataclass(frozen=True, slots=True)
class PolicyEstimate:
    """What a target would have cost (USD a call) and scored; `covered` is the share of the calls that it speaks of, and
    `models` how many of those each model would have got. Both means are None where nothing is covered."""

    calls: float
    covered: float
    cost: MeanEstimate | None
    quality: MeanEstimate | None
    models: Mapping[str, float]
    gaps: Sequence[SupportGap]


def evaluate(
    logged: LoggedData, target: Target, pool: Sequence[str], input_usd: Mapping[str, float], least: float = MIN_SUPPORT
) -> PolicyEstimate:
    """The mean cost and quality of a target on this traffic. `input_usd` is each model's list price of a prompt token.

    A model counts in a bucket where it is worth `least` plain decisions.
    """
    loads: dict[tuple[str, str], list[float]] = {}
    for group in logged.groups:
        eligible = tuple(model for model in pool if model not in group.rejected)
        for model, share in (target(group.bucket, eligible) if eligible else {}).items():
            load = loads.setdefault((group.bucket, model), [0.0, 0.0])
            load[0] += share * group.calls
            load[1] += share * group.tokens
    known = {key: load for key, load in loads.items() if logged.supports(*key, least)}
    gaps = [_gap(logged, key, load[0]) for key, load in loads.items() if key not in known]
    gaps.sort(key=lambda gap: -gap.calls)
    covered = sum(load[0] for load in known.values())
    if covered <= 0:
        return PolicyEstimate(logged.calls, 0.0, None, None, {}, gaps)
    asked: dict[str, float] = {}
    for (_, model), load in known.items():
        asked[model] = asked.get(model, 0.0) + load[0]
    prompts = sum(load[1] * input_usd.get(model, 0.0) for (_, model), load in known.items())
    usd = [(load[0] / covered, logged.arm(*key).usd) for key, load in known.items()]
    grades = [(load[0] / covered, logged.arm(*key).grade) for key, load in known.items()]
    cost, quality = _mean(usd, prompts / covered), _mean(grades, 0.0)
    return PolicyEstimate(logged.calls, covered / logged.calls, cost, quality, asked, gaps)


def _mean(parts: Sequence[tuple[float, WeightedSums]], known: float) -> MeanEstimate:
    """A weighted sum of means; an arm with MIN_VALUES values varies at least as all arms do together (they may be equal by luck)."""
    degrees = sum(max(0.0, sums.effective - 1) for _, sums in parts)
    common = sum(max(0.0, sums.effective - 1) * sums.spread for _, sums in parts) / degrees if degrees else 0.0
    value, variance, weighed, thinned = known, 0.0, 0.0, 0.0
    for share, sums in parts:
        spread = sums.spread if sums.effective >= MIN_VALUES else max(sums.spread, common)
        part = share * share * spread / sums.effective
        value += share * sums.mean
        variance += part
        weighed += part * part / max(1.0, sums.effective - 1)
        thinned += share * share / sums.effective
    width = t95(variance * variance / weighed) * math.sqrt(variance) if weighed > 0 else 0.0
    return MeanEstimate(value, value - width, value + width, 1 / thinned)


def _gap(logged: LoggedData, key: tuple[str, str], calls: float) -> SupportGap:
    arm = logged.arm(*key)
    return SupportGap(*key, calls, arm.usd.n, arm.grade.n)


def always(order: Sequence[str], logged: LoggedData) -> Target:
    """The first model in `order` that can serve and is known in the bucket; the first that can serve where none is."""

    def target(bucket: str, eligible: tuple[str, ...]) -> Mapping[str, float]:
        able = [model for model in order if model in eligible]
        known = next((model for model in able if logged.supports(bucket, model)), None)
        return {known or able[0]: 1.0} if able else {}

    return target


def only(model: str) -> Target:
    """One model wherever it can serve."""
    return lambda bucket, eligible: {model: 1.0} if model in eligible else {}


def random_mixture(shares: Mapping[str, float], logged: LoggedData) -> Target:
    """Models in fixed shares, dealt at random whatever is asked, among those that can serve and are known in the bucket."""

    def target(bucket: str, eligible: tuple[str, ...]) -> Mapping[str, float]:
        able = {model: shares[model] for model in eligible if model in shares and logged.supports(bucket, model)}
        total = sum(able.values())
        return {model: share / total for model, share in able.items()} if total > 0 else {}

    return target


def mixture(one: Target, other: Target, share: float) -> Target:
    """The first target, but the second for this share of the calls."""

    def target(bucket: str, eligible: tuple[str, ...]) -> Mapping[str, float]:
        mixed = {model: (1 - share) * p for model, p in one(bucket, eligible).items()}
        for model, p in other(bucket, eligible).items():
            mixed[model] = mixed.get(model, 0.0) + share * p
        return mixed

    return target


def logged_data(rows: Iterable[tuple[str, str, frozenset[str], float, float, float, ArmSums]]) -> LoggedData:
    """The data from sums by (bucket, model asked, models that could not serve): calls, tokens, routed calls, and the arm."""
    groups: dict[tuple[str, frozenset[str]], tuple[float, float, dict[str, float]]] = {}
    arms: dict[tuple[str, str], ArmSums] = {}
    for bucket, model, rejected, calls, tokens, routed, arm in rows:
        n, size, asked = groups.get((bucket, rejected), (0.0, 0.0, {}))
        asked[model] = asked.get(model, 0.0) + routed
        groups[bucket, rejected] = (n + calls, size + tokens, asked)
        known = arms.get((bucket, model), _NOTHING)
        arms[bucket, model] = ArmSums(known.usd + arm.usd, known.grade + arm.grade)
    found = [LoggedGroup(*key, n, size, asked) for key, (n, size, asked) in groups.items()]
    return LoggedData(sorted(found, key=lambda group: -group.calls), arms)


_NOTHING = ArmSums()
