"""Open WebUI, unchanged, in front of Arbiter and in a real browser, over its sandbox: an answer, a title, follow-up questions and tags.

    python -m venv DIRECTORY && DIRECTORY/bin/pip install open-webui
    python -m tests.compat.agents.open_webui DIRECTORY/bin/open-webui

It is served on a free port of this machine with a data directory that goes with it, nobody signs in, and it asks no other host. Exits
with 1 and says what was not as it should be. Last tried: open-webui 0.12.4, installed without `sentence-transformers`, `accelerate`,
`faster-whisper`, `rapidocr` and `opencv-python-headless`, which it only loads to search in documents and to hear: 1.2 GB in half a minute.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import expect, sync_playwright

from tests.browser import FLAGS, chromium
from tests.conftest import OPERATOR, running
from tests.served import TLS, free_port
from tests.waiting import PATIENCE_S, until

START_S = 120.0
PAGE_MS = 60_000
ASK = "What is 17 * 23?"
ANSWER = "17 * 23 = 391"
ALONE = {
    "WEBUI_AUTH": "False",
    "OFFLINE_MODE": "True",
    "HF_HUB_OFFLINE": "1",
    "ENABLE_OLLAMA_API": "False",
    "BYPASS_EMBEDDING_AND_RETRIEVAL": "True",
    "RAG_EMBEDDING_ENGINE": "openai",
    "AUDIO_STT_ENGINE": "openai",
    "ANONYMIZED_TELEMETRY": "false",
    "DO_NOT_TRACK": "true",
}
SIDE_REQUESTS = 3
"""What it asks for beside the answer: a title, follow-up questions, tags."""


@contextlib.contextmanager
def open_webui(program: str, home: Path, base_url: str) -> Iterator[str]:
    """Its address."""
    port = free_port()
    own = {"HOME": str(home), "DATA_DIR": str(home), "WEBUI_SECRET_KEY": "secret"}
    asked = {"OPENAI_API_BASE_URL": base_url, "OPENAI_API_KEY": OPERATOR}
    with (home / "output.txt").open("wb") as output:
        words = [program, "serve", "--host", "127.0.0.1", "--port", str(port)]
        environ = {"PATH": os.environ["PATH"], **ALONE, **own, **asked}
        process = subprocess.Popen(words, cwd=home, env=environ, stdout=output, stderr=subprocess.STDOUT)
    try:
        until(lambda: _answers(f"http://127.0.0.1:{port}/health"), START_S)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(PATIENCE_S)


def _answers(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return httpx.get(url, timeout=PATIENCE_S, verify=TLS).status_code == 200
    return False


def ask(url: str) -> None:
    """Ask in its page, and wait until the answer stands there."""
    with sync_playwright() as playwright, playwright.chromium.launch(executable_path=chromium(), args=FLAGS) as browser:
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.goto(url)
        page.get_by_role("dialog").get_by_role("button", name="Let's Go").click(timeout=PAGE_MS)  # what is new
        page.locator("#chat-input").click(timeout=PAGE_MS)
        page.keyboard.type(ASK)
        page.keyboard.press("Enter")
        expect(page.get_by_text(ANSWER).last).to_be_visible(timeout=PAGE_MS)


def main() -> int:
    """Run it; 1 where something is not as it should be."""
    with tempfile.TemporaryDirectory() as directory:
        home, store = Path(directory) / "home", Path(directory) / "store"
        home.mkdir()
        store.mkdir()
        with running(store, ARBITER_JUDGE_SAMPLE="0") as gateway:

            def rows() -> list[dict[str, Any]]:
                found: list[dict[str, Any]] = gateway.http.get("/v1/recent?limit=100").json()["data"]
                return found

            with open_webui(sys.argv[1], home, f"{gateway.url}/v1") as url:
                ask(url)
                until(lambda: len(beside(rows())) >= SIDE_REQUESTS, START_S)
            asked = rows()
    good = all(row["status"] == "ok" for row in asked) and len(beside(asked)) == SIDE_REQUESTS
    sys.stdout.write(
        f"{len(asked)} requests, {len(beside(asked))} of them beside the answer\n{'good' if good else asked}\n"
    )
    return 0 if good else 1


def beside(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that were taken for side requests."""
    return [row for row in rows if (row["task"], row["difficulty"]) == ("open", "easy")]


if __name__ == "__main__":
    sys.exit(main())
