"""Alerts, and who was in the pool when it was last noted: whoever joins or leaves raises one."""

from __future__ import annotations

from collections.abc import Mapping, Set
from types import MappingProxyType
from typing import Any

import orjson
from sqlalchemy import Connection, delete, insert, select, update

from arbiter_app.pipeline.plain import listed
from arbiter_app.store.tables import Alert, PolicyState, table

_ALERTS, _STATE = table(Alert), table(PolicyState)
POOL = "pool"
SINGLY, SINGLY_S = 10, 3_600.0
"""So many models that join (or leave) in so many seconds have an alert each; what is more shares one."""
GONE = "gone"


def newest(connection: Connection, *, limit: int, before: int | None = None) -> list[dict[str, Any]]:
    """Alerts newest first, older than the cursor `before` (an `id`)."""
    query = select(_ALERTS).order_by(_ALERTS.c.id.desc()).limit(limit)
    if before is not None:
        query = query.where(_ALERTS.c.id < before)
    return [_alert(dict(row._mapping)) for row in connection.execute(query)]


def after(connection: Connection, alert_id: int, most: int = 200) -> list[dict[str, Any]]:
    """The newest of those after one, at most `most`, oldest first."""
    query = select(_ALERTS).where(_ALERTS.c.id > alert_id).order_by(_ALERTS.c.id.desc()).limit(most)
    return [_alert(dict(row._mapping)) for row in reversed(connection.execute(query).all())]


def open_ones(connection: Connection) -> list[dict[str, Any]]:
    """The alerts whose outcome is open, oldest first."""
    query = select(_ALERTS).where(_ALERTS.c.settled.is_(None)).order_by(_ALERTS.c.id)
    return [_alert(dict(row._mapping)) for row in connection.execute(query)]


def follow(connection: Connection, alert_id: int, outcome: Mapping[str, Any], settled: float | None) -> None:
    """What came of an alert so far, and when traffic had settled."""
    told = {"outcome": orjson.dumps(outcome).decode(), "settled": settled}
    connection.execute(update(_ALERTS).where(_ALERTS.c.id == alert_id, _ALERTS.c.settled.is_(None)).values(**told))


def note_pool(
    connection: Connection,
    pool: Set[str],
    now: float,
    gone: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    *,
    known: Set[str] | None = None,
) -> list[dict[str, Any]]:
    """Note who is in the pool; returns the new alerts of those who joined or left since it was last noted, or else since it was `known`
    (none at first).

    A runtime whose list names others each time raises few.
    `gone`: which models the runtime does not serve, and how long they rest (see `gone_models`).
    """
    connection.execute(delete(_STATE).where(_STATE.c.key == GONE))
    if gone:
        connection.execute(insert(_STATE).values(key=GONE, value=orjson.dumps(dict(gone))))
    noted = connection.execute(select(_STATE.c.value).where(_STATE.c.key == POOL)).scalar()
    before = set(orjson.loads(noted)) if noted is not None else known if known is not None else pool
    connection.execute(delete(_STATE).where(_STATE.c.key == POOL))
    connection.execute(insert(_STATE).values(key=POOL, value=orjson.dumps(sorted(pool))))
    return [
        alert
        for kind, models in (("new", sorted(pool - before)), ("gone", sorted(before - pool)))
        for alert in _raise_of_pool(connection, kind, models, now)
    ]


def _raise_of_pool(connection: Connection, kind: str, models: list[str], now: float) -> list[dict[str, Any]]:
    """Put on record that these models joined or left; returns the alerts that are new."""
    if not models:
        return []
    query = select(_ALERTS).where(_ALERTS.c.kind == kind).order_by(_ALERTS.c.id.desc()).limit(SINGLY + 1)
    late = [row for row in map(_alert_of, connection.execute(query)) if abs(now - row["ts"]) < SINGLY_S]
    shared = next((row for row in late if _together(row)), None)
    words = {"new": "in the pool now, on trial", "gone": "out of the pool; what is known of it stays"}
    empty = {"task": "", "bucket": "", "old_unit": None, "new_unit": None}
    made = {"ts": now, "kind": kind, "direction": kind, **empty}
    if shared is None and len(late) + len(models) <= SINGLY:
        alerts = [{**made, "model": model, "reason": f"is {words[kind]}"} for model in models]
        connection.execute(insert(_ALERTS), alerts)
        return alerts
    together = len(models) + (_together(shared) if shared is not None else 0)
    told = {
        "model": f"{together:,} models",
        "reason": f"{listed(models)}: {words[kind]}",
        "known": orjson.dumps({"models": together}).decode(),
        "settled": now,
    }
    if shared is not None:
        connection.execute(update(_ALERTS).where(_ALERTS.c.id == shared["id"]).values(**told))
        return []
    alert = {**made, **told}
    connection.execute(insert(_ALERTS).values(**alert))
    return [alert]


def _together(alert: Mapping[str, Any]) -> int:
    """How many models share an alert; 0 for one about one."""
    return int((alert["known"] or {}).get("models", 0))


def _alert_of(row: Any) -> dict[str, Any]:
    return _alert(dict(row._mapping))


def gone_models(kept: bytes | None, now: float) -> dict[str, dict[str, Any]]:
    """What `note_pool` kept, by model, with the seconds that are left of its rest now."""
    try:
        gone = orjson.loads(kept or b"{}")
        left = {model: rest["seconds_left"] - max(0.0, now - rest["at"]) for model, rest in gone.items()}
    except (orjson.JSONDecodeError, AttributeError, KeyError, TypeError):
        return {}
    return {model: {**rest, "seconds_left": max(0.0, left[model])} for model, rest in gone.items()}


def refused_alert(connection: Connection, kind: str, model: str, said: str, now: float) -> dict[str, Any]:
    """Note that the runtime refuses the operator (`out_of_credit`, or its `key`); nothing is to be followed up."""
    empty = {"task": "", "bucket": "", "old_unit": None, "new_unit": None}
    alert = {"ts": now, "kind": kind, "model": model, "direction": kind, "reason": said[:500], "settled": now, **empty}
    connection.execute(insert(_ALERTS).values(**alert))
    return alert


def _alert(row: dict[str, Any]) -> dict[str, Any]:
    return {**row, **{name: orjson.loads(row[name]) if row[name] else None for name in ("known", "outcome")}}
