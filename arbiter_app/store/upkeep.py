"""Reset, retention and restore: what an operator does to the store as a whole."""

from __future__ import annotations

import contextlib
import logging
import os
import shutil
import sqlite3
import time
from pathlib import Path

from sqlalchemy import Connection, column, delete, func, insert, select, update
from sqlalchemy import table as sql_table

from arbiter_app.policy import from_row
from arbiter_app.store import projections
from arbiter_app.store.backends import StoreUnusable, of_dialect
from arbiter_app.store.backends.backend import TAUGHT
from arbiter_app.store.backends.sqlite import back_up, made_by_others
from arbiter_app.store.engine import head, known_revisions, lacking
from arbiter_app.store.neighbours import Neighbours
from arbiter_app.store.rollup_math import DAY
from arbiter_app.store.rollups import RETIRE_DAYS
from arbiter_app.store.tables import (
    LISTS,
    Agreement,
    Alert,
    AttributedName,
    AttributedSpend,
    Calibration,
    Content,
    Counter,
    DecisionTrace,
    Feedback,
    LateGrade,
    ListedLabel,
    PolicyState,
    Rollup,
    Slot,
    Span,
    Statistic,
    StoredDecision,
    StoredShadow,
    table,
)

log = logging.getLogger("arbiter.store")

AHEAD_S = 86_400.0
TIME = "retained"
STEP = 250
STEP_SLOTS = 12
KEYS = 50
LEARNED = (
    StoredDecision,
    StoredShadow,
    DecisionTrace,
    Statistic,
    Agreement,
    Calibration,
    Content,
    PolicyState,
    Alert,
    Counter,
    Feedback,
    Rollup,
    Slot,
    Span,
    LateGrade,
    AttributedSpend,
    AttributedName,
    ListedLabel,
)

_COUNTERS = table(Counter)
_DECISIONS, _SHADOWS, _TRACES, _SLOTS = table(StoredDecision), table(StoredShadow), table(DecisionTrace), table(Slot)
_ROLLUPS, _STATE, _STATISTICS = table(Rollup), table(PolicyState), table(Statistic)


def reset(connection: Connection) -> None:
    """Forget everything learned and recorded; keys, usage and sessions stay."""
    for emptied in (*[table(model) for model in LEARNED], *LISTS.values()):
        connection.execute(delete(emptied).where(emptied.c.name != TAUGHT) if emptied is _COUNTERS else delete(emptied))
    connection.execute(update(_COUNTERS).values(value=_COUNTERS.c.value + 1))  # others are to see that it was taught


def believed_time(connection: Connection, now: float) -> float:
    """The time by which to judge what is too old: at most AHEAD_S after the one of the run before, however far the clock went.

    So a clock that jumps ahead for some hours costs some days of what is kept, and not all; after a long rest it takes some hours
    until everything that is too old is gone. Before the first run, the newest decision tells the time.
    """
    noted = connection.execute(select(_STATE.c.value).where(_STATE.c.key == TIME)).scalar()
    newest = select(_DECISIONS.c.ts).where(_DECISIONS.c.seq == projections.newest(connection))
    last = connection.execute(newest).scalar() if noted is None else float(noted)
    believed = now if last is None else min(now, float(last) + AHEAD_S)
    connection.execute(delete(_STATE).where(_STATE.c.key == TIME))
    told = believed if noted is None else max(believed, float(noted))
    connection.execute(insert(_STATE).values(key=TIME, value=repr(told).encode()))
    return believed


def retire_decisions(connection: Connection, keep: int) -> int:
    """Remove the oldest decisions over `keep`, at most STEP of them; returns how many went. Slots keep their sums.

    What is not filed yet stays, and so does the newest one, after which the next is numbered.
    """
    newest = projections.newest(connection)
    oldest = connection.execute(select(func.min(_DECISIONS.c.seq))).scalar() or 0
    edge = min(newest - max(1, keep), projections.listed(connection), projections.summed(connection), oldest + STEP - 1)
    if edge < oldest:
        return 0
    old = select(_DECISIONS.c.id).where(_DECISIONS.c.seq <= edge)
    if not of_dialect(connection.dialect).traces_by_day:
        connection.execute(delete(_TRACES).where(_TRACES.c.id.in_(old)))
    connection.execute(delete(_SHADOWS).where(_SHADOWS.c.decision_id.in_(old)))
    projections.unlist(connection, edge)
    return connection.execute(delete(_DECISIONS).where(_DECISIONS.c.seq <= edge)).rowcount


def retire_days(connection: Connection, now: float, keep_days: float) -> float:
    """Have places for the traces of the days to come, and drop those of whole days that are too old, or all of whose decisions are
    gone. Returns the time before which single ones go, where they have no day."""
    backend = of_dialect(connection.dialect)
    backend.make_days(connection, now)
    before = now - keep_days * DAY
    if backend.traces_by_day:
        oldest = select(func.min(_DECISIONS.c.seq)).scalar_subquery()
        kept_since = connection.execute(select(_DECISIONS.c.ts).where(_DECISIONS.c.seq == oldest)).scalar()
        before = max(before, min(now, kept_since or before))
        backend.drop_days(connection, before)
    return before


