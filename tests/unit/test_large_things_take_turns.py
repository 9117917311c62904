"""However many large things there are: one piece of one of them is worked on in a turn of the event loop."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import Counter

import pytest

from arbiter_app import turns
from arbiter_app.runtime.budget import Budget, Hold
from arbiter_app.turns import SOON_S, USUAL_S, beside, goes_ahead, has_gone, next_large_turn
from tests.waiting import FAR_S


async def pieces_by_turn(grow: bool) -> Counter[int]:
    worked, now, left = Counter[int](), 0, 8

    async def large() -> None:
        nonlocal left
        hold = Hold(Budget(10**9))
        for at in range(1, 21):
            worked[now] += 1
            await (hold.grow(at * 10**6, 10**9) if grow else next_large_turn())
        left -= 1

    tasks = [asyncio.create_task(large()) for _ in range(left)]
    while left:
        now += 1
        await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    return worked


def test_a_turn_has_one_piece_of_all_that_is_written_and_of_all_that_is_read() -> None:
    for grow in (False, True):
        worked = asyncio.run(pieces_by_turn(grow))
        first, *others = [worked[at] for at in sorted(worked)]
        assert first == 8 and max(others) == 1, "the first piece of each, then one after the other"


def test_threads_get_the_interpreter_sooner_while_something_large_is_in_work() -> None:
    async def seen() -> None:
        for large in (next_large_turn, lambda: beside(int)):
            await large()
            assert sys.getswitchinterval() == SOON_S < USUAL_S
            while sys.getswitchinterval() != USUAL_S:  # noqa: ASYNC110 - nobody tells when nothing large is in work any more
                await asyncio.sleep(0.01)

    asyncio.run(seen())


def test_the_next_piece_waits_while_a_record_is_written_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    written, began, goes_on = threading.Event(), threading.Event(), threading.Event()

    def write() -> None:
        goes_ahead(write)
        began.set()
        goes_on.wait()
        written.set()
        has_gone(write)

    async def pieces() -> None:
        writing = asyncio.create_task(asyncio.to_thread(write))
        await asyncio.to_thread(began.wait)
        await next_large_turn()
        assert not written.is_set(), "it went on after a moment"
        monkeypatch.setattr(turns, "MOST_WAY_S", FAR_S)
        asyncio.get_running_loop().call_later(0.02, goes_on.set)
        await next_large_turn()
        assert written.is_set(), "it waited"
        await writing

    asyncio.run(pieces())
