"""The models page answers what another rule would have done, in figures or in a sentence."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

from tests.web.conftest import Site, open_page

POOL = ["mistral-small-3.2-24b-instruct-2506", "gpt-4o"]


def test_a_tolerance_and_a_model_left_out_are_answered_on_the_page(page: Page, site: Site) -> None:
    for at in range(60):
        site.chat(f"Calculate {at} * 24", arbiter_models=POOL, arbiter_no_cache=True)
    open_page(page, "/app/models")
    panel = page.locator("section.panel", has=page.get_by_role("heading", name="What if"))
    slider = panel.get_by_label("Quality tolerance")
    expect(slider).to_have_value("0.05")
    slider.fill("0.3")
    expect(panel.get_by_text("tolerance 0.30", exact=True)).to_be_visible()
    panel.get_by_label("Without").select_option(POOL[0])
    expect(panel.get_by_text(f"tolerance 0.30, without {POOL[0]}", exact=True)).to_be_visible()
    told = site.http.get("/v1/what-if", params={"tolerance": 0.3, "without": POOL[0]}).json()
    answer = panel.get_by_role("status")
    expect(answer).to_contain_text(told["refused"] or re.compile("worth .* plain decisions"))


def test_the_overview_shows_the_routing_beside_what_it_must_beat(page: Page, site: Site) -> None:
    site.chat("Calculate 3 * 24", arbiter_no_cache=True)
    open_page(page, "/app")
    rows = page.locator("table.placebo tbody tr")
    expect(rows).to_have_count(4)
    expect(rows.first).to_contain_text("Arbiter")
