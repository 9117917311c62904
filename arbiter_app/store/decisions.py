"""Reading decisions: one with its trace, and a page of a filtered feed.

A page comes from the few newest decisions that are not filed yet, and for the rest from the list of the narrowest value
(see `projections`) or label, between the places where its times can lie.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson
from sqlalchemy import Connection, Row, Select, func, select

from arbiter_app.pipeline.decision import expanded
from arbiter_app.store import labels, projections, shadows
from arbiter_app.store.rollup_math import EVERYBODY
from arbiter_app.store.tables import LISTS, DecisionTrace, ListedLabel, Span, StoredDecision, table

MAX_PAGE = 500
MAX_SEQ = 2**63 - 2
SEARCHED = 100_000
"""Decisions among which a request is looked for: no index has the ids that callers give."""
RANKED = 5_000
"""Decisions among which the dearest, slowest and worst are found: the newest that match."""
ORDERS: dict[str, tuple[Callable[[Mapping[Any, Any]], Any], bool]] = {
    "dearest": (itemgetter("cost_pico"), True),
    "slowest": (itemgetter("latency_ms"), True),
    "worst": (itemgetter("quality"), False),
    "most_saved": (lambda row: _saved(row["baseline_pico"], row["cost_pico"]), True),
}
"""What decisions can be sorted by: the figure of a row, None where it has none; and whether the largest comes first."""

_DECISIONS, _TRACES, _SPANS, _LABELS = table(StoredDecision), table(DecisionTrace), table(Span), table(ListedLabel)
_D = _DECISIONS.c
FIGURES = (_D.seq, _D.cost_pico, _D.latency_ms, _D.quality, _D.baseline_pico)
"""What ORDERS look at."""


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
    request_id: str | None = None
    """Looked for among the SEARCHED newest decisions."""
    project_id: str | None = None
    runtime: str | None = None
    end_user: str | None = None
    tag: str | None = None

    @classmethod
    def of_scope(cls, scope: str | None, **narrowed: Any) -> Filter:
        """That of a key's or project's scope (see `rollup_math.project_scope`), or of everybody's; `narrowed` are the other fields."""
        project = None if scope is None else scope.removeprefix(EVERYBODY)
        if project == scope:
            return cls(key_id=scope, **narrowed)
        return cls(project_id=project, **narrowed)

    @property
    def columns(self) -> dict[str, str]:
        """The columns that have to have one value."""
        named = {name: getattr(self, name) for name in (*LISTS, *labels.COLUMNS)}
        return {name: value for name, value in named.items() if value is not None}

    @property
    def label(self) -> str | None:
        """The narrowest label by which decisions are listed, see `labels`; None where there is none."""
        if self.tag is not None:
            return labels.label("tag", self.tag)
        found = (
            (of, getattr(self, name))
            for name, of in labels.COLUMNS.items()
            if getattr(self, name) not in (None, labels.UNLISTED[name])
        )
        return next((labels.label(of, value) for of, value in found), None)


def page(connection: Connection, narrowed: Filter, *, limit: int, before: int | None = None) -> list[dict[str, Any]]:
    """Decisions newest first, older than the cursor `before` (a `seq`)."""
    return [_row(row) for row in _found(connection, narrowed, max(1, min(limit, MAX_PAGE)), before)]


def ranked(connection: Connection, narrowed: Filter, order: str, *, limit: int) -> list[dict[str, Any]]:
    """The first of the RANKED newest decisions by one of ORDERS, the newer one first of equals; those without the figure are left out."""
    figure, largest = ORDERS[order]
    told = [(figure(row._mapping), row.seq) for row in _found(connection, narrowed, RANKED, None, FIGURES)]
    found = [one for one in told if one[0] is not None]
    found.sort(key=itemgetter(0), reverse=largest)
    first = [seq for _, seq in found[: max(1, min(limit, MAX_PAGE))]]
    rows = {row.seq: _row(row) for row in connection.execute(select(_DECISIONS).where(_D.seq.in_(first)))}
    return [rows[seq] for seq in first if seq in rows]


def _saved(baseline_pico: int | None, cost_pico: int | None) -> int | None:
    return None if baseline_pico is None or cost_pico is None else baseline_pico - cost_pico


def _found(
    connection: Connection, narrowed: Filter, limit: int, before: int | None, columns: Sequence[Any] = (_DECISIONS,)
) -> list[Row[Any]]:
    """Columns of decisions, newest first."""
    filed = projections.listed(connection)  # read first: what is filed meanwhile is in both places
    found: list[Row[Any]] = []
    if before is None or before > filed + 1:
        found += _newest(connection, narrowed, filed, before, limit, columns)
    if len(found) < limit:
        end = filed + 1 if before is None else min(before, filed + 1)
        found += _listed(connection, narrowed, end, limit - len(found), columns)
    return found


def after(connection: Connection, seq: int, limit: int = MAX_PAGE) -> list[dict[str, Any]]:
    """Decisions newer than `seq`, oldest first: what a follower has not seen yet."""
    query = select(_DECISIONS).where(_DECISIONS.c.seq > seq).order_by(_DECISIONS.c.seq).limit(limit)
    return [_row(row) for row in connection.execute(query)]


