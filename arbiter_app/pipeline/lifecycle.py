"""One request through the six stages. Read this file first.

    classify -> filter -> route -> call -> grade -> learn

`answer` serves a plain request, `stream` a streamed one; both decide, settle and fail in the same methods. Whatever
happens to a request, exactly one decision record is written.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol, TypeVar

import orjson

from arbiter_app.pipeline.cache import Cached, ResponseCache, keys_of
from arbiter_app.pipeline.call import Calls, Opened
from arbiter_app.pipeline.classify import Classifier
from arbiter_app.pipeline.decision import Cascade, Decision, new_decision
from arbiter_app.pipeline.errors import ArbiterError, DeadlineExceeded, InternalError, RuntimeUnavailable
from arbiter_app.pipeline.grade import grade
from arbiter_app.pipeline.learn import Learner
from arbiter_app.pipeline.meaning import MeaningIndex
from arbiter_app.pipeline.ports import NotDurable, RuntimeFault
from arbiter_app.pipeline.relay import DONE, Assembler, Relay, error_frame, last_chunk, replayed
from arbiter_app.pipeline.route import Router
from arbiter_app.pipeline.types import (
    ChatRequest,
    Classification,
    Completion,
    Cost,
    CostState,
    Eligible,
    Grade,
    Json,
    Mode,
)
from arbiter_app.policy.values import value

log = logging.getLogger("arbiter.lifecycle")

T = TypeVar("T")


class Estimates(Protocol):
    """What the filter and the savings estimate need to know of catalog, tokens and learned means."""

    def eligible(self, decision: Decision) -> Eligible: ...

    def tokens_out(self, decision: Decision) -> int: ...

    def baseline_pico(self, decision: Decision) -> int | None: ...

    def beyond_pico(self, decision: Decision) -> int | None: ...

    def learned(self, decision: Decision) -> None: ...


@value
class Streamed:
    """A streamed answer: the decision so far (model and task are known), and the frames still to come."""

    decision: Decision
    frames: AsyncIterator[bytes]


class Lifecycle:
    """The six stages in order, over parts that the composition root chose."""

    def __init__(
        self,
        *,
        classifier: Classifier,
        estimates: Estimates,
        router: Router,
        calls: Calls,
        learner: Learner,
        cache: ResponseCache | None,
        meaning: MeaningIndex | None,
        assembler: Callable[[], Assembler],
        judge: Callable[[Decision], None],
        wants_judge: Callable[[Decision], bool],
        timeout_s: float,
        cascade_below: float,
    ) -> None:
        self._classifier = classifier
        self._estimates = estimates
        self._router = router
        self._calls = calls
        self._learner = learner
        self._cache = cache
        self._meaning = meaning
        self._assembler = assembler
        self._judge = judge
        self._wants_judge = wants_judge
        self._timeout_s = timeout_s
        self._cascade_below = cascade_below
        self.ending = ""
        """Why requests are cut off, once the process ends; empty before."""

    async def answer(self, request: ChatRequest) -> tuple[Decision, Json]:
        """A plain answer: the decision and the runtime's body. Raises ArbiterError; a failure is on record by then."""
        decision = self._begin(request)
        await self._recorded(decision, self._answered(decision))
        return decision, decision.completion.body if decision.completion else {}

    async def stream(self, request: ChatRequest) -> Streamed:
        """A streamed answer, returned once the first byte has come. Raises ArbiterError before that."""
        decision = self._begin(request)
        return Streamed(decision, await self._recorded(decision, self._opened(decision)))

    async def _answered(self, decision: Decision) -> None:
        """All six stages."""
        hit = await self._decide(decision)
        if hit is None:
            call = self._calls.complete(decision, self._router.order(decision))
            decision.completion = await self._called(decision, call)
            self._grade(decision)
            await self._escalate(decision)
        await self._settle(decision)

    async def _opened(self, decision: Decision) -> AsyncIterator[bytes]:
        """The stages up to the first byte; iterating goes through the others."""
        hit = await self._decide(decision)
        if hit is not None:
            return self._replay(decision)
        opened = await self._called(decision, self._calls.open(decision, self._router.order(decision)))
        return self._relay(decision, opened)

    def _begin(self, request: ChatRequest) -> Decision:
        decision = new_decision(request, timeout_s=self._timeout_s)
        decision.cache_keys = keys_of(request) if self._cache is not None else None
        decision.cache = "off" if decision.cache_keys is None else "miss"
        return decision

    async def _decide(self, decision: Decision) -> Cached | None:
        """Stages 1 to 3, or a cached answer in their place after stage 1."""
        timing, started = decision.timing, time.perf_counter()
        seen = self._classifier.try_rules(decision.request) or await self._ask_classifier(decision)
        decision.classification = seen
        timing.classify_ms = _ms_since(started)
        hit = await self._cached(decision)
        if hit is not None:
            _serve_cached(decision, *hit)
            return hit[0]
        started = time.perf_counter()
        decision.eligible = self._estimates.eligible(decision)
        timing.filter_ms = _ms_since(started)
        started = time.perf_counter()
        self._router.route(decision, seen, decision.eligible, tokens_out=self._estimates.tokens_out(decision))
        timing.route_ms = _ms_since(started)
        return None

    async def _cached(self, decision: Decision) -> tuple[Cached, float] | None:
        """A kept answer to the same or a near-identical prompt, or (where configured) to one of the same meaning."""
        keys = decision.cache_keys
        if self._cache is None or keys is None or decision.classification is None:
            return None
        hit = self._cache.get(keys, time.monotonic())
        if hit is not None or self._meaning is None:
            return hit
        started = time.perf_counter()
        decision.vector = await self._meaning.vector(decision.classification.task, decision.request.ask)
        decision.timing.waited_ms += _ms_since(started)
        found = self._meaning.nearest(keys.shape, decision.vector) if decision.vector is not None else None
        kept = self._cache.at(found[0], time.monotonic()) if found is not None else None
        return None if found is None or kept is None else (kept, found[1])

    async def _called(self, decision: Decision, call: Awaitable[T]) -> T:
        """Stage 4: the outcome of a call; its time counts whatever comes of it."""
        started = time.perf_counter()
        try:
            return await call
        finally:
            decision.timing.call_ms += _ms_since(started)

    def _grade(self, decision: Decision) -> None:
        if decision.classification is not None and decision.completion is not None:
            started = time.perf_counter()
            decision.grade = grade(decision.request, decision.classification, decision.completion)
            decision.timing.grade_ms += _ms_since(started)

    async def _escalate(self, decision: Decision) -> None:
        """The cascade: an objective check that failed the answer sends the request once to a stronger model."""
        quality, cheap = decision.grade.quality, decision.completion
        if quality is None or cheap is None or quality >= self._cascade_below:
            return
        stronger = self._router.stronger(decision)
        if stronger is None:
            return
        failed = Cascade(cheap, decision.grade)
        try:
            decision.completion = await self._called(decision, self._calls.complete(decision, (stronger,)))
        except ArbiterError as error:
            log.info("escalation failed, the first answer stands", extra={"decision": decision.id, "error": error.code})
            return
        decision.cascade = failed
        decision.mode = Mode.ESCALATE
        decision.reason = f"{cheap.model} failed its check ({failed.grade.reason}); escalated to {stronger}"
        self._grade(decision)

    async def _settle(self, decision: Decision) -> None:
        """Stage 6 and what follows an answer: durable record first, then cache and judge."""
        decision.baseline_pico = self._estimates.baseline_pico(decision)
        decision.beyond_pico = self._estimates.beyond_pico(decision)
        decision.judge_pending = self._wants_judge(decision)
        self._estimates.learned(decision)
        self._router.served(decision)
        await self._record(decision)
        self.keep(decision)
        self._judge(decision)

    async def _record(self, decision: Decision) -> None:
        """Learn, and wait until the record is durable. A database that refuses for long does not hold up answers."""
        try:
            await self._learner.learn(decision)
        except NotDurable as error:
            log.warning("answered before its record was durable: %s", error, extra={"decision": decision.id})
        decision.degraded = self._learner.paused

    def keep(self, decision: Decision) -> None:
        """Offer a finished answer to the response cache (again when a late grade has come)."""
        done, keys = decision.completion, decision.cache_keys
        if self._cache is None or keys is None or done is None or decision.cache != "miss":
            return
        if done.finish_reason not in ("stop", "tool_calls"):
            return
        body = done.raw or orjson.dumps(done.body)
        kept = self._cache.put(keys, body, done.model, decision.grade, time.monotonic())
        if kept and self._meaning is not None and decision.vector is not None:
            self._meaning.keep(keys, decision.vector)

    async def _ask_classifier(self, decision: Decision) -> Classification:
        """The rules were unsure: ask the free model. The wait counts as waiting for a model, not as overhead."""
        started = time.perf_counter()
        try:
            return await self._classifier.classify(decision.request)
        finally:
            decision.timing.waited_ms += _ms_since(started)

    async def _relay(self, decision: Decision, opened: Opened) -> AsyncIterator[bytes]:
        """Stages 4 to 6 of a streamed answer: pass frames on, then grade, learn, and end with `arbiter` and `[DONE]`."""
        relay, request, started = Relay(opened.stream, self._assembler()), decision.request, time.perf_counter()
        try:
            async for frame in relay.frames():
                yield frame
            decision.timing.waited_ms += _ms_since(started)
            decision.completion = self._calls.streamed(decision, opened, relay.body())
            self._grade(decision)
            await self._settle(decision)
            arbiter = decision.public()
        except RuntimeFault as fault:
            self._calls.broke(opened, fault)
            yield await self._broken(decision, opened, relay, _stream_error(opened.model, fault))
            return
        except (asyncio.CancelledError, GeneratorExit):
            self._hung_up(decision, opened, relay)
            raise
        except Exception:
            log.exception("a stream failed inside Arbiter", extra={"decision": decision.id})
            yield await self._broken(decision, opened, relay, _internal(decision))
            return
        finally:
            await opened.stream.aclose()
        yield last_chunk(relay.body(), arbiter, include_usage=request.include_usage) + DONE

    async def _replay(self, decision: Decision) -> AsyncIterator[bytes]:
        """A cached answer as a stream."""
        body = decision.completion.body if decision.completion else {}
        yield b"".join(replayed(body))
        await self._settle(decision)
        yield last_chunk(body, decision.public(), include_usage=decision.request.include_usage) + DONE

    async def _broken(self, decision: Decision, opened: Opened, relay: Relay, error: ArbiterError) -> bytes:
        """Record a stream that broke after its first byte, with what was received; returns its last frame."""
        decision.failed("failed", error.code, error.message)
        decision.completion = self._calls.streamed(decision, opened, relay.body(), aborted=error.message)
        await self._record(decision)
        return error_frame(error)

    def _hung_up(self, decision: Decision, opened: Opened, relay: Relay) -> None:
        """Cut off in mid-stream, mostly by the caller: record what was received, without waiting for the commit."""
        if decision.completion is None:
            why = self._cut_off(decision)
            decision.completion = self._calls.streamed(decision, opened, relay.body(), aborted=why)
            self._learner.learn(decision)

    def _cut_off(self, decision: Decision) -> str:
        """Mark a cancelled request with the reason: its caller left, unless the process ends."""
        why = self.ending or "the caller hung up"
        status, code = ("failed", "draining") if self.ending else ("aborted", "caller_gone")
        decision.failed(status, code, why)
        return why

    async def _recorded(self, decision: Decision, work: Awaitable[T]) -> T:
        """The outcome of some stages; whatever goes wrong in them is on record before the caller hears of it."""
        try:
            return await work
        except ArbiterError as error:
            error.decision_id = decision.id
            decision.failed("failed", error.code, error.message)
            await self._record(decision)
            raise
        except asyncio.CancelledError:
            self._cut_off(decision)
            self._learner.learn(decision)
            raise
        except Exception as error:
            log.exception("a request failed inside Arbiter", extra={"decision": decision.id})
            decision.failed("failed", "internal_error", type(error).__name__)
            await self._record(decision)
            raise _internal(decision) from error


