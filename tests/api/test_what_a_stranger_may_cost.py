"""Sign-ups, sign-ins and keys of strangers: bounded per address and in all, and no cost to anybody else."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import event

from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.services.allowance import REMEMBERED, Allowance
from arbiter_app.services.keys import LOOKUPS_BURST
from arbiter_app.services.sessions import COOKIE, Sessions
from arbiter_app.store import open_store
from arbiter_app.store import sessions as stored_sessions
from arbiter_app.store.keys import make_key
from tests.conftest import Running, running
from tests.served import TLS, served


def register(url: str, email: object, **more: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/register", json={"email": email}, **more)


GOOD_EMAILS = ("ada@example.com", "a@b.cd", "o'neil+tag@mail.example.co.uk", "émile@exämple.fr", " spaced@example.com ")
BAD_EMAILS = (
    "",
    "nobody",
    "two@at@signs.com",
    "no-dot@example",
    "a b@example.com",
    "a@exa mple.com",
    "a@-dash.com",
    "a@dash-.com",
    "a@two..dots.com",
    ".a@example.com",
    "a\x00b@example.com",
    "a\nb@example.com",
    "a\u202eb@example.com",
    "a\u2066b@example.com",
    "a\u200bb@example.com",
    "a\ufeffb@example.com",
    "a\u00adb@example.com",
    "a@exam\u200dple.com",
    "a@exam\u2028ple.com",
    "<a@example.com>",
    "a,b@example.com",
    "a" * 65 + "@example.com",
    "a@" + ".".join(["x" * 60] * 5) + ".com",
    None,
    7,
    ["a@example.com"],
    {"a": "b"},
)


@pytest.mark.parametrize("email", GOOD_EMAILS)
def test_an_address_that_can_be_one_gets_a_key(gateway: Running, email: str) -> None:
    key = register(gateway.url, email).json()["api_key"]
    with gateway.client(key) as caller:
        assert caller.get("/v1/key").json()["email"] == email.strip()


@pytest.mark.parametrize("email", BAD_EMAILS)
def test_any_other_gets_a_sentence(gateway: Running, email: object) -> None:
    refused = register(gateway.url, email)
    assert refused.status_code == 422
    message = refused.json()["error"]["message"]
    assert len(message) < 400 and message.isprintable()


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "", "application/jsonp", "text/json"],
)
def test_a_foreign_page_cannot_sign_up_for_its_visitor(gateway: Running, kind: str) -> None:
    headers = {"origin": "https://elsewhere.example"} | ({"content-type": kind} if kind else {})
    refused = httpx.post(f"{gateway.url}/v1/register", content=b'{"email": "a@b.cd"}', headers=headers, verify=TLS)
    assert (refused.status_code, refused.json()["error"]["code"]) == (415, "unsupported_media_type")


@pytest.mark.parametrize(
    ("setting", "email"),
    [
        ("ARBITER_SIGNUPS_PER_ADDRESS", "a{}@example.com"),
        ("ARBITER_SIGNUPS_PER_EMAIL", "Same@Example.com"),
        ("ARBITER_SIGNUPS_PER_HOUR", "b{}@example.com"),
    ],
)
def test_sign_ups_are_bounded(tmp_path: Path, setting: str, email: str) -> None:
    with running(tmp_path, **{setting: "3"}) as one:
        answers = [register(one.url, email.format(at)) for at in range(5)]
        assert [answer.status_code for answer in answers] == [200, 200, 200, 429, 429]
        assert answers[-1].json()["error"]["code"] == "too_many_signups"
        assert 0 < int(answers[-1].headers["retry-after"]) <= 3_600
        assert 'arbiter_bound_struck_total{bound="signups_' in one.http.get("/metrics").text


def test_a_key_is_made_without_reading_the_others(gateway: Running) -> None:
    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        asked.append(statement)

    engine = gateway.arbiter.store._reading.engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        for at in range(5):
            assert register(gateway.url, f"fast{at}@example.com").status_code == 200
    finally:
        event.remove(engine, "before_cursor_execute", note)
    whole = [one for one in asked if "api_key.digest" in one and "WHERE" not in one]
    assert len(whole) <= 1  # the look at what other processes changed, which may fall into this time


def test_sign_ins_of_an_address_are_bounded_right_or_wrong(tmp_path: Path) -> None:
    with served(tmp_path, ARBITER_SIGNINS_PER_MINUTE="4") as one:
        key = register(one.url, "a@b.cd").json()["api_key"]
        tries = [
            httpx.post(f"{one.url}/session", json={"api_key": at}, verify=TLS)
            for at in ("wrong", key, "wrong", key, key)
        ]
        assert [answer.status_code for answer in tries] == [401, 200, 401, 200, 429]
        assert tries[-1].json()["error"]["code"] == "too_many_signins"
        assert int(tries[-1].headers["retry-after"]) > 0


def test_sign_ins_of_a_key_push_out_its_own_only(gateway: Running) -> None:
    operator, stranger = Caller("settings-1", Role.OPERATOR), Caller("arb_stranger", Role.CALLER)

    async def sign_in_often() -> None:
        sessions = Sessions(gateway.arbiter.store, per_key=20, attempts_per_minute=60, most=50)
        key_of = lambda secret: sessions.key_of(f"{COOKIE}={secret}")  # noqa: E731
        own = await sessions.begin(operator)
        secrets = [await sessions.begin(stranger) for _ in range(60)]
        assert await key_of(own) == "settings-1"
        assert [await key_of(one) for one in secrets[-20:]] == ["arb_stranger"] * 20
        assert await key_of(secrets[-21]) is None
        for at in range(50):
            await sessions.begin(Caller(f"arb_{at}", Role.CALLER))
        assert await key_of(own) == "settings-1"
        rows = await gateway.arbiter.store.read(stored_sessions.everyone)
        assert len(rows) == 50

    gateway.run(sign_in_often)


def test_a_key_that_another_process_made_is_known_at_its_first_request(own_gateway: Running) -> None:
    store = open_store(str(own_gateway.settings.db))
    try:
        minted = own_gateway.run(lambda: store.mint_key(role="caller", email="a@b.cd", label="elsewhere"))
        with own_gateway.client(minted.secret) as caller:
            assert caller.get("/v1/key").status_code == 200
        other = own_gateway.run(lambda: store.mint_key(role="caller", email="a@b.cd", label="elsewhere"))
        with own_gateway.client(other.secret) as caller:
            body = {"messages": [{"role": "user", "content": "Calculate 2 + 2"}]}
            assert caller.post("/v1/chat/completions", json=body).status_code == 200
    finally:
        store.close()


def test_guessing_keys_costs_the_database_a_bounded_number_of_looks(own_gateway: Running) -> None:
    asked: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if "api_key.digest = " in statement:
            asked.append(statement)

    event.listen(own_gateway.arbiter.store._reading.engine, "before_cursor_execute", note)
    began = time.monotonic()
    with own_gateway.client(None) as client:
        for _ in range(200):
            answer = client.get("/v1/key", headers={"x-api-key": make_key()})
            assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
    lasted_s = time.monotonic() - began
    assert 0 < len(asked) <= LOOKUPS_BURST + 20 * lasted_s + 1


LONG = "x" * 150_000
CHAT = {"messages": [{"role": "user", "content": "Calculate 2 + 2."}], "max_tokens": 50}


@pytest.mark.parametrize(
    ("path", "more"),
    [
        ("/v1/messages", {LONG: 1}),
        ("/v1/messages", {"metadata": {LONG: 1}}),
        ("/v1/messages", {f"{LONG}{at}": 1 for at in range(5)}),
        ("/v1/messages", {"thinking": {"type": "enabled", "budget_tokens": 1024, LONG: 1}}),
        ("/v1/responses", {LONG: 1}),
        ("/v1/responses", {"reasoning": {LONG: 1}}),
        ("/v1/responses", {"text": {LONG: 1}}),
        ("/v1/responses", {"include": [LONG]}),
    ],
)
def test_a_name_that_is_not_carried_over_is_told_in_short(gateway: Running, path: str, more: dict[str, Any]) -> None:
    asked = {"input": "Calculate 2 + 2."} if path.endswith("responses") else CHAT
    told = gateway.http.post(path, json={**asked, "arbiter_no_cache": True, **more})
    assert told.status_code < 500
    if told.status_code == 200:
        dropped = told.json()["arbiter"].get("dropped", [])
        assert sum(map(len, dropped)) < 1_000
        kept = gateway.http.get(f"/v1/decisions/{told.json()['arbiter']['decision_id']}").content
        assert len(kept) < 60_000


def test_an_allowance_gives_a_burst_and_then_its_rate() -> None:
    now = 1_000.0
    allowance = Allowance(3, 60.0, lambda: now)
    assert [allowance.take("a") for _ in range(3)] == [0.0] * 3
    assert allowance.take("a") == pytest.approx(20.0)
    assert allowance.take("b") == 0.0
    now += 20.0
    assert (allowance.take("a"), allowance.take("a")) == (0.0, pytest.approx(20.0))
    for at in range(2 * REMEMBERED):
        allowance.take(f"stranger {at}")
    assert len(allowance._due) == REMEMBERED


READS = (
    ("/v1/report", "days"),
    ("/v1/what-if", "tolerance"),
    ("/v1/policy", ""),
    ("/v1/recent", "limit"),
    ("/v1/timeseries", "buckets"),
    ("/v1/overview", ""),
    ("/v1/pricing", ""),
    ("/v1/alerts", "limit"),
    ("/v1/models", ""),
    ("/v1/key", ""),
)


@pytest.mark.parametrize(("path", "known"), READS)
def test_unknown_names_in_a_query_are_named(gateway: Running, path: str, known: str) -> None:
    refused = gateway.http.get(path, params={"limt": 5, "x" * 5_000: 1})
    error = refused.json()["error"]
    assert (refused.status_code, error["param"]) == (422, "limt")
    assert "'limt'" in error["message"] and known in error["message"] and len(error["message"]) < 600
    if known:
        twice = gateway.http.get(path, params=[(known, "1"), (known, "1")])
        assert (twice.status_code, twice.json()["error"]["param"]) == (422, known)


ODD = ("0", "-1", "1" + "0" * 30, "NaN", "Infinity", "1e400", "", "9223372036854775808", "true", "\x00", "\u202e", "ü")
NAMES = {
    "/v1/recent": ("limit", "before", "task", "model", "mode", "status", "since", "until"),
    "/v1/report": ("days", "since", "until"),
    "/v1/spend-change": ("hours", "until"),
    "/v1/what-if": ("tolerance", "without", "days"),
    "/v1/timeseries": ("bucket_seconds", "buckets", "since"),
    "/v1/alerts": ("limit", "before"),
}


@pytest.mark.parametrize(
    ("path", "name"), [(path, name) for path, names in NAMES.items() for name in names], ids=lambda one: one.strip("/")
)
def test_odd_values_never_break_a_read(gateway: Running, path: str, name: str) -> None:
    for value in ODD:
        answer = gateway.http.get(path, params={name: value})
        assert answer.status_code in (200, 422), (value, answer.text)
        if answer.status_code == 422:
            assert answer.json()["error"]["message"].isprintable() or "\n" in answer.text


IDS = ("%00", "%ED%A0%80", "%E2%80%AE", "x" * 5_000, "%2e%2e", "%0a", "'; DROP TABLE decision; --")


@pytest.mark.parametrize("path", ["/v1/decisions/", "/v1/models/", "/v1/calibrations/"])
def test_odd_ids_are_not_found(gateway: Running, path: str) -> None:
    for one in IDS:
        answer = httpx.get(f"{gateway.url}{path}{one}", headers=dict(gateway.http.headers), verify=TLS)
        assert answer.status_code in (404, 422), (one, answer.text)
        assert len(answer.json()["error"]["message"]) < 600


BODIES = (
    b"[]",
    b"null",
    b'"text"',
    b"1",
    b"{",
    b"\xff",
    b"[" * 100_000,
    b'{"a":' * 100_000,
    b'{"rating": "up\\u0000"}',
    b'{"rating": "\\ud800"}',
    b'{"rating": 1' + b"0" * 400 + b"}",
    b'{"rating": "up", "rating": {}, "decision_id": 1}',
    b'{"model": "gpt-4o", "multiplier": 1e999}',
    b'{"model": "gpt-4o", "multiplier": NaN}',
    b'{"email": "a\\u0000@b.cd"}',
    b'{"jsonl": "\\u0000"}',
)
ROUTES = ("/v1/feedback", "/v1/simulate-price", "/v1/register", "/v1/calibrations")


@pytest.mark.parametrize(("path", "body"), list(itertools.product(ROUTES, BODIES)), ids=lambda one: str(one)[:30])
def test_odd_bodies_are_refused_in_the_shape_of_errors(gateway: Running, path: str, body: bytes) -> None:
    answer = gateway.http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 413, 422), answer.text
    error = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"} and len(error["message"]) < 1_000
