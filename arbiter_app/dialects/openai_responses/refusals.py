"""What is said of a request that is no Responses request, or asks for what cannot be had here."""

from __future__ import annotations

from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects.strict_json import kind
from arbiter_app.pipeline.errors import BadRequest
from arbiter_app.pipeline.types import Json

MAX_PARAM_CHARS = 100


def wrong(where: str, why: str, code: str = "invalid_value") -> BadRequest:
    """A value that means nothing, in OpenAI's status and under its code."""
    return BadRequest(f"{where}: {why}", param=where[:MAX_PARAM_CHARS], code=code)


def mistyped(where: str, wanted: str, value: Any) -> BadRequest:
    """A value of another type than is wanted; one that is required and is not there."""
    if value is None:
        return missing(where)
    return wrong(where, f"must be {wanted}, not {kind(value)}", "invalid_type")


def missing(where: str) -> BadRequest:
    """A member without which a request is none, in OpenAI's words."""
    said = f"Missing required parameter: '{where}'."
    return BadRequest(said, param=where[:MAX_PARAM_CHARS], code="missing_required_parameter")


def unsupported(where: str, why: str) -> BadRequest:
    """A value that means something elsewhere; `why` says what to do instead."""
    return BadRequest(f"{where}: {why}", param=where[:MAX_PARAM_CHARS], code="unsupported_parameter")


def text_of(value: Any, where: str) -> str:
    """A value that has to be a string. Raises BadRequest."""
    if not isinstance(value, str) or type(value) is exact_json.Written:
        raise mistyped(where, "a string", value)
    return value


def object_of(value: Any, where: str) -> Json:
    """A value that has to be an object; an empty one where it is null. Raises BadRequest."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise mistyped(where, "an object", value)
    return value
