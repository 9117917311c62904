"""An Arbiter right after its start, with nothing at all in it; and one with more and longer things than fit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from arbiter_app.web.state.key_budgets import MOST_AT_A_GLANCE
from tests.web.conftest import Site, open_page, sign_in, start_site, stop_site


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One that nobody has asked anything."""
    one = start_site(tmp_path_factory.mktemp("empty"))
    yield one
    stop_site(one)


@pytest.fixture
def tab(browser: Browser, empty: Site) -> Iterator[Page]:
    """A phone with an operator at it."""
    context = browser.new_context(base_url=empty.url, viewport={"width": 390, "height": 844})
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    sign_in(context, empty)
    yield context.new_page()
    context.close()


@pytest.mark.parametrize(
    ("path", "panel", "said"),
    [
        ("/app/activity", "Decisions", "No calls yet"),
        ("/app", "Cost and quality", "No grades yet"),
        ("/app", "Classifier", "Nothing was classified yet"),
        ("/app/models", "Latency", "No calls yet"),
    ],
)
def test_a_panel_says_that_there_is_nothing_yet(tab: Page, path: str, panel: str, said: str) -> None:
    open_page(tab, path)
    section = tab.locator("section.panel", has=tab.get_by_role("heading", name=panel, exact=True))
    expect(section).to_contain_text(said)
    expect(section.locator(".chart")).to_have_count(0)


def test_a_filter_that_nothing_fits_can_be_cleared(tab: Page) -> None:
    open_page(tab, "/app/activity?task=code")
    expect(tab.get_by_text("No decision matches")).to_be_visible()
    tab.get_by_role("button", name="Clear filters").click()
    expect(tab.get_by_text("No calls yet")).to_be_visible()


def test_the_second_step_of_the_demo_says_that_the_first_is_missing(tab: Page) -> None:
    open_page(tab, "/demo")
    tab.get_by_role("button", name="Make it 8").click()
    expect(tab.get_by_role("alert")).to_contain_text("no favourite yet")


def test_long_names_fit_a_phone_and_the_fullest_budgets_come_first(tab: Page, empty: Site) -> None:
    named = []
    for at in range(MOST_AT_A_GLANCE + 2):
        name = f"Nightly reports of the finance department in Frankfurt am Main {at}" if at else "x" * 100
        named.append(empty.http.post("/v1/projects", json={"name": name}).raise_for_status().json()["id"])
        budget = {"scope": "project", "subject": named[-1], "period": "month", "limit_usd": str(10 - at)}
        empty.http.post("/v1/budgets", json=budget).raise_for_status()
    key = empty.http.post("/v1/keys", json={"label": "k" * 100, "project_id": named[-1]}).json()["api_key"]
    empty.chat("What is 6 * 7?", key, arbiter_pin="gpt-4o")
    for path in ("/app/team", "/app/spend", "/app/key", "/app/activity", "/app"):
        open_page(tab, path)
        expect(tab.get_by_text("Frankfurt").or_(tab.locator("option", has_text="Frankfurt")).first).to_be_attached()
        assert tab.evaluate("document.documentElement.scrollWidth") == 390
    budgets = tab.locator("section.panel", has=tab.get_by_role("heading", name="Budgets", exact=True))
    expect(budgets).to_contain_text(f"the {MOST_AT_A_GLANCE} fullest of {MOST_AT_A_GLANCE + 2}")
    expect(budgets.locator("b")).to_have_count(MOST_AT_A_GLANCE)
    expect(budgets.locator("b").first).to_contain_text(f"Main {MOST_AT_A_GLANCE + 1}")
    open_page(tab, "/app/team")
    tab.get_by_role("button", name="x" * 100).click()
    expect(tab.get_by_role("heading", name="Members of xxx")).to_be_visible()
    assert tab.evaluate("document.documentElement.scrollWidth") == 390
