"""The client of the runtime: what it sends, and what it takes for an answer."""

from __future__ import annotations

import gzip
import json
import zlib

import orjson
import pytest

from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.runtime.client import HttpRuntime
from tests.peer import (
    ANSWER,
    CHUNK,
    DONE,
    END,
    KEY,
    Peer,
    events_of,
    fault_of,
    plain,
    replying,
    run,
    serving,
    soon,
)


def test_a_request_carries_the_key_its_id_and_the_payload_as_it_is() -> None:
    async def test() -> None:
        async with serving(replying(plain())) as (server, runtime):
            payload = orjson.dumps({"model": "m", "odd_field": ["\u4f60"]})
            reply = await runtime.complete(payload, deadline=soon(), request_id="req-1")
            assert reply.body == ANSWER and reply.json == orjson.loads(ANSWER)
            assert reply.headers["content-type"] == "application/json" and reply.first_byte_ms > 0
            head, _, body = server.requests[0].partition(b"\r\n\r\n")
            lines = head.split(b"\r\n")
            assert lines[0] == b"POST /v1/chat/completions HTTP/1.1" and body == payload
            for line in (b"authorization: Bearer " + KEY.encode(), b"x-request-id: req-1", b"accept: application/json"):
                assert [one.lower() for one in lines].count(line.lower()) == 1

    run(test())


def test_a_request_id_cannot_smuggle_a_header() -> None:
    async def test() -> None:
        async with serving(replying(plain())) as (server, runtime):
            await runtime.complete(b"{}", deadline=soon(), request_id="a\r\nx-evil: 1")
            assert b"evil" not in server.requests[0]

    run(test())


@pytest.mark.parametrize("key", ["a\r\nb: c", "schl\u00fcssel"])
def test_a_key_that_cannot_stand_in_a_header_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError) as caught:
        HttpRuntime("http://127.0.0.1:1/v1", key)
    assert key not in str(caught.value)


