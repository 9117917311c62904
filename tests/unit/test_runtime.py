"""The client of the runtime against servers that misbehave on a real socket: every failure is one clear fault."""

from __future__ import annotations

import asyncio
import contextlib
import email.utils
import gzip
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import orjson
import pytest
import uvloop

from arbiter_app.pipeline.ports import Refused, ReplyStream, RuntimeFault
from arbiter_app.runtime.client import HttpRuntime
from arbiter_app.runtime.sse import StreamAssembler
from arbiter_app.runtime.transport import HttpResponse, PooledTransport, Timeouts

KEY = "sk-secret-0123456789"
ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
)
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's end of one connection: `ask` reads a request, `say` writes bytes as they are."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer

    async def ask(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        self.server.requests.append(head + await self.reader.readexactly(length))
        return self.server.requests[-1]

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.server.answered.set()

    async def until_closed(self) -> None:
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass
        self.server.hung_up.set()


class Server:
    """A TCP server that plays `script` on every connection; it counts connections and keeps requests."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.connections = 0
        self.answered = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self.script(Peer(self, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(script: Script, **options: object) -> AsyncIterator[tuple[Server, HttpRuntime]]:
    """A server that plays `script`, and a runtime client for it."""
    server = Server(script)
    context = options.pop("server_ssl", None)
    listening = await asyncio.start_server(server.play, "127.0.0.1", 0, ssl=context)  # type: ignore[arg-type]
    port = server.port = listening.sockets[0].getsockname()[1]
    runtime = HttpRuntime(f"{'https' if context else 'http'}://127.0.0.1:{port}/v1", KEY, **options)  # type: ignore[arg-type]
    try:
        yield server, runtime
    finally:
        await runtime.aclose()
        listening.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)
        await listening.wait_closed()


def run(test: Awaitable[None]) -> None:
    """Run on the loop that production uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(test, 20))


