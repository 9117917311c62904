"""Connections to the runtime: reused, replaced, timed out and hung up on; every failure is one clear fault."""

from __future__ import annotations

import asyncio
import socket
import ssl
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from arbiter_app.runtime.client import HttpRuntime
from arbiter_app.runtime.transport import HttpResponse, PooledTransport, Timeouts
from tests.peer import (
    ANSWER,
    CHUNK,
    DONE,
    KEY,
    SSE,
    Peer,
    chunked,
    closing,
    events_of,
    fault_of,
    open_connections,
    plain,
    replying,
    run,
    serving,
    silent,
    soon,
    until,
)
from tests.waiting import FAR_S, PATIENCE_S


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
                return asyncio.create_task(transport.ask(("http", "127.0.0.1", port), request, Timeouts(), soon()))

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


def test_a_second_answer_to_one_request_is_never_taken_for_the_next() -> None:
    async def test() -> None:
        async with serving(replying(plain() + plain(b'{"evil":1}'), plain())) as (_, runtime):
            for _ in range(3):
                assert (await runtime.complete(b"{}", deadline=soon())).body == ANSWER

    run(test())


def test_a_silent_runtime_ends_at_the_first_byte_timeout_and_is_hung_up_on() -> None:
    async def test() -> None:
        async with serving(silent, first_byte_timeout_s=0.1) as (server, runtime):
            assert (await fault_of(runtime, stream=True, deadline_s=FAR_S)).kind == "timeout"
            await asyncio.wait_for(server.hung_up.wait(), PATIENCE_S)

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
            fault = await fault_of(runtime, stream=stream, deadline_s=FAR_S)
            assert fault.kind == "timeout" and "0.1 s" in fault.message
            await asyncio.wait_for(server.hung_up.wait(), PATIENCE_S)

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
        async with serving(script, gap_timeout_s=FAR_S) as (_, runtime):
            started = time.monotonic()
            fault = await fault_of(runtime, stream=stream, deadline_s=1.0)
            assert fault.kind == "timeout" and "deadline" in fault.message
            assert time.monotonic() - started > 0.9

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
            assert (await fault_of(runtime, stream=True, deadline_s=FAR_S)).kind == "timeout"

    run(test())


@pytest.mark.parametrize("said", [b"", plain()[:-5]], ids=["before the answer", "in the answer"])
def test_cancelling_a_call_closes_its_connection_at_once(said: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(said)
        await peer.until_closed()

    async def test() -> None:
        async with serving(script) as (server, runtime):
            call = asyncio.create_task(runtime.complete(b"{}", deadline=soon(FAR_S)))
            await asyncio.wait_for(server.answered.wait(), PATIENCE_S)
            call.cancel()
            await asyncio.wait_for(server.hung_up.wait(), PATIENCE_S)
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
            stream = await runtime.stream(b"{}", deadline=soon(FAR_S))
            assert list(await stream.together()) == [CHUNK.strip()]
            await stream.aclose()
            await asyncio.wait_for(server.hung_up.wait(), PATIENCE_S)
            assert open_connections(runtime) == 0

    run(test())


def test_closing_the_client_ends_calls_under_way_in_a_fault() -> None:
    async def test() -> None:
        async with serving(silent) as (server, runtime):
            call = asyncio.create_task(fault_of(runtime, deadline_s=FAR_S))
            await until(lambda: server.requests)
            await runtime.aclose()
            assert (await asyncio.wait_for(call, PATIENCE_S)).kind == "transport"

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
