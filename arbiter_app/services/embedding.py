"""Embeddings: passed to the model that is named, once, recorded and priced. Nothing is chosen, graded or learned.

Vectors of different models do not mix, so that no other model can stand in for one that fails. The record is a decision of the mode
`embedding`, without a task: reports show what it cost on both sides of the saving, and claim none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from arbiter_app.catalog import Catalog
from arbiter_app.pipeline.ceilings import Ceilings
from arbiter_app.pipeline.decision import Decision, new_decision
from arbiter_app.pipeline.errors import ArbiterError, Forbidden, ModelNotFound
from arbiter_app.pipeline.meter import Meter
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.ports import Refused, Reply, RuntimeFault, Spending
from arbiter_app.pipeline.record import Recorder
from arbiter_app.pipeline.refused import exhausted, rejected
from arbiter_app.pipeline.standing import Standing
from arbiter_app.pipeline.types import (
    DEFAULT_RUNTIME,
    UNKNOWN_COST,
    Attempt,
    ChatRequest,
    Completion,
    Deployment,
    Mode,
    Model,
)
from arbiter_app.pool.price_list import lookup

MAX_ERROR_CHARS = 500
THE_CALLERS = frozenset({Refused.CONTENT, Refused.INVALID, Refused.UNSUPPORTED, Refused.TOO_LONG})
"""Refusals of the request itself, which go back in the runtime's words."""


class EmbeddingRuntime(Protocol):
    """What makes the vectors (`runtime.client.HttpRuntime`)."""

    async def embed(self, payload: bytes, *, texts: int, deadline: float, request_id: str | None = None) -> Reply: ...


class Embeddings:
    """Answers requests for embeddings, each with one decision on record. `recorder` keeps it, `timeout_s` bounds it.

    A model that the catalog has is asked of the runtime that knows it by the name given, or of its cheapest.
    """

    def __init__(
        self,
        runtimes: Mapping[str, EmbeddingRuntime],
        meter: Meter,
        recorder: Recorder,
        standing: Standing,
        spending: Spending,
        ceilings: Ceilings,
        *,
        catalog: Callable[[], Catalog],
        multiplier_of: Callable[[str], float],
        timeout_s: float,
    ) -> None:
        self._runtimes = runtimes
        self._meter = meter
        self._recorder = recorder
        self._standing = standing
        self._spending = spending
        self._ceilings = ceilings
        self._catalog = catalog
        self._multiplier_of = multiplier_of
        self._timeout_s = timeout_s

    async def answer(self, request: ChatRequest) -> Decision:
        """The decision with the runtime's answer. Raises ArbiterError; a failure is on record by then."""
        decision = new_decision(request, timeout_s=self._timeout_s)
        decision.mode, decision.reason = Mode.EMBEDDING, "passed to the model that was named"
        decision.reservation = self._spending.begin(request)
        try:
            decision.timing.enter("call_ms")
            with decision.timing.waiting():
                decision.completion = await self._asked(decision, request)
            decision.timing.enter("")
            await self._recorder.record(decision)
        except BaseException as error:
            await self._recorder.ended(decision, error)
            raise
        return decision

    async def _asked(self, decision: Decision, request: ChatRequest) -> Completion:
        name, started = request.pin or "", time.perf_counter()
        if request.caller.models is not None and name not in request.caller.models:
            raise Forbidden(f"this API key may not use {quoted(name)}", code="model_not_allowed", param="model")
        at = self._at(name)
        shown = at.runtime if len(self._runtimes) > 1 else ""
        if decision.reservation is not None:
            most = self._ceilings.tokens_pico(request.body_bytes, at.model)
            if not await decision.reservation.cover(most):
                raise decision.reservation.exceeded(most)
        try:
            reply = await self._runtimes[at.runtime].embed(
                request.as_it_came, texts=request.texts, deadline=decision.deadline, request_id=request.request_id
            )
        except RuntimeFault as fault:
            took_ms = (time.perf_counter() - started) * 1000
            said = fault.message[:MAX_ERROR_CHARS]
            decision.attempts.append(Attempt(name, fault.status, said, took_ms, UNKNOWN_COST, shown))
            self._standing.note(at.runtime, fault.means, name, fault.message)
            raise _told(decision, name, fault) from fault
        if self._standing.refused:
            self._standing.served(at.runtime)
        took_ms = (time.perf_counter() - started) * 1000
        usage = self._meter.usage_of(reply.json, request.body_bytes)
        model = at.model
        cost = self._meter.cost_with_usage(
            reply.headers, reply.json, usage, model, multiplier=self._multiplier_of(model.id)
        )
        if not model.priced and not cost.measured:
            cost = UNKNOWN_COST
        decision.attempts.append(Attempt(name, 200, "", took_ms, cost, shown))
        return Completion(
            model=name,
            body={key: reply.json[key] for key in ("model", "usage") if key in reply.json},
            text="",
            tool_calls=[],
            usage=usage,
            cost=cost,
            latency_ms=took_ms,
            first_byte_ms=reply.first_byte_ms,
            raw=reply.body,
            large=True,
            hold=reply.hold,
            runtime=shown,
        )

    def _at(self, name: str) -> Deployment:
        """Where the model is, at its price there: the catalog's, or the price list's."""
        catalog = self._catalog()
        model_id = catalog.resolve(name)
        if model_id in catalog.models:
            several = catalog.at(model_id)
            return next((at for at in several if at.model.sent == name), several[0])
        known = lookup(name)
        price_from = "unknown" if known.input_usd is None else "library"
        return Deployment(name, DEFAULT_RUNTIME, Model(name, known.input_usd or 0.0, 0.0, None, price_from=price_from))


def _told(decision: Decision, name: str, fault: RuntimeFault) -> ArbiterError:
    """What the caller hears: there is no other model to ask."""
    if fault.means is Refused.GONE:
        return ModelNotFound(f"the runtime does not serve the model {name}: {fault.message}", param="model")
    if fault.refusal is not None and fault.means in THE_CALLERS:
        return rejected(fault.refusal)
    return exhausted(decision, [fault])
