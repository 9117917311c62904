"""The default policy: traffic starts at the baseline, and cheaper models earn it where that is expected to pay.

Every decision is a pure function of (statistics, ask, seed): believe (`belief.py`), weigh (`worth.py`), choose. It serves
the model of least expected loss, or, inside a budget, tries the one whose trial is worth most.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from struct import error as StructError
from typing import Any

import numpy as np

from arbiter_app.policy.belief import (
    Array,
    Belief,
    Evidence,
    GapPrior,
    cheapness,
    evidence,
    gap_prior,
    message,
    posterior,
)
from arbiter_app.policy.drift import Move, Watch, price_move, quality_move
from arbiter_app.policy.holder import StatisticsHolder, delta_of
from arbiter_app.policy.price import unit_price
from arbiter_app.policy.statistics import ModelStats, Rows
from arbiter_app.policy.types import Ask, Candidate, Choice, Learned, ModelFacts, Observation, PolicySettings, Shift
from arbiter_app.policy.worth import Stakes, stakes, value_of_trying

TYPICAL_TOKENS = (1000.0, 300.0)
WATCH_EVERY = 8.0
PRICE_SD_LISTED, PRICE_SD_UNLISTED = 0.1, 0.35


@dataclass(slots=True)
class Bucket:
    """What the statistics of one bucket say, as arrays over the pool, and its message to the other buckets."""

    seen: Evidence
    tries: Array
    cost_n: Array
    cost_usd: Array
    says: Array
    pull: Array


@dataclass(frozen=True, slots=True)
class View:
    """Everything one decision rests on: belief, expected cost in USD [K], grade noise [K], chance of a grade [K]."""

    belief: Belief
    cost_usd: Array
    unit_usd: float
    seen: Evidence
    tries: Array
    spent: ModelStats


class ArbiterPolicy(StatisticsHolder):
    """Least expected loss with frugal trials, over a table of sufficient statistics."""

    name = "arbiter"

    def __init__(self, facts: Mapping[str, ModelFacts], baseline: str, settings: PolicySettings) -> None:
        super().__init__(facts, baseline, settings)
        self._watches: dict[tuple[str, str], Watch] = {}
        self._buckets: dict[str, Bucket] = {}
        self._set_pool({baseline, *facts})

    def choose(self, ask: Ask, now: float, seed: int) -> Choice:
        """The model for one request; replaying the same statistics, ask and seed gives the same."""
        if not self._index.keys() >= set(ask.eligible):
            self._set_pool({*self._pool, *ask.eligible})
        return decide(self._view(ask.bucket), ask, seed, self._index, self._baseline, self._settings)

    def record(self, seen: Observation) -> Learned:
        """Fold one call in. A price alarm makes the model's cost be learned anew, a quality alarm its grades."""
        known = self._table.known(seen.bucket, seen.model)
        facts = self._facts.get(seen.model, ModelFacts())
        delta = delta_of(seen, facts)
        if seen.model == self._baseline and known.graded < self._settings.baseline_first:
            delta.explore_usd = 0.0
        watch = self._watches.setdefault((seen.bucket, seen.model), Watch())
        shifts = [*self._price_shift(watch, seen, facts, known, delta), *self._quality_shift(watch, seen, known, delta)]
        learned = self._fold(seen.bucket, seen.model, delta)
        return replace(learned, shifts=tuple(shifts), state=self._state(seen, watch, bool(shifts)))

    def grade(self, seen: Observation) -> Learned:
        """A grade that came after the call was recorded."""
        learned = super().grade(seen)
        if seen.quality is None:
            return learned
        watch = self._watches.setdefault((seen.bucket, seen.model), Watch())
        delta = ModelStats()
        shifts = self._quality_shift(watch, seen, self._table.known(seen.bucket, seen.model), delta, included=True)
        if not shifts:
            return learned
        more = self._fold(seen.bucket, seen.model, delta)
        return Learned((*learned.deltas, *more.deltas), tuple(shifts), self._state(seen, watch, True))

    def load(self, rows: Rows, state: Mapping[str, bytes]) -> None:
        """Start from stored statistics and tests; a test that cannot be read starts anew."""
        super().load(rows, state)
        self._watches = {key: watch for name, data in state.items() if (key := _key(name)) and (watch := _watch(data))}

    def merge(self, rows: Rows) -> None:
        """Add what other processes learned."""
        super().merge(rows)
        self._buckets.clear()

    def forget(self) -> None:
        """Drop everything learned."""
        super().forget()
        self._watches.clear()
        self._buckets.clear()

    def table(self, bucket: str, models: Sequence[str]) -> list[dict[str, Any]]:
        """What is believed of each model in a bucket, and which one an exploiting request would get now."""
        if not models:
            return []
        choice = self.choose(Ask(bucket, "", tuple(models)), 0.0, 0)
        best = next((one.model for one in choice.candidates if not one.why_not), None)
        return self._rows(bucket, choice.candidates, best)

    def _fold(self, bucket: str, model: str, delta: ModelStats) -> Learned:
        self._buckets.pop(bucket, None)
        if model not in self._index:
            self._set_pool({*self._pool, model})
        return super()._fold(bucket, model, delta)

    def _set_pool(self, models: set[str]) -> None:
        """Fix the order of the models in all arrays, and the prior that follows from their prices."""
        self._pool = tuple(sorted(models))
        self._index = {model: at for at, model in enumerate(self._pool)}
        self._price = np.array([_typical_usd(self._facts.get(model, ModelFacts())) for model in self._pool])
        self._prior = _prior(self._price, self._index[self._baseline], self._settings)
        self._own_cov = self._prior.own_cov()
        self._buckets.clear()

    def _bucket(self, bucket: str) -> Bucket:
        found = self._buckets.get(bucket)
        if found is None:
            found = self._buckets[bucket] = self._read(bucket)
        return found

    def _read(self, bucket: str) -> Bucket:
        task, settings = bucket.partition(":")[0], self._settings
        rows = [_columns(self._table.known(bucket, m), self._facts.get(m), task, settings) for m in self._pool]
        weight, total, square, tries, cost_n, cost_usd = np.array(rows).T
        seen = evidence(np.maximum(weight, 0.0), total, square)
        says, pull = message(seen, self._own_cov)
        return Bucket(seen, tries, np.maximum(cost_n, 0.0), np.maximum(cost_usd, 0.0), says, pull)

    def _view(self, bucket: str) -> View:
        here = self._bucket(bucket)
        others = [self._bucket(name) for name in self._table.buckets() if name != bucket]
        heard = (
            sum((one.says for one in others), np.zeros_like(self._own_cov)),
            sum((one.pull for one in others), np.zeros(len(self._pool))),
        )
        belief = posterior(self._prior, self._own_cov, heard, here.seen)
        cost, unit = _costs(here, others, self._price, self._index[self._baseline], self._settings.price_strength)
        return View(belief, cost, unit, here.seen, here.tries, self._table.total)

    def _price_shift(
        self, watch: Watch, seen: Observation, facts: ModelFacts, known: ModelStats, delta: ModelStats
    ) -> list[Shift]:
        unit = unit_price(facts, seen)
        if unit is None:
            return []
        move = price_move(
            watch,
            unit,
            floor=self._settings.price_shift_floor,
            threshold=self._settings.price_alarm,
            prior_sd=PRICE_SD_LISTED if facts.listed else PRICE_SD_UNLISTED,
        )
        if move is None:
            return []
        delta.add(known.cost_reset())
        direction = "up" if move.new > move.old else "down"
        return [_shift("price", seen, move, direction, f"unit price {move.new / move.old:.2f} times what it was")]

    def _quality_shift(
        self, watch: Watch, seen: Observation, known: ModelStats, delta: ModelStats, included: bool = False
    ) -> list[Shift]:
        """A quality alarm: `delta` is changed so that only the grades since the change count."""
        if seen.quality is None:
            return []
        move = quality_move(watch, seen.quality, seen.quality_weight, threshold=self._settings.quality_alarm)
        if move is None:
            return []
        since = watch.grade
        delta.graded = since.n - known.graded
        delta.quality_sum = since.total - known.quality_sum
        delta.quality_sq = since.square - known.quality_sq
        return [_shift("quality", seen, move, "down", f"its last {since.n:.0f} grades average {move.new:.2f}")]

    def _state(self, seen: Observation, watch: Watch, alarmed: bool) -> Mapping[str, bytes]:
        calls = self._table.known(seen.bucket, seen.model).calls
        return {f"watch/{seen.bucket}/{seen.model}": watch.packed()} if alarmed or calls % WATCH_EVERY == 0 else {}


