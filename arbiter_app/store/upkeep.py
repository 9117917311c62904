"""Reset, retention and restore: what an operator does to the store as a whole."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection, delete, func, select

from arbiter_app.store.engine import StoreUnusable, back_up
from arbiter_app.store.tables import (
    Alert,
    Counter,
    Decision,
    DecisionTrace,
    Feedback,
    LatencyBin,
    PolicyState,
    Rollup,
    Statistic,
    table,
)

STEP = 2_000
LEARNED = (Decision, DecisionTrace, Statistic, PolicyState, Alert, Counter, Feedback, Rollup, LatencyBin)
FINE_DAYS = 45

_DECISIONS, _TRACES, _ROLLUPS, _BINS = table(Decision), table(DecisionTrace), table(Rollup), table(LatencyBin)


def reset(connection: Connection) -> None:
    """Forget everything learned and recorded; keys, usage and sessions stay."""
    for model in LEARNED:
        connection.execute(delete(table(model)))


def retire_decisions(connection: Connection, keep: int) -> int:
    """Remove the oldest decisions over `keep`, at most STEP of them; returns how many went. Roll-ups keep their sums."""
    newest = connection.execute(select(func.max(_DECISIONS.c.seq))).scalar() or 0
    oldest = connection.execute(select(func.min(_DECISIONS.c.seq))).scalar() or 0
    edge = min(newest - keep, oldest + STEP - 1)
    if edge < oldest:
        return 0
    old = select(_DECISIONS.c.id).where(_DECISIONS.c.seq <= edge)
    connection.execute(delete(_TRACES).where(_TRACES.c.id.in_(old)))
    return connection.execute(delete(_DECISIONS).where(_DECISIONS.c.seq <= edge)).rowcount


def retire_traces(connection: Connection, before: float) -> int:
    """Remove traces older than `before`, at most STEP of them; returns how many went."""
    old = select(_TRACES.c.id).where(_TRACES.c.ts < before).limit(STEP)
    return connection.execute(delete(_TRACES).where(_TRACES.c.id.in_(old))).rowcount


def retire_fine_rollups(connection: Connection, now: float) -> int:
    """Remove five-minute sums older than FINE_DAYS; the daily ones stay."""
    edge = int(now - FINE_DAYS * 86_400)
    gone = 0
    for sums in (_ROLLUPS, _BINS):
        gone += connection.execute(delete(sums).where(sums.c.resolution == 300, sums.c.start < edge)).rowcount
    return gone


def restore(backup: Path, path: Path) -> Path | None:
    """Put a backup in the place of the database; the present file is kept beside it. Raises StoreUnusable."""
    if not backup.is_file():
        raise StoreUnusable(f"{backup}: no such file")
    try:
        with contextlib.closing(sqlite3.connect(f"file:{backup}?mode=ro", uri=True)) as connection:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            known = connection.execute("SELECT count(*) FROM sqlite_master WHERE name = 'alembic_version'").fetchone()[
                0
            ]
    except sqlite3.DatabaseError as error:
        raise StoreUnusable(f"{backup} is not a usable backup: {error}") from error
    if sound != "ok" or not known:
        raise StoreUnusable(
            f"{backup} is not a usable backup of Arbiter: {sound if sound != 'ok' else 'no schema in it'}"
        )
    kept = None
    if path.exists():
        kept = path.with_name(f"{path.name}.replaced.{time.strftime('%Y%m%dT%H%M%S')}")
        try:
            back_up(path, kept)
        except sqlite3.DatabaseError:
            shutil.copy2(path, kept)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    for leftover in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        leftover.unlink(missing_ok=True)
    partial = path.with_name(f"{path.name}.restoring")
    back_up(backup, partial)
    partial.replace(path)
    return kept
