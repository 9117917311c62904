"""The judge at work, after the answer has gone: which answers it grades, one task each, bounded in number."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable

from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.judge import Judge
from arbiter_app.pipeline.learn import Learner
from arbiter_app.pipeline.types import Mode
from arbiter_app.services.feed import Feed

MAX_PENDING = 64
CLOSE_S = 5.0


class Judging:
    """Schedules judgements. Judges while exploring, and a small sample (`sample`) while exploiting."""

    def __init__(
        self,
        judge: Judge,
        learner: Learner,
        *,
        feed: Feed,
        sample: float,
        rng: random.Random,
        graded: Callable[[Decision], None],
    ) -> None:
        self._judge = judge
        self._learner = learner
        self._feed = feed
        self._sample = sample
        self._rng = rng
        self._graded = graded
        self._pending: set[asyncio.Task[None]] = set()
        self.dropped = 0

    @property
    def pending(self) -> int:
        """How many judgements are under way."""
        return len(self._pending)

    def weight(self, bucket: str) -> float:
        """How much one judged grade counts against an objective one."""
        return 0.5

    def wants(self, decision: Decision) -> bool:
        """Whether this answer, which has no objective grade, goes to the judge."""
        done = decision.completion
        if decision.grade.quality is not None or decision.cache == "hit" or done is None or not done.text:
            return False
        if decision.mode in (Mode.EXPLORE, Mode.HOLDOUT):
            return True
        return self._rng.random() < self._sample

    def schedule(self, decision: Decision) -> None:
        """Judge this answer in the background; over the bound the judgement is dropped and counted."""
        if len(self._pending) >= MAX_PENDING:
            self.dropped += 1
            return
        task = asyncio.get_running_loop().create_task(self._run(decision))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

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

    async def _run(self, decision: Decision) -> None:
        seen, done = decision.classification, decision.completion
        if seen is None or done is None:
            return
        grade, cost = await self._judge.judge(seen.task, decision.request.ask, done.text)
        durable = self._learner.judged(decision, grade, cost)
        if grade.quality is not None:
            decision.grade = grade
            self._graded(decision)
        if durable is not None:
            await durable
        data = {"id": decision.id, "quality": grade.quality, "quality_reason": grade.reason}
        self._feed.publish("grade", data)
