"""What a runtime refuses is one fault with its status, its words and its wait."""

from __future__ import annotations

import email.utils
import time

import orjson
import pytest

from tests.peer import (
    KEY,
    closing,
    fault_of,
    plain,
    replying,
    run,
    serving,
)


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422, 429, 500, 502, 503, 529])
@pytest.mark.parametrize("stream", [False, True])
def test_a_refusal_keeps_its_status_and_what_was_said(status: int, stream: bool) -> None:
    async def test() -> None:
        said = b'{"error":{"message":"because","type":5,"code":{},"param":"a"}}'
        async with serving(replying(plain(said, f"{status} No"))) as (_, runtime):
            fault = await fault_of(runtime, stream=stream)
            assert (fault.kind, fault.status, fault.message) == ("status", status, "because")
            assert fault.refusal is not None and fault.retry_after_s is None
            assert (fault.refusal.type, fault.refusal.code, fault.refusal.param) == (None, None, "a")

    run(test())


@pytest.mark.parametrize(
    "value, seconds",
    [("7", 7), ("0.5", 0.5), ("-3", 0), ("999999999", 86_400), ("soon", None), ("nan", None), ("inf", 86_400)],
)
def test_retry_after_is_read_in_seconds(value: str, seconds: float | None) -> None:
    async def test() -> None:
        async with serving(replying(plain(b"", "429 Slow", b"retry-after: " + value.encode() + b"\r\n"))) as (
            _,
            runtime,
        ):
            assert (await fault_of(runtime)).retry_after_s == seconds

    run(test())


def test_retry_after_is_read_as_a_date() -> None:
    async def test() -> None:
        at = email.utils.formatdate(time.time() + 60, usegmt=True).encode()
        async with serving(replying(plain(b"", "503 No", b"retry-after: " + at + b"\r\n"))) as (_, runtime):
            wait_s = (await fault_of(runtime)).retry_after_s
            assert wait_s is not None and 50 < wait_s <= 60

    run(test())


def test_a_refusal_stands_even_when_its_body_breaks_off_or_never_ends() -> None:
    async def test() -> None:
        for reply in (plain(b"abc", "500 No")[:-1], plain(b"x" * 300_000, "500 No")):
            async with serving(closing(reply)) as (_, runtime):
                fault = await fault_of(runtime)
                assert (fault.status, fault.message) == (500, "status 500")

    run(test())


def test_the_key_is_shown_nowhere_even_when_the_runtime_quotes_it() -> None:
    async def test() -> None:
        said = orjson.dumps({"error": {"message": f"Incorrect API key provided: {KEY}"}})
        for reply in (plain(said, "401 No"), plain(said)):
            async with serving(replying(reply)) as (_, runtime):
                fault = await fault_of(runtime)
                assert KEY not in f"{fault!r} {fault} {fault.message} {fault.refusal!r} {runtime!r} {runtime}"
                assert "Incorrect API key" in fault.message

    run(test())
