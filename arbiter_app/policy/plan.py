"""What decisions in a bucket rest on, and what follows from it for the models that may serve: worked out once, for many.

A view stands until the evidence under it has grown by a share that could matter (`ArbiterPolicy`), so that most decisions
cost a few comparisons. Calls, trials and dollars are counted live: budgets are exact.
"""

from __future__ import annotations

import numpy as np

from arbiter_app.policy.belief import Array, Belief
from arbiter_app.policy.buckets import Bucket, Money
from arbiter_app.policy.eligible import Eligible, Pool
from arbiter_app.policy.statistics import ModelStats
from arbiter_app.policy.telling import Telling
from arbiter_app.policy.types import PolicySettings
from arbiter_app.policy.worth import Stakes, Taste, hopeful, stakes

REMEMBERED = 256


class View:
    """What is believed of a bucket and expected to be charged in it, with its live counts `here` and the totals `spent`."""

    def __init__(self, here: Bucket, belief: Belief, money: Money, spent: ModelStats) -> None:
        self.here, self.belief, self.money, self.spent = here, belief, money, spent
        self._plans: dict[tuple[str, ...], Plan] = {}

    def believing(self, belief: Belief) -> View:
        """The same with another belief."""
        return View(self.here, belief, self.money, self.spent)

    def plan(self, models: tuple[str, ...], pool: Pool, settings: PolicySettings) -> Plan:
        """What follows for these models."""
        found = self._plans.get(models)
        if found is None:
            if len(self._plans) >= REMEMBERED:
                self._plans.clear()
            found = self._plans[models] = Plan(self, pool.eligible(models), pool, settings)
        return found


class Plan:
    """What is at stake for the models that may serve, as arrays and lists [K]: `loss` and `price` as in `Stakes`, `usd` what
    a request costs; the `best` of them, and the words for it."""

    def __init__(self, view: View, may: Eligible, pool: Pool, settings: PolicySettings) -> None:
        self.view, self.may, self._settings = view, may, settings
        self._taste = Taste(settings.quality_tolerance, settings.caution, settings.caution_trial, settings.lead)
        self.at = _stakes(view, may, pool.base, self._taste)
        self.loss: list[float] = self.at.loss.tolist()
        self.price: list[float] = self.at.price.tolist()
        self.usd: list[float] = view.money.usd.tolist()
        self.listed_usd: list[float] = view.money.listed.tolist()
        self.best = self.among(may)
        self.told = Telling(view.belief, self.at, view.here.graded, view.money.usd, pool.models, may.places, settings)
        self._hopes: Array | None = None
        self._hoped = -1

    def among(self, these: Eligible) -> int:
        """The place of the least expected loss among some."""
        return int((self.at.loss + these.barred).argmin())

    def trial(self, best: int, steady: Eligible, budget_usd: float) -> int | None:
        """The model that may still turn out better than the best known one, if its trial is within the budget."""
        hopes, free = self._hoping(), (best, self.at.reference)
        model = self._hoped
        if steady is not self.may or (self.usd[model] > budget_usd and model not in free):
            loss = hopes + steady.barred
            kept = loss[best], loss[self.at.reference]
            loss[self.view.money.usd > budget_usd] = np.inf
            loss[best], loss[self.at.reference] = kept
            model = int(loss.argmin())
        return None if model in free else model

    def lost(self) -> float:
        """The loss that the bucket's grades so far are expected to have cost against always using the reference."""
        return float(self.view.here.graded.dot(self.at.loss - self.loss[self.at.reference]))

    def _hoping(self) -> Array:
        """The losses to reckon with [K] while a model can be tried and left again."""
        if self._hopes is None:
            here, settings = self.view.here, self._settings
            graded = np.minimum((here.graded + 1) / (here.calls + 1), 1.0)
            ahead = settings.horizon_min + settings.horizon_growth * here.all_calls
            self._hopes = hopeful(self.at, here.seen().noise, graded, ahead, self._taste) + self.may.barred
            self._hoped = int(self._hopes.argmin())
        return self._hopes


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
