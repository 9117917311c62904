"""The rule of the default policy, purely: serve the least expected loss, or try the model that may still be better."""

from __future__ import annotations

import random
from collections.abc import Container, Sequence
from math import sqrt

from arbiter_app.policy.candidates import CandidateMask, ModelIndex
from arbiter_app.policy.posterior import Array
from arbiter_app.policy.scores import BucketPosterior, ScoredDecision
from arbiter_app.policy.types import PolicySettings, RoutingAsk, RoutingChoice, Serve, Trials, Wish

RISEN = 1.3
"""Times its list price from which a model counts as dearer than it was: the smallest rise that the price alarm has to notice."""
RECHECKS = 20.0
"""Calls after which the share of rechecks has halved: a price that stays is looked at ever less."""
FALLING = 0.5
"""Chance of looking again while the last looks were cheaper: the alarm needs some more of them."""
BAR_CALLS = 3.0
"""Calls for each grade that is wanted of the baseline, after which the bar is given up: where nothing grades, it never comes."""


def decide(
    view: BucketPosterior,
    ask: RoutingAsk,
    seed: int,
    pool: ModelIndex,
    settings: PolicySettings,
    price_falling: Container[tuple[str, str]] = (),
    lost_cache: Array | None = None,
    latency: Array | None = None,
    asking: BucketPosterior | None = None,
) -> RoutingChoice:
    """The choice for one request. `price_falling`: the (bucket, model) whose last calls were cheaper than before; `lost_cache` [K]:
    what a model would cost more in this conversation, USD, for the cache that is lost with the one before; `latency` [K]: that of
    the models over the baseline's, where the caller wants the quickest; `asking`: what else others are asked beside the answer for. Who
    has a wish, or little money left, is not tried upon."""
    beside = ask.trials is not Trials.SERVED
    decision = view.decide_for(ask.eligible, ask.tokens_in, pool, settings, beside, ask.wish)
    if lost_cache is not None or latency is not None or ask.dollar_weight != 1.0:
        decision = decision.under(lost_cache, latency, ask.dollar_weight)
    if ask.wish is not None or ask.dollar_weight != 1.0:
        return _serve_known(decision, ask, seed, pool, settings)
    if ask.trials is Trials.SERVED and settings.serve is Serve.BELIEVED:
        return _serve_or_try(decision, ask, seed, pool, settings, price_falling)
    wondering = decision
    if asking is not None:
        wondering = asking.decide_for(ask.eligible, ask.tokens_in, pool, settings, beside, ask.wish)
    return _serve_best(decision, wondering, ask, seed, pool, settings, price_falling)


def _serve_known(
    decision: ScoredDecision, ask: RoutingAsk, seed: int, pool: ModelIndex, settings: PolicySettings
) -> RoutingChoice:
    """Where the caller says how it wants to be served, or a budget how dear a dollar is: the best for that, or the conversation's
    model where it is about as good."""
    repriced = decision.view.here.repriced_up
    steady = decision.serving.without(_repriced(decision.view, settings)) if repriced else decision.serving
    best, own = decision.among(steady), _staying(decision, ask, pool, steady)
    if own in steady.places and decision.loss[own] <= decision.loss[best] + settings.sticky_margin:
        return decision.explanation.exploit(own, seed, 1.0, "this conversation keeps its model; ")
    words = "" if ask.wish is None else _wish_words(ask.wish)
    if ask.dollar_weight != 1.0:
        words += f"near the limit of a budget a dollar weighs {ask.dollar_weight:,.3g} times as much; "
    return decision.explanation.exploit(best, seed, 1.0, words)


def _staying(decision: ScoredDecision, ask: RoutingAsk, pool: ModelIndex, steady: CandidateMask) -> int:
    """The place of the model that the conversation has, at the best of its settings; -1 where it has none. So the setting changes
    before the model does, and what the provider has in its cache stays of use."""
    own = pool.index.get(ask.conversation_model or "", -1)
    if own < 0 or len(pool.kin[own]) == 1:
        return own
    return min((at for at in pool.kin[own] if at in steady.places), key=decision.loss.__getitem__, default=-1)


