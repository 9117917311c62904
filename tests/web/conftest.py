"""The whole product in a process of its own with its built pages, and a real Chromium in front of it."""

from __future__ import annotations

import asyncio
import functools
import subprocess
from collections.abc import Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from playwright.sync_api import Error as PlaywrightError

from arbiter_app.web.build import ensure_pages
from tests.browser import FLAGS, chromium
from tests.served import TLS, Process, free_port, launch
from tests.waiting import PATIENCE_S, PATIENT

OPERATOR = "operator-of-the-pages"
PATHS = ("/", "/start", "/app", "/app/playground", "/app/activity", "/app/models", "/app/key", "/app/integration")
PATHS += ("/app/spend", "/app/team", "/app/notifications", "/app/hosts", "/demo", "/docs", "/docs/quick-start")
T = TypeVar("T")
HERE = Path(__file__).parent
FILLED = """() => {
  const drawn = [...document.querySelectorAll('.chart')].every(one => one.querySelector('.main-svg'));
  return drawn && !document.querySelector('.hold') && [...document.querySelectorAll('.fig .value')].every(one => one.textContent);
}"""
FOCUSED = """() => {
  const one = document.activeElement;
  return one.getAttribute('aria-label') || (one.labels && one.labels.length ? one.labels[0] : one).innerText.trim();
}"""
expect.set_options(timeout=PATIENCE_S * 1000)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Build the pages before the first test of them: that takes minutes on a busy machine, and is none of the test's time.

    Runs outside of what watches a test's time.
    """
    if item.path.parent == HERE:
        build_once()
    return (yield)


@functools.cache
def build_once() -> None:
    """Build the pages, if their sources have changed; where that fails, `serve` tries again and says so."""
    ensure_pages()


@dataclass(slots=True)
class Site:
    """A running Arbiter: its address, its process, and an operator's HTTP client."""

    url: str
    process: Process
    http: httpx.Client = field(repr=False)
    output: Path = field(repr=False)
    store: Path = field(repr=False)

    @property
    def lines(self) -> list[str]:
        """What it has printed and logged until now."""
        return self.output.read_text().splitlines()

    def chat(self, ask: str, key: str = OPERATOR, **more: Any) -> dict[str, Any]:
        """One routed request."""
        body = {"messages": [{"role": "user", "content": ask}], **more}
        answer = self.http.post("/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}"})
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def key(self, email: str = "ada@example.com") -> str:
        """A freshly minted caller's key."""
        minted: str = self.http.post("/v1/register", json={"email": email}).json()["api_key"]
        return minted


def in_own_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop of a thread of its own: playwright's loop occupies this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def start_site(directory: Path, *, command: bool = False, **environ: str) -> Site:
    """Start `serve` over a store in `directory`; as the command itself, or forked like most of the suite's."""
    port = str(free_port())
    own = {
        **PATIENT,
        "ARBITER_DB": str(directory / "arbiter.db"),
        "ARBITER_PORT": port,
        "ARBITER_API_KEYS": OPERATOR,
        "ARBITER_SANDBOX_LATENCY": "0.1",
        "ARBITER_SHADOW": "off",  # nothing goes on after an answer
    }
    one = launch(directory, (), port, {**own, **environ}, command=command)
    http = httpx.Client(base_url=one.url, headers={"authorization": f"Bearer {OPERATOR}"}, verify=TLS)
    return Site(one.url, one.process, http, one.output, directory / "arbiter.db")


def stop_site(site: Site) -> None:
    """End it gently, then for certain."""
    site.http.close()
    site.process.terminate()
    try:
        site.process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        site.process.kill()
        site.process.wait(PATIENCE_S)


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One Arbiter for all tests of the pages, with some traffic already routed."""
    one = start_site(tmp_path_factory.mktemp("site"), command=True)
    for at in range(40):
        one.chat(f"What is {at} * 7?")
    one.chat("Write a Python function that reverses a list.")
    yield one
    stop_site(one)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, for as long as pages are tested: playwright leaves a running event loop behind in this thread."""
    with sync_playwright() as playwright:
        one = playwright.chromium.launch(executable_path=chromium(), args=FLAGS)
        opened = one.new_context

        def patient(**how: Any) -> BrowserContext:
            context = opened(**how)
            context.set_default_timeout(PATIENCE_S * 1000)
            return context

        one.new_context = patient  # type: ignore[method-assign]
        yield one
        one.close()


@pytest.fixture
def context(browser: Browser, site: Site) -> Iterator[BrowserContext]:
    """A visitor who has been here before, not signed in."""
    one = browser.new_context(base_url=site.url, viewport={"width": 1440, "height": 900}, accept_downloads=True)
    one.add_init_script("localStorage.setItem('arbiter-seen', '1')")
    yield one
    for tab in one.pages:
        with suppress(PlaywrightError):  # closed in the middle of a navigation, a context may never be done with it
            tab.wait_for_load_state()
            tab.goto("about:blank")
    one.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab that fails its test on any script error."""
    tab = context.new_page()
    errors: list[str] = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    yield tab
    assert errors == []


def sign_in(context: BrowserContext, site: Site, key: str = OPERATOR) -> None:
    """Get the session cookie as the sign-in form does."""
    assert context.request.post(f"{site.url}/session", data={"api_key": key}).ok


def open_page(page: Page, path: str) -> None:
    """Open a page and wait until its socket has filled it."""
    page.goto(path)
    page.wait_for_function("() => window.sessionStorage.getItem('token') !== null")
    page.locator("text=sandbox: simulated models").first.wait_for()


def filled(page: Page) -> None:
    """Wait until the socket has filled the page and every chart on it is drawn."""
    page.wait_for_function(FILLED)


def tab_to(page: Page, name: str, *, most: int = 60) -> None:
    """Press Tab until the focus is on what is called `name`, and is seen to be there."""
    for _ in range(most):
        page.keyboard.press("Tab")
        if page.evaluate(FOCUSED) == name:
            assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") != "none"
            return
    raise AssertionError(f"no way to {name!r} by {most} presses of Tab")
