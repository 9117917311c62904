"""Who is signed in, and signing in and out."""

from __future__ import annotations

from typing import Any

import orjson
import reflex as rx

from arbiter_app.pipeline.types import Caller
from arbiter_app.web import container
from arbiter_app.web.state import authz
from arbiter_app.web.typed import event

_FETCH_COOKIE = """fetch("/session", {{method: "POST", headers: {{"content-type": "application/json"}}, body: {0}, keepalive: true}})"""
"""Whoever leaves the page at once has signed in all the same."""
_END = """fetch("/session", {method: "DELETE"}).then(() => location.assign("/app/key"))"""


class Account(rx.State):
    """The visitor as the pages show them. Nothing here is read back as authority."""

    role: rx.Field[str] = rx.field("anonymous")
    hint: rx.Field[str] = rx.field("")
    email: rx.Field[str] = rx.field("")
    sandbox: rx.Field[str] = rx.field("")
    openid: rx.Field[str] = rx.field("")
    signup: rx.Field[str] = rx.field("")
    baseline: rx.Field[str] = rx.field("")
    origin: rx.Field[str] = rx.field("")
    paused: rx.Field[str] = rx.field("")
    _whose: str = ""
    """The key for which the tab's state was made; empty for a visitor."""

    @event
    async def enter(self) -> None:
        """Show who is signed in; runs when a page loads."""
        self._show(await authz.current_caller(self))
        self._instance()
        self.paused = (await container.current().live.watch(self.router.session.session_id, ("store",)))["paused"]

    @event
    async def sign_out(self) -> Any:
        """Sign out of this browser."""
        await authz.current_caller(self)
        sid, cookies = self.router.session.session_id, self.router.headers.cookie
        await container.current().services.sessions.end(cookies, sid)
        container.current().tabs.forget(sid)
        await self._hand_over(authz.VISITOR)
        return rx.call_script(_END)

    async def _hand_over(self, who: Caller) -> None:
        """Leave nothing of whoever sat here before: every variable of every page at its beginning, no live data."""
        await container.current().live.unwatch(self.router.session.session_id)
        for page in self._get_root_state().substates.values():
            if type(page).__module__.startswith(__package__):
                page.reset()  # type: ignore[no-untyped-call]
        self._instance()
        self._show(who)
        self._whose = who.key_id

    async def _belongs_to(self, who: Caller) -> None:
        """Hand over when somebody else sits here now."""
        if who.key_id != self._whose:
            await self._hand_over(who)

    def _instance(self) -> None:
        settings = container.current().settings
        self.sandbox = "yes" if settings.sandbox else "no"
        self.openid = "yes" if settings.oidc_issuer else "no"
        self.signup = "yes" if settings.signup_open else "no"
        self.baseline = settings.baseline_model
        self.origin = self.router.headers.origin

    def _show(self, who: Caller) -> None:
        self.role = who.role.value
        self.email = who.email
        self.hint = f"{who.key_id[:12]}…" if who.key_id else ""


async def sign_in_here(state: Account, caller: Caller) -> Any:
    """Begin a session for this socket; the returned event lets the page fetch its cookie for the next one.

    What the tab showed before is gone then. Raises StoreError.
    """
    ticket = await container.current().services.sessions.begin_at(state.router.session.session_id, caller)
    await state._hand_over(caller)
    body = orjson.dumps({"ticket": ticket}).decode()
    return rx.call_script(_FETCH_COOKIE.format(orjson.dumps(body).decode()))
