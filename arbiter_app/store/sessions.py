"""Browsers that are signed in: rows that hold digests, never the secret of a cookie."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, case, delete, func, insert, select, update

from arbiter_app.pipeline.types import Role
from arbiter_app.store.tables import StoredSession, table

STEP = 1_000

_SESSIONS = table(StoredSession)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A signed-in browser. `began` and `ends` in unix seconds; digests are SHA-256 in hex. `ticket` is that of the code by which a page
    fetches its cookie once, None where there is none, or no longer."""

    digest: str
    key_id: str
    role: str
    began: float
    ends: float
    ticket: str | None = None


Version = tuple[int, ...]
"""Another value than when the store was read last, where a session that was read has ended or got its cookie, or another one is there."""


def begin(connection: Connection, row: SessionRow, *, per_key: int, most: int) -> tuple[int, list[int]]:
    """Keep a session; returns its id, and those of the sessions that gave way: the oldest of its own key beyond `per_key`, and beyond
    `most` in all the oldest of the key that has most, those of callers before those of operators."""
    own = select(_SESSIONS.c.id).where(_SESSIONS.c.key_id == row.key_id).order_by(_SESSIONS.c.id.desc())
    gone = list(connection.execute(own).scalars())[per_key - 1 :]
    end(connection, gone)
    if connection.execute(select(func.count()).select_from(_SESSIONS)).scalar_one() >= most:
        operators = func.max(case((_SESSIONS.c.role == Role.OPERATOR.value, 1), else_=0))
        heaviest = select(func.min(_SESSIONS.c.id)).group_by(_SESSIONS.c.key_id)
        oldest = connection.execute(heaviest.order_by(operators, func.count().desc()).limit(1)).scalar_one()
        end(connection, [oldest])
        gone.append(oldest)
    made = connection.execute(insert(_SESSIONS).values(**asdict(row)))
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0]), gone


def redeem(connection: Connection, ticket: str, digest: str, since: float) -> dict[int, SessionRow]:
    """Give the session of a ticket a cookie of this digest, if it began `since`; a ticket works once. The session by its id, if any."""
    fits = (_SESSIONS.c.ticket == ticket) & (_SESSIONS.c.began >= since)
    found = connection.execute(update(_SESSIONS).where(fits).values(ticket=None, digest=digest))
    return everyone(connection, digest=digest) if found.rowcount == 1 else {}


def end(connection: Connection, ids: Sequence[int]) -> None:
    """Sign out."""
    if ids:
        connection.execute(delete(_SESSIONS).where(_SESSIONS.c.id.in_(ids)))


def everyone(connection: Connection, *, digest: str | None = None) -> dict[int, SessionRow]:
    """Every session by its id, or the one whose cookie has this digest."""
    query = select(_SESSIONS)
    if digest is not None:
        query = query.where(_SESSIONS.c.digest == digest)
    rows = [dict(row) for row in connection.execute(query).mappings()]
    return {row.pop("id"): SessionRow(**row) for row in rows}


def version(connection: Connection) -> Version:
    """See `Version`."""
    newest, tickets = func.coalesce(func.max(_SESSIONS.c.id), 0), func.count(_SESSIONS.c.ticket)
    return tuple(connection.execute(select(func.count(_SESSIONS.c.id), newest, tickets)).one())


def retire(connection: Connection, now: float) -> int:
    """Remove what has run out, at most STEP of it; returns how many went."""
    old = select(_SESSIONS.c.id).where(_SESSIONS.c.ends <= now).limit(STEP)
    return connection.execute(delete(_SESSIONS).where(_SESSIONS.c.id.in_(old))).rowcount
