"""The one translator from errors to answers. Everything under `/v1` fails in OpenAI's shape, but for routes of another dialect."""

from __future__ import annotations

import math

from starlette.types import Scope

from arbiter_app.api.budget_headers import REMAINING, RENEWS
from arbiter_app.dialects import Dialect, anthropic_messages, openai_chat, openai_responses
from arbiter_app.pipeline.errors import ArbiterError, BudgetExceeded

Headers = list[tuple[bytes, bytes]]
VERSION = b"anthropic-version"
"""The header that every client of Anthropic's API sends."""


SPOKEN_WAIT_S = 60.0
"""Codex waits for as long as it is told to, without a word: in the dialect that it speaks, a longer wait is told in the message alone."""


def spoken(scope: Scope) -> Dialect:
    """The dialect of whoever asks at a route that is none of a dialect's own."""
    if scope["path"].startswith("/v1/messages") or any(name == VERSION for name, _ in scope["headers"]):
        return anthropic_messages
    return openai_chat


def id_headers(dialect: Dialect) -> tuple[bytes, ...]:
    """The headers in which clients of a dialect look for the id of a request."""
    return tuple(dict.fromkeys((b"x-request-id", dialect.REQUEST_ID)))


def error_answer(error: ArbiterError, dialect: Dialect = openai_chat) -> tuple[int, Headers, bytes]:
    """Status, extra headers and body of an error, in the words of a dialect."""
    headers: Headers = [(b"content-type", b"application/json")]
    silent = dialect is openai_responses and (error.retry_after_s or 0.0) > SPOKEN_WAIT_S
    if not silent and (error.retry_after_s is not None or error.status in (429, 503)):
        wait_s = max(1, math.ceil(error.retry_after_s or 1.0))
        headers.append((b"retry-after", str(wait_s).encode()))
    if error.code == "draining":  # what comes next over this connection is for another process
        headers.append((b"connection", b"close"))
    if isinstance(error, BudgetExceeded):
        headers.append((REMAINING, error.left_usd.encode()))
        if error.renews:
            headers.append((RENEWS, error.renews.encode()))
    if error.decision_id:
        headers.append((b"x-arbiter-decision", error.decision_id.encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return dialect.status_of(error), headers, dialect.error_body(error)
