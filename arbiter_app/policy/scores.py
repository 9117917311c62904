"""What decisions in a bucket rest on, and what follows from it for the models that may serve: worked out once, for many.

A view rests on sums that are part of the policy's state and change only when the means under it may have moved, so that most
decisions cost a few comparisons. Calls, trials and dollars are counted live: budgets are exact.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from arbiter_app.policy.buckets import Bucket, BucketSums, ExpectedCost
from arbiter_app.policy.candidates import CandidateMask, ModelIndex
from arbiter_app.policy.clearing_cache import ClearingCache
from arbiter_app.policy.expected_loss import ExpectedLoss, LossParams, expected_loss, shortfall_weight, trial_index
from arbiter_app.policy.explanation import GRADE_DIGITS, Explanation
from arbiter_app.policy.licence import licensed, wealth
from arbiter_app.policy.posterior import Array, QualityPosterior
from arbiter_app.policy.prompt_size import factor
from arbiter_app.policy.statistics import ModelStats
from arbiter_app.policy.types import PolicySettings, Serve, Wish
from arbiter_app.policy.worth_asking import (
    LEAST_PRICE,
    pairs_to_a_licence,
    worth_asking,
    worth_of_a_licence,
    worth_of_the_bar,
)

CACHE_SIZE = 256
"""Sets of models and sizes of prompts for which a view keeps what follows (a memory bound: about 2 KB each)."""
TRIAL_SIZE_SHARE = 0.25
"""How far the size of a prompt counts for trying a model on it: one that is then chosen will serve prompts of every size."""
Way = tuple[tuple[str, ...], bool, Wish | None]
"""What decisions differ in besides the prompt: the models, whether trials are beside answers, the caller's wish."""


class BucketPosterior:
    """What is believed of a bucket and expected to be charged in it, both from these sums; with its live counts `here` and the
    totals `spent`."""

    def __init__(
        self,
        here: Bucket,
        sums: BucketSums,
        belief: QualityPosterior,
        money: ExpectedCost,
        spent: ModelStats,
        share: float = 1.0,
        pairs: Array | None = None,
    ) -> None:
        """`share` is how much of the bucket's requests it is about; `pairs` [6, K] are those on which licences rest, the bucket's if None."""
        self.share, self.pairs = share, sums.pairs if pairs is None else pairs
        self.here, self.sums, self.belief, self.money, self.spent = here, sums, belief, money, spent
        self._scores: ClearingCache[Way, CandidateScores] = ClearingCache(CACHE_SIZE)
        self._decisions: ClearingCache[tuple[Way, int], ScoredDecision] = ClearingCache(CACHE_SIZE)

    def unlicensed(self, may: CandidateMask, base: int, tolerance: float) -> set[int]:
        """Those that may serve and have no licence to; the baseline needs none."""
        has = licensed(self.pairs, tolerance)
        return {at for at in may.places if at != base and not has[at]}

    def pairs_needed(self, base: int, tolerance: float) -> Array:
        """How many more pairs with the baseline each model [K] is expected to need for a licence."""
        bets = wealth(self.pairs, np.array([tolerance]))[:, 0]
        return pairs_to_a_licence(self.belief, self.sums.evidence.noise, bets, base, tolerance)

    def believing(self, belief: QualityPosterior, share: float = 1.0, pairs: Array | None = None) -> BucketPosterior:
        """The same with another belief, about a share of the requests, and with other pairs for licences [6, K]."""
        pairs = self.pairs if pairs is None else pairs
        return BucketPosterior(self.here, self.sums, belief, self.money, self.spent, share, pairs)

    def decide_for(
        self,
        models: tuple[str, ...],
        length: float,
        pool: ModelIndex,
        settings: PolicySettings,
        beside: bool,
        wish: Wish | None = None,
    ) -> ScoredDecision:
        """What follows for these models and a prompt of this length (0: not known), where trials serve or are `beside` answers, by the
        settings that a wish leads to."""
        way, size = (models, beside, wish), self.sums.size
        key = way, size.step(length) if size.slope > 0 else 0
        found = self._decisions.get(key)
        if found is None:
            scores = self._scores.get(way)
            if scores is None:
                scores = CandidateScores(self, pool.eligible(models), pool, settings, beside)
                self._scores.keep(way, scores)
            found = self._decisions.keep(key, ScoredDecision(scores, factor(key[1]), pool, settings))
        return found