def conversations(connection: Connection, limit: int) -> list[tuple[str, str, str, str]]:
    """Key, conversation, model and mode of the answers among the newest decisions, oldest first."""
    columns = (_D.key_id, _D.conversation, _D.model, _D.mode, _D.status)
    newest = connection.execute(select(*columns).order_by(_D.seq.desc()).limit(limit)).all()
    return [(key_id, talk, model, mode) for key_id, talk, model, mode, status in reversed(newest) if status == "ok"]


def one(connection: Connection, decision_id: str) -> dict[str, Any] | None:
    """One decision with the models that were asked beside it and its trace (None once the trace has been retired); None when there
    is no such decision."""
    row = rows_of(connection, [decision_id]).get(decision_id)
    if row is None:
        return None
    trace = connection.execute(select(_TRACES.c.body).where(_TRACES.c.id == decision_id)).scalar()
    asked = shadows.of(connection, decision_id)
    return {**row, "shadows": asked, "trace": None if trace is None else expanded(orjson.loads(trace))}


def attempts(connection: Connection, narrowed: Filter, *, limit: int) -> list[dict[str, Any]]:
    """The newest decisions of a filter whose traces are kept, each with its `attempts` to call models, as a trace has them."""
    rows = page(connection, narrowed, limit=limit)
    query = select(_TRACES.c.id, _TRACES.c.body).where(_TRACES.c.id.in_([row["id"] for row in rows]))
    made = {found.id: orjson.loads(found.body)["call"]["attempts"] for found in connection.execute(query)}
    return [{**row, "attempts": made[row["id"]]} for row in rows if row["id"] in made]


def rows_of(connection: Connection, ids: Collection[str]) -> dict[str, dict[str, Any]]:
    """Several decisions by their ids, without their traces."""
    found = connection.execute(select(_DECISIONS).where(_DECISIONS.c.id.in_(ids)))
    return {row.id: _row(row) for row in found}


def exists(connection: Connection, decision_id: str) -> bool:
    """Whether a decision is stored."""
    return connection.execute(select(_DECISIONS.c.seq).where(_DECISIONS.c.id == decision_id)).first() is not None


def _newest(
    connection: Connection, narrowed: Filter, after: int, before: int | None, limit: int, columns: Sequence[Any]
) -> Sequence[Row[Any]]:
    """Those that no list has yet."""
    query = _timed(select(*columns).where(_D.seq > after), narrowed)
    query = query.where(*[_D[name] == value for name, value in narrowed.columns.items()])
    if before is not None:
        query = query.where(_D.seq < before)
    return connection.execute(query.order_by(_D.seq.desc()).limit(limit)).all()


def _listed(
    connection: Connection, narrowed: Filter, before: int, limit: int, columns: Sequence[Any]
) -> Sequence[Row[Any]]:
    """Those filed in lists, by the list of the narrowest value; all of them in their own order when there is none."""
    wanted, label = narrowed.columns, narrowed.label
    answered = wanted.get("status") == "ok"  # almost all are: a column to look at, not a list
    by = next((LISTS[name] for name in LISTS if name in wanted and not (answered and name == "status")), None)
    by = by if label is None else _LABELS
    seq = _D.seq if by is None else by.c.seq
    query = select(*columns).select_from(_DECISIONS)
    query = query if by is None else select(*columns).join_from(by, _DECISIONS, by.c.seq == _D.seq)
    query = query if label is None else query.where(_LABELS.c.label == label)
    for name, value in wanted.items():
        query = query.where((by.c[name] if by is not None and name in by.c else _D[name]) == value)
    first, last = _between(connection, narrowed)
    query = _timed(query, narrowed).where(seq < min(before, last + 1), seq >= first)
    return connection.execute(query.order_by(seq.desc()).limit(limit)).all()


def _between(connection: Connection, narrowed: Filter) -> tuple[int, int]:
    """The first and the last filed decision that can lie in the times asked for; the last before the first: none."""
    if narrowed.since is None and narrowed.until is None:
        return 0, MAX_SEQ
    query = select(func.min(_SPANS.c.first), func.max(_SPANS.c.last))
    if narrowed.since is not None:
        query = query.where(_SPANS.c.latest >= narrowed.since)
    if narrowed.until is not None:
        query = query.where(_SPANS.c.earliest < narrowed.until)
    first, last = connection.execute(query).one()
    return (1, 0) if first is None else (first, last)


def _timed(query: Select[Any], narrowed: Filter) -> Select[Any]:
    if narrowed.since is not None:
        query = query.where(_D.ts >= narrowed.since)
    if narrowed.tag is not None:
        query = query.where(labels.has_tag(_D.tags, narrowed.tag))
    if narrowed.request_id is not None:
        newest = select(func.max(_D.seq)).scalar_subquery()
        query = query.where(_D.seq > newest - SEARCHED, _D.request_id == narrowed.request_id)
    return query if narrowed.until is None else query.where(_D.ts < narrowed.until)


def _row(row: Row[Any]) -> dict[str, Any]:
    values = dict(row._mapping)
    failed_over = values["failover_from"]
    values["failover_from"] = orjson.loads(failed_over) if failed_over else None
    values["rejected"] = orjson.loads(values["rejected"]) if values["rejected"] else []
    values["tags"] = labels.tags_in(values["tags"])
    values["stream"] = bool(values["stream"])
    return values
