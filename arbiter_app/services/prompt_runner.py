"""One prompt of a calibration on one model, through the same stages as any request: call, grade, learn."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import orjson

from arbiter_app.dialects.openai_chat import parse
from arbiter_app.pipeline.call import Calls
from arbiter_app.pipeline.classify import Classifier
from arbiter_app.pipeline.decision import Decision, new_decision
from arbiter_app.pipeline.errors import ArbiterError, NoCapableModel
from arbiter_app.pipeline.estimates import LearnedEstimates
from arbiter_app.pipeline.graders.calibration import Item, grade_item
from arbiter_app.pipeline.judge import Judge
from arbiter_app.pipeline.learn import Learner
from arbiter_app.pipeline.rules import is_hard
from arbiter_app.pipeline.types import Caller, ChatRequest, Classification, ClassifiedBy, Mode, Role
from arbiter_app.services.requests import RequestService

OPERATOR = Caller("calibration", Role.OPERATOR, "calibration")


def request_of(item: Item, request_id: str) -> ChatRequest:
    """The prompt as a chat request. Raises ArbiterError as the chat route would."""
    return parse(orjson.dumps(item.payload), OPERATOR, request_id)


@dataclass(slots=True)
class Prompt:
    """A prompt, parsed; classified once for all models."""

    item: Item
    request: ChatRequest
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    classification: Classification | None = None


class PromptRunner:
    """Calls one model for one prompt and teaches what came of it."""

    def __init__(
        self,
        *,
        requests: RequestService,
        classifier: Classifier,
        estimates: LearnedEstimates,
        calls: Calls,
        learner: Learner,
        judge: Callable[[], Judge],
        timeout_s: float,
    ) -> None:
        self._requests = requests
        self._classifier = classifier
        self._estimates = estimates
        self._calls = calls
        self._learner = learner
        self._judge = judge
        self._timeout_s = timeout_s

    async def call(self, prompt: Prompt, model: str, outcome_id: str, calibration_id: str) -> Decision:
        """The decision, durable, once there is a place that no caller wants. Only an answered one has the id `outcome_id`: a
        failed call may be made again. Raises ArbiterError when it was not begun, or had to end, as any request has.
        """
        async with self._requests.request() as request:
            await request.admit(OPERATOR, last=True)
            decision = await self._answered(prompt, model, outcome_id, calibration_id)
        return decision

    async def _answered(self, prompt: Prompt, model: str, outcome_id: str, calibration_id: str) -> Decision:
        decision = new_decision(prompt.request, timeout_s=self._timeout_s)
        decision.mode, decision.reason = Mode.CALIBRATE, f"calibration {calibration_id}: every prompt on every model"
        try:
            decision.timing.enter("classify_ms")
            decision.classification = await self._classified(prompt)
            decision.timing.enter("filter_ms")
            decision.eligible = self._estimates.eligible(decision)
            if model not in decision.eligible.models:
                why = decision.eligible.rejected.get(model, "out of the pool")
                raise NoCapableModel(f"{model} cannot serve this prompt: {why}")
            decision.timing.enter("call_ms")
            decision.completion = await self._calls.complete(decision, (model,))
        except ArbiterError as error:
            decision.failed("failed", error.code, error.message)
            await self._learner.learn(decision)
            return decision
        decision.timing.enter("grade_ms")
        await self._grade(prompt, decision)
        decision.id = outcome_id
        self._estimates.learned(decision)
        await self._learner.learn(decision)
        return decision

    async def _classified(self, prompt: Prompt) -> Classification:
        """The operator's word for the task where given, else as any request; what a model was paid for that counts once."""
        async with prompt.lock:
            found = prompt.classification
            if found is None and prompt.item.task is not None:
                hard = is_hard(prompt.request.ask)
                found = Classification(prompt.item.task, hard, ClassifiedBy.RULES, "named by the operator")
            if found is None:
                found = await self._classifier.classify(prompt.request)
            prompt.classification = Classification(found.task, found.hard, found.classified_by, found.rule)
        return found

    async def _grade(self, prompt: Prompt, decision: Decision) -> None:
        done, seen = decision.completion, decision.classification
        if done is None or seen is None:
            return
        decision.grade = grade_item(prompt.item, prompt.request, seen, done)
        if decision.grade.quality is None and not prompt.item.check and done.text.strip():
            said, decision.judge_cost = await self._judge().judge(seen.task, prompt.request.ask, done.text)
            decision.grade = said