async def until(holds: Callable[[], object]) -> None:
    """Wait, at most as long as `run` lets us, for something that has no event of its own."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.002)


def soon(seconds: float = 5.0) -> float:
    return asyncio.get_running_loop().time() + seconds


def plain(
    body: bytes = ANSWER, status: str = "200 OK", headers: bytes = b"content-type: application/json\r\n"
) -> bytes:
    return b"HTTP/1.1 %s\r\n%scontent-length: %d\r\n\r\n%s" % (status.encode(), headers, len(body), body)


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def replying(*replies: bytes) -> Script:
    """Answers the requests of a connection with these bytes in turn, the last one forever."""

    async def script(peer: Peer) -> None:
        at = 0
        while True:
            await peer.ask()
            await peer.say(replies[min(at, len(replies) - 1)])
            at += 1

    return script


def closing(reply: bytes) -> Script:
    """Answers one request with these bytes and closes in good order."""

    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(reply)
        peer.writer.close()
        await peer.writer.wait_closed()

    return script


async def silent(peer: Peer) -> None:
    await peer.ask()
    await peer.until_closed()


async def events_of(stream: ReplyStream) -> list[bytes]:
    """Every event that is still to come."""
    found: list[bytes] = []
    while events := await stream.together():
        found += events
    return found


def open_connections(runtime: HttpRuntime) -> int:
    """Connections in use, and idle ones that are still open."""
    transport = runtime._transport
    assert isinstance(transport, PooledTransport)
    return len(transport._busy) + sum(one.usable for idle in transport._idle.values() for one in idle)


async def fault_of(runtime: HttpRuntime, *, stream: bool = False, deadline_s: float = 5.0) -> RuntimeFault:
    """The fault that a call ends in, streamed to its end or not."""
    with pytest.raises(RuntimeFault) as caught:
        if stream:
            answer = await runtime.stream(b"{}", deadline=soon(deadline_s))
            try:
                await events_of(answer)
            finally:
                await answer.aclose()
        else:
            await runtime.complete(b"{}", deadline=soon(deadline_s))
    return caught.value


# what goes out, and what comes back


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


def test_connections_are_kept_and_reused_by_plain_and_streamed_answers() -> None:
    async def test() -> None:
        replies = (plain(), SSE + chunked(CHUNK) + chunked(DONE) + b"0\r\n\r\n", plain())
        async with serving(replying(*replies)) as (server, runtime):
            await runtime.complete(b"{}", deadline=soon())
            stream = await runtime.stream(b"{}", deadline=soon())
            assert await events_of(stream) == [CHUNK.strip(), DONE.strip()]
            await stream.aclose()
            await runtime.complete(b"{}", deadline=soon())
            assert server.connections == 1 and len(server.requests) == 3

    run(test())


def test_a_connection_is_reused_although_the_end_of_its_stream_comes_after_done() -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.ask()
            await peer.say(SSE + chunked(CHUNK) + chunked(DONE))
            await asyncio.sleep(0.02)
            await peer.say(chunked(b": bye\n\n") + b"0\r\n\r\n")

    async def test() -> None:
        async with serving(script) as (server, runtime):
            for _ in range(3):
                stream = await runtime.stream(b"{}", deadline=soon())
                assert (await events_of(stream))[-1] == DONE.strip()
                await stream.aclose()
                await until(lambda: not runtime._transport._busy)  # type: ignore[attr-defined]
            assert server.connections == 1

    run(test())


def test_parallel_calls_share_the_pool_and_it_does_not_grow() -> None:
    async def test() -> None:
        async with serving(replying(plain())) as (server, runtime):
            for _ in range(5):
                await asyncio.gather(*(runtime.complete(b"{}", deadline=soon()) for _ in range(20)))
            assert server.connections <= 20 and len(server.requests) == 100
            assert open_connections(runtime) <= 20

    run(test())


@pytest.mark.parametrize(
    "reply",
    [
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + plain(),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\n"
        + ANSWER[:5]
        + b"\r\n"
        + chunked(ANSWER[5:])
        + b"0\r\nx-trailer: 1\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + ANSWER,
        b"HTTP/1.1 201 Created\r\nContent-Type: application/problem+json\r\nconnection: close\r\n\r\n" + ANSWER,
    ],
    ids=["1xx", "chunked", "close-delimited", "other 2xx"],
)
def test_every_way_http_frames_an_answer_is_read(reply: bytes) -> None:
    async def test() -> None:
        async with serving(closing(reply)) as (_, runtime):
            assert (await runtime.complete(b"{}", deadline=soon())).body == ANSWER

    run(test())


def test_an_answer_larger_than_the_read_buffer_arrives_whole() -> None:
    async def test() -> None:
        body = b'{"text":"' + b"x" * 3_000_000 + b'"}'
        async with serving(replying(plain(body))) as (server, runtime):
            for _ in range(2):
                assert (await runtime.complete(b"{" + b" " * 2_000_000 + b"}", deadline=soon())).body == body
            assert server.connections == 1

    run(test())


# connections that went away


def test_a_stale_connection_is_replaced_without_anybody_noticing() -> None:
    async def test() -> None:
        async with serving(closing(plain())) as (server, runtime):
            for _ in range(3):
                assert (await runtime.complete(b"{}", deadline=soon())).body == ANSWER
            assert server.connections == 3

    run(test())


def test_a_connection_that_dies_with_the_second_request_is_tried_once_more() -> None:
    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(plain())
        await peer.ask()
        peer.writer.transport.abort()

    async def test() -> None:
        async with serving(script) as (server, runtime):
            await runtime.complete(b"{}", deadline=soon())
            await runtime.complete(b"{}", deadline=soon())
            assert server.connections == 2 and len(server.requests) == 3

    run(test())


def test_a_new_connection_that_closes_without_an_answer_is_a_fault_and_is_not_retried() -> None:
    async def test() -> None:
        async with serving(closing(b"")) as (server, runtime):
            assert (await fault_of(runtime)).kind == "transport"
            assert server.connections == 1

    run(test())


@pytest.mark.parametrize("steps", range(6))
def test_a_new_connection_that_is_reset_at_any_moment_harms_no_other_call(steps: int) -> None:
    """Reset between two steps of the event loop: before the request was handed over, before it was written, or after."""

    async def test() -> None:
        async with serving(replying(plain())) as (server, runtime):
            transport, request = PooledTransport(), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"

            def ask(port: int) -> asyncio.Task[HttpResponse]:
                return asyncio.create_task(transport.ask(("http", "127.0.0.1", port), request, Timeouts(), soon(5)))

            with socket.create_server(("127.0.0.1", 0)) as listening:
                reset = [ask(listening.getsockname()[1]) for _ in range(3)]
                for _ in range(steps):
                    await asyncio.sleep(0)
            others = [ask(server.port) for _ in range(5)]  # closing the socket has reset who was not yet accepted
            faults = await asyncio.gather(*reset, return_exceptions=True)
            assert all(isinstance(fault, httpx.ConnectError | httpx.ReadError) for fault in faults), faults
            assert [answer.status for answer in await asyncio.gather(*others)] == [200] * 5
            await transport.aclose()

    run(test())


def test_nobody_listening_is_a_connect_fault() -> None:
    async def test() -> None:
        runtime = HttpRuntime("http://127.0.0.1:9/v1", KEY)
        assert (await fault_of(runtime)).kind == "connect"
        await runtime.aclose()
        assert (await fault_of(runtime)).kind == "connect"

    run(test())


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_cut_in_the_middle_is_a_transport_fault(stream: bool) -> None:
    async def test() -> None:
        reply = SSE + chunked(CHUNK) if stream else plain()[:-5]
        async with serving(closing(reply)) as (_, runtime):
            assert (await fault_of(runtime, stream=stream)).kind == "transport"

    run(test())


# answers that are none


@pytest.mark.parametrize(
    "reply",
    [
        plain(b"<html>login</html>", headers=b"content-type: text/html\r\n"),
        plain(b"<html>"),
        plain(b'{"a":'),
        plain(b"[1]"),
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


def test_a_second_answer_to_one_request_is_never_taken_for_the_next() -> None:
    async def test() -> None:
        async with serving(replying(plain() + plain(b'{"evil":1}'), plain())) as (_, runtime):
            for _ in range(3):
                assert (await runtime.complete(b"{}", deadline=soon())).body == ANSWER

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


@pytest.mark.parametrize(
    "reply",
    [
        SSE + b"0\r\n\r\n",
        SSE + chunked(b": only a comment\n\n") + b"0\r\n\r\n",
        SSE + chunked(DONE) + b"0\r\n\r\n",
        SSE + chunked(b": ping\n\nevent: x\n\n" + DONE) + b"0\r\n\r\n",
        SSE + chunked(b"data: not json\n\n") + b"0\r\n\r\n",
        plain(b"<html>login</html>", headers=b"content-type: text/html\r\n"),
        plain(b'{"a":1}'),
        plain(b"[1]"),
        plain(b""),
    ],
    ids=["empty", "comment", "done", "pings", "text", "page", "object", "list", "nothing"],
)
def test_what_is_not_a_stream_is_a_fault_before_the_first_byte_goes_out(reply: bytes) -> None:
    async def test() -> None:
        async with serving(replying(reply)) as (_, runtime):
            with pytest.raises(RuntimeFault) as caught:
                await runtime.stream(b"{}", deadline=soon())
            assert caught.value.kind == "protocol"

    run(test())


def test_an_error_frame_with_a_status_counts_as_that_status() -> None:
    async def test() -> None:
        frame = b'data: {"error":{"message":"slow down","code":429}}\n\n'
        async with serving(replying(SSE + chunked(b": hi\n\n") + chunked(frame))) as (_, runtime):
            fault = await fault_of(runtime, stream=True)
            assert (fault.kind, fault.status, fault.message) == ("status", 429, "slow down")

    run(test())


def test_a_stream_without_end_is_cut_at_its_bound() -> None:
    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(SSE)
        while True:
            await peer.say(chunked(CHUNK * 500))

    async def test() -> None:
        async with serving(script, max_answer_bytes=500_000) as (_, runtime):
            assert (await fault_of(runtime, stream=True)).kind == "protocol"

    run(test())


# streams that are none, and plain answers that are streams

ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
ERROR = b'data: {"error":{"message":"Overloaded","code":503}}\n\n'
END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
WHOLE: dict[str, object] = {
    "id": "x",
    "model": "m",
    "created": 7,
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"},
        {
            "index": 1,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            "finish_reason": "tool_calls",
        },
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2},
}


def assembled(events: list[bytes]) -> dict[str, object]:
    assembler = StreamAssembler()
    for event in events:
        assembler.feed(event)
    assert assembler.done and assembler.error is None
    return assembler.body()


@pytest.mark.parametrize(
    "before", [b"", b": ping\n\n" * 3, ROLE, ROLE * 2 + b": ping\n\n", b'data: {"choices":[]}\n\n']
)
@pytest.mark.parametrize("then", [b"", ERROR, DONE], ids=["end", "error", "done"])
def test_until_the_first_payload_a_stream_is_no_answer(before: bytes, then: bytes) -> None:
    async def test() -> None:
        async with serving(replying(SSE + chunked(before + then or b": ") + b"0\r\n\r\n")) as (_, runtime):
            with pytest.raises(RuntimeFault) as caught:
                await runtime.stream(b"{}", deadline=soon())
            assert caught.value.status == (503 if then == ERROR else 0)

    run(test())


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"reasoning_content": "x"},
        {"reasoning": "x"},
        {"refusal": "no"},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]},
        {"audio": {"id": "a"}},
    ],
    ids=lambda delta: next(iter(delta)),
)
def test_any_payload_begins_the_answer_and_what_was_held_back_comes_first(delta: dict[str, object]) -> None:
    first = b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": delta}]})

    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(SSE + chunked(ROLE))
        await peer.say(chunked(first + b"\n\n"))
        await peer.until_closed()

    async def test() -> None:
        async with serving(script) as (_, runtime):
            stream = await runtime.stream(b"{}", deadline=soon())
            assert list(await stream.together()) == [ROLE.strip(), first]
            await stream.aclose()

    run(test())


@pytest.mark.parametrize("kind", [b"application/json", b"text/plain", b"text/event-stream", b""])
@pytest.mark.parametrize("indent", [False, True])
def test_a_whole_answer_to_a_streamed_request_is_taken_as_a_stream(kind: bytes, indent: bool) -> None:
    body = orjson.dumps(WHOLE, option=orjson.OPT_INDENT_2 if indent else 0)
    headers = b"content-type: %b\r\n" % kind if kind else b""

    async def test() -> None:
        async with serving(replying(plain(body, headers=headers))) as (_, runtime):
            stream = await runtime.stream(b"{}", deadline=soon())
            assert assembled(await events_of(stream)) == {**WHOLE, "object": "chat.completion"}

    run(test())


@pytest.mark.parametrize("kind", [b"text/event-stream", b"application/json", b""])
@pytest.mark.parametrize("end", [DONE, b""])
def test_a_stream_to_a_plain_request_is_taken_as_the_answer_it_comes_to(kind: bytes, end: bytes) -> None:
    headers = b"content-type: %b\r\n" % kind if kind else b""

    async def test() -> None:
        async with serving(replying(plain(ROLE + CHUNK + END + end, headers=headers))) as (_, runtime):
            reply = await runtime.complete(b"{}", deadline=soon())
            assert reply.json["choices"][0]["message"]["content"] == "hi"
            assert orjson.loads(reply.body) == reply.json
        async with serving(replying(plain(ROLE + CHUNK, headers=headers))) as (_, runtime):
            assert (await fault_of(runtime)).kind == "transport"
        async with serving(replying(plain(ROLE + ERROR, headers=headers))) as (_, runtime):
            assert (await fault_of(runtime)).status == 503

    run(test())


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_with_status_200_is_the_error_that_it_states(stream: bool) -> None:
    body = b'{"error":{"message":"Insufficient credits","code":402}}'

    async def test() -> None:
        async with serving(replying(plain(body))) as (_, runtime):
            fault = await fault_of(runtime, stream=stream)
            assert (fault.status, fault.means, fault.message) == (402, Refused.OUT_OF_CREDIT, "Insufficient credits")

    run(test())


@pytest.mark.parametrize("stream", [False, True])
def test_a_compressed_answer_is_read_and_a_bomb_is_cut_at_the_bound(stream: bool) -> None:
    text = CHUNK + END + DONE if stream else ANSWER
    kind = b"text/event-stream" if stream else b"application/json"

    def encoded(body: bytes, encoding: bytes) -> bytes:
        return plain(body, headers=b"content-type: %b\r\ncontent-encoding: %b\r\n" % (kind, encoding))

    async def test() -> None:
        async with serving(replying(encoded(gzip.compress(text), b"gzip"))) as (_, runtime):
            if stream:
                opened = await runtime.stream(b"{}", deadline=soon())
                assert len(await events_of(opened)) == 3
            else:
                assert (await runtime.complete(b"{}", deadline=soon())).body == ANSWER
        bomb = gzip.compress(b" " * 20_000_000)
        for reply in (encoded(bomb, b"gzip"), encoded(text, b"gzip"), encoded(text, b"br")):
            async with serving(replying(reply), max_answer_bytes=1_000_000) as (_, runtime):
                assert (await fault_of(runtime, stream=stream)).kind == "protocol"

    run(test())


def test_a_byte_order_mark_before_an_answer_is_dropped() -> None:
    async def test() -> None:
        async with serving(replying(plain(b"\xef\xbb\xbf" + ANSWER))) as (_, runtime):
            assert (await runtime.complete(b"{}", deadline=soon())).body == ANSWER

    run(test())


# refusals


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


# time


def test_a_silent_runtime_ends_at_the_first_byte_timeout_and_is_hung_up_on() -> None:
    async def test() -> None:
        async with serving(silent, first_byte_timeout_s=0.1) as (server, runtime):
            started = time.monotonic()
            assert (await fault_of(runtime, stream=True)).kind == "timeout"
            assert time.monotonic() - started < 1
            await asyncio.wait_for(server.hung_up.wait(), 1)

    run(test())


@pytest.mark.parametrize("at", ["before the head", "before the body"])
def test_a_plain_answer_may_take_longer_than_the_first_byte_of_a_stream(at: str) -> None:
    answer = plain()
    head = answer[: -len(ANSWER)] if at == "before the body" else b""

    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(head)
        await asyncio.sleep(0.4)
        await peer.say(answer[len(head) :])

    async def test() -> None:
        async with serving(script, first_byte_timeout_s=0.1, gap_timeout_s=0.1) as (_, runtime):
            assert (await runtime.complete(b"{}", deadline=soon())).body == ANSWER

    run(test())


def test_the_deadline_comes_before_the_first_byte_timeout() -> None:
    async def test() -> None:
        async with serving(silent) as (server, runtime):
            assert (await fault_of(runtime, deadline_s=0.1)).kind == "timeout"
            assert (await fault_of(runtime, deadline_s=-1)).kind == "timeout"
            assert len(server.requests) == 1

    run(test())


@pytest.mark.parametrize("stream", [False, True])
def test_a_gap_in_the_middle_ends_in_a_timeout(stream: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(SSE + chunked(CHUNK) if stream else plain()[:-5])
        await peer.until_closed()

    async def test() -> None:
        async with serving(script, gap_timeout_s=0.1) as (server, runtime):
            fault = await fault_of(runtime, stream=stream)
            assert fault.kind == "timeout" and "0.1 s" in fault.message
            await asyncio.wait_for(server.hung_up.wait(), 1)

    run(test())


@pytest.mark.parametrize("stream", [False, True])
def test_a_runtime_that_drips_is_held_to_the_deadline(stream: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(SSE if stream else b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{")
        while True:
            await peer.say(chunked(CHUNK) if stream else b" ")
            await asyncio.sleep(0.02)

    async def test() -> None:
        async with serving(script, gap_timeout_s=0.2) as (_, runtime):
            started = time.monotonic()
            fault = await fault_of(runtime, stream=stream, deadline_s=0.5)
            assert fault.kind == "timeout" and "deadline" in fault.message
            assert 0.4 < time.monotonic() - started < 1.5

    run(test())


def test_a_head_that_drips_is_held_to_the_first_byte_timeout() -> None:
    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(b"HTTP/1.1 200 OK\r\nx: ")
        while True:
            await peer.say(b"y")
            await asyncio.sleep(0.02)

    async def test() -> None:
        async with serving(script, first_byte_timeout_s=0.3) as (_, runtime):
            assert (await fault_of(runtime)).kind == "timeout"

    run(test())


# hanging up


@pytest.mark.parametrize("said", [b"", plain()[:-5]], ids=["before the answer", "in the answer"])
def test_cancelling_a_call_closes_its_connection_at_once(said: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(said)
        await peer.until_closed()

    async def test() -> None:
        async with serving(script) as (server, runtime):
            call = asyncio.create_task(runtime.complete(b"{}", deadline=soon(60)))
            await asyncio.wait_for(server.answered.wait(), 5)
            call.cancel()
            await asyncio.wait_for(server.hung_up.wait(), 1)
            with pytest.raises(asyncio.CancelledError):
                await call
            assert open_connections(runtime) == 0

    run(test())


def test_closing_a_stream_early_closes_its_connection_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(SSE + chunked(CHUNK))
        await peer.until_closed()

    async def test() -> None:
        async with serving(script) as (server, runtime):
            stream = await runtime.stream(b"{}", deadline=soon(60))
            assert list(await stream.together()) == [CHUNK.strip()]
            await stream.aclose()
            await asyncio.wait_for(server.hung_up.wait(), 1)
            assert open_connections(runtime) == 0

    run(test())


def test_closing_the_client_ends_calls_under_way_in_a_fault() -> None:
    async def test() -> None:
        async with serving(silent) as (server, runtime):
            call = asyncio.create_task(fault_of(runtime, deadline_s=60))
            await until(lambda: server.requests)
            await runtime.aclose()
            assert (await asyncio.wait_for(call, 1)).kind == "transport"

    run(test())


# the model list, and TLS


def test_the_model_list_is_its_rows() -> None:
    async def test() -> None:
        async with serving(replying(plain(b'{"data":[{"id":"a"},7]}'))) as (server, runtime):
            assert await runtime.models() == [{"id": "a"}]
            assert server.requests[0].startswith(b"GET /v1/models HTTP/1.1\r\n")

    run(test())


@pytest.mark.parametrize("body", [b'{"mine":[]}', b"7", b"{", b'{"data":7}'])
def test_a_model_list_in_another_form_is_a_protocol_fault(body: bytes) -> None:
    async def test() -> None:
        async with serving(replying(plain(body))) as (_, runtime):
            with pytest.raises(RuntimeFault) as caught:
                await runtime.models()
            assert caught.value.kind == "protocol"

    run(test())


def test_https_works_with_a_trusted_certificate_and_with_no_other(tmp_path: Path) -> None:
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
        "-days",
        "2",
    ]
    made += ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    subprocess.run(made, check=True, capture_output=True)
    server_ssl = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server_ssl.load_cert_chain(cert, key)

    async def test() -> None:
        trusting = PooledTransport(verify=ssl.create_default_context(cafile=str(cert)))
        async with serving(replying(plain()), server_ssl=server_ssl, transport=trusting) as (server, runtime):
            for _ in range(3):
                assert (await runtime.complete(b"{}", deadline=soon())).body == ANSWER
            assert server.connections == 1
        async with serving(replying(plain()), server_ssl=server_ssl) as (_, runtime):
            fault = await fault_of(runtime)
            assert fault.kind == "connect" and "certificate" in fault.message.lower()

    run(test())
