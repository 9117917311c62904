"""The rule of the default policy, purely: serve the least expected loss, or try the model that may still be better."""

from __future__ import annotations

import random
from collections.abc import Sequence
from math import inf, sqrt

import numpy as np

from arbiter_app.policy.belief import Array, Belief
from arbiter_app.policy.buckets import Bucket, Money
from arbiter_app.policy.statistics import ModelStats
from arbiter_app.policy.telling import Telling
from arbiter_app.policy.types import Ask, Choice, PolicySettings
from arbiter_app.policy.values import value
from arbiter_app.policy.worth import Stakes, Taste, hopeful, stakes

RISEN = 1.3
RECHECKS = 20.0
FALLING = 0.5
REMEMBERED = 256


@value
class View:
    """Everything a decision rests on: what is known of the bucket, believed of it, and expected to be charged; the models
    whose last calls were cheaper than before; totals."""

    here: Bucket
    belief: Belief
    money: Money
    falling: frozenset[str]
    spent: ModelStats


@value
class Eligible:
    """Places of the models that may serve; `barred` [K] is infinite for all others and else 0, to be added to losses."""

    places: tuple[int, ...]
    barred: Array

    def without(self, places: set[int]) -> Eligible:
        """The same without some, unless none would be left."""
        left = tuple([at for at in self.places if at not in places])
        return eligible(left, len(self.barred)) if left and len(left) < len(self.places) else self


def eligible(places: tuple[int, ...], size: int) -> Eligible:
    """From places in a pool of some size."""
    barred = np.full(size, inf)
    barred[list(places)] = 0.0
    return Eligible(places, barred)


class Pool:
    """The models in the order of the arrays, and the baseline's place among them."""

    def __init__(self, models: Sequence[str], baseline: str) -> None:
        self.models = tuple(sorted(models))
        self.index = {model: at for at, model in enumerate(self.models)}
        self.base = self.index[baseline]
        self._eligible: dict[tuple[str, ...], Eligible] = {}

    def eligible(self, models: tuple[str, ...]) -> Eligible:
        """The places of these models."""
        found = self._eligible.get(models)
        if found is None:
            if len(self._eligible) >= REMEMBERED:
                self._eligible.clear()
            places = tuple(self.index[model] for model in models)
            found = self._eligible[models] = eligible(places, len(self.models))
        return found


def decide(view: View, ask: Ask, seed: int, pool: Pool, settings: PolicySettings) -> Choice:
    """The choice for one request."""
    base, may = pool.base, pool.eligible(ask.eligible)
    steady = may.without(_repriced(view, settings)) if view.here.rose else may
    taste = Taste(settings.quality_tolerance, settings.caution, settings.caution_trial, settings.lead)
    at = _stakes(view, may, base, taste)
    best = int((at.loss + steady.barred).argmin())
    told = Telling(view.belief, at, view.here.graded, view.money.usd, ask, seed, pool.models, may.places, settings)
    own = pool.index.get(ask.conversation_model or "", -1)
    if own in steady.places and at.loss[own] <= at.loss[best] + settings.sticky_margin:
        return told.exploit(own, 1.0, "this conversation keeps its model; ")
    if base in steady.places:
        bar = _bar(view, best, base, settings)
        if bar is not None:
            return told.bar(base) if bar else told.exploit(base, 1.0)
    trial = best_trial(view, at, best, steady, settings, taste)
    if trial is None and not view.here.rose:
        return told.exploit(best, 1.0)
    rng = random.Random(seed)
    chance = 1.0
    if view.here.rose:
        again = int((at.loss + may.barred).argmin())
        if at.loss[again] < at.loss[best]:
            if rng.random() < settings.repriced_share:
                return told.again(again, settings.repriced_share)
            chance = 1 - settings.repriced_share
        dear = _left_for_its_price(view, at, best, may)
        if dear is not None:
            falling = pool.models[dear] in view.falling
            share = FALLING if falling else settings.recheck_share / (1 + float(view.here.tries[dear]) / RECHECKS)
            if rng.random() < share:
                return told.recheck(dear, chance * share)
            chance *= 1 - share
    if trial is None:
        return told.exploit(best, chance)
    if rng.random() < settings.explore_chance:
        return told.explore(trial, chance * settings.explore_chance)
    return told.exploit(best, chance * (1 - settings.explore_chance))


