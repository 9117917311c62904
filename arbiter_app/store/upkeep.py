"""Reset, retention and restore: what an operator does to the store as a whole."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, func, literal, select
from sqlalchemy.dialects import postgresql, sqlite

from arbiter_app.store.engine import StoreUnusable, back_up, known_revisions
from arbiter_app.store.folding import (
    BIN_KEY,
    DAY,
    EVERYBODY,
    FIVE_MINUTES,
    HOUR,
    OPEN,
    RESOLUTIONS,
    ROLLUP_KEY,
    ROLLUP_SUMS,
)
from arbiter_app.store.rollups import RETIRE_DAYS
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

STEP = 250
STEP_S = {FIVE_MINUTES: FIVE_MINUTES, HOUR: HOUR}
LEARNED = (Decision, DecisionTrace, Statistic, PolicyState, Alert, Counter, Feedback, Rollup, LatencyBin)

_DECISIONS, _TRACES, _ROLLUPS, _BINS = table(Decision), table(DecisionTrace), table(Rollup), table(LatencyBin)


def reset(connection: Connection) -> None:
    """Forget everything learned and recorded; keys, usage and sessions stay."""
    for model in LEARNED:
        connection.execute(delete(table(model)))


def fold(connection: Connection) -> int:
    """Move the open slots into the slots of every resolution, for their keys and for everybody; returns how many."""
    for resolution in RESOLUTIONS:
        _fold_into(connection, _ROLLUPS, resolution, ROLLUP_KEY, ROLLUP_SUMS)
        _fold_into(connection, _ROLLUPS, resolution, ROLLUP_KEY, ROLLUP_SUMS, key_id=EVERYBODY)
        _fold_into(connection, _BINS, resolution, BIN_KEY, ("n",))
        _fold_into(connection, _BINS, resolution, BIN_KEY, ("n",), model=EVERYBODY)
    connection.execute(delete(_BINS).where(_BINS.c.resolution == OPEN))
    return connection.execute(delete(_ROLLUPS).where(_ROLLUPS.c.resolution == OPEN)).rowcount


def _fold_into(
    connection: Connection, target: Table, resolution: int, key: Sequence[str], sums: Sequence[str], **fixed: str
) -> None:
    """Add the open slots to those of one resolution, in one statement; `fixed` replaces columns of the key."""
    made: dict[str, ColumnElement[Any]] = {name: target.c[name] for name in key}
    made["start"] = target.c.start - target.c.start % resolution
    grouped = [column for name, column in made.items() if name != "resolution" and name not in fixed]
    made |= {"resolution": literal(resolution), **{name: literal(value) for name, value in fixed.items()}}
    added = [func.sum(target.c[name]) for name in sums]
    opened = select(*[made[name] for name in key], *added).where(target.c.resolution == OPEN).group_by(*grouped)
    build: Any = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    insert = build(target).from_select([*key, *sums], opened)
    insert = insert.on_conflict_do_update(
        index_elements=list(key), set_={name: target.c[name] + insert.excluded[name] for name in sums}
    )
    connection.execute(insert)


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
    """Remove traces older than `before`, at most STEP of them, oldest first (ids sort by time); how many went."""
    oldest = select(_TRACES.c.id).order_by(_TRACES.c.id).limit(STEP)
    return connection.execute(delete(_TRACES).where(_TRACES.c.id.in_(oldest), _TRACES.c.ts < before)).rowcount


def retire_sums(connection: Connection, now: float) -> int:
    """Remove finer sums that are too old, at most one slot of each fineness; the daily ones stay. Returns how many rows."""
    gone = 0
    for resolution, days in RETIRE_DAYS.items():
        for sums in (_ROLLUPS, _BINS):
            of_it = sums.c.resolution == resolution
            oldest = connection.execute(select(func.min(sums.c.start)).where(of_it)).scalar()
            if oldest is None:
                continue
            edge = min(int(now - days * DAY), oldest + STEP_S[resolution])
            gone += connection.execute(delete(sums).where(of_it, sums.c.start < edge)).rowcount
    return gone


def restore(backup: Path, path: Path) -> Path | None:
    """Put a backup in the place of the database; the present file is kept beside it. Raises StoreUnusable.

    Nothing may use the database meanwhile. Whenever it is cut short, either the old or the new file is in place.
    """
    _check_backup(backup)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.restoring")
        back_up(backup, fresh)
        kept = _keep_present(path)
        for leftover in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            leftover.unlink(missing_ok=True)
        fresh.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(f"{path} was not replaced: {error}") from error
    return kept


def _check_backup(backup: Path) -> None:
    """Raises StoreUnusable unless the file is a sound store of this version or an older one."""
    if not backup.is_file():
        raise StoreUnusable(f"{backup}: no such file")
    try:
        with contextlib.closing(sqlite3.connect(f"{backup.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except sqlite3.Error as error:
        raise StoreUnusable(f"{backup} is not a usable backup of Arbiter: {error}") from error
    if sound != "ok" or found is None:
        raise StoreUnusable(f"{backup} is not a usable backup of Arbiter: {sound if found else 'no schema in it'}")
    if found[0] not in known_revisions():
        raise StoreUnusable(f"{backup} was written by a newer version of Arbiter; upgrade Arbiter first")


def _keep_present(path: Path) -> Path | None:
    """A copy of the database as it is, also of a damaged one (then with what its log still holds)."""
    if not path.exists():
        return None
    kept = path.with_name(f"{path.name}.replaced.{time.strftime('%Y%m%dT%H%M%S')}")
    try:
        back_up(path, kept)
    except sqlite3.DatabaseError:
        shutil.copy2(path, kept)
        log = path.with_name(f"{path.name}-wal")
        if log.exists():
            shutil.copy2(log, kept.with_name(f"{kept.name}-wal"))
    return kept
