"""A decision in words and numbers: the reason, every candidate's interval, and why it was not chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from arbiter_app.policy.types import Candidate, Choice

if TYPE_CHECKING:
    from arbiter_app.policy.plan import Plan

GRADE_DIGITS, USD_DIGITS = 3, 12
"""As exact as anybody reads and as a charge can be: every decision is stored with these numbers of every model."""
MIDDLE = 0.6, 1.7
"""Sizes of a prompt that are not worth a word."""
Told = tuple[tuple[str, ...], tuple[Candidate, ...]]


class Telling:
    """Builds choices from what one plan says. Indices are places in the pool; lists are [K]."""

    def __init__(self, plan: Plan, pool: Sequence[str], tolerance: float) -> None:
        self._mean, self._lows, _ = plan.view.belief.interval()
        self._pool, self._loss, self._times, self._eligible = pool, plan.loss, plan.times, plan.may.places
        self._price, self._graded, self._usd = plan.outlook.price, plan.outlook.graded, plan.outlook.usd
        self._columns = plan.outlook.columns
        self._bar = self._mean[plan.at.reference] - tolerance
        unusual = not MIDDLE[0] < plan.times < MIDDLE[1]
        self._sized = f"; a prompt {plan.times:.1f} times as dear as the mean" if unusual else ""
        self._told: dict[int, Told] = {}
        self._words: dict[int, str] = {}

    def exploit(self, model: int, seed: int, propensity: float, why: str = "") -> Choice:
        """The best known choice."""
        words = self._words.get(model)
        if words is None:
            quality = f"quality {self._mean[model]:.2f} (at least {self._lows[model]:.2f}) for a bar of {self._bar:.2f}"
            words = f"least expected loss: {quality}, {self._price[model]:.0%} of the baseline's price{self._sized}"
            self._words[model] = words
        return self._choice(model, "exploit", why + words, seed, propensity)

    def explore(self, model: int, bucket: str, seed: int, propensity: float) -> Choice:
        """A trial."""
        grades = f"{self._graded[model]:.0f} grades in {bucket} so far"
        words = f"worth a trial: {grades}, {self._price[model]:.0%} of the baseline's price"
        return self._choice(model, "explore", words, seed, propensity)

    def again(self, model: int, seed: int, propensity: float) -> Choice:
        """A model whose price rose."""
        words = f"its price rose: learned anew, {self._price[model]:.0%} of the baseline's price so far"
        return self._choice(model, "explore", words, seed, propensity)

    def recheck(self, model: int, seed: int, propensity: float) -> Choice:
        """A model that was left for its price."""
        words = "it was left for its price: looking whether that fell again"
        return self._choice(model, "explore", words, seed, propensity)

    def bar(self, model: int, bucket: str, seed: int) -> Choice:
        """The baseline, to learn what the others must reach."""
        words = f"the baseline sets the bar: {self._graded[model]:.0f} grades in {bucket} so far"
        return self._choice(model, "explore", words, seed, 1.0)

    def _choice(self, model: int, mode: str, reason: str, seed: int, propensity: float) -> Choice:
        told = self._told.get(model)
        if told is None:
            told = self._told[model] = self._ranking(model), self._candidates(model)
        return Choice(self._pool[model], mode, reason, propensity, *told, seed)

    def _ranking(self, chosen: int) -> tuple[str, ...]:
        order = sorted([(at != chosen, self._loss[at], at) for at in self._eligible])
        return tuple([self._pool[at] for _, _, at in order])

    def _candidates(self, chosen: int) -> tuple[Candidate, ...]:
        here, loss, price, lows = self._eligible, self._loss, self._price, self._lows
        least, paid, bar = loss[chosen], price[chosen], f" under {self._bar:.2f}"
        why_not = [
            "not its turn" if loss[at] < least else "dearer" if price[at] >= paid else f"bound {lows[at]:.2f}{bar}"
            for at in here
        ]
        why_not[here.index(chosen)] = ""
        costs = [round(self._usd[at] * self._times, USD_DIGITS) for at in here]
        return tuple(map(Candidate, *self._columns, costs, why_not))
