"""A program without a session calls every public method of every state class, with arguments of every kind."""

from __future__ import annotations

import asyncio
import inspect
import json
import uuid
from collections.abc import Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import quote

import pytest
import socketio
from reflex_base.registry import RegistrationContext
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from tests.waiting import PATIENCE_S
from tests.web.conftest import OPERATOR, Site, in_own_loop, start_site, stop_site

NAMESPACE = "/_event"
BATCH = 120
HOSTILE: tuple[Any, ...] = (
    None,
    "",
    -1,
    10**30,
    float("1e308"),
    True,
    [],
    ["x", {"y": 1}],
    {},
    {"api_key": "arb_guess", "email": "a@b.cd", "prompt": "hello", "__class__": "x"},
    "x" * 5_000,
    "'; DROP TABLE decision; --",
    "<script>alert(1)</script>",
    "../../etc/passwd",
    "operator",
)


def handlers() -> dict[str, list[str]]:
    """Every event handler that a socket can name, with its arguments: read from the application itself."""
    import arbiter_app.arbiter_app as application

    assert application.app is not None
    found = RegistrationContext.ensure_context().event_handlers
    return {name: _arguments(one.handler.fn) for name, one in found.items()}


def _arguments(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in ("self", "_")]


def events() -> list[dict[str, Any]]:
    """Each handler with each hostile value for all of its arguments, too few arguments, and too many."""
    made = []
    for name, arguments in handlers().items():
        payloads = [dict.fromkeys(arguments, value) for value in HOSTILE] if arguments else [{}]
        made += [{"name": name, "payload": one, "router_data": ROUTER} for one in (*payloads, {}, {"surprise": 1})]
    return made


ROUTER = {
    "pathname": "/app/decision/[decision_id]",
    "asPath": "/app/decision/d_guess",
    "headers": {"cookie": "arbiter_session=forged", "authorization": f"Bearer {OPERATOR}"},
    "sid": "forged",
    "token": "forged",
}


