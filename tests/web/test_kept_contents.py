"""An operator lets a project keep contents, finds a decision by its words, reads it, asks another model the same, and deletes it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from playwright.sync_api import Browser, Locator, Page, expect

from tests.waiting import until
from tests.web.conftest import Site, open_page, sign_in, start_site, stop_site

SHOTS = os.environ.get("ARBITER_SHOTS", "")


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A site that can encrypt."""
    site = start_site(tmp_path_factory.mktemp("keeping"), ARBITER_CONTENT_KEYS=Fernet.generate_key().decode())
    yield site
    stop_site(site)


def panel(page: Page, name: str) -> Locator:
    return page.locator("section.panel", has=page.get_by_role("heading", name=name, exact=True))


def shot(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=Path(SHOTS) / f"{name}.png", full_page=True)


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (390, "dark")])
def test_contents_are_kept_found_read_asked_again_and_deleted(
    browser: Browser, keeping: Site, width: int, scheme: str
) -> None:
    context = browser.new_context(
        base_url=keeping.url, viewport={"width": width, "height": 900}, reduced_motion="reduce"
    )
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    sign_in(context, keeping)
    page = context.new_page()
    page.emulate_media(color_scheme="light" if scheme == "light" else "dark")

    open_page(page, "/app/key")
    kept = panel(page, "Kept contents")
    kept.get_by_label("Hours of default").fill("24")
    kept.get_by_label("Taken out of default").fill("email\n(unclosed")
    kept.get_by_role("button", name="Save").click()
    expect(kept.get_by_role("alert")).to_contain_text("(unclosed")
    kept.get_by_label("Taken out of default").fill("email")
    kept.get_by_role("button", name="Save").click()
    expect(kept.get_by_role("status")).to_have_text("default keeps contents for 24 h.")
    shot(page, f"key-{width}-{scheme}")

    word = f"zebra{width}"
    made = keeping.chat(f"Write {word} to ada@example.com, and calculate 37 * 24")["arbiter"]["decision_id"]
    until(lambda: keeping.http.get(f"/v1/decisions/{made}/content").status_code == 200)

    open_page(page, "/app/activity")
    found = panel(page, "Search contents")
    found.get_by_label("Words of a prompt or an answer").fill(f"{word} calculate")
    found.get_by_role("button", name="Search").click()
    expect(found.locator("tbody tr")).to_have_count(1)
    expect(found.locator("tbody tr")).to_contain_text("to [email], and calculate 37 * 24")
    shot(page, f"activity-{width}-{scheme}")
    expect(found.get_by_role("status")).to_have_text(re.compile(r"^1 found in \d+ contents?$"))
    found.locator("tbody tr a").last.click()

    content = panel(page, "Content")
    content.get_by_role("button", name="Show it").click()
    expect(content.get_by_role("region", name="The request")).to_contain_text(f"Write {word} to [email]")
    content.get_by_label("Another model").select_option("gpt-4o")
    content.get_by_role("button", name="Ask it the same").click()
    second = content.locator("article", has_text="gpt-4o")
    expect(second).to_contain_text("ms")
    shot(page, f"decision-{width}-{scheme}")
    assert page.evaluate("() => document.documentElement.scrollWidth") == width
    content.get_by_role("button", name="Delete content").click()
    content.get_by_role("button", name="Really delete").click()
    expect(content).to_have_count(0)
    assert keeping.http.get(f"/v1/decisions/{made}/content").status_code == 404
    context.close()


def test_callers_are_offered_none_of_it(browser: Browser, keeping: Site) -> None:
    keeping.http.post("/v1/projects/default", json={"content_hours": 1})
    key = keeping.key("bob@example.com")
    made = keeping.chat("Calculate 12 * 12", key=key)["arbiter"]["decision_id"]
    until(lambda: keeping.http.get(f"/v1/decisions/{made}/content").status_code == 200)
    context = browser.new_context(base_url=keeping.url)
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    sign_in(context, keeping, key)
    page = context.new_page()
    open_page(page, f"/app/decision/{made}")
    expect(page.get_by_role("heading", name="Story")).to_be_visible()
    expect(panel(page, "Content")).to_have_count(0)
    open_page(page, "/app/activity")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(panel(page, "Search contents")).to_have_count(0)
    open_page(page, "/app/key")
    expect(page.get_by_text("bob@example.com").first).to_be_visible()
    expect(panel(page, "Kept contents")).to_have_count(0)
    context.close()


def test_a_label_leads_to_the_field_of_its_own_project(browser: Browser, keeping: Site) -> None:
    keeping.http.post("/v1/projects", json={"name": "Team A"}).raise_for_status()
    context = browser.new_context(base_url=keeping.url)
    sign_in(context, keeping)
    page = context.new_page()
    open_page(page, "/app/key")
    row = panel(page, "Kept contents").locator("form", has_text="Team A")
    row.get_by_text("Hours", exact=True).click()
    expect(page.get_by_label("Hours of Team A")).to_be_focused()
    ids = page.evaluate("() => [...document.querySelectorAll('[id]')].map(one => one.id)")
    assert len(ids) == len(set(ids))
    context.close()