@pytest.mark.parametrize("url", ["ftp://host/v1", "host:80/v1", "", "http:///v1"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="http://"):
        HttpRuntime(url, KEY)


@pytest.mark.parametrize(
    "reply",
    [
        plain(b"<html>login</html>", headers=b"content-type: text/html\r\n"),
        plain(b"<html>"),
        plain(b'{"a":'),
        plain(b"[1]"),
        plain(ANSWER + ANSWER),
        plain(b"[" + ANSWER + b"," + ANSWER + b"]"),
        plain(b""),
        b"HTTP/1.1 204 No Content\r\n\r\n",
        plain(b"", "302 Found", b"location: http://127.0.0.1/\r\n"),
        plain(b"", "304 Not Modified"),
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"SSH-2.0-OpenSSH_9\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 30_000 + b"\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 10_000,
    ],
)
def test_what_is_not_an_answer_is_a_protocol_fault(reply: bytes) -> None:
    async def test() -> None:
        async with serving(replying(reply)) as (_, runtime):
            fault = await fault_of(runtime)
            assert (fault.kind, fault.status) == ("protocol", 0) and fault.message

    run(test())


def test_an_answer_without_end_is_cut_at_its_bound() -> None:
    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(b"HTTP/1.1 200 OK\r\n\r\n{")
        while True:
            await peer.say(b" " * 65_536)

    async def test() -> None:
        async with serving(script, max_answer_bytes=1_000_000) as (_, runtime):
            fault = await fault_of(runtime)
            assert fault.kind == "protocol" and "1000000" in fault.message

    run(test())


@pytest.mark.parametrize("stream", [False, True])
def test_a_compressed_answer_is_read_and_a_bomb_is_cut_at_the_bound(stream: bool) -> None:
    text = CHUNK + END + DONE if stream else ANSWER
    kind = b"text/event-stream" if stream else b"application/json"

    def encoded(body: bytes, encoding: bytes) -> bytes:
        return plain(body, headers=b"content-type: %b\r\ncontent-encoding: %b\r\n" % (kind, encoding))

    packed = zlib.compress(text)
    read = [
        encoded(gzip.compress(text), b"gzip"),
        encoded(gzip.compress(text), b"X-GZIP, identity"),
        encoded(gzip.compress(text[:20]) + gzip.compress(b"") + gzip.compress(text[20:]), b"gzip"),
        encoded(gzip.compress(text) + b"\0\0junk", b"gzip"),
        encoded(packed, b"deflate"),
        encoded(packed[2:-4], b"deflate"),  # without its head, as some send it
        encoded(text, b"gzip"),  # a proxy has unpacked it, and kept the header
        encoded(text, b"deflate"),
        encoded(text, b"utf-8"),
        encoded(text, b"none"),
    ]

    async def test() -> None:
        for reply in read:
            async with serving(replying(reply)) as (_, runtime):
                if stream:
                    opened = await runtime.stream(b"{}", deadline=soon())
                    assert len(await events_of(opened)) == 3
                else:
                    assert (await runtime.complete(b"{}", deadline=soon())).body == ANSWER
        bomb = gzip.compress(b" " * 20_000_000)
        bombs = gzip.compress(b" " * 600_000) * 2
        broken = gzip.compress(text)[:12] + b"\xff" * 20
        for reply in (
            *(encoded(bomb, b"gzip"), encoded(bombs, b"gzip"), encoded(broken, b"gzip")),
            *(encoded(b"\x1b" + text, b"br"), encoded(packed, b"deflate, gzip"), encoded(b"\xff" * 50, b"deflate")),
        ):
            async with serving(replying(reply), max_answer_bytes=1_000_000) as (_, runtime):
                assert (await fault_of(runtime, stream=stream)).kind == "protocol"

    run(test())


@pytest.mark.parametrize("pieces", [1, 60])
@pytest.mark.parametrize(
    "stated",
    [
        b"content-length: %d\r\nx: y\r\nContent-Length: %d\r\n",
        b"content-length: %d, %d\r\n",
        b"x: y\r\ncontent-length:%d , %d\r\n",
    ],
)
def test_a_length_that_is_stated_twice_alike_is_one(stated: bytes, pieces: int) -> None:
    """And the connection stays good for the next request."""
    length = len(ANSWER)
    reply = b"HTTP/1.1 200 OK\r\n%b\r\n%b" % (stated % (length, length), ANSWER)
    step = -(-len(reply) // pieces)

    async def script(peer: Peer) -> None:
        for _ in range(2):
            await peer.ask()
            for at in range(0, len(reply), step):
                await peer.say(reply[at : at + step])

    async def test() -> None:
        async with serving(script) as (_, runtime):
            for _ in range(2):
                assert (await runtime.complete(b"{}", deadline=soon())).body == ANSWER

    run(test())


@pytest.mark.parametrize("coding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_an_answer_in_another_coding_is_read(coding: str) -> None:
    async def test() -> None:
        async with serving(replying(plain(ANSWER.decode().encode(coding)))) as (_, runtime):
            assert (await runtime.complete(b"{}", deadline=soon())).body == ANSWER

    run(test())


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\ntransfer-encoding: chunked\n\n",
        b"HTTP/1.1 200 OK\r\nx: a\r\n b\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno header\r\n: nothing\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\0b\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.2 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
    ],
    ids=[
        "a length beside chunks",
        "no CR",
        "folded",
        "a space before the colon",
        "no header",
        "a zero",
        "a later HTTP/1",
    ],
)
def test_a_careless_head_costs_no_answer(head: bytes) -> None:
    chunked = b"%x\r\n%b\r\n0\r\n\r\n" % (len(ANSWER), ANSWER)

    async def test() -> None:
        async with serving(replying(head + chunked)) as (_, runtime):
            assert (await runtime.complete(b"{}", deadline=soon())).body == ANSWER

    run(test())


def test_a_head_that_is_too_large_is_said_so() -> None:
    async def test() -> None:
        async with serving(replying(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n{}")) as (_, runtime):
            assert "too large" in (await fault_of(runtime)).message

    run(test())


@pytest.mark.parametrize("around", [b"\xef\xbb\xbf%b", b"%b\0\0", b"%b\nnull", b" %b\r\n\0", b"[%b]", b"%b;"])
def test_what_stands_around_an_answer_is_dropped(around: bytes) -> None:
    async def test() -> None:
        async with serving(replying(plain(around % ANSWER))) as (_, runtime):
            reply = await runtime.complete(b"{}", deadline=soon())
            assert reply.body.startswith(b"{") and json.loads(reply.body) == json.loads(ANSWER)

    run(test())


def test_the_model_list_is_its_rows() -> None:
    async def test() -> None:
        async with serving(replying(plain(b'{"data":[{"id":"a"},7]}'))) as (server, runtime):
            assert await runtime.models() == [{"id": "a"}]
            assert server.requests[0].startswith(b"GET /v1/models HTTP/1.1\r\n")

    run(test())


@pytest.mark.parametrize(
    ("pages", "ids", "whole", "asked"),
    [
        (
            [{"data": ["a"], "has_more": True, "last_id": "a"}, {"data": ["b"], "has_more": False}],
            "ab",
            True,
            b"?after_id=a&after=a ",
        ),
        (
            [{"data": ["a"], "has_more": True}, {"data": ["b"], "has_more": True}, {"data": ["c"]}],
            "abc",
            True,
            b"after=b ",
        ),
        ([{"models": ["a"], "nextPageToken": "x/="}, {"models": ["b"]}], "ab", True, b"?pageToken=x%2F%3D "),
        ([{"data": ["a"], "has_more": True}, {"data": ["a"], "has_more": True}], "a", False, b"after=a "),
        ([{"data": ["a"], "has_more": True}, {"error": "no"}], "a", False, b"after=a "),
        ([{"data": [], "has_more": True}], "", False, b"/v1/models "),
    ],
    ids=["Anthropic", "OpenAI", "Google", "the same again", "a page that fails", "nothing"],
)
def test_a_model_list_of_several_pages_is_read_to_its_end(
    pages: list[dict[str, object]], ids: str, whole: bool, asked: bytes
) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.ask()
            await peer.say(plain(json.dumps(pages[len(peer.server.requests) - 1]).encode()))

    async def test() -> None:
        async with serving(script) as (server, runtime):
            rows = await runtime.models()
            assert ("".join(str(row["id"]) for row in rows), rows.whole) == (ids, whole)
            assert asked in server.requests[-1] and len(server.requests) == len(pages)

    run(test())


@pytest.mark.parametrize("body", [b'{"mine":[]}', b"7", b"{", b'{"data":7}'])
def test_a_model_list_in_another_form_is_a_protocol_fault(body: bytes) -> None:
    async def test() -> None:
        async with serving(replying(plain(body))) as (_, runtime):
            with pytest.raises(RuntimeFault) as caught:
                await runtime.models()
            assert caught.value.kind == "protocol"

    run(test())
