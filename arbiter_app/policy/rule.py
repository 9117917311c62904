"""The rule of the default policy, purely: serve the least expected loss, or try the model whose trial is worth most."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from arbiter_app.policy.belief import Array, Belief, Evidence
from arbiter_app.policy.buckets import Money
from arbiter_app.policy.statistics import ModelStats
from arbiter_app.policy.telling import Telling
from arbiter_app.policy.types import Ask, Choice, PolicySettings
from arbiter_app.policy.worth import Mask, Stakes, Taste, stakes, value_of_trying

RISEN = 1.3
RECHECKS = 20.0
FALLING = 0.5


@dataclass(frozen=True, slots=True)
class View:
    """Everything a decision rests on: belief, expected money, evidence; grades, calls and calls since the price last rose
    [K]; the models whose last calls were cheaper than before; totals."""

    belief: Belief
    money: Money
    seen: Evidence
    graded: Array
    calls: Array
    tries: Array
    falling: frozenset[str]
    spent: ModelStats


def decide(
    view: View, ask: Ask, seed: int, pool: Sequence[str], index: Mapping[str, int], base: int, settings: PolicySettings
) -> Choice:
    """The choice for one request. `pool` names the models in the order of the arrays, `base` is the baseline's place."""
    eligible = [index[model] for model in ask.eligible]
    allowed = np.zeros(len(pool), dtype=np.bool_)
    allowed[eligible] = True
    repriced = _repriced(view, settings)
    steady = allowed & ~repriced if (allowed & ~repriced).any() else allowed
    taste = Taste(settings.quality_tolerance, settings.caution, settings.lead)
    at = stakes(view.belief, view.money.usd / view.money.unit, steady, _reference(view.belief, allowed, base), taste)
    told = Telling(view.belief, at, view.graded, view.money.usd, ask, seed, pool, eligible, settings)
    own = index.get(ask.conversation_model or "", -1)
    if own >= 0 and steady[own] and at.loss[own] <= at.loss[at.best] + settings.sticky_margin:
        return told.exploit(own, 1.0, "this conversation keeps its model; ")
    if steady[base] and _bar_unknown(view, base, settings):
        return told.bar(base)
    rng = random.Random(seed)
    again, chance = int(np.argmin(np.where(allowed, at.loss, np.inf))), 1.0
    if at.loss[again] < at.loss[at.best]:
        if rng.random() < settings.repriced_share:
            return told.again(again, settings.repriced_share)
        chance = 1 - settings.repriced_share
    dear = _left_for_its_price(view, at, allowed)
    if dear is not None:
        share = (
            settings.recheck_share / (1 + view.tries[dear] / RECHECKS) if pool[dear] not in view.falling else FALLING
        )
        if rng.random() < share:
            return told.recheck(dear, chance * share)
        chance *= 1 - share
    trial = best_trial(view, at, steady, taste, settings)
    if trial is None:
        return told.exploit(at.best, chance)
    if rng.random() < settings.explore_chance:
        return told.explore(trial, chance * settings.explore_chance)
    return told.exploit(at.best, chance * (1 - settings.explore_chance))


def best_trial(view: View, at: Stakes, allowed: Mask, taste: Taste, settings: PolicySettings) -> int | None:
    """The model whose trial is worth most; None when no trial pays, or no budget is left for it."""
    calls = float(view.calls.sum())
    if calls % (1 + calls // settings.explore_every) >= 1:
        return None
    worthy = allowed & (at.price < at.loss[at.best])
    worthy[at.reference] = allowed[at.reference]
    worthy[at.best] = False
    models = np.flatnonzero(worthy & _in_budget(view, settings))
    if not len(models):
        return None
    graded = np.minimum(1.0, (view.graded + 1) / (view.calls + 1))
    ahead = settings.horizon_min + settings.horizon_growth * calls
    value = value_of_trying(view.belief, at, models, view.seen.noise, graded, ahead, taste)
    best = int(np.argmax(value))
    if value[best] <= 0 or _too_dear(view, at, int(models[best]), calls, settings):
        return None
    return int(models[best])


def _repriced(view: View, settings: PolicySettings) -> Mask:
    """Models whose price rose, and which have not been called often enough since."""
    return (view.tries < settings.repriced_calls) & (view.calls > view.tries)


def _left_for_its_price(view: View, at: Stakes, allowed: Mask) -> int | None:
    """A model whose price rose once, and which would serve if it were back at its list price; None when there is none."""
    rose = allowed & (view.calls > view.tries) & (view.money.usd > RISEN * view.money.listed)
    if not rose.any():
        return None
    before = np.where(rose, at.loss - at.price + view.money.listed / view.money.unit, np.inf)
    model = int(np.argmin(before))
    return model if model != at.best and before[model] < at.loss[at.best] else None


def _reference(belief: Belief, allowed: Mask, base: int) -> int:
    """The model that sets the bar: the baseline, unless another is better by more than the doubt about it."""
    gap, sd = belief.gap(base)
    ahead = np.where(allowed, -gap - sd, -np.inf)
    best = int(np.argmax(ahead))
    return best if ahead[best] > 0 or not allowed[base] else base


def _bar_unknown(view: View, base: int, settings: PolicySettings) -> bool:
    """Whether the baseline has too few grades here; given up after three times as many calls, where nothing grades."""
    first = settings.baseline_first + settings.baseline_growth * sqrt(max(float(view.calls.sum()), 0.0))
    return bool(view.graded[base] < first and view.calls[base] < 3 * first)


def _in_budget(view: View, settings: PolicySettings) -> Mask:
    """Which models may be tried within the budgets of requests and of dollars."""
    spent = view.spent
    calls = spent.calls + settings.explore_start
    if spent.explore_n + 1 > settings.explore_share * calls:
        return np.zeros(len(view.money.usd), dtype=np.bool_)
    return np.asarray(spent.explore_usd + view.money.usd <= settings.explore_usd_share * calls * view.money.unit)


def _too_dear(view: View, at: Stakes, model: int, calls: float, settings: PolicySettings) -> bool:
    """Whether this trial would take the expected loss against always using the reference over its limit.

    What better choices gained so far counts as credit (Wu et al., Conservative bandits, 2016).
    """
    extra = float(at.loss[model] - at.loss[at.reference])
    if extra <= 0:
        return False
    lost = float(view.graded @ (at.loss - at.loss[at.reference]))
    return lost + extra > settings.explore_loss_share * (calls + settings.explore_loss_start)
