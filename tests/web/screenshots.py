"""`make screenshots`: every page in both themes and both widths, into docs/screens, after some real traffic.

The traffic is seeded; half-way the price of the busiest paid model goes up eightfold, so that there is a shift to show.
"""

from __future__ import annotations

import itertools
import tempfile
from collections import Counter
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

from arbiter_app.bench.workload import workload
from tests.browser import FLAGS, ROOT, chromium
from tests.web.conftest import PATHS, Site, open_page, sign_in, start_site, stop_site

TARGET = ROOT / "docs" / "screens"
THEMES = ("light", "dark")
WIDTHS = {"desk": (1440, 900), "phone": (390, 844)}
REQUESTS = 300
QUALITY = 82


def main() -> None:
    """Take them all."""
    TARGET.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        site = start_site(Path(directory))
        try:
            fill(site)
            with playwright.chromium.launch(executable_path=chromium(), args=FLAGS) as browser:
                for theme, width in itertools.product(THEMES, WIDTHS):
                    take(browser, site, theme, width)
        finally:
            stop_site(site)


def fill(site: Site) -> None:
    """Route a workload, with a price shift in the middle."""
    asks = workload(REQUESTS, seed=11, stream_share=0.0)
    for ask in asks[: REQUESTS // 2]:
        site.http.post("/v1/chat/completions", json=ask.body).raise_for_status()
    newest = site.http.get("/v1/recent", params={"limit": 100}).json()["data"]
    busiest = Counter(row["model"] for row in newest if row["cost"]).most_common(1)[0][0]
    site.http.post("/v1/simulate-price", json={"model": busiest, "multiplier": 8}).raise_for_status()
    for ask in asks[REQUESTS // 2 :]:
        site.http.post("/v1/chat/completions", json=ask.body).raise_for_status()


def take(browser: Browser, site: Site, theme: str, width: str) -> None:
    """Every page in one theme and width; motion is off, so that a picture does not depend on its moment."""
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
    newest = site.http.get("/v1/recent", params={"limit": 1}).json()["data"][0]["id"]
    for path in (*PATHS, f"/app/decision/{newest}"):
        open_page(page, path)
        page.wait_for_load_state("networkidle")
        name = "decision" if newest in path else path.strip("/").replace("/", "-") or "landing"
        page.screenshot(path=TARGET / f"{name}-{theme}-{width}.jpg", type="jpeg", quality=QUALITY)
    context.close()


if __name__ == "__main__":
    main()