def best_trial(
    view: View, at: Stakes, best: int, steady: Eligible, settings: PolicySettings, taste: Taste
) -> int | None:
    """The model that may still turn out better than the best known one; None when there is none, or no budget for it."""
    if not _trials_left(view, settings):
        return None
    here = view.here
    graded = np.minimum((here.graded + 1) / (here.calls + 1), 1.0)
    ahead = settings.horizon_min + settings.horizon_growth * here.all_calls
    loss = hopeful(at, here.seen().noise, graded, ahead, taste) + steady.barred
    free = loss[best], loss[at.reference]
    loss[view.money.usd > _budget_usd(view, settings)] = inf
    loss[best], loss[at.reference] = free
    model = int(loss.argmin())
    return None if model in (best, at.reference) or _too_dear(view, at, model, settings) else model


def _stakes(view: View, may: Eligible, base: int, taste: Taste) -> Stakes:
    """Losses against the model that sets the bar: the baseline, unless another is better by more than the doubt about it."""
    price = view.money.usd / view.money.unit
    gap = view.belief.gap(base)
    nearest = gap.mean + gap.sd + may.barred
    best = int(nearest.argmin())
    if nearest[best] < 0 or base not in may.places:
        base = best
        gap = view.belief.gap(base)
    return stakes(gap, price, base, taste)


def _repriced(view: View, settings: PolicySettings) -> set[int]:
    """Models whose price rose, and which have not been called often enough since."""
    return {at for at in view.here.rose if view.here.tries[at] < settings.repriced_calls}


def _left_for_its_price(view: View, at: Stakes, best: int, may: Eligible) -> int | None:
    """A model whose price rose once, and which would serve if it were back at its list price; None when there is none."""
    money, least, found = view.money, float(at.loss[best]), None
    for model in sorted(view.here.rose.intersection(may.places) - {best}):
        if money.usd[model] > RISEN * money.listed[model]:
            before = float(at.loss[model] - at.price[model] + money.listed[model] / money.unit)
            if before < least:
                least, found = before, model
    return found


def _bar(view: View, best: int, base: int, settings: PolicySettings) -> bool | None:
    """Whether the baseline is to be called for the sake of the bar, because it has too few grades here: True as a trial,
    False where it would serve anyway. Given up after three times as many calls, where nothing grades."""
    here = view.here
    wanted = settings.baseline_first + settings.baseline_growth * sqrt(max(here.all_calls, 0.0))
    graded = float(here.graded[base])
    if graded >= wanted or here.calls[base] >= 3 * wanted:
        return None
    if graded < settings.baseline_first:
        return True
    if best == base:
        return False
    in_budget = _trials_left(view, settings) and view.money.usd[base] <= _budget_usd(view, settings)
    return True if in_budget else None


def _trials_left(view: View, settings: PolicySettings) -> bool:
    """Whether the share of requests that may be trials leaves room for one more."""
    return view.spent.explore_n + 1 <= settings.explore_share * (view.spent.calls + settings.explore_start)


def _budget_usd(view: View, settings: PolicySettings) -> float:
    """What the next trial may cost."""
    calls = view.spent.calls + settings.explore_start
    return settings.explore_usd_share * calls * view.money.unit - view.spent.explore_usd


def _too_dear(view: View, at: Stakes, model: int, settings: PolicySettings) -> bool:
    """Whether this trial would take the expected loss against always using the reference over its limit.

    What better choices gained so far counts as credit (Wu et al., Conservative bandits, 2016).
    """
    extra = float(at.loss[model] - at.loss[at.reference])
    if extra <= 0:
        return False
    lost = float(view.here.graded.dot(at.loss - at.loss[at.reference]))
    return lost + extra > settings.explore_loss_share * (view.here.all_calls + settings.explore_loss_start)
