"""One request through the six stages. Read this file first.

    classify -> filter -> route -> call -> grade -> learn

`answer` serves a plain request, `stream` a streamed one. Whatever happens to a request, exactly one decision record is
written; `Recorder.ended` is the one place where failures are handled. Once there is an answer, no trouble in grading, learning or
recording costs the caller that answer.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import AsyncGenerator, Callable, Iterator, Sequence
from dataclasses import dataclass, field

from arbiter_app.pipeline.budget_gate import BudgetGate
from arbiter_app.pipeline.cached_answers import CachedAnswers
from arbiter_app.pipeline.call import Calls, Opened
from arbiter_app.pipeline.cascade import Cascade
from arbiter_app.pipeline.classify import Classifier
from arbiter_app.pipeline.decision import Decision, new_decision
from arbiter_app.pipeline.estimates import LearnedEstimates
from arbiter_app.pipeline.events import Chunk, chunks_of
from arbiter_app.pipeline.grade import grade
from arbiter_app.pipeline.native import NativeEvents
from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.pipeline.record import Recorder
from arbiter_app.pipeline.refused import broken_off
from arbiter_app.pipeline.relay import Assembler, Relay
from arbiter_app.pipeline.route import Router
from arbiter_app.pipeline.types import ChatRequest, Completion
from arbiter_app.pipeline.wishes import Wishes

log = logging.getLogger("arbiter.lifecycle")


@dataclass(slots=True)
class Streamed:
    """A streamed answer: the decision so far (model and task are known), and the chunks still to come, to be closed.

    At their end the decision is complete. `numbers` are for the events of a dialect that counts them.
    """

    decision: Decision
    chunks: AsyncGenerator[Sequence[Chunk]]
    native: NativeEvents | None = None
    """What the chunks were made of, where the runtime speaks the caller's dialect."""
    numbers: Iterator[int] = field(default_factory=itertools.count)
    ping: bytes = b""
    """What tells its caller that the model is still at work, in its dialect; empty while that cannot be told."""


