"""What an operator wants of a day, done on the pages from a fresh start, at a desk and on a phone; adding a model is in
`test_models_by_the_operator`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.served import TLS
from tests.web.conftest import OPERATOR, Site, open_page, start_site, stop_site

SCREENS = {"desk": (1440, 900), "phone": (390, 844)}


@pytest.fixture(scope="module", params=SCREENS)
def day(
    request: pytest.FixtureRequest, browser: Browser, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Site, Page]]:
    """An Arbiter that has just been set up, and its operator, who signs in by hand."""
    site = start_site(tmp_path_factory.mktemp(f"day-{request.param}"), ARBITER_JOIN="")
    width, height = SCREENS[request.param]
    context = browser.new_context(
        base_url=site.url, viewport={"width": width, "height": height}, reduced_motion="reduce"
    )
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    page = context.new_page()
    open_page(page, "/app/key")
    page.get_by_label("API key").fill(OPERATOR)
    with page.expect_response("**/session"):  # which brings the cookie that the next page is asked for with
        page.get_by_role("button", name="Sign in", exact=True).click()
    expect(page.get_by_text("operator", exact=True).first).to_be_visible()
    yield site, page
    context.close()
    stop_site(site)


def fits(page: Page) -> None:
    assert page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0


def key_made(page: Page, label: str) -> str:
    keys = page.locator(".panel", has=page.get_by_role("heading", name="Keys of Data team"))
    keys.get_by_label("Name of the key").fill(label)
    keys.get_by_role("button", name="Create key").click()
    expect(page.locator("[role=status] code").first).to_contain_text("arb_")
    expect(keys.get_by_role("link", name=label)).to_be_visible()
    return page.locator("[role=status] code").first.inner_text().strip()


def ask(site: Site, key: str, prompt: str) -> dict[str, object]:
    answer = httpx.post(
        f"{site.url}/v1/chat/completions",
        json={"messages": [{"role": "user", "content": prompt}], "max_tokens": 50, "user": "ada"},
        headers={"authorization": f"Bearer {key}", "x-arbiter-tags": "nightly"},
        verify=TLS,
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["arbiter"])


def test_the_data_team_gets_200_dollars_a_month_and_two_keys_that_want_different_things(day: tuple[Site, Page]) -> None:
    """Give the data team $200 a month; this customer wants the best answer, that batch job the cheapest; who spent it?"""
    site, page = day
    open_page(page, "/app/team")
    projects = page.locator(".panel", has=page.get_by_role("heading", name="Projects"))
    projects.get_by_label("Name of the project").fill("Data team")
    projects.get_by_label("Time zone").fill("Europe/Berlin")
    projects.get_by_role("button", name="Create project").click()
    expect(page.get_by_role("heading", name="Budget of Data team")).to_be_visible()
    page.get_by_label("Dollars a month").fill("200")
    page.get_by_role("button", name="Set budget").click()
    expect(page.get_by_text("of $200.00 a month")).to_be_visible()
    customer, batch = key_made(page, "customer"), key_made(page, "batch job")
    for label, objective, tolerance in (("customer", "best quality", 0.0), ("batch job", "lowest cost", 1.0)):
        page.locator("tr", has_text=label).get_by_label("Objective").select_option(label=objective)
        expect(page.locator("tr", has_text=label).get_by_label("Objective")).to_have_value(objective)
        found = next(row for row in site.http.get("/v1/keys").json()["data"] if row["label"] == label)
        assert found["tolerance"] == tolerance
    page.locator("tr", has_text="batch job").get_by_role("button", name="Rotate").click()
    expect(page.get_by_text("The new key batch job, shown this once")).to_be_visible()
    page.get_by_label("Dollars a month").fill("1,5")
    page.get_by_role("button", name="Set budget").click()
    budget = page.locator(".panel", has=page.get_by_role("heading", name="Budget of Data team"))
    expect(budget.get_by_role("alert")).to_contain_text("with a point before the cents")
    expect(page.get_by_label("Dollars a month")).to_have_value("1,5")  # to be mended, not typed again
    expect(budget.get_by_role("status")).to_have_count(0)  # the key stays in the panel of keys
    budget.get_by_role("button", name="Remove").click()
    budget.get_by_role("button", name="Really remove").click()
    expect(budget).to_contain_text("No budget limits this project.")
    page.get_by_label("Dollars a month").fill("200")
    page.get_by_role("button", name="Set budget").click()
    expect(budget).to_contain_text("of $200.00 a month")
    after = page.locator("[role=status] code").first.inner_text().strip()
    ask(site, after, "Calculate 1 + 1")  # and the old one goes on for a day
    fits(page)
    for at in range(3):
        ask(site, batch, f"Calculate {at} + 2")
        ask(site, customer, f"Calculate {at} + 3")
    open_page(page, "/app/spend?by=key")
    expect(page.get_by_role("link", name="customer")).to_be_visible()
    expect(page.get_by_text("Saved against gpt-4o, measured")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="report as json").click()
    report = json.loads(download.value.path().read_text())
    assert report["calls"] == 7 and {"interval", "saved_pct", "placebos"} <= set(report)
    page.get_by_label("Sum by").select_option(label="by tag")
    expect(page.get_by_role("link", name="nightly")).to_be_visible()
    fits(page)
    page.get_by_role("link", name="nightly").click()
    expect(page.locator("tbody tr")).to_have_count(7)
    expect(page.get_by_text("tag nightly")).to_be_visible()
    open_page(page, "/app/spend?tag=nightly")
    expect(page.get_by_text("known of keys and projects")).to_be_visible()
    fits(page)


def test_somebody_is_told_on_slack_when_a_price_moves(day: tuple[Site, Page]) -> None:
    site, page = day
    open_page(page, "/app/notifications")
    page.get_by_label("Name").fill("prices")
    page.get_by_label("Address").fill("https://hooks.slack.com/services/T000/B000/abc")
    page.get_by_role("button", name="Create rule").click()
    card = page.locator(".rule-card", has_text="prices")
    expect(card).to_contain_text("slack")
    card.get_by_role("button", name="Edit").click()
    expect(page.get_by_role("heading", name="Change the rule")).to_be_visible()
    page.get_by_label("Name").fill("price moves")
    page.get_by_role("button", name="Save rule").click()
    expect(page.locator(".rule-card", has_text="price moves")).to_be_visible()
    (rule,) = site.http.get("/v1/notifications/rules").json()["data"]
    assert rule["name"] == "price moves" and "price_shift" in rule["events"]
    fits(page)


def test_somebody_is_invited_and_sees_their_project_alone(day: tuple[Site, Page], browser: Browser) -> None:
    site, page = day
    open_page(page, "/app/team")
    page.get_by_role("button", name="Data team").click()
    expect(page.get_by_role("heading", name="Members of Data team")).to_be_visible()
    page.get_by_label("E-mail").fill("grace@example.com")
    page.get_by_label("As", exact=True).select_option("viewer")
    page.get_by_role("button", name="Invite").click()
    link = page.locator("[role=status] code").first
    expect(link).to_contain_text("/session/invitation?code=")
    context = browser.new_context(base_url=site.url, viewport=page.viewport_size)
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    grace = context.new_page()
    grace.goto(link.inner_text().strip())
    grace.get_by_role("button").first.click()
    open_page(grace, "/app/team")
    expect(grace.get_by_role("heading", name="Members of Data team")).to_be_visible()
    expect(grace.get_by_role("button", name="Create key")).to_have_count(0)
    open_page(grace, "/app/spend?by=key")
    expect(grace.get_by_role("link", name="customer")).to_be_visible()
    fits(grace)
    context.close()


def test_the_palette_goes_anywhere(day: tuple[Site, Page]) -> None:
    _, page = day
    open_page(page, "/app")
    page.keyboard.press("Control+k")
    expect(page.get_by_role("combobox", name="Command")).to_be_focused()
    page.keyboard.type("team")
    page.keyboard.press("Enter")
    page.wait_for_url("**/app/team")
    page.keyboard.press("Control+k")
    page.keyboard.press("Escape")
    expect(page.get_by_role("combobox", name="Command")).to_have_count(0)
