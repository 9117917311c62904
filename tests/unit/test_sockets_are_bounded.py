"""Frames of a page's socket, of every kind: floods and large ones end the socket; ordinary ones pass."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from arbiter_app.notices import bounds
from arbiter_app.server import config_of
from arbiter_app.settings import load_settings
from tests.waiting import until

SETTINGS = load_settings({"ARBITER_MAX_SOCKETS": "2", "ARBITER_PORT": "0"}, env_file=None)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (message := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": message.get("text") or ""})


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    config = config_of(SETTINGS, echo)
    config.lifespan = "off"
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run)
    thread.start()
    until(lambda: server.started)
    yield f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/"
    server.should_exit = True
    thread.join(20)


def closed_by(socket: ClientConnection) -> int | None:
    """Read until the other side closes: its code."""
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            socket.recv(20)
    return caught.value.rcvd.code if caught.value.rcvd else None


def test_ordinary_messages_pass(url: str) -> None:
    with connect(url) as socket:
        for at in range(150):
            socket.send(f"{at}")
            assert socket.recv(20) == f"{at}"
        socket.send("x" * 200_000)
        assert len(socket.recv(20)) == 200_000


@pytest.mark.parametrize("kind", ["text", "ping", "fragments"])
def test_a_flood_of_frames_ends_the_socket(url: str, kind: str) -> None:
    before = bounds.counts["socket_frames"]
    with connect(url, close_timeout=1) as socket:
        try:
            if kind == "fragments":
                socket.send("" for _ in range(20_000))
            for _ in range(20_000):
                socket.ping() if kind == "ping" else socket.send("x")
        except ConnectionClosed:
            pass
        assert closed_by(socket) in (1008, None)
    assert bounds.counts["socket_frames"] == before + 1


def test_a_large_message_ends_the_socket(url: str) -> None:
    before = bounds.counts["socket_bytes"]
    with connect(url, close_timeout=1) as socket:
        socket.send("x" * 300_000)
        assert closed_by(socket) == 1009
    assert bounds.counts["socket_bytes"] == before + 1


def test_sockets_are_bounded_in_number(url: str) -> None:
    from websockets.exceptions import InvalidStatus

    with connect(url), connect(url), pytest.raises(InvalidStatus, match="503"):
        connect(url)

    def again() -> bool:
        try:
            with connect(url):
                return True
        except InvalidStatus:
            return False

    until(again)
