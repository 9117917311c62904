"""Many requests in one step of the event loop: each is decided, answered, learned from and recorded once."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import Callable

import pytest
from starlette.types import Message

from arbiter_app.runtime.sandbox.world import Fault
from tests.conftest import OPERATOR, Running
from tests.waiting import until

MODELS = ["mistral-small-3.2-24b-instruct-2506", "deepseek-chat-v3", "gpt-4o"]
SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/v1/chat/completions",
    "headers": [(b"authorization", f"Bearer {OPERATOR}".encode())],
}


async def ask(
    gateway: Running, number: int, *, stream: bool = False, taken: Callable[[int], None] = lambda number: None
) -> int:
    """One request, on the gateway's own event loop, beside which nothing is asked; returns its status. `taken` is told once the
    gateway reads it."""
    prompt = {"role": "user", "content": f"Calculate {number} * 24"}
    fields = {"arbiter_models": MODELS, "arbiter_no_shadow": True, "stream": stream}
    body = json.dumps({"messages": [prompt], **fields}).encode()
    status = 0

    async def receive() -> dict[str, object]:
        taken(number)
        return {"type": "http.request", "body": body}

    async def send(message: Message) -> None:
        nonlocal status
        status = message.get("status", status)

    await gateway.gateway(dict(SCOPE), receive, send)
    return status


def be_right(gateway: Running) -> None:
    """From now on no answer fails its check: price alone decides, and nothing is asked twice."""
    for model in MODELS:
        gateway.world.change_skill(model, 1.1)


def recorded(gateway: Running) -> list[tuple[str, str]]:
    """Id and status of every decision on record."""
    rows = gateway.http.get("/v1/recent?limit=500").json()["data"]
    return [(row["id"], row["status"]) for row in rows]


def answered(gateway: Running) -> int:
    """How many decisions on record were answered."""
    return [status for _, status in recorded(gateway)].count("ok")


def learned_calls(gateway: Running) -> float:
    """How many calls the policy knows of."""
    buckets = gateway.http.get("/v1/policy").json()["buckets"]
    return sum(row["calls"] for rows in buckets.values() for row in rows)


def test_a_burst_is_answered_learned_and_recorded_once_each(own_gateway: Running) -> None:
    be_right(own_gateway)

    async def burst() -> list[int]:
        return await asyncio.gather(*[ask(own_gateway, at, stream=at % 2 == 0) for at in range(100)])

    assert own_gateway.run(burst) == [200] * 100
    rows = recorded(own_gateway)
    assert len({name for name, _ in rows}) == len(rows) == 100
    assert learned_calls(own_gateway) == 100


def test_of_a_burst_one_request_is_the_probe_of_a_model_that_has_rested(own_gateway: Running) -> None:
    be_right(own_gateway)
    for at in range(120):
        favourite = own_gateway.chat(f"Calculate {at} * 31", arbiter_models=MODELS).json()["arbiter"]["model"]
        own_gateway.settle()
    assert favourite == MODELS[0]
    own_gateway.world.faults["*"] = Fault(stall_s=0.3)

    async def burst() -> list[int]:
        others = [asyncio.create_task(ask(own_gateway, 1_000 + at)) for at in range(3)]
        while own_gateway.world.open_requests < 3:  # noqa: ASYNC110 - the sandbox tells by this number only
            await asyncio.sleep(0.01)
        own_gateway.arbiter.health.failed(favourite, time.monotonic() - 3_600, "long ago")
        own_gateway.world.calls.clear()
        return await asyncio.gather(*others, *[ask(own_gateway, at) for at in range(20)])

    assert own_gateway.run(burst) == [200] * 23
    assert own_gateway.world.calls[favourite] == 1


@pytest.mark.parametrize("stream", [False, True])
def test_who_hangs_up_at_any_moment_is_on_record_once_and_taught_at_most_once(
    own_gateway: Running, caplog: pytest.LogCaptureFixture, stream: bool
) -> None:
    be_right(own_gateway)
    rng, taken = random.Random(7), list[int]()

    async def left_after(number: int, steps: int) -> None:
        task = asyncio.create_task(ask(own_gateway, number, stream=stream, taken=taken.append))
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def burst() -> None:
        await asyncio.gather(*[left_after(at, rng.randrange(1, 400)) for at in range(200)])

    with caplog.at_level(logging.INFO, "arbiter"):
        own_gateway.run(burst)
        until(lambda: len(recorded(own_gateway)) == len(taken))
    rows = recorded(own_gateway)
    assert len({name for name, _ in rows}) == len(rows) == len(taken) > 100
    assert {status for _, status in rows} <= {"ok", "aborted"}
    assert 0 < answered(own_gateway) < 200
    assert learned_calls(own_gateway) == answered(own_gateway)
    assert [line.getMessage() for line in caplog.records if "singled out" in line.getMessage()] == []
