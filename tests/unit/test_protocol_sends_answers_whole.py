"""A whole answer that is written at once is the one that two ASGI messages give; what could break it up is refused."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
import uvloop
from starlette.types import Receive, Scope, Send

from arbiter_app.connections import ConnectionLimiter
from arbiter_app.protocol import TimedTransport, answer, protocols
from arbiter_app.settings import load_settings
from tests.waiting import PATIENCE_S

HEADERS = [(b"content-type", b"application/json"), (b"x-arbiter-model", b"m")]
BODY = b'{"ok":true}'


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    async def relayed(message: object) -> None:  # another server's `send`: nothing can be done past it
        await send(message)  # type: ignore[arg-type]

    await receive()
    bad = scope["path"] == "/bad"
    headers = [*HEADERS, (b"x-arbiter-task", b"a\r\nset-cookie: b")] if bad else HEADERS
    await answer(relayed if scope["path"] == "/relayed" else send, 200, headers, BODY)


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        application,
        **protocols(ConnectionLimiter(load_settings({}, env_file=None))),
        loop="uvloop",
        lifespan="off",
        log_config=None,
        server_header=False,
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    yield listening.getsockname()[1]
    server.should_exit = True
    thread.join(PATIENCE_S)


def heard(port: int, *requests: str) -> bytes:
    """What comes back for these requests, sent together on one connection, until that is closed."""
    sent = "\r\n".join(f"{one} HTTP/1.1\r\nhost: a\r\n" for one in requests)
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(sent.encode() + b"connection: close\r\n\r\n")
        return b"".join(iter(lambda: connection.recv(65536), b""))


def parts(raw: bytes) -> list[tuple[bytes, frozenset[bytes], bytes]]:
    """Status line, headers but for the time of day, and body of each answer."""
    found = []
    for one in raw.split(b"HTTP/1.1 ")[1:]:
        head, _, body = one.partition(b"\r\n\r\n")
        status, *lines = head.split(b"\r\n")
        named = {line.lower() for line in lines}
        assert any(line.startswith(b"date: ") for line in named)
        found.append((status, frozenset(line for line in named if not line.startswith(b"date: ")), body))
    return found


def test_it_is_the_answer_of_two_messages(port: int) -> None:
    first, second = parts(heard(port, "GET /whole", "GET /relayed"))
    told = {b"content-type: application/json", b"x-arbiter-model: m", b"content-length: 11"}
    assert first == (b"200 OK", frozenset(told), BODY)
    assert second == (b"200 OK", frozenset({*told, b"connection: close"}), BODY)


def test_a_connection_that_is_to_close_says_so_and_closes(port: int) -> None:
    [(status, headers, body)] = parts(heard(port, "GET /whole"))
    assert (status, b"connection: close" in headers, body) == (b"200 OK", True, BODY)


def test_requests_that_come_together_are_answered_in_order(port: int) -> None:
    answers = parts(heard(port, *["GET /whole"] * 20))
    assert [(status, body) for status, _, body in answers] == [(b"200 OK", BODY)] * 20


def test_a_line_break_in_a_header_ends_the_answer(port: int) -> None:
    raw = heard(port, "GET /bad", "GET /whole")
    assert b"set-cookie" not in raw
    assert parts(raw)[0][0] == b"500 Internal Server Error"


def test_what_is_written_to_a_connection_that_is_lost_meanwhile_is_dropped() -> None:
    async def run() -> list[object]:
        loop, failed = asyncio.get_running_loop(), list[object]()
        loop.set_exception_handler(lambda _, context: failed.append(context))
        ours, theirs = socket.socketpair()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        timed = TimedTransport(transport, loop, 1.0)
        loop.call_soon(timed.write, b"too late")
        transport.abort()
        await asyncio.sleep(0.01)
        timed.write(b"later still")
        await asyncio.sleep(0.01)
        theirs.close()
        return failed

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(run()) == []
