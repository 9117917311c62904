"""Who a visitor is by the word of a trusted proxy: the e-mail address in the header that ARBITER_AUTH_HEADER names.

A header is anybody's word. It counts where the connection itself comes from one of ARBITER_TRUSTED_PROXIES, which has to be looked at
before uvicorn puts the visitor's address in the place of the proxy's; what it says then goes along in the scope, where no request can
write, and the header counts nowhere else.
"""

from __future__ import annotations

from typing import Any, cast

from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from arbiter_app.settings import Settings

VOUCHED_FOR = "arbiter.vouched_for"
"""In the scope: the address that the proxy vouches for."""
LONGEST = 320


class ProxyIdentity:
    """The outermost application where such a header is set: it does for `inner` what uvicorn does for proxies, too."""

    def __init__(self, inner: ASGIApp, settings: Settings) -> None:
        self._proxies = ProxyHeadersMiddleware(cast(Any, inner), list(settings.trusted_proxies))
        self._name = settings.auth_header.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Note whom a trusted proxy vouches for; a header that is there twice is nobody's."""
        client = scope.get("client")
        if scope["type"] in ("http", "websocket") and client and client[0] in self._proxies.trusted_hosts:
            said = [value for name, value in scope["headers"] if name == self._name]
            if len(said) == 1 and 0 < len(said[0]) <= LONGEST:
                scope[VOUCHED_FOR] = said[0].decode("latin-1").strip().lower()
        await self._proxies(cast(Any, scope), cast(Any, receive), cast(Any, send))


def vouched_for(scope: Scope) -> str:
    """The address that a trusted proxy vouches for; empty where there is none."""
    return str(scope.get(VOUCHED_FOR, ""))