@dataclass(slots=True, kw_only=True)
class Lifecycle:
    """The six stages in order, over parts that the composition root chose."""

    wishes: Wishes
    classifier: Classifier
    estimates: LearnedEstimates
    budgets: BudgetGate
    router: Router
    calls: Calls
    cascade: Cascade
    recorder: Recorder
    kept: CachedAnswers
    assembler: Callable[[], Assembler]
    keep: Callable[[Decision], None]
    beside: Callable[[Decision, Sequence[str]], bool]
    judge: Callable[[Decision], None]
    wants_judge: Callable[[Decision], bool]
    react: Callable[[Decision], None]
    timeout_s: float

    async def answer(self, request: ChatRequest) -> Decision:
        """A plain answer: the decision with its completion. Raises ArbiterError; a failure is on record by then."""
        decision = self._begin(request)
        try:
            if not await self._decide(decision):
                decision.timing.enter("call_ms")
                decision.completion = await self.calls.complete(decision, self.router.order(decision))
                self._grade(decision)
                quality = decision.grade.quality
                if quality is not None and quality < self.cascade.below and await self.cascade.escalate(decision):
                    self._grade(decision)
            await self._learn(decision)
        except BaseException as error:
            await self.recorder.ended(decision, error)
            raise
        return decision

    async def stream(self, request: ChatRequest) -> Streamed:
        """A streamed answer, returned once the first byte has come. Raises ArbiterError before that."""
        decision = self._begin(request)
        try:
            native = None
            if await self._decide(decision):
                chunks = self._replay(decision)
            else:
                decision.timing.enter("call_ms")
                opened = await self.calls.open(decision, self.router.order(decision))
                decision.timing.enter("")
                chunks, native = self._relay(decision, opened), opened.stream.native
        except BaseException as error:
            await self.recorder.ended(decision, error)
            raise
        await anext(chunks)  # it has begun, so that closing it records the decision and ends the call
        return Streamed(decision, chunks, native)

    def _begin(self, request: ChatRequest) -> Decision:
        decision = new_decision(self.wishes.applied(request), timeout_s=self.timeout_s)
        if self.budgets.spending.limited:
            decision.reservation = self.budgets.spending.begin(request)
        if not request.no_cache:
            self.kept.begin(decision)
        return decision

    async def _decide(self, decision: Decision) -> bool:
        """Stages 1 to 3; or a kept answer in the place of 2 to 4: then True."""
        timing = decision.timing
        timing.enter("classify_ms")
        seen = self.classifier.try_rules(decision.request)
        if seen is None:  # a free model is asked, and the wait counts as waiting for a model
            with timing.waiting():
                if decision.reservation is None or await self.budgets.may_ask(decision.reservation):
                    seen = await self.classifier.classify(decision.request)
                else:
                    seen = self.classifier.unasked(decision.request, "the budgets leave nothing for asking a model")
        decision.classification = seen
        if decision.cache_keys is not None:
            timing.enter("")
            if await self.kept.look_up(decision):
                return True
        timing.enter("filter_ms")
        decision.eligible = eligible = self.estimates.eligible(decision)
        if decision.reservation is not None:
            decision.eligible = eligible = await self.budgets.within(decision, decision.reservation, eligible)
        timing.enter("route_ms")
        self.router.route(decision, seen, eligible, tokens_out=self.estimates.tokens_out(decision))
        return False

    def _grade(self, decision: Decision) -> None:
        """Stage 5."""
        if decision.classification is not None and decision.completion is not None:
            decision.timing.enter("grade_ms")
            decision.grade = grade(decision.request, decision.classification, decision.completion)

    async def _learn(self, decision: Decision) -> None:
        """Stage 6, until the record is durable; then what is done with a finished answer."""
        try:
            decision.baseline_pico = self.estimates.baseline_pico(decision)
            decision.beyond_pico = self.estimates.beyond_pico(decision)
            decision.judge_pending = self.wants_judge(decision)
            self.estimates.learned(decision)
            self.router.served(decision)
        except Exception:
            log.exception("an answer was not learned from", extra={"decision": decision.id})
        try:
            await self.recorder.record(decision)
            if decision.cache_keys is not None:
                self.kept.keep(decision)
            self.keep(decision)
            self.react(decision)
            shadows = decision.choice.shadows if decision.choice is not None else ()
            if not shadows or not self.beside(decision, shadows):
                self.judge(decision)
        except Exception:
            log.exception("an answer was not recorded", extra={"decision": decision.id})

    async def _relay(self, decision: Decision, opened: Opened) -> AsyncGenerator[Sequence[Chunk]]:
        """Stages 4 to 6 of a streamed answer: hand it on, then grade and learn."""
        relay = Relay(opened.stream, self.assembler())

        def so_far(why: str) -> Completion:
            return self.calls.streamed(decision, opened, relay.body(), aborted=why)

        try:
            yield ()
            try:
                with decision.timing.waiting():
                    async for chunks in relay.chunks():
                        yield chunks
            except RuntimeFault as fault:
                self.calls.broke(opened, fault)
                raise broken_off(opened.model, fault) from fault
            decision.completion = self.calls.streamed(decision, opened, relay.body(), large=relay.large)
            if not relay.whole:
                decision.cache_keys = None  # what is kept has to be the whole answer
            self._grade(decision)
            await self._learn(decision)
        except BaseException as error:
            await self.recorder.ended(decision, error, so_far)
            raise
        finally:
            await opened.stream.aclose()

    async def _replay(self, decision: Decision) -> AsyncGenerator[Sequence[Chunk]]:
        """A kept answer as a stream."""
        try:
            yield ()
            yield chunks_of(decision.completion.raw if decision.completion else b"{}")
            await self._learn(decision)
        except BaseException as error:
            await self.recorder.ended(decision, error)
            raise
