"""Where a request is meant to go: slashes, `/v1/v1`, the base URL, the path of a proxy, and pages of other origins."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.testclient import TestClient

from arbiter_app import __version__
from arbiter_app.api.gateway import meant
from arbiter_app.services.sessions import COOKIE
from arbiter_app.settings import SettingsError, load_settings
from arbiter_app.trusted_host import UNDER_ROOT, TrustedHost
from arbiter_app.web import dispatcher
from tests.conftest import OPERATOR, Running, running
from tests.served import TLS, served

ASK: dict[str, Any] = {"messages": [{"role": "user", "content": "What is 17 * 23?"}]}
CHAT = "/v1/chat/completions"
HERE, ELSEWHERE = "https://app.example.com", "https://elsewhere.example"
PREFLIGHT = {
    "origin": HERE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,x-stainless-os",
}


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        (CHAT, CHAT),
        (f"{CHAT}/", CHAT),
        (f"/v1{CHAT}", CHAT),
        (f"/v1/v1{CHAT}/", CHAT),
        (f"/{CHAT}", CHAT),
        ("/v1//chat//completions", CHAT),
        ("/v1", "/v1"),
        ("/v1/", "/v1"),
        ("/v1/v1/", "/v1"),
        ("/", "/"),
        ("//", "/"),
        ("/v1/models/v1/x", "/v1/models/v1/x"),
        ("/v10/v1", "/v10/v1"),
    ],
)
def test_a_path_is_read_as_it_was_meant(asked: str, path: str) -> None:
    assert meant(asked) == path


@pytest.mark.parametrize("path", [f"{CHAT}/", f"/v1{CHAT}", f"/v1{CHAT}/", "/v1/v1/v1/chat/completions", f"/{CHAT}"])
def test_a_chat_is_answered_wherever_it_was_sent(gateway: Running, path: str) -> None:
    told = gateway.http.request("POST", f"{gateway.url}{path}", json=ASK)
    assert told.status_code == 200 and told.json()["arbiter"]["task"] == "math"


@pytest.mark.parametrize("path", ["/v1/models/", "/v1/v1/models", "/v1/v1/models/gpt-4o", "/v1/report/"])
def test_so_is_what_is_read(gateway: Running, path: str) -> None:
    assert gateway.http.get(path).status_code == gateway.http.head(path).status_code == 200


def test_anthropics_clients_with_a_v1_too_many_get_their_own_errors(gateway: Running) -> None:
    told = gateway.http.post("/v1/v1/messages", json={})
    assert told.status_code == 400 and told.json()["type"] == "error"


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/"])
def test_the_base_url_says_who_is_there(gateway: Running, path: str) -> None:
    with httpx.Client(base_url=gateway.url, verify=TLS) as anybody:
        told, head = anybody.get(path), anybody.head(path)
        assert (told.status_code, told.json()["name"], told.json()["version"]) == (200, "arbiter", __version__)
        assert (head.status_code, head.content) == (200, b"")
        assert anybody.get(told.json()["openapi"]).status_code == 200
        refused = anybody.post(path, json=ASK)
        assert refused.status_code == 405 and CHAT in refused.json()["error"]["message"]


def test_a_served_arbiter_answers_head_and_get_without_pages(tmp_path: Path) -> None:
    with served(tmp_path, ARBITER_ROOT_PATH="/arbiter/") as one, httpx.Client(base_url=one.url, verify=TLS) as anybody:
        for path in ("/", "/v1", "/arbiter", "/arbiter/", "/arbiter/v1"):
            assert anybody.head(path).status_code == anybody.get(path).status_code == 200, path
        assert anybody.get("/arbiter/").json()["base_url"] == "/arbiter/v1"
        key = {"authorization": "Bearer operator-of-the-tests"}
        for prefix in ("/arbiter", ""):
            told = anybody.post(f"{prefix}{CHAT}", json=ASK, headers=key)
            assert told.status_code == 200 and told.json()["arbiter"]["task"] == "math"
        assert anybody.get("/arbiter/v1/openapi.json").json()["servers"] == [{"url": "/arbiter"}]
        assert anybody.get("/arbiter/readyz").status_code == 200
        assert anybody.get("/arbiter/nothing").status_code == anybody.get("/arbiters").status_code == 404


def test_pages_are_not_under_the_path_of_a_proxy() -> None:
    def says(word: str) -> Any:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            await PlainTextResponse(f"{word} {scope['path']}")(scope, receive, send)

        return app

    inner = dispatcher.Dispatcher(
        gateway=says("gateway"), pages=says("pages"), session=says("session"), export=says("export"), socket=None
    )
    settings = load_settings({"ARBITER_ROOT_PATH": "a/b"}, env_file=None)
    client = TestClient(TrustedHost(inner, settings), base_url="http://localhost")
    asked = ("/app", "/a/b/app", "/a/b", "/a/b/v1/models", "/a/bc", "/a/b/session", "/session")
    assert [client.get(path).text for path in asked] == [
        "pages /app",
        "gateway /app",
        "gateway /",
        "gateway /v1/models",
        "pages /a/bc",
        "gateway /session",
        "session /session",
    ]
    assert UNDER_ROOT.startswith("arbiter.")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ARBITER_ROOT_PATH", "/a/../b"),
        ("ARBITER_ROOT_PATH", "/a b"),
        ("ARBITER_ROOT_PATH", "https://example.com/a"),
        ("ARBITER_CORS_ORIGINS", "*"),
        ("ARBITER_CORS_ORIGINS", "app.example.com"),
        ("ARBITER_CORS_ORIGINS", "https://app.example.com/page"),
        ("ARBITER_CORS_ORIGINS", "null"),
    ],
)
def test_what_is_no_path_or_origin_is_refused_at_start(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name):
        load_settings({name: value}, env_file=None)


@contextlib.contextmanager
def _page(gateway: Running, origin: str) -> Iterator[httpx.Client]:
    """A script on a page of an origin, with a key."""
    headers = {"authorization": f"Bearer {OPERATOR}", "origin": origin}
    with httpx.Client(base_url=gateway.url, headers=headers, verify=TLS) as client:
        yield client


@pytest.fixture(scope="module")
def named(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway that names two origins."""
    with running(tmp_path_factory.mktemp("cors"), ARBITER_CORS_ORIGINS=f"{HERE}/, http://localhost:5173") as one:
        yield one


