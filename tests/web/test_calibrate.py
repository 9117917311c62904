"""An operator calibrates on the models page: price, start, progress, table; nobody else sees the panel."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Page, expect

from tests.web.conftest import OPERATOR, Site, open_page


def test_prompts_from_a_file_are_priced_run_and_shown(page: Page, site: Site, tmp_path: Path) -> None:
    open_page(page, "/app/models")
    expect(page.get_by_role("heading", name="Calibrate")).to_have_count(0)
    page.request.post(f"{site.url}/session", data={"api_key": OPERATOR})
    open_page(page, "/app/models")
    panel = page.locator("section.panel", has=page.get_by_role("heading", name="Calibrate"))
    prompts = panel.get_by_label("Prompts")
    prompts.fill('{"prompt": "fine"}\n{"promt": "not"}')
    panel.get_by_role("button", name="Show the price").click()
    expect(panel.get_by_role("alert")).to_contain_text("line 2: unknown field 'promt'")
    file = tmp_path / "prompts.jsonl"
    file.write_text('{"prompt": "Calculate 3 * 1717", "task": "math", "reference": 5151}\n')
    panel.get_by_label("From a file").set_input_files(file)
    expect(prompts).to_have_value(file.read_text())
    panel.get_by_role("button", name="Show the price").click()
    expect(panel.get_by_text("1 prompts on 14 models, 14 calls: about $")).to_be_visible()
    expect(panel.get_by_role("status")).to_contain_text("ready: 0 of 14 calls")
    panel.get_by_role("button", name="Start").click()
    expect(panel.get_by_role("status")).to_contain_text("done: 14 of 14 calls")
    expect(panel.locator("tbody tr")).to_have_count(14)
    expect(page.get_by_text("The judge, deepseek-v4-pro, ")).to_be_visible()
