"""API keys: `arb_` + public id + secret + checksum. Only the SHA-256 digest of the whole is stored."""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import orjson
from sqlalchemy import Connection, func, insert, select, update

from arbiter_app.pipeline.types import Json
from arbiter_app.store import audit
from arbiter_app.store.tables import ApiKey, table

PREFIX = "arb_"
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
DEFAULT_PROJECT = "default"
"""The id of the project that is always there."""
_ID_CHARS, _SECRET_CHARS, _CHECK_CHARS = 8, 43, 6

_KEYS = table(ApiKey)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A stored key. `status`: active, paused or revoked. `origin`, `models` and `tolerance` as in `pipeline.types.Caller`; `expires`
    in unix seconds, None where it never does."""

    id: str
    role: str
    email: str
    label: str
    status: str
    created: float
    changed: float
    project_id: str = DEFAULT_PROJECT
    origin: str = ""
    expires: float | None = None
    models: tuple[str, ...] | None = None
    tolerance: float | None = None


@dataclass(frozen=True, slots=True)
class MintedKey:
    """A key that was just made: `secret` is the whole key, shown this once."""

    key: StoredKey
    secret: str


def make_key() -> str:
    """A new random key (256 bits of secret)."""
    body = "".join(secrets.choice(_ALPHABET) for _ in range(_ID_CHARS + _SECRET_CHARS))
    return PREFIX + body + _checksum(body)


def well_formed(key: str) -> bool:
    """Whether a string is a key of ours by form and checksum, without looking it up."""
    body = key[len(PREFIX) : -_CHECK_CHARS]
    return key.startswith(PREFIX) and len(body) == _ID_CHARS + _SECRET_CHARS and key.endswith(_checksum(body))


def public_id(key: str) -> str:
    """The part of a key that may be shown: `arb_` and eight characters."""
    return key[: len(PREFIX) + _ID_CHARS]


def digest_of(key: str) -> str:
    """SHA-256 of a key in hex: right for 256-bit random secrets, and fast."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def mint(
    connection: Connection, *, role: str, email: str, label: str, now: float, act: Json | None = None, **more: Any
) -> MintedKey:
    """Make and store a key; `more` are other fields of `StoredKey`, `act` is the entry of the audit log, which names the key."""
    secret = make_key()
    key = StoredKey(public_id(secret), role, email, label, "active", now, now, **more)
    if act is not None:
        audit.add(connection, {**act, "subject": key.id})
    connection.execute(insert(_KEYS).values(digest=digest_of(secret), **_row(asdict(key))))
    return MintedKey(key, secret)


def rotate(connection: Connection, key_id: str, overlap_s: float, now: float, act: Json) -> MintedKey | None:
    """A new key in the place of one, which stays good for `overlap_s` seconds, and no longer than it was to; None where there is none
    that is good. `act` is the entry of the audit log."""
    old = next(iter(by_digest(connection, key_id=key_id).values()), None)
    if old is None or old.status == "revoked" or (old.expires is not None and old.expires <= now):
        return None
    audit.add(connection, act)
    until = now + overlap_s if old.expires is None else min(old.expires, now + overlap_s)
    connection.execute(update(_KEYS).where(_KEYS.c.id == key_id).values(expires=until, changed=now))
    same = {name: getattr(old, name) for name in ("role", "email", "label", "project_id", "models", "tolerance")}
    return mint(connection, now=now, origin=old.origin or old.id, expires=old.expires, **same)


def change(connection: Connection, key_id: str, given: Mapping[str, Any], now: float, act: Json) -> bool:
    """Change fields of `StoredKey`; False when there is no such key, or it is revoked. `act` is the entry of the audit log."""
    fits = (_KEYS.c.id == key_id) & (_KEYS.c.status != "revoked")
    if connection.execute(update(_KEYS).where(fits).values(changed=now, **_row(given))).rowcount != 1:
        return False
    audit.add(connection, act)
    return True


def note_used(connection: Connection, used: Mapping[str, float]) -> None:
    """When keys were used last, unix seconds."""
    for key_id, at in used.items():
        later = (_KEYS.c.id == key_id) & (func.coalesce(_KEYS.c.last_used, 0.0) < at)
        connection.execute(update(_KEYS).where(later).values(last_used=at))


def last_used(connection: Connection) -> dict[str, float]:
    """When each key was used last, unix seconds; those that never were are not in it."""
    rows = connection.execute(select(_KEYS.c.id, _KEYS.c.last_used).where(_KEYS.c.last_used.is_not(None)))
    return {key_id: float(at) for key_id, at in rows}


def set_status(connection: Connection, key_id: str, status: str, now: float, act: Json | None = None) -> bool:
    """Pause, resume or revoke; a revoked key stays revoked. False when there is no such key. `act` is the entry of the audit log."""
    changed = connection.execute(
        update(_KEYS).where(_KEYS.c.id == key_id, _KEYS.c.status != "revoked").values(status=status, changed=now)
    )
    if changed.rowcount != 1:
        return False
    if act is not None:
        audit.add(connection, act)
    return True


def by_digest(
    connection: Connection, *, digest: str | None = None, key_id: str | None = None, since: float | None = None
) -> Mapping[str, StoredKey]:
    """Every key by its digest, or the one with this digest or id, or those changed since."""
    query = select(_KEYS).order_by(_KEYS.c.created)
    if digest is not None:
        query = query.where(_KEYS.c.digest == digest)
    if key_id is not None:
        query = query.where(_KEYS.c.id == key_id)
    if since is not None:
        query = query.where(_KEYS.c.changed >= since)
    rows = connection.execute(query)
    return {row["digest"]: _key(dict(row)) for row in rows.mappings()}


def version(connection: Connection) -> tuple[float, ...]:
    """Another value whenever a key was made or changed."""
    changed = _KEYS.c.changed
    return tuple(connection.execute(select(func.count(), func.max(changed), func.sum(changed))).one())


def _row(given: Mapping[str, Any]) -> dict[str, Any]:
    """Columns of a key's fields."""
    row = dict(given)
    if row.get("models") is not None:
        row["models"] = orjson.dumps(row["models"]).decode()
    return row


def _key(row: Mapping[str, Any]) -> StoredKey:
    named = {one.name: row[one.name] for one in fields(StoredKey)}
    if named["models"] is not None:
        named["models"] = tuple(orjson.loads(named["models"]))
    return StoredKey(**named)


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(_CHECK_CHARS):
        number, digit = divmod(number, len(_ALPHABET))
        digits += _ALPHABET[digit]
    return digits
