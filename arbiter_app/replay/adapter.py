"""The production policies behind the two methods of a replayed policy: choose and record, one request after the other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from arbiter_app.pipeline.tokens import estimate_tokens
from arbiter_app.policy import ModelFacts, Observation, Policy, PolicySettings, RoutingAsk, build


class ReplayPolicy:
    """A policy built by name. `prices` are coarse USD per request by model; without them all models look alike.

    Where tokens are not recorded the unit price is that of a call.
    """

    name = "arbiter"

    def __init__(
        self,
        seed: int = 0,
        prices: Mapping[str, float] | None = None,
        baseline: str = "",
        settings: PolicySettings | None = None,
    ) -> None:
        facts = {model: ModelFacts(coarse_request_usd=usd) for model, usd in (prices or {}).items()}
        self.policy: Policy = build(self.name, catalog=facts, baseline=baseline, settings=settings or PolicySettings())
        self.alarms = {"price": 0, "quality": 0}
        self._seed = seed << 24
        self._now = 0.0
        self._mode = "exploit"

    @property
    def resets(self) -> int:
        """Alarms so far."""
        return sum(self.alarms.values())

    def choose(self, task: str, prompt: str, eligible: tuple[str, ...]) -> str:
        """The model for the next request."""
        self._now += 1.0
        ask = RoutingAsk(str(task), prompt, eligible, _tokens(prompt))
        choice = self.policy.choose(ask, self._now, self._seed + int(self._now))
        self._mode = choice.mode
        return choice.model

    def record(
        self, task: str, prompt: str, model: str, cost: float, quality: float | None, tokens: float | None = None
    ) -> None:
        """What came of it. `tokens` are prompt and answer together, None where unknown."""
        self._learn(str(task), prompt, model, cost, quality, tokens, self._mode)

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
        )
        for shift in self.policy.record(seen).shifts:
            self.alarms[shift.kind] += 1


@lru_cache(maxsize=50_000)
def _tokens(prompt: str) -> int:
    return estimate_tokens(prompt)


class ClassicReplayPolicy(ReplayPolicy):
    """The classic policy. It asks for no prices."""

    name = "classic"


ADAPTERS: dict[str, type[ReplayPolicy]] = {"arbiter": ReplayPolicy, "classic": ClassicReplayPolicy}
