"""Frames of a page's socket, of every kind: floods and large ones end the socket; ordinary ones pass."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from arbiter_app.notices import bounds
from arbiter_app.server import config_of
from arbiter_app.settings import load_settings
from tests.waiting import PATIENCE_S, until

SETTINGS = load_settings({"ARBITER_MAX_SOCKETS": "2", "ARBITER_PORT": "0"}, env_file=None)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or ""})


@contextmanager
def serving(app: ASGIApp) -> Iterator[uvicorn.Server]:
    """A server of this application."""
    config = config_of(SETTINGS, app)
    config.lifespan = "off"
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield server
    server.should_exit = True
    thread.join(PATIENCE_S)


def port_of(server: uvicorn.Server) -> int:
    port: int = server.servers[0].sockets[0].getsockname()[1]
    return port


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving(echo) as server:
        yield f"ws://127.0.0.1:{port_of(server)}/"


def connected(url: str, **how: Any) -> ClientConnection:
    return connect(url, open_timeout=PATIENCE_S, ping_timeout=None, **how)


def closed_by(page: ClientConnection) -> int | None:
    """Read until the other side closes: its code."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            page.recv(PATIENCE_S)
    return caught.value.rcvd.code if caught.value.rcvd else None


def test_ordinary_messages_pass(url: str) -> None:
    with connected(url) as page:
        for at in range(150):
            page.send(f"{at}")
            assert page.recv(PATIENCE_S) == f"{at}"
        page.send("x" * 200_000)
        assert len(page.recv(PATIENCE_S)) == 200_000


@pytest.mark.parametrize("kind", ["text", "ping", "fragments"])
def test_a_flood_of_frames_ends_the_socket(url: str, kind: str) -> None:
    before = bounds.counts["socket_frames"]
    with connected(url, close_timeout=1) as page:
        try:
            if kind == "fragments":
                page.send("" for _ in range(20_000))
            for _ in range(20_000):
                page.ping() if kind == "ping" else page.send("x")
        except ConnectionClosed:
            pass
        assert closed_by(page) in (1008, None)
    assert bounds.counts["socket_frames"] == before + 1


def test_a_large_message_ends_the_socket(url: str) -> None:
    before = bounds.counts["socket_bytes"]
    with connected(url, close_timeout=1) as page:
        page.send("x" * 300_000)
        assert closed_by(page) == 1009
    assert bounds.counts["socket_bytes"] == before + 1


def test_sockets_are_bounded_in_number(url: str) -> None:
    from websockets.exceptions import InvalidStatus

    with connected(url), connected(url), pytest.raises(InvalidStatus, match="503"):
        connected(url)

    def again() -> bool:
        try:
            with connected(url):
                return True
        except InvalidStatus:
            return False

    until(again)


def test_what_comes_before_the_handshake_is_answered_breaks_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """Junk behind a handshake is read once the socket is accepted, and ends it like any junk; nothing of it is an error of ours."""
    arrived = threading.Event()

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await asyncio.to_thread(arrived.wait, PATIENCE_S)
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass

    with serving(slow) as server, socket.create_connection(("127.0.0.1", port_of(server)), timeout=PATIENCE_S) as raw:
        raw.sendall(HANDSHAKE)
        until(lambda: bool(server.server_state.tasks))
        raw.sendall(b"\xff" * 300)
        until(lambda: unread(port_of(server)) or not server.server_state.tasks)
        arrived.set()
        answer = b""
        while data := raw.recv(65_536):
            answer += data
    assert answer.startswith(b"HTTP/1.1 101"), answer
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


HANDSHAKE = (
    b"GET / HTTP/1.1\r\nhost: 127.0.0.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
    b"sec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\nsec-websocket-version: 13\r\n\r\n"
)


def unread(port: int) -> bool:
    """Whether bytes wait in a socket of ours on this port that nobody has read."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return any(row[1].endswith(f":{port:04X}") and int(row[4].split(":")[1], 16) for row in rows)
