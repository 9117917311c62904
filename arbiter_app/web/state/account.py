"""Who is signed in, and signing in and out."""

from __future__ import annotations

import time
from typing import Any

import orjson
import reflex as rx

from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.web import door
from arbiter_app.web.state import guard

_FETCH_COOKIE = """fetch("/session", {{method: "POST", headers: {{"content-type": "application/json"}}, body: {0}}})"""
_END = """fetch("/session", {method: "DELETE"}).then(() => location.assign("/app/key"))"""


class Account(rx.State):
    """The visitor as the pages show them. Nothing here is read back as authority."""

    role: str = "anonymous"
    hint: str = ""
    email: str = ""
    sandbox: str = ""
    signup: str = ""
    baseline: str = ""
    origin: str = ""
    paused: str = ""

    @rx.event
    async def enter(self) -> None:
        """Show who is signed in; runs when a page loads."""
        who = await guard.seat(self)
        settings = door.parts().settings
        self._show(who)
        self.sandbox = "yes" if settings.sandbox else "no"
        self.signup = "yes" if settings.signup_open else "no"
        self.baseline = settings.baseline_model
        self.origin = self.router.headers.origin
        self.paused = (await door.parts().live.watch(self.router.session.session_id, ("store",)))["paused"]

    @rx.event
    async def sign_out(self) -> Any:
        """Sign out of this browser."""
        await guard.seat(self)
        parts = door.parts()
        secret = parts.sessions.secret_behind(self.router.session.session_id, self.router.headers.cookie)
        await parts.live.unwatch(self.router.session.session_id)
        if secret:
            parts.sessions.end(secret)
        self._show(guard.VISITOR)
        return rx.call_script(_END)

    def _show(self, who: Caller) -> None:
        self.role = who.role.value
        self.email = who.email
        self.hint = f"{who.key_id[:12]}…" if who.key_id else ""


def sign_in_here(state: Account, caller: Caller) -> Any:
    """Begin a session for this socket; the returned event lets the page fetch its cookie for the next one."""
    now, sessions = time.time(), door.parts().sessions
    secret = sessions.begin(caller, now)
    sessions.bind(state.router.session.session_id, secret)
    state._show(caller)
    body = orjson.dumps({"ticket": sessions.ticket(secret, now)}).decode()
    return rx.call_script(_FETCH_COOKIE.format(orjson.dumps(body).decode()))


def is_operator(who: Caller) -> bool:
    """Whether operator things may be shown and done."""
    return who.role is Role.OPERATOR
