"""The sign-in page leads to the organisation's provider and back, in a browser."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.openid_provider import provider
from tests.web.conftest import start_site, stop_site


@pytest.mark.parametrize("width", [1440, 390])
def test_the_button_leads_to_the_provider_and_back(browser: Browser, tmp_path: Path, width: int) -> None:
    with provider({"ada": {"email": "ada@example.com", "email_verified": True}}) as idp:
        oidc = {"ISSUER": idp.issuer, "CLIENT_ID": "arbiter", "CLIENT_SECRET": "of the tests", "DOMAINS": "example.com"}
        site = start_site(tmp_path, **{f"ARBITER_OIDC_{name}": value for name, value in oidc.items()})
        context = browser.new_context(base_url=site.url, viewport={"width": width, "height": 800})
        context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
        try:
            page = context.new_page()
            page.goto("/app/key")
            page.get_by_text("Sign in with your organisation").click()
            page.wait_for_url(f"{idp.issuer}/**")
            page.get_by_role("button", name="ada").click()
            page.wait_for_url(f"{site.url}/app")
            page.goto("/app/key")
            expect(page.get_by_role("main").get_by_text("ada@example.com")).to_be_visible()
        finally:
            context.close()
            stop_site(site)
