"""With an embeddings endpoint, factual and open prompts of the same meaning are served from the cache; others never."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.conftest import Running, running

TOPICS = ("france", "tea", "rome")


class Embedder(BaseHTTPRequestHandler):
    """An embeddings endpoint for which a text means the topics it names."""

    broken = False

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text = asked["input"].lower()
        vector = [1.0 if topic in text else 0.0 for topic in TOPICS] + [0.1]
        body = b"no" if self.broken else json.dumps({"data": [{"embedding": vector}]}).encode()
        self.send_response(500 if self.broken else 200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def meaningful(tmp_path: Path) -> Iterator[Running]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Embedder)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        with running(tmp_path, EMBEDDINGS_API_URL=url, ARBITER_CACHE_MIN_QUALITY="0.3") as gateway:
            yield gateway
    finally:
        Embedder.broken = False
        server.shutdown()
        server.server_close()


def cached(gateway: Running, ask: str) -> tuple[str, float | None]:
    block = gateway.chat(ask, arbiter_models=["gpt-4o"]).json()["arbiter"]
    gateway.settle()
    return block["cache"], block["cache_similarity"]


def test_the_same_meaning_hits_and_another_does_not(meaningful: Running) -> None:
    assert cached(meaningful, "What is the capital of France?") == ("miss", None)
    hit, similarity = cached(meaningful, "What is the largest city of France?")
    assert hit == "hit"
    assert similarity is not None and 0.8 <= similarity <= 1.0
    assert cached(meaningful, "What is the history of tea?") == ("miss", None)
    assert meaningful.http.get("/v1/overview").json()["cache_mode"] == "exact and by meaning"


def test_math_is_never_served_by_meaning(meaningful: Running) -> None:
    assert cached(meaningful, "Calculate 3 * 4")[0] == "miss"
    assert cached(meaningful, "Calculate 3 * 5")[0] == "miss"


def test_another_caller_is_another_partition(meaningful: Running) -> None:
    cached(meaningful, "What is the capital of France?")
    with meaningful.client(meaningful.caller()) as caller:
        body = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
        assert caller.post("/v1/chat/completions", json=body).json()["arbiter"]["cache"] == "miss"


def test_a_broken_endpoint_costs_no_answer(meaningful: Running) -> None:
    Embedder.broken = True
    assert cached(meaningful, "What is the capital of France?") == ("miss", None)
