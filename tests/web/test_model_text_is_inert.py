"""Whatever a runtime answers and a caller sends: on the pages it is text, and nothing of it runs."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from tests.web.conftest import OPERATOR, Site, sign_in, start_site, stop_site

SCRIPT = "<script>window.ran = 1</script>"
ATTACK = (
    f"{SCRIPT}<img src='/ran.png' onerror='window.ran = 1'><svg onload='window.ran = 1'></svg>"
    "<iframe srcdoc='<script>parent.ran = 1</script>'></iframe>[link](javascript:window.ran=1)"
    "<style>body{display:none}</style>\u202e{{constructor.constructor('window.ran = 1')()}}" + "\u0301" * 80
)
WIDE = "W" * 3_000
ALIEN = "main iframe, main svg[onload], main img[onerror], main script, main style, main a[href^=javascript]"


class Hostile(BaseHTTPRequestHandler):
    """A runtime whose every answer attacks the page that shows it."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._say("application/json", json.dumps({"data": [{"id": "gpt-4o"}, {"id": ATTACK[:60]}]}).encode())

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text, usage = f"{ATTACK} {WIDE}", {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        base = {"id": SCRIPT, "model": SCRIPT, "usage": usage}
        if body.get("stream"):
            one = {**base, "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None}]}
            end = {**base, "choices": [{"index": 0, "delta": {}, "finish_reason": SCRIPT}]}
            told = "".join(f"data: {json.dumps(part)}\n\n" for part in (one, end)) + "data: [DONE]\n\n"
            self._say("text/event-stream", told.encode())
        else:
            message = {"role": "assistant", "content": text}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            self._say("application/json", json.dumps({**base, "choices": choices}).encode())

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: the test looks at the pages."""

    def _say(self, kind: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.send_header("x-request-id", SCRIPT)
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Arbiter over that runtime."""
    runtime = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    threading.Thread(target=runtime.serve_forever, daemon=True).start()
    site = start_site(
        tmp_path_factory.mktemp("attacked"),
        GATEWAY_API_KEY="any",
        BTL_BASE_URL=f"http://127.0.0.1:{runtime.server_port}/v1",
    )
    yield site
    stop_site(site)
    runtime.shutdown()
    runtime.server_close()


@pytest.fixture
def watched(context: BrowserContext, attacked: Site) -> Page:
    """An operator's tab on a phone's width, where whatever is too wide shows."""
    sign_in(context, attacked)
    page = context.new_page()
    page.set_viewport_size({"width": 390, "height": 900})
    return page


def nothing_ran(page: Page) -> None:
    """No attack reached the page as markup, and none broke its layout."""
    assert page.evaluate("() => window.ran") is None
    assert page.locator(ALIEN).count() == 0
    assert page.evaluate("() => document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    expect(page.locator("main")).to_be_visible()


def test_a_script_in_an_answer_is_shown_in_the_playground_and_does_not_run(watched: Page, attacked: Site) -> None:
    watched.goto(f"{attacked.url}/app/playground")
    watched.get_by_label("Prompt", exact=True).fill(f"Write a poem about {SCRIPT}")
    watched.get_by_role("button", name="Route it").click()
    expect(watched.locator("#answer")).to_contain_text(SCRIPT)
    expect(watched.locator("#answer")).to_contain_text(WIDE)
    expect(watched.locator(".stage b")).to_have_count(6)
    nothing_ran(watched)


def test_nothing_of_it_runs_in_activity_and_on_the_page_of_its_decision(watched: Page, attacked: Site) -> None:
    caller = {"user": SCRIPT, "metadata": {"note": ATTACK[:200]}}
    headers = {"x-request-id": SCRIPT[:64], "authorization": f"Bearer {OPERATOR}"}
    body = {"messages": [{"role": "user", "content": f"Write a poem about {ATTACK}"}], **caller}
    answer = attacked.http.post("/v1/chat/completions", json=body, headers=headers)
    decision = answer.raise_for_status().json()["arbiter"]["decision_id"]
    watched.goto(f"{attacked.url}/app/activity")
    watched.locator("tbody tr").first.wait_for()
    nothing_ran(watched)
    watched.goto(f"{attacked.url}/app/decision/{decision}")
    expect(watched.locator(".stage b")).to_have_count(6)
    watched.get_by_text("Whole record as JSON").click()
    expect(watched.locator(".raw pre")).to_contain_text(decision)
    nothing_ran(watched)


def test_nothing_in_an_address_runs(watched: Page, attacked: Site) -> None:
    for path in (f"/app/activity?model={ATTACK}", f"/app/decision/{SCRIPT}", f"/no/{SCRIPT}"):
        watched.goto(attacked.url + path)
        expect(watched.locator("main")).to_be_visible()
        nothing_ran(watched)
