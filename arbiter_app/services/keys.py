"""Who is calling: keys by digest in memory, the operator's own keys, limits of minted ones."""

from __future__ import annotations

import asyncio
import logging
import math
import re
from collections.abc import Callable, Mapping

from arbiter_app.pipeline.errors import Forbidden, KeyPaused, NotFound, RateLimited, Unauthorized, Unprocessable
from arbiter_app.pipeline.types import Caller, Json, Role
from arbiter_app.policy.values import Recent
from arbiter_app.settings import Settings
from arbiter_app.store import Key, MintedKey, Store, StoreError
from arbiter_app.store.keys import digest_of, well_formed

log = logging.getLogger("arbiter.keys")

_EMAIL = re.compile(r"[^@\s\x00-\x1f\x7f]{1,64}@[^@\s.\x00-\x1f\x7f]{1,63}(?:\.[^@\s.\x00-\x1f\x7f]{1,63}){1,8}")
SETTINGS_KEY = "settings"
REMEMBERED = 1_024
"""Callers whose key need not be digested again: in memory, until any key changes."""


class Keys:
    """Authentication and key management. `refresh` brings in what other processes changed."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._operators = {digest_of(key): at for at, key in enumerate(settings.api_keys, 1)}
        self._by_digest: Mapping[str, Key] = {}
        self._by_id: dict[str, Key] = {}
        self._version: tuple[float, ...] = ()
        self._callers: Recent[str, Caller] = Recent(REMEMBERED)
        self._reading = asyncio.Lock()
        self.sessions: Callable[[str], str | None] = lambda cookie_header: None
        """The web app's sign-in: the key id behind a Cookie header. Nobody is signed in where there are no pages."""

    async def refresh(self) -> None:
        """Read the keys anew. One reading at a time, so that an older one never replaces a newer."""
        async with self._reading:
            self._version = await self._store.keys_version()
            self._take(await self._store.keys())

    async def follow(self) -> None:
        """Bring in what other processes changed, if anything."""
        if await self._store.keys_version() != self._version:
            await self.refresh()

    async def ensure_operator(self) -> MintedKey | None:
        """Make an operator key when there is none at all; returned once, to be printed."""
        await self.refresh()
        if self._operators or any(key.role == "operator" and key.status != "revoked" for key in self._by_id.values()):
            return None
        minted = await self._store.mint_key(role="operator", email="", label="made at first start")
        await self.refresh()
        return minted

    def authenticate(self, secret: str) -> Caller:
        """The caller behind a key. Raises Unauthorized; a paused key authenticates (see `may_route`)."""
        found = self._callers.get(secret)
        if found is None:
            found = self._callers.keep(secret, self._authenticate(secret))
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
        """The present state of a key by its public id; None once it is revoked or unknown."""
        name, _, at = key_id.rpartition("-")
        if name == SETTINGS_KEY and at.isdigit() and int(at) in self._operators.values():
            return Caller(key_id, Role.OPERATOR)
        key = self._by_id.get(key_id)
        return _caller(key) if key is not None and key.status != "revoked" else None

    def session_caller(self, cookie_header: str) -> Caller | None:
        """The caller whom a browser signed in as, at its present state."""
        key_id = self.sessions(cookie_header)
        return None if key_id is None else self.caller(key_id)

    def may_route(self, caller: Caller) -> None:
        """Raises KeyPaused for a paused key."""
        if caller.status == "paused":
            raise KeyPaused("this API key is paused; resume it with POST /v1/key/resume")

    async def count(self, caller: Caller) -> None:
        """Count one routed request of a minted key. Raises RateLimited with the seconds to wait.

        While the store refuses writes nothing can be counted, and requests go on.
        """
        if caller.role is not Role.CALLER:
            return
        try:
            full = await self._store.reserve(caller.key_id, self.limits)
        except StoreError as error:
            log.warning("a request is routed uncounted: %s", error)
            return
        if full is not None:
            kind, window = full
            length = "6 hours" if kind == "six_hours" else "week"
            raise RateLimited(
                f"this key may route {self.limits[kind]} requests in a {length} and has used them; "
                f"the window starts anew in {math.ceil(window.resets_in_s)} s",
                retry_after_s=window.resets_in_s,
            )

    async def uncount(self, caller: Caller) -> None:
        """Give a counted request back: no model was asked."""
        if caller.role is not Role.CALLER:
            return
        try:
            await self._store.refund(caller.key_id)
        except StoreError as error:
            log.warning("a refused request stays counted: %s", error)

    @property
    def limits(self) -> dict[str, int]:
        """Routed requests a minted key may make, by window."""
        return {"six_hours": self._settings.limit_6h, "week": self._settings.limit_week}

    async def register(self, email: str) -> str:
        """Mint a caller's key for an e-mail address; returns the key, shown this once."""
        address = email.strip()
        if not _EMAIL.fullmatch(address):
            raise Unprocessable(f"{email[:80]!r} is not an e-mail address", param="email")
        return (await self.mint("caller", address, "sign-up")).secret

    async def mint(self, role: str, email: str, label: str) -> MintedKey:
        """Make a key of any role."""
        minted = await self._store.mint_key(role=role, email=email, label=label)
        await self.refresh()
        return minted

    async def set_status(self, key_id: str, status: str) -> None:
        """Pause, resume (`active`) or revoke a key."""
        if key_id.startswith(f"{SETTINGS_KEY}-"):
            raise Forbidden("this key comes from ARBITER_API_KEYS; change it there")
        if not await self._store.set_key_status(key_id, status):
            raise NotFound(f"no key {key_id} that can be changed")
        await self.refresh()

    async def info(self, caller: Caller) -> Json:
        """A key's state and its usage against the limits."""
        used = await self._store.usage(caller.key_id)
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

    def listing(self) -> list[Json]:
        """Every stored key, without its secret."""
        return [
            {
                "key_id": key.id,
                "email": key.email,
                "label": key.label,
                "role": key.role,
                "status": key.status,
                "created": key.created,
            }
            for key in self._by_id.values()
        ]

    def _take(self, by_digest: Mapping[str, Key]) -> None:
        self._by_digest = by_digest
        self._callers.clear()
        self._by_id = {key.id: key for key in by_digest.values()}


def _caller(key: Key) -> Caller:
    return Caller(key.id, Role(key.role), key.email, key.status)
