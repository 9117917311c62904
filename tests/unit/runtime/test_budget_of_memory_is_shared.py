"""What all answers hold together is bounded: who has more to read waits, and one can always be finished."""

from __future__ import annotations

import asyncio
import time

import pytest

from arbiter_app.pipeline.errors import Overloaded
from arbiter_app.runtime.budget import FREE_BYTES, Budget, Hold
from tests.waiting import PATIENCE_S


def test_who_needs_more_waits_until_another_is_done() -> None:
    async def run() -> None:
        budget = Budget(1_000)
        first, second, third = (Hold(budget) for _ in range(3))
        deadline = time.monotonic() + PATIENCE_S
        await first.grow(FREE_BYTES + 800, deadline)
        await second.grow(FREE_BYTES, deadline)
        assert budget.held == 800
        await second.grow(FREE_BYTES + 900, deadline)  # the leader: one may always go on
        waiting = asyncio.create_task(third.grow(FREE_BYTES + 500, deadline))
        await asyncio.sleep(0)
        assert not waiting.done()
        second.release()
        first.release()
        await waiting
        assert budget.held == 500
        third.release()
        assert budget.held == 0

    asyncio.run(run())


def test_many_large_answers_at_once_are_all_finished_one_beyond_the_budget_at_a_time() -> None:
    async def run() -> None:
        budget, most = Budget(1_000_000), 0

        async def read() -> None:
            nonlocal most
            hold = Hold(budget)
            for size in range(0, 3_000_000, 100_000):
                await hold.grow(size, time.monotonic() + PATIENCE_S)
                most = max(most, budget.held)
                await asyncio.sleep(0)
            hold.release()

        await asyncio.gather(*(read() for _ in range(20)))
        assert (budget.held, most <= 1_000_000 + 3_000_000) == (0, True)

    asyncio.run(run())


def test_the_wait_ends_at_the_deadline_and_counts_nothing() -> None:
    async def run() -> None:
        budget = Budget(100)
        leader, other = Hold(budget), Hold(budget)
        await leader.grow(FREE_BYTES + 200, time.monotonic() + PATIENCE_S)
        with pytest.raises(Overloaded) as refused:
            await other.grow(FREE_BYTES + 50, time.monotonic())
        assert (refused.value.code, budget.held) == ("answers_too_large", 200)
        del leader
        await other.grow(FREE_BYTES + 50, time.monotonic() + PATIENCE_S)
        assert budget.held == 50

    asyncio.run(run())
