"""Whether a request is what the official SDKs' own types allow: they describe what the providers take."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from anthropic.types import message_create_params
from openai.types.responses import response_create_params
from pydantic import TypeAdapter

SAMPLING = {"temperature", "top_p", "top_k"}
"""Members that models before Claude 4.7 take, and the newest types have no more."""


def assert_messages(request: dict[str, Any]) -> None:
    """A Messages request."""
    kind = message_create_params.MessageCreateParamsBase
    forced(adapter(kind).validate_python(request))
    assert request.keys() <= known(kind) | SAMPLING | {"stream"}


def assert_responses(request: dict[str, Any]) -> None:
    """A Responses request."""
    kind = response_create_params.ResponseCreateParamsBase
    forced(adapter(kind).validate_python(request))
    assert request.keys() <= known(kind) | {"stream"}


@lru_cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    return TypeAdapter(kind)


def known(kind: Any) -> set[str]:
    return {name for base in (kind, *kind.__bases__) for name in getattr(base, "__annotations__", ())}


def forced(value: Any) -> Any:
    """A validated value, with what is validated only when it is looked at."""
    if isinstance(value, str | bytes):
        return value
    if isinstance(value, Mapping):
        return {name: forced(inner) for name, inner in value.items()}
    return [forced(inner) for inner in value] if isinstance(value, Iterable) else value
