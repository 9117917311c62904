"""A caller of Arbiter: the standard library's HTTP client, one kept connection a thread.

Not httpx, which stays with the runtime's client, and not the `openai` package: a load test must not depend on how
either pools, retries or rounds. Money is parsed as Decimal, so that sums are exact.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import urlsplit

from arbiter_app.pipeline.types import Json

TIMEOUT_S = 180.0


class Unreachable(ConnectionError):
    """Nothing answers there."""


@dataclass(frozen=True, slots=True)
class BenchAnswer:
    """What came back: `arbiter` is the object that Arbiter adds (empty after an error), times in milliseconds."""

    status: int
    body: Json
    arbiter: Json
    decision_id: str
    latency_ms: float
    error: str = ""


class Client:
    """One Arbiter at `url`, as the holder of `key`, or anonymously without one. Safe to share between threads."""

    def __init__(self, url: str, key: str) -> None:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        secure = parts.scheme == "https"
        self._make = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or (443 if secure else 80)
        self._headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})
        self._own = threading.local()
        self._open: set[http.client.HTTPConnection] = set()

    def chat(self, body: Json) -> BenchAnswer:
        """One chat request, plain or streamed; errors come back as an answer, not as an exception."""
        started = time.perf_counter()
        try:
            response = self._send("POST", "/v1/chat/completions", json.dumps(body).encode())
            raw = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            return BenchAnswer(0, {}, {}, "", _since(started), f"{type(error).__name__}: {error}")
        streamed = response.headers.get_content_type() == "text/event-stream"
        told = _last_event(raw) if streamed else _parsed(raw)
        return BenchAnswer(
            response.status,
            told,
            told.get("arbiter") or {},
            response.headers.get("x-arbiter-decision", ""),
            _since(started),
            _error(told),
        )

    def get(self, path: str) -> Json:
        """A read route's JSON. Raises Unreachable, or ValueError with what Arbiter said."""
        return self._ask("GET", path)

    def post(self, path: str, body: Json | None = None) -> Json:
        """The same for a POST."""
        return self._ask("POST", path, json.dumps(body or {}).encode())

    def close(self) -> None:
        """Let go of every connection, once no thread uses one."""
        while self._open:
            self._open.pop().close()

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Json:
        try:
            response = self._send(method, path, body)
            raw = response.read()
        except (OSError, http.client.HTTPException) as error:
            self._drop()
            raise Unreachable(f"no Arbiter answers on {self._host}:{self._port} ({error})") from error
        told = _parsed(raw)
        if response.status != 200:
            raise ValueError(f"{method} {path}: {response.status}, {_error(told) or raw[:200]!r}")
        return told

    def _send(self, method: str, path: str, body: bytes | None) -> http.client.HTTPResponse:
        """Send over the kept connection; once more over a new one when the server had closed it meanwhile."""
        kept = getattr(self._own, "connection", None)
        if kept is not None:
            try:
                kept.request(method, path, body, self._headers)
                answer: http.client.HTTPResponse = kept.getresponse()
                return answer
            except (http.client.RemoteDisconnected, ConnectionError):
                self._drop()
        connection = self._own.connection = self._make(self._host, self._port, timeout=TIMEOUT_S)
        self._open.add(connection)
        connection.request(method, path, body, self._headers)
        return connection.getresponse()

    def _drop(self) -> None:
        connection = getattr(self._own, "connection", None)
        if connection is not None:
            connection.close()
            self._open.discard(connection)
            self._own.connection = None


def _since(started: float) -> float:
    return (time.perf_counter() - started) * 1000


def _parsed(raw: bytes) -> Json:
    try:
        told = json.loads(raw, parse_float=Decimal)
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {"data": told}


def _last_event(raw: bytes) -> Json:
    """The last object before `[DONE]`: it carries `arbiter`, or the error that ended the stream."""
    told = list(_events(raw))
    return told[-1] if told else {}


def _events(raw: bytes) -> Iterator[Json]:
    for line in raw.split(b"\n"):
        if line.startswith(b"data:") and line[5:].strip() != b"[DONE]":
            yield _parsed(line[5:])


def _error(told: Json) -> str:
    error = told.get("error")
    return str(error.get("message", error)) if isinstance(error, dict) else str(error or "")
