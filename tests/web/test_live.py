"""What is routed shows at once in every open tab, and a lost connection heals."""

from __future__ import annotations

import contextlib
import sqlite3
import time

from playwright.sync_api import BrowserContext, Page, expect

from tests.clock import Stopwatch
from tests.web.conftest import Site, open_page

FEED_S = 0.3


def test_a_routed_request_is_in_the_open_feed_within_300_ms(page: Page, site: Site) -> None:
    open_page(page, "/app")
    page.locator("table.feed tbody tr").first.wait_for()
    site.chat("What is 11 * 11?")
    times = []
    for at in range(5):
        before = page.locator("table.feed tbody tr").first.locator("td").nth(7).inner_text()
        page.evaluate(
            "() => { window.seen = 0; new MutationObserver(() => { window.seen ||= Date.now() })"
            ".observe(document.querySelector('table.feed tbody'), {childList: true, subtree: true, characterData: true}) }"
        )
        time.sleep(0.15)  # ends the tick of the call before, so that only this call's push is measured
        page.evaluate("() => { window.seen = 0 }")
        with Stopwatch() as watch:
            site.chat(f"What is {at} + 90011?")
            answered = time.time()
            page.wait_for_function("() => window.seen > 0")
        took_s = page.evaluate("() => window.seen") / 1000 - answered
        times.append((took_s, took_s < watch.allowed_s(FEED_S)))
        assert before is not None
    assert sum(in_time for _, in_time in times) > len(times) // 2, times


def test_two_tabs_show_the_same_decision(context: BrowserContext, page: Page, site: Site) -> None:
    other = context.new_page()
    open_page(page, "/app")
    open_page(other, "/app")
    for tab in (page, other):
        expect(tab.locator("table.feed tbody tr").first).to_be_visible()
    decision = site.chat("What is 123 * 456?")["arbiter"]
    for tab in (page, other):
        first = tab.locator("table.feed tbody tr").first
        expect(first.locator("i.fresh")).to_be_attached()
        first.click()
        expect(tab.locator("section", has_text="Decision").locator("em .num").first).to_have_text(
            decision["decision_id"]
        )


def test_a_lost_connection_shows_a_banner_and_recovers(context: BrowserContext, page: Page, site: Site) -> None:
    open_page(page, "/app")
    page.locator("table.feed tbody tr").first.wait_for()
    page.evaluate("() => { window.dispatchEvent(new Event('offline')) }")
    context.set_offline(True)
    expect(page.get_by_text("Connection lost")).to_be_visible()
    context.set_offline(False)
    expect(page.get_by_text("Connection lost")).to_be_hidden()
    site.chat("What is 5 * 5001?")
    expect(page.locator("table.feed tbody tr").first).to_contain_text("math")


def test_a_database_that_refuses_shows_a_banner_on_an_open_page_until_it_recovers(page: Page, site: Site) -> None:
    open_page(page, "/docs/quick-start")
    expect(page.get_by_text("Learning is paused")).to_be_hidden()
    with contextlib.closing(sqlite3.connect(site.store, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        assert "learning is paused" in site.chat("What is 6 * 6001?")["arbiter"]["degraded"]
        expect(page.get_by_text("Learning is paused")).to_be_visible()
        other.execute("ROLLBACK")
    expect(page.get_by_text("Learning is paused")).to_be_hidden()
    assert site.chat("What is 6 * 6002?")["arbiter"]["degraded"] is None
