"""What a stranger sends without a key: heads, bodies, silence, floods. Each bound strikes, is counted, and harms nobody else."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from arbiter_app.bounds import BOUNDS
from tests.served import OPERATOR, TLS, Served, served
from tests.waiting import until
from tests.wire import connected, heard, status_of, told

QUICK = {
    "ARBITER_HEAD_TIMEOUT_S": "0.5",
    "ARBITER_BODY_TIMEOUT_S": "0.5",
    "ARBITER_IDLE_TIMEOUT_S": "0.5",
    "ARBITER_WRITE_TIMEOUT_S": "0.5",
    "ARBITER_MAX_CONNECTIONS": "40",
    "ARBITER_MAX_CONNECTIONS_PER_ADDRESS": "20",
    "ARBITER_MAX_SOCKETS": "2",
}


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("door")) as found:
        yield found


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("quick"), **QUICK) as found:
        yield found


def struck(to: Served, bound: str) -> float:
    text = httpx.get(f"{to.url}/metrics", verify=TLS).text
    found = re.search(rf'^arbiter_bound_struck_total{{bound="{bound}"}} (\S+)', text, re.MULTILINE)
    return float(found[1]) if found else 0.0


CHAT = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer " + OPERATOR.encode() + b"\r\n"
HEADS = {
    "one large header": (
        b"GET /health HTTP/1.1\r\nhost: localhost\r\na: " + b"x" * 70_000 + b"\r\n\r\n",
        431,
        "head_bytes",
    ),
    "an endless header": (b"GET /health HTTP/1.1\r\nhost: localhost\r\na: " + b"x" * 20_000_000, 431, "head_bytes"),
    "an endless name": (b"GET /health HTTP/1.1\r\nhost: localhost\r\n" + b"x" * 1_000_000, 431, "head_bytes"),
    "large together": (
        b"GET /health HTTP/1.1\r\n" + b"a: " * 1 + (b"x" * 9_000 + b"\r\na: ") * 9 + b"\r\n\r\n",
        431,
        "head_bytes",
    ),
    "many headers": (b"GET /health HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431, "headers"),
    "a long path": (b"GET /" + b"x" * 9_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414, "line_bytes"),
    "a long query": (b"GET /v1/report?" + b"x" * 9_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414, "line_bytes"),
    "an endless path": (b"GET /" + b"x" * 1_000_000, 414, "line_bytes"),
    "5,000 segments": (b"GET " + b"/a" * 5_000 + b" HTTP/1.1\r\nhost: localhost\r\n\r\n", 414, "line_bytes"),
    "endless trailers": (
        CHAT + b"transfer-encoding: chunked\r\n\r\n0\r\n" + b"a: bcdefghi\r\n" * 50_000,
        431,
        "head_bytes",
    ),
    "a flood of requests": (b"GET /v1/report HTTP/1.1\r\nhost: localhost\r\n\r\n" * 3_000, 429, "pipelined"),
}


@pytest.mark.parametrize("case", HEADS)
def test_a_head_is_bounded(one: Served, case: str) -> None:
    sent, status, bound = HEADS[case]
    before = struck(one, bound)
    raw = told(one, sent)
    assert f"HTTP/1.1 {status} ".encode() in raw or (bound == "pipelined" and raw)
    assert struck(one, bound) > before
    assert httpx.get(f"{one.url}/health", verify=TLS).status_code == 200


def test_a_trailer_does_not_become_a_header(one: Served) -> None:
    sent = b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    assert status_of(told(one, sent + b"0\r\nauthorization: Bearer " + OPERATOR.encode() + b"\r\n\r\n")) == 401


def test_memory_is_flat_while_heads_flow(one: Served) -> None:
    def resident() -> int:
        return int(Path(f"/proc/{one.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    before = resident()
    for _ in range(4):
        told(one, b"GET /health HTTP/1.1\r\nhost: localhost\r\na: " + b"x" * 50_000_000)
    assert resident() - before < 30_000_000


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"", b""),
        (b"GET /health HT", b"HTTP/1.1 408 "),
        (b"GET /_event/ HTTP/1.1\r\nupgrade: websocket\r\n", b"HTTP/1.1 408 "),
        (CHAT + b"content-length: 10\r\n\r\n{", b"HTTP/1.1 408 "),
        (b"POST /session HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{", b"HTTP/1.1 408 "),
        (b"POST /v1/register HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{", b"HTTP/1.1 408 "),
        (
            b"POST /session HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n1;x=y\r\n{\r\n",
            b"HTTP/1.1 408 ",
        ),
        (b"POST /_upload HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\n{", b"HTTP/1.1 405 "),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n", b"HTTP/1.1 200 "),
        (b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n\r\n\r\n", b"HTTP/1.1 200 "),
    ],
    ids=repr,
)
def test_whoever_does_not_go_on_is_closed(quick: Served, sent: bytes, said: bytes) -> None:
    with connected(quick) as connection:
        connection.sendall(sent)
        assert heard(connection)[: len(said)] == said


@pytest.mark.parametrize(
    "start", [b"GET /health HTTP/1.1\r\na: ", CHAT + b"content-length: 100\r\n\r\n"], ids=["head", "body"]
)
def test_a_byte_now_and_then_gains_no_time(quick: Served, start: bytes) -> None:
    with connected(quick) as connection:
        connection.sendall(start)
        connection.settimeout(0.05)
        for _ in range(200):
            with contextlib.suppress(TimeoutError):
                assert connection.recv(4_096).startswith(b"HTTP/1.1 408 ")
                return
            connection.sendall(b" ")
        pytest.fail("it was never closed")


def test_who_rests_gives_way_to_who_comes(quick: Served) -> None:
    before = struck(quick, "connections") + struck(quick, "address_connections")
    with contextlib.ExitStack() as stack:
        for at in range(120):
            stack.enter_context(connected(quick, own=f"127.0.0.{2 + at % 4}"))
        assert httpx.get(f"{quick.url}/health", verify=TLS).status_code == 200
    assert struck(quick, "connections") + struck(quick, "address_connections") > before


def test_whoever_reads_nothing_is_cut_off(quick: Served) -> None:
    before = struck(quick, "write_time")
    ask = json.dumps({"messages": [{"role": "user", "content": "Calculate 2 + 2"}]}).encode()
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect(("127.0.0.1", int(quick.url.rpartition(":")[2])))
        connection.settimeout(20)
        for _ in range(3_000):
            try:
                connection.sendall(b"GET /v1/openapi.json HTTP/1.1\r\nhost: localhost\r\n\r\n")
            except OSError:
                break
            if struck(quick, "write_time") > before:
                break
        until(lambda: struck(quick, "write_time") > before, 20)
    answer = httpx.post(
        f"{quick.url}/v1/chat/completions", content=ask, headers={"authorization": f"Bearer {OPERATOR}"}, verify=TLS
    )
    assert answer.status_code == 200


STRAYS = [
    ("POST", "/", 405),
    ("PUT", "/app", 405),
    ("DELETE", "/docs", 405),
    ("OPTIONS", "/app", 405),
    ("PATCH", "/", 405),
    ("PROPFIND", "/app", 405),
    ("GET", "/%00", 404),
    ("GET", "/app/%00.css", 404),
    ("GET", "/" + "a" * 255, 404),
    ("GET", "/" + "a" * 256, 404),
    ("GET", "/" + "%C3%A4" * 200, 404),
    ("GET", "/a" * 500, 404),
    ("GET", "/a" * 2_000, 404),
    ("GET", "/%ff%fe", 404),
    ("GET", "/..%2f..%2fetc/passwd", 404),
    ("GET", "/../../etc/passwd", 404),
    ("HEAD", "/nothing", 404),
    ("HEAD", "/", 200),
    ("GET", "http://localhost/health", 200),
    ("POST", "/session/x/y", 400),
    ("GET", "/session", 405),
]


@pytest.mark.parametrize(("method", "path", "status"), STRAYS, ids=lambda one: str(one)[:30])
def test_no_path_or_method_is_a_defect(one: Served, method: str, path: str, status: int) -> None:
    before = one.output.stat().st_size
    raw = told(one, f"{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n".encode())
    assert status_of(raw) == status
    assert (b"\r\nallow: " in raw.lower()) == (status == 405)
    assert one.output.stat().st_size == before


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/chat/completions",
        "/api/v1/chat/completions",
        "/openai/v1/chat/completions",
        "/v1/nothing",
        "/v2/chat/completions",
    ],
)
def test_a_client_with_another_base_url_is_told_the_right_one(one: Served, path: str) -> None:
    headers = {"authorization": f"Bearer {OPERATOR}"}
    with httpx.Client(verify=TLS) as client:
        for method in ("POST", "PUT"):
            answer = client.request(method, f"{one.url}{path}", json={}, headers=headers)
            assert answer.status_code in (404, 405)
            assert "/v1/chat/completions" in answer.json()["error"]["message"]
            assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "path", ["/v1/chat/completions/", "//v1/chat/completions", "/v1//chat/completions", "/v1/v1/chat/completions"]
)
def test_a_path_with_too_much_in_it_is_served(one: Served, path: str) -> None:
    body = {"messages": [{"role": "user", "content": "Calculate 2 + 2"}]}
    headers = {"authorization": f"Bearer {OPERATOR}"}
    assert httpx.post(f"{one.url}{path}", json=body, headers=headers, verify=TLS).status_code == 200


def socket_of(to: Served, *, host: str = "localhost") -> tuple[socket.socket, bytes]:
    key = base64.b64encode(os.urandom(16)).decode()
    connection = connected(to)
    connection.sendall(
        f"GET /_event/?EIO=4&transport=websocket HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\n"
        f"connection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n\r\n".encode()
    )
    return connection, connection.recv(4_096)


HOSTS = [
    ("localhost", 200),
    ("LOCALHOST.:8000", 200),
    ("app.localhost:1", 200),
    ("127.0.0.1:8000", 200),
    ("[::1]:8000", 200),
    ("192.168.1.9", 200),
    ("router.example.com", 200),
    ("a.b.example.org:443", 200),
    ("evil.example", 421),
    ("localhost.evil.example", 421),
    ("127.0.0.1.evil.example:8000", 421),
    ("router.example.com.evil.example", 421),
    ("example.org", 421),
    ("localhost@evil.example", 421),
    ("", 421),
]


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("named"), ARBITER_ALLOWED_HOSTS="router.example.com,*.example.org") as found:
        yield found


@pytest.mark.parametrize(("host", "status"), HOSTS)
@pytest.mark.parametrize("path", ["/health", "/v1/models", "/"])
def test_only_our_own_host_names_are_answered(named: Served, host: str, status: int, path: str) -> None:
    head = f"GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {OPERATOR}\r\nconnection: close\r\n\r\n"
    raw = told(named, head.encode())
    assert status_of(raw) == status
    assert (b"ARBITER_ALLOWED_HOSTS" in raw) == (status == 421)


def test_a_socket_of_a_foreign_host_is_refused(named: Served) -> None:
    connection, answer = socket_of(named, host="evil.example")
    connection.close()
    assert status_of(answer) == 403


@pytest.mark.parametrize(
    ("header", "secure"),
    [
        ("x-forwarded-proto: https", True),
        ("forwarded: for=1.2.3.4;proto=https", True),
        ("x-forwarded-proto: http", False),
    ],
)
def test_the_cookie_is_secure_behind_a_tls_proxy(one: Served, header: str, secure: bool) -> None:
    body = json.dumps({"api_key": OPERATOR})
    head = f"POST /session HTTP/1.1\r\nhost: localhost\r\n{header}\r\ncontent-type: application/json\r\n"
    raw = told(one, f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n{body}".encode())
    assert status_of(raw) == 200
    assert (b"; secure" in raw.lower()) == secure


def test_descriptors_are_kept_for_the_runtime_and_the_database(tmp_path: Path) -> None:
    """400 callers who say nothing, and room for 128: whoever asks is answered."""
    with served(tmp_path, ARBITER_MAX_CONNECTIONS="128") as small, contextlib.ExitStack() as stack:
        for _ in range(400):
            stack.enter_context(connected(small))
        body = {"messages": [{"role": "user", "content": "Calculate 2 + 2"}]}
        headers = {"authorization": f"Bearer {OPERATOR}"}
        assert httpx.post(f"{small.url}/v1/chat/completions", json=body, headers=headers, verify=TLS).status_code == 200
        assert struck(small, "connections") >= 272


def test_the_table_in_the_docs_is_the_table_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "arbiter_app" / "web" / "content" / "operations.md").read_text()
    rows = re.findall(r"^\| `(\w+)` \| ([^|]+) \| `(ARBITER_\w+)` \| ([^|]+) \| ([^|]+) \|$", page, re.MULTILINE)
    shown = []
    for bound in BOUNDS:
        default = bound.default
        text = "unset" if default in (None, ()) else f"{default:,}" if isinstance(default, int) else f"{default:g}"
        shown.append((bound.name, bound.holds, bound.setting, text, bound.then))
    assert rows == shown
