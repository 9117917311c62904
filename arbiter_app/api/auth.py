"""Who sends a request: by the key in its headers, or by the session cookie of a browser that signed in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from arbiter_app import browsers
from arbiter_app.pipeline.errors import Forbidden, Unauthorized
from arbiter_app.pipeline.types import Caller

if TYPE_CHECKING:
    from arbiter_app.services.keys import Keys

MAX_KEY_CHARS = 512
_ALTERNATIVES = (b"x-api-key", b"api-key")
_PROXIED = frozenset({b"x-forwarded-for", b"forwarded", b"x-real-ip", b"via"})
_READING = ("GET", "HEAD")


def caller_of(keys: Keys, scope: Any) -> Caller | None:
    """The caller of a request, None when it names nobody. Raises Unauthorized for a key that is no good."""
    secret = secret_of(scope["headers"])
    return keys.authenticate(secret) if secret is not None else _signed_in(keys, scope)


async def is_new(keys: Keys, scope: Any) -> bool:
    """Whether the key of a request that was refused turns out to have been made by another process: then ask again."""
    try:
        secret = secret_of(scope["headers"])
    except Unauthorized:
        return False
    return secret is not None and await keys.look_up(secret)


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
    if not client or any(name in _PROXIED for name, _ in scope["headers"]):
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


def _signed_in(keys: Keys, scope: Any) -> Caller | None:
    """The caller behind a session cookie. What changes something must come from one of our own pages."""
    headers = scope["headers"]
    caller = keys.session_caller(cookies) if (cookies := browsers.cookies(headers)) else None
    if caller is not None and scope["method"] not in _READING and not _from_own_page(headers):
        raise Forbidden(
            "a session may do this from Arbiter's own pages only; elsewhere send the key", code="wrong_origin"
        )
    return caller


def _from_own_page(headers: list[tuple[bytes, bytes]]) -> bool:
    own = browsers.from_own_page(headers)
    return (b"sec-fetch-site", b"same-origin") in headers if own is None else own