@pytest.mark.parametrize("path", [CHAT, "/v1/messages", "/v1/responses/", "/v1/models", "/v1/v1/chat/completions"])
def test_a_preflight_of_a_named_origin_is_answered_without_a_key(named: Running, path: str) -> None:
    told = httpx.options(named.url + path, headers=PREFLIGHT)
    assert told.status_code == 200
    assert told.headers["access-control-allow-origin"] == HERE
    assert told.headers["access-control-allow-credentials"] == "true"
    assert "POST" in told.headers["access-control-allow-methods"]
    assert told.headers["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]


def test_a_page_of_a_named_origin_reads_answers_streams_and_errors(named: Running) -> None:
    with _page(named, HERE) as page:
        answers = [
            page.post(CHAT, json=ASK),
            page.post(CHAT, json={**ASK, "stream": True}),
            page.post("/v1/messages", json={**ASK, "max_tokens": 9}),
            page.get("/v1/models"),
            page.post(CHAT, json={}),
            page.get("/v1/nothing"),
            page.get(CHAT),
        ]
    assert [one.status_code for one in answers] == [200, 200, 200, 200, 422, 404, 405]
    for one in answers:
        assert one.headers["access-control-allow-origin"] == HERE and "Origin" in one.headers["vary"]
        assert "x-arbiter-decision" in one.headers["access-control-expose-headers"]
        assert one.headers["x-content-type-options"] == "nosniff" and one.headers["x-request-id"]
    assert answers[1].text.endswith("data: [DONE]\n\n")


@pytest.mark.parametrize("origin", [ELSEWHERE, "null", f"{HERE}.evil.example", HERE.upper()])
def test_other_origins_get_what_they_get_without_any_named(named: Running, gateway: Running, origin: str) -> None:
    for one in (named, gateway):
        with _page(one, origin) as page:
            answers = [page.post(CHAT, json=ASK), page.options(CHAT, headers=PREFLIGHT | {"origin": origin})]
        assert [told.status_code for told in answers] == [200, 204]
        assert not any(name.startswith("access-control") for told in answers for name in told.headers)


def test_a_session_of_a_browser_reads_but_changes_nothing_from_a_named_origin(named: Running) -> None:
    caller = named.arbiter.keys.authenticate(named.caller("cors@example.com"))
    session = named.run(lambda: named.arbiter.sessions.begin(caller))
    headers = {"origin": HERE, "cookie": f"{COOKIE}={session}"}
    with httpx.Client(base_url=named.url, headers=headers, verify=TLS) as page:
        assert page.get("/v1/key").status_code == 200
        refused = page.post("/v1/key/pause")
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "wrong_origin")
