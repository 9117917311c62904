"""Requests that few clients send, and some do: other protocols asked for, targets with a host, HTTP/1.0, odd origins and cookies."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.served import OPERATOR, TLS, Served, served
from tests.wire import connected, heard, status_of, told

CHAT = json.dumps({"messages": [{"role": "user", "content": "Calculate 2 + 2"}]})
KEY = f"authorization: Bearer {OPERATOR}"


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("odd")) as found:
        yield found


def request(line: str, *headers: str, body: str = "", host: str = "host: localhost") -> bytes:
    lines = [line, *([host] if host else []), *headers, f"content-length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode("latin-1")


UPGRADES = (
    "connection: Upgrade, HTTP2-Settings",
    "upgrade: h2c",
    "http2-settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
)
"""What Java's own HTTP client sends with its first request to an address without TLS."""
LAST = request("GET /health HTTP/1.1", "connection: close")


@pytest.mark.parametrize("pieces", [1, 7, 1_000])
def test_a_wish_for_another_protocol_leaves_the_body_and_what_follows(one: Served, pieces: int) -> None:
    sent = request("POST /v1/chat/completions HTTP/1.1", KEY, *UPGRADES, body=CHAT)
    sent += request("GET /health HTTP/1.1", "connection: upgrade", "upgrade: foo/2") + LAST
    with connected(one) as connection:
        step = -(-len(sent) // pieces)
        for at in range(0, len(sent), step):
            connection.sendall(sent[at : at + step])
        raw = b""
        while part := connection.recv(65_536):
            raw += part
    assert [int(rest[:3]) for rest in raw.split(b"HTTP/1.1 ")[1:]] == [200] * 3
    assert b'"content":' in raw.partition(b"HTTP/1.1 200 OK")[2]


HANDSHAKE = (
    "connection: upgrade",
    "upgrade: websocket",
    "sec-websocket-version: 13",
    "sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==",
)


@pytest.mark.parametrize(
    ("method", "body", "more", "status"),
    [
        ("GET", "", "x: y", 403),
        ("GET", "", "cookie: " + "; ".join(f"c{at}={'v' * 400}" for at in range(100)), 403),
        ("GET", "", "x: " + "y" * 9_000, 431),
        ("GET", "a body", "x: y", 400),
        ("POST", "a body", "connection: close", 405),
    ],
)
def test_every_wish_for_a_socket_is_answered(one: Served, method: str, body: str, more: str, status: int) -> None:
    """403: this Arbiter has no pages, and so no sockets. A browser brings the cookies of all that is served on its host."""
    sent = request(f"{method} /_event/?EIO=4&transport=websocket HTTP/1.1", *HANDSHAKE, more, body=body)
    assert status_of(told(one, sent if body else sent.replace(b"content-length: 0\r\n", b""))) == status


def test_half_a_connection_may_be_closed_by_who_waits_for_an_answer(one: Served) -> None:
    """Unless a model would be asked for somebody who has most likely gone."""
    for sent, statuses in (
        (request("GET /v1/report HTTP/1.1", KEY) * 2, [200, 200]),
        (request("GET /export/decisions.json HTTP/1.1", KEY), [200]),
        (request("POST /v1/chat/completions HTTP/1.1", KEY, body=CHAT), []),
    ):
        with connected(one) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            assert [int(rest[:3]) for rest in heard(connection).split(b"HTTP/1.1 ")[1:]] == statuses


def test_whoever_asks_for_too_much_at_once_writes_no_traceback(one: Served) -> None:
    raw = told(one, request("GET /v1/report HTTP/1.1", KEY) * 60)
    assert status_of(raw) == 429
    assert status_of(told(one, request("GET /v1/report HTTP/1.1", KEY, "connection: close"))) == 200
    assert "Traceback" not in one.output.read_text()


@pytest.mark.parametrize("path", ["/export/decisions.json", "/v1/chat/completions"])
def test_http_1_0_gets_no_chunks_and_the_connection_ends_with_the_answer(one: Served, path: str) -> None:
    body = json.dumps({**json.loads(CHAT), "stream": True}) if path.startswith("/v1") else ""
    raw = told(one, request(f"{'POST' if body else 'GET'} {path} HTTP/1.0", KEY, host="", body=body))
    head, _, answer = raw.partition(b"\r\n\r\n")
    assert status_of(raw) == 200
    assert b"transfer-encoding" not in head.lower()
    assert answer.startswith(b"data: " if body else b"[") and answer.endswith(b"\n")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("http://localhost/health", 200),
        ("HTTP://LOCALHOST:8000/health?x=1#y", 200),
        ("http://a:b@127.0.0.1/health", 200),
        ("http://localhost", 200),
        ("http://localhost?x=/health", 200),
        ("http://evil.example/health", 421),
        ("http://localhost@evil.example/health", 421),
    ],
)
def test_the_host_of_a_target_counts_whatever_host_says(one: Served, target: str, status: int) -> None:
    assert status_of(told(one, request(f"GET {target} HTTP/1.1", "connection: close"))) == status
    foreign = request(f"GET {target} HTTP/1.1", "connection: close", host="host: evil.example")
    assert status_of(told(one, foreign)) == status


