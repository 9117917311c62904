"""API keys: `arb_` + public id + secret + checksum. Only the SHA-256 digest of the whole is stored."""

from __future__ import annotations

import hashlib
import secrets
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from arbiter_app.store.tables import ApiKey, table

PREFIX = "arb_"
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_ID_CHARS, _SECRET_CHARS, _CHECK_CHARS = 8, 43, 6

_KEYS = table(ApiKey)


@dataclass(frozen=True, slots=True)
class StoredKey:
    """A stored key. `status`: active, paused or revoked."""

    id: str
    role: str
    email: str
    label: str
    status: str
    created: float
    changed: float


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


def mint(connection: Connection, *, role: str, email: str, label: str, now: float) -> MintedKey:
    """Make and store a key."""
    secret = make_key()
    key = StoredKey(public_id(secret), role, email, label, "active", now, now)
    row = {"id": key.id, "digest": digest_of(secret), "role": role, "email": email, "label": label}
    connection.execute(insert(_KEYS).values(**row, status="active", created=now, changed=now))
    return MintedKey(key, secret)


def set_status(connection: Connection, key_id: str, status: str, now: float) -> bool:
    """Pause, resume or revoke; a revoked key stays revoked. False when there is no such key."""
    changed = connection.execute(
        update(_KEYS).where(_KEYS.c.id == key_id, _KEYS.c.status != "revoked").values(status=status, changed=now)
    )
    return changed.rowcount == 1


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
    return {
        row.digest: StoredKey(row.id, row.role, row.email, row.label, row.status, row.created, row.changed)
        for row in rows
    }


def version(connection: Connection) -> tuple[float, ...]:
    """Another value whenever a key was made or changed."""
    changed = _KEYS.c.changed
    return tuple(connection.execute(select(func.count(), func.max(changed), func.sum(changed))).one())


def _checksum(body: str) -> str:
    number = zlib.crc32(body.encode())
    digits = ""
    for _ in range(_CHECK_CHARS):
        number, digit = divmod(number, len(_ALPHABET))
        digits += _ALPHABET[digit]
    return digits
