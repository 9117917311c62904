"""First visits in Chromium with an empty cache: `python -m tests.bench.pages [--rounds 7]`, medians and worst.

Usable means that the socket has filled the figures and the feed; drawn that every chart on the screen is. Bytes are
what came over the wire, compressed, by then. Shift is the layout's movement from the first paint to the end of 40
requests routed into the open page (0.1 is the usual limit of good).
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import FLAGS, chromium
from tests.web.conftest import Site, start_site, stop_site

PATHS = ("/", "/app")
WARM, FLOW = 60, 40
WATCH = """() => {
  const paint = window.paint = {shift: 0, usable: 0, drawn: 0, moved: []};
  const name = one => one.node ? `${one.node.className || one.node.nodeName} ${one.previousRect.top}>${one.currentRect.top}` : '';
  new PerformanceObserver(list => list.getEntries().filter(one => !one.hadRecentInput).forEach(one => {
    paint.shift += one.value;
    paint.moved.push(`${one.value.toFixed(4)} at ${Math.round(one.startTime)} ms: ${one.sources.map(name)}`);
  })).observe({type: 'layout-shift', buffered: true});
  const look = () => {
    const figures = [...document.querySelectorAll('.strip .value')];
    const filled = figures.length && figures.every(one => one.textContent) && document.querySelector('.feed tbody tr');
    const drawn = filled && [...document.querySelectorAll('.chart')].every(one => one.querySelector('.main-svg'));
    if (filled) paint.usable ||= performance.now();
    if (drawn) paint.drawn = performance.now();
    else requestAnimationFrame(look);
  };
  requestAnimationFrame(look);
}"""


@dataclass(frozen=True, slots=True)
class Visit:
    """One first visit: milliseconds to the first paint, to usable, to drawn; kilobytes; layout shift."""

    painted: float
    usable: float
    drawn: float
    kilobytes: float
    shift: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.pages", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--why", action="store_true", help="name what moved")
    given = parser.parse_args()
    with opened() as (site, browser):
        for path in PATHS:
            visits = [visit(browser, site, path, why=given.why) for _ in range(given.rounds)]
            print(f"{path:<6}" + "  ".join(_told(visits, name) for name in Visit.__slots__), flush=True)


@contextmanager
def opened() -> Iterator[tuple[Site, Browser]]:
    """An Arbiter that has routed something, and a browser."""
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        site = start_site(Path(directory))
        try:
            for at in range(WARM):
                site.chat(f"What is {at} * 7?")
            with playwright.chromium.launch(executable_path=chromium(), args=FLAGS) as browser:
                yield site, browser
        finally:
            stop_site(site)


def visit(browser: Browser, site: Site, path: str, *, why: bool = False) -> Visit:
    """One visit with nothing cached."""
    context = browser.new_context(base_url=site.url, viewport={"width": 1440, "height": 900})
    context.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    context.add_init_script(f"({WATCH})()")
    page = context.new_page()
    received = _counted(page)
    page.goto(path)
    page.wait_for_function("() => window.paint.drawn > 0", timeout=60_000)
    kilobytes = sum(received) / 1000
    for at in range(FLOW):
        site.chat(f"What is {at} + {time.time_ns() % 100_000}?")
    paint = page.evaluate("() => window.paint")
    painted = page.evaluate("() => performance.getEntriesByName('first-contentful-paint')[0].startTime")
    context.close()
    if why:
        print("\n".join(paint["moved"]))
    return Visit(painted, paint["usable"], paint["drawn"], kilobytes, paint["shift"])


def _counted(page: Page) -> list[float]:
    sizes: list[float] = []
    session = page.context.new_cdp_session(page)
    session.send("Network.enable")
    session.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    return sizes


def _told(visits: list[Visit], name: str) -> str:
    values = [getattr(one, name) for one in visits]
    unit, digits = {"kilobytes": ("KB", 0), "shift": ("", 3)}.get(name, ("ms", 0))
    return f"{name} {statistics.median(values):.{digits}f} {unit} (worst {max(values):.{digits}f})"


if __name__ == "__main__":
    main()
