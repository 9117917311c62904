"""Arbiter's books against a runtime's own invoice: `python -m tests.api.books --calls 10000 --seed 7`.

A scripted runtime serves calls with cached reads, cache writes of both kinds, reasoning, streams that their callers leave, and
failures that are tried again elsewhere. It bills by its own arithmetic, and either states each charge or only the tokens, in the
shapes of several providers. What it billed is held against what Arbiter put on record.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import random
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.conftest import Running, running
from tests.waiting import PATIENCE_S, until

PICO = 10**12
PRICES = {
    "gpt-4.1-mini": ("0.4", "0.1", "0.4", "0.4", "1.6"),
    "gpt-4o": ("2.5", "1.25", "2.5", "2.5", "10"),
    "claude-sonnet-4-6": ("3", "0.3", "3.75", "6", "15"),
}
"""USD per million tokens: fresh, cached, written for 5 minutes, written for an hour, and of the answer."""
FAILS, LEAVES, TELLS_EARLY = 0.03, 0.015, 0.5
"""Shares: of calls that fail, of streams that their callers leave, and of those that have told their usage by then."""
ASK = "What is 17 * 23?"
ANSWER = "17 * 23 = 391"
SENT_CHARS = 8_000


@dataclass(slots=True)
class Line:
    """One line of the invoice: what a call was billed, in pico-dollars, and whether its caller left."""

    pico: int
    left: bool


@dataclass(slots=True)
class Invoice:
    """Draws what each call is like, bills it, and knows every line by the id of its answer. `states`: charges are told."""

    rng: random.Random
    states: bool
    lines: dict[str, Line] = field(default_factory=dict)
    failed: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    left: dict[str, threading.Event] = field(default_factory=dict)

    def drawn(self, model: str) -> tuple[str, tuple[int, int, int, int, int], int]:
        """A new call: the id of its answer, its tokens in the order of PRICES, and those of reasoning among the last."""
        with self.lock:
            cached = self.rng.choice((0, 0, 1_024, 1_536)) if "gpt" in model else self.rng.choice((0, 1_200, 1_500))
            minutes, hour = (0, 0) if "gpt" in model else (self.rng.choice((0, 0, 300)), self.rng.choice((0, 0, 200)))
            told = self.rng.randint(8, 200)
            tokens = (self.rng.randint(20, 400), cached, minutes, hour, told)
            return f"call-{len(self.lines)}-{self.rng.getrandbits(40):x}", tokens, self.rng.randint(0, told - 7)

    def bill(self, name: str, model: str, tokens: tuple[int, ...], *, left: bool = False) -> str:
        """Put a call on the invoice; gives the charge in USD."""
        usd = sum((Decimal(price) * n for price, n in zip(PRICES[model], tokens, strict=True)), Decimal(0)) / 10**6
        with self.lock:
            self.lines[name] = Line(int(usd * PICO), left)
        return f"{usd:.12f}"

    def chance(self, share: float) -> bool:
        """Whether something that happens so often happens now."""
        with self.lock:
            return self.rng.random() < share


def usage_of(model: str, tokens: tuple[int, int, int, int, int], thought: int, shape: int) -> dict[str, Any]:
    """The tokens of a call in the words of a provider."""
    fresh, cached, minutes, hour, told = tokens
    split = {"ephemeral_5m_input_tokens": minutes, "ephemeral_1h_input_tokens": hour}
    if "claude" in model and shape == 0:
        own = {"input_tokens": fresh, "output_tokens": told, "cache_read_input_tokens": cached}
        return {**own, "cache_creation_input_tokens": minutes + hour, "cache_creation": split}
    details: dict[str, Any] = {"cached_tokens": cached}
    if "claude" in model:
        details |= {"cache_write_tokens": minutes + hour, "cache_creation": split}
    return {
        "prompt_tokens": sum(tokens[:4]),
        "completion_tokens": told,
        "total_tokens": sum(tokens),
        "prompt_tokens_details": details,
        "completion_tokens_details": {"reasoning_tokens": thought},
    }


@contextlib.contextmanager
def scripted(invoice: Invoice) -> Iterator[str]:
    """The runtime; gives its base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            self._whole(200, {"data": [{"id": model} for model in PRICES]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
            model = asked["model"]
            if invoice.chance(FAILS):
                invoice.failed += 1
                self._whole(500, {"error": {"message": "this one is ill"}})
                return
            name, tokens, thought = invoice.drawn(model)
            usage = usage_of(model, tokens, thought, len(name) % 2)
            if not asked.get("stream"):
                charge = invoice.bill(name, model, tokens)
                choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": ANSWER}}
                headers = {"x-btl-customer-charge": charge} if invoice.states else {}
                head = {"id": name, "object": "chat.completion", "created": 5, "model": model}
                self._whole(200, {**head, "choices": [choice], "usage": usage}, headers)
                return
            head = {"id": name, "object": "chat.completion.chunk", "created": 5, "model": model}
            self._begin()
            if "leaves" in asked["metadata"]["conversation_id"]:
                self._left(head, model, tokens, thought)
                return
            charge = invoice.bill(name, model, tokens)
            stated = {**usage, "cost": charge} if invoice.states else usage
            self._chunk(head, {"role": "assistant", "reasoning_content": "Multiply."})
            self._chunk(head, {"content": ANSWER}, "stop")
            self._event({**head, "choices": [], "usage": stated})
            self._piece(b"data: [DONE]\n\n")
            self._piece(b"")

        def _left(self, head: dict[str, Any], model: str, tokens: tuple[int, int, int, int, int], thought: int) -> None:
            """A stream whose caller goes after its first words; they are billed with the prompt."""
            so_far = (*tokens[:4], tokens[4] // 2 + 1)
            gone = invoice.left[head["id"]] = threading.Event()
            early = invoice.chance(TELLS_EARLY)
            charge = invoice.bill(head["id"], model, so_far, left=True)
            usage = usage_of(model, so_far, min(thought, so_far[4]), 1)
            told = {"usage": {**usage, "cost": charge} if invoice.states else usage} if early else {}
            self._chunk(head | told, {"role": "assistant", "content": "17 * 23"})
            gone.wait(PATIENCE_S)
            self.close_connection = True

        def _whole(self, status: int, value: Any, headers: dict[str, str] | None = None) -> None:
            data = json.dumps(value).encode()
            self.send_response(status)
            for key, text in (
                {"content-type": "application/json", "content-length": str(len(data))} | (headers or {})
            ).items():
                self.send_header(key, text)
            self.end_headers()
            self.wfile.write(data)

        def _begin(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("transfer-encoding", "chunked")
            self.end_headers()

        def _chunk(self, head: dict[str, Any], delta: dict[str, Any], finish: str | None = None) -> None:
            self._event({**head, "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})

        def _event(self, value: Any) -> None:
            self._piece(b"data: " + json.dumps(value).encode() + b"\n\n")

        def _piece(self, data: bytes) -> None:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(data), data))
            self.wfile.flush()

        def log_message(self, format: str, *args: Any) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(PATIENCE_S)


@dataclass(frozen=True, slots=True)
class Books:
    """Both sides, in pico-dollars, by whether the caller stayed; and how many calls of each kind there were."""

    billed: int
    recorded: int
    billed_left: int
    recorded_left: int
    calls: int
    left: int
    retried: int
    states: dict[str, int]

    @property
    def off(self) -> float:
        """How far the books are from the invoice, as a share of it."""
        billed = self.billed + self.billed_left
        return abs(self.recorded + self.recorded_left - billed) / billed


def run(directory: Path, calls: int, *, states: bool, seed: int = 7) -> Books:
    """So many calls, and then both sides. Raises AssertionError where a call got no answer."""
    invoice, rng = Invoice(random.Random(seed), states), random.Random(seed + 1)
    with scripted(invoice) as url:
        settings = {
            "BTL_BASE_URL": url,
            "GATEWAY_API_KEY": "key-of-the-books",
            "ARBITER_JOIN": "*",
            "ARBITER_CACHE": "false",
            "ARBITER_JUDGE_SAMPLE": "0",
            "ARBITER_JUDGE_CHECK": "0",
            "ARBITER_QUARANTINE_S": "0.001",
            "ARBITER_QUARANTINE_MAX_S": "0.001",
        }
        with running(directory, **settings) as gateway:
            for number in range(calls):
                _call(gateway, invoice, number, rng)
            return _compared(gateway, invoice, calls)


def _call(gateway: Running, invoice: Invoice, number: int, rng: random.Random) -> None:
    stream, leaves = rng.random() < 0.5, rng.random() < LEAVES
    body = {
        "messages": [{"role": "system", "content": "x" * SENT_CHARS}, {"role": "user", "content": ASK}],
        "metadata": {"conversation_id": f"{number}-{'leaves' if leaves else 'stays'}"},
        "stream": stream or leaves,
    }
    if not leaves:
        told = gateway.http.post("/v1/chat/completions", json=body)
        assert told.status_code == 200 and ANSWER.encode() in told.content, told.text
        return
    with gateway.http.stream("POST", "/v1/chat/completions", json=body) as told:
        decision = told.headers["x-arbiter-decision"]
        name = next(json.loads(line[6:])["id"] for line in told.iter_lines() if line.startswith("data: {"))
    until(lambda: gateway.http.get(f"/v1/decisions/{decision}").status_code == 200)
    invoice.left[name].set()


def _compared(gateway: Running, invoice: Invoice, calls: int) -> Books:
    gateway.settle()
    rows: list[dict[str, Any]] = []
    before = ""
    while True:
        page = gateway.http.get(f"/v1/recent?limit=500{before}").json()
        rows += page["data"]
        if page["next"] is None:
            break
        before = f"&before={page['next']}"
    assert len(rows) == calls
    exact = {row["id"]: _pico(row["cost"]) + _pico(row["learning_cost"]) for row in rows}
    left = [row for row in rows if row["status"] == "aborted"]
    stayed = [row for row in rows if row["status"] == "ok"]
    states: dict[str, int] = {}
    for row in stayed:
        states[row["cost_state"]] = states.get(row["cost_state"], 0) + 1
    return Books(
        billed=sum(line.pico for line in invoice.lines.values() if not line.left),
        recorded=sum(exact[row["id"]] for row in stayed),
        billed_left=sum(line.pico for line in invoice.lines.values() if line.left),
        recorded_left=sum(exact[row["id"]] for row in left),
        calls=calls,
        left=len(left),
        retried=sum(bool(row["failover_from"]) for row in rows),
        states=states,
    )


def _pico(usd: float | None) -> int:
    return round(Decimal(repr(usd or 0.0)) * PICO)


def main() -> int:
    """Run it as a command; 0 when the books agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    good = True
    for states in (True, False):
        with tempfile.TemporaryDirectory() as one:
            books = run(Path(one), given.calls, states=states, seed=given.seed)
        good = good and books.billed == books.recorded and books.off <= 0.005
        sys.stdout.write(f"charges {'stated' if states else 'not stated'}: {books}, off by {books.off:.4%}\n")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
