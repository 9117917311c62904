"""What decisions in a bucket rest on, and what follows from it for the models that may serve: worked out once, for many.

A view rests on sums that are part of the policy's state and change only when the means under it may have moved, so that most
decisions cost a few comparisons. Calls, trials and dollars are counted live: budgets are exact.
"""

from __future__ import annotations

import numpy as np

from arbiter_app.policy.belief import Array, Belief
from arbiter_app.policy.buckets import Bucket, BucketSums, Money
from arbiter_app.policy.eligible import Eligible, Pool
from arbiter_app.policy.size import times
from arbiter_app.policy.statistics import ModelStats
from arbiter_app.policy.telling import GRADE_DIGITS, Telling
from arbiter_app.policy.types import PolicySettings
from arbiter_app.policy.values import Recent
from arbiter_app.policy.worth import Stakes, Taste, hopeful, stakes

REMEMBERED = 256
"""Sets of models and sizes of prompts for which a view keeps what follows (a memory bound: about 2 KB each)."""
TRIED_SIZE = 0.25
"""How far the size of a prompt counts for trying a model on it: one that is then chosen will serve prompts of every size."""


class View:
    """What is believed of a bucket and expected to be charged in it, both from these sums; with its live counts `here` and the
    totals `spent`."""

    def __init__(self, here: Bucket, sums: BucketSums, belief: Belief, money: Money, spent: ModelStats) -> None:
        self.here, self.sums, self.belief, self.money, self.spent = here, sums, belief, money, spent
        self._outlooks: Recent[tuple[str, ...], Outlook] = Recent(REMEMBERED)
        self._plans: Recent[tuple[tuple[str, ...], int], Plan] = Recent(REMEMBERED)

    def believing(self, belief: Belief) -> View:
        """The same with another belief."""
        return View(self.here, self.sums, belief, self.money, self.spent)

    def plan(self, models: tuple[str, ...], length: float, pool: Pool, settings: PolicySettings) -> Plan:
        """What follows for these models and a prompt of this length (0: not known)."""
        key = models, self.sums.size.step(length)
        found = self._plans.get(key)
        if found is None:
            outlook = self._outlooks.get(models)
            if outlook is None:
                outlook = self._outlooks.keep(models, Outlook(self, pool.eligible(models), pool, settings))
            found = self._plans.keep(key, Plan(outlook, times(key[1]), pool, settings))
        return found


class Outlook:
    """What is at stake for the models that may serve, whatever the prompt's size. Lists are [K]: `price` over the baseline's
    mean, `usd` expected, `listed_usd` at list prices, and the weight of what was `graded`; `columns` are those of the models
    that may serve, as `Candidate` begins with them."""

    def __init__(self, view: View, may: Eligible, pool: Pool, settings: PolicySettings) -> None:
        self.view, self.may, self._settings = view, may, settings
        self._taste = Taste(settings.quality_tolerance, settings.caution, settings.caution_trial, settings.lead)
        self.at = _stakes(view, may, pool.base, self._taste)
        self.price: list[float] = self.at.price.tolist()
        self.usd: list[float] = view.money.usd.tolist()
        self.listed_usd: list[float] = view.money.listed.tolist()
        self.graded: list[float] = view.sums.graded.round(GRADE_DIGITS).tolist()
        columns = pool.models, self.graded, *view.belief.interval()
        self.columns = [[column[at] for at in may.places] for column in columns]
        self._hopes: Array | None = None

    def hopes(self) -> Array:
        """What quality costs to reckon with [K] while a model can be tried and left again."""
        if self._hopes is None:
            sums, settings = self.view.sums, self._settings
            graded = np.minimum((sums.graded + 1) / (sums.calls + 1), 1.0)
            ahead = settings.horizon_min + settings.horizon_growth * float(sums.calls.sum())
            self._hopes = hopeful(self.at, sums.evidence.noise, graded, ahead, self._taste)
        return self._hopes


class Plan:
    """What follows for prompts of one size, `times` as dear as those of mean length: the `loss` [K] counts money at that size,
    `best` is the place of the least, and `told` has the words."""

    def __init__(self, outlook: Outlook, times: float, pool: Pool, settings: PolicySettings) -> None:
        self.view, self.may, self.at, self.times, self.outlook = outlook.view, outlook.may, outlook.at, times, outlook
        self._loss = self.at.short + self.at.price * times
        self._tried = 1 + TRIED_SIZE * (times - 1)
        self.loss: list[float] = self._loss.tolist()
        self.best = self.among(self.may)
        self.told = Telling(self, pool.models, settings.quality_tolerance)
        self._hopes: Array | None = None
        self._hoped = -1

    def among(self, these: Eligible) -> int:
        """The place of the least expected loss among some."""
        return int((self._loss + these.barred).argmin())

    def trial(self, best: int, steady: Eligible, budget_usd: float) -> int | None:
        """The model that may still turn out better than the best known one, if its trial is within the budget."""
        if self._hopes is None:
            self._hopes = self.outlook.hopes() + self.at.price * self._tried
            self._hoped = int((self._hopes + self.may.barred).argmin())
        free, model = (best, self.at.reference), self._hoped
        if steady is not self.may or (self.outlook.usd[model] > budget_usd and model not in free):
            loss = self._hopes + steady.barred
            kept = loss[best], loss[self.at.reference]
            loss[self.view.money.usd > budget_usd] = np.inf
            loss[best], loss[self.at.reference] = kept
            model = int(loss.argmin())
        return None if model in free else model

    def expected_losses(self, model: int) -> tuple[float, float]:
        """What a trial of this model is expected to lose against the reference, and what the bucket's grades have lost so far,
        at the size that counts for trying."""
        loss = self.at.short + self.at.price * self._tried
        extra = loss - loss[self.at.reference]
        return float(extra[model]), float(self.view.here.graded.dot(extra))


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
