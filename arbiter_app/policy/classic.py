"""The classic policy: try every model a few times, then the cheapest within tolerance of the best, epsilon for ever.

Described in `brain.md`. Every choice is a pure function of (statistics, ask, seed).
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from arbiter_app.policy.base import BasePolicy, delta_of
from arbiter_app.policy.price import price_moved, unit_price
from arbiter_app.policy.statistics import ModelStats, wilson
from arbiter_app.policy.types import (
    UNLISTED,
    Candidate,
    Candidates,
    Learned,
    ModelFacts,
    Objective,
    Observation,
    PolicySettings,
    RoutingAsk,
    RoutingChoice,
    Shift,
)
from arbiter_app.policy.wishes import wished


class ClassicPolicy(BasePolicy):
    """Explore, exploit, epsilon over a table of sufficient statistics."""

    name = "classic"

    def choose(self, ask: RoutingAsk, now: float, seed: int) -> RoutingChoice:
        """The model for one request; replaying the same statistics, ask and seed gives the same.

        Where a dollar weighs more, as many times the tolerance is given for it.
        """
        known = self._table.bucket(ask.bucket)
        if ask.wish is None and ask.dollar_weight == 1.0:
            return choose(known, ask, seed, self._facts, self._settings)
        settings = self._settings if ask.wish is None else wished(self._settings, ask.wish)
        if ask.dollar_weight != 1.0:
            settings = replace(settings, quality_tolerance=min(1.0, settings.quality_tolerance * ask.dollar_weight))
        return serve_known(known, ask, seed, self._facts, settings)

    def record(self, observation: Observation) -> Learned:
        """Fold one call in; a price shift makes the model's cost be learned anew."""
        known = self._table.known(observation.bucket, observation.model)
        facts = self._facts.get(observation.model, UNLISTED)
        shift = _shift(known, observation, facts, self._settings)
        delta = delta_of(observation, facts)
        if shift is not None:
            delta.add(known.cost_reset())
        folded = self._fold(observation.bucket, observation.model, delta)
        return Learned((folded,), (shift,) if shift is not None else ())

    def table(self, bucket: str, models: Sequence[str]) -> list[dict[str, Any]]:
        """What is known of each model in a bucket, and which one an exploiting request would get now."""
        ask = RoutingAsk(bucket, "", tuple(models))
        known = self._table.bucket(bucket)
        best = exploit(known, ask, self._facts, self._settings)[0] if models else None
        rated = [candidate(known.get(m, _NOTHING), m, bucket, self._facts, self._settings, "") for m in models]
        return self._rows(bucket, rated, best)


def choose(
    known: Mapping[str, ModelStats],
    ask: RoutingAsk,
    seed: int,
    facts: Mapping[str, ModelFacts],
    settings: PolicySettings,
) -> RoutingChoice:
    """The classic rule, purely."""
    rated = _candidates(known, ask, facts, settings)
    order = _ranked(rated, settings)
    thin = [model for model in ask.eligible if _tries(known, model) < _needed(ask, model, facts, settings)]
    if thin:
        fewest = min(_tries(known, model) for model in thin)
        model = next(model for model in thin if _tries(known, model) == fewest)
        reason = f"{model} has {fewest:.0f} of {_needed(ask, model, facts, settings)} tries in {ask.bucket}"
        return _choice(rated, order, model, "explore", reason, 1.0, seed, settings)
    rng = random.Random(seed)
    share = settings.epsilon / len(ask.eligible)
    if rng.random() < settings.epsilon:
        model = ask.eligible[rng.randrange(len(ask.eligible))]
        propensity = share + (1 - settings.epsilon if model == order[0] else 0.0)
        reason = f"one request in {1 / settings.epsilon:.0f} goes to a random model, to notice change"
        return _choice(rated, order, model, "explore", reason, propensity, seed, settings)
    bar = f"{_best(rated) - settings.quality_tolerance:.2f}"
    reason = f"cheapest whose quality is within {settings.quality_tolerance} of the best (bar {bar}) in {ask.bucket}"
    return _choice(rated, order, order[0], "exploit", reason, 1 - settings.epsilon + share, seed, settings)