def decide(
    view: View, ask: Ask, seed: int, index: Mapping[str, int], baseline: str, settings: PolicySettings
) -> Choice:
    """The rule, purely: serve the least expected loss, or try the model whose trial is worth most."""
    allowed = np.zeros(len(index), dtype=np.bool_)
    allowed[[index[model] for model in ask.eligible]] = True
    base = index[baseline]
    reference = _reference(view.belief, allowed, base)
    price = view.cost_usd / view.unit_usd
    at = stakes(view.belief, price, allowed, reference, settings.quality_tolerance, settings.caution)
    told = _Telling(view, at, ask, seed, sorted(index, key=index.__getitem__), settings)
    kept = _kept(at, ask, index, settings)
    if kept is not None:
        return told.exploit(kept, 1.0, "this conversation stays with its model; ")
    if allowed[base] and _bar_unknown(view, base, settings):
        return told.bar(base)
    trial = _trial(view, at, allowed, settings)
    if trial is None:
        return told.exploit(at.best, 1.0)
    if random.Random(seed).random() < settings.explore_chance:
        return told.explore(trial, settings.explore_chance)
    return told.exploit(at.best, 1 - settings.explore_chance)


def _reference(belief: Belief, allowed: np.ndarray, base: int) -> int:
    """The model that sets the bar: the baseline, or one that is better by more than the doubt about it."""
    gap, variance = belief.gap(base)
    ahead = np.where(allowed, -gap - np.sqrt(variance), -np.inf)
    best = int(np.argmax(ahead))
    return best if ahead[best] > 0 or not allowed[base] else base


