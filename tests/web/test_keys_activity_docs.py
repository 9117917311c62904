"""Keys are managed, decisions are found and exported, the documentation is searched and copied."""

from __future__ import annotations

import csv
import json
from datetime import datetime
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from arbiter_app import __version__
from arbiter_app.web import decision_views
from arbiter_app.web.finding import SHOWN
from tests.web.conftest import Site, open_page, sign_in


def test_a_key_is_paused_resumed_and_revoked_from_the_page(context: BrowserContext, page: Page, site: Site) -> None:
    key = site.key("pause@example.com")
    sign_in(context, site, key)
    open_page(page, "/app/key")
    page.get_by_role("button", name="Pause").click()
    expect(page.locator(".tag.warn", has_text="paused")).to_be_visible()
    asked = {"messages": [{"role": "user", "content": "hello"}]}
    headers = {"authorization": f"Bearer {key}"}
    assert site.http.post("/v1/chat/completions", json=asked, headers=headers).status_code == 403
    page.get_by_role("button", name="Resume").click()
    expect(page.locator(".tag.good", has_text="active")).to_be_visible()
    page.get_by_role("button", name="Revoke", exact=True).click()
    page.get_by_role("button", name="Revoke it").click()
    expect(page.get_by_role("button", name="Pause")).to_have_count(0)
    assert site.http.post("/v1/chat/completions", json=asked, headers=headers).status_code == 401


def test_signing_in_by_form_and_out_again(page: Page, site: Site) -> None:
    key = site.key("form@example.com")
    open_page(page, "/app/key")
    page.get_by_label("API key").fill("arb_wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_contain_text("unknown")
    page.get_by_label("API key").fill(key)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("row", name="e-mail form@example.com")).to_be_visible()
    expect(page.get_by_role("navigation", name="Sections")).to_contain_text(
        f"caller · form@example.comArbiter {__version__}"
    )
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()


@pytest.mark.parametrize("query", ["since=²", "until=٣", "before=²", "before=99999999999999999999", "before=-1"])
def test_what_is_no_number_in_an_address_is_left_out(page: Page, site: Site, query: str) -> None:
    site.chat("What is 2 + 70001?")
    open_page(page, f"/app/activity?{query}")
    expect(page.locator("tbody tr").first).to_be_visible()
    expect(page.get_by_text("That did not work")).to_have_count(0)


def test_activity_filters_stand_in_the_url_and_pages_go_on(page: Page, site: Site) -> None:
    for at in range(30):
        site.chat(f"What is {at} + 70000?")
    open_page(page, "/app/activity?task=math")
    expect(page.locator("tbody tr")).to_have_count(50)
    page.get_by_label("Task").select_option("code")
    page.wait_for_url("**/app/activity?task=code")
    expect(page.locator("tbody tr .task").first).to_have_text("code")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("tbody tr")).to_have_count(50)
    cost = page.locator("tbody tr").first.locator("td").nth(6).bounding_box()
    assert cost is not None
    page.mouse.click(cost["x"] + 5, cost["y"] + 5)  # wherever a row is clicked
    page.wait_for_url("**/app/decision/**")
    page.go_back()
    expect(page.locator("tbody tr")).to_have_count(50)
    first = page.locator("tbody tr").first.locator("td").last.inner_text()
    page.get_by_role("link", name="Older").click()
    page.wait_for_url("**before=*")
    expect(page.locator("tbody tr").first.locator("td").last).not_to_have_text(first)


def test_a_column_of_times_says_of_which_time_zone(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.url, timezone_id="Asia/Kolkata")
    page = context.new_page()
    open_page(page, "/app/activity")
    expect(page.get_by_role("columnheader", name="time, GMT+5:30")).to_be_visible()
    context.close()


def test_a_decision_opens_with_its_story_and_money(context: BrowserContext, page: Page, site: Site) -> None:
    decision = site.chat("What is 17 * 19?")["arbiter"]
    open_page(page, f"/app/decision/{decision['decision_id']}")
    expect(page.get_by_text("No such decision")).to_be_visible()  # as the API says: whole ones are not public
    sign_in(context, site)
    open_page(page, f"/app/decision/{decision['decision_id']}")
    expect(page.locator(".stage b").first).to_have_text("Classify")
    expect(page.get_by_role("row", name="in total")).to_be_visible()
    open_page(page, "/app/decision/d_nothing")
    expect(page.get_by_text("No such decision")).to_be_visible()


def test_every_decision_that_was_made_can_be_told(site: Site) -> None:
    for at in range(40):
        site.chat(f"Write a Python function that adds {at} to each number of a list.", arbiter_no_cache=True)
    for seen in site.http.get("/v1/recent", params={"limit": 200}).json()["data"]:
        row = site.http.get(f"/v1/decisions/{seen['id']}").json()
        route = row["trace"].get("route") or {}
        assert route.get("propensity") is None or 0 < route["propensity"] <= 1
        assert len(decision_views.trace(row)) == 6
        assert decision_views.facts(row) and decision_views.charges(row) and decision_views.candidates(row) is not None