def serve_known(
    known: Mapping[str, ModelStats],
    ask: RoutingAsk,
    seed: int,
    facts: Mapping[str, ModelFacts],
    settings: PolicySettings,
) -> RoutingChoice:
    """The best known model by a caller's wish, or for somebody with little money left, which nothing is tried upon: of those within
    the tolerance the cheapest, or the quickest."""
    rated = _candidates(known, ask, facts, settings)
    order, why = _ranked(rated, settings), "near the limit of a budget"
    if ask.wish is not None:
        why = f"as the caller wishes ({ask.wish.objective})"
    if ask.wish is not None and ask.wish.objective is Objective.LATENCY:
        bar = _best(rated) - settings.quality_tolerance - 1e-12
        good = {one.model for one in rated if one.quality is not None and one.quality >= bar}
        latency = {model: known.get(model, _NOTHING).mean_latency_ms for model in order}
        order = tuple(sorted(order, key=lambda model: (model not in good, latency[model] is None, latency[model] or 0)))
    reason = f"{why}: within {settings.quality_tolerance:g} of the best in {ask.bucket}"
    return _choice(rated, order, order[0], "exploit", reason, 1.0, seed, settings)


def exploit(
    known: Mapping[str, ModelStats], ask: RoutingAsk, facts: Mapping[str, ModelFacts], settings: PolicySettings
) -> tuple[str, ...]:
    """All eligible models, best first: those within tolerance by cost, then the rest by quality."""
    return _ranked(_candidates(known, ask, facts, settings), settings)


def _ranked(rated: Sequence[Candidate], settings: PolicySettings) -> tuple[str, ...]:
    bar = _best(rated) - settings.quality_tolerance - 1e-12
    good = [one for one in rated if one.quality is not None and one.quality >= bar]
    rest = [one for one in rated if one.quality is None or one.quality < bar]
    good.sort(key=lambda one: (one.cost_usd if one.cost_usd is not None else float("inf"), one.model))
    rest.sort(key=lambda one: (-(one.quality if one.quality is not None else -1.0), one.model))
    return tuple(one.model for one in (*good, *rest))


def _best(rated: Sequence[Candidate]) -> float:
    return max((one.quality for one in rated if one.quality is not None), default=0.0)


def candidate(
    stats: ModelStats, model: str, bucket: str, facts: Mapping[str, ModelFacts], settings: PolicySettings, why_not: str
) -> Candidate:
    """One model as the rule sees it."""
    prior = _prior(facts, model, bucket)
    quality = stats.quality(prior, settings.prior_strength, settings.vote_weight)
    weight = stats.graded + settings.vote_weight * stats.votes
    low, high = (
        wilson(stats.quality_sum + settings.vote_weight * stats.votes_sum, weight) if weight > 0 else (None, None)
    )
    return Candidate(model, stats.graded, quality, low, high, stats.mean_cost_usd, why_not)


def _shift(known: ModelStats, observation: Observation, facts: ModelFacts, settings: PolicySettings) -> Shift | None:
    unit = unit_price(facts, observation)
    why = price_moved(known, unit, settings) if unit is not None else None
    if why is None or unit is None:
        return None
    old = known.mean_unit or 0.0
    return Shift("price", observation.bucket, observation.model, old, unit, "up" if unit > old else "down", why)


def _candidates(
    known: Mapping[str, ModelStats], ask: RoutingAsk, facts: Mapping[str, ModelFacts], settings: PolicySettings
) -> list[Candidate]:
    return [candidate(known.get(m, _NOTHING), m, ask.bucket, facts, settings, "") for m in ask.eligible]


def _choice(
    rated: Sequence[Candidate],
    order: tuple[str, ...],
    model: str,
    mode: str,
    reason: str,
    propensity: float,
    seed: int,
    settings: PolicySettings,
) -> RoutingChoice:
    bar = _best(rated) - settings.quality_tolerance
    told = Candidates([_told(one, model, mode, bar) for one in rated])
    ranking = (model, *(other for other in order if other != model))
    return RoutingChoice(model, mode, reason, propensity, ranking, told, seed)


def _told(one: Candidate, chosen: str, mode: str, bar: float) -> Candidate:
    if one.model == chosen:
        return one
    if mode == "explore":
        why = "not its turn to be tried"
    elif one.quality is None:
        why = "never graded"
    elif one.quality < bar - 1e-12:
        why = f"quality {one.quality:.2f} under the bar of {bar:.2f}"
    else:
        why = "dearer"
    return Candidate(one.model, one.n, one.quality, one.low, one.high, one.cost_usd, why)


def _tries(known: Mapping[str, ModelStats], model: str) -> float:
    return known[model].tries if model in known else 0.0


def _needed(ask: RoutingAsk, model: str, facts: Mapping[str, ModelFacts], settings: PolicySettings) -> int:
    return min(1, settings.min_samples) if _prior(facts, model, ask.bucket) is not None else settings.min_samples


def _prior(facts: Mapping[str, ModelFacts], model: str, bucket: str) -> float | None:
    known = facts.get(model)
    return known.prior.get(bucket.partition(":")[0]) if known is not None else None


_NOTHING = ModelStats()
