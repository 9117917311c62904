"""The outermost ASGI application of every process: which host names are answered, and the net under all that is behind it.

A web page anywhere can let its own name point to 127.0.0.1 and have its reader's browser ask Arbiter there as if it were that
page's server (DNS rebinding). The `Host` header tells: whoever comes to a loopback address by another name than loopback's
is refused, unless `ARBITER_ALLOWED_HOSTS` has the name. At other addresses every name is answered until that is set.

What comes under the path of a proxy (`ARBITER_ROOT_PATH`) goes on without that path, and the same without a proxy.
"""

from __future__ import annotations

import ipaddress
import logging
import re
from functools import lru_cache

import orjson
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from arbiter_app.addresses import is_loopback_address
from arbiter_app.notices import bounds
from arbiter_app.protocol import refuse_socket
from arbiter_app.settings import Settings

log = logging.getLogger("arbiter.api")

Headers = list[tuple[bytes, bytes]]
REFUSED = 421
GUARDED = ("/v1/chat", "/v1/messages", "/v1/responses", "/v1/completions", "/v1/embeddings")
"""Under these the gateway answers what fails by itself."""
UNDER_ROOT = "arbiter.under_root"
"""In the scope of what came under the path of a proxy."""
SHOWN_CHARS = 100
LONGEST_HOST = 300
_HOST = re.compile(r"(?:\[(?P<v6>[^\[\]]*:[^\[\]]*)\]|(?P<name>[^:\[\]]*))(?::[0-9]*)?")


class TrustedHost:
    """Lets requests and sockets through to `inner` that came by a name which is Arbiter's."""

    def __init__(self, inner: ASGIApp, settings: Settings) -> None:
        self._inner = inner
        self._named = frozenset(name.lower().rstrip(".") for name in (*settings.allowed_hosts, settings.host))
        self._any_elsewhere = not settings.allowed_hosts
        self._root = settings.root_path
        self._is_ours = lru_cache(1_024)(self._looked_up)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request or socket."""
        if scope["type"] == "lifespan":
            await self._inner(scope, receive, send)
            return
        if not _names_one_host(scope):
            await self._refuse(400, "bad_host", "a request names one host", scope, receive, send)
            return
        foreign = self._foreign(scope)
        if foreign is not None:
            bounds.count("hosts", "a request came by a host name that is not Arbiter's (ARBITER_ALLOWED_HOSTS)")
            why = f"Arbiter is not known as {foreign!r} here: set ARBITER_ALLOWED_HOSTS to the names that it is reached by"
            await self._refuse(REFUSED, "host_not_allowed", why, scope, receive, send)
            return
        if self._root:
            scope = self._without_root(scope)
        begun = False

        async def noted(message: Message) -> None:
            nonlocal begun
            begun = True
            await send(message)

        try:
            # What answers as a whole looks at the server's own `send`: the gateway gets it, and has a net of its own.
            await self._inner(scope, receive, send if scope["path"].startswith(GUARDED) else noted)
        except ClientDisconnect:
            return
        except Exception:
            log.exception("a request failed")
            if begun or scope["type"] != "http":
                raise
            await _answer(send, 500, "internal_error", "Arbiter failed on this request; the log has the details")

    def _without_root(self, scope: Scope) -> Scope:
        """The scope as it would be without the path of a proxy that passes it on."""
        path = scope["path"]
        if path != self._root and not path.startswith(f"{self._root}/"):
            return scope
        return {**scope, "path": path[len(self._root) :] or "/", UNDER_ROOT: True}

    def _foreign(self, scope: Scope) -> str | None:
        """The host name that is not ours, None when all is well."""
        at = scope.get("server")
        loopback = at is None or at[0] is None or is_loopback_address(at[0])
        if not loopback and self._any_elsewhere:
            return None
        for name, value in scope["headers"]:
            if name == b"host" and (len(value) > LONGEST_HOST or not self._is_ours(value)):
                return bytes(value[:SHOWN_CHARS]).decode("ascii", "replace")
        return None

    def _looked_up(self, host: bytes) -> bool:
        name = name_of(host.decode("latin-1"))
        if name == "localhost" or name.endswith(".localhost") or name in self._named or "*" in self._named:
            return True
        return any(name.endswith(one[1:]) for one in self._named if one.startswith("*.")) or _is_address(name)

    async def _refuse(self, status: int, code: str, message: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await refuse_socket(receive, send)
            return
        await _answer(send, status, code, message)


def _names_one_host(scope: Scope) -> bool:
    """Whether there is one Host header, as HTTP/1.1 demands (RFC 9112, 3.2); before that, none is fine."""
    hosts = sum(name == b"host" for name, _ in scope["headers"])
    return hosts == 1 or (hosts == 0 and scope.get("http_version") in ("1.0", "0.9"))


def name_of(host: str) -> str:
    """The name in a Host header, in lower case: without port, brackets and the dot of the root. All of it if that is no name."""
    text = host.strip().lower()
    found = _HOST.fullmatch(text)
    return (found["v6"] or found["name"]).rstrip(".") if found else text


def _is_address(name: str) -> bool:
    """Whether it is an address: no name system is asked for one, so nobody can let it point elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


async def _answer(send: Send, status: int, code: str, message: str) -> None:
    kind = "invalid_request_error" if status < 500 else "server_error"
    body = orjson.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})
    headers: Headers = [(b"content-type", b"application/json"), (b"x-content-type-options", b"nosniff")]
    headers.append((b"content-length", b"%d" % len(body)))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
