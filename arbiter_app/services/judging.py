"""The judge at work, after the answer has gone: which answers it grades, one task each, bounded in number.

Of the answers that have an objective grade it judges a small share, too: so it is known how far it can be trusted.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, cast

from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.judge import Judge
from arbiter_app.pipeline.learn import Learner
from arbiter_app.pipeline.ports import Pairing, Reservation, Settlement, Spending
from arbiter_app.pipeline.types import Cost, Mode, Task
from arbiter_app.policy import agreement
from arbiter_app.policy.agreement import OBJECTIVE, PEOPLE, PairKey, Pairs, Trust
from arbiter_app.services.feed import Feed
from arbiter_app.services.rows.reports import AgreementRow, JudgeTrust
from arbiter_app.store import StoreError

log = logging.getLogger("arbiter.judging")

MAX_PENDING = 64
CLOSE_S = 5.0
DAY_S = 86_400.0


class Judging:
    """Schedules judgements. Judges while exploring, where an answer is wanted for the bar that the others must reach (`sets_bar`),
    and a small sample (`sample`) while exploiting.

    `price` is the most that judging so many characters may cost, in pico-dollars, charged to the budgets that the answer counted for.
    `check` is the share of objectively graded answers that is judged to compare, less once much is known, at most
    `check_usd_per_day` USD a day; `name` gives the judge's model, `read` what the store knows of its agreement.
    """

    def __init__(
        self,
        judge: Judge,
        learner: Learner,
        *,
        feed: Feed,
        sample: float,
        check: float,
        check_usd_per_day: float,
        name: Callable[[], str],
        read: Callable[[], Awaitable[Mapping[PairKey, Pairs]]],
        rng: random.Random,
        graded: Callable[[Decision], None],
        spending: Spending,
        price: Callable[[int], int],
        sets_bar: Callable[[Decision], bool],
    ) -> None:
        self.judge = judge
        self._learner = learner
        self._feed = feed
        self._sample = sample
        self._check = check
        self._check_usd_per_day = check_usd_per_day
        self._name = name
        self._read = read
        self._rng = rng
        self._graded = graded
        self._spending = spending
        self._price = price
        self._sets_bar = sets_bar
        self._known: Mapping[PairKey, Pairs] = {}
        self._trusts: dict[str, Trust] = {}
        self._day, self._checked_usd = 0.0, 0.0
        self._pending: set[asyncio.Task[None]] = set()
        self.dropped = 0

    @property
    def pending(self) -> int:
        """How many judgements are under way."""
        return len(self._pending)

    @property
    def known(self) -> Mapping[PairKey, Pairs]:
        """What is known of scores and truths of the same answers, of whoever gave them."""
        return self._known

    def trust(self, bucket: str) -> Trust:
        """How far the judge is to be trusted in a bucket: what one grade weighs against an objective one, and says."""
        task = bucket.partition(":")[0]
        found = self._trusts.get(task)
        if found is None:
            found = self._trusts[task] = agreement.trust(self._known, self._name(), task)
        return found

    def told(self) -> JudgeTrust:
        """The judge, its agreement with objective checks and with people, in all and by task, and its weight by task."""
        judge = self._name()
        return {
            "model": judge,
            "objective": cast(AgreementRow | None, agreement.overall(self._known, judge, OBJECTIVE)),
            "people": cast(AgreementRow | None, agreement.overall(self._known, judge, PEOPLE)),
            "by_task": cast(list[AgreementRow], agreement.report(self._known, judge)),
        }

    async def learn_trust(self) -> None:
        """Read anew what the store knows of the judge's agreement."""
        try:
            self._known = await self._read()
        except StoreError as error:
            log.warning("the judge is trusted as it was a while ago: %s", error)
            return
        self._trusts = {}

    def forget(self) -> None:
        """Nothing is known of the judge."""
        self._known, self._trusts = {}, {}

    def voted(self, bucket: str, score: float | None, up: bool, *, withdrawn: bool = False) -> tuple[Pairing, ...]:
        """What a thumb says about the judge's score of the same answer, if it has one."""
        if score is None:
            return ()
        key = (self._name(), bucket.partition(":")[0], PEOPLE)
        return ((key, agreement.pair(score, float(up), -1.0 if withdrawn else 1.0)),)

    def wants(self, decision: Decision) -> bool:
        """Whether this answer, which has no objective grade, goes to the judge."""
        done = decision.completion
        if decision.grade.quality is not None or decision.cache == "hit" or done is None or not done.text:
            return False
        if decision.mode in (Mode.EXPLORE, Mode.HOLDOUT) or self._sets_bar(decision):
            return True
        return self._rng.random() < self._sample

    def follow(self, decision: Decision) -> None:
        """After an answer: judge it in the background where that was decided, or now and then to check the judge."""
        if decision.judge_pending:
            self._schedule(self._grade(decision))
        elif decision.grade.source == "objective" and self.compares(decision):
            self._schedule(self._compare(decision))

    def compares(self, decision: Decision) -> bool:
        """Whether this objectively graded answer is judged too, by chance and within the day's budget."""
        done, grade = decision.completion, decision.grade
        if grade.quality is None or grade.source != "objective" or done is None or not done.text:
            return False
        if decision.status != "ok" or decision.cache == "hit":
            return False
        if decision.classification is None or not decision.classification.teaches:
            return False
        drawn = self._rng.random()
        if drawn >= self._check:
            return False
        task = decision.bucket.partition(":")[0]
        if drawn >= self._check * agreement.still_checked(self._known, self._name(), task):
            return False
        today = time.time() // DAY_S
        if today != self._day:
            self._day, self._checked_usd = today, 0.0
        return self._checked_usd < self._check_usd_per_day

    async def beside(self, decision: Decision, asked: Sequence[Decision]) -> None:
        """Grade an answer and those of models that were asked beside it, and teach what they say together.

        The judge sees all that are in words, where one of them has no objective grade; of those that have one, it tells how far it
        is to be trusted.
        """
        shown = [one for one in (decision, *asked) if one.completion is not None and one.completion.text.strip()]
        if len(shown) < 2 or all(one.grade.quality is not None for one in shown):
            await self._learner.compared(decision, None, asked, None, ())
            self.follow(decision)
            return
        seen, seed = decision.classification, decision.choice.seed if decision.choice is not None else 0
        texts = [one.completion.text for one in shown if one.completion is not None]
        task = seen.task if seen is not None else Task.OPEN
        reservation, may = await self._reserved(decision, "".join(texts))
        if not may:
            await self._learner.compared(decision, None, asked, None, ())
            return
        grades, cost = await self.judge.compare(task, decision.request.ask, texts, seed)
        pairs, late = list[Pairing](), None
        for one, said in zip(shown, grades, strict=True):
            if one.grade.quality is None:
                one.grade = said
                late = said if one is decision else late
            elif said.quality is not None:
                pairs.append(((self._name(), task.value, OBJECTIVE), agreement.pair(said.quality, one.grade.quality)))
        if late is not None and late.quality is not None:
            self._graded(decision)
        elif cost is None:
            late = None
        await self._learner.compared(decision, late, asked, cost, pairs, _settled(reservation, cost))
        self.take_in(tuple(pairs))
        if late is not None:
            self._feed.publish("grade", {"id": decision.id, "quality": late.quality, "quality_reason": late.reason})

    async def settled(self) -> None:
        """Wait until no judgement is under way."""
        while self._pending:
            await asyncio.gather(*self._pending, return_exceptions=True)

    async def close(self) -> None:
        """Give running judgements a short while, then end them."""
        if self._pending:
            await asyncio.wait(self._pending, timeout=CLOSE_S)
        for task in self._pending:
            task.cancel()

    def _schedule(self, work: Coroutine[Any, Any, None]) -> None:
        """Run in the background; over the bound the judgement is dropped and counted."""
        if len(self._pending) >= MAX_PENDING:
            self.dropped += 1
            work.close()
            return
        task = asyncio.get_running_loop().create_task(work)
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _grade(self, decision: Decision) -> None:
        seen, done = decision.classification, decision.completion
        if seen is None or done is None:
            return
        reservation, may = await self._reserved(decision, done.text)
        if not may:
            return
        grade, cost = await self.judge.judge(seen.task, decision.request.ask, done.text)
        durable = self._learner.judged(decision, grade, cost, _settled(reservation, cost))
        if grade.quality is not None:
            decision.grade = grade
            self._graded(decision)
        if durable is not None:
            await durable
        data = {"id": decision.id, "quality": grade.quality, "quality_reason": grade.reason}
        self._feed.publish("grade", data)

    async def _compare(self, decision: Decision) -> None:
        seen, done, truth = decision.classification, decision.completion, decision.grade
        if seen is None or done is None or truth.quality is None:
            return
        reservation, may = await self._reserved(decision, done.text)
        if not may:
            return
        said, cost = await self.judge.judge(seen.task, decision.request.ask, done.text)
        if cost is not None and cost.usd is not None:
            self._checked_usd += cost.usd
        settlement = _settled(reservation, cost)
        if cost is None and said.quality is None:
            self._learner.let_go(settlement)
            return
        pairs: tuple[Pairing, ...] = ()
        if said.quality is not None:
            key = (self._name(), seen.task.value, OBJECTIVE)
            pairs = ((key, agreement.pair(said.quality, truth.quality)),)
        await self._learner.checked(decision, f"{truth.reason}; the judge: {said.reason}", cost, pairs, settlement)
        self.take_in(pairs)

    async def _reserved(self, decision: Decision, answer: str) -> tuple[Reservation | None, bool]:
        """What the judge may charge to the caller's budgets, None where there are none; and whether that fits into them."""
        reservation = self._spending.begin(decision.request)
        if reservation is None:
            return None, True
        try:
            fits = await reservation.cover(self._price(len(decision.request.ask) + len(answer)))
        except ArbiterError as error:
            log.info("an answer is not judged: %s", error.message)
            fits = False
        if not fits:
            self._learner.let_go(reservation.settled(0))
        return reservation, fits

    def take_in(self, pairs: tuple[Pairing, ...]) -> None:
        """Count stored pairs in; those of other processes come with the next `learn_trust`."""
        for key, pair in pairs:
            known = self._known.get(key)
            self._known = {**self._known, key: pair if known is None else known + pair}
            self._trusts.pop(key[1], None)


def _settled(reservation: Reservation | None, cost: Cost | None) -> Settlement | None:
    """What the judge is charged to the budgets; all that was reserved, where nobody knows what it cost."""
    if reservation is None:
        return None
    if cost is None:
        return reservation.settled(0)
    return reservation.settled(reservation.pico if cost.pico is None else cost.pico)
