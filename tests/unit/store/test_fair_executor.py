"""Visitors use the reading threads in turns."""

from __future__ import annotations

import asyncio
import threading

import pytest

from arbiter_app.store.fair_executor import FairExecutor, visitor


def test_who_asks_for_little_waits_for_one_piece_of_who_asks_for_much() -> None:
    done: list[str] = []
    first = threading.Event()

    async def ask(who: str, times: int) -> None:
        visitor.set(who)
        await asyncio.gather(*[turns.run(lambda: done.append(who)) for _ in range(times)])

    async def all_of_them() -> None:
        held = asyncio.create_task(turns.run(first.wait))
        await asyncio.sleep(0)
        asked = [asyncio.create_task(ask(who, times)) for who, times in (("much", 50), ("a", 1), ("b", 2))]
        for _ in range(3):
            await asyncio.sleep(0)  # each has begun, and each has asked
        first.set()
        await asyncio.gather(held, *asked)

    turns = FairExecutor(1, "test")
    try:
        asyncio.run(all_of_them())
    finally:
        turns.close()
    assert done[:5] == ["much", "a", "b", "much", "b"]
    assert done[5:] == ["much"] * 48


def test_errors_come_back_what_was_given_up_is_not_done_and_the_end_waits() -> None:
    turns, hold = FairExecutor(1, "test"), threading.Event()

    async def use() -> None:
        with pytest.raises(ZeroDivisionError):
            await turns.run(lambda: 1 // 0)
        held = asyncio.create_task(turns.run(hold.wait))
        given_up = asyncio.create_task(turns.run(lambda: pytest.fail("nobody wants it any more")))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        hold.set()
        assert await held

    asyncio.run(use())
    turns.close()
    with pytest.raises(RuntimeError):
        asyncio.run(turns.run(lambda: None))
