"""The rule of the default policy, purely: serve the least expected loss, or try the model that may still be better."""

from __future__ import annotations

import random
from collections.abc import Container
from math import sqrt

from arbiter_app.policy.eligible import Eligible, Pool
from arbiter_app.policy.plan import Plan, View
from arbiter_app.policy.types import Ask, Choice, PolicySettings

RISEN = 1.3
"""Times its list price from which a model counts as dearer than it was: the smallest rise that the price alarm has to notice."""
RECHECKS = 20.0
"""Calls after which the share of rechecks has halved: a price that stays is looked at ever less."""
FALLING = 0.5
"""Chance of looking again while the last looks were cheaper: the alarm needs some more of them."""
BAR_CALLS = 3.0
"""Calls for each grade that is wanted of the baseline, after which the bar is given up: where nothing grades, it never comes."""


def decide(
    view: View, ask: Ask, seed: int, pool: Pool, settings: PolicySettings, falling: Container[tuple[str, str]] = ()
) -> Choice:
    """The choice for one request. `falling`: the (bucket, model) whose last calls were cheaper than before."""
    plan, base = view.plan(ask.eligible, ask.tokens_in, pool, settings), pool.base
    may, loss, told = plan.may, plan.loss, plan.told
    steady = may.without(_repriced(view, settings)) if view.here.rose else may
    best = plan.best if steady is may else plan.among(steady)
    own = pool.index.get(ask.conversation_model or "", -1)
    if own in steady.places and loss[own] <= loss[best] + settings.sticky_margin:
        return told.exploit(own, seed, 1.0, "this conversation keeps its model; ")
    if base in steady.places:
        bar = _bar(plan, best, base, settings)
        if bar is not None:
            return told.bar(base, ask.bucket, seed) if bar else told.exploit(base, seed, 1.0)
    trial = best_trial(plan, best, steady, settings)
    if trial is None and not view.here.rose:
        return told.exploit(best, seed, 1.0)
    rng = random.Random(seed)
    chance = 1.0
    if view.here.rose:
        again = plan.best
        if loss[again] < loss[best]:
            if rng.random() < settings.repriced_share:
                return told.again(again, seed, settings.repriced_share)
            chance = 1 - settings.repriced_share
        dear = _left_for_its_price(plan, best)
        if dear is not None:
            is_falling = (ask.bucket, pool.models[dear]) in falling
            share = FALLING if is_falling else settings.recheck_share / (1 + float(view.here.tries[dear]) / RECHECKS)
            if rng.random() < share:
                return told.recheck(dear, seed, chance * share)
            chance *= 1 - share
    if trial is None:
        return told.exploit(best, seed, chance)
    if rng.random() < settings.explore_chance:
        return told.explore(trial, ask.bucket, seed, chance * settings.explore_chance)
    return told.exploit(best, seed, chance * (1 - settings.explore_chance))


def best_trial(plan: Plan, best: int, steady: Eligible, settings: PolicySettings) -> int | None:
    """The model that may still turn out better than the best known one; None when there is none, or no budget for it."""
    if not _trials_left(plan.view, settings):
        return None
    model = plan.trial(best, steady, _budget_usd(plan.view, settings))
    return None if model is None or _too_dear(plan, model, settings) else model


def _repriced(view: View, settings: PolicySettings) -> set[int]:
    """Models whose price rose, and which have not been called often enough since."""
    return {at for at in view.here.rose if view.here.tries[at] < settings.repriced_calls}


def _left_for_its_price(plan: Plan, best: int) -> int | None:
    """A model whose price rose once, and which would serve if it were back at its list price; None when there is none."""
    least, found, outlook = plan.loss[best], None, plan.outlook
    for model in sorted(plan.view.here.rose.intersection(plan.may.places) - {best}):
        if outlook.usd[model] > RISEN * outlook.listed_usd[model]:
            listed = outlook.listed_usd[model] / plan.view.money.unit
            before = plan.loss[model] + (listed - outlook.price[model]) * plan.times
            if before < least:
                least, found = before, model
    return found


def _bar(plan: Plan, best: int, base: int, settings: PolicySettings) -> bool | None:
    """Whether the baseline is to be called for the sake of the bar, because it has too few grades here: True as a trial,
    False where it would serve anyway. Given up after `BAR_CALLS` times as many calls, where nothing grades."""
    view, here = plan.view, plan.view.here
    wanted = settings.baseline_first + settings.baseline_growth * sqrt(max(here.all_calls, 0.0))
    graded = here.base_graded
    if graded >= wanted or here.base_calls >= BAR_CALLS * wanted:
        return None
    if graded < settings.baseline_first:
        return True
    if best == base:
        return False
    in_budget = _trials_left(view, settings) and plan.outlook.usd[base] <= _budget_usd(view, settings)
    return True if in_budget else None


def _trials_left(view: View, settings: PolicySettings) -> bool:
    """Whether the share of requests that may be trials leaves room for one more."""
    return view.spent.explore_n + 1 <= settings.explore_share * (view.spent.calls + settings.explore_start)


def _budget_usd(view: View, settings: PolicySettings) -> float:
    """What the next trial may cost."""
    calls = view.spent.calls + settings.explore_start
    return settings.explore_usd_share * calls * view.money.unit - view.spent.explore_usd


def _too_dear(plan: Plan, model: int, settings: PolicySettings) -> bool:
    """Whether this trial would take the expected loss against always using the reference over its limit.

    What better choices gained so far counts as credit (Wu et al., Conservative bandits, 2016).
    """
    extra, lost = plan.expected_losses(model)
    allowed = settings.explore_loss_share * (plan.view.here.all_calls + settings.explore_loss_start)
    return extra > 0 and lost + extra > allowed
