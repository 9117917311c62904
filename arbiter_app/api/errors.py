"""The one translator from errors to answers. Everything under `/v1` fails in OpenAI's shape, but for routes of another dialect."""

from __future__ import annotations

import math

from arbiter_app.dialects import Dialect, openai_chat
from arbiter_app.pipeline.errors import ArbiterError

Headers = list[tuple[bytes, bytes]]


def error_answer(error: ArbiterError, dialect: Dialect = openai_chat) -> tuple[int, Headers, bytes]:
    """Status, extra headers and body of an error, in the words of a dialect."""
    headers: Headers = [(b"content-type", b"application/json")]
    if error.retry_after_s is not None or error.status in (429, 503):
        wait_s = max(1, math.ceil(error.retry_after_s or 1.0))
        headers.append((b"retry-after", str(wait_s).encode()))
    if error.decision_id:
        headers.append((b"x-arbiter-decision", error.decision_id.encode()))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    return error.status, headers, dialect.error_body(error)
