"""The arbitrage moment, on cue: a price rises, is noticed, and the traffic moves."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import BrowserContext, Page, expect

from tests.clock import Stopwatch
from tests.waiting import FAR_S
from tests.web.conftest import Site, open_page, sign_in, start_site, stop_site

WITHIN_S = 10.0
"""From pressing the button to everything being on the page."""


def test_a_price_shift_from_the_page_is_alerted_explored_and_left_within_ten_seconds(
    context: BrowserContext, page: Page, site: Site
) -> None:
    press_both(context, page, site)


def test_so_is_one_where_models_are_tried_beside_answers(context: BrowserContext, page: Page, tmp_path: Path) -> None:
    site = start_site(tmp_path, ARBITER_SHADOW="on")
    try:
        press_both(context, page, site)
    finally:
        stop_site(site)


def press_both(context: BrowserContext, page: Page, site: Site) -> None:
    """The scenario of the page, and what is then to be seen."""
    sign_in(context, site)
    open_page(page, f"{site.url}/demo")
    page.get_by_role("button", name="Find a favourite").click()
    expect(page.get_by_text(re.compile(r"^([1-9]\d*) of \1 prompts$"))).to_be_visible(timeout=FAR_S * 1000)
    row = page.locator("tr", has=page.locator(".t-math")).last
    page.get_by_role("button", name="Make it 8").click()
    with Stopwatch() as pressed:
        favourite = page.locator("li.row", has_text="×8").locator(".num").inner_text()
        alert = page.locator("li.item", has_text=favourite).first
        expect(alert).to_contain_text("times dearer")
        expect(alert).to_contain_text(re.compile(r"[1-9]\d* trials?"))
        expect(row.locator("td.m")).not_to_have_text(favourite)
        timeline = page.locator("section", has=page.get_by_role("heading", name="Timeline")).locator(".chart")
        expect(timeline).to_contain_text(f"{favourite} ×8")
        expect(timeline).to_contain_text("math → ")
    assert pressed.took_s < pressed.allowed_s(WITHIN_S)
    page.get_by_role("button", name="Stop").first.click()
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("No price is changed")).to_be_visible()


def test_an_anonymous_visitor_may_watch_but_not_press(page: Page, site: Site) -> None:
    open_page(page, "/demo")
    expect(page.get_by_role("link", name="Get a key to press the buttons")).to_be_visible()
    expect(page.get_by_role("button", name="Find a favourite")).to_have_count(0)
