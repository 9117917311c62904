"""Who a trusted proxy vouches for is signed in; anybody else's header is nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from arbiter_app.settings import load_settings
from tests.served import TLS, Served, served

HEADER = "X-Forwarded-Email"
ADA = {HEADER: "Ada@example.com", "accept": "text/html"}


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Served]:
    settings = {"ARBITER_AUTH_HEADER": HEADER, "ARBITER_OIDC_DOMAINS": "example.com", "ARBITER_PUBLIC_READS": "0"}
    with served(tmp_path, ARBITER_TRUSTED_PROXIES="127.0.0.1", **settings) as one:
        yield one


def who(browser: httpx.Client) -> str | int:
    answer = browser.get("/v1/key")
    return str(answer.json()["email"]) if answer.status_code == 200 else answer.status_code


def test_whom_a_trusted_proxy_vouches_for_is_signed_in(behind: Served) -> None:
    with httpx.Client(base_url=behind.url, headers=ADA, verify=TLS) as browser:
        first = browser.get("/app/spend")
        assert (first.status_code, first.headers["location"]) == (303, "/session/proxy?next=/app/spend")
        entered = browser.get(first.headers["location"])
        assert (entered.status_code, entered.headers["location"]) == (303, "/app/spend")
        assert "httponly" in entered.headers["set-cookie"].lower()
        assert browser.get("/app/spend").status_code != 303 and who(browser) == "ada@example.com"
        other = browser.get("/app", headers={HEADER: "bob@example.com"})
        assert other.headers["location"] == "/session/proxy?next=/app", "somebody else sits there now"
        browser.get(other.headers["location"], headers={HEADER: "bob@example.com"})
        assert who(browser) == "bob@example.com"
        refused = browser.get("/session/proxy", headers={HEADER: "eve@elsewhere.example"})
        assert refused.status_code == 403 and "invited" in refused.text
        assert browser.get("/session/proxy?next=//evil.example").headers["location"] == "/app"


def test_a_header_is_nothing_without_a_session_or_from_somebody_else(behind: Served, tmp_path: Path) -> None:
    with httpx.Client(base_url=behind.url, headers=ADA, verify=TLS) as client:
        assert who(client) == 401, "the API takes keys and sessions, no header"
        twice = httpx.get(
            f"{behind.url}/session/proxy",
            headers=[(HEADER, "ada@example.com"), (HEADER, "eve@example.com")],
            verify=TLS,
        )
        assert twice.status_code == 403
        none = client.get("/session/proxy", headers={HEADER: ""})
        assert none.status_code == 403
    folder = tmp_path / "far"
    folder.mkdir()
    settings = {"ARBITER_AUTH_HEADER": HEADER, "ARBITER_OIDC_DOMAINS": "example.com"}
    with served(folder, ARBITER_TRUSTED_PROXIES="10.9.8.7", **settings) as far:
        for headers in (ADA, {**ADA, "x-forwarded-for": "10.9.8.7"}):
            assert httpx.get(f"{far.url}/session/proxy", headers=headers, verify=TLS).status_code == 403
            assert httpx.get(f"{far.url}/app", headers=headers, verify=TLS).status_code != 303


@pytest.mark.parametrize("proxies", ["", "*"])
def test_a_header_without_named_proxies_is_refused_at_start(proxies: str) -> None:
    with pytest.raises(ValueError, match="ARBITER_TRUSTED_PROXIES"):
        load_settings({"ARBITER_AUTH_HEADER": HEADER, "ARBITER_TRUSTED_PROXIES": proxies}, env_file=None)
