"""Reading decisions: one with its trace, a page of a filtered feed, a stretch for export."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, select

from arbiter_app.store.tables import UNANSWERED, Decision, DecisionTrace, table

MAX_PAGE = 500

_DECISIONS, _TRACES = table(Decision), table(DecisionTrace)


@dataclass(frozen=True, slots=True)
class Filter:
    """What a feed is narrowed to; None means any. Times are unix seconds."""

    task: str | None = None
    model: str | None = None
    mode: str | None = None
    status: str | None = None
    key_id: str | None = None
    since: float | None = None
    until: float | None = None


def page(connection: Connection, narrowed: Filter, *, limit: int, before: int | None = None) -> list[dict[str, Any]]:
    """Decisions newest first, older than the cursor `before` (a `seq`)."""
    query = _narrowed(narrowed).order_by(_DECISIONS.c.seq.desc()).limit(max(1, min(limit, MAX_PAGE)))
    if before is not None:
        query = query.where(_DECISIONS.c.seq < before)
    return [_row(row) for row in connection.execute(query)]


def after(connection: Connection, seq: int, limit: int = MAX_PAGE) -> list[dict[str, Any]]:
    """Decisions newer than `seq`, oldest first: what a follower has not seen yet."""
    query = select(_DECISIONS).where(_DECISIONS.c.seq > seq).order_by(_DECISIONS.c.seq).limit(limit)
    return [_row(row) for row in connection.execute(query)]


def stretch(connection: Connection, narrowed: Filter, chunk: int = MAX_PAGE) -> Iterator[dict[str, Any]]:
    """Every decision of a filter, newest first, read in pages so that memory stays flat."""
    before = None
    while rows := page(connection, narrowed, limit=chunk, before=before):
        yield from rows
        before = rows[-1]["seq"]


def one(connection: Connection, decision_id: str) -> dict[str, Any] | None:
    """One decision with its trace (None once the trace has been retired); None when there is no such decision."""
    row = row_of(connection, decision_id)
    if row is None:
        return None
    trace = connection.execute(select(_TRACES.c.body).where(_TRACES.c.id == decision_id)).scalar()
    return {**row, "trace": None if trace is None else orjson.loads(trace)}


def row_of(connection: Connection, decision_id: str) -> dict[str, Any] | None:
    """One decision without its trace."""
    row = connection.execute(select(_DECISIONS).where(_DECISIONS.c.id == decision_id)).first()
    return None if row is None else _row(row)


def exists(connection: Connection, decision_id: str) -> bool:
    """Whether a decision is stored."""
    return connection.execute(select(_DECISIONS.c.seq).where(_DECISIONS.c.id == decision_id)).first() is not None


def _narrowed(narrowed: Filter) -> Select[Any]:
    query = select(_DECISIONS)
    for spec in fields(Filter):
        value = getattr(narrowed, spec.name)
        if value is None:
            continue
        if spec.name == "since":
            query = query.where(_DECISIONS.c.ts >= value)
        elif spec.name == "until":
            query = query.where(_DECISIONS.c.ts < value)
        elif spec.name == "status" and value != "ok":
            query = query.where(_DECISIONS.c.status == value, UNANSWERED)  # named as its index names it
        else:
            query = query.where(_DECISIONS.c[spec.name] == value)
    return query


def _row(row: Row[Any]) -> dict[str, Any]:
    values = dict(row._mapping)
    failed_over = values["failover_from"]
    values["failover_from"] = orjson.loads(failed_over) if failed_over else None
    values["rejected"] = orjson.loads(values["rejected"]) if values["rejected"] else []
    values["stream"] = bool(values["stream"])
    return values
