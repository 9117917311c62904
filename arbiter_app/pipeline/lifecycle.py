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

from arbiter_app.pipeline.cache import Cached, Keys, ResponseCache
from arbiter_app.pipeline.call import Calls, Opened
from arbiter_app.pipeline.classify import Classifier
from arbiter_app.pipeline.decision import Cascade, Decision, new_decision
from arbiter_app.pipeline.errors import (
    ArbiterError,
    DeadlineExceeded,
    InternalError,
    RuntimeUnavailable,
    UpstreamRejected,
)
from arbiter_app.pipeline.frames import replayed
from arbiter_app.pipeline.grade import grade
from arbiter_app.pipeline.learn import Learner
from arbiter_app.pipeline.meaning import MeaningIndex
from arbiter_app.pipeline.ports import NotDurable, Refused, RuntimeFault
from arbiter_app.pipeline.relay import DONE, Assembler, Relay, error_frame
from arbiter_app.pipeline.route import Router
from arbiter_app.pipeline.together import Together, Waiting
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

AT_ONCE = 8
"""How many decisions go through a stage side by side, at most, while requests spend most of their time at the models."""
OF_LATE = 0.02
"""Weight of one request in that share of time."""


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
        keys: Callable[[ChatRequest], Keys | None],
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
        self._keys = keys
        self._assembler = assembler
        self._judge = judge
        self._wants_judge = wants_judge
        self._timeout_s = timeout_s
        self._cascade_below = cascade_below
        self._here = 0  # requests
        self._away = 1.0  # the share of their time that they spend at the models
        self._deciding = Together(self._decide_together, most=self._most_decided, crowd=lambda: self._here)
        self._finishing = Together(self._finish_together, most=self._most, crowd=lambda: self._here)
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

    def flush(self) -> None:
        """Learn from and record what was answered and still waits for that: its caller has gone, and the process ends."""
        self._finishing.flush()

    async def _answered(self, decision: Decision) -> None:
        """All six stages."""
        await self._decide(decision)
        if decision.cache != "hit":
            call = self._calls.complete(decision, self._router.order(decision))
            decision.completion = await self._called(decision, call)
        stronger = await self._finish(decision)
        if stronger is not None:
            await self._escalate(decision, stronger)
            await self._finish(decision, final=True)

    async def _opened(self, decision: Decision) -> AsyncIterator[bytes]:
        """The stages up to the first byte; iterating goes through the others."""
        await self._decide(decision)
        if decision.cache == "hit":
            return self._replay(decision)
        opened = await self._called(decision, self._calls.open(decision, self._router.order(decision)))
        return self._relay(decision, opened)

    def _begin(self, request: ChatRequest) -> Decision:
        decision = new_decision(request, timeout_s=self._timeout_s)
        decision.cache_keys = self._keys(request) if self._cache is not None else None
        decision.cache = "off" if decision.cache_keys is None else "miss"
        return decision

    async def _decide(self, decision: Decision) -> None:
        """Stages 1 to 3, or a cached answer in the place of 2 to 4. What takes a wait is done by each for itself."""
        await self._deciding.put(decision)
        if decision.choice is not None or decision.cache == "hit":
            return
        if decision.classification is None:
            decision.classification = await self._ask_classifier(decision)
            self._look_up(decision)
        if decision.cache != "hit" and self._meaning is not None:
            await self._look_up_meaning(decision, self._meaning)
        if decision.cache != "hit":
            self._filter(decision)
            self._route(decision)

    def _decide_together(self, waiting: list[Waiting]) -> None:
        """The same for all that need no wait."""
        waiting = [one for one in waiting if not one.told.done()]
        seen = [one for one in self._each(waiting, self._classify) if one.decision.classification is not None]
        new = [one for one in self._each(seen, self._look_up) if one.decision.cache != "hit"]
        if self._meaning is None:
            self._each(self._each(new, self._filter), self._route)
        for one in waiting:
            one.tell()

    def _classify(self, decision: Decision) -> None:
        """Stage 1 by rules, where they are sure."""
        started = time.perf_counter()
        decision.classification = self._classifier.try_rules(decision.request)
        decision.timing.classify_ms = _ms_since(started)

    def _filter(self, decision: Decision) -> None:
        """Stage 2."""
        started = time.perf_counter()
        decision.eligible = self._estimates.eligible(decision)
        decision.timing.filter_ms = _ms_since(started)

    def _route(self, decision: Decision) -> None:
        """Stage 3."""
        started, seen, eligible = time.perf_counter(), decision.classification, decision.eligible
        if seen is not None and eligible is not None:
            self._router.route(decision, seen, eligible, tokens_out=self._estimates.tokens_out(decision))
        decision.timing.route_ms = _ms_since(started)

    def _look_up(self, decision: Decision) -> None:
        """Serve a kept answer to the same or a near-identical prompt, if there is one."""
        if self._cache is not None and decision.cache_keys is not None:
            hit = self._cache.get(decision.cache_keys, time.monotonic())
            if hit is not None:
                _serve_cached(decision, *hit)

    async def _look_up_meaning(self, decision: Decision, meaning: MeaningIndex) -> None:
        """Serve a kept answer to a prompt of the same meaning, if there is one."""
        keys, seen = decision.cache_keys, decision.classification
        if self._cache is None or keys is None or seen is None:
            return
        started = time.perf_counter()
        decision.vector = await meaning.vector(seen.task, decision.request.ask)
        decision.timing.waited_ms += _ms_since(started)
        found = meaning.nearest(keys.shape, decision.vector) if decision.vector is not None else None
        kept = self._cache.at(found[0], time.monotonic()) if found is not None else None
        if found is not None and kept is not None:
            _serve_cached(decision, kept, found[1])

    async def _called(self, decision: Decision, call: Awaitable[T]) -> T:
        """Stage 4: the outcome of a call; its time counts whatever comes of it."""
        started = time.perf_counter()
        try:
            return await call
        finally:
            decision.timing.call_ms += _ms_since(started)

    def _most(self, waiting: int) -> int:
        """How many of those that wait are done at once: a few, unless requests wait for Arbiter more than for the models.

        Done all at once, all would leave at once, and come back in one burst, with nothing to do before: from the models as
        from their callers. While there is always something to do, that does no harm.
        """
        return AT_ONCE if self._models_are_slower else waiting

    @property
    def _models_are_slower(self) -> bool:
        """Whether requests have spent most of their time at the models, of late."""
        return self._away > 0.5

    def _most_decided(self, waiting: int) -> int:
        """The same; but one, while that may become a probe: nobody else must choose the model before it has begun."""
        return 1 if self._calls.probes_next else self._most(waiting)

    async def _finish(self, decision: Decision, *, final: bool = False) -> str | None:
        """Stages 5 and 6, until the record is durable; or, unless `final`, the stronger model that has to be asked before."""
        decision.settled = True
        stronger = await self._durable(decision, self._finishing.put(decision, final=final))
        if stronger is None:
            self.keep(decision)
            self._judge(decision)
        return stronger

    def _finish_together(self, waiting: list[Waiting]) -> asyncio.Future[str | None] | None:
        """The same for all that were answered. While the models are slower, the next have to wait for the future."""
        ending = []
        for one in self._each(waiting, self._grade):
            stronger = None if one.final or one.told.done() else self._escalates_to(one.decision)
            if stronger is None:
                ending.append(one)
            else:
                one.decision.settled = False
                one.tell(stronger)
        ending = self._each(ending, self._settle)
        if not ending:
            return None
        durable = self._learner.learn(*[one.decision for one in ending], told=[one.told for one in ending])
        for timing in [one.decision.timing for one in ending if one.decision.attempts]:
            self._away += (timing.waited_ms / timing.total_ms - self._away) * OF_LATE
        return durable if self._models_are_slower else None

    def _each(self, waiting: list[Waiting], stage: Callable[[Decision], None]) -> list[Waiting]:
        """Do a stage for all; those with whom it went well."""
        done = []
        for one in waiting:
            try:
                stage(one.decision)
            except Exception as error:  # noqa: BLE001 - `_recorded` tells of it
                self._spoilt(one, error)
            else:
                done.append(one)
        return done

    def _spoilt(self, one: Waiting, error: Exception) -> None:
        """A stage failed: whoever waits puts it on record; where nobody does any more, that is done here."""
        if not one.fail(error) and one.decision.settled:
            log.error("a request failed inside Arbiter", exc_info=error, extra={"decision": one.decision.id})
            one.decision.failed("failed", "internal_error", type(error).__name__)
            self._learner.learn(one.decision)

    def _grade(self, decision: Decision) -> None:
        """Stage 5."""
        if decision.cache != "hit" and decision.classification is not None and decision.completion is not None:
            started = time.perf_counter()
            decision.grade = grade(decision.request, decision.classification, decision.completion)
            decision.timing.grade_ms += _ms_since(started)

    def _escalates_to(self, decision: Decision) -> str | None:
        """The cascade: an objective check that failed the answer sends the request once to a stronger model."""
        quality = decision.grade.quality
        if decision.cache == "hit" or quality is None or quality >= self._cascade_below:
            return None
        return self._router.stronger(decision)

    async def _escalate(self, decision: Decision, stronger: str) -> None:
        """Ask the stronger model; if it fails, the first answer stands."""
        cheap, failed = decision.completion, decision.grade
        try:
            better = await self._called(decision, self._calls.complete(decision, (stronger,)))
        except ArbiterError as error:
            log.info("escalation failed, the first answer stands", extra={"decision": decision.id, "error": error.code})
            return
        if cheap is not None:
            decision.cascade = Cascade(cheap, failed)
            decision.reason = f"{cheap.model} failed its check ({failed.reason}); escalated to {stronger}"
        decision.completion, decision.mode = better, Mode.ESCALATE

    def _settle(self, decision: Decision) -> None:
        """What is known once an answer is graded: what the baseline would have cost, and whether a judge is asked."""
        decision.baseline_pico = self._estimates.baseline_pico(decision)
        decision.beyond_pico = self._estimates.beyond_pico(decision)
        decision.judge_pending = self._wants_judge(decision)
        self._estimates.learned(decision)
        self._router.served(decision)

    async def _record(self, decision: Decision) -> None:
        """Put a failed request on record, and wait until that is durable."""
        decision.settled = True
        await self._durable(decision, self._learner.learn(decision))

    async def _durable(self, decision: Decision, record: Awaitable[T]) -> T | None:
        """The outcome of writing a record. A database that refuses for long does not hold up answers."""
        try:
            return await record
        except NotDurable as error:
            log.warning("ended before its record was durable: %s", error, extra={"decision": decision.id})
            return None
        finally:
            decision.degraded = self._learner.paused

    def keep(self, decision: Decision) -> None:
        """Offer a finished answer to the response cache (again when a late grade has come)."""
        done, keys = decision.completion, decision.cache_keys
        if self._cache is None or keys is None or done is None or decision.cache != "miss":
            return
        if done.large or done.finish_reason not in ("stop", "tool_calls"):
            return
        body = done.raw or orjson.dumps(done.body)
        kept = self._cache.put(keys, body, done.model, decision.grade, time.monotonic())
        if kept and self._meaning is not None and decision.vector is not None:
            self._meaning.keep(keys, decision.vector)

    async def _ask_classifier(self, decision: Decision) -> Classification:
        """The rules were unsure: ask the free model. The wait counts as waiting for a model, not as overhead."""
        started, timing = time.perf_counter(), decision.timing
        try:
            return await self._classifier.classify(decision.request)
        finally:
            waited_ms = _ms_since(started)
            timing.waited_ms, timing.classify_ms = timing.waited_ms + waited_ms, timing.classify_ms + waited_ms

    async def _relay(self, decision: Decision, opened: Opened) -> AsyncIterator[bytes]:
        """Stages 4 to 6 of a streamed answer: pass frames on, then grade, learn, and end with `arbiter` and `[DONE]`."""
        relay, started = Relay(opened.stream, self._assembler(), decision.id), time.perf_counter()
        self._here += 1
        try:
            async for frame in relay.frames():
                yield frame
            decision.timing.waited_ms += _ms_since(started)
            decision.completion = self._calls.streamed(decision, opened, relay.body(), large=relay.large)
            if not relay.whole:
                decision.cache_keys = None  # what is kept has to be the whole answer
            await self._finish(decision, final=True)
            ending = relay.ending(decision.public(), include_usage=decision.request.include_usage)
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
            self._here -= 1
            await opened.stream.aclose()
        yield ending

    async def _replay(self, decision: Decision) -> AsyncIterator[bytes]:
        """A cached answer as a stream."""
        said, frames = replayed(decision.completion.raw if decision.completion else b"{}", decision.id)
        yield said
        await self._finish(decision, final=True)
        yield frames.ending(decision.public(), include_usage=decision.request.include_usage) + DONE

    async def _broken(self, decision: Decision, opened: Opened, relay: Relay, error: ArbiterError) -> bytes:
        """Record a stream that broke after its first byte, with what was received; returns its last frame."""
        decision.failed("failed", error.code, error.message)
        decision.completion = self._calls.streamed(decision, opened, relay.body(), aborted=error.message)
        await self._record(decision)
        return error_frame(error)

    def _hung_up(self, decision: Decision, opened: Opened, relay: Relay) -> None:
        """Cut off in mid-stream, mostly by the caller: record what was received, without waiting for the commit."""
        if not decision.settled:
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
        self._here += 1
        try:
            return await work
        except ArbiterError as error:
            error.decision_id = decision.id
            decision.failed("failed", error.code, error.message)
            await self._record(decision)
            raise
        except asyncio.CancelledError:
            if not decision.settled:
                self._cut_off(decision)
                self._learner.learn(decision)
            raise
        except Exception as error:
            log.exception("a request failed inside Arbiter", extra={"decision": decision.id})
            if not decision.settled:
                decision.failed("failed", "internal_error", type(error).__name__)
                await self._record(decision)
            raise _internal(decision) from error
        finally:
            self._here -= 1


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
    said = f"{model} broke off its answer: {fault.message}"
    if fault.means is Refused.CONTENT:
        return UpstreamRejected(said, status=400, code="content_filter")
    return DeadlineExceeded(said) if fault.kind == "timeout" else RuntimeUnavailable(said)


def _internal(decision: Decision) -> InternalError:
    request_id = decision.request.request_id
    error = InternalError(f"Arbiter failed on this request; the log has the details under {request_id}")
    error.decision_id = decision.id
    return error
