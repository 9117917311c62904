"""An operator who was invited comes in by the link, in a browser: to the pages, and to what operators alone see there."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.web.conftest import Site


@pytest.mark.parametrize("width", [1440, 390])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_link_leads_in_by_one_button(page: Page, site: Site, width: int, scheme: str) -> None:
    address = f"grace-{width}-{scheme}@example.com"
    made = site.http.post("/v1/people/invitations", json={"email": address}).json()
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")
    page.goto(made["path"])
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.get_by_label("Your name").fill("Grace Hopper")
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/app")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    page.goto("/app/key")
    expect(page.get_by_text(address).first).to_be_visible()
    page.goto(made["path"])
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_text("this link was used, withdrawn or has expired")).to_be_visible()
