"""Embeddings: passed to the model that is named, once, recorded and priced. Nothing is chosen, graded or learned.

Vectors of different models do not mix, so that no other model can stand in for one that fails. The record is a decision of the mode
`embedding`, without a task: reports show what it cost on both sides of the saving, and claim none.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from arbiter_app.catalog import Catalog
from arbiter_app.pipeline.call import Meter
from arbiter_app.pipeline.completions import without_own_bytes
from arbiter_app.pipeline.decision import Decision, new_decision
from arbiter_app.pipeline.errors import ArbiterError, ModelNotFound
from arbiter_app.pipeline.ports import Refused, Reply, RuntimeFault
from arbiter_app.pipeline.record import Recorder
from arbiter_app.pipeline.refused import exhausted, rejected
from arbiter_app.pipeline.standing import Standing
from arbiter_app.pipeline.types import UNKNOWN_COST, Attempt, ChatRequest, Completion, Mode, Model
from arbiter_app.pool.price_list import lookup

MAX_ERROR_CHARS = 500
THE_CALLERS = frozenset({Refused.CONTENT, Refused.INVALID, Refused.UNSUPPORTED, Refused.TOO_LONG})
"""Refusals of the request itself, which go back in the runtime's words."""


class EmbeddingRuntime(Protocol):
    """What makes the vectors (`runtime.client.HttpRuntime`)."""

    async def embed(self, payload: bytes, *, deadline: float, request_id: str | None = None) -> Reply: ...


class Embeddings:
    """Answers requests for embeddings, each with one decision on record. `recorder` keeps it, `timeout_s` bounds it."""

    def __init__(
        self,
        runtime: EmbeddingRuntime,
        meter: Meter,
        recorder: Recorder,
        standing: Standing,
        *,
        catalog: Callable[[], Catalog],
        multiplier_of: Callable[[str], float],
        timeout_s: float,
    ) -> None:
        self._runtime = runtime
        self._meter = meter
        self._recorder = recorder
        self._standing = standing
        self._catalog = catalog
        self._multiplier_of = multiplier_of
        self._timeout_s = timeout_s

    async def answer(self, request: ChatRequest) -> Decision:
        """The decision with the runtime's answer. Raises ArbiterError; a failure is on record by then."""
        decision = new_decision(request, timeout_s=self._timeout_s)
        decision.mode, decision.reason = Mode.EMBEDDING, "passed to the model that was named"
        async with self._recorder.guard(decision):
            decision.timing.enter("call_ms")
            with decision.timing.waiting():
                decision.completion = await self._asked(decision, request)
            decision.timing.enter("")
            await self._recorder.record(decision)
        return decision

    async def _asked(self, decision: Decision, request: ChatRequest) -> Completion:
        name, started = request.pin or "", time.perf_counter()
        try:
            reply = await self._runtime.embed(
                request.as_it_came, deadline=decision.deadline, request_id=request.request_id
            )
        except RuntimeFault as fault:
            took_ms = (time.perf_counter() - started) * 1000
            said = fault.message[:MAX_ERROR_CHARS]
            decision.attempts.append(Attempt(name, fault.status, said, took_ms, UNKNOWN_COST))
            self._standing.note(fault.means, name, fault.message)
            raise _told(decision, name, fault) from fault
        if self._standing.refused:
            self._standing.served()
        took_ms = (time.perf_counter() - started) * 1000
        usage = self._meter.usage_of(reply.json, request.body_bytes)
        model = self._model(name)
        cost = self._meter.cost_with_usage(
            reply.headers, reply.json, usage, model, multiplier=self._multiplier_of(model.id)
        )
        if not model.priced and not cost.measured:
            cost = UNKNOWN_COST
        decision.attempts.append(Attempt(name, 200, "", took_ms, cost))
        return Completion(
            model=name,
            body={key: reply.json[key] for key in ("model", "usage") if key in reply.json},
            text="",
            tool_calls=[],
            usage=usage,
            cost=cost,
            latency_ms=took_ms,
            first_byte_ms=reply.first_byte_ms,
            raw=without_own_bytes(reply.body),
            large=True,
            hold=reply.hold,
        )

    def _model(self, name: str) -> Model:
        """The model at its price: the catalog's, or the price list's."""
        catalog = self._catalog()
        found = catalog.models.get(catalog.resolve(name))
        if found is not None:
            return found
        known = lookup(name)
        return Model(
            name, known.input_usd or 0.0, 0.0, None, price_from="unknown" if known.input_usd is None else "library"
        )


def _told(decision: Decision, name: str, fault: RuntimeFault) -> ArbiterError:
    """What the caller hears: there is no other model to ask."""
    if fault.means is Refused.GONE:
        return ModelNotFound(f"the runtime does not serve the model {name}: {fault.message}", param="model")
    if fault.refusal is not None and fault.means in THE_CALLERS:
        return rejected(fault.refusal)
    return exhausted(decision, [fault])
