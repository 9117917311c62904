"""A decision in words and numbers: the reason, every candidate's interval, and why it was not chosen."""

from __future__ import annotations

from collections.abc import Sequence

from arbiter_app.policy.belief import Array, Belief
from arbiter_app.policy.types import Ask, Candidate, Choice, PolicySettings
from arbiter_app.policy.worth import Stakes


class Telling:
    """Builds the choice for one ask. Indices are places in the pool."""

    def __init__(
        self,
        belief: Belief,
        at: Stakes,
        graded: Array,
        cost_usd: Array,
        ask: Ask,
        seed: int,
        pool: Sequence[str],
        eligible: Sequence[int],
        settings: PolicySettings,
    ) -> None:
        self._mean: list[float] = belief.mean.tolist()
        self._half: list[float] = [1.96 * max(variance, 0.0) ** 0.5 for variance in belief.cov.diagonal().tolist()]
        self._price, self._loss = at.price.tolist(), at.loss.tolist()
        self._graded, self._cost = graded.tolist(), cost_usd.tolist()
        self._ask, self._seed, self._pool, self._eligible, self._settings = ask, seed, pool, eligible, settings
        self._bar = self._mean[at.reference] - settings.quality_tolerance

    def exploit(self, model: int, propensity: float, why: str = "") -> Choice:
        """The best known choice."""
        quality = f"quality {self._mean[model]:.2f} (at least {self._low(model):.2f}) for a bar of {self._bar:.2f}"
        words = f"{why}least expected loss: {quality}, {self._price[model]:.0%} of the baseline's price"
        return self._choice(model, "exploit", words, propensity)

    def explore(self, model: int, propensity: float) -> Choice:
        """A trial."""
        grades = f"{self._graded[model]:.0f} grades in {self._ask.bucket} so far"
        words = f"worth a trial: {grades}, {self._price[model]:.0%} of the baseline's price"
        return self._choice(model, "explore", words, propensity)

    def again(self, model: int, propensity: float) -> Choice:
        """A model whose price rose."""
        words = f"its price rose: learned anew, {self._price[model]:.0%} of the baseline's price so far"
        return self._choice(model, "explore", words, propensity)

    def bar(self, model: int) -> Choice:
        """The baseline, to learn what the others must reach."""
        grades = f"{self._graded[model]:.0f} of {self._settings.baseline_first:.0f} grades"
        return self._choice(model, "explore", f"the baseline sets the bar first: {grades} in {self._ask.bucket}", 1.0)

    def _choice(self, model: int, mode: str, reason: str, propensity: float) -> Choice:
        loss, pool = self._loss, self._pool
        order = sorted(self._eligible, key=lambda at: (at != model, loss[at], at))
        told = tuple(self._candidate(at, model) for at in self._eligible)
        return Choice(pool[model], mode, reason, propensity, tuple(pool[at] for at in order), told, self._seed)

    def _candidate(self, at: int, chosen: int) -> Candidate:
        mean, half = self._mean[at], self._half[at]
        low, high = max(0.0, mean - half), min(1.0, mean + half)
        why = "" if at == chosen else self._why_not(at, chosen)
        return Candidate(self._pool[at], self._graded[at], mean, low, high, self._cost[at], why)

    def _why_not(self, at: int, chosen: int) -> str:
        if self._loss[at] < self._loss[chosen]:
            return "not its turn"
        if self._price[at] >= self._price[chosen]:
            return "dearer"
        return f"bound {self._low(at):.2f} under {self._bar:.2f}"

    def _low(self, at: int) -> float:
        return max(0.0, self._mean[at] - self._half[at])
