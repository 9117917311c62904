"""An operator who was invited comes in by the link, in a browser: to the pages, and to what operators alone see there."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from arbiter_app.web.finding import SHOWN
from tests.served import TLS
from tests.web.conftest import Site, open_page, sign_in, start_site, stop_site


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
    expect(page.locator("main").get_by_text(address)).to_be_visible()
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


def test_people_are_found_among_many(browser: Browser, tmp_path: Path) -> None:
    site = start_site(tmp_path, ARBITER_SIGNINS_PER_MINUTE="1000")
    for at in range(SHOWN + 2):
        told = {"email": f"person{at}@example.com", "project_id": "default", "role": "member"}
        code = site.http.post("/v1/people/invitations", json=told).json()["path"].partition("=")[2]
        assert (
            httpx.post(f"{site.url}/session", json={"invitation": code, "name": f"P{at}."}, verify=TLS).status_code
            == 200
        )
    other = site.http.post("/v1/projects", json={"name": "Elsewhere"}).json()["id"]
    for at in range(SHOWN + 1):
        told = {"email": f"waits{at}@example.com", "project_id": other, "role": "viewer"}
        site.http.post("/v1/people/invitations", json=told).raise_for_status()
    site.http.post("/v1/people/invitations", json={"email": "operates@example.com"}).raise_for_status()
    context = browser.new_context(base_url=site.url)
    sign_in(context, site)
    page = context.new_page()
    open_page(page, "/app/team")
    panels = [
        page.locator("section.panel", has=page.get_by_role("heading", name=name)) for name in ("People", "Members of")
    ]
    for panel in panels:
        expect(panel.locator("tbody").first.locator("tr")).to_have_count(SHOWN)
        expect(panel).to_contain_text(f"the first {SHOWN} of {SHOWN + 2}")
    page.get_by_label("Search people").fill("person26@")
    for panel in panels:
        expect(panel.locator("tbody").first.locator("tr")).to_have_count(1)
    page.get_by_label("Search people").fill("nowhere")
    for panel in panels:
        expect(panel).to_contain_text("Nobody like that")
    page.get_by_label("Search people").fill("")
    everybody, members = panels
    expect(everybody).to_contain_text("operates@example.com")
    expect(everybody).not_to_contain_text("waits0@")
    expect(members).not_to_contain_text("operates@")
    expect(members).not_to_contain_text("waits0@")
    page.get_by_role("button", name="Elsewhere").click()
    expect(members).to_contain_text(f"the first {SHOWN} of {SHOWN + 1}")
    expect(members.locator("tr", has_text="@example.com")).to_have_count(SHOWN)
    context.close()
    stop_site(site)


def test_a_link_that_was_used_meanwhile_is_told_on_a_page(page: Page, site: Site) -> None:
    made = site.http.post("/v1/people/invitations", json={"email": "twice@example.com"}).json()
    page.goto(made["path"])
    code = page.locator("input[name=invitation]").input_value()
    assert site.http.post("/session", json={"invitation": code, "name": "Twice"}).status_code == 200
    page.get_by_label("Your name").fill("Twice")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="This link does not work any more")).to_be_visible()
