"""An operator who was invited comes in by the link, in a browser: to the pages, and to what operators alone see there."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

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
    expect(page.get_by_text("It was used, withdrawn or has expired")).to_be_visible()
    expect(page.get_by_role("button", name="Sign in")).to_have_count(0)
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_whoever_was_let_in_is_no_first_visitor(browser: Browser, site: Site) -> None:
    made = site.http.post("/v1/people/invitations", json={"email": "new@example.com"}).json()
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    page.goto(made["path"])
    page.get_by_label("Your name").fill("New")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert page.url == f"{site.url}/app"
    context.close()


def test_a_link_that_was_used_meanwhile_is_told_on_a_page(page: Page, site: Site) -> None:
    made = site.http.post("/v1/people/invitations", json={"email": "twice@example.com"}).json()
    page.goto(made["path"])
    code = page.locator("input[name=invitation]").input_value()
    assert site.http.post("/session", json={"invitation": code, "name": "Twice"}).status_code == 200
    page.get_by_label("Your name").fill("Twice")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="This link does not work any more")).to_be_visible()
