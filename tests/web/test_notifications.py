"""An operator makes rules, presses test, sees what arrived, mutes, and sends a dead letter again; nobody else sees any of it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Locator, Page, expect
from standardwebhooks import Webhook

from tests.receivers import receiver
from tests.waiting import until
from tests.web.conftest import Site, open_page, sign_in


def panel(page: Page, name: str) -> Locator:
    return page.locator("section.panel", has=page.get_by_role("heading", name=name, exact=True))


def make(page: Page, name: str, channel: str, address: str) -> None:
    form = panel(page, "New rule")
    form.get_by_label("Name").fill(name)
    form.get_by_label("Channel").select_option(channel)
    form.get_by_label("Address").fill(address)
    form.get_by_role("button", name="Create rule").click()


@pytest.mark.parametrize("width", [1440, 390])
def test_a_rule_is_made_tested_muted_and_its_dead_letters_are_seen(browser: Browser, site: Site, width: int) -> None:
    context = browser.new_context(base_url=site.url, viewport={"width": width, "height": 900}, reduced_motion="reduce")
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    sign_in(context, site)
    page = context.new_page()
    with receiver() as chat, receiver(500) as hook:
        open_page(page, "/app/notifications")
        make(page, "", "slack", "file:///etc/passwd")
        expect(page.get_by_role("alert")).to_have_count(0)  # the browser asks for a name first
        make(page, f"team {width}", "slack", "file:///etc/passwd")
        expect(page.get_by_role("alert")).to_contain_text("the address begins with http:// or https://")
        make(page, f"team {width}", "slack", f"{chat.url}/hooks/open-sesame")
        card = page.locator(".rule-card", has_text=f"team {width}")
        expect(card).to_contain_text("80 % of a budget is spent")
        expect(page.get_by_role("alert")).to_have_count(0)
        assert "open-sesame" not in card.inner_text()
        card.get_by_role("button", name="Test").click()
        until(lambda: chat.got)
        assert f"The rule “team {width}” works" in chat.got[0].json["text"]
        sent = panel(page, "Messages").locator("tbody tr", has_text=f"team {width}")
        expect(sent.locator(".tag")).to_have_text("sent")

        card.get_by_role("button", name="8 h").click()
        expect(card).to_contain_text("muted until")
        card.get_by_role("button", name="Unmute").click()
        expect(card).not_to_contain_text("muted until")

        make(page, f"robot {width}", "webhook", hook.url)
        secret = panel(page, "New rule").get_by_role("status").locator("code").inner_text()
        page.locator(".rule-card", has_text=f"robot {width}").get_by_role("button", name="Test").click()
        page.get_by_role("button", name="dead letters").click()
        dead = panel(page, "Messages").locator("tbody tr", has_text=f"robot {width}")
        expect(dead).to_contain_text("it answered 500")
        dead.get_by_role("button", name="Send again").click()
        expect(dead).to_have_count(0)
        until(lambda: len(hook.got) == 2)
        for got in hook.got:
            Webhook(secret).verify(got.body, got.headers)
        page.reload()
        expect(card).to_be_visible()
        expect(page.get_by_text(secret)).to_have_count(0)
        assert secret not in page.content() and "open-sesame" not in page.content()
        for name in (f"team {width}", f"robot {width}"):
            gone = page.locator(".rule-card", has_text=name)
            gone.get_by_role("button", name="Delete").click()
            gone.get_by_role("button", name="Really delete").click()
            expect(gone).to_have_count(0)
    context.close()


def test_only_operators_see_rules(page: Page, site: Site) -> None:
    page.request.post(f"{site.url}/session", data={"api_key": site.key("eve@example.com")})
    open_page(page, "/app/notifications")
    expect(page.get_by_text("For operators")).to_be_visible()
    expect(page.get_by_role("heading", name="New rule")).to_have_count(0)


@pytest.mark.parametrize("path", ["/app/notifications", "/app/hosts"])
def test_nobody_is_turned_away_before_it_is_known_who_comes(page: Page, path: str) -> None:
    page.add_init_script(
        "window.WebSocket = class extends EventTarget { close() {} send() {} }"
    )  # the server says nothing
    page.goto(path)
    expect(page.locator("main .hold").first).to_be_attached()
    expect(page.get_by_text("For operators")).to_have_count(0)