@pytest.mark.parametrize(
    ("line", "hosts", "status"),
    [
        ("GET /health HTTP/1.1", "", 400),
        ("GET /health HTTP/1.1", "host: localhost\r\nhost: localhost", 400),
        ("GET /health HTTP/1.1", "host: localhost\r\nhost: evil.example", 400),
        ("GET /health HTTP/1.0", "", 200),
        ("GET /health HTTP/1.0", "host: localhost\r\nhost: localhost", 400),
        ("GET /health HTTP/1.1", "host: [::1].evil.example", 421),
        ("GET /health HTTP/1.1", "host: [::1]:80.evil.example", 421),
        ("GET /health HTTP/1.1", "host: [localhost", 421),
        ("GET /health HTTP/1.1", "host: localhost:\xb2", 421),
        ("GET /health HTTP/1.1", "host: localhost" + " " * 250 + "evil.example", 421),
        ("GET /health HTTP/1.1", "host: 127.0.0.1.nip.io", 421),
    ],
)
def test_a_request_names_one_host(one: Served, line: str, hosts: str, status: int) -> None:
    assert status_of(told(one, request(line, "connection: close", host=hosts))) == status


ORIGINS = (
    "null",
    "",
    "http://[evil",
    "http://ex\xe4mple",
    "http://a\xbdb",
    "http://localhost.evil.example",
    "localhost",
)


@pytest.mark.parametrize("origin", ORIGINS)
@pytest.mark.parametrize("path", ["/session", "/v1/register", "/v1/reset", "/v1/chat/completions", "/_event/"])
def test_an_origin_that_is_not_ours_is_refused_and_never_a_defect(one: Served, path: str, origin: str) -> None:
    cookie = (
        httpx.post(f"{one.url}/session", json={"api_key": OPERATOR}, verify=TLS).headers["set-cookie"].partition(";")[0]
    )
    before = one.output.stat().st_size
    wish = ("upgrade: websocket", "connection: upgrade", "sec-websocket-version: 13")
    more = (*wish, "sec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==") if path == "/_event/" else ("connection: close",)
    method, body = ("GET", "") if path == "/_event/" else ("POST", '{"email": "a@b.cd"}')
    headers = (f"origin: {origin}", f"cookie: {cookie}", "content-type: application/json", *more)
    assert status_of(told(one, request(f"{method} {path} HTTP/1.1", *headers, body=body))) == 403
    assert one.output.stat().st_size == before


@pytest.mark.parametrize("other", ['theme={"a":1}', "a b=c", '"', "=x", 'a="b;c', "\xe4=\xf6", 'b="\\400"', ""])
@pytest.mark.parametrize("order", ["before", "behind", "a header of its own"])
def test_other_cookies_take_nothing_from_the_session(one: Served, other: str, order: str) -> None:
    own = (
        httpx.post(f"{one.url}/session", json={"api_key": OPERATOR}, verify=TLS).headers["set-cookie"].partition(";")[0]
    )
    lines = [f"cookie: {own}", f"cookie: {other}"]
    if order != "a header of its own":
        lines = ["cookie: " + "; ".join([other, own] if order == "before" else [own, other])]
    assert status_of(told(one, request("GET /v1/key HTTP/1.1", *lines, "connection: close"))) == 200
    lines.append("origin: http://localhost")
    assert status_of(told(one, request("DELETE /session HTTP/1.1", *lines, "connection: close"))) == 200
    assert status_of(told(one, request("GET /v1/key HTTP/1.1", f"cookie: {own}", "connection: close"))) == 401
