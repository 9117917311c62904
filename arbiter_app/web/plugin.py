"""A Reflex build plugin: one build of the pages works under every host and port.

Reflex bakes the backend's address into the pages; here the socket always goes to where the page came from.
"""

from __future__ import annotations

from typing import Any

from reflex_base.plugins import Plugin

STATE_JS = "utils/state.js"
_BAKED = """  const endpoint = new URL(url_str);
"""
_OWN_ORIGIN = """  const endpoint = new URL(url_str);
  if (typeof window !== "undefined") {
    endpoint.protocol = window.location.protocol === "https:" ? "wss:" : "ws:";
    endpoint.host = window.location.host;
    endpoint.port = window.location.port;
    return endpoint;
  }
"""


def own_origin(state_js: str) -> str:
    """Make `getBackendURL` answer with the page's own origin. Raises when Reflex's template has changed."""
    if _OWN_ORIGIN in state_js:
        return state_js
    if state_js.count(_BAKED) != 1:
        raise RuntimeError("Reflex's state.js has changed: getBackendURL cannot be pointed at the page's own origin")
    return state_js.replace(_BAKED, _OWN_ORIGIN)


class SameOrigin(Plugin):
    """Applies `own_origin` to every build."""

    def pre_compile(self, **context: Any) -> None:
        """Queue the change of the client's state module."""
        context["add_modify_task"](STATE_JS, own_origin)