def _wish_words(wish: Wish) -> str:
    tolerance = "" if wish.tolerance is None else f", tolerance {wish.tolerance:g}"
    return f"as the caller wishes ({wish.objective}{tolerance}); "


def _serve_or_try(
    decision: ScoredDecision,
    ask: RoutingAsk,
    seed: int,
    pool: ModelIndex,
    settings: PolicySettings,
    price_falling: Container[tuple[str, str]],
) -> RoutingChoice:
    """Where a trial serves the caller."""
    view, base = decision.view, pool.base
    may, loss, explain = decision.may, decision.loss, decision.explanation
    steady = may.without(_repriced(view, settings)) if view.here.repriced_up else may
    best = decision.best if steady is may else decision.among(steady)
    own = _staying(decision, ask, pool, steady)
    if own in steady.places and loss[own] <= loss[best] + settings.sticky_margin:
        return explain.exploit(own, seed, 1.0, "this conversation keeps its model; ")
    if base in steady.places and _baseline_due(decision, best, base, settings):
        return explain.baseline(base, ask.bucket, seed)
    trial = best_trial(decision, best, steady, settings)
    if trial is None and not view.here.repriced_up:
        return explain.exploit(best, seed, 1.0)
    rng = random.Random(seed)
    chance = 1.0
    if view.here.repriced_up:
        again = decision.best
        if loss[again] < loss[best]:
            if rng.random() < settings.repriced_share:
                return explain.again(again, seed, settings.repriced_share)
            chance = 1 - settings.repriced_share
        dear = _left_for_its_price(decision, best)
        if dear is not None:
            falling = (ask.bucket, pool.models[dear]) in price_falling
            share = FALLING if falling else settings.recheck_share / (1 + float(view.here.tries[dear]) / RECHECKS)
            if rng.random() < share:
                return explain.recheck(dear, seed, chance * share)
            chance *= 1 - share
    if trial is None:
        return explain.exploit(best, seed, chance)
    if rng.random() < settings.explore_chance:
        return explain.explore(trial, ask.bucket, seed, chance * settings.explore_chance)
    return explain.exploit(best, seed, chance * (1 - settings.explore_chance))


def _serve_best(
    decision: ScoredDecision,
    asking: ScoredDecision,
    ask: RoutingAsk,
    seed: int,
    pool: ModelIndex,
    settings: PolicySettings,
    price_falling: Container[tuple[str, str]],
) -> RoutingChoice:
    """Where the caller gets what is believed best: others are asked beside it, if at all."""
    view, base = decision.view, pool.base
    may, loss, why = decision.serving, decision.loss, ""
    steady = may.without(_repriced(view, settings) - {base}) if view.here.repriced_up else may
    served = decision.best if steady is may else decision.among(steady)
    own = _staying(decision, ask, pool, steady)
    if own in steady.places and loss[own] <= loss[served] + settings.sticky_margin:
        served, why = own, "this conversation keeps its model; "
    elif base in may.places and _baseline_due(decision, base, base, settings):
        served = base
    shadows: tuple[str, ...] = ()
    if ask.trials is Trials.SHADOW:
        wanted, chance = decision.worth_asking(served, base), settings.shadow_share
        if asking is not decision:
            wanted = [*wanted, *asking.worth_asking(served, base)]
        if view.here.repriced_up or (wanted and chance < 1):
            rng = random.Random(seed)
            if view.here.repriced_up:
                wanted = [*_look_again(decision, served, rng, ask.bucket, pool, settings, price_falling), *wanted]
            wanted = wanted if rng.random() < chance else []
        if wanted:
            shadows = _affordable(decision, wanted, pool, settings)
    return decision.explanation.exploit(served, seed, 1.0, why, shadows)


def _look_again(
    decision: ScoredDecision,
    served: int,
    rng: random.Random,
    bucket: str,
    pool: ModelIndex,
    settings: PolicySettings,
    price_falling: Container[tuple[str, str]],
) -> list[int]:
    """Models whose price rose, which are looked at again by chance: before they may serve, and after they were left for it,
    soon at first."""
    view, found = decision.view, list[int]()
    if decision.loss[decision.best] < decision.loss[served] and rng.random() < settings.repriced_share:
        found.append(decision.best)
    dear = _left_for_its_price(decision, served)
    if dear is not None:
        falling = (bucket, pool.models[dear]) in price_falling
        tries = max(float(view.here.tries[dear]), 0.0)
        share = FALLING if falling else settings.recheck_share / (1 + tries / RECHECKS)
        if rng.random() < max(share, 1 / (1 + tries) ** 2):
            found.append(dear)
    return found


