"""People, and the invitations by which they come in: rows that hold the digest of a link's code, never the code."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from arbiter_app.pipeline.types import Json, Role
from arbiter_app.store import audit
from arbiter_app.store.tables import Invitation, Person, table

PREFIX = "per_"
"""What ids of people begin with, so that none is that of a key."""

_PEOPLE, _INVITATIONS = table(Person), table(Invitation)


@dataclass(frozen=True, slots=True)
class StoredPerson:
    """Somebody who signs in without a key. `email` is in lower case; times in unix seconds."""

    id: str
    email: str
    name: str
    role: str
    created: float
    changed: float
    disabled: bool


@dataclass(frozen=True, slots=True)
class StoredInvitation:
    """A link that has not been used. `digest` is the SHA-256 of its code in hex; times in unix seconds."""

    id: str
    digest: str
    email: str
    created: float
    expires: float


def everyone(connection: Connection, *, person_id: str | None = None) -> dict[str, StoredPerson]:
    """Every person by id, in the order in which they came, or the one of this id."""
    query = select(_PEOPLE).order_by(_PEOPLE.c.created, _PEOPLE.c.id)
    if person_id is not None:
        query = query.where(_PEOPLE.c.id == person_id)
    return {row["id"]: StoredPerson(**row) for row in connection.execute(query).mappings()}


def version(connection: Connection) -> tuple[float, ...]:
    """Another value whenever a person came or changed."""
    changed = _PEOPLE.c.changed
    return tuple(connection.execute(select(func.count(), func.max(changed), func.sum(changed))).one())


def invitations(connection: Connection, now: float) -> list[StoredInvitation]:
    """Those that still work, oldest first."""
    query = select(_INVITATIONS).where(_INVITATIONS.c.expires > now).order_by(_INVITATIONS.c.created)
    return [StoredInvitation(**row) for row in connection.execute(query).mappings()]


def invite(connection: Connection, row: StoredInvitation, most: int, now: float, act: Json) -> bool:
    """Keep an invitation in the place of others for the same address; False where there are `most` already."""
    same_or_old = (_INVITATIONS.c.email == row.email) | (_INVITATIONS.c.expires <= now)
    connection.execute(delete(_INVITATIONS).where(same_or_old))
    if connection.execute(select(func.count()).select_from(_INVITATIONS)).scalar_one() >= most:
        return False
    audit.add(connection, act)
    connection.execute(insert(_INVITATIONS).values(**asdict(row)))
    return True


def withdraw(connection: Connection, invitation_id: str, act: Json) -> bool:
    """Let an invitation work no longer; False when there is none."""
    if connection.execute(delete(_INVITATIONS).where(_INVITATIONS.c.id == invitation_id)).rowcount != 1:
        return False
    audit.add(connection, act)
    return True


def accept(connection: Connection, digest: str, name: str, now: float, act: Json) -> StoredPerson | None:
    """Use up the invitation of this digest: its person, new unless the address is known; None where it does not work, or who it is for
    may not sign in. `act` is the entry of the audit log, which names the person."""
    fits = (_INVITATIONS.c.digest == digest) & (_INVITATIONS.c.expires > now)
    email = connection.execute(select(_INVITATIONS.c.email).where(fits)).scalar()
    if email is None or connection.execute(delete(_INVITATIONS).where(fits)).rowcount != 1:
        return None
    known = connection.execute(select(_PEOPLE).where(_PEOPLE.c.email == email)).mappings().first()
    if known is not None and known["disabled"]:
        return None
    person = StoredPerson(f"{PREFIX}{secrets.token_hex(6)}", email, name, Role.OPERATOR.value, now, now, False)
    if known is None:
        connection.execute(insert(_PEOPLE).values(**asdict(person)))
    else:
        person = StoredPerson(**known)
    audit.add(connection, {**act, "key_id": person.id, "email": email, "subject": person.id})
    return person


def enter(
    connection: Connection, email: str, name: str, role: str | None, now: float, act: Json
) -> StoredPerson | None:
    """The person of an address that somebody else vouches for, new with a role where there is none, and one is given; None where nobody
    may sign in. `act` is the entry of the audit log for who is new."""
    known = connection.execute(select(_PEOPLE).where(_PEOPLE.c.email == email)).mappings().first()
    if known is not None:
        return None if known["disabled"] else StoredPerson(**known)
    if role is None:
        return None
    person = StoredPerson(f"{PREFIX}{secrets.token_hex(6)}", email, name, role, now, now, False)
    audit.add(connection, {**act, "key_id": person.id, "email": email, "subject": person.id})
    connection.execute(insert(_PEOPLE).values(**asdict(person)))
    return person


def change(connection: Connection, person_id: str, given: Mapping[str, Any], now: float, act: Json) -> bool:
    """Change `name` or `disabled` of a person; False when there is none."""
    changed = update(_PEOPLE).where(_PEOPLE.c.id == person_id).values(changed=now, **given)
    if connection.execute(changed).rowcount != 1:
        return False
    audit.add(connection, act)
    return True
