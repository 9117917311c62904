"""An operator's jobs with models, done on the pages from a fresh start, on a desk and on a phone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.stranger import Said, Stranger, plain, stranger
from tests.web.conftest import OPERATOR, Site, sign_in, start_site, stop_site

TODAY = "claude-sonnet-4-5"
WIDTHS = {"desk": (1440, 900), "phone": (390, 844)}


@pytest.fixture
def over(tmp_path: Path) -> Iterator[tuple[Site, Stranger]]:
    """An Arbiter over a runtime that has a model which came out today."""
    with stranger() as runtime:
        rows = [{"id": name} for name in ("gpt-4o", "gpt-4o-mini", TODAY, "house-model")]
        runtime.listing = lambda: (200, "application/json", json.dumps({"data": rows}).encode())

        def answer(body: bytes) -> Said:
            return plain(model=json.loads(body)["model"])

        runtime.say = answer
        site = start_site(tmp_path, **runtime.settings, ARBITER_JOIN="!*", ARBITER_JUDGE_SAMPLE="0")
        yield site, runtime
        stop_site(site)


@contextmanager
def visitor(browser: Browser, site: Site, width: str) -> Iterator[Page]:
    """Somebody who has never been here, and signs in by the form."""
    w, h = WIDTHS[width]
    context = browser.new_context(base_url=site.url, viewport={"width": w, "height": h}, accept_downloads=True)
    page = context.new_page()
    page.goto("/app")
    page.wait_for_url("**/start**")
    page.goto("/app/key")
    page.get_by_label("API key").fill(OPERATOR)
    with page.expect_response("**/session"):  # the cookie, for pages that are opened anew
        page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").first.wait_for()
    yield page
    assert fits(page)
    context.close()


@contextmanager
def operator(browser: Browser, site: Site, width: str) -> Iterator[Page]:
    """Somebody who has been here before, and is signed in."""
    w, h = WIDTHS[width]
    context = browser.new_context(base_url=site.url, viewport={"width": w, "height": h}, accept_downloads=True)
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    sign_in(context, site)
    page = context.new_page()
    yield page
    assert fits(page)
    context.close()


def fits(page: Page) -> bool:
    fitting: bool = page.evaluate("() => document.documentElement.scrollWidth == document.documentElement.clientWidth")
    return fitting


def panel(page: Page, name: str) -> Locator:
    return page.locator("section.panel", has=page.get_by_role("heading", name=name, exact=True))


@pytest.mark.parametrize("width", WIDTHS)
def test_add_the_model_that_came_out_today(browser: Browser, over: tuple[Site, Stranger], width: str) -> None:
    site, runtime = over
    with visitor(browser, site, width) as page:
        page.goto("/app/models")
        new = panel(page, "New models")
        row = new.locator("tbody tr", has_text=TODAY)
        expect(row).to_contain_text("$3$15")
        row.get_by_role("button", name=f"Add {TODAY}").click()
        expect(page.get_by_text(f"{TODAY} is in the pool.")).to_be_visible()
        expect(new.locator("tbody tr")).to_have_count(1)
        mine = panel(page, "Catalog").locator("tbody tr", has_text=TODAY)
        expect(mine).to_contain_text("routable")
        assert site.chat("Hello", arbiter_pin=TODAY)["arbiter"]["model"] == TODAY
        # Its price moved the same day.
        mine.get_by_role("button", name=f"Edit {TODAY}").click()
        page.get_by_label("Input price", exact=True).fill("2.5")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text(f"{TODAY} is changed.")).to_be_visible()
        expect(mine).to_contain_text("$2.5$15")
        # And it is tried, within a cap.
        mine.get_by_role("button", name=f"Edit {TODAY}").click()
        page.get_by_label("A trial for at most, USD").fill("0.5")
        page.get_by_role("button", name="Try it").click()
        calibrate = panel(page, "Calibrate")
        expect(calibrate.get_by_role("status").first).to_contain_text("done: 20 of 20 calls")
        log = panel(page, "Audit log").locator("tbody tr")
        expect(log).to_have_count(2)
        expect(log.nth(0)).to_contain_text("input 2.5")
        expect(log.nth(1)).to_contain_text("added")
        assert len([one for one in runtime.heard if json.loads(one)["model"] == TODAY]) >= 21


@pytest.mark.parametrize("width", WIDTHS)
def test_a_model_of_any_name_is_added_and_retired_by_the_form(
    browser: Browser, over: tuple[Site, Stranger], width: str
) -> None:
    site, _ = over
    with operator(browser, site, width) as page:
        page.goto("/app/models")
        catalog = panel(page, "Catalog")
        catalog.get_by_role("button", name="Add a model").click()
        page.get_by_label("Name of the model").fill("house-model")
        page.get_by_label("Input price", exact=True).fill("1")
        page.get_by_role("button", name="Add it").click()
        expect(catalog.get_by_role("alert")).to_contain_text("give input and output")
        page.get_by_label("Output price").fill("4")
        page.get_by_role("button", name="Add it").click()
        row = catalog.locator("tbody tr", has_text="house-model")
        expect(row).to_contain_text("$1$4")
        assert site.chat("Hello", arbiter_pin="house-model")["arbiter"]["model"] == "house-model"
        row.get_by_role("button", name="Edit house-model").click()
        page.get_by_role("button", name="Retire").click()
        expect(row).to_contain_text("retired")
        row.get_by_role("button", name="Edit house-model").click()
        page.get_by_role("button", name="Bring back").click()
        expect(row).to_contain_text("routable")


def test_a_price_list_shows_what_it_changes_before_it_does(browser: Browser, over: tuple[Site, Stranger]) -> None:
    site, _ = over
    with operator(browser, site, "desk") as page:
        page.goto("/app/models")
        prices = panel(page, "Price list")
        with page.expect_download() as got:
            prices.get_by_role("link", name="csv").click()
        assert Path(got.value.path()).read_text().startswith("model,input,output")
        prices.get_by_label("Price list", exact=True).fill("model,input\ngpt-4o,3.5\ngpt-4o-mini,0.15\n")
        prices.get_by_role("button", name="Show what changes").click()
        expect(prices.get_by_role("status")).to_contain_text("2 models named: 1 change")
        expect(prices.locator("tbody tr")).to_have_text(["gpt-4oinput2.53.5"])
        row = panel(page, "Catalog").locator("tbody tr", has=page.get_by_role("button", name="Edit gpt-4o", exact=True))
        expect(row).to_contain_text("$2.5")
        prices.get_by_role("button", name="Apply these changes").click()
        expect(prices.get_by_role("status")).to_contain_text("applied")
        expect(row).to_contain_text("$3.5")


def test_whoever_is_no_operator_sees_the_catalog_alone(browser: Browser, over: tuple[Site, Stranger]) -> None:
    site, _ = over
    context = browser.new_context(base_url=site.url)
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    page = context.new_page()
    page.goto("/app/models")
    expect(page.get_by_text("Reports are private here")).to_be_visible()
    for name in ("New models", "Price list", "Audit log", "Add a model", "Edit"):
        expect(page.get_by_text(name, exact=True)).to_have_count(0)
    context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_the_form_of_a_model_opens_where_one_looks(browser: Browser, over: tuple[Site, Stranger], width: str) -> None:
    site, _ = over
    with operator(browser, site, width) as page:
        page.goto("/app/models")
        row = panel(page, "Catalog").locator("tbody tr", has=page.get_by_role("button", name="Edit gpt-4o", exact=True))
        edit = row.get_by_role("button", name="Edit gpt-4o", exact=True)
        edit.wait_for()
        edit.evaluate("one => window.scrollTo(0, one.getBoundingClientRect().top + window.scrollY - 200)")
        edit.click()
        price = page.get_by_label("Input price", exact=True)
        expect(price).to_be_focused()
        expect(price).to_be_in_viewport(ratio=1)
        expect(page.get_by_role("heading", name="Edit gpt-4o", exact=True)).to_be_in_viewport(ratio=1)
        price.fill("2.25")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("gpt-4o is changed.")).to_be_in_viewport(ratio=1)
