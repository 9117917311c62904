"""One prompt, previewed, answered as a stream, explained, rated; and nothing an answer holds can run."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Page, expect

from tests.web.conftest import OPERATOR, Site, open_page, sign_in, tab_to


def test_a_prompt_is_previewed_answered_explained_and_rated(context: BrowserContext, page: Page, site: Site) -> None:
    sign_in(context, site)
    open_page(page, "/app/playground")
    expect(page.locator("#fit-count")).to_have_text("14 of 14 models fit")
    page.get_by_label("Prompt", exact=True).fill("What is 321 * 123?")
    page.get_by_role("button", name="Route it").click()
    expect(page.locator("#answer")).to_contain_text("39483")
    names = [page.locator(".stage b").nth(at).inner_text() for at in range(6)]
    assert names == ["Classify", "Filter", "Route", "Call", "Grade", "Learn"]
    expect(page.locator(".cand tbody tr.win")).to_have_count(1)
    page.get_by_role("button", name="Good answer").click()
    expect(page.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")


def test_a_lower_cost_ceiling_shows_who_drops_out_before_sending(
    context: BrowserContext, page: Page, site: Site
) -> None:
    sign_in(context, site)
    open_page(page, "/app/playground")
    slider = page.get_by_label("Cost ceiling")
    slider.focus()
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#fit-count")).not_to_have_text("14 of 14 models fit")
    expect(page.get_by_text("left out, and why")).to_be_visible()


def test_the_playground_works_by_keyboard_alone(context: BrowserContext, page: Page, site: Site) -> None:
    sign_in(context, site)
    open_page(page, "/app/playground")
    tab_to(page, "Prompt")
    page.keyboard.press("Control+A")
    page.keyboard.type("What is 12 * 12?")
    tab_to(page, "Cost ceiling")
    for _ in range(8):
        page.keyboard.press("ArrowLeft")
    expect(page.locator("#fit-count")).not_to_have_text("14 of 14 models fit")
    tab_to(page, "Route it")
    page.keyboard.press("Enter")
    expect(page.locator("#answer")).to_contain_text("144")
    tab_to(page, "Good answer")
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Good answer")).to_have_attribute("aria-pressed", "true")


def test_a_visitor_without_a_key_is_told_how_to_get_one(page: Page, site: Site) -> None:
    open_page(page, "/app/playground")
    expect(page.get_by_role("link", name="Get a key")).to_be_visible()
    assert OPERATOR not in page.content()


def test_a_wish_shows_who_would_serve_before_sending_and_is_kept_to(
    context: BrowserContext, page: Page, site: Site
) -> None:
    sign_in(context, site)
    open_page(page, "/app/playground")
    expect(page.locator("#foretold")).to_contain_text("Would go to")
    page.get_by_label("Model", exact=True).select_option("auto:best")
    expect(page.locator("#foretold")).to_contain_text("as the caller wishes (quality)")
    page.get_by_role("button", name="Route it").click()
    expect(page.locator(".stage").nth(2)).to_contain_text("as the caller wishes (quality)")


def test_no_prompt_is_not_asked(context: BrowserContext, page: Page, site: Site) -> None:
    sign_in(context, site)
    open_page(page, "/app/playground")
    page.get_by_label("Prompt", exact=True).fill("  ")
    page.get_by_role("button", name="Route it").click()
    expect(page.get_by_role("alert")).to_have_text("Type a prompt first.")
    expect(page.locator("#answer")).to_have_count(0)
    page.get_by_label("Prompt", exact=True).fill("What is 1 + 1?")
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_prompt_stands_there_after_a_reload_and_examples_replace_it(
    context: BrowserContext, page: Page, site: Site
) -> None:
    sign_in(context, site)
    open_page(page, "/app/playground")
    box = page.get_by_label("Prompt", exact=True)
    first = box.input_value()
    box.fill("Name three rivers.")
    page.get_by_role("button", name="Route it").click()
    expect(page.locator(".cand tbody tr.win")).to_have_count(1)
    page.reload()
    expect(box).to_have_value("Name three rivers.")
    page.get_by_role("button", name="math").click()
    expect(box).to_have_value(first)


def test_a_prompt_that_is_cut_is_said_to_be(page: Page, site: Site) -> None:
    open_page(page, "/app/playground")
    box = page.get_by_label("Prompt", exact=True)
    expect(page.get_by_text("at most 8,000 characters")).to_be_visible()
    box.focus()
    page.keyboard.insert_text("word " * 2_000)
    assert len(box.input_value()) == 8_000
    expect(page.get_by_text("nothing beyond 8,000 characters is in it")).to_be_visible()
