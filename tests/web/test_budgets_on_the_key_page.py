"""Operators set and remove budgets on the key page; whoever holds a key sees what is left of it, and when it renews."""

from __future__ import annotations

from playwright.sync_api import BrowserContext, Page, expect

from tests.web.conftest import Site, open_page, sign_in


def test_a_budget_is_set_seen_by_its_key_and_removed(context: BrowserContext, page: Page, site: Site) -> None:
    key = site.key("budgeted@example.com")
    sign_in(context, site)
    open_page(page, "/app/key")
    form = page.locator("form", has=page.get_by_label("Dollars"))
    form.get_by_label("Its id or name").fill(key[:12])
    form.get_by_label("Dollars").fill("much")
    form.get_by_role("button", name="Set").click()
    expect(page.get_by_role("alert")).to_contain_text("a limit is dollars")
    expect(form.get_by_label("Its id or name")).to_have_value(key[:12])
    form.get_by_label("Dollars").fill("$1,250")
    form.get_by_role("button", name="Set").click()
    row = page.locator("tr", has_text="budgeted@example.com").filter(has_text="of $1,250.00")
    expect(row).to_contain_text("$0 of $1,250.00")
    expect(form.get_by_label("Dollars")).to_have_value("")
    page.get_by_label("Search budgets").fill("of nobody")
    expect(page.get_by_text("No such budget")).to_be_visible()
    page.get_by_label("Search budgets").fill("budgeted")
    expect(row).to_be_visible()
    keys = page.locator(".panel", has=page.get_by_role("heading", name="All keys"))
    keys.get_by_label("Search keys").fill(key[4:12])
    expect(keys.locator("tbody tr")).to_have_count(1)
    keys.get_by_label("Search keys").fill("")
    project = site.http.post("/v1/projects", json={"name": "A picked one"}).json()["id"]
    site.http.post("/v1/keys", json={"label": "of the project", "project_id": project})
    open_page(page, "/app/key")
    keys.get_by_label("Project").select_option(label="A picked one")
    expect(keys.locator("tbody tr")).to_have_count(1)
    expect(keys.locator("tbody tr")).to_contain_text("of the project")
    ask = {"messages": [{"role": "user", "content": "Calculate 7 * 7"}], "arbiter_pin": "gpt-4o", "max_tokens": 50}
    head = {"authorization": f"Bearer {key}"}
    assert site.http.post("/v1/chat/completions", json=ask, headers=head).status_code == 200
    week = {"scope": "key", "subject": key[:12], "period": "week", "limit_usd": "7"}
    assert site.http.post("/v1/budgets", json=week).json()["counted_calls"] == 1
    sign_in(context, site, key)
    open_page(page, "/app/key")
    own = page.locator(".panel", has=page.get_by_role("heading", name="Budgets", exact=True))
    expect(own).to_contain_text("$1,250.00 a month, this key")
    expect(own).to_contain_text("renews")
    expect(own).to_contain_text("of it for 1 call from before this budget was set")
    expect(page.get_by_role("heading", name="All budgets")).to_have_count(0)
    sign_in(context, site)
    open_page(page, "/app/key")
    row = row.filter(has_text="month")
    row.get_by_role("button", name="Remove").click()
    row.get_by_role("button", name="Really remove").click()
    expect(row).to_have_count(0)