def _affordable(
    decision: ScoredDecision, wanted: Sequence[int], pool: ModelIndex, settings: PolicySettings
) -> tuple[str, ...]:
    """The first few of them, as far as the budget reaches."""
    left, found = learning_left_usd(decision.view, settings, beside=True), dict[int, None]()
    for at in wanted:
        usd = decision.scores.usd[at] * decision.times
        if usd <= left and len(found) < settings.shadow_models and at not in found:
            found[at] = None
            left -= usd
    return tuple([pool.models[at] for at in found])


def best_trial(decision: ScoredDecision, best: int, steady: CandidateMask, settings: PolicySettings) -> int | None:
    """The model that may still turn out better than the best known one; None when there is none, or no budget for it."""
    if not _trials_left(decision.view, settings):
        return None
    model = decision.trial(best, steady, learning_left_usd(decision.view, settings, beside=False))
    return None if model is None or _too_dear(decision, model, settings) else model


def _repriced(view: BucketPosterior, settings: PolicySettings) -> set[int]:
    """Models whose price rose, and which have not been called often enough since."""
    return {at for at in view.here.repriced_up if view.here.tries[at] < settings.repriced_calls}


def _left_for_its_price(decision: ScoredDecision, best: int) -> int | None:
    """A model whose price rose once, and which would serve if it were back at its list price; None when there is none."""
    least, found, scores = decision.loss[best], None, decision.scores
    for model in sorted(decision.view.here.repriced_up.intersection(decision.may.places) - {best}):
        if scores.usd[model] > RISEN * scores.listed_usd[model]:
            listed = scores.listed_usd[model] / decision.view.money.unit
            before = decision.loss[model] + (listed - scores.price[model]) * decision.times
            if before < least:
                least, found = before, model
    return found


def _baseline_due(decision: ScoredDecision, best: int, base: int, settings: PolicySettings) -> bool:
    """Whether the baseline is to be called for the sake of the bar, because it has too few grades here: once it has the first ones, only
    where another would serve. Given up after `BAR_CALLS` times as many calls, where nothing grades."""
    view, here = decision.view, decision.view.here
    wanted = settings.baseline_first + settings.baseline_growth * sqrt(max(here.requests, 0.0))
    graded = here.base_graded
    if graded >= wanted or here.base_calls >= BAR_CALLS * wanted:
        return False
    if graded < settings.baseline_first:
        return True
    return (
        best != base
        and _trials_left(view, settings)
        and decision.scores.usd[base] <= learning_left_usd(view, settings, beside=False)
    )


def _trials_left(view: BucketPosterior, settings: PolicySettings) -> bool:
    """Whether the share of requests that may be trials leaves room for one more."""
    trials = view.spent.explore_n - view.spent.shadow_n
    return trials + 1 <= settings.explore_share * (view.spent.calls - view.spent.shadow_n + settings.explore_start)


def learning_left_usd(view: BucketPosterior, settings: PolicySettings, *, beside: bool) -> float:
    """What the next trial may cost, USD, which is `beside` an answer or serves: where nothing is left, nothing, so a free model may still be
    tried."""
    granted = settings.shadow_start if beside else settings.explore_start
    requests = view.spent.calls - view.spent.shadow_n + granted
    return max(settings.explore_usd_share * requests * view.money.unit - view.spent.explore_usd, 0.0)


def _too_dear(decision: ScoredDecision, model: int, settings: PolicySettings) -> bool:
    """Whether this trial would take the expected loss against always using the reference over its limit.

    What better choices gained so far counts as credit (Wu et al., Conservative bandits, 2016).
    """
    extra, lost = decision.expected_losses(model)
    allowed = settings.explore_loss_share * (decision.view.here.requests + settings.explore_loss_start)
    return extra > 0 and lost + extra > allowed
