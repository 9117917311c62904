"""Trials in the shadow: once a caller's answer has gone, the models that the policy named are asked the same, to learn.

They have places and a pace of their own and give way to everything else: while callers wait, many are in work, the event loop is
late, the store takes no writes, or the process ends, nothing is asked beside. Trials then serve callers, so that learning goes on
under any load (`trials`). Each model is asked once, of one deployment; what comes of it is on record under the answer's decision,
and the answer itself is dropped once it is graded.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Protocol

from arbiter_app.metrics import Metrics
from arbiter_app.pipeline.beside import answer_kept_from_shadows, bare, plain
from arbiter_app.pipeline.call import Calls
from arbiter_app.pipeline.decision import Decision, new_decision
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.estimates import LearnedEstimates
from arbiter_app.pipeline.grade import grade
from arbiter_app.pipeline.learn import Learner
from arbiter_app.pipeline.ports import Spending
from arbiter_app.pipeline.types import ChatRequest, Mode
from arbiter_app.policy import Policy, Trials
from arbiter_app.services.admission import Admission
from arbiter_app.services.judging import Judging

log = logging.getLogger("arbiter.shadows")

WAITING = 64
"""Answers beside which models are still to be asked, at most ..."""
WAITING_BYTES = 16_000_000
"""... and the bytes of their requests ..."""
WAIT_S = 0.5
"""... and how long the next one would wait for its turn: what is learned late teaches nothing of the requests meanwhile ..."""
CHOSEN = 2.0
"""... times this once its answer is there, since it was no trial; and as much again where that has a grade, and needs no judge."""
BUSY_SHARE = 0.5
"""Of the places for requests: with more of them taken, nothing is asked beside."""
LATE_S = 0.05
"""The event loop is late by more than that: nothing is asked beside for a second ..."""
TURN_LATE_S = 0.005
"""... and by more than that, the pace halves ..."""
SLOWEST = 32.0
"""... until this many times as much lies between two ..."""
CALM_S = 5.0
"""... and is forgotten once nothing was asked for so long."""
CLOSE_S = 5.0
HEADROOM = 1.5
"""How many times its expected cost a call may come to, for the budget to hold all the same."""
UNMEASURED_S = 3_600.0
"""How long a model is not asked beside whose charge could not be measured: nobody could keep to a budget."""
OVERLOAD = frozenset({"busy", "late", "full"})
"""Why nothing is asked beside while there is too much to do."""


class Way(Protocol):
    """How much is in work (`services.requests.RequestService`)."""

    admission: Admission
    draining: bool


@dataclass(slots=True)
class Trial:
    """An answer that has gone, and the models that are to be asked the same."""

    served: Decision
    request: ChatRequest
    models: Sequence[str]


class Shadows:
    """Asks models beside answers: `at_once` calls at most, `per_s` of them a second."""

    def __init__(
        self,
        *,
        at_once: int,
        per_s: float,
        timeout_s: float,
        policy: Policy,
        calls: Calls,
        estimates: LearnedEstimates,
        learner: Learner,
        judging: Judging,
        spending: Spending,
        metrics: Metrics,
        way: Callable[[], Way],
    ) -> None:
        self._slower = 1.0
        self._closing = asyncio.Event()
        self._places = asyncio.Semaphore(at_once)
        self._every_s = 1.0 / per_s
        self._timeout_s = timeout_s
        self._policy = policy
        self._calls = calls
        self._estimates = estimates
        self._learner = learner
        self._judging = judging
        self._spending = spending
        self._metrics = metrics
        self._way = way
        self._next_at = self._late_s = 0.0
        self._late_at = -LATE_S
        self._pledged_usd = 0.0
        self._unmeasured: dict[str, float] = {}
        self._waiting: dict[str, int] = {}
        self._backlog = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._asking = 0

    @property
    def pending(self) -> int:
        """How many calls are under way."""
        return self._asking

    def trials(self, request: ChatRequest) -> Trials:
        """How a request may be used to learn just now: beside its answer; where there is no room for that, by serving its caller,
        so that learning never stops; not at all where nothing can be learned."""
        why = self._busy() or self._full(request.body_bytes)
        if why in OVERLOAD:
            return Trials.SERVED
        return Trials.NONE if why else Trials.SHADOW

    def take(self, decision: Decision, wanted: Sequence[str]) -> bool:
        """Ask these beside an answer that is on record, once the task that serves it has ended, and its last byte is sent with that; it
        is graded with them then. False where none is to be asked."""
        tried = {attempt.model for attempt in decision.attempts}
        models = [model for model in wanted if model not in tried]
        if not models:
            return False
        why = answer_kept_from_shadows(decision) and "answer" or self._busy()
        times = CHOSEN if decision.grade.quality is None else CHOSEN**2
        why = why or self._full(decision.request.body_bytes, times)
        if why:
            self._drop(why, len(models))
            return False
        self._waiting[decision.id] = decision.request.body_bytes
        self._backlog += len(models)
        trial = Trial(decision, plain(decision.request), models)
        serving = asyncio.current_task()
        if serving is None:
            self._begin(trial)
        else:
            serving.add_done_callback(lambda _: self._begin(trial))
        return True

    async def settled(self) -> None:
        """Wait until nothing is asked, and nothing waits to be."""
        while self._tasks or self._waiting:
            await asyncio.gather(*self._tasks, asyncio.sleep(0), return_exceptions=True)

    async def close(self) -> None:
        """Begin nothing more, and give what is under way a short while."""
        self._closing.set()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def forget(self) -> None:
        """Every model's charge may be measured (operator reset)."""
        self._unmeasured.clear()

    def _begin(self, trial: Trial) -> None:
        task = asyncio.get_running_loop().create_task(self._run(trial), name=f"beside {trial.served.id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, trial: Trial) -> None:
        """Ask all, then have them graded together."""
        try:
            asked = await asyncio.gather(*(self._in_turn(trial, model) for model in trial.models))
            answered = [one for one in asked if one is not None and one.completion is not None]
        except Exception:
            # Nobody would hear of a defect of ours in the background.
            log.exception("asking beside an answer failed", extra={"decision": trial.served.id})
            return
        finally:
            self._waiting.pop(trial.served.id, None)
        try:
            if answered:
                await self._judging.beside(trial.served, answered)
            else:
                self._judging.follow(trial.served)
        except Exception:
            log.exception("answers asked beside another were not graded", extra={"decision": trial.served.id})

    async def _in_turn(self, trial: Trial, model: str) -> Decision | None:
        """Wait for a place and for the pace; then ask, where that still may be."""
        async with self._places:
            try:
                await self._paced()
            finally:
                self._backlog -= 1
            usd = self._reserve_usd(trial.served, model)
            why = self._busy() or self._beyond(trial.served.bucket, model, usd)
            if why:
                self._drop(why, 1)
                return None
            with self._pledged(usd):
                return await self._ask(trial, model)

    async def _paced(self) -> None:
        """Wait for a turn. By how late it comes the event loop tells how busy it is: the pace halves with each turn that is late, and
        comes back step by step."""
        now = time.monotonic()
        if now - self._next_at > CALM_S:
            self._slower = 1.0
        due = self._next_at = max(now, self._next_at + self._slower * self._every_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(due - now):
                await self._closing.wait()
        self._late_at = time.monotonic()
        self._late_s = self._late_at - due
        self._slower = min(SLOWEST, 2 * self._slower) if self._late_s > TURN_LATE_S else max(1.0, 0.9 * self._slower)

    async def _ask(self, trial: Trial, model: str) -> Decision | None:
        served, asked = trial.served, new_decision(trial.request, timeout_s=self._timeout_s)
        seen = served.classification
        asked.classification = replace(seen, cost=None) if seen is not None else None  # which was paid for once
        asked.eligible, asked.served_by, asked.mode = served.eligible, model, Mode.SHADOW
        asked.reservation = self._spending.begin(trial.request)
        try:
            done = await self._calls.once(asked, model)
        except ArbiterError as error:
            asked.failed("failed", error.code, error.message)
        except asyncio.CancelledError:
            asked.failed("aborted", "draining", "Arbiter was stopped before the answer came")
            self._note(served, asked)
            raise
        else:
            if done is None:
                self._drop("budget" if asked.beyond_budget else "resting", 1)
                self._learner.let_go(asked.settlement)
                return None
            asked.completion = done
            self._estimates.learned(asked)
            if asked.classification is not None:
                asked.grade = grade(asked.request, asked.classification, done)
            asked.completion = bare(done)
        await self._note(served, asked)
        return asked

    def _note(self, served: Decision, asked: Decision) -> asyncio.Future[None]:
        """Put what came of a call on record."""
        done = asked.completion
        self._metrics.shadow(asked)
        if done is not None and not done.cost.measured:
            self._unmeasured[done.model] = time.monotonic() + UNMEASURED_S
        return self._learner.shadow(served, asked)

    def _busy(self) -> str:
        """Why nothing is to be asked beside now; empty where it may."""
        way = self._way()
        if way.draining or self._closing.is_set():
            return "draining"
        if self._learner.paused:
            return "store"
        if way.admission.waiting or way.admission.running > BUSY_SHARE * way.admission.places:
            return "busy"
        if self._late_s > LATE_S and time.monotonic() - self._late_at < 1.0:
            return "late"
        return ""

    def _full(self, more: int, times: float = 1.0) -> str:
        """Whether the next one would have to wait for too long, or take too much room until then."""
        wait_s = self._backlog * self._slower * self._every_s
        room = len(self._waiting) < WAITING and sum(self._waiting.values()) + more <= WAITING_BYTES
        return "" if room and wait_s <= times * WAIT_S else "full"

    def _beyond(self, bucket: str, model: str, usd: float) -> str:
        """Why this model is not to be asked, for the sake of the budget."""
        if self._unmeasured.get(model, 0.0) > time.monotonic():
            return "unmeasured"
        return "budget" if self._pledged_usd + usd > self._policy.learning_left_usd(bucket) else ""

    def _reserve_usd(self, served: Decision, model: str) -> float:
        candidates = served.choice.candidates if served.choice is not None else ()
        return next((HEADROOM * (one.cost_usd or 0.0) for one in candidates if one.model == model), 0.0)

    @contextmanager
    def _pledged(self, usd: float) -> Iterator[None]:
        """What is being asked counts against the budget before it is charged."""
        self._pledged_usd += usd
        self._asking += 1
        try:
            yield
        finally:
            self._asking -= 1
            self._pledged_usd = self._pledged_usd - usd if self._asking else 0.0

    def _drop(self, why: str, n: int) -> None:
        self._metrics.shadows_dropped.add(why, amount=n)
