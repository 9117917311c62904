"""What stands in front of everything on the one port: looks at the path and hands the request on.

`/v1*`, `/health`, `/readyz`, `/metrics` go to the gateway, `/session` to the sign-in route, `/export` to downloads, `/_event` to Reflex's
socket (same origin only, rate limited), and the rest are pages.
"""

from __future__ import annotations

import time
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

GATEWAY = ("/v1", "/health", "/readyz", "/metrics")
SOCKET = "/_event"
SESSION = "/session"
EXPORT = "/export"
EVENTS_PER_S = 40.0
EVENTS_BURST = 200.0
_REJECTED: Message = {"type": "websocket.close", "code": 1008, "reason": ""}


def is_under(path: str, prefix: str) -> bool:
    """Whether `path` is `prefix` or lies below it."""
    return path == prefix or path.startswith(prefix + "/")


class Front:
    """The outermost ASGI application. `socket` is None when there is no Reflex (fallback dashboard)."""

    def __init__(
        self, *, gateway: ASGIApp, pages: ASGIApp, session: ASGIApp, export: ASGIApp, socket: ASGIApp | None
    ) -> None:
        self._gateway = gateway
        self._pages = pages
        self._session = session
        self._export = export
        self._socket = socket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch one request or socket."""
        path = scope["path"]
        if scope["type"] == "websocket":
            await self._events(scope, receive, send)
        elif path.startswith("/v1/") or any(is_under(path, one) for one in GATEWAY):
            await self._gateway(scope, receive, send)
        elif is_under(path, SESSION):
            await self._session(scope, receive, send)
        elif is_under(path, EXPORT):
            await self._export(scope, receive, send)
        else:
            await self._pages(scope, receive, send)

    async def _events(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._socket is None or not is_under(scope["path"], SOCKET) or not same_origin(scope):
            await receive()
            await send(_REJECTED)
            return
        await self._socket(scope, Throttle(receive).receive, send)


def same_origin(scope: Scope) -> bool:
    """Whether a browser opened this socket from one of our own pages. Programs send no Origin and are let in."""
    headers = {bytes(name).lower(): bytes(value).decode("latin-1") for name, value in scope["headers"]}
    origin = headers.get(b"origin")
    return origin is None or urlsplit(origin).netloc == headers.get(b"host", "")


class Throttle:
    """A token bucket over one socket's incoming messages; a client that overruns it is disconnected."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._tokens = EVENTS_BURST
        self._at = time.monotonic()

    async def receive(self) -> Message:
        """The next message, or a disconnect when the client sends more than `EVENTS_PER_S` for long."""
        message = await self._receive()
        now = time.monotonic()
        self._tokens = min(EVENTS_BURST, self._tokens + (now - self._at) * EVENTS_PER_S) - 1
        self._at = now
        return message if self._tokens > 0 else {"type": "websocket.disconnect", "code": 1008}
