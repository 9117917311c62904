"""Who sits at a browser: sessions in the store, which every process and host knows, behind a random cookie in the browser.

Memory is a cache of the store, followed twice a second, and at once where another process tells of a change. A store that is away signs
nobody in; who is signed in stays so, and who signs out here is out here at once. A handler on the socket learns the identity from the
cookie of the socket's handshake, or, when somebody signs in after the socket was opened, from a binding of that socket which only the
server can make. Nothing a page can write counts.
"""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from arbiter_app import browsers
from arbiter_app.notices import bounds
from arbiter_app.pipeline.errors import RateLimited
from arbiter_app.pipeline.types import Caller
from arbiter_app.policy.clearing_cache import ClearingCache
from arbiter_app.services.allowance import Allowance
from arbiter_app.store import Store, StoreError, sessions
from arbiter_app.store.keys import digest_of
from arbiter_app.store.sessions import SessionRow, Version

log = logging.getLogger("arbiter.sessions")

COOKIE = "arbiter_session"
LIFETIME_S = 7 * 24 * 3600
TICKET_S = 90.0
"""For so long a page may fetch its cookie after a sign-in; clocks of hosts may differ by most of it."""
MOST = 10_000
PATIENCE_S = 3.0
"""How long a browser waits for the store at most."""
LOOKUPS_PER_S, LOOKUPS_BURST = 20, 40
"""Cookies unknown here that are looked up in the store, in case another process gave them out a moment ago."""
SECRET_BYTES = 32
SECRET_CHARS = math.ceil(SECRET_BYTES * 4 / 3)
EVERYBODY = ""
REMEMBERED = 4_096
"""Cookies that are remembered as nobody's: no session ever gets one that was given out before."""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in browser, as this process knows it."""

    id: int
    key_id: str
    digest: str
    ends: float
    """By the clock of this process that nobody sets."""


class Sessions:
    """All sessions, bounded in number, age, and for each key. `send` tells other processes of changes here."""

    def __init__(
        self,
        store: Store,
        *,
        per_key: int,
        attempts_per_minute: int,
        send: Callable[[str, Any], None] = lambda kind, data: None,
        most: int = MOST,
    ) -> None:
        self._store = store
        self._per_key, self._most = per_key, most
        self._attempts = Allowance(attempts_per_minute, 60.0)
        self._lookups = Allowance(LOOKUPS_BURST, LOOKUPS_BURST / LOOKUPS_PER_S)
        self._send = send
        self._by_digest: dict[str, Session] = {}
        self._by_id: dict[int, Session] = {}
        self._ended: set[int] = set()
        """Ended here, and not known yet to be gone from the store."""
        self._nobodys: ClearingCache[str, bool] = ClearingCache(REMEMBERED)
        self._bound: OrderedDict[str, int] = OrderedDict()
        self._changes = 0
        """What came into memory otherwise than by reading everything."""
        self._read: tuple[Version, int] = ((), 0)
        """The state of the store, and of memory, when everything was read last."""
        self.stale = asyncio.Event()
        """Set when another process says that it changed sessions."""

    # Beginning and ending

    def attempt(self, address: str) -> None:
        """Count a try to sign in. Raises RateLimited when an address has made too many lately."""
        wait_s = self._attempts.take(address)
        if wait_s > 0:
            bounds.count("signins", "a sign-in was refused: too many of one address (ARBITER_SIGNINS_PER_MINUTE)")
            raise RateLimited(
                f"too many sign-ins; try again in {math.ceil(wait_s)} s", code="too_many_signins", retry_after_s=wait_s
            )

    async def begin(self, caller: Caller) -> str:
        """A new session for an authenticated caller; returns the secret of its cookie. Raises StoreError."""
        secret = secrets.token_urlsafe(SECRET_BYTES)
        await self._begin(caller, secret, None)
        return secret

    async def begin_at(self, sid: str, caller: Caller) -> str:
        """A new session for an authenticated caller at an open socket; returns the ticket for its cookie. Raises StoreError."""
        ticket = secrets.token_urlsafe(SECRET_BYTES)
        session = await self._begin(caller, secrets.token_urlsafe(SECRET_BYTES), digest_of(ticket))
        self._bound[sid] = session.id
        while len(self._bound) > self._most:
            self._bound.popitem(last=False)
        return ticket

    async def redeem(self, ticket: str) -> str | None:
        """The secret of the cookie for a ticket, which works once, at any host. Raises StoreError."""
        if len(ticket) != SECRET_CHARS:
            return None
        secret, since = secrets.token_urlsafe(SECRET_BYTES), time.time() - TICKET_S
        digests = digest_of(ticket), digest_of(secret)
        found = await self._written(lambda c: sessions.redeem(c, *digests, since))
        self._changed(found)
        return secret if found else None

    async def end(self, cookie_header: str, sid: str = "") -> None:
        """Sign out: here at once, everywhere once the store has it, which it is given also after it was away."""
        found = self._behind(sid, cookie_header) or await self._looked_up(cookie_header)
        if found is None:
            return
        self._ended.add(found.id)
        self._forget([found.id])
        # Not waited for: that the store is away is no reason to stay.
        gone = self._store.writer.call(lambda c: sessions.end(c, [found.id]), keep=True)
        gone.add_done_callback(lambda _: self._send("sessions", None))

    def unbind(self, sid: str) -> None:
        """A socket has closed."""
        self._bound.pop(sid, None)

    # Who it is

    async def key_of(self, cookie_header: str, sid: str = "") -> str | None:
        """The key behind a cookie, or a socket with it; None for a visitor. A cookie that is unknown here is looked up."""
        session = self._behind(sid, cookie_header) or await self._looked_up(cookie_header)
        return None if session is None or session.ends <= time.monotonic() else session.key_id

    def _behind(self, sid: str, cookie_header: str) -> Session | None:
        bound = self._by_id.get(self._bound.get(sid, 0))
        if bound is not None:
            return bound
        secret = secret_of(cookie_header) if cookie_header else None
        return None if secret is None else self._by_digest.get(digest_of(secret))

    async def _looked_up(self, cookie_header: str) -> Session | None:
        """The session of a cookie that is unknown here, from the store; None where there is none, or the store is away."""
        secret = secret_of(cookie_header) if cookie_header else None
        if secret is None or len(secret) != SECRET_CHARS:
            return None
        digest = digest_of(secret)
        if digest in self._by_digest or digest in self._nobodys:
            return None
        if self._lookups.take(EVERYBODY) > 0:
            bounds.count("session_lookups", f"more than {LOOKUPS_PER_S} unknown cookies in a second; the rest wait")
            return None
        try:
            found = await self._in_time(self._store.read(sessions.everyone, digest=digest))
        except StoreError as error:
            log.warning("an unknown cookie could not be looked up: %s", error)
            return None
        if not found:
            self._nobodys.keep(digest, True)
        self._changes += len(found)
        self._take(found)
        return self._by_digest.get(digest)

    # Following the store

    async def follow(self) -> None:
        """Bring in what other processes changed, if anything. Raises StoreError."""
        version = await self._store.read(sessions.version)
        if (version, self._changes) != self._read:
            await self.refresh()
            self._read = version, self._changes

    async def refresh(self) -> None:
        """Read all sessions anew, once more where one came in meanwhile. Raises StoreError."""
        changes = -1
        while changes != self._changes:
            changes = self._changes
            rows = await self._store.read(sessions.everyone)
        self._ended &= rows.keys()
        self._forget(self._by_id.keys() - rows.keys())
        self._take(rows)

    def _changed(self, rows: Mapping[int, SessionRow]) -> None:
        """Take in what this process changed, and say so to the others."""
        self._changes += 1
        self._take(rows)
        self._send("sessions", None)

    def _take(self, rows: Mapping[int, SessionRow]) -> None:
        """Take sessions in. A machine's clock that jumps ends none that is known already, and lets none live longer than it should."""
        now, wall = time.monotonic(), time.time()
        for session_id, row in rows.items():
            known = self._by_id.get(session_id)
            if session_id in self._ended or (known is not None and known.digest == row.digest):
                continue
            ends = now + min(LIFETIME_S, row.ends - wall) if known is None else known.ends
            if known is not None:
                self._by_digest.pop(known.digest, None)
            self._by_digest[row.digest] = self._by_id[session_id] = Session(session_id, row.key_id, row.digest, ends)

    def _forget(self, ids: Iterable[int]) -> None:
        for session_id in ids:
            session = self._by_id.pop(session_id, None)
            if session is not None:
                self._by_digest.pop(session.digest, None)

    async def _begin(self, caller: Caller, secret: str, ticket: str | None) -> Session:
        now = time.time()
        row = SessionRow(digest_of(secret), caller.key_id, caller.role.value, now, now + LIFETIME_S, ticket)
        per_key, most = self._per_key, self._most
        session_id, gone = await self._written(lambda c: sessions.begin(c, row, per_key=per_key, most=most))
        self._forget(gone)
        self._changed({session_id: row})
        return self._by_id[session_id]

    async def _written(self, work: Callable[[Any], T]) -> T:
        return await self._in_time(self._store.writer.call(work))

    async def _in_time(self, waiting: Awaitable[T]) -> T:
        try:
            return await asyncio.wait_for(waiting, PATIENCE_S)
        except TimeoutError:
            raise StoreError("it did not answer in time") from None


def secret_of(cookie_header: str) -> str | None:
    """The secret of a session in a Cookie header."""
    return browsers.cookie_in(cookie_header, COOKIE)