def _bar_unknown(view: View, base: int, settings: PolicySettings) -> bool:
    """Whether the baseline has too few grades here; given up after three times as many tries (nothing grades here)."""
    first = settings.baseline_first
    return bool(view.seen.weight[base] < first and view.tries[base] < 3 * first)


def _trial(view: View, at: Stakes, allowed: np.ndarray, settings: PolicySettings) -> int | None:
    """The model whose trial is worth most, None when no trial pays or the budget is used up."""
    calls = float(view.tries.sum())
    graded = np.minimum(1.0, (view.seen.weight + 1) / (view.tries + 1))
    ahead = settings.horizon_min + settings.horizon_growth * calls
    value = value_of_trying(
        view.belief, at, view.seen.noise, graded, ahead, settings.quality_tolerance, settings.caution, settings.care
    )
    affordable = (
        allowed & _in_budget(view, settings) & ((at.price < at.loss[at.best]) | (np.arange(len(value)) == at.reference))
    )
    value = np.where(affordable, value, 0.0)
    best = int(np.argmax(value))
    if value[best] <= 0:
        return None
    lost = float(np.minimum(view.seen.weight, view.tries) @ (at.loss - at.loss[at.reference]))
    extra = float(at.loss[best] - at.loss[at.reference])
    if extra > 0 and lost + extra > settings.explore_loss_share * (calls + settings.explore_loss_start):
        return None
    return best


def _in_budget(view: View, settings: PolicySettings) -> np.ndarray:
    """Which models may be tried without breaking the budgets of requests and of dollars."""
    spent = view.spent
    calls = spent.calls + settings.explore_start
    if spent.explore_n + 1 > settings.explore_share * calls:
        return np.zeros(len(view.cost_usd), dtype=np.bool_)
    return np.asarray(spent.explore_usd + view.cost_usd <= settings.explore_usd_share * calls * view.unit_usd)


def _kept(at: Stakes, ask: Ask, index: Mapping[str, int], settings: PolicySettings) -> int | None:
    """The conversation's own model, while it is eligible and no better one gains more than the margin."""
    if ask.conversation_model not in ask.eligible:
        return None
    own = index[ask.conversation_model]
    return own if at.loss[own] <= at.loss[at.best] + settings.sticky_margin else None