@pytest.fixture(scope="module")
def private(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    one = start_site(
        tmp_path_factory.mktemp("private"),
        ARBITER_PUBLIC_READS="false",
        ARBITER_SIGNUP="false",
        ARBITER_SHADOW="false",  # nothing changes by itself
        PYTHONHASHSEED="1",
    )
    one.chat("What is 8 * 808?")
    one.chat("What is 7 * 707?")
    yield one
    stop_site(one)


async def attack(site: Site, batch: list[dict[str, Any]]) -> list[str]:
    """Send a batch over one socket; everything the server said, as text."""
    client, said = socketio.AsyncClient(reconnection=False, request_timeout=PATIENCE_S), []

    @client.on("event", namespace=NAMESPACE)
    async def _(data: Any) -> None:
        said.append(json.dumps(data, default=str))

    address = f"{site.url}?token={uuid.uuid4()}"
    where: dict[str, Any] = {"socketio_path": "_event", "namespaces": [NAMESPACE], "transports": ["websocket"]}
    await client.connect(address, wait_timeout=PATIENCE_S, **where)
    for event in batch:
        await client.emit("event", event, namespace=NAMESPACE)
    await answered(client)
    await client.disconnect()
    return said


async def answered(client: socketio.AsyncClient) -> None:
    """Events are handled in order: once the ping that was sent last is answered, all of them were taken in."""
    pong = asyncio.Event()

    @client.on("ping", namespace=NAMESPACE)
    async def _(data: Any) -> None:
        pong.set()

    await client.emit("ping", namespace=NAMESPACE)
    await asyncio.wait_for(pong.wait(), PATIENCE_S)


def state_of(site: Site) -> dict[str, Any]:
    """Everything a stranger must not be able to change."""
    overview = site.http.get("/v1/overview").json()
    return {
        "decisions": overview["decisions"],
        "overrides": overview["active_price_overrides"],
        "catalog": site.http.get("/v1/pricing").json(),
        "policy": site.http.get("/v1/policy").json(),
        "key": site.http.get("/v1/key").json(),
    }


def test_a_stranger_on_the_socket_learns_nothing_changes_nothing_and_breaks_nothing(private: Site) -> None:
    secrets = [row["id"] for row in private.http.get("/v1/recent").json()["data"]]
    before = state_of(private)
    todo = events()
    assert len(todo) > 300
    said: list[str] = []
    for at in range(0, len(todo), BATCH):
        said += in_own_loop(attack(private, todo[at : at + BATCH]))
    heard = "\n".join(said)
    assert state_of(private) == before
    assert [secret for secret in secrets if secret in heard] == []
    assert [word for word in ("settings-1", OPERATOR, "mistral") if word in heard] == []
    assert private.http.get("/health").json()["status"] == "ok"
    assert [line for line in private.lines if "Traceback" in line] == []


SECRET = "the words of a stranger"
FRAMES: tuple[bytes | str, ...] = (
    b"\x00" * 100,
    "",
    b"",
    SECRET,
    f"b{SECRET}",
    f"9{SECRET}",
    '42/_event,{"a":1}',
    f'42/_event,["{SECRET}"]',
    '42/_event,["event"]',
    '42/_event,["event",5]',
    '42/_event,["event",null]',
    f'42/_event,["event","{{{SECRET}"]',
    f'42/_event,["event",["{SECRET}"]]',
    f'42/_event,["event",{{"token":"{SECRET}"}}]',
    f'42/_event,["event",{{"name":5,"payload":"{SECRET}","router_data":[]}}]',
    "42/_event," + "[" * 20_000,
    f'451-/_event,["{SECRET}",{{"_placeholder":true,"num":0}}]',
    "43/_event,99999999999999999999999[]",
)


def test_odd_frames_write_a_line_of_each_kind_and_nothing_that_stood_in_them(private: Site) -> None:
    address = private.url.replace("http", "ws", 1) + "/_event/?EIO=4&transport=websocket"

    async def send(frame: bytes | str, token: str) -> None:
        async with connect(address + token, origin=Origin(private.url), open_timeout=PATIENCE_S) as socket:
            await socket.send("40/_event,")
            for _ in range(5):
                await socket.send(frame)
            for _ in range(2):  # handled in order; the first may be taken for bytes that were announced
                await socket.send('42/_event,["ping"]')
            with suppress(ConnectionClosed, TimeoutError):
                async with asyncio.timeout(PATIENCE_S):
                    while "pong" not in str(await socket.recv()):
                        pass

    written = len(private.lines)
    for frame in FRAMES:
        in_own_loop(send(frame, "&token=t"))
    in_own_loop(send('42/_event,["event",{}]', ""))
    for query in ("EIO=3&transport=websocket", f"EIO=4&transport=websocket&sid={quote(SECRET)}"):
        with suppress(InvalidStatus):
            in_own_loop(opened(address.partition("?")[0] + "?" + query, private.url))
    assert private.http.get("/health").json()["status"] == "ok"
    lines = private.lines[written:]
    assert SECRET not in "".join(lines) and not [line for line in lines if "Traceback" in line]
    assert 0 < len(lines) <= 12, lines


async def opened(address: str, origin: str) -> None:
    """Open a socket and close it."""
    async with connect(address, origin=Origin(origin), open_timeout=PATIENCE_S):
        pass


def test_every_handler_of_ours_begins_with_the_authority_check() -> None:
    import arbiter_app.arbiter_app  # noqa: F401

    unchecked = []
    for name, one in RegistrationContext.ensure_context().event_handlers.items():
        function = one.handler.fn
        if not getattr(function, "__module__", "").startswith("arbiter_app."):
            continue
        body = inspect.getsource(function).split('"""', 2)[-1].strip()
        if "await authz.current_caller(self)" not in body.split("\n")[0]:
            unchecked.append(name)
    assert unchecked == []