class CandidateScores:
    """What is at stake for the models that may serve, whatever the prompt's size. Lists are [K]: `price` over the baseline's
    mean, `usd` expected, `listed_usd` at list prices, and the weight of what was `graded`; `columns` are those of the models
    that may serve, as `Candidate` begins with them. Where a licence is needed, `serving` are those of them that have one, or all
    where none has. Where trials are `beside` answers, doubt about who is to serve counts otherwise, and so does early shortfall."""

    def __init__(
        self, view: BucketPosterior, may: CandidateMask, pool: ModelIndex, settings: PolicySettings, beside: bool
    ) -> None:
        self.view, self.may, self._settings, self._beside = view, may, settings, beside
        self.caution = settings.caution_shadow if beside else settings.caution
        early = settings.early_shortfall if beside else 0.0
        self.shortfall_weight = shortfall_weight(view.sums.requests, early, settings.early_requests)
        self._params = LossParams(settings.quality_tolerance, self.caution, settings.caution_trial, settings.lead)
        self.at = _expected_loss(view, may, pool.base, self._params)
        self.price: list[float] = self.at.price.tolist()
        self.usd: list[float] = view.money.usd.tolist()
        self.listed_usd: list[float] = view.money.listed.tolist()
        self.graded: list[float] = view.sums.graded.round(GRADE_DIGITS).tolist()
        columns = pool.models, self.graded, *view.belief.interval()
        self.columns = [[column[at] for at in may.places] for column in columns]
        self._trial_index: Array | None = None
        self.unlicensed: set[int] = set()
        if settings.serve is Serve.LICENSED:
            self.unlicensed = view.unlicensed(may, pool.base, settings.quality_tolerance)
        self.serving = may.without(self.unlicensed)

    @cached_property
    def chance_graded(self) -> Array:
        """The chance [K] that a call is graded at all."""
        sums = self.view.sums
        chance: Array = np.minimum((sums.graded + 1) / (sums.calls + 1), 1.0)
        return chance

    @property
    def ahead(self) -> float:
        """The requests for which a trial has to pay."""
        least = self._settings.shadow_horizon if self._beside else self._settings.horizon_min
        whole = least + self._settings.horizon_growth * self.view.sums.requests
        return whole * self.view.share

    def trial_index(self) -> Array:
        """What quality costs to reckon with [K] while a model can be tried and left again."""
        if self._trial_index is None:
            noise = self.view.sums.evidence.noise
            self._trial_index = trial_index(self.at, noise, self.chance_graded, self.ahead, self._params)
        return self._trial_index


