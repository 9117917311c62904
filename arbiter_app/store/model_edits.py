"""What operators said of models: one row a model, laid over the catalog's file at every start."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, delete, func, insert, select

from arbiter_app.store import audit
from arbiter_app.store.tables import StoredModelEdit, table

Version = tuple[float, ...]
_EDITS = table(StoredModelEdit)


def every(connection: Connection) -> tuple[Version, dict[str, dict[str, Any]]]:
    """What is said of each model, and the version of it all."""
    found = version(connection)
    rows = connection.execute(select(_EDITS.c.model, _EDITS.c.body).order_by(_EDITS.c.model))
    return found, {row.model: orjson.loads(row.body) for row in rows}


def version(connection: Connection) -> Version:
    """Another value whenever anything was said."""
    changed = _EDITS.c.changed
    return tuple(connection.execute(select(func.count(), func.max(changed), func.sum(changed))).one())


def write(
    connection: Connection,
    said: Mapping[str, dict[str, Any]],
    acts: Sequence[Mapping[str, Any]],
    now: float,
    known: Version,
) -> Version | None:
    """Say this of these models, with entries of the audit log; nothing said of a model is an empty word, which is kept, too.

    Returns the new version; None, with nothing written, where the version is not `known` any more.
    """
    if version(connection) != known:
        return None
    connection.execute(delete(_EDITS).where(_EDITS.c.model.in_(list(said))))
    rows = [{"model": model, "changed": now, "body": orjson.dumps(body)} for model, body in said.items()]
    if rows:
        connection.execute(insert(_EDITS), rows)
    for act in acts:
        audit.add(connection, act)
    return version(connection)
