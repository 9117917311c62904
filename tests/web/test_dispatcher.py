"""The one port: each path reaches its owner, foreign sockets are refused, floods are cut, builds fit every origin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import reflex_base
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from arbiter_app.web import dispatcher, plugin


def says(word: str) -> Any:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                pass
            return
        await PlainTextResponse(word)(scope, receive, send)

    return app


@pytest.fixture
def client() -> TestClient:
    one_port = dispatcher.Dispatcher(
        gateway=says("gateway"),
        pages=says("pages"),
        session=says("session"),
        export=says("export"),
        socket=says("socket"),
    )
    return TestClient(one_port, base_url="http://arbiter.test")


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/v1/chat/completions", "gateway"),
        ("/v1", "gateway"),
        ("/v1/nothing/here", "gateway"),
        ("/health", "gateway"),
        ("/readyz", "gateway"),
        ("/metrics", "gateway"),
        ("/session", "session"),
        ("/export/decisions.csv", "export"),
        ("/", "pages"),
        ("/v10", "pages"),
        ("/healthy", "pages"),
        ("/_event", "pages"),
        ("/app/activity", "pages"),
    ],
)
def test_each_path_reaches_its_owner(client: TestClient, path: str, owner: str) -> None:
    assert client.get(path).text == owner


def test_a_socket_of_another_origin_is_refused(client: TestClient) -> None:
    with (
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/_event/", headers={"origin": "http://evil.test", "host": "arbiter.test"}),
    ):
        pass


def test_a_socket_of_our_own_pages_is_served(client: TestClient) -> None:
    headers = {"origin": "http://arbiter.test", "host": "arbiter.test"}
    with client.websocket_connect("/_event/", headers=headers) as socket:
        socket.send_text("2")


def test_a_socket_outside_the_event_path_is_refused(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/v1/chat/completions"):
        pass


def test_the_build_points_the_socket_at_the_pages_own_origin() -> None:
    template = Path(reflex_base.__file__).parent / ".templates" / "web" / plugin.STATE_JS
    once = plugin.own_origin(template.read_text())
    assert "endpoint.host = window.location.host" in once
    assert plugin.own_origin(once) == once
    with pytest.raises(RuntimeError, match=r"state\.js has changed"):
        plugin.own_origin("something else")