class ScoredDecision:
    """What follows for prompts of one size, `times` as dear as those of mean length: the `loss` [K] counts money at that size,
    `best` is the place of the least, and `explanation` has the words. `lost_cache` [K] is in USD, beyond what a model costs else;
    `latency` [K], over the baseline's, takes the place of money where it is given. Money counts `weight` times."""

    def __init__(
        self,
        scores: CandidateScores,
        times: float,
        pool: ModelIndex,
        settings: PolicySettings,
        lost_cache: Array | None = None,
        latency: Array | None = None,
        weight: float = 1.0,
    ) -> None:
        self.view, self.may, self.at, self.times, self.scores = scores.view, scores.may, scores.at, times, scores
        self._pool, self._settings = pool, settings
        self._lost = 0.0 if lost_cache is None else lost_cache / self.view.money.unit
        money = self.at.price * times + self._lost
        self._loss = self.at.expected_excess * scores.shortfall_weight + (money if latency is None else latency)
        if weight != 1.0:
            self._loss = self._loss + (weight - 1.0) * money
        self._tried = 1 + TRIAL_SIZE_SHARE * (times - 1)
        self.loss: list[float] = self._loss.tolist()
        self.serving = scores.serving
        self.best = self.among(self.serving)
        mean, lows, _ = self.view.belief.interval()
        self.explanation = Explanation(
            models=pool.models,
            base=pool.base,
            eligible=self.may.places,
            mean=mean,
            lows=lows,
            bar=mean[self.at.reference] - settings.quality_tolerance,
            loss=self.loss,
            price=scores.price,
            graded=scores.graded,
            usd=scores.usd,
            columns=scores.columns,
            times=times,
            last=scores.unlicensed,
            lost_cache=None if lost_cache is None else lost_cache.tolist(),
        )
        self._trial_index: Array | None = None
        self._best_trial = -1
        self._wanted: dict[int, list[int]] = {}

    def under(self, lost_cache: Array | None, latency: Array | None, weight: float) -> ScoredDecision:
        """The same in a conversation whose cache the others [K] do not have, USD; where time counts in the place of money; or where
        a dollar weighs more."""
        return ScoredDecision(self.scores, self.times, self._pool, self._settings, lost_cache, latency, weight)

    def among(self, these: CandidateMask) -> int:
        """The place of the least expected loss among some."""
        return int((self._loss + these.barred).argmin())

    def trial_losses(self) -> Array:
        """The loss to reckon with [K] while a model can be tried and left again."""
        if self._trial_index is None:
            self._trial_index = self.scores.trial_index() + self.at.price * self._tried + self._lost
        return self._trial_index

    def worth_asking(self, served: int, base: int) -> list[int]:
        """The models that are worth asking beside the one that serves, best first: by what they are worth for the mean of what they
        cost and of what a place among a few takes."""
        found = self._wanted.get(served)
        if found is None:
            sums, at, settings, scores = self.view.sums, self.at, self._settings, self.scores
            noise, ahead, tolerance = sums.evidence.noise, scores.ahead, settings.quality_tolerance
            worth = worth_asking(at, noise, scores.chance_graded, ahead, self.loss[served], tolerance)
            worth[served] = worth[base] = 0.0
            if base != served:
                worth[base] = worth_of_the_bar(self.view.belief, at.price, noise, ahead, served, base, tolerance)
            if scores.unlicensed:
                self._add_licences(worth, served, base)
            order = worth * np.sqrt(np.maximum(at.price, LEAST_PRICE))
            wanted = [(-float(order[at]), at) for at in self.may.places if worth[at] > settings.shadow_worth]
            found = self._wanted[served] = [at for _, at in sorted(wanted)]
        return found

    def _add_licences(self, worth: Array, served: int, base: int) -> None:
        """Let what licences are worth count, too [K]. A pair needs the baseline's answer as well, where that does not serve."""
        view, scores, settings, price = self.view, self.scores, self._settings, self.at.price
        needed = view.pairs_needed(base, settings.quality_tolerance)
        more = price[base] if served != base else 0.0
        gain = self.loss[served] - self._loss
        found = worth_of_a_licence(needed, scores.chance_graded, price + more, gain, scores.ahead)
        found[[at for at in range(len(found)) if at not in scores.unlicensed]] = 0.0
        if served != base and found.max() > settings.shadow_worth:
            worth[base] = max(float(worth[base]), float(found.max()))
        np.maximum(worth, found, out=worth)

    def trial(self, best: int, steady: CandidateMask, budget_usd: float) -> int | None:
        """The model that may still turn out better than the best known one, if its trial is within the budget."""
        index = self.trial_losses()
        if self._best_trial < 0:
            self._best_trial = int((index + self.may.barred).argmin())
        free, model = (best, self.at.reference), self._best_trial
        if steady is not self.may or (self.scores.usd[model] > budget_usd and model not in free):
            loss = index + steady.barred
            exempt = loss[best], loss[self.at.reference]
            loss[self.view.money.usd > budget_usd] = np.inf
            loss[best], loss[self.at.reference] = exempt
            model = int(loss.argmin())
        return None if model in free else model

    def expected_losses(self, model: int) -> tuple[float, float]:
        """What a trial of this model is expected to lose against the reference, and what the bucket's grades have lost so far,
        at the size that counts for trying."""
        loss = self.at.expected_excess + self.at.price * self._tried
        extra = loss - loss[self.at.reference]
        return float(extra[model]), float(self.view.here.graded.dot(extra))


def _expected_loss(view: BucketPosterior, may: CandidateMask, base: int, params: LossParams) -> ExpectedLoss:
    """Losses against the model that sets the bar: the baseline, unless another is better by more than the doubt about it."""
    price = view.money.usd / view.money.unit
    gap = view.belief.gap(base)
    nearest = gap.mean + gap.sd + may.barred
    best = int(nearest.argmin())
    if nearest[best] < 0 or base not in may.places:
        base = best
        gap = view.belief.gap(base)
    return expected_loss(gap, price, base, params)
