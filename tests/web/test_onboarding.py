"""From nothing to a first routed call, in the browser and with the official client."""

from __future__ import annotations

import pytest
from openai import OpenAI
from playwright.sync_api import Browser, Page, expect

from tests.web.conftest import Site, open_page, tab_to


def test_a_first_visit_to_the_app_is_led_through_the_start_once(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    page.goto("/app")
    page.wait_for_url("**/start?first=1")
    expect(page.get_by_text("This is your first visit here")).to_be_visible()
    page.goto("/app")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    context.close()


def to_the_key(page: Page) -> None:
    """On to the step where the key is made, one step after the other has come."""
    for step in range(2, 5):
        page.get_by_role("button", name="Next").click()
        expect(page.get_by_text(f"Step {step} of 5")).to_be_visible()


def test_a_visitor_gets_a_key_and_the_last_step_turns_green_on_a_real_call(page: Page, site: Site) -> None:
    open_page(page, "/start")
    to_the_key(page)
    page.get_by_label("E-mail").fill("grace@example.com")
    page.get_by_role("button", name="Make my key").click()
    key = page.locator(".step code").inner_text()
    assert key.startswith("arb_")
    page.get_by_role("button", name="Next").click()
    expect(page.locator(".step pre")).to_contain_text(f'base_url="{site.url}/v1"')
    expect(page.locator(".step pre")).to_contain_text(key)
    expect(page.get_by_text("Waiting for your first call")).to_be_visible()
    with OpenAI(base_url=f"{site.url}/v1", api_key=key) as client:
        client.chat.completions.create(model="auto", messages=[{"role": "user", "content": "What is 24 * 37?"}])
    expect(page.locator(".arrival.done")).to_contain_text("It arrived.")


def test_onboarding_works_by_keyboard_alone(page: Page, site: Site) -> None:
    open_page(page, "/start")
    for step in range(2, 5):
        tab_to(page, "Next")
        page.keyboard.press("Enter")
        expect(page.get_by_text(f"Step {step} of 5")).to_be_visible()
    tab_to(page, "E-mail")
    page.keyboard.type("keys@example.com")
    page.keyboard.press("Enter")
    expect(page.locator(".step code")).to_contain_text("arb_")
    key = page.locator(".step code").inner_text()
    tab_to(page, "Next")
    page.keyboard.press("Enter")
    tab_to(page, "curl")
    page.keyboard.press("Enter")
    expect(page.locator(".step pre")).to_contain_text("curl ")
    site.chat("What is 4 * 4404?", key=key)
    expect(page.locator(".arrival.done")).to_be_visible()
    tab_to(page, "see why")
    page.keyboard.press("Enter")
    page.wait_for_url("**/app/decision/*")


def test_the_minted_key_is_signed_in_on_the_next_page_too(page: Page, site: Site) -> None:
    open_page(page, "/start")
    to_the_key(page)
    page.get_by_label("E-mail").fill("stay@example.com")
    with page.expect_response("**/session"):
        page.get_by_role("button", name="Make my key").click()
    open_page(page, "/app/key")
    expect(page.get_by_role("main").get_by_text("stay@example.com")).to_be_visible()
    cookie = next(one for one in page.context.cookies() if one["name"] == "arbiter_session")
    assert cookie["httpOnly"] and cookie["sameSite"] == "Strict"


def test_an_address_within_the_app_is_not_led_to_the_start(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    open_page(page, "/app/models")
    expect(page.get_by_role("heading", name="Models", exact=True)).to_be_visible()
    assert page.url.endswith("/app/models")
    context.close()


def test_whoever_saw_the_start_is_not_led_there_again(browser: Browser, site: Site) -> None:
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    open_page(page, "/start")
    open_page(page, "/app")
    expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    assert page.url.endswith("/app")
    context.close()


def test_the_browsers_back_leads_to_the_step_before(page: Page, site: Site) -> None:
    open_page(page, "/start")
    for step in (2, 3):
        page.get_by_role("button", name="Next").click()
        page.wait_for_url(f"**/start?step={step}")
        expect(page.get_by_text(f"Step {step} of 5")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Step 2 of 5")).to_be_visible()
    page.reload()
    expect(page.get_by_text("Step 2 of 5")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("Step 1 of 5")).to_be_visible()


PRESS = """(button, last) => {
  let step = 1;
  const press = () => {
    if (step < last && document.body.innerText.includes(`Step ${step} of 5`)) { step += 1; button.click(); }
  };
  new MutationObserver(press).observe(document.body, {subtree: true, childList: true, characterData: true});
  press();
}"""
"""Presses Next in the very moment in which the step before is shown."""


@pytest.mark.parametrize("last", [3, 4, 5])
def test_who_presses_next_before_the_address_has_followed_is_not_set_back(page: Page, site: Site, last: int) -> None:
    open_page(page, "/start")
    page.get_by_role("button", name="Next").evaluate(PRESS, last)
    page.wait_for_url(f"**/start?step={last}")
    expect(page.get_by_text(f"Step {last} of 5")).to_be_visible()
    page.reload()
    expect(page.get_by_text(f"Step {last} of 5")).to_be_visible()
