"""Places and queue: so many at once, in order, and a refusal before anybody waits for it."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable

import pytest

from arbiter_app.pipeline.errors import Overloaded
from arbiter_app.services.admission import Admission
from tests.waiting import PATIENCE_S


def on_a_loop(test: Callable[[], Awaitable[None]]) -> Callable[[], None]:
    """Run a test in an event loop of its own."""

    @functools.wraps(test)
    def run() -> None:
        asyncio.run(asyncio.wait_for(test(), PATIENCE_S))

    return run


async def waiting(admission: Admission, n: int) -> list[asyncio.Task[None]]:
    """So many who have asked for a place, one after the other."""
    tasks = []
    for _ in range(n):
        tasks.append(asyncio.create_task(admission.enter()))
        await asyncio.sleep(0)
    return tasks


@on_a_loop
async def test_places_then_queue_then_refusals() -> None:
    admission = Admission(2, 3, 60)
    tasks = await waiting(admission, 5)
    assert (admission.running, admission.waiting) == (2, 3)
    with pytest.raises(Overloaded) as refused:
        await admission.enter()
    assert refused.value.retry_after_s == 1.0
    for at in range(3):
        assert [task.done() for task in tasks] == [place < 2 + at for place in range(5)], "in order"
        admission.leave()
        await asyncio.sleep(0)
    assert all(task.done() for task in tasks)
    for _ in range(2):
        admission.leave()
    assert (admission.running, admission.waiting) == (0, 0)


@on_a_loop
async def test_who_gives_up_waiting_leaves_the_queue_and_no_place_is_lost() -> None:
    admission = Admission(1, 3, 60)
    first, gone, next_, last = await waiting(admission, 4)
    gone.cancel()
    await asyncio.sleep(0)
    assert admission.waiting == 2
    admission.leave()
    next_.cancel()  # given a place and cancelled in the same moment
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert first.done() and last.done() and admission.running == 1
    admission.leave()
    assert admission.running == 0


@on_a_loop
async def test_who_would_wait_too_long_is_refused_at_once() -> None:
    now = 0.0
    admission = Admission(1, 100, 5, clock=lambda: now)
    tasks = await waiting(admission, 60)
    for _ in range(50):
        now += 1.0
        admission.leave()
    await asyncio.sleep(0)
    assert admission.waiting == 9
    with pytest.raises(Overloaded) as refused:
        admission.refuse_when_full()
    assert refused.value.retry_after_s == pytest.approx(10, rel=0.1)
    for _ in range(10):
        admission.leave()
    await asyncio.gather(*tasks)
    admission.refuse_when_full()
    await admission.enter()
    admission.leave()
    assert admission.running == 0


@on_a_loop
async def test_a_wait_ends_with_a_refusal() -> None:
    admission = Admission(1, 1, 0.01)
    await admission.enter()
    with pytest.raises(Overloaded):
        await admission.enter()
    assert admission.waiting == 0


@on_a_loop
async def test_who_is_content_to_be_last_waits_for_all_others_without_being_refused() -> None:
    admission = Admission(1, 1, 60)
    await admission.enter()
    last, gone = (asyncio.create_task(admission.enter(last=True)) for _ in range(2))
    await asyncio.sleep(0)
    (other,) = await waiting(admission, 1)
    assert admission.waiting == 1, "who is last takes nobody's place in the queue"
    gone.cancel()
    admission.leave()
    await asyncio.sleep(0)
    assert other.done() and not last.done()
    admission.leave()
    await asyncio.wait_for(last, PATIENCE_S)
    admission.leave()
    assert admission.running == 0
