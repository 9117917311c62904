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
        self._mean, self._lows, self._highs = belief.interval()
        self._price, self._loss = at.price.tolist(), at.loss.tolist()
        self._graded, self._cost = graded.tolist(), cost_usd.tolist()
        self._ask, self._seed, self._pool, self._eligible, self._settings = ask, seed, pool, eligible, settings
        self._bar = self._mean[at.reference] - settings.quality_tolerance

    def exploit(self, model: int, propensity: float, why: str = "") -> Choice:
        """The best known choice."""
        quality = f"quality {self._mean[model]:.2f} (at least {self._lows[model]:.2f}) for a bar of {self._bar:.2f}"
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

    def recheck(self, model: int, propensity: float) -> Choice:
        """A model that was left for its price."""
        return self._choice(model, "explore", "it was left for its price: looking whether that fell again", propensity)

    def bar(self, model: int) -> Choice:
        """The baseline, to learn what the others must reach."""
        words = f"the baseline sets the bar: {self._graded[model]:.0f} grades in {self._ask.bucket} so far"
        return self._choice(model, "explore", words, 1.0)

    def _choice(self, model: int, mode: str, reason: str, propensity: float) -> Choice:
        loss, pool = self._loss, self._pool
        order = sorted([(at != model, loss[at], at) for at in self._eligible])
        ranking = tuple([pool[at] for _, _, at in order])
        return Choice(pool[model], mode, reason, propensity, ranking, self._candidates(model), self._seed)

    def _candidates(self, chosen: int) -> tuple[Candidate, ...]:
        pool, graded, mean, lows, highs, cost = (
            self._pool,
            self._graded,
            self._mean,
            self._lows,
            self._highs,
            self._cost,
        )
        price, loss, under = self._price, self._loss, f" under {self._bar:.2f}"
        told = []
        for at in self._eligible:
            if at == chosen:
                why = ""
            elif loss[at] < loss[chosen]:
                why = "not its turn"
            elif price[at] >= price[chosen]:
                why = "dearer"
            else:
                why = f"bound {lows[at]:.2f}{under}"
            told.append(Candidate(pool[at], graded[at], mean[at], lows[at], highs[at], cost[at], why))
        return tuple(told)
