"""API and pages go one way in: what holds for a request of the one holds for that of the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from arbiter_app.pipeline.errors import ArbiterError, DeadlineExceeded
from arbiter_app.pipeline.types import Caller
from arbiter_app.web.ask import Asked, request_of
from tests.conftest import Running, running
from tests.waiting import PATIENCE_S


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, REQUEST_TIMEOUT="0.5") as one:
        yield one


async def everything(_text: str) -> bool:
    return True


def by_page(
    gateway: Running, caller: Caller, prompt: str, take: Callable[[str], Awaitable[bool]] = everything
) -> ArbiterError | None:
    """Ask as the playground does; the error that it would show."""
    chat = request_of(caller, prompt, max_cost_usd=None, max_latency_s=None)

    async def run() -> ArbiterError | None:
        try:
            await asyncio.wait_for(Asked(gateway.arbiter.requests, chat).run(take), PATIENCE_S)
        except ArbiterError as error:
            return error
        return None

    return gateway.run(run)


def refusals(gateway: Running, code: str) -> float:
    lines = gateway.http.get("/metrics").text.splitlines()
    found = [line for line in lines if line.startswith("arbiter_refused_total{") and f'"{code}"' in line]
    return float(found[0].rpartition(" ")[2]) if found else 0.0


def test_a_request_that_no_model_was_asked_for_is_not_counted_and_its_refusal_is(gateway: Running) -> None:
    key = gateway.caller()
    caller = gateway.arbiter.keys.authenticate(key)
    with gateway.client(key) as own:
        assert by_page(gateway, caller, "What is 3 + 4?") is None
        used = own.get("/v1/key").json()["used_6h"]
        assert used == 1
        for model in gateway.arbiter.catalog.names:
            gateway.http.patch(f"/v1/pool/models/{model}", json={"routable": False}).raise_for_status()
        refused = by_page(gateway, caller, "What is 3 + 5?")
        assert refused is not None
        before = refusals(gateway, refused.code)
        assert before == 1
        assert own.post("/v1/chat/completions", json={"messages": [{"role": "user", "content": "Hi"}]}).status_code == (
            refused.status
        )
        assert refusals(gateway, refused.code) == 2
        assert own.get("/v1/key").json()["used_6h"] == used


def test_while_draining_a_page_is_refused_too(gateway: Running) -> None:
    caller = gateway.arbiter.keys.authenticate(gateway.caller())
    gateway.arbiter.requests.draining = True
    refused = by_page(gateway, caller, "What is 3 + 4?")
    gateway.arbiter.requests.draining = False
    assert refused is not None
    assert (refused.status, refused.code) == (503, "draining")
    assert refusals(gateway, "draining") == 1


def test_a_paused_key_asks_on_no_page(gateway: Running) -> None:
    key = gateway.caller()
    with gateway.client(key) as own:
        own.post("/v1/key/pause")
    refused = by_page(gateway, gateway.arbiter.keys.authenticate(key), "What is 3 + 4?")
    assert refused is not None
    assert refused.code == "key_paused"


def test_a_page_has_as_long_as_a_caller_for_a_whole_answer(gateway: Running) -> None:
    caller = gateway.arbiter.keys.authenticate(gateway.caller())

    async def never(_text: str) -> bool:
        await asyncio.Event().wait()
        return True

    late = by_page(gateway, caller, "What is 3 + 4?", never)
    assert late is not None
    assert (late.status, late.code) == (504, "deadline_exceeded")
    assert gateway.arbiter.requests.admission.running == 0


def test_each_of_several_requests_has_its_own_time(gateway: Running) -> None:
    service, caller = gateway.arbiter.requests, gateway.arbiter.keys.authenticate(gateway.caller())

    async def held(*, begins_s: float, ends: bool = False) -> None:
        await asyncio.sleep(begins_s)
        async with service.request() as one:
            await one.admit(caller)
            began = time.monotonic()
            try:
                while not ends:
                    await asyncio.Event().wait()
            finally:
                if not ends:
                    ended.append(time.monotonic() - began)

    async def several() -> list[object]:
        share_s = service.longest_s / 4
        work = [held(begins_s=0), held(begins_s=share_s, ends=True), held(begins_s=2 * share_s)]
        return list(await asyncio.gather(*work, return_exceptions=True))

    ended: list[float] = []
    first, second, third = gateway.run(several)
    assert isinstance(first, DeadlineExceeded) and second is None and isinstance(third, DeadlineExceeded)
    assert len(ended) == 2 and min(ended) > 0.98 * service.longest_s
    assert not service.until


def test_who_wants_no_more_ends_the_call(gateway: Running) -> None:
    caller = gateway.arbiter.keys.authenticate(gateway.caller())
    pieces: list[str] = []

    async def one(text: str) -> bool:
        pieces.append(text)
        return False

    assert by_page(gateway, caller, "Tell me a long story about a fox and 12 geese.", one) is None
    assert len(pieces) == 1
    assert gateway.arbiter.requests.admission.running == 0


def test_at_the_end_of_draining_a_page_learns_why_its_answer_stops(gateway: Running) -> None:
    caller = gateway.arbiter.keys.authenticate(gateway.caller())

    async def stopped(_text: str) -> bool:
        gateway.arbiter.requests.end_all()
        await asyncio.Event().wait()
        return True

    refused = by_page(gateway, caller, "What is 3 + 4?", stopped)
    assert refused is not None
    assert (refused.status, refused.code) == (503, "draining")
