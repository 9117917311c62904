"""Which decisions were the dearest, and what became of this request: asked and answered on the activity page."""

from __future__ import annotations

from contextlib import suppress

import pytest
from playwright.sync_api import BrowserContext, Page, expect
from playwright.sync_api import Error as PlaywrightError

from tests.waiting import until
from tests.web.conftest import Site, filled, open_page, sign_in


@pytest.mark.parametrize("width", [1440, 390])
def test_the_dearest_stand_first_and_a_request_is_found(
    page: Page, context: BrowserContext, site: Site, width: int
) -> None:
    body = {"messages": [{"role": "user", "content": "What is 81 * 7?"}]}
    request = f"req-of-the-page-{width}"
    sent = site.http.post("/v1/chat/completions", json=body, headers={"x-request-id": request})
    decision = sent.json()["arbiter"]["decision_id"]
    page.set_viewport_size({"width": width, "height": 900})
    sign_in(context, site)
    open_page(page, "/app/activity")
    page.get_by_label("Order").select_option("dearest")
    page.wait_for_url("**sort=dearest**")
    rows = site.http.get("/v1/recent", params={"sort": "dearest", "limit": 2}).json()["data"]
    expect(page.locator("tbody tr").first).to_contain_text(f"${rows[0]['cost']:.6f}")
    page.get_by_label("Decision or request id").fill(request)
    page.get_by_role("button", name="Find").click()
    page.wait_for_url(f"**request={request}**")
    expect(page.locator("tbody tr")).to_have_count(1)
    page.get_by_label("Decision or request id").fill(decision)
    page.get_by_role("button", name="Find").click()
    page.wait_for_url(f"**/app/decision/{decision}")
    expect(page.get_by_role("cell", name=request)).to_be_visible()
    open_page(page, "/app?range=7d")
    expect(page.get_by_text("Saved against gpt-4o, measured, last 7 d")).to_be_visible()
    open_page(page, "/app?range=2026-01-02..2026-01-03")
    expect(page.get_by_text("Saved against gpt-4o, measured, 2 Jan to 3 Jan 2026")).to_be_visible()
    open_page(page, "/app/models")
    expect(page.get_by_label("Last day")).not_to_have_value("")
    today = page.get_by_label("Last day").input_value()
    page.get_by_label("First day").fill(f"{int(today[:4]) - 1}-01-15")
    page.wait_for_url(f"**range={int(today[:4]) - 1}-01-15..{today}")
    filled(page)
    square = page.locator(".chart").first.locator(".points path").first
    square.scroll_into_view_if_needed()
    square.hover(force=True)
    expect(page.locator(".hoverlayer .hovertext")).to_be_visible()

    def leads_to_its_decisions() -> bool:
        with suppress(PlaywrightError):  # a chart that is drawn anew in that moment takes no click
            square.click(force=True, timeout=5_000)
            page.wait_for_url("**/app/activity?task=*", timeout=5_000)
        return "/app/activity?task=" in page.url

    until(leads_to_its_decisions)
    expect(page.locator("tbody tr").first).to_be_visible()
    assert page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
