"""The production policies behind the two methods of a replayed policy: choose and record, one request after the other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from arbiter_app.pipeline.tokens import estimate_tokens
from arbiter_app.policy import (
    Beside,
    ModelFacts,
    Observation,
    Policy,
    PolicySettings,
    RoutingAsk,
    Segment,
    Trials,
    build,
)

FEATURE = "segment"
"""What requests are told apart by, where the traffic says of each to which segment it belongs."""


class ReplayPolicy:
    """A policy built by name. `prices` are coarse USD per request by model; without them all models look alike.

    Where tokens are not recorded the unit price is that of a call.
    """

    name = "arbiter"
    trials = Trials.SHADOW

    def __init__(
        self,
        seed: int = 0,
        prices: Mapping[str, float] | None = None,
        baseline: str = "",
        settings: PolicySettings | None = None,
        trials: Trials | None = None,
    ) -> None:
        facts = {model: ModelFacts(coarse_request_usd=usd) for model, usd in (prices or {}).items()}
        self.policy: Policy = build(self.name, catalog=facts, baseline=baseline, settings=settings or PolicySettings())
        self.alarms = {"price": 0, "quality": 0}
        self._seed = seed << 24
        self._now = 0.0
        self._mode = "exploit"
        self._baseline, self._trials = baseline, trials or self.trials
        self._beside: Beside | None = None
        self._segments: tuple[Segment, ...] = ()

    @property
    def resets(self) -> int:
        """Alarms so far."""
        return sum(self.alarms.values())

    def choose(self, task: str, prompt: str, eligible: tuple[str, ...], segment: str = "") -> tuple[str, ...]:
        """The model for the next request, and those that are asked beside it."""
        self._now += 1.0
        self._segments = ((FEATURE, segment),) if segment else ()
        ask = RoutingAsk(str(task), prompt, eligible, _tokens(prompt), trials=self._trials, segments=self._segments)
        choice = self.policy.choose(ask, self._now, self._seed + int(self._now))
        self._mode, self._beside = choice.mode, None
        return choice.model, *choice.shadows

    def record(
        self,
        task: str,
        prompt: str,
        model: str,
        cost: float,
        quality: float | None,
        tokens: float | None = None,
        shadow: bool = False,
    ) -> None:
        """What came of it, the one that served first. `tokens` are prompt and answer together, None where unknown."""
        self._learn(str(task), prompt, model, cost, quality, tokens, "shadow" if shadow else self._mode)
        if self._beside is None or model == self._baseline:
            self._beside = Beside(model, quality)

    def calibrate(
        self, task: str, prompt: str, model: str, cost: float, quality: float | None, tokens: float | None = None
    ) -> None:
        """An outcome that was measured beforehand, outside the stream: not counted as exploring."""
        self._learn(str(task), prompt, model, cost, quality, tokens, "calibrate")

    def _learn(
        self, task: str, prompt: str, model: str, cost: float, quality: float | None, tokens: float | None, mode: str
    ) -> None:
        seen = Observation(
            bucket=task,
            prompt=prompt,
            model=model,
            cost_usd=cost,
            tokens_in=round(tokens) if tokens else 1,
            tokens_out=0,
            quality=quality,
            mode=mode,
            now=self._now,
            asked_tokens=_tokens(prompt),
            beside=None if mode == "calibrate" else self._beside,
            segments=() if mode == "calibrate" else self._segments,
        )
        for shift in self.policy.record(seen).shifts:
            self.alarms[shift.kind] += 1


@lru_cache(maxsize=50_000)
def _tokens(prompt: str) -> int:
    return estimate_tokens(prompt)


class ClassicReplayPolicy(ReplayPolicy):
    """The classic policy. It asks for no prices."""

    name = "classic"
    trials = Trials.SERVED


ADAPTERS: dict[str, type[ReplayPolicy]] = {"arbiter": ReplayPolicy, "classic": ClassicReplayPolicy}
