"""Who is calling: keys by digest in memory, the operator's own keys, limits of minted ones."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import Callable, Mapping
from typing import Any

from arbiter_app.notices import bounds
from arbiter_app.pipeline.errors import (
    ArbiterError,
    Forbidden,
    NotFound,
    Overloaded,
    RateLimited,
    Unauthorized,
    Unprocessable,
)
from arbiter_app.pipeline.plain import is_digits, is_email, quoted
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.policy.clearing_cache import ClearingCache
from arbiter_app.services.allowance import Allowance
from arbiter_app.services.audit import entry
from arbiter_app.services.people import People, is_person, name_of
from arbiter_app.services.rows.keys import KeyRow, KeyUsage
from arbiter_app.services.sessions import Sessions
from arbiter_app.settings import Settings
from arbiter_app.store import MintedKey, Store, StoredKey, StoreError
from arbiter_app.store.keys import digest_of, note_used, well_formed
from arbiter_app.store.usage import Window

log = logging.getLogger("arbiter.keys")

SETTINGS_KEY = "settings"
LOOKUPS_PER_S, LOOKUPS_BURST = 20, 40
"""Keys unknown here that are looked up in the database, in case another process made them: guessing costs it no more."""
OVERLAP_S = 60.0
"""Clocks of other processes may be behind by so much."""
HOUR_S = 3_600.0
EVERYBODY = ""
REMEMBERED = 1_024
"""Callers whose key need not be digested again: in memory, until any key changes."""


class LimitReached(RateLimited):
    """A key's own limit is used up; `windows` says of which of its windows how much is."""

    def __init__(self, message: str, *, retry_after_s: float, windows: Mapping[str, Window]) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.windows = windows


