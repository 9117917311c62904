"""What stands in front of everything on the one port: looks at the path and hands the request on.

`/v1*`, `/health`, `/readyz`, `/metrics` go to the gateway, `/session` to the sign-in route, `/export` to downloads, `/_event` to Reflex's
socket (same origin only), and the rest are pages, which are read only. Whoever asks there as a client of the API would (by
another method, path or header than a browser's) is answered by the gateway, which says where the API is. So is who comes for a page
under the path of a proxy: pages are built for a host of their own, and name each other and their files from its root.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from arbiter_app import browsers, notices
from arbiter_app.protocol import refuse_socket
from arbiter_app.trusted_host import UNDER_ROOT

GATEWAY = ("/v1", "/health", "/readyz", "/metrics")
SOCKET = "/_event"
SESSION = "/session"
EXPORT = "/export"
API_PATH = re.compile(r"(?:^|/)(?:v\d+/.*|(?:chat/)?completions|responses|embeddings|models|messages|moderations)/?$")
"""What clients of OpenAI's API ask for, whatever their base URL is."""
LONGEST_PATH, LONGEST_PART = 1_024, 255
ONLY_READ = JSONResponse(
    {
        "error": {
            "message": "pages are only read; chats are POST /v1/chat/completions",
            "type": "invalid_request_error",
            "param": None,
            "code": "method_not_allowed",
        }
    },
    405,
    {"Allow": "GET, HEAD"},
)
_TYPES = frozenset("0123456789")
NOT_FOUND = PlainTextResponse("Not found\n", 404)


def is_under(path: str, prefix: str) -> bool:
    """Whether `path` is `prefix` or lies below it."""
    return path == prefix or path.startswith(prefix + "/")


def is_of_the_api(scope: Scope) -> bool:
    """Whether a request looks like one of a client of the API: by its path, a key, or JSON that it sends or wants."""
    headers = {bytes(name): bytes(value).lower() for name, value in scope["headers"]}
    if headers.get(b"authorization", b"").startswith(b"bearer ") or b"x-api-key" in headers or b"api-key" in headers:
        return True
    if b"json" in headers.get(b"content-type", b"") or headers.get(b"accept", b"").startswith(b"application/json"):
        return True
    return API_PATH.search(scope["path"][-LONGEST_PATH:]) is not None


def could_be_a_page(path: str) -> bool:
    """Whether a file system takes such a path at all."""
    if len(path) > LONGEST_PATH or "\0" in path:
        return False
    return all(len(part.encode("utf-8", "replace")) <= LONGEST_PART for part in path.split("/"))


class Dispatcher:
    """The outermost ASGI application. `socket` is None when there is no Reflex (fallback dashboard). `knocks` says where the browser of a
    page has to go first, if anywhere."""

    def __init__(
        self,
        *,
        gateway: ASGIApp,
        pages: ASGIApp,
        session: ASGIApp,
        export: ASGIApp,
        socket: ASGIApp | None,
        knocks: Callable[[Scope], Awaitable[str | None]] | None = None,
    ) -> None:
        self._gateway = gateway
        self._pages = pages
        self._session = session
        self._export = export
        self._socket = socket
        self._knocks = knocks

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Dispatch one request or socket."""
        path = scope["path"]
        if scope["type"] == "websocket":
            await self._events(scope, receive, send)
        elif path.startswith("/v1/") or any(is_under(path, one) for one in GATEWAY) or UNDER_ROOT in scope:
            await self._gateway(scope, receive, send)
        elif is_under(path, SESSION):
            await self._session(scope, receive, send)
        elif is_under(path, EXPORT):
            await self._export(scope, receive, send)
        elif scope["method"] in ("GET", "HEAD"):
            await self._page(scope, receive, send)
        elif path == "/" or is_of_the_api(scope):
            await self._gateway(scope, receive, send)
        else:
            await ONLY_READ(scope, receive, send)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A page. What is not there is not found in the way that whoever asked can read."""
        if self._knocks is not None and (first := await self._knocks(scope)) is not None:
            await RedirectResponse(first, 303)(scope, receive, send)
            return
        missing = self._gateway if is_of_the_api(scope) else NOT_FOUND
        if not could_be_a_page(scope["path"]):
            await missing(scope, receive, send)
            return
        sent, held = False, False

        async def looked_at(message: Message) -> None:
            nonlocal sent, held
            held = held or (missing is self._gateway and message.get("status") == 404)
            if not held:
                sent = True
                await send(message)

        try:
            await self._pages(scope, receive, looked_at)
        except (HTTPException, OSError, ValueError):
            if sent:
                raise
            held = True
        if held:
            await missing(scope, receive, send)

    async def _events(self, scope: Scope, receive: Receive, send: Send) -> None:
        foreign = browsers.from_own_page(scope["headers"]) is False
        if self._socket is None or not is_under(scope["path"], SOCKET) or foreign:
            await refuse_socket(receive, send)
            return

        async def packets() -> Message:
            message = await receive()
            if message["type"] != "websocket.receive" or _is_packet(message.get("text"), message.get("bytes")):
                return message
            notices.frames.count("ValueError", "a frame of a socket was refused: ValueError")
            return {"type": "websocket.disconnect", "code": 1008}

        await self._socket(scope, packets, send)


def _is_packet(text: str | None, attached: bytes | None) -> bool:
    """Whether a frame can be a packet of Engine.IO: bytes, such as a file that a form has none of, or text that begins with its type. Its
    server fails on others."""
    return attached is not None or (text or "")[:1] in _TYPES