def test_activity_exports_csv_and_json_under_its_filters(page: Page, site: Site, tmp_path: Path) -> None:
    for at in range(2):
        site.chat(f"What is {at} * 4321?")  # with those of the site, more than a page of them
    open_page(page, "/app/activity?task=math")
    page.locator("tbody tr").first.wait_for()
    for kind in ("csv", "json"):
        with page.expect_download() as download:
            page.get_by_role("link", name=kind, exact=True).click()
        download.value.save_as(tmp_path / kind)
    with (tmp_path / "csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    listed = json.loads((tmp_path / "json").read_text())
    assert len(rows) == len(listed) > 40
    assert datetime.fromisoformat(rows[0]["time"]).timestamp() == pytest.approx(float(rows[0]["ts"]), abs=0.001)
    assert rows[0]["time"] == listed[0]["time"]
    assert {row["task"] for row in rows} == {row["task"] for row in listed} == {"math"}


def test_the_documentation_is_searched_and_its_code_copied(context: BrowserContext, page: Page, site: Site) -> None:
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    open_page(page, "/docs")
    page.keyboard.press("/")
    page.keyboard.type("arbiter_max_cost")
    page.locator(".hits a").first.click()
    page.wait_for_url("**/docs/quick-start**")
    page.locator(".prose .copy").first.click()
    assert "requirements.txt" in page.evaluate("() => navigator.clipboard.readText()")


@pytest.mark.parametrize("width", [1440, 390])
def test_tables_of_the_documentation_fit_and_leave_room_for_what_names_mean(page: Page, site: Site, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_page(page, "/docs/configuration")
    table = page.locator(".prose table").first
    room = page.locator(".prose").evaluate("one => one.clientWidth")
    assert table.evaluate("one => one.scrollWidth") <= room
    widths = table.locator("tr").nth(1).locator("td").evaluate_all("cells => cells.map(one => one.clientWidth)")
    assert widths[2] > room * 0.35


def test_activity_finds_what_was_refused_and_says_that_it_cost_nothing(page: Page, site: Site) -> None:
    asked = {"messages": [{"role": "user", "content": "x " * 2_000_000}]}
    assert site.http.post("/v1/chat/completions", json=asked).status_code == 400
    open_page(page, "/app/activity")
    page.get_by_label("Outcome").select_option("failed")
    page.wait_for_url("**/app/activity?status=failed")
    row = page.locator("tbody tr").first
    expect(row.locator(".mode").first).to_have_text("refused")
    expect(row).to_contain_text("$0")
    expect(page.locator("tbody tr .m-exploit, tbody tr .m-explore")).to_have_count(0)


def test_enter_in_the_search_of_the_documentation_opens_the_first_hit(page: Page, site: Site) -> None:
    open_page(page, "/docs")
    page.get_by_label("Search the documentation").fill("arbiter_max_cost")
    page.locator(".hits a").first.wait_for()
    page.keyboard.press("Enter")
    page.wait_for_url("**/docs/quick-start**")


def test_keys_can_be_paused_and_revoked_on_a_phone(context: BrowserContext, page: Page, site: Site) -> None:
    site.key("somebody.with.a.long.name@department.example.com")
    sign_in(context, site)
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, "/app/key")
    keys = page.locator("section.panel", has=page.get_by_role("heading", name="All keys"))
    expect(keys.get_by_role("button", name="Revoke").first).to_be_visible()
    right = keys.get_by_role("button", name="Revoke").first.evaluate("one => one.getBoundingClientRect().right")
    assert right <= 390 >= page.evaluate("document.documentElement.scrollWidth")


def test_a_project_is_found_among_many(context: BrowserContext, page: Page, site: Site) -> None:
    for at in range(SHOWN + 2):
        site.http.post("/v1/projects", json={"name": f"Other {at}"})
    site.http.post("/v1/projects", json={"name": "Sought"})
    sign_in(context, site)
    open_page(page, "/app/team")
    projects = page.locator("section.panel", has=page.get_by_role("heading", name="Projects"))
    expect(projects.locator("tbody tr")).to_have_count(SHOWN)
    page.get_by_label("Search projects").fill("sought")
    expect(projects.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Search projects").fill("nowhere")
    expect(projects).to_contain_text("No such project")


def test_buttons_and_badges_of_a_row_do_not_touch(context: BrowserContext, page: Page, site: Site) -> None:
    sign_in(context, site)
    open_page(page, "/app/models")
    out = page.get_by_role("button", name="Disable").first
    out.wait_for()
    gap = """one => one.nextElementSibling.getBoundingClientRect().left - one.getBoundingClientRect().right"""
    assert out.evaluate(gap) >= 4


def test_signing_out_in_one_tab_clears_the_others(context: BrowserContext, page: Page, site: Site) -> None:
    sign_in(context, site)
    other = context.new_page()
    for tab in (page, other):
        open_page(tab, "/app/key")
        expect(tab.get_by_role("heading", name="All keys")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("API key")).to_be_visible()
    expect(other.get_by_label("API key")).to_be_visible()  # nobody touched it
    expect(other.get_by_role("heading", name="All keys")).to_have_count(0)
