"""Reading a request's body, bounded while it arrives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, TypeVar

from starlette.types import Receive, Scope

from arbiter_app import exact_json
from arbiter_app.notices import bounds
from arbiter_app.pipeline.errors import BodyTooLarge
from arbiter_app.turns import beside

P = ParamSpec("P")
T = TypeVar("T")

BIG_BYTES = 200_000
"""From this size on a body is parsed beside the event loop."""


class CallerGone(Exception):
    """The caller hung up before the whole request was read."""


async def read_body(scope: Scope, receive: Receive, limit: int) -> bytes:
    """The request's body. Raises BodyTooLarge as soon as it is known, CallerGone when the caller hangs up."""
    declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)
    parts, size, more = [], 0, True
    while more:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            raise CallerGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        more = message.get("more_body", False)
    body = parts[0] if len(parts) == 1 else b"".join(parts)
    return body.removeprefix(exact_json.BOM)


async def beside_when_big(
    read: Callable[Concatenate[bytes, P], T], body: bytes, *args: P.args, **kwargs: P.kwargs
) -> T:
    """What `read` makes of a body: at once, or beside the event loop where it is big."""
    if len(body) < BIG_BYTES:
        return read(body, *args, **kwargs)
    return await beside(read, body, *args, **kwargs)


def _too_large(limit: int) -> BodyTooLarge:
    bounds.count("body_bytes", f"a body was larger than {limit:,} bytes")
    return BodyTooLarge(f"the body is larger than {limit:,} bytes")
