"""Contents that were kept for their callers: rows by key and id, each until it expires. What is in a body the store does not know."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, tuple_

from arbiter_app.store.tables import Content, table

STEP = 100
IDS = 400

_CONTENTS = table(Content)


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
            _CONTENTS.c.key_id == key_id, asked, _CONTENTS.c.expires > now
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
