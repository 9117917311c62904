"""What is said of a request that is no Responses request, or asks for what cannot be had here."""

from __future__ import annotations

from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects.strict_json import kind
from arbiter_app.pipeline.errors import BadRequest, Unprocessable
from arbiter_app.pipeline.types import Json

MAX_PARAM_CHARS = 100


def wrong(where: str, why: str) -> Unprocessable:
    """A value that means nothing."""
    return Unprocessable(f"{where}: {why}", param=where[:MAX_PARAM_CHARS])


def unsupported(where: str, why: str) -> BadRequest:
    """A value that means something elsewhere; `why` says what to do instead."""
    return BadRequest(f"{where}: {why}", param=where[:MAX_PARAM_CHARS], code="unsupported_parameter")


def text_of(value: Any, where: str) -> str:
    """A value that has to be a string. Raises Unprocessable."""
    if not isinstance(value, str) or type(value) is exact_json.Written:
        raise wrong(where, f"must be a string, not {kind(value)}")
    return value


def object_of(value: Any, where: str) -> Json:
    """A value that has to be an object; an empty one where it is null. Raises Unprocessable."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise wrong(where, f"must be an object, not {kind(value)}")
    return value
