"""Errors in Anthropic's shape, with the words that its clients look for."""

from __future__ import annotations

import re

from arbiter_app.pipeline.errors import ArbiterError, ContextLengthExceeded
from arbiter_app.pipeline.types import Json

TYPES = {
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}
"""By status; what else is below 500 is an `invalid_request_error`, above it an `api_error`."""
_WINDOW = re.compile(r"maximum context length is (\d+) tokens\D*(\d+) tokens")


def status_of(error: ArbiterError) -> int:
    """The status of an error: Anthropic has 400 for all that is wrong with a request, well-formed or not."""
    return 400 if error.status == 422 else error.status


def told(error: ArbiterError) -> Json:
    """An error as the body of an answer, and as the data of an event."""
    status = status_of(error)
    kind = TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    detail: Json = {"type": kind, "message": _message(error), "code": error.code}
    if error.param is not None:
        detail["param"] = error.param
    return {"type": "error", "error": detail}


def _message(error: ArbiterError) -> str:
    """The sentence of an error. That a prompt is too long is said in the words at which agents shorten it."""
    if not isinstance(error, ContextLengthExceeded) and error.code != "context_length_exceeded":
        return error.message
    numbers = _WINDOW.search(error.message)
    said = f"prompt is too long: {numbers[2]} tokens > {numbers[1]} maximum" if numbers else "prompt is too long"
    return f"{said}. {error.message}"
