"""The models page shows each runtime of a model apart: its price, how it fared, whether it rests."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.stranger import Stranger, stranger
from tests.web.conftest import Site, sign_in, start_site, stop_site

CATALOG = """
[runtimes.house]
base_url = "{house}"
[models."gpt-4o"]
input = 2.5
output = 10
[[models."gpt-4o".deployments]]
[[models."gpt-4o".deployments]]
runtime = "house"
input = 1
output = 4
"""


@pytest.fixture
def over_both(tmp_path: Path) -> Iterator[tuple[Site, Stranger]]:
    """An Arbiter over two runtimes that have the same model."""
    with stranger() as default, stranger() as house:
        path = tmp_path / "catalog.toml"
        path.write_text(CATALOG.format(house=house.url))
        site = start_site(tmp_path, **default.settings, ARBITER_CATALOG=str(path), ARBITER_JUDGE_SAMPLE="0")
        yield site, house
        stop_site(site)


def test_a_runtime_that_rests_stands_beside_the_one_that_answers(
    browser: Browser, over_both: tuple[Site, Stranger]
) -> None:
    site, house = over_both
    for _ in range(3):
        site.chat("What is the capital of France?", arbiter_no_cache=True)
    house.say, house.headers = lambda body: (429, "application/json", b"{}"), {"retry-after": "250"}
    site.chat("What is the capital of France?", arbiter_no_cache=True)
    context = browser.new_context(base_url=site.url, viewport={"width": 390, "height": 900})
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    sign_in(context, site)
    page = context.new_page()
    page.goto("/app/models")
    panel = page.locator("section.panel", has=page.get_by_role("heading", name="Deployments"))
    rows = panel.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.nth(0)).to_contain_text("house")
    expect(rows.nth(0)).to_contain_text("rests 2")
    expect(rows.nth(0)).to_contain_text("$1$43")
    expect(rows.nth(1)).to_contain_text("btlfirst$2.5$101")
    panel.scroll_into_view_if_needed()
    expect(rows.nth(0).locator(".tag")).to_be_in_viewport()  # the table itself need not be scrolled
    assert page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    context.close()
