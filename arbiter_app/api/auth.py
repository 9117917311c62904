"""Finding the key in a request's headers."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import Any

from arbiter_app.pipeline.errors import Unauthorized

MAX_KEY_CHARS = 512
_ALTERNATIVES = (b"x-api-key", b"api-key")


def secret_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The API key of a request: `Authorization: Bearer`, `x-api-key` or `api-key`. Raises Unauthorized when malformed."""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, secret = value.decode("latin-1").partition(" ")
            if scheme.lower() != "bearer" or not secret.strip() or len(secret) > MAX_KEY_CHARS:
                raise Unauthorized("send the key as `Authorization: Bearer arb_...`")
            return secret.strip()
        if name in _ALTERNATIVES:
            return value.decode("latin-1").strip()[:MAX_KEY_CHARS]
    return None


def is_loopback(scope: dict[str, Any]) -> bool:
    """Whether the request comes from this machine, and not through a proxy on it."""
    client = scope.get("client")
    if not client or any(name in (b"x-forwarded-for", b"forwarded") for name, _ in scope["headers"]):
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False