def _ms_since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _serve_cached(decision: Decision, kept: Cached, similarity: float) -> None:
    """Fill in the decision of a cached answer: no model was asked and nothing was charged."""
    body = orjson.loads(kept.body)
    decision.mode, decision.cache, decision.cache_similarity = Mode.CACHE, "hit", similarity
    decision.reason = f"the same prompt was answered by {kept.model} before, graded {kept.grade.quality:.2f}"
    decision.grade = Grade(kept.grade.quality, kept.grade.reason, "cache")
    text = body["choices"][0]["message"].get("content")
    decision.completion = Completion(
        model=kept.model,
        body=body,
        raw=kept.body,
        text=text if isinstance(text, str) else "",
        tool_calls=[],
        usage=None,
        cost=Cost(0, CostState.SETTLED),
        latency_ms=0.0,
        first_byte_ms=0.0,
        finish_reason="stop",
    )


def _stream_error(model: str, fault: RuntimeFault) -> ArbiterError:
    kind = DeadlineExceeded if fault.kind == "timeout" else RuntimeUnavailable
    return kind(f"{model} broke off its answer: {fault.message}")


def _internal(decision: Decision) -> InternalError:
    request_id = decision.request.request_id
    error = InternalError(f"Arbiter failed on this request; the log has the details under {request_id}")
    error.decision_id = decision.id
    return error
