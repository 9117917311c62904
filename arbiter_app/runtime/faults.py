"""Turns what can go wrong on the wire into a `RuntimeFault`: transport errors, refusals, errors inside a 200."""

from __future__ import annotations

import email.utils
import math
import time
from collections.abc import Mapping

import httpx
import orjson

from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.pipeline.types import Json

MAX_RETRY_AFTER_S = 86_400.0
MAX_MESSAGE_CHARS = 500
MAX_BODY_BYTES = 64 * 1024


def fault_of(error: httpx.TransportError) -> RuntimeFault:
    """The fault for an error of the connection: connect, timeout, protocol or transport."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return RuntimeFault("connect", str(error))
    if isinstance(error, httpx.TimeoutException):
        return RuntimeFault("timeout", str(error))
    kind = "protocol" if isinstance(error, httpx.RemoteProtocolError) else "transport"
    return RuntimeFault(kind, str(error))


def refusal(status: int, headers: Mapping[str, str], body: bytes) -> RuntimeFault:
    """The fault for a status that is no answer. Below 400 (204, redirects) the runtime breaks the protocol."""
    if status < 400:
        return RuntimeFault("protocol", f"the runtime answered with status {status}", body=body)
    wait_s = retry_after_s(headers.get("retry-after"))
    return RuntimeFault("status", _said(body) or f"status {status}", status=status, body=body, retry_after_s=wait_s)


def stated_error(answer: Json, raw: bytes) -> RuntimeFault | None:
    """The fault for a body that says `error` under status 200, as some runtimes do; None when it is an answer."""
    error = answer.get("error")
    if not error or answer.get("choices"):
        return None
    code = error.get("code") if isinstance(error, dict) else None
    status = int(code) if isinstance(code, int | str) and str(code).isdecimal() and 400 <= int(code) < 600 else 0
    message = _said(raw) or "the runtime reported an error"
    return RuntimeFault("status" if status else "protocol", message, status=status, body=raw[:MAX_BODY_BYTES])


def retry_after_s(value: str | None) -> float | None:
    """Seconds of a Retry-After header, given as seconds or as an HTTP date; None when it is neither."""
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = email.utils.parsedate_to_datetime(value).timestamp() - time.time()
        except (ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else min(MAX_RETRY_AFTER_S, max(0.0, seconds))


def _said(body: bytes) -> str:
    """The message of an OpenAI error body; empty when there is none."""
    try:
        error = orjson.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)[:MAX_MESSAGE_CHARS]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""
