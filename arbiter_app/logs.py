"""Logs: one JSON object a line on stderr, with the request id; no prompt text and no secret unless asked for.

A line is made where it is logged and written by a thread of its own, so that a slow terminal or a full pipe never
holds up the event loop. When nobody reads at all, lines are dropped and counted rather than kept.
"""

from __future__ import annotations

import logging
import queue
import re
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any, TextIO

import orjson

from arbiter_app.notices import bounds
from arbiter_app.runtime.claims import secrets as hidden
from arbiter_app.settings import Settings

request_id: ContextVar[str] = ContextVar("request_id", default="")

MAX_WAITING_LINES = 10_000
FLUSH_S = 2.0
BURST_S = 10.0
REMEMBERED, REMEMBERED_S = 1_000, 60.0
MAX_LINE_CHARS = 16_000
"""Of a message or a traceback; the middle of a longer one is left out."""
REDACTED = "[redacted]"

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_CONTENT = frozenset({"prompt", "answer", "messages", "body", "content"})
_SECRET_NAME = re.compile(r"(?i)(?:^|_|-)(?:api_?key|key|secret|token|password|authorization|cookie)$")
_RANDOM = re.compile(
    r"(?<![\w/.-])(?=[A-Za-z_-]*\d[A-Za-z_-]*\d)(?=[\d_-]*[A-Za-z])[\w-]{40,}"  # long, of letters and digits
)
_LEAST_NAMED = 6
"""A shorter secret is a placeholder: hiding it would hide parts of words."""


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object. Fields given as `extra=` are kept; content fields only when allowed.

    `secrets` are strings that never appear, whatever they look like.
    """

    def __init__(self, *, content: bool = False, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._content = content
        named = [re.escape(secret) for secret in secrets if len(secret) >= _LEAST_NAMED]
        self._secrets = re.compile(rf"(?<![\w-])(?:{'|'.join(named)})(?![\w-])") if named else None

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON, without a line end."""
        line: dict[str, Any] = {
            "ts": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._clean(record.getMessage()),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        for name, value in record.__dict__.items():
            if name not in _PLAIN and not name.startswith("_") and (self._content or name not in _CONTENT):
                line[name] = self._clean(value, name)
        if record.exc_info:
            line["exception"] = self._clean(self.formatException(record.exc_info))
        return orjson.dumps(
            line, default=lambda value: self._clean(str(value)), option=orjson.OPT_NON_STR_KEYS
        ).decode()

    def _clean(self, value: Any, name: str = "") -> Any:
        """The value without what looks like a secret, or is under a name that says so."""
        if isinstance(value, str):
            if _SECRET_NAME.search(name):
                return REDACTED
            value = _shortened(value)
            known = self._secrets.sub(REDACTED, value) if self._secrets else value
            return _RANDOM.sub(REDACTED, hidden.without_foreign(hidden.hide(known), REDACTED))
        if isinstance(value, Mapping):
            kept = {key: one for key, one in value.items() if self._content or key not in _CONTENT}
            return {key: self._clean(one, str(key)) for key, one in kept.items()}
        if isinstance(value, list | tuple):
            return [self._clean(one) for one in value]
        return value


def _shortened(text: str) -> str:
    if len(text) <= MAX_LINE_CHARS:
        return text
    half = MAX_LINE_CHARS // 2
    return f"{text[:half]} ... {text[-half:]}"


class Sieve(logging.Filter):
    """Bounds how much is logged, whatever strangers send: a rate for all lines, and so many warnings of one request.

    What is dropped is counted as a bound that struck. `now` is a clock in seconds.
    """

    def __init__(self, per_s: float, per_request: int, now: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._per_s, self._per_request, self._now = per_s, per_request, now
        self._tokens, self._at = per_s * BURST_S, now()
        self._written: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the line is written."""
        if record.name == bounds.logger:
            return True  # once a minute at most, and what says that something was dropped
        now = self._now()
        if record.levelno >= logging.WARNING and self._is_told(request_id.get(), now):
            bounds.count("log_request_lines", "further warnings of one request were dropped")
            return False
        self._tokens = min(self._per_s * BURST_S, self._tokens + (now - self._at) * self._per_s)
        self._at = now
        if self._tokens < 1:
            bounds.count("log_lines", f"log lines over {self._per_s:g} a second were dropped")
            return False
        self._tokens -= 1
        return True

    def _is_told(self, request: str, now: float) -> bool:
        """Whether this request has had its lines; a request is remembered for a minute."""
        if not request:
            return False
        began, lines = self._written.get(request, (now, 0))
        if now - began > REMEMBERED_S:
            began, lines = now, 0
        self._written[request] = (began, lines + 1)
        while len(self._written) > REMEMBERED:
            self._written.popitem(last=False)
        return lines >= self._per_request


class BackgroundWriter(logging.Handler):
    """Hands finished lines to a daemon thread that writes them to `stream`."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: queue.Queue[str | threading.Event] = queue.Queue(MAX_WAITING_LINES)
        self._dropped = 0
        threading.Thread(target=self._write, name="logs", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Format now, for the request id is known here; write later."""
        try:
            self._waiting.put_nowait(self.format(record))
        except queue.Full:
            self._dropped += 1
        except Exception:  # noqa: BLE001 - a line that cannot be made must not fail the request it tells of
            self.handleError(record)

    def flush(self) -> None:
        """Wait until what was logged so far is written, for at most `FLUSH_S`. `logging` calls it at exit."""
        written = threading.Event()
        try:
            self._waiting.put(written, timeout=FLUSH_S)
        except queue.Full:
            return
        written.wait(FLUSH_S)

    def _write(self) -> None:
        while True:
            item = self._waiting.get()
            try:
                if isinstance(item, threading.Event):
                    item.set()
                else:
                    self._stream.write(self._told_of_dropped() + item + "\n")
                    self._stream.flush()
            except (OSError, ValueError):
                # Nobody reads stderr any more; there is no other place to say so.
                continue

    def _told_of_dropped(self) -> str:
        dropped, self._dropped = self._dropped, 0
        message = f'{{"level":"warning","logger":"arbiter","message":"{dropped} log lines were dropped"}}\n'
        return message if dropped else ""


def set_up(
    level: str,
    *,
    content: bool,
    secrets: Iterable[str] = (),
    stream: TextIO | None = None,
    limits: Settings | None = None,
) -> BackgroundWriter:
    """Send every logger of the process through one handler, to stderr unless a stream is given; bounded by `limits`."""
    handler = BackgroundWriter(sys.stderr if stream is None else stream)
    handler.setFormatter(JsonLines(content=content, secrets=secrets))
    if limits is not None:
        handler.addFilter(Sieve(limits.log_lines_per_s, limits.log_lines_per_request))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("arbiter").setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "reflex", "alembic", "engineio", "socketio"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.NOTSET)
        logger.disabled, logger.propagate = False, True
    for name in ("engineio.server", "socketio.server"):  # which write to stderr by themselves where no level is set
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.setLevel(logging.ERROR)
    logging.captureWarnings(True)
    return handler


__all__ = ["JsonLines", "request_id", "set_up"]