class Keys:
    """Authentication and key management. `refresh` brings in what other processes changed, `send` tells them of changes here.

    `sessions` are the browsers that are signed in, by the cookies they send.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        send: Callable[[str, Any], None] = lambda kind, data: None,
        sessions: Sessions | None = None,
        people: People | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self.limits = {"six_hours": settings.limit_6h, "week": settings.limit_week}
        """Routed requests a minted key may make, by window."""
        self._operators = {digest_of(key): at for at, key in enumerate(settings.api_keys, 1)}
        self._by_digest: dict[str, StoredKey] = {}
        self._by_id: dict[str, StoredKey] = {}
        self._version: tuple[float, ...] = ()
        self._callers: ClearingCache[str, Caller] = ClearingCache(REMEMBERED)
        self._used: dict[str, float] = {}
        self._latest = 0.0
        self._own = False
        self._reading = asyncio.Lock()
        self._lookups = Allowance(LOOKUPS_BURST, LOOKUPS_BURST / LOOKUPS_PER_S)
        self._signups = {
            "signups_in_all": Allowance(settings.signups_per_hour, HOUR_S),
            "signups_of_an_address": Allowance(settings.signups_per_address, HOUR_S),
            "signups_of_an_email": Allowance(settings.signups_per_email, HOUR_S),
        }
        self._send = send
        self._sessions = sessions
        self._people = people
        self.stale = asyncio.Event()
        """Set when another process says that it changed keys."""

    async def refresh(self) -> None:
        """Read the keys anew. One reading at a time, so that an older one never replaces a newer."""
        async with self._reading:
            self._version = await self._store.keys_version()
            rows = await self._store.keys()
            self._by_digest, self._by_id = {}, {}
            self._take(rows)

    async def follow(self) -> None:
        """Bring in what other processes changed, if anything: the keys changed lately, or all when it is none of those."""
        version = await self._store.keys_version()
        if version == self._version:
            return
        async with self._reading:
            own, self._own = self._own, False
            changed = self._take(await self._store.keys(since=self._latest - OVERLAP_S)) or own
        if changed:
            self._version = version
        else:
            await self.refresh()

    async def look_up(self, secret: str) -> bool:
        """Whether a key that is unknown here is known to the database, made by another process a moment ago."""
        if not well_formed(secret):
            return False
        digest = digest_of(secret)
        if digest in self._by_digest:
            return True
        if self._lookups.take(EVERYBODY) > 0:
            bounds.count(
                "key_lookups", f"more than {LOOKUPS_PER_S} unknown keys in a second; the rest are not looked up"
            )
            return False
        try:
            found = await self._store.keys(digest=digest)
        except StoreError as error:
            log.warning("an unknown key could not be looked up: %s", error)
            return False
        self._take(found)
        return bool(found)

    async def ensure_operator(self) -> MintedKey | None:
        """Make an operator key when there is none at all; returned once, to be printed."""
        await self.refresh()
        if self._operators or any(key.role == "operator" and key.status != "revoked" for key in self._by_id.values()):
            return None
        return await self.mint("operator", "", "made at first start")

    def authenticate(self, secret: str) -> Caller:
        """The caller behind a key. Raises Unauthorized; a paused key authenticates, and may not ask (see `RequestService`)."""
        found = self._callers.get(secret)
        if found is None:
            found = self._callers.keep(secret, self._authenticate(secret))
        if found.role is not Role.ANONYMOUS and found.key_id in self._by_id:
            now = time.time()
            if found.expires is not None and now >= found.expires:
                raise Unauthorized("this API key has expired; ask the operator for another", code="key_expired")
            self._used[found.key_id] = now
        return found

    def _authenticate(self, secret: str) -> Caller:
        digest = digest_of(secret)
        at = self._operators.get(digest)
        if at is not None:
            return Caller(f"{SETTINGS_KEY}-{at}", Role.OPERATOR)
        key = self._by_digest.get(digest)
        if key is None:
            why = "unknown" if well_formed(secret) else "malformed"
            raise Unauthorized(f"this API key is {why}; send a key of this Arbiter as `Authorization: Bearer arb_...`")
        if key.status == "revoked":
            raise Unauthorized("this API key was revoked", code="key_revoked")
        return _caller(key)

    def caller(self, key_id: str) -> Caller | None:
        """The present state of a key by its public id, or of a person; None once it is revoked or unknown."""
        if self._people is not None and is_person(key_id):
            return self._people.known(key_id)
        name, _, at = key_id.rpartition("-")
        if name == SETTINGS_KEY and is_digits(at) and int(at) in self._operators.values():
            return Caller(key_id, Role.OPERATOR)
        key = self._by_id.get(key_id)
        if key is None or key.status == "revoked" or (key.expires is not None and time.time() >= key.expires):
            return None
        return _caller(key)

    async def signed_in(self, cookie_header: str, sid: str = "") -> Caller | None:
        """The caller whom a browser, or an open socket of it, signed in as, at its present state; None for a visitor."""
        key_id = None if self._sessions is None else await self._sessions.key_of(cookie_header, sid)
        if key_id is None:
            return None
        if self._people is not None and is_person(key_id):
            return await self._people.caller(key_id)
        if key_id not in self._by_id and not key_id.startswith(
            f"{SETTINGS_KEY}-"
        ):  # another process made it a moment ago
            try:
                self._take(await self._store.keys(key_id=key_id))
            except StoreError as error:
                log.warning("the key of a session could not be looked up: %s", error)
        return self.caller(key_id)

    async def count(self, caller: Caller) -> dict[str, Window]:
        """Count one routed request of a minted key; the windows of its limits afterwards, none where nothing is limited.

        Raises RateLimited with the seconds to wait and the windows. While the store refuses writes nothing can be counted: requests
        go on, or Overloaded is raised (ARBITER_LIMITS_FAIL).
        """
        if caller.role is not Role.CALLER:
            return {}
        try:
            counted = await self._store.count(caller.line, self.limits)
        except StoreError as error:
            if self._settings.limits_fail == "closed":
                raise Overloaded(
                    f"this key's limits cannot be counted at the moment: {error}",
                    code="store_unavailable",
                    retry_after_s=1.0,
                ) from error
            log.warning("a request is routed uncounted: %s", error)
            return {}
        if kind := counted.full:
            length = "6 hours" if kind == "six_hours" else "a week"
            resets_in_s = counted.windows[kind].resets_in_s
            hours, minutes = divmod(math.ceil(resets_in_s / 60), 60)
            raise LimitReached(
                f"this key may route {self.limits[kind]} requests in {length} and has used them; "
                f"the window starts anew in {f'{hours} h ' if hours else ''}{minutes} min",
                retry_after_s=resets_in_s,
                windows=counted.windows,
            )
        return counted.windows

    async def uncount(self, caller: Caller) -> None:
        """Give a counted request back: no model was asked."""
        if caller.role is not Role.CALLER:
            return
        try:
            await self._store.refund(caller.line)
        except StoreError as error:
            log.warning("a refused request stays counted: %s", error)

    async def register(self, email: str, address: str) -> str:
        """Mint a caller's key for an e-mail address; returns the key, shown this once.

        `address` is where the request comes from. Raises Unprocessable, and RateLimited after too many sign-ups.
        """
        self._check_email(email)
        self._may_sign_up(address, email)
        self.count_sign_up(address, email)
        self._send("signup", [address, email])
        return (await self.mint("caller", email, "sign-up")).secret

    def _check_email(self, email: str) -> None:
        if not is_email(email.strip()):
            raise Unprocessable(f"{quoted(email)} is not an e-mail address", param="email")

    def count_sign_up(self, address: str, email: str) -> None:
        """Count a sign-up, here or in another process."""
        who = _counted(address, email)
        for kind, allowance in self._signups.items():
            allowance.take(who.get(kind, EVERYBODY))

    def _may_sign_up(self, address: str, email: str) -> None:
        who = _counted(address, email)
        for kind, allowance in self._signups.items():
            wait_s = allowance.wait_s(who.get(kind, EVERYBODY))
            if wait_s > 0:
                bounds.count(kind, "a sign-up was refused: too many in an hour (ARBITER_SIGNUPS_...)")
                raise RateLimited(
                    f"too many sign-ups; try again in {math.ceil(wait_s)} s",
                    code="too_many_signups",
                    retry_after_s=wait_s,
                )

    async def mint(self, role: str, email: str, label: str, by: Caller | None = None) -> MintedKey:
        """Make a key of any role; what somebody did (`by`) is in the audit log, a sign-up is not."""
        if email:
            self._check_email(email)
        given = {"role": role, "email": email.strip(), "label": name_of("label", label) if label else ""}
        act = None if by is None else entry(by, "key.make", "", after=given)
        minted = await self._store.mint_key(**given, act=act)
        self.changed({digest_of(minted.secret): minted.key})
        return minted

    async def set_status(self, by: Caller, key_id: str, status: str) -> None:
        """Pause, resume (`active`) or revoke a key. Raises NotFound and Forbidden."""
        _changeable(key_id)
        known = self.caller(key_id)
        before = None if known is None else {"status": known.status}
        act = entry(by, "key.change", key_id, before=before, after={"status": status})
        async with self._reading:  # what was read before must not be taken in after
            if not await self._store.set_key_status(key_id, status, act):
                raise NotFound(f"no key {quoted(key_id)} that can be changed")
            self.changed(await self._store.keys(key_id=key_id))

    async def info(self, caller: Caller) -> KeyUsage:
        """A key's state and its usage against the limits."""
        used = await self._store.usage(caller.line)
        limited = caller.role is Role.CALLER
        return {
            "key_id": caller.key_id,
            "email": caller.email,
            "role": caller.role.value,
            "status": caller.status,
            "used_6h": used["six_hours"].used,
            "limit_6h": self._settings.limit_6h if limited else None,
            "used_week": used["week"].used,
            "limit_week": self._settings.limit_week if limited else None,
        }

    async def identify(self, secret: str) -> Caller | None:
        """Whose key this is; None when it is malformed, unknown or revoked."""
        await self.look_up(secret)
        try:
            return self.authenticate(secret)
        except ArbiterError:
            return None

    def listing(self) -> list[KeyRow]:
        """Every stored key, without its secret."""
        return [
            {
                "key_id": key.id,
                "email": key.email,
                "label": key.label,
                "role": key.role,
                "status": key.status,
                "created": key.created,
                "project_id": key.project_id,
                "origin": key.origin,
                "expires": key.expires,
                "models": None if key.models is None else list(key.models),
                "tolerance": key.tolerance,
            }
            for key in self._by_id.values()
        ]

    def stored(self, key_id: str) -> StoredKey:
        """A stored key. Raises NotFound, and Forbidden for one of the settings, and for a person."""
        _changeable(key_id)
        key = self._by_id.get(key_id)
        if key is None or key.status == "revoked":
            raise NotFound(f"no key {quoted(key_id)} that can be changed")
        return key

    async def note_used(self) -> None:
        """Write down when keys were used last, where they were since it was done the last time."""
        used, self._used = self._used, {}
        if used:
            await self._store.writer.call(lambda c: note_used(c, used))

    def changed(self, rows: Mapping[str, StoredKey]) -> None:
        """Take in what this process changed, and say so to the others."""
        self._own = True
        self._take(rows)
        self._send("keys", None)

    def _take(self, rows: Mapping[str, StoredKey]) -> bool:
        """Take keys in; whether any of them was not known so."""
        fresh = {digest: key for digest, key in rows.items() if self._by_digest.get(digest) != key}
        self._by_digest.update(fresh)
        self._by_id.update((key.id, key) for key in fresh.values())
        self._latest = max([self._latest, *[key.changed for key in fresh.values()]])
        if fresh:
            self._callers.clear()
        return bool(fresh)


def _counted(address: str, email: str) -> dict[str, str]:
    """Under which names a sign-up counts."""
    return {"signups_of_an_address": address, "signups_of_an_email": email.strip().lower()}


def _changeable(key_id: str) -> None:
    """Raises Forbidden for what is no stored key."""
    if key_id.startswith(f"{SETTINGS_KEY}-"):
        raise Forbidden("this key comes from ARBITER_API_KEYS; change it there")
    if is_person(key_id):
        raise Forbidden("a person has no key that could be changed; see /v1/people")


def _caller(key: StoredKey) -> Caller:
    return Caller(
        key.id,
        Role(key.role),
        key.email,
        key.status,
        project=key.project_id,
        origin=key.origin,
        models=key.models,
        tolerance=key.tolerance,
        expires=key.expires,
    )
