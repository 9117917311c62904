"""Who sits at which open tab, and that nothing is left for whoever comes after.

A tab's state outlives its socket: it is found again by the tab's token. So whose it is stands beside it, and before any
event (also the one with which a tab that comes back asks for all of its state) what belongs to somebody else is cleared.
Live data ends within `LOOK_S` of a session's end: the tab is taken out of its rooms, also when it asks for nothing more.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import reflex as rx
from reflex.event import Event
from reflex.middleware.middleware import Middleware
from reflex.state import BaseState

from arbiter_app.pipeline.types import Caller
from arbiter_app.services.keys import Keys
from arbiter_app.web.session import Sessions

LOOK_S = 1.0


class Seats:
    """The open tabs at which somebody is signed in."""

    def __init__(self, sessions: Sessions, keys: Keys) -> None:
        self._sessions = sessions
        self._keys = keys
        self._taken: dict[str, tuple[str, str]] = {}

    async def taken(self, sid: str, cookie: str) -> Caller | None:
        """Who sits at a tab now; None for a visitor."""
        key_id = self._sessions.key_of(sid, cookie, time.monotonic())
        caller = self._keys.caller(key_id) if key_id else None
        if caller is not None:
            self._taken[sid] = (cookie, caller.key_id)
        return caller

    async def watch(self, connected: Callable[[str], bool], leave: Callable[[str], Awaitable[None]]) -> None:
        """Take tabs whose session has ended, or whose key was revoked, out of every room, for as long as the process runs."""
        while True:
            await asyncio.sleep(LOOK_S)
            for sid, (cookie, key_id) in list(self._taken.items()):
                if not connected(sid):
                    self._taken.pop(sid, None)
                    self._sessions.unbind(sid)
                    continue
                caller = await self.taken(sid, cookie)
                if caller is None or caller.key_id != key_id:
                    self._taken.pop(sid, None)
                    await leave(sid)


class Cleared(Middleware):
    """Before each event: state that was made for another visitor than the one who sits there now is cleared."""

    async def preprocess(self, app: rx.App, state: BaseState, event: Event) -> None:
        """Look whose state it is."""
        from arbiter_app.web.state import guard
        from arbiter_app.web.state.account import Account

        account = await state.get_state(Account)
        await account._belongs_to(await guard.seat(account))
