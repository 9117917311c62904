"""The audit log: who changed what, from what, to what. Rows are added and read; nothing changes or removes one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection, insert, select

from arbiter_app.store.tables import AuditEntry, table

_AUDIT = table(AuditEntry)


def add(connection: Connection, row: Mapping[str, Any]) -> None:
    """Keep one entry, in the transaction of what it tells of. `before` and `after` are JSON values, None for nothing."""
    told = {name: None if row[name] is None else orjson.dumps(row[name]).decode() for name in ("before", "after")}
    connection.execute(insert(_AUDIT).values(**{**row, **told}))


def newest(
    connection: Connection, *, limit: int, before: int | None = None, subject: str | None = None
) -> list[dict[str, Any]]:
    """Entries newest first, older than the cursor `before` (an `id`), of one subject or of all."""
    query = select(_AUDIT).order_by(_AUDIT.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(_AUDIT.c.id < before)
    if subject is not None:
        query = query.where(_AUDIT.c.subject == subject)
    return [_row(dict(row._mapping)) for row in connection.execute(query)]


def _row(row: dict[str, Any]) -> dict[str, Any]:
    told = {name: None if row[name] is None else orjson.loads(row[name]) for name in ("before", "after")}
    return {**row, **told}
