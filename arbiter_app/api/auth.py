"""Who sends a request: by the key in its headers, or by the session cookie of a browser that signed in."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from arbiter_app import browsers
from arbiter_app.pipeline.errors import BadRequest, Forbidden, Unauthorized
from arbiter_app.pipeline.types import Caller
from arbiter_app.settings import MAX_KEY_CHARS

if TYPE_CHECKING:
    from arbiter_app.services.keys import Keys

_ALTERNATIVES = (b"x-api-key", b"api-key")
_KEYS = frozenset({b"authorization", *_ALTERNATIVES})
_PROXIED = frozenset({b"x-forwarded-for", b"forwarded", b"x-real-ip", b"via"})
_READING = ("GET", "HEAD")


async def caller_of(keys: Keys, scope: Any) -> Caller | None:
    """The caller of a request, None when it names nobody. Raises Unauthorized for a key that is no good, and Forbidden.

    A key or a cookie that is unknown here may have been made by another process: it is looked up.
    """
    secret = secret_of(scope["headers"])
    if secret is None:
        cookies = browsers.cookies(scope["headers"])
        return await _signed_in(keys, scope, cookies) if cookies else None
    try:
        return keys.authenticate(secret)
    except Unauthorized:
        if not await keys.look_up(secret):
            raise
    return keys.authenticate(secret)


def secret_of(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """The API key of a request: `Authorization: Bearer`, else `x-api-key` or `api-key`, in whatever order they come.

    Raises Unauthorized when it is malformed, and BadRequest for a header that names two: which of them counts, a proxy in between
    and Arbiter may see differently.
    """
    given: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _KEYS and given.setdefault(name, value) != value:
            raise BadRequest(f"a request has one {name.decode()} header, not two that differ", code="two_keys")
    bearer = given.pop(b"authorization", None)
    if bearer is not None:
        scheme, _, secret = bearer.decode("latin-1").strip().partition(" ")
        if scheme.lower() == "bearer" and secret.strip() and len(secret) <= MAX_KEY_CHARS:
            return secret.strip()
        if scheme.lower() == "bearer" or not given:
            raise Unauthorized("send the key as `Authorization: Bearer arb_...`")
    return next(
        (given[name].decode("latin-1").strip()[:MAX_KEY_CHARS] for name in _ALTERNATIVES if name in given), None
    )


def is_loopback(scope: dict[str, Any]) -> bool:
    """Whether the request comes from this machine, and not through a proxy on it."""
    client = scope.get("client")
    if not client or any(name in _PROXIED for name, _ in scope["headers"]):
        return False
    try:
        return ipaddress.ip_address(client[0]).is_loopback
    except ValueError:
        return False


async def _signed_in(keys: Keys, scope: Any, cookies: str) -> Caller | None:
    """The caller behind a session cookie. What changes something must come from one of our own pages."""
    caller = await keys.signed_in(cookies)
    if caller is not None and scope["method"] not in _READING and not _from_own_page(scope["headers"]):
        raise Forbidden(
            "a session may do this from Arbiter's own pages only; elsewhere send the key", code="wrong_origin"
        )
    return caller


def _from_own_page(headers: list[tuple[bytes, bytes]]) -> bool:
    own = browsers.from_own_page(headers)
    return (b"sec-fetch-site", b"same-origin") in headers if own is None else own
