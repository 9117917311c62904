"""A decision in words and numbers: the reason, every candidate's interval, and why it was not chosen."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from arbiter_app.policy.types import Candidate, Candidates, RoutingChoice

GRADE_DIGITS, USD_DIGITS = 3, 12
"""As exact as anybody reads and as a charge can be: every decision is stored with these numbers of every model."""
MIDDLE = 0.6, 1.7
"""Sizes of a prompt that are not worth a word."""
Explained = tuple[tuple[str, ...], Candidates]


class Explanation:
    """Builds choices from what one decision says. Indices are places in the pool, `base` is the baseline's; lists are [K], but for
    `eligible` and `columns`: those of the models that may serve, as `Candidate` begins with them. `bar` is the quality to reach;
    `lost_cache` what a model costs more in this conversation, USD, because another has its prompts cached; `last` are those that serve only
    if no other can, because they have no licence."""

    def __init__(
        self,
        *,
        models: Sequence[str],
        base: int,
        eligible: Sequence[int],
        mean: Sequence[float],
        lows: Sequence[float],
        bar: float,
        loss: Sequence[float],
        price: Sequence[float],
        graded: Sequence[float],
        usd: Sequence[float],
        columns: Sequence[Sequence[Any]],
        times: float,
        last: Container[int] = (),
        lost_cache: Sequence[float] | None = None,
    ) -> None:
        self._base = base
        self._pool, self._eligible, self._mean, self._lows, self._bar = models, eligible, mean, lows, bar
        self._loss, self._price, self._graded, self._usd = loss, price, graded, usd
        self._columns, self._times, self._last, self._lost = columns, times, last, lost_cache
        unusual = not MIDDLE[0] < times < MIDDLE[1]
        self._sized = f"; a prompt {times:.1f} times as dear as the mean" if unusual else ""
        self._found: dict[int, Explained] = {}
        self._words: dict[int, str] = {}

    def exploit(
        self, model: int, seed: int, propensity: float, why: str = "", shadows: tuple[str, ...] = ()
    ) -> RoutingChoice:
        """The best known choice."""
        words = self._words.get(model)
        if words is None:
            quality = f"quality {self._mean[model]:.2f}, could be as low as {self._lows[model]:.2f}"
            words = f"best value: {quality}; good enough is {self._bar:.2f}; {self._priced(model)}{self._sized}"
            self._words[model] = words
        return self._choice(model, "exploit", why + words, seed, propensity, shadows)

    def explore(self, model: int, bucket: str, seed: int, propensity: float) -> RoutingChoice:
        """A trial."""
        grades = f"{self._graded[model]:.0f} grades in {bucket} so far"
        words = f"worth a trial: {grades}, {self._priced(model)}"
        return self._choice(model, "explore", words, seed, propensity)

    def again(self, model: int, seed: int, propensity: float) -> RoutingChoice:
        """A model whose price rose."""
        words = f"its price rose: learned anew, {self._priced(model)} so far"
        return self._choice(model, "explore", words, seed, propensity)

    def recheck(self, model: int, seed: int, propensity: float) -> RoutingChoice:
        """A model that was left for its price."""
        words = "it was left for its price: looking whether that fell again"
        return self._choice(model, "explore", words, seed, propensity)

    def baseline(self, model: int, bucket: str, seed: int) -> RoutingChoice:
        """The baseline, to learn what the others must reach."""
        words = f"the baseline sets what is good enough: {self._graded[model]:.0f} grades in {bucket} so far"
        return self._choice(model, "explore", words, seed, 1.0)

    def _priced(self, model: int) -> str:
        """What it is expected to cost, beside what the baseline is expected to."""
        if model == self._base:
            return "the baseline itself"
        own, base = self._usd[model], self._usd[self._base]
        return f"{own / base:.0%} of the baseline's price" if base > 0 else "no cheaper than the baseline"

    def _choice(
        self, model: int, mode: str, reason: str, seed: int, propensity: float, shadows: tuple[str, ...] = ()
    ) -> RoutingChoice:
        found = self._found.get(model)
        if found is None:
            found = self._found[model] = self._ranking(model), self._candidates(model)
        if self._lost is not None and self._lost[model] > 0:
            reason += f"; a cache worth ${self._lost[model]:.4g} here is lost"
        return RoutingChoice(self._pool[model], mode, reason, propensity, *found, seed, shadows)

    def _ranking(self, chosen: int) -> tuple[str, ...]:
        order = sorted([(at != chosen, at in self._last, self._loss[at], at) for at in self._eligible])
        return tuple([self._pool[at] for *_, at in order])

    def _candidates(self, chosen: int) -> Candidates:
        here, loss, price, lows = self._eligible, self._loss, self._price, self._lows
        least, paid, bar = loss[chosen], price[chosen], f" under {self._bar:.2f}"
        why_not = [
            "no licence yet"
            if at in self._last
            else "not its turn"
            if loss[at] < least
            else "dearer"
            if price[at] > paid
            else "no cheaper"
            if price[at] == paid
            else f"bound {lows[at]:.2f}{bar}"
            for at in here
        ]
        why_not[here.index(chosen)] = ""
        costs = [round(self._usd[at] * self._times, USD_DIGITS) for at in here]
        if self._lost is not None:
            lost = [self._lost[at] for at in here]
            costs = [round(usd + more, USD_DIGITS) for usd, more in zip(costs, lost, strict=True)]
            why_not = [
                f"{why}; ${more:.4g} of it for the lost cache" if why and more > 0 else why
                for why, more in zip(why_not, lost, strict=True)
            ]
        return Candidates(map(Candidate, *self._columns, costs, why_not))
