"""Stage 6: fold the outcome into the policy and write it down, in one transaction with the decision record.

Only answered requests teach. A failed or aborted one is recorded with what it cost and moves no statistic. While the ledger
cannot write, learning is paused: requests are recorded (later, from memory) and teach nothing, so that what the policy
knows and what is stored never part.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from arbiter_app.pipeline.beside import shadow_row
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.ports import DecisionRecord, Delta, Ledger, Lesson, Pairing, Settlement
from arbiter_app.pipeline.types import UNGRADED, Completion, Cost, Grade, Json, Mode
from arbiter_app.policy import REACTION, Beside, Learned, Observation, Policy, Segment, Shift
from arbiter_app.policy.agreement import Trust

log = logging.getLogger("arbiter.learn")

OBJECTIVE_WEIGHT = 1.0
CHARGE_ALERT_S = 3_600.0
"""A model whose charges cannot be true raises one alert in this time, however many there are."""


class Learner:
    """Owns the way from a finished decision to statistics, alerts and the durable record.

    `priced` says whether an answer is charged at what is the model's price now; another charge teaches nothing of it. `baseline` is
    the model that others are compared with.
    """

    def __init__(
        self,
        policy: Policy,
        ledger: Ledger,
        *,
        now: Callable[[], float],
        trust: Callable[[str], Trust],
        publish: Callable[[Decision], None],
        alerted: Callable[[list[dict[str, Any]]], None],
        priced: Callable[[Completion], bool],
        baseline: Callable[[], str],
    ) -> None:
        self._policy = policy
        self._ledger = ledger
        self._now = now
        self._trust = trust
        self._publish = publish
        self._alerted = alerted
        self._priced = priced
        self._baseline = baseline
        self._charge_alerts: dict[str, float] = {}

    @property
    def paused(self) -> str:
        """Why learning is paused; empty while it is not."""
        return self._ledger.degraded

    def learn(self, decision: Decision) -> asyncio.Future[None]:
        """Teach the policy and hand the record to the ledger; the future is done once that is committed."""
        learned, alerts = self._teach(decision)
        record = DecisionRecord(
            decision.row(), decision.trace(), _deltas(learned), alerts, _state(learned), decision.settlement
        )
        durable = self._ledger.record(record)
        self._publish(decision)
        return durable

    def _teach(self, decision: Decision) -> tuple[list[Learned], list[dict[str, Any]]]:
        """What the policy has learned from a decision, and the alerts that it raised."""
        decision.timing.enter("learn_ms")
        decision.degraded = self._ledger.degraded
        learned: list[Learned] = []
        alerts: list[dict[str, Any]] = []
        try:
            if not decision.degraded:
                learned = [self._policy.record(one) for one in self._observations(decision)]
                done = decision.completion
                alerts = self._alerts(
                    learned, () if done is None or not done.cost.set_aside else self._implausible(done, decision)
                )
        except Exception:
            # A defect of the policy must not cost the caller the answer, nor the others theirs: it is recorded, and teaches nothing.
            log.exception("nothing was learned", extra={"decision": decision.id})
        decision.timing.end(decision.clock0)
        return learned, alerts

    def judged(
        self, decision: Decision, grade: Grade, cost: Cost | None, settlement: Settlement | None = None
    ) -> asyncio.Future[None] | None:
        """A judge's late grade: statistics and the decision's row change together. Unknown grades only add their cost."""
        if grade.quality is None and (cost is None or cost.pico is None):
            return None if settlement is None else self._ledger.settle(settlement)
        teaches = grade.quality is not None and _teaches(decision) and not decision.degraded and not self.paused
        learned = [self._policy.grade(self._judged(decision, grade))] if teaches else []
        judge_pico = cost.pico if cost else None
        return self._ledger.grade(
            decision.id, grade, self._lesson(learned), judge_pico=judge_pico, settlement=settlement
        )

    def checked(
        self,
        decision: Decision,
        reason: str,
        cost: Cost | None,
        pairs: Sequence[Pairing],
        settlement: Settlement | None = None,
    ) -> asyncio.Future[None]:
        """A judge's score of an answer that has an objective grade: that stays; what the judge cost and said is kept."""
        said = Grade(None, reason, decision.grade.source)
        judge_pico = cost.pico if cost else None
        return self._ledger.grade(decision.id, said, Lesson(pairs=pairs), judge_pico=judge_pico, settlement=settlement)

    def let_go(self, settlement: Settlement | None) -> None:
        """Nothing came of what was reserved."""
        if settlement is not None:
            self._ledger.settle(settlement)

    def shadow(self, beside: Decision, asked: Decision) -> asyncio.Future[None]:
        """What came of a model that was asked beside an answer: its charge teaches and is on record now, its grade by `compared`."""
        done, learned = asked.completion, list[Learned]()
        if done is not None and self._may_teach(beside):
            learned = [self._policy.record(self._observation(asked, done, UNGRADED, Mode.SHADOW))]
        row, lesson = shadow_row(asked, self._now()), self._lesson(learned)
        return self._ledger.shadow(beside.id, row, lesson, settlement=asked.settlement)

    def compared(
        self,
        beside: Decision,
        grade: Grade | None,
        asked: Sequence[Decision],
        cost: Cost | None,
        pairs: Sequence[Pairing],
        settlement: Settlement | None = None,
    ) -> asyncio.Future[None]:
        """The grades of models that were asked beside an answer, each with what the baseline's answer (or else the one that served)
        was worth to the same prompt. `grade` is the judge's of the answer itself, where it has one from there; `cost` what the
        judge charged, `pairs` what its scores say of it."""
        answers = [*([beside] if grade is not None else []), *asked]
        learned = [self._policy.grade(one) for one in self._pairs(beside, answers)] if self._may_teach(beside) else []
        if grade is not None or cost is not None:
            said, judge_pico = (
                grade or Grade(None, beside.grade.reason, beside.grade.source),
                cost.pico if cost else None,
            )
            self._ledger.grade(beside.id, said, Lesson(pairs=pairs), judge_pico=judge_pico, settlement=settlement)
        else:
            self.let_go(settlement)
        graded = {one.model: one.grade for one in asked}
        return self._ledger.shadow_grades(beside.id, graded, self._lesson(learned))

    def _may_teach(self, decision: Decision) -> bool:
        return _teaches(decision) and not decision.degraded and not self.paused

    def _pairs(self, served: Decision, answers: Sequence[Decision]) -> Iterator[Observation]:
        """Observations of new grades, in the order in which they are to be learned: of two answers the later one tells of both."""
        first = {served.model: 0, self._baseline(): 1}
        known: dict[str, Beside] = {}
        segments = served.ask.segments if served.ask is not None else ()
        if served not in answers and served.grade.quality is not None:
            known[served.model] = self._beside(served)
        for one in sorted(answers, key=lambda one: first.get(one.model, 2)):
            other = known.get(self._baseline()) or known.get(served.model)
            if one.grade.quality is not None:
                yield replace(self._judged(one, one.grade), beside=other, segments=segments)
                known[one.model] = self._beside(one)

    def _beside(self, decision: Decision) -> Beside:
        return Beside(decision.model, *self._believed(decision.bucket, decision.grade))

    def reacted(
        self, bucket: str, model: str, quality: float | None, weight: float, pairs: Sequence[Pairing]
    ) -> asyncio.Future[None] | None:
        """What the next turn said of an answer: a weak grade, where it is to count as one, and what it says of such grades."""
        if self.paused:
            return None
        learned = []
        if quality is not None:
            said = Observation(bucket, model, quality=quality, quality_weight=weight, mode=REACTION)
            learned = [self._policy.grade(said)]
        return self._ledger.adjust(self._lesson(learned, pairs))

    def vote(
        self,
        bucket: str,
        model: str,
        *,
        up: bool,
        withdrawn: bool = False,
        segments: Sequence[Segment] = (),
        pairs: Sequence[Pairing] = (),
    ) -> asyncio.Future[None]:
        """A human's thumb on an answer to a request of these segments, or taking one back: weighs like several grades (see the policy's
        vote weight)."""
        learned = [self._policy.vote(bucket, model, up, withdrawn, segments)]
        return self._ledger.adjust(self._lesson(learned, pairs))

    def _lesson(self, learned: list[Learned], pairs: Sequence[Pairing] = ()) -> Lesson:
        return Lesson(_deltas(learned), self._alerts(learned), _state(learned), pairs)

    def _observations(self, decision: Decision) -> Iterable[Observation]:
        if decision.status != "ok" or decision.cache == "hit" or not _teaches(decision):
            return
        if decision.cascade is not None:
            yield self._observation(decision, decision.cascade.completion, decision.cascade.grade, Mode.EXPLOIT)
        if decision.completion is not None:
            yield self._observation(decision, decision.completion, decision.grade, decision.mode)

    def _observation(self, decision: Decision, done: Completion, grade: Grade, mode: Mode) -> Observation:
        bucket = decision.bucket
        quality, weight = self._believed(bucket, grade)
        return Observation(
            bucket=bucket,
            prompt=decision.request.ask,
            model=done.model,
            cost_usd=done.cost.usd if done.cost.measured and (not done.deployment or self._priced(done)) else None,
            tokens_in=done.usage.prompt_tokens if done.usage else None,
            tokens_out=done.usage.completion_tokens if done.usage else None,
            quality=quality,
            quality_weight=weight,
            latency_ms=done.latency_ms,
            mode=str(mode),
            now=self._now(),
            asked_tokens=decision.eligible.prompt_tokens if decision.eligible else 0,
            segments=decision.ask.segments if decision.ask is not None else (),
        )

    def _believed(self, bucket: str, grade: Grade) -> tuple[float | None, float]:
        """What a grade says about the quality, and its weight: a judge's is read as its agreement with the truth allows."""
        if grade.quality is None or grade.source != "judge":
            return grade.quality, OBJECTIVE_WEIGHT
        trust = self._trust(bucket)
        return trust.read(grade.quality), trust.weight

    def _judged(self, decision: Decision, grade: Grade) -> Observation:
        quality, weight = self._believed(decision.bucket, grade)
        return Observation(
            bucket=decision.bucket,
            prompt=decision.request.ask,
            model=decision.model,
            cost_usd=None,
            tokens_in=None,
            tokens_out=None,
            quality=quality,
            quality_weight=weight,
            latency_ms=None,
            mode=str(decision.mode),
            now=self._now(),
            segments=decision.ask.segments if decision.ask is not None else (),
        )

    def _known(self, shift: Shift) -> Json:
        """What was known of a model in a bucket when something moved."""
        for bucket, model, stats in self._policy.rows():
            if (bucket, model) == (shift.bucket, shift.model):
                return {"calls": stats.calls, "graded": stats.graded, "votes": stats.votes}
        return {"calls": 0.0, "graded": 0.0, "votes": 0.0}

    def _implausible(self, done: Completion, decision: Decision) -> Sequence[Shift]:
        """The model whose stated charge cannot be true, unless that was said a while ago."""
        now = time.monotonic()
        if decision.degraded or decision.classification is None:
            return []
        if now - self._charge_alerts.get(done.model, -CHARGE_ALERT_S) < CHARGE_ALERT_S:
            return []
        self._charge_alerts[done.model] = now
        reason = (
            "the runtime stated a charge that its usage and list price leave impossible; it counts and teaches nothing"
        )
        return [Shift("charge", decision.bucket, done.model, 0.0, 0.0, "up", reason)]

    def _alerts(self, learned: list[Learned], more: Sequence[Shift] = ()) -> list[dict[str, Any]]:
        shifts = [*more, *[shift for one in learned for shift in one.shifts]]
        alerts = [_alert(shift, self._now(), self._known(shift)) for shift in shifts]
        if alerts:
            self._alerted(alerts)
        return alerts


def _teaches(decision: Decision) -> bool:
    """Whether its task is known well enough to say something of its bucket."""
    return decision.classification is not None and decision.classification.teaches


def _alert(shift: Shift, now: float, known: Json) -> Json:
    return {
        "ts": now,
        "kind": shift.kind,
        "task": shift.bucket.partition(":")[0],
        "bucket": shift.bucket,
        "model": shift.model,
        "old_unit": shift.old_unit,
        "new_unit": shift.new_unit,
        "direction": shift.direction,
        "reason": shift.reason,
        "known": orjson.dumps(known).decode(),
    }


def _deltas(learned: Iterable[Learned]) -> list[Delta]:
    return [delta for one in learned for delta in one.deltas]


def _state(learned: Iterable[Learned]) -> Mapping[str, bytes]:
    merged: dict[str, bytes] = {}
    for one in learned:
        merged.update(one.state)
    return merged
