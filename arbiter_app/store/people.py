"""People, and the invitations by which they come in: rows that hold the digest of a link's code, never the code."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from arbiter_app.pipeline.types import Json, ProjectRole, Role
from arbiter_app.store import audit
from arbiter_app.store.tables import Invitation, Membership, Person, table

PREFIX = "per_"
"""What ids of people begin with, so that none is that of a key."""

_PEOPLE, _INVITATIONS, _MEMBERSHIPS = table(Person), table(Invitation), table(Membership)


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
    memberships: tuple[tuple[str, ProjectRole], ...] = ()
    """Projects and the roles there, in the order in which they came in."""


@dataclass(frozen=True, slots=True)
class StoredInvitation:
    """A link that has not been used. `digest` is the SHA-256 of its code in hex; times in unix seconds."""

    id: str
    digest: str
    email: str
    created: float
    expires: float
    project_id: str
    role: str


def everyone(connection: Connection, *, person_id: str | None = None) -> dict[str, StoredPerson]:
    """Every person by id, in the order in which they came, or the one of this id."""
    query = select(_PEOPLE).order_by(_PEOPLE.c.created, _PEOPLE.c.id)
    held = select(_MEMBERSHIPS).order_by(_MEMBERSHIPS.c.created, _MEMBERSHIPS.c.project_id)
    if person_id is not None:
        query, held = query.where(_PEOPLE.c.id == person_id), held.where(_MEMBERSHIPS.c.person_id == person_id)
    roles: dict[str, list[tuple[str, ProjectRole]]] = {}
    for row in connection.execute(held):
        roles.setdefault(row.person_id, []).append((row.project_id, ProjectRole(row.role)))
    found = connection.execute(query).mappings()
    return {row["id"]: StoredPerson(**row, memberships=tuple(roles.get(row["id"], ()))) for row in found}


def version(connection: Connection) -> tuple[float, ...]:
    """Another value whenever a person came or changed."""
    changed = _PEOPLE.c.changed
    return tuple(connection.execute(select(func.count(), func.max(changed), func.sum(changed))).one())


def invitations(connection: Connection, now: float) -> list[StoredInvitation]:
    """Those that still work, oldest first."""
    query = select(_INVITATIONS).where(_INVITATIONS.c.expires > now).order_by(_INVITATIONS.c.created)
    return [StoredInvitation(**row) for row in connection.execute(query).mappings()]


def invite(connection: Connection, row: StoredInvitation, most: int, now: float, act: Json) -> bool:
    """Keep an invitation in the place of others for the same address and project; False where there are `most` already."""
    same = (_INVITATIONS.c.email == row.email) & (_INVITATIONS.c.project_id == row.project_id)
    same_or_old = same | (_INVITATIONS.c.expires <= now)
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


def is_open(connection: Connection, digest: str, now: float) -> bool:
    """Whether the invitation of this digest can still be used."""
    fits = (_INVITATIONS.c.digest == digest) & (_INVITATIONS.c.expires > now)
    return connection.execute(select(_INVITATIONS.c.digest).where(fits)).first() is not None


def accept(connection: Connection, digest: str, name: str, now: float, act: Json) -> StoredPerson | None:
    """Use up the invitation of this digest: its person, new unless the address is known; None where it does not work, or who it is for
    may not sign in. `act` is the entry of the audit log, which names the person."""
    fits = (_INVITATIONS.c.digest == digest) & (_INVITATIONS.c.expires > now)
    invited = connection.execute(
        select(_INVITATIONS.c.email, _INVITATIONS.c.project_id, _INVITATIONS.c.role).where(fits)
    ).first()
    if invited is None or connection.execute(delete(_INVITATIONS).where(fits)).rowcount != 1:
        return None
    email = invited.email
    known = connection.execute(select(_PEOPLE).where(_PEOPLE.c.email == email)).mappings().first()
    if known is not None and known["disabled"]:
        return None
    person_id = f"{PREFIX}{secrets.token_hex(6)}" if known is None else known["id"]
    if known is None:
        role = Role.OPERATOR if invited.role == Role.OPERATOR else Role.CALLER
        _insert(connection, StoredPerson(person_id, email, name, role.value, now, now, False))
    elif invited.role == Role.OPERATOR:
        connection.execute(update(_PEOPLE).where(_PEOPLE.c.id == person_id).values(role=invited.role, changed=now))
    if invited.project_id:
        _join(connection, person_id, invited.project_id, invited.role, now)
    audit.add(connection, {**act, "key_id": person_id, "email": email, "subject": person_id})
    return everyone(connection, person_id=person_id)[person_id]


def enter(
    connection: Connection, email: str, name: str, role: str | None, now: float, act: Json
) -> StoredPerson | None:
    """The person of an address that somebody else vouches for, new with a role where there is none, and one is given; None where nobody
    may sign in. `act` is the entry of the audit log for who is new."""
    known = connection.execute(select(_PEOPLE).where(_PEOPLE.c.email == email)).mappings().first()
    if known is not None:
        return None if known["disabled"] else everyone(connection, person_id=known["id"])[known["id"]]
    if role is None:
        return None
    person = StoredPerson(f"{PREFIX}{secrets.token_hex(6)}", email, name, role, now, now, False)
    audit.add(connection, {**act, "key_id": person.id, "email": email, "subject": person.id})
    _insert(connection, person)
    return person


def put_member(
    connection: Connection, project_id: str, email: str, role: str | None, now: float, act: Json
) -> str | None:
    """Give somebody a role in a project, or take it (None); the person's id, None where nobody has the address. `act` is the entry of
    the audit log, of the project."""
    person_id = connection.execute(select(_PEOPLE.c.id).where(_PEOPLE.c.email == email)).scalar()
    if person_id is None:
        return None
    audit.add(connection, act)
    of_it = (_MEMBERSHIPS.c.person_id == person_id) & (_MEMBERSHIPS.c.project_id == project_id)
    if role is None:
        connection.execute(delete(_MEMBERSHIPS).where(of_it))
        connection.execute(update(_PEOPLE).where(_PEOPLE.c.id == person_id).values(changed=now))
    else:
        _join(connection, person_id, project_id, role, now)
    return str(person_id)


def _insert(connection: Connection, person: StoredPerson) -> None:
    row = asdict(person)
    del row["memberships"]
    connection.execute(insert(_PEOPLE).values(**row))


def _join(connection: Connection, person_id: str, project_id: str, role: str, now: float) -> None:
    """Give a role in the place of any other there; others see by `changed` that something did."""
    of_it = (_MEMBERSHIPS.c.person_id == person_id) & (_MEMBERSHIPS.c.project_id == project_id)
    if connection.execute(update(_MEMBERSHIPS).where(of_it).values(role=role)).rowcount == 0:
        row = {"person_id": person_id, "project_id": project_id, "role": role, "created": now}
        connection.execute(insert(_MEMBERSHIPS).values(**row))
    connection.execute(update(_PEOPLE).where(_PEOPLE.c.id == person_id).values(changed=now))


def change(connection: Connection, person_id: str, given: Mapping[str, Any], now: float, act: Json) -> bool:
    """Change `name` or `disabled` of a person; False when there is none."""
    changed = update(_PEOPLE).where(_PEOPLE.c.id == person_id).values(changed=now, **given)
    if connection.execute(changed).rowcount != 1:
        return False
    audit.add(connection, act)
    return True