class _Telling:
    """Puts a decision into words and numbers."""

    def __init__(
        self, view: View, at: Stakes, ask: Ask, seed: int, pool: Sequence[str], settings: PolicySettings
    ) -> None:
        self._view, self._at, self._ask, self._seed, self._pool, self._settings = view, at, ask, seed, pool, settings
        self._sd = np.sqrt(np.maximum(view.belief.cov.diagonal(), 0.0))
        self._bar = float(view.belief.mean[at.reference]) - settings.quality_tolerance

    def exploit(self, model: int, propensity: float, why: str = "") -> Choice:
        """The choice of least expected loss."""
        mean, price = self._view.belief.mean[model], self._at.price[model]
        words = f"{why}least expected loss: quality {mean:.2f} (at least {self._low(model):.2f}) for a bar of {self._bar:.2f}"
        return self._choice(model, "exploit", f"{words}, {price:.0%} of the baseline's price", propensity)

    def explore(self, model: int, propensity: float) -> Choice:
        """A trial."""
        n, price = self._view.seen.weight[model], self._at.price[model]
        words = f"worth a try: {n:.0f} grades so far, {price:.0%} of the baseline's price"
        return self._choice(model, "explore", words, propensity)

    def bar(self, model: int) -> Choice:
        """The baseline, to learn what it is that others must reach."""
        n = self._view.seen.weight[model]
        words = (
            f"the baseline sets the bar: {n:.0f} of {self._settings.baseline_first:.0f} grades in {self._ask.bucket}"
        )
        return self._choice(model, "explore", words, 1.0)

    def _choice(self, model: int, mode: str, reason: str, propensity: float) -> Choice:
        where = {self._pool.index(name): name for name in self._ask.eligible}
        order = sorted(where, key=lambda at: (at != model, self._at.loss[at], where[at]))
        told = tuple(self._candidate(at, name, model) for at, name in where.items())
        return Choice(self._pool[model], mode, reason, propensity, tuple(where[at] for at in order), told, self._seed)

    def _candidate(self, at: int, name: str, chosen: int) -> Candidate:
        mean, cost = float(self._view.belief.mean[at]), float(self._view.cost_usd[at])
        high = min(1.0, mean + 1.96 * float(self._sd[at]))
        why = "" if at == chosen else self._why_not(at, chosen)
        return Candidate(name, float(self._view.seen.weight[at]), mean, self._low(at), high, cost, why)

    def _why_not(self, at: int, chosen: int) -> str:
        if self._at.loss[at] < self._at.loss[chosen]:
            return "not its turn"
        if self._at.price[at] >= self._at.price[chosen]:
            return "dearer"
        return f"bound {self._low(at):.2f} under {self._bar:.2f}"

    def _low(self, at: int) -> float:
        return max(0.0, float(self._view.belief.mean[at]) - 1.96 * float(self._sd[at]))


def _prior(price: Array, baseline: int, settings: PolicySettings) -> GapPrior:
    return gap_prior(
        cheapness(price, baseline),
        baseline,
        mean=settings.gap_mean,
        slope=settings.gap_slope,
        sd=(settings.gap_common_sd, settings.gap_slope_sd, settings.gap_own_sd),
        shared=settings.gap_shared,
    )


def _columns(
    known: ModelStats, facts: ModelFacts | None, task: str, settings: PolicySettings
) -> tuple[float, float, float, float, float, float]:
    """Weight, sum and sum of squares of the grades (with votes and the benchmark prior), tries, priced calls, USD."""
    thumbs, up = settings.vote_weight * known.votes, settings.vote_weight * known.votes_sum
    weight, total, square = known.graded + thumbs, known.quality_sum + up, known.quality_sq + up
    prior = facts.prior.get(task) if facts is not None else None
    if prior is not None:
        weight += settings.prior_strength
        total += settings.prior_strength * prior
        square += settings.prior_strength * prior * prior
    return weight, total, square, known.tries, known.cost_n, known.cost_usd


def _typical_usd(facts: ModelFacts) -> float:
    """Price of a typical request, for comparing models before they were called."""
    return facts.coarse_request_usd if facts.coarse_request_usd is not None else facts.list_usd(*TYPICAL_TOKENS)


def _costs(here: Bucket, others: Sequence[Bucket], price: Array, base: int, strength: float) -> tuple[Array, float]:
    """Expected USD of a request [K] in this bucket, and the baseline's mean over all buckets (the unit of money).

    List prices, scaled to what the baseline costs here, count as `strength` calls, less where the calls contradict them.
    """
    n = here.cost_n[base] + sum(float(one.cost_n[base]) for one in others)
    usd = here.cost_usd[base] + sum(float(one.cost_usd[base]) for one in others)
    unit = (strength * price[base] + usd) / (strength + n)
    baseline = (strength * unit + here.cost_usd[base]) / (strength + here.cost_n[base])
    listed = price * (baseline / price[base]) if price[base] > 0 else price
    mean = here.cost_usd / np.maximum(here.cost_n, 1e-9)
    both = (listed > 0) & (mean > 0)
    off = np.log(np.where(both, mean, 1.0) / np.where(both, listed, 1.0))
    trust = strength * np.exp(-0.5 * here.cost_n * off**2)
    trust = np.where((here.cost_n > 0) & ~both, 0.0, trust)
    cost = (trust * listed + here.cost_usd) / np.maximum(trust + here.cost_n, 1e-12)
    return cost, float(unit) if unit > 0 else float(cost.max()) or 1.0


def _shift(kind: str, seen: Observation, move: Move, direction: str, words: str) -> Shift:
    reason = f"{words} (evidence {move.evidence:.1f})"
    return Shift(kind, seen.bucket, seen.model, move.old, move.new, direction, reason)


def _key(name: str) -> tuple[str, str] | None:
    kind, _, rest = name.partition("/")
    bucket, _, model = rest.partition("/")
    return (bucket, model) if kind == "watch" and model else None


def _watch(data: bytes) -> Watch | None:
    try:
        return Watch.unpacked(data)
    except StructError:
        return None
