"""Whatever is asked, in the shapes of the API's description or in any bytes at all, is answered without a server error."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.api.fuzz import Fuzz
from tests.conftest import Running
from tests.served import OPERATOR, TLS, Served, served
from tests.waiting import PATIENCE_S

STATUS = re.compile(rb"^HTTP/1\.1 (\d{3})", re.MULTILINE)
ROOTS = ("/", "/v1/", "/session", "/export/decisions.csv", "/_event", "/app/", "/docs/", "/health", "/v1/models/")
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "CONNECT", "BREW")
NAMES = ("content-type", "cookie", "origin", "authorization", "x-request-id", "accept", "range", "upgrade", "expect")


def test_requests_made_from_the_description(own_gateway: Running) -> None:
    """A short run of `make fuzz`."""
    fuzz = Fuzz(own_gateway.url, seed=1)
    fuzz.alone(examples=150)
    fuzz.in_sessions(examples=20)
    assert fuzz.failed == []
    assert fuzz.sent > 200 and fuzz.statuses[200] > 50


def test_links_lead_from_an_answer_to_what_it_is_about(own_gateway: Running) -> None:
    paths = own_gateway.http.get("/v1/openapi.json").json()["paths"]
    link = paths["/v1/chat/completions"]["post"]["responses"]["200"]["links"]["decision"]
    answer = own_gateway.chat("What is 24 * 37?").json()
    pointer = link["parameters"]["decision_id"].removeprefix("$response.body#/").split("/")
    for step in pointer:
        answer = answer[step]
    assert own_gateway.http.get(f"/v1/decisions/{answer}").status_code == 200
    links = [
        link
        for methods in paths.values()
        for operation in methods.values()
        for link in operation["responses"]["200"].get("links", {}).values()
    ]
    assert len(links) == 8
    for link in links:
        *_, path, method = link["operationRef"].split("/")
        assert method in paths[path.replace("~1", "/")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Arbiter as it is served: with sessions, downloads and sockets."""
    with served(tmp_path_factory.mktemp("whole")) as one:
        yield one


_line = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=40)
_path = st.builds(
    str.__add__,
    st.sampled_from(ROOTS),
    st.one_of(
        st.text(st.characters(min_codepoint=33, max_codepoint=255), max_size=60),
        st.sampled_from(("%00", "%ff%fe", "../" * 20, "a" * 255, "a/" * 500, "?limit=NaN", "?a=%00&a", "%2e%2e%2f")),
    ),
)
_headers = st.lists(st.tuples(st.one_of(st.sampled_from(NAMES), st.just("x-y")), _line), max_size=4)
_bodies = st.one_of(
    st.just(b""), st.binary(max_size=100), st.sampled_from((b"{}", b"null", b'{"api_key": 5}', b"[" * 5_000))
)


def test_any_method_path_header_and_body(whole: Served) -> None:
    found: list[str] = []

    @seed(1)
    @settings(
        max_examples=400, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(st.sampled_from(METHODS), _path, _headers, _bodies, st.booleans())
    def ask(method: str, path: str, headers: list[tuple[str, str]], body: bytes, known: bool) -> None:
        lines = [f"{method} {path} HTTP/1.1", "host: 127.0.0.1", "connection: close", f"content-length: {len(body)}"]
        lines += [f"authorization: Bearer {OPERATOR}"] if known else []
        lines += [f"{name}: {value}" for name, value in headers]
        answer = exchange(whole, ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + body)
        status = STATUS.search(answer)
        if status is not None and int(status[1]) >= 500:
            found.append(f"{method} {path} {headers} {body!r}: {answer[:300]!r}")

    ask()
    assert found == []
    assert_defect_free(whole)


def test_any_bytes(whole: Served) -> None:
    found: list[bytes] = []
    upgrade = (
        b"GET /_event/?EIO=4&transport=websocket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
    )
    key = b"sec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
    starts = (
        b"",
        b"GET / HTTP/1.1\r\n",
        b"POST /session HTTP/1.1\r\nhost: a\r\ncontent-length: 9\r\n\r\n",
        upgrade,
        upgrade + key,
    )

    @seed(2)
    @settings(
        max_examples=150, deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    @given(st.sampled_from(starts), st.binary(max_size=300))
    def send(start: bytes, data: bytes) -> None:
        answer = exchange(whole, start + data)
        if any(int(status) >= 500 for status in STATUS.findall(answer)):
            found.append(start + data + b" -> " + answer[:300])

    send()
    assert found == []
    assert_defect_free(whole)


def exchange(one: Served, data: bytes) -> bytes:
    """What is answered to these bytes, of which no more come."""
    port = int(one.url.rpartition(":")[2])
    answer = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as caller:
        try:
            caller.sendall(data)
            caller.shutdown(socket.SHUT_WR)
            while piece := caller.recv(65_536):
                answer += piece
        except ConnectionError:
            pass
    return answer


def assert_defect_free(one: Served) -> None:
    """It still serves, and its log tells of no defect."""
    assert httpx.get(f"{one.url}/health", verify=TLS).status_code == 200
    assert "Traceback" not in Path(one.output).read_text()
