"""What the stages need to know before the answer exists: tokens, expected cost and latency, the baseline's price."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from arbiter_app.catalog import Catalog
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.deployments import Deployments
from arbiter_app.pipeline.errors import Forbidden
from arbiter_app.pipeline.filter import NOT, eligible, everybody
from arbiter_app.pipeline.limits import LearnedLimits
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.tokens import TokenRatios, estimate_messages
from arbiter_app.pipeline.types import PICO_PER_USD, ChatRequest, Eligible, Model
from arbiter_app.policy import Policy

DEFAULT_TOKENS_OUT = 256


class LearnedEstimates:
    """Estimates from the catalog's list prices and from what this instance has learned."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        policy: Policy,
        ratios: TokenRatios,
        deployments: Deployments,
        limits: LearnedLimits,
    ) -> None:
        self._catalog = catalog
        self._policy = policy
        self._ratios = ratios
        self._deployments = deployments
        self._limits = limits

    def eligible(self, decision: Decision) -> Eligible:
        """Stage 2 over the pool as it is now."""
        seen, catalog = decision.classification, self._catalog()
        if seen is None:
            raise ValueError("a request is classified before it is filtered")
        now = time.monotonic()
        request, resting = decision.request, self._deployments.resting(now)
        if request.pin is not None or request.allow is not None:
            request = _by_id(request, catalog)
        tokens_in = estimate_messages(request.messages, request.payload.get("tools"))
        if (
            not resting
            and request.caller.models is None
            and not self._limits.known
            and (not catalog.variants or (request.setting is None and request.max_tokens is None))
            and (found := everybody(request, catalog.names, catalog.least_window, tokens_in)) is not None
        ):
            return found
        tokens_out = self.tokens_out(decision)

        def expected_cost(model: Model) -> float | None:
            learned = self._policy.expected_cost_usd(seen.bucket, model.id, tokens_in, tokens_out)
            listed = tokens_in * model.input_usd + tokens_out * model.output_usd
            return listed if learned is None else learned

        def expected_latency_s(model: str) -> float | None:
            latency_ms = self._deployments.latency_ms(model)
            if latency_ms is None:
                latency_ms = self._policy.expected_latency_ms(seen.bucket, model)
            return None if latency_ms is None else latency_ms / 1000

        return eligible(
            request,
            self._deployments.fitted(_of_key(request, catalog), now),
            tokens_in=tokens_in,
            expected_cost=expected_cost,
            expected_latency_s=expected_latency_s,
            quarantined=resting.__contains__,
            ratios=self._ratios,
            lacking=self._deployments.lacking(request.written, now),
            gone=self._deployments.gone(),
            speaks=lambda model: self._deployments.speaks(model, request),
        )

    def tokens_out(self, decision: Decision) -> int:
        """Expected length of the answer in tokens, never over what the caller allows."""
        return min(DEFAULT_TOKENS_OUT, decision.request.max_tokens or DEFAULT_TOKENS_OUT)

    def baseline_pico(self, decision: Decision) -> int | None:
        """What the baseline would have charged for this request, at its measured rates; None while unmeasured."""
        baseline, done = self._catalog().baseline, decision.completion
        if done is not None and done.model == baseline and done.cost.pico is not None:
            return done.cost.pico
        tokens_in = done.usage.prompt_tokens if done is not None and done.usage is not None else 0
        usd = self._policy.baseline_cost_usd(decision.bucket, tokens_in)
        return None if usd is None else round(usd * PICO_PER_USD)

    def beyond_pico(self, decision: Decision) -> int | None:
        """What the answers cost beyond the list price of the prompt, in our own estimate of its tokens.

        For every model the prompt is measured alike, so that this can be carried over to other prompts. None where it
        would not measure the model that was asked first: a cached answer, a failover, an uncertain charge.
        """
        done, gate = decision.completion, decision.eligible
        if done is None or gate is None or decision.failover_from:
            return None
        paid = 0
        for attempt in decision.attempts:
            if not attempt.error:
                if not attempt.cost.measured:
                    return None
                paid += attempt.cost.pico or 0
        asked = decision.cascade.completion.model if decision.cascade is not None else done.model
        return paid - round(gate.prompt_tokens * self._catalog().model(asked).input_usd * PICO_PER_USD)

    def learned(self, decision: Decision) -> None:
        """Compare the token estimate with the usage the runtime reported."""
        done, gate = decision.completion, decision.eligible
        if done is not None and done.deployment:
            self._deployments.timed(done)
        if done is not None and done.usage is not None and gate is not None:
            base = done.base or done.model
            self._limits.served(done.deployment or base, done.usage.prompt_tokens)
            self._ratios.record(base, estimated=gate.prompt_tokens, real=done.usage.prompt_tokens)


def _of_key(request: ChatRequest, catalog: Catalog) -> Sequence[Model]:
    """The models of the pool that the caller's key may use. Raises Forbidden where it pins another, or where none is left."""
    if request.caller.models is None:
        return catalog.pool
    mine = frozenset(map(catalog.resolve, request.caller.models))
    if request.pin is not None and mine.isdisjoint((request.pin, catalog.model(request.pin).base)):
        raise Forbidden(f"this API key may not use {quoted(request.pin)}", code="model_not_allowed", param="model")
    found = [model for model in catalog.pool if not mine.isdisjoint((model.id, model.base))]
    if not found:
        raise Forbidden("none of the models that this API key may use is in the pool", code="model_not_allowed")
    return found


def _by_id(request: ChatRequest, catalog: Catalog) -> ChatRequest:
    """The request with the models that it names by any of their names named by their ids."""

    def resolved(name: str) -> str:
        return NOT + catalog.resolve(name.removeprefix(NOT)) if name.startswith(NOT) else catalog.resolve(name)

    pin = None if request.pin is None else catalog.resolve(request.pin)
    allow = None if request.allow is None else tuple(dict.fromkeys(map(resolved, request.allow)))
    return replace(request, pin=pin, allow=allow)
