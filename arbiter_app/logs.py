"""Logs: one JSON object a line on stderr, with the request id; no prompt text and no secret unless asked for."""

from __future__ import annotations

import logging
import re
import sys
from contextvars import ContextVar
from typing import Any

import orjson

request_id: ContextVar[str] = ContextVar("request_id", default="")

_PLAIN = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_CONTENT = frozenset({"prompt", "answer", "messages", "body"})
_SECRET = re.compile(r"\b(?:arb_|sk-|key-)[A-Za-z0-9_-]{4,}|(?<=Bearer )\S+")


class JsonLines(logging.Formatter):
    """Formats a record as one JSON object. Fields given as `extra=` are kept; content fields only when allowed."""

    def __init__(self, *, content: bool = False) -> None:
        super().__init__()
        self._content = content

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON, without a line end."""
        line: dict[str, Any] = {
            "ts": round(record.created, 3),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": _redacted(record.getMessage()),
        }
        if request_id.get():
            line["request_id"] = request_id.get()
        for name, value in record.__dict__.items():
            if name not in _PLAIN and not name.startswith("_") and (self._content or name not in _CONTENT):
                line[name] = _redacted(value) if isinstance(value, str) else value
        if record.exc_info:
            line["exception"] = _redacted(self.formatException(record.exc_info))
        return orjson.dumps(line, default=str).decode()


def set_up(level: str, *, content: bool) -> None:
    """Send every logger of the process through one handler on stderr."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(content=content))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("arbiter").setLevel(level.upper())
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "reflex", "alembic"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    logging.captureWarnings(True)


def _redacted(text: str) -> str:
    return _SECRET.sub("[redacted]", text)


__all__ = ["JsonLines", "request_id", "set_up"]
