"""Stage 4: ask the chosen model, fail over to the next best, and read what came back.

The payload goes out unchanged apart from `model` (and, streamed, the request for usage). A model that fails is
quarantined and the next one tried, at most `max_attempts`, inside one deadline, and never after the first byte has
gone to the caller. The caller's own mistakes go back as they came and quarantine nobody.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol, TypeVar

import orjson

from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import (
    ArbiterError,
    DeadlineExceeded,
    OutOfCredit,
    RateLimited,
    RuntimeUnavailable,
    UpstreamRejected,
)
from arbiter_app.pipeline.health import Health
from arbiter_app.pipeline.ports import Reply, ReplyStream, Runtime, RuntimeFault
from arbiter_app.pipeline.types import UNKNOWN_COST, Attempt, Completion, Cost, Json, Model, Usage
from arbiter_app.policy.values import value

T = TypeVar("T")

FAILOVER_STATUSES = frozenset({401, 402, 403, 408, 409, 425, 429})


class Meter(Protocol):
    """Reads usage and charge out of an answer (`runtime.cost`)."""

    def cost_of(
        self,
        headers: Mapping[str, str],
        body: Json,
        model: Model,
        *,
        multiplier: float = 1.0,
        learned_usd: float | None = None,
    ) -> Cost: ...

    def usage_of(self, body: Json) -> Usage | None: ...


@value
class Opened:
    """A stream whose first byte has arrived: no failover after this point."""

    model: str
    stream: ReplyStream
    started: float


class Calls:
    """Calls models for decisions. `model_of` looks up the catalog, `multiplier_of` the demo price override."""

    def __init__(
        self,
        runtime: Runtime,
        health: Health,
        meter: Meter,
        *,
        model_of: Callable[[str], Model],
        multiplier_of: Callable[[str], float],
        learned_usd: Callable[[str, str], float | None],
        max_attempts: int,
    ) -> None:
        self._runtime = runtime
        self._health = health
        self._meter = meter
        self._model_of = model_of
        self._multiplier_of = multiplier_of
        self._learned_usd = learned_usd
        self._max_attempts = max_attempts

    @property
    def probes_next(self) -> bool:
        """Whether a call may be the probe of a model: until that has begun, nobody else must choose the model."""
        return self._health.probes_next(time.monotonic())

    async def complete(self, decision: Decision, order: Sequence[str]) -> Completion:
        """A whole answer of the first model in `order` that gives one; every attempt is noted on the decision."""

        async def send(model: str) -> Completion:
            started = time.perf_counter()
            reply = await self._runtime.complete(self._payload(decision, model), deadline=decision.deadline)
            return self._read(decision, model, reply, started)

        completion = await self._first_success(decision, order, send)
        decision.attempts.append(_success(completion))
        return completion

    async def open(self, decision: Decision, order: Sequence[str]) -> Opened:
        """A stream of the first model in `order` that sends a first byte."""

        async def send(model: str) -> Opened:
            started = time.perf_counter()
            stream = await self._runtime.stream(self._payload(decision, model), deadline=decision.deadline)
            return Opened(model, stream, started)

        return await self._first_success(decision, order, send)

    def streamed(self, decision: Decision, opened: Opened, body: Json, aborted: str = "") -> Completion:
        """The completion of a stream that has ended (`body` assembled from its chunks), or was cut (`aborted`)."""
        stream, took_ms = opened.stream, (time.perf_counter() - opened.started) * 1000
        choice, first_byte_ms = _first_choice(body), stream.first_byte_ms
        completion = self._completion(
            decision, opened.model, stream.headers, body, choice, took_ms, first_byte_ms, aborted=aborted
        )
        decision.attempts.append(_success(completion) if not aborted else _cut(completion, aborted))
        return completion

    def broke(self, opened: Opened, fault: RuntimeFault) -> None:
        """The stream broke after its first byte: the model rests, though nobody else can take over."""
        self._health.failed(opened.model, time.monotonic(), fault.message, fault.retry_after_s)

    def _payload(self, decision: Decision, model: str) -> bytes:
        request = decision.request
        if not request.stream:
            return orjson.dumps({**request.payload, "model": model})
        options = {**(request.payload.get("stream_options") or {}), "include_usage": True}
        return orjson.dumps({**request.payload, "model": model, "stream": True, "stream_options": options})

    async def _first_success(self, decision: Decision, order: Sequence[str], send: Callable[[str], Awaitable[T]]) -> T:
        faults: list[RuntimeFault] = []
        for model in order[: self._max_attempts]:
            if time.monotonic() >= decision.deadline:
                break
            self._health.begin(model)
            started = time.perf_counter()
            try:
                answer = await send(model)
            except RuntimeFault as fault:
                decision.timing.waited_ms += (time.perf_counter() - started) * 1000
                self._note(decision, model, fault, started)
                faults.append(fault)
            except BaseException:
                self._health.released(model)
                raise
            else:
                decision.timing.waited_ms += (time.perf_counter() - started) * 1000
                self._health.succeeded(model)
                return answer
        raise _exhausted(decision, faults)

    def _note(self, decision: Decision, model: str, fault: RuntimeFault, started: float) -> None:
        """Put a failed attempt on record; raises UpstreamRejected when the mistake is the caller's."""
        took_ms = (time.perf_counter() - started) * 1000
        decision.attempts.append(Attempt(model, fault.status, fault.message, took_ms, UNKNOWN_COST))
        if 400 <= fault.status < 500 and fault.status not in FAILOVER_STATUSES:
            self._health.released(model)
            raise _rejected(model, fault)
        self._health.failed(model, time.monotonic(), fault.message, fault.retry_after_s)
        decision.failover_from.append(model)

    def _read(self, decision: Decision, model: str, reply: Reply, started: float) -> Completion:
        choice = _first_choice(reply.json)
        if choice is None:
            raise RuntimeFault("protocol", f"{model}: the answer has no choices")
        took_ms, raw = (time.perf_counter() - started) * 1000, reply.body.rstrip()
        return self._completion(
            decision, model, reply.headers, reply.json, choice, took_ms, reply.first_byte_ms, raw=raw
        )

    def _completion(
        self,
        decision: Decision,
        model: str,
        headers: Mapping[str, str],
        body: Json,
        choice: Json | None,
        took_ms: float,
        first_byte_ms: float,
        *,
        aborted: str = "",
        raw: bytes = b"",
    ) -> Completion:
        cost = self._meter.cost_of(
            headers,
            body,
            self._model_of(model),
            multiplier=self._multiplier_of(model),
            learned_usd=self._learned_usd(decision.bucket, model),
        )
        message, finish_reason = (choice["message"], choice.get("finish_reason")) if choice is not None else ({}, None)
        return Completion(
            model=model,
            body=body,
            text=_text(message.get("content")),
            tool_calls=_tool_calls(message),
            usage=self._meter.usage_of(body),
            cost=cost,
            latency_ms=took_ms,
            first_byte_ms=first_byte_ms,
            finish_reason=finish_reason if isinstance(finish_reason, str) else None,
            aborted=aborted,
            raw=raw,
        )


