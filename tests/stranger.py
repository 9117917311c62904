"""A runtime that says, byte for byte, what a test wants: real HTTP, and the bodies it was sent are kept as they came."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.waiting import PATIENCE_S

Said = tuple[int, str, bytes]
STREAM = "text/event-stream"
NO_LIST: Said = 404, "application/json", b'{"error":{"message":"no list here"}}'


class HangsUp(Exception):
    """Raised by what a stranger says: the connection is closed without an answer."""


class Stranger:
    """`say` gives status, content type and body for a request's raw body; `heard` holds those of chat requests, `heads` their paths
    and headers.

    `keys` are the Authorization headers of all requests, `headers` go with every answer. `listing` gives the same as `say` for
    whoever asks for its models, which happened `listings` times until now.
    """

    @property
    def last(self) -> bytes:
        """The newest chat request that is not the judge's, who asks after an answer and whenever it likes."""
        return next(body for body in reversed(self.heard) if b"You are Arbiter's judge" not in body)

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.heads: list[tuple[str, dict[str, str]]] = []
        self.keys: set[str | None] = set()
        self.headers: dict[str, str] = {}
        self.say: Callable[[bytes], Said] = lambda body: plain()
        self.listing: Callable[[], Said] = lambda: NO_LIST
        self.listings = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer.keys.add(self.headers["authorization"])
                if self.path.partition("?")[0].endswith("/models"):
                    outer.listings += 1
                    self._send(*outer.listing())
                else:
                    self._send(*NO_LIST)

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                outer.keys.add(self.headers["authorization"])
                outer.heard.append(body)
                outer.heads.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
                try:
                    self._send(*outer.say(body))
                except HangsUp:
                    self.close_connection = True

            def _send(self, status: int, kind: str, data: bytes) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("content-length", str(len(data)))
                for name, value in outer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, format: str, *args: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    @property
    def settings(self) -> dict[str, str]:
        """What an Arbiter over it is told."""
        return {"BTL_BASE_URL": self.url, "GATEWAY_API_KEY": "key-of-the-stranger", "ARBITER_JUDGE_CHECK": "0"}

    def die(self) -> None:
        """Answer nobody any more: whoever is connected is cut off, others are refused."""

        def hang_up(body: bytes) -> Said:
            raise HangsUp

        self.say = hang_up
        self.close()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(PATIENCE_S)


@contextmanager
def stranger() -> Iterator[Stranger]:
    """A runtime for a while."""
    one = Stranger()
    try:
        yield one
    finally:
        one.close()


def plain(message: dict[str, Any] | None = None, finish: str = "stop", **more: Any) -> Said:
    """A whole answer."""
    told = {"role": "assistant", "content": "Paris."} if message is None else message
    choice = {"index": 0, "message": told, "finish_reason": finish}
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
    head = {"id": "c1", "object": "chat.completion", "created": 5, "model": "m"}
    return 200, "application/json", json.dumps({**head, "choices": [choice], "usage": usage, **more}).encode()


def chunk(delta: Any, finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a stream."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m", "choices": [choice], **more}


def stream(*events: dict[str, Any] | bytes, done: bool = True) -> Said:
    """A streamed answer of chunks, or of raw bytes of events."""
    raw = [one if isinstance(one, bytes) else b"data: " + json.dumps(one).encode() for one in events]
    return 200, STREAM, b"".join(one + b"\n\n" for one in [*raw, *([b"data: [DONE]"] if done else [])])
