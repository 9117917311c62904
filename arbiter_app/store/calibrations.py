"""Calibrations: what is to be run, and its state. The outcomes are decisions, under ids that follow from what they answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from arbiter_app.store.tables import Calibration, StoredDecision, table

IDS = 400
READY, RUNNING = "ready", "running"

_CALIBRATIONS, _DECISIONS = table(Calibration), table(StoredDecision)
_OUTCOME = ("id", "model", "bucket", "task", "quality", "quality_source", "cost_pico", "judge_cost_pico")


def newest(connection: Connection, limit: int) -> list[dict[str, Any]]:
    """The newest calibrations, without their prompts."""
    columns = [column for column in _CALIBRATIONS.columns if column.name != "body"]
    query = select(*columns).order_by(_CALIBRATIONS.c.created.desc(), _CALIBRATIONS.c.id).limit(limit)
    return [dict(row._mapping) for row in connection.execute(query)]


def one(connection: Connection, calibration_id: str) -> dict[str, Any] | None:
    """One calibration, None when there is none."""
    row = connection.execute(select(_CALIBRATIONS).where(_CALIBRATIONS.c.id == calibration_id)).first()
    return None if row is None else dict(row._mapping)


def add(connection: Connection, row: dict[str, Any]) -> None:
    """Keep a new one; one of the same id stays as it is."""
    if one(connection, row["id"]) is None:
        connection.execute(insert(_CALIBRATIONS).values(**row))


def claim(connection: Connection, calibration_id: str, max_usd: float, now: float, stale_s: float) -> bool:
    """Make it running, unless it runs already (and said so within `stale_s`, by whichever clock); True when it is ours now."""
    mine = (_CALIBRATIONS.c.id == calibration_id) & (
        (_CALIBRATIONS.c.state != RUNNING) | (func.abs(_CALIBRATIONS.c.changed - now) > stale_s)
    )
    changed = connection.execute(
        update(_CALIBRATIONS).where(mine).values(state=RUNNING, note="", max_usd=max_usd, changed=now)
    )
    return changed.rowcount == 1


def told(connection: Connection, calibration_id: str, now: float) -> str:
    """Say that it still runs; returns its state, which somebody may have changed."""
    running = (_CALIBRATIONS.c.id == calibration_id) & (_CALIBRATIONS.c.state == RUNNING)
    connection.execute(update(_CALIBRATIONS).where(running).values(changed=now))
    found = one(connection, calibration_id)
    return "" if found is None else str(found["state"])


def ended(connection: Connection, calibration_id: str, state: str, note: str, now: float) -> None:
    """It runs no more."""
    connection.execute(
        update(_CALIBRATIONS).where(_CALIBRATIONS.c.id == calibration_id).values(state=state, note=note, changed=now)
    )


def outcomes(connection: Connection, ids: Sequence[str]) -> list[dict[str, Any]]:
    """The decisions among these ids."""
    columns = [_DECISIONS.c[name] for name in _OUTCOME]
    found: list[dict[str, Any]] = []
    for start in range(0, len(ids), IDS):
        query = select(*columns).where(_DECISIONS.c.id.in_(ids[start : start + IDS]))
        found += [dict(row._mapping) for row in connection.execute(query)]
    return found