def retire_traces(connection: Connection, before: float) -> int:
    """Remove single traces older than `before`, at most STEP of a table, oldest first (ids sort by time); how many went."""
    gone = 0
    for name in of_dialect(connection.dialect).traces_by_row(connection):
        traces = sql_table(name, column("id"), column("ts"))
        oldest = select(traces.c.id).order_by(traces.c.id).limit(STEP)
        gone += connection.execute(delete(traces).where(traces.c.id.in_(oldest), traces.c.ts < before)).rowcount
    return gone


def retire_sums(connection: Connection, resolution: int, now: float, after: str) -> tuple[int, str | None]:
    """Remove sums that are too fine for their age, key by key, those of the keys behind `after`.

    Stops after STEP starts of a key or KEYS keys: how many rows went, and the key to go on after (None at the end).
    """
    too_old = int(now - RETIRE_DAYS[resolution] * DAY)
    gone = 0
    for _ in range(KEYS):
        later = (_SLOTS.c.resolution == resolution) & (_SLOTS.c.key_id > after)
        key_id = connection.execute(select(func.min(_SLOTS.c.key_id)).where(later)).scalar()
        if key_id is None:
            return gone, None
        went = 0
        for sums in (_SLOTS, _ROLLUPS):
            of_it = (sums.c.resolution == resolution) & (sums.c.key_id == key_id)
            oldest = connection.execute(select(func.min(sums.c.start)).where(of_it)).scalar()
            edge = too_old if oldest is None else min(too_old, oldest + STEP_SLOTS * resolution)
            went += connection.execute(delete(sums).where(of_it, sums.c.start < edge)).rowcount
        gone += went
        if went:
            return gone, after
        after = key_id
    return gone, after


def drop_implausible(connection: Connection) -> int:
    """Drop statistics that no calls can have added up to; returns how many rows that changed. Nobody believes them anyway."""
    changed = 0
    for row in connection.execute(select(_STATISTICS)).all():
        stated = {name: value for name, value in row._mapping.items() if name not in ("bucket", "model")}
        believed = from_row(stated)
        sums = {name: getattr(believed, name) for name in stated}
        if sums != stated:
            of_it = (_STATISTICS.c.bucket == row.bucket) & (_STATISTICS.c.model == row.model)
            what = update(_STATISTICS).values(**sums) if believed.as_dict() else delete(_STATISTICS)
            connection.execute(what.where(of_it))
            changed += 1
    return changed


def restore(backup: Path, path: Path) -> Path | None:
    """Put a backup in the place of the database; the present file is kept beside it. Raises StoreUnusable.

    Nothing may use the database meanwhile. Whenever it is cut short, either the old or the new file is in place.
    """
    _check_backup(backup)
    path = Path(os.path.realpath(path))  # where it is a link, what it leads to is replaced
    with contextlib.closing(Neighbours(path)) as neighbours:
        if (serving := neighbours.other()) is not None:
            raise StoreUnusable(f"an Arbiter (process {serving}) is serving from {path}; stop it, then restore")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}.restoring")
        back_up(backup, fresh)
        _drop_what_others_made(fresh)
        kept = _keep_present(path)
        for leftover in (path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
            leftover.unlink(missing_ok=True)
        fresh.replace(path)
    except (OSError, sqlite3.Error) as error:
        raise StoreUnusable(f"{path} was not replaced: {error}") from error
    return kept


def _drop_what_others_made(path: Path) -> None:
    """A backup comes from elsewhere: its triggers and views would run in Arbiter's name."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for kind, name in made_by_others(connection):
            quoted = name.replace('"', '""')
            connection.execute(f'DROP {kind.upper()} IF EXISTS "{quoted}"')
            log.warning("the %s %r of the backup was left out", kind, name[:80])


def _check_backup(backup: Path) -> None:
    """Raises StoreUnusable unless the file is a sound store of this version or an older one."""
    if not backup.is_file():
        raise StoreUnusable(f"{backup}: no such file")
    try:
        with contextlib.closing(sqlite3.connect(f"{backup.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            sound = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            found = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            here = connection.execute(
                "SELECT t.name, c.name FROM sqlite_master t, pragma_table_info(t.name) c WHERE t.type = 'table'"
            ).fetchall()
    except sqlite3.Error as error:
        raise StoreUnusable(f"{backup} is not a usable backup of Arbiter: {error}") from error
    if sound != "ok" or found is None:
        raise StoreUnusable(f"{backup} is not a usable backup of Arbiter: {sound if found else 'no schema in it'}")
    if found[0] not in known_revisions():
        raise StoreUnusable(f"{backup} was written by a newer version of Arbiter; upgrade Arbiter first")
    columns: dict[str, set[str]] = {}
    for name, column_name in here:
        columns.setdefault(name, set()).add(column_name)
    if found[0] == head() and (lost := lacking(columns)):
        raise StoreUnusable(f"{backup} is not a usable backup of Arbiter: it {lost}")


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
