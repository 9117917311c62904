"""Signing in by OpenID Connect at a real provider: who comes in, and everything about an ID token that has to be right."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from tests.openid_provider import Provider, provider
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
