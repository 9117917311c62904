"""The tabs at which somebody is signed in. Within `LOOK_S` of a session's end the tab is taken out of its channels and shows
what a visitor sees, also when it asks for nothing more.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from arbiter_app.pipeline.types import Caller
from arbiter_app.services.keys import Keys
from arbiter_app.services.sessions import Sessions

LOOK_S = 1.0


class SignedInTabs:
    """The open tabs at which somebody is signed in."""

    def __init__(self, sessions: Sessions, keys: Keys) -> None:
        self._sessions = sessions
        self._keys = keys
        self._seen: dict[str, tuple[str, str]] = {}

    async def caller_of(self, sid: str, cookie: str) -> Caller | None:
        """Who is signed in at a tab now; None for a visitor."""
        caller = await self._keys.signed_in(cookie, sid)
        if caller is not None:
            self._seen[sid] = (cookie, caller.key_id)
        return caller

    def forget(self, sid: str) -> None:
        """A tab that signs out by itself, and clears itself."""
        self._seen.pop(sid, None)

    async def watch(self, connected: Callable[[str], bool], leave: Callable[[str], Awaitable[None]]) -> None:
        """Let go of tabs whose session has ended, or whose key was revoked, for as long as the process runs."""
        while True:
            await asyncio.sleep(LOOK_S)
            for sid, (cookie, key_id) in list(self._seen.items()):
                if not connected(sid):
                    self._seen.pop(sid, None)
                    self._sessions.unbind(sid)
                    continue
                caller = await self.caller_of(sid, cookie)
                if caller is None or caller.key_id != key_id:
                    self._seen.pop(sid, None)
                    await leave(sid)