def _success(completion: Completion) -> Attempt:
    return Attempt(completion.model, 200, "", completion.latency_ms, completion.cost)


def _cut(completion: Completion, aborted: str) -> Attempt:
    return Attempt(completion.model, 200, aborted, completion.latency_ms, completion.cost)


def _first_choice(body: Json) -> Json | None:
    """The first choice of an answer, if it has one with a message in it."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    message = first.get("message") if isinstance(first, dict) else None
    return first if message and isinstance(message, dict) else None


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return ""


def _tool_calls(message: Json) -> list[Json]:
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _rejected(model: str, fault: RuntimeFault) -> UpstreamRejected:
    return UpstreamRejected(f"{model} refused the request: {fault.message}", status=fault.status, raw=fault.body)


def _exhausted(decision: Decision, faults: Sequence[RuntimeFault]) -> ArbiterError:
    """The error for the caller when no model answered, named after what the models said."""
    tried = ", ".join(f"{one.model} ({one.error})" for one in decision.attempts if one.error) or "none"
    if time.monotonic() >= decision.deadline:
        return DeadlineExceeded(f"no model answered before the deadline; tried: {tried}")
    statuses = {fault.status for fault in faults}
    if 402 in statuses:
        return OutOfCredit(f"the runtime is out of credit; tried: {tried}")
    if statuses == {429}:
        waits = [fault.retry_after_s for fault in faults if fault.retry_after_s is not None]
        return RateLimited(
            f"the runtime limits its rate; tried: {tried}",
            code="runtime_rate_limited",
            retry_after_s=min(waits, default=1.0),
        )
    return RuntimeUnavailable(f"no model answered; tried: {tried}")
