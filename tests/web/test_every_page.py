"""What holds for every page: no horizontal scroll, no script errors, both themes, accessible, a real 404."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser import ROOT
from tests.web.conftest import PATHS, Site, filled, open_page, sign_in

AXE = ROOT / "tests" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture(scope="module", params=[(1440, "light"), (390, "dark")], ids=["desk", "phone"])
def tab(request: pytest.FixtureRequest, browser: Browser, site: Site) -> Page:
    width, scheme = request.param
    context = browser.new_context(
        base_url=site.url,
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        reduced_motion="reduce",
    )
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    sign_in(context, site)
    page = context.new_page()
    request.addfinalizer(context.close)
    return page


@pytest.mark.parametrize("path", [*PATHS, "/docs/operations", "/docs/brain", "/app/decision/*", "/no/such/page"])
def test_a_page_fits_its_screen_is_labelled_and_accessible_in_both_themes(tab: Page, site: Site, path: str) -> None:
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    newest = site.http.get("/v1/recent", params={"limit": 1}).json()["data"][0]["id"]
    open_page(tab, path.replace("*", newest))
    filled(tab)
    assert tab.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    expect(tab.locator("main")).to_have_count(1)
    expect(tab.locator("h1").first).to_be_attached()
    assert axe(tab) == []
    theme = tab.locator("html").get_attribute("class")
    tab.get_by_role("button", name="Switch between light and dark").click()
    expect(tab.locator("html")).not_to_have_class(str(theme))
    assert axe(tab, "color-contrast") == []
    tab.evaluate("() => localStorage.removeItem('theme')")
    assert errors == []


def axe(page: Page, *rules: str) -> list[str]:
    """Serious and critical violations of these rules, or of all, with the elements at fault."""
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text())
    asked = {"resultTypes": ["violations"]} | ({"runOnly": list(rules)} if rules else {})
    found = page.evaluate("async asked => (await axe.run(document, asked)).violations", asked)
    return [
        f"{one['id']}: {node['target']} {node['failureSummary'][:200]}"
        for one in found
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"][:4]
    ]


def test_dark_mode_follows_the_system_and_the_switch_is_remembered(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.url, color_scheme="dark")
    page = context.new_page()
    open_page(page, "/docs")
    assert "dark" in (page.locator("html").get_attribute("class") or "")
    page.get_by_role("button", name="Switch between light and dark").click()
    expect(page.locator("html")).to_have_class("light")
    page.reload()
    expect(page.locator("html")).to_have_class("light")
    context.close()


def test_an_unknown_address_is_a_404_with_a_way_back(page: Page, site: Site) -> None:
    answer = page.goto("/no/such/page")
    assert answer is not None and answer.status == 404
    expect(page.get_by_text("There is nothing at this address")).to_be_visible()


def test_the_skip_link_leads_past_the_navigation(page: Page, site: Site) -> None:
    open_page(page, "/app/playground")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.closest('#content') !== null")


def test_the_table_of_a_chart_closes_by_escape_and_with_its_page(page: Page, site: Site) -> None:
    open_page(page, "/app")
    filled(page)
    show, table = page.get_by_role("button", name="Show spend as a table"), page.get_by_role("dialog")
    show.click()
    expect(table).to_be_visible()
    page.keyboard.press("Escape")
    expect(table).to_have_count(0)
    show.click()
    expect(table).to_be_visible()
    open_page(page, "/app/activity")
    page.locator("tbody tr").first.wait_for()
    expect(table).to_have_count(0)
