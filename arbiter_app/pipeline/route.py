"""Stage 3: ask the policy which eligible model serves. The policy decides purely; clock and seed are arguments."""

from __future__ import annotations

import random
from collections.abc import Callable

from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.types import Classification, Eligible, Mode
from arbiter_app.policy import Ask, Choice, Policy


class Router:
    """Turns (classification, eligible models) into a choice by the policy's rule, a pin, or the holdout."""

    def __init__(
        self,
        policy: Policy,
        *,
        baseline: str,
        holdout: Callable[[], float],
        rng: random.Random,
        now: Callable[[], float],
    ) -> None:
        self._policy = policy
        self._baseline = baseline
        self._holdout = holdout
        self._rng = rng
        self._now = now

    def route(self, decision: Decision, seen: Classification, eligible: Eligible, *, tokens_out: int) -> None:
        """Fill in the decision's choice, mode and reason."""
        ask = Ask(
            bucket=seen.bucket,
            prompt=decision.request.ask,
            eligible=eligible.models,
            tokens_in=eligible.prompt_tokens,
            tokens_out=tokens_out,
            conversation_model=None,
        )
        choice = self._policy.choose(ask, self._now(), self._rng.getrandbits(48))
        decision.choice = choice
        decision.mode = Mode(choice.mode)
        decision.reason = f"{choice.reason}; {eligible.note}" if eligible.note else choice.reason
        if decision.request.pin is not None:
            decision.mode, decision.reason = Mode.PINNED, "pinned by the caller"
        elif self._held_out(eligible):
            decision.mode = Mode.HOLDOUT
            decision.reason = f"held out: {self._baseline} answers a random share of requests, to measure the saving"

    def order(self, decision: Decision) -> tuple[str, ...]:
        """Who is asked, in order: the choice (or the pin, alone; or the baseline first when held out), then the next best."""
        choice = decision.choice
        if choice is None:
            return ()
        if decision.mode is Mode.PINNED:
            return (choice.model,)
        if decision.mode is Mode.HOLDOUT:
            return (self._baseline, *(model for model in choice.ranking if model != self._baseline))
        return choice.ranking

    def stronger(self, decision: Decision) -> str | None:
        """The model to escalate to when the cheap answer failed its check: best known quality among the others."""
        choice, failed = decision.choice, decision.model
        tried = {attempt.model for attempt in decision.attempts}
        if choice is None or decision.mode is Mode.PINNED:
            return None
        others = [one for one in choice.candidates if one.model not in tried]
        return (
            max(others, key=lambda one: _strength(one, self._baseline)).model
            if others and failed != self._baseline
            else None
        )

    def _held_out(self, eligible: Eligible) -> bool:
        share = self._holdout()
        return share > 0 and self._baseline in eligible.models and self._rng.random() < share


def _strength(candidate: object, baseline: str) -> tuple[float, bool]:
    """Order of strength: the lower bound of quality where there is evidence; the baseline wins ties and unknowns."""
    low = getattr(candidate, "low", None)
    is_baseline = getattr(candidate, "model", "") == baseline
    return (low if low is not None else (0.5 if is_baseline else 0.0), is_baseline)


__all__ = ["Choice", "Router"]
