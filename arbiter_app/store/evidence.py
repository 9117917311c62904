"""What decisions tell about the models they asked, summed in SQL: the newest of a period, so that no read is unbounded."""

from __future__ import annotations

import math
import time
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, case, func, literal_column, select

from arbiter_app.pipeline.types import PICO_PER_USD, Mode
from arbiter_app.policy.ope import MIN_PROPENSITY, ArmSums, LoggedData, WeightedSums, logged_data
from arbiter_app.store import projections
from arbiter_app.store.rollup_sql import Bounded, in_scope
from arbiter_app.store.tables import StoredDecision, table

NEWEST = 50_000
"""Decisions that are looked at, whatever is asked."""
CHOSEN = (Mode.EXPLORE, Mode.EXPLOIT, Mode.ESCALATE, Mode.HOLDOUT)

_DECISIONS = table(StoredDecision)
_ONCE: ColumnElement[int] = literal_column("0")
"""An OFFSET keeps a database from computing a subquery's columns anew wherever the query around it names them."""


def evidence(
    connection: Connection,
    *,
    since: float | None = None,
    until: float | None = None,
    scope: str | None = None,
    able: str | None = None,
) -> LoggedData:
    """Sums over what a policy or the holdout decided among the newest decisions (at most NEWEST): of a period, of a key or project, and
    of what the model `able` could have served."""
    columns = _DECISIONS.c
    asked = func.coalesce(columns.cascaded_from, columns.model).label("asked")
    picked = select(
        columns.bucket,
        asked,
        columns.rejected,
        columns.asked_tokens,
        (columns.mode != Mode.HOLDOUT.value).label("routed"),
        (1.0 / case((columns.propensity > MIN_PROPENSITY, Bounded(columns.propensity)), else_=MIN_PROPENSITY)).label(
            "weight"
        ),
        Bounded(columns.beyond_pico / float(PICO_PER_USD)).label("usd"),
        case((columns.failover_from.is_(None), Bounded(columns.quality))).label("grade"),
    )
    picked = picked.where(
        columns.status == "ok",
        columns.mode.in_([mode.value for mode in CHOSEN]),
        columns.asked_tokens.is_not(None),
        columns.propensity.is_not(None),
        columns.seq > projections.newest(connection) - NEWEST,
    )
    if scope is not None:
        picked = picked.where(in_scope(columns, scope))
    if able is not None:
        named = columns.rejected.contains(orjson.dumps(able).decode(), autoescape=True)
        picked = picked.where(columns.rejected.is_(None) | ~named)
    if since is not None:
        picked = picked.where(columns.ts >= since, columns.ts <= min(until or math.inf, time.time()))
    newest = picked.offset(_ONCE).subquery()
    groups = (newest.c.bucket, newest.c.asked, newest.c.rejected)
    routed = func.sum(case((newest.c.routed, 1), else_=0))
    sums = (*_sums(newest.c.usd, newest.c.weight), *_sums(newest.c.grade, newest.c.weight))
    query = select(*groups, func.count(), func.sum(newest.c.asked_tokens), routed, *sums).group_by(*groups)
    return logged_data(_row(*row) for row in connection.execute(query))


def _sums(value: ColumnElement[Any], weight: ColumnElement[Any]) -> list[ColumnElement[Any]]:
    """The columns of `WeightedSums` over the rows where there is a value."""
    w = case((value.is_not(None), weight))
    return [func.count(value), *map(func.sum, (w, w * w, w * value, w * w * value, w * w * value * value))]


def _row(
    bucket: str, asked: str, rejected: str | None, calls: int, tokens: int, routed: int, *sums: float | None
) -> tuple[str, str, frozenset[str], float, float, float, ArmSums]:
    known = [float(one or 0.0) for one in sums]
    names = frozenset(orjson.loads(rejected)) if rejected else frozenset()
    return bucket, asked, names, calls, tokens, routed, ArmSums(WeightedSums(*known[:6]), WeightedSums(*known[6:]))
