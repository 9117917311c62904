"""`make screenshots`: every page in both themes and both widths, into docs/screens, after a day of real traffic.

The day is played in a minute and a half: every request is routed, graded and learned from, only the wall clock runs faster.
The traffic is seeded, busier by day than by night; in the afternoon the cheap favourite becomes eight times dearer.
"""

from __future__ import annotations

import itertools
import math
import re
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from playwright.sync_api import Browser, TimeoutError, sync_playwright

from arbiter_app.bench.workload import workload
from arbiter_app.web import build
from tests.browser import FLAGS, ROOT, chromium
from tests.waiting import PATIENCE_S
from tests.web.conftest import PATHS, Site, filled, open_page, sign_in, start_site, stop_site

TARGET = ROOT / "docs" / "screens"
THEMES = ("light", "dark")
WIDTHS = {"desk": (1440, 900), "phone": (390, 844)}
DEMO = "/demo"
REQUESTS = 3_000
DAY_S, STARTS_IN_S = 90.0, 15.0
DEARER_AT = 0.6
"""The moment of the day at which the favourite's price rises, as a share of it."""
QUALITY = 82
MOST_ROUNDS, SETTLES_S = 5, 10.0
"""How often the demo is played until a picture of it shows what it is about, and what an alert has to be completed within."""


def main() -> None:
    """Take them all."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        site = after_a_day(Path(directory))
        try:
            with playwright.chromium.launch(executable_path=chromium(), args=FLAGS) as browser:
                newest = site.http.get("/v1/recent", params={"limit": 1}).json()["data"][0]["id"]
                pages = [*(path for path in PATHS if path != DEMO), f"/app/decision/{newest}"]
                for theme, width in itertools.product(THEMES, WIDTHS):
                    take(browser, site, theme, width, pages)
                show_the_moment(browser, site)
                for theme, width in itertools.product(THEMES, WIDTHS):
                    take(browser, site, theme, width, [DEMO])
        finally:
            stop_site(site)


def after_a_day(directory: Path) -> Site:
    """An Arbiter at the end of the day that it was played."""
    build.ensure_pages()
    begins = time.time() + STARTS_IN_S
    clock = {"PYTHONPATH": str(Path(__file__).parent / "played_day"), "PLAYED_DAY_S": str(DAY_S)}
    much = dict.fromkeys(("ARBITER_LIMIT_6H", "ARBITER_LIMIT_WEEK"), "100000")
    site = start_site(directory, **clock, **much, PLAYED_FROM=str(begins), ARBITER_SANDBOX_LATENCY="0.05")
    try:
        play(site, begins)
    except BaseException:
        stop_site(site)
        raise
    return site


def team(site: Site) -> list[str]:
    """Three projects with a key each, and a budget of one of them; the keys."""
    keys = []
    for name in ("Support desk", "Search", "Nightly reports"):
        project = site.http.post("/v1/projects", json={"name": name}).raise_for_status().json()["id"]
        fields = {"label": name.lower(), "email": f"{name.split()[0].lower()}@example.com", "project_id": project}
        keys.append(site.http.post("/v1/keys", json=fields).raise_for_status().json()["api_key"])
    budget = {"scope": "project", "subject": project, "period": "month", "limit_usd": "0.20"}
    site.http.post("/v1/budgets", json=budget).raise_for_status()
    return keys


def play(site: Site, begins: float) -> None:
    """A workload of a team at a pace that follows the hours, with a price shift in it."""
    keys = team(site)
    asks, moments = workload(REQUESTS, seed=11, stream_share=0.0), paced(REQUESTS)
    shift = next(at for at, moment in enumerate(moments) if moment > DEARER_AT)

    def one(at: int) -> None:
        time.sleep(max(0.0, begins + moments[at] * DAY_S - time.time()))
        if at == shift:
            dearer(site)
        bearer = {"authorization": f"Bearer {keys[0 if at % 5 < 3 else at % 5 - 2]}"}
        site.http.post("/v1/chat/completions", json=asks[at].body, headers=bearer).raise_for_status()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(REQUESTS)))


def paced(n: int) -> list[float]:
    """When each of `n` requests is sent, as shares of the day: three times as many at its busiest hour as at its quietest."""
    grid = [at / 1_000 for at in range(1_001)]
    sums = list(itertools.accumulate(2 + math.sin(2 * math.pi * (at - 0.3)) for at in grid))
    places = iter(zip(grid, sums, strict=True))
    at, so_far = next(places)
    found = []
    for number in range(n):
        while so_far < sums[-1] * (number + 0.5) / n:
            at, so_far = next(places)
        found.append(at)
    return found


def dearer(site: Site) -> None:
    """Scale the price of the paid model that answers most and is not the baseline."""
    newest = site.http.get("/v1/recent", params={"limit": 100}).json()["data"]
    busy = Counter(row["model"] for row in newest if row["cost"] and row["model"] != "gpt-4o")
    body = {"model": busy.most_common(1)[0][0], "multiplier": 8}
    site.http.post("/v1/simulate-price", json=body).raise_for_status()


def show_the_moment(browser: Browser, site: Site) -> None:
    """Press the two buttons of the demo, again where the traffic found its way back, until it has moved.

    What the day made dearer gets its own price back first.
    """
    for model in site.http.get("/v1/overview").json()["active_price_overrides"]:
        site.http.post("/v1/simulate-price", json={"model": model, "multiplier": 1}).raise_for_status()
    context = browser.new_context(base_url=site.url)
    context.set_default_timeout(PATIENCE_S * 1000)
    sign_in(context, site)
    page = context.new_page()
    open_page(page, DEMO)
    moved = page.locator(".chart", has_text="math → ")
    for _ in range(MOST_ROUNDS):
        page.get_by_role("button", name="Find a favourite").click()
        page.get_by_text(re.compile(r"^([1-9]\d*) of \1 prompts$")).wait_for()
        page.get_by_role("button", name="Make it 8").click()
        page.get_by_text("150 of 150 prompts").wait_for()
        with suppress(TimeoutError):
            moved.wait_for(timeout=SETTLES_S * 1000)
            break
    else:
        raise RuntimeError(f"in {MOST_ROUNDS} rounds no price rise moved the sums to another model")
    context.close()


def take(browser: Browser, site: Site, theme: str, width: str, paths: list[str]) -> None:
    """These pages in one theme and width; motion is off, so that a picture does not depend on its moment."""
    across, down = WIDTHS[width]
    context = browser.new_context(
        base_url=site.url,
        viewport={"width": across, "height": down},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
    )
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    sign_in(context, site)
    page = context.new_page()
    for path in paths:
        open_page(page, path)
        filled(page)
        name = "decision" if "/decision/" in path else path.strip("/").replace("/", "-") or "landing"
        page.screenshot(path=TARGET / f"{name}-{theme}-{width}.jpg", type="jpeg", quality=QUALITY)
    context.close()


if __name__ == "__main__":
    main()
