"""Contents that were kept for their callers, and those of decisions for their projects: rows by key and id, each until it expires.

What is in a body the store does not know.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, tuple_, update

from arbiter_app.store import decisions
from arbiter_app.store.tables import Content, table

STEP = 100
IDS = 400

HOUR_S = 3_600.0

_CONTENTS = table(Content)


@dataclass(frozen=True, slots=True)
class KeptDecision:
    """The content of a decision, as it is stored, and the decision's row (None once that was retired)."""

    id: str
    key_id: str
    project_id: str
    made: float
    expires: float
    encrypted: bool
    body: bytes
    decision: dict[str, Any] | None


def add(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Keep these; one of the same key and id is replaced."""
    same = [(row["key_id"], row["id"]) for row in rows]
    connection.execute(delete(_CONTENTS).where(tuple_(_CONTENTS.c.key_id, _CONTENTS.c.id).in_(same)))
    connection.execute(insert(_CONTENTS), list(rows))


def find(
    connection: Connection, key_id: str, ids: Sequence[str], now: float, *, responses: bool
) -> dict[str, tuple[bool, bytes]]:
    """Those of a key's contents that have not expired, by id: whether each is encrypted, and its body. `responses`: those alone."""
    found: dict[str, tuple[bool, bytes]] = {}
    for start in range(0, len(ids), IDS):
        asked = _CONTENTS.c.id.in_(ids[start : start + IDS])
        query = select(_CONTENTS.c.id, _CONTENTS.c.encrypted, _CONTENTS.c.body).where(
            _CONTENTS.c.key_id == key_id, asked, _CONTENTS.c.expires > now, _CONTENTS.c.project_id == ""
        )
        if responses:
            query = query.where(_CONTENTS.c.response_id == _CONTENTS.c.id)
        found |= {name: (bool(encrypted), body) for name, encrypted, body in connection.execute(query)}
    return found


def remove(connection: Connection, key_id: str, response_id: str, now: float) -> bool:
    """Delete one response of a key with all that belongs to it; whether there was one."""
    mine = (_CONTENTS.c.key_id == key_id) & (_CONTENTS.c.response_id == response_id) & (_CONTENTS.c.expires > now)
    return connection.execute(delete(_CONTENTS).where(mine)).rowcount > 0


def retire(connection: Connection, now: float, most_bytes: int) -> int:
    """Delete what has expired, and the oldest of what is more than `most_bytes` in all, at most STEP rows; returns how many went."""
    query = select(_CONTENTS.c.key_id, _CONTENTS.c.id, _CONTENTS.c.expires, _CONTENTS.c.size)
    oldest = connection.execute(query.order_by(_CONTENTS.c.expires).limit(STEP)).all()
    if not oldest:
        return 0
    over = int(connection.execute(select(func.sum(_CONTENTS.c.size))).scalar_one()) - most_bytes
    going = []
    for key_id, name, expires, size in oldest:
        if expires > now and over <= 0:
            break
        going.append((key_id, name))
        over -= size
    if going:
        connection.execute(delete(_CONTENTS).where(tuple_(_CONTENTS.c.key_id, _CONTENTS.c.id).in_(going)))
    return len(going)


def of_decisions(
    connection: Connection,
    *,
    projects: Sequence[str] | None,
    now: float,
    limit: int,
    before: str | None = None,
    decision_id: str | None = None,
) -> list[KeptDecision]:
    """Contents of decisions that have not expired, newest first: of these projects (None: of all), older than `before`, or of one."""
    one = _CONTENTS.c
    query = select(one.id, one.key_id, one.project_id, one.made, one.expires, one.encrypted, one.body)
    query = query.where(one.project_id != "" if projects is None else one.project_id.in_(projects), one.expires > now)
    if decision_id is not None:
        query = query.where(one.id == decision_id)
    if before is not None:
        query = query.where(one.id < before)
    rows = connection.execute(query.order_by(one.id.desc()).limit(limit)).all()
    known = decisions.rows_of(connection, [row.id for row in rows])
    return [KeptDecision(*row, decision=known.get(row.id)) for row in rows]


def has_decision(connection: Connection, decision_id: str, projects: Sequence[str] | None, now: float) -> bool:
    """Whether there is the content of one decision that has not expired, in these projects (None: in any)."""
    one = _CONTENTS.c
    theirs = one.project_id != "" if projects is None else one.project_id.in_(projects)
    return (
        connection.execute(select(one.id).where(one.id == decision_id, theirs, one.expires > now)).first() is not None
    )


def remove_decision(connection: Connection, decision_id: str, projects: Sequence[str] | None) -> bool:
    """Delete the content of one decision; whether there was one."""
    one = _CONTENTS.c
    theirs = one.project_id != "" if projects is None else one.project_id.in_(projects)
    return connection.execute(delete(_CONTENTS).where(one.id == decision_id, theirs)).rowcount > 0


def shorten(connection: Connection, project_id: str, hours: float) -> None:
    """Let a project's contents expire so many hours after they were made, where that is sooner; with 0 they are gone at once."""
    one = _CONTENTS.c
    if hours <= 0:
        connection.execute(delete(_CONTENTS).where(one.project_id == project_id))
        return
    sooner = one.made + hours * HOUR_S
    connection.execute(
        update(_CONTENTS).where(one.project_id == project_id, one.expires > sooner).values(expires=sooner)
    )
