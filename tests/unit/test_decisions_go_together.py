"""Decisions that are ready in one moment are worked on side by side, in order, in bounded groups; a lone one at once."""

from __future__ import annotations

import asyncio

import pytest

from arbiter_app.pipeline.decision import Decision, new_decision
from arbiter_app.pipeline.together import Outcome, Together, Waiting, Work
from arbiter_app.pipeline.types import Caller, ChatRequest, Role

CALLER = Caller("key", Role.OPERATOR)


def decisions(n: int) -> list[Decision]:
    request = ChatRequest(request_id="r", caller=CALLER, payload={}, messages=[], ask="", system="")
    return [new_decision(request, timeout_s=1) for _ in range(n)]


def counting(groups: list[int], done: asyncio.Future[Outcome]) -> Work:
    """Work that notes how many it gets, tells each at once, and is over with `done`."""

    def work(waiting: list[Waiting]) -> asyncio.Future[Outcome]:
        groups.append(len(waiting))
        for one in waiting:
            one.tell()
        return done

    return work


def test_those_of_one_moment_are_done_in_groups_and_in_order() -> None:
    groups: list[list[Decision]] = []

    def work(waiting: list[Waiting]) -> None:
        groups.append([one.decision for one in waiting])
        for one in waiting:
            one.tell("told")

    async def put() -> list[Outcome]:
        together = Together(work, most=lambda waiting: 4, crowd=lambda: 10)
        return await asyncio.gather(*[together.put(one) for one in all_of_them])

    all_of_them = decisions(10)
    assert asyncio.run(put()) == ["told"] * 10
    assert groups == [all_of_them[:4], all_of_them[4:8], all_of_them[8:]]


def test_the_next_ones_wait_for_the_future_of_those_before() -> None:
    groups: list[int] = []

    async def put() -> None:
        slow: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        together = Together(counting(groups, slow), most=lambda waiting: waiting, crowd=lambda: 10)
        await together.put(decisions(1)[0])
        late = [together.put(one) for one in decisions(3)]
        await asyncio.sleep(0.01)
        assert groups == [1]
        slow.set_result(None)
        await asyncio.gather(*late)

    asyncio.run(put())
    assert groups == [1, 3]


def test_what_waits_is_done_at_the_end_whatever_it_waits_for() -> None:
    groups: list[int] = []

    async def put() -> None:
        never: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

        together = Together(counting(groups, never), most=lambda waiting: 2, crowd=lambda: 10)
        await together.put(decisions(1)[0])
        late = [together.put(one) for one in decisions(3)]
        together.flush()
        assert all(one.done() for one in late)

    asyncio.run(put())
    assert groups == [1, 2, 1]


def test_who_is_alone_waits_for_no_other_step() -> None:
    async def put() -> bool:
        together = Together(lambda waiting: waiting[0].tell(), most=lambda waiting: waiting, crowd=lambda: 1)
        return together.put(decisions(1)[0]).done()

    assert asyncio.run(put())


def test_when_the_work_fails_everybody_in_it_learns_that_and_the_next_are_done() -> None:
    calls = 0

    def work(waiting: list[Waiting]) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise ZeroDivisionError
        for one in waiting:
            one.tell()

    async def put() -> list[Outcome | BaseException]:
        together = Together(work, most=lambda waiting: 2, crowd=lambda: 10)
        return await asyncio.gather(*[together.put(one) for one in decisions(3)], return_exceptions=True)

    first, second, third = asyncio.run(put())
    assert isinstance(first, ZeroDivisionError)
    assert isinstance(second, ZeroDivisionError)
    assert third is None


def test_who_has_left_is_told_nothing() -> None:
    async def put() -> None:
        one = Waiting(decisions(1)[0], asyncio.get_running_loop().create_future(), final=False)
        one.told.cancel()
        one.tell()
        assert not one.fail(ValueError())
        with pytest.raises(asyncio.CancelledError):
            await one.told

    asyncio.run(put())
