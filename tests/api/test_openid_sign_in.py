"""Signing in by OpenID Connect at a real provider: who comes in, and everything about an ID token that has to be right."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any, BinaryIO
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.openid_provider import Provider, provider
from tests.raw_runtime import HEAD, UNTIL_CLOSED, RawRuntime, raw_runtime
from tests.served import OPERATOR, TLS, Served, served

KEY = {"authorization": f"Bearer {OPERATOR}"}
PEOPLE = {
    "ada": {"email": "Ada@Example.com", "email_verified": True, "name": "Ada Lovelace"},
    "eve": {"email": "eve@example.com", "email_verified": False},
    "bob": {"email": "bob@elsewhere.example", "email_verified": True},
}


@pytest.fixture(scope="module")
def idp() -> Iterator[Provider]:
    with provider(PEOPLE) as one:
        yield one


@pytest.fixture(scope="module")
def host(idp: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("openid"), **settings(idp)) as one:
        yield one


def settings(idp: Provider) -> dict[str, str]:
    return {
        "ARBITER_OIDC_ISSUER": idp.issuer,
        "ARBITER_OIDC_CLIENT_ID": "arbiter",
        "ARBITER_OIDC_CLIENT_SECRET": "secret of the tests",
        "ARBITER_OIDC_DOMAINS": "example.com",
        "ARBITER_SIGNINS_PER_MINUTE": "1000",
    }


@pytest.fixture
def browser(host: Served, idp: Provider) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=host.url, verify=TLS) as one:
        yield one
    idp.set()


def back_from_provider(browser: httpx.Client, sub: str) -> str:
    """The address that the provider sends a browser back to."""
    there = browser.get("/session/openid")
    assert there.status_code == 302, there.text
    asked = parse_qs(urlsplit(there.headers["location"]).query)
    assert asked["code_challenge_method"] == ["S256"] and asked["nonce"] and asked["state"]
    back = httpx.post(there.headers["location"], data={"sub": sub}, verify=TLS)
    assert back.status_code == 302, back.text
    return str(back.headers["location"])


def come_in(browser: httpx.Client, sub: str = "ada") -> httpx.Response:
    return browser.get(back_from_provider(browser, sub))


def test_signing_in_and_out(browser: httpx.Client) -> None:
    answer = come_in(browser)
    assert (answer.status_code, answer.headers["location"]) == (303, "/app"), answer.text
    who = browser.get("/v1/key").json()
    assert (who["email"], who["role"]) == ("ada@example.com", "caller")
    assert browser.get("/v1/audit").status_code == 403
    browser.delete("/session")
    assert browser.get("/v1/key").status_code == 401


def test_the_same_address_is_the_same_person_and_an_invited_operator_stays_one(
    browser: httpx.Client, host: Served
) -> None:
    ids = []
    for _ in range(2):
        come_in(browser)
        ids.append(browser.get("/v1/key").json()["key_id"])
    assert ids[0] == ids[1]
    refused = come_in(browser, "bob")  # of no domain that comes in by itself
    assert refused.status_code == 403 and "invited" in refused.text
    made = httpx.post(
        f"{host.url}/v1/people/invitations", json={"email": "bob@elsewhere.example"}, headers=KEY, verify=TLS
    ).json()
    browser.post("/session", json={"invitation": made["path"].partition("=")[2], "name": "Bob"})
    browser.delete("/session")
    assert come_in(browser, "bob").status_code == 303
    assert browser.get("/v1/key").json()["role"] == "operator"


@pytest.mark.parametrize(
    "change",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another client"},
        {"aud": ["another client"]},
        {"iss": "https://evil.example"},
        {"exp": int(time.time()) - 3_600, "iat": int(time.time()) - 7_200},
        {"iat": int(time.time()) + 7_200, "exp": int(time.time()) + 9_000},
    ],
    ids=["wrong nonce", "no nonce", "wrong audience", "wrong audiences", "wrong issuer", "expired", "of the future"],
)
def test_an_id_token_that_is_not_right_lets_nobody_in(browser: httpx.Client, idp: Provider, change: Any) -> None:
    idp.set(change=change)
    assert come_in(browser).status_code == 403
    assert browser.get("/v1/key").status_code == 401


def test_a_forged_signature_lets_nobody_in_and_a_rotated_key_does(browser: httpx.Client, idp: Provider) -> None:
    idp.set(forged=True)
    assert come_in(browser).status_code == 403
    idp.set(rotate=True)
    assert come_in(browser).status_code == 303


def test_an_address_that_is_not_vouched_for_lets_nobody_in(browser: httpx.Client) -> None:
    refused = come_in(browser, "eve")
    assert refused.status_code == 403 and "vouch" in refused.text
    assert "set-cookie" not in refused.headers


def test_a_callback_works_once_and_in_the_browser_that_began(browser: httpx.Client, host: Served) -> None:
    back = back_from_provider(browser, "ada")
    assert httpx.get(back, verify=TLS).status_code == 403
    assert browser.get(back.replace("state=", "state=x")).status_code == 403
    assert browser.get(back).status_code == 303
    assert browser.get(back).status_code == 403


def test_a_provider_that_is_away_is_said(tmp_path_factory: pytest.TempPathFactory, idp: Provider) -> None:
    gone = settings(idp) | {"ARBITER_OIDC_ISSUER": "http://127.0.0.1:9"}
    with served(tmp_path_factory.mktemp("gone"), **gone) as one:
        answer = httpx.get(f"{one.url}/session/openid", verify=TLS)
        assert answer.status_code == 503 and "cannot be reached" in answer.text


@pytest.fixture(scope="module")
def liar() -> Iterator[RawRuntime]:
    with raw_runtime() as one:
        yield one


@pytest.fixture(scope="module")
def over_liar(liar: RawRuntime, idp: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with served(tmp_path_factory.mktemp("liar"), **settings(idp) | {"ARBITER_OIDC_ISSUER": liar.url}) as one:
        yield one


def answering(liar: RawRuntime, token: bytes = b"{}", **document: Any) -> None:
    """The provider says this of itself, and gives this for a code."""
    told = {
        "issuer": liar.url,
        "authorization_endpoint": f"{liar.url}/authorize",
        "token_endpoint": f"{liar.url}/token",
        "jwks_uri": f"{liar.url}/keys",
    } | document

    def say(head: bytes, body: bytes, out: BinaryIO) -> None:
        said = json.dumps(told).encode() if b"/.well-known/" in head else token
        out.write(HEAD + b"content-type: application/json\r\n" + UNTIL_CLOSED + said)

    liar.say = say


def test_what_a_provider_says_is_a_claim(over_liar: Served, liar: RawRuntime) -> None:
    """What is wrong is refused, and not kept: the next visitor is sent to the provider once it is right."""
    with httpx.Client(base_url=over_liar.url, verify=TLS) as one:
        for wrong in ("javascript:alert(1)", "http://elsewhere.example/authorize"):
            answering(liar, authorization_endpoint=wrong)
            assert one.get("/session/openid").status_code == 503
        answering(liar, issuer="https://elsewhere.example")
        assert one.get("/session/openid").status_code == 503
        answering(liar, padding="x" * 2_000_000)
        assert one.get("/session/openid").status_code == 503
        answering(liar, b"{}", timeout="forever", proxy="http://127.0.0.1:9", base_url="http://127.0.0.1:9")
        there = one.get("/session/openid")
        assert there.status_code == 302 and there.headers["location"].startswith(f"{liar.url}/authorize?")


@pytest.mark.parametrize(
    "token",
    [
        json.dumps({"access_token": "a", "token_type": "Bearer", "userinfo": PEOPLE["ada"]}).encode(),
        b'{"access_token": "a", "id_token": "' + b"x" * 2_000_000 + b'"}',
        b'{"access_token": "a", "id_token": "e30.e30."}',
        b"[" * 100_000,
        b'"text"',
        b"",
    ],
    ids=["claims without a token", "large", "unsigned", "deep", "text", "nothing"],
)
def test_what_is_no_id_token_lets_nobody_in(over_liar: Served, liar: RawRuntime, token: bytes) -> None:
    answering(liar, token)
    with httpx.Client(base_url=over_liar.url, verify=TLS) as one:
        asked = parse_qs(urlsplit(one.get("/session/openid").headers["location"]).query)
        back = one.get("/session/openid/callback", params={"state": asked["state"][0], "code": "c"})
        assert (back.status_code, one.get("/v1/key").status_code) == (403, 401), back.text
