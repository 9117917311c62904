"""Reading sums: reports come from roll-ups, charts from slots; from single decisions only where they are not filed yet."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, select, union_all

from arbiter_app.store import projections, rollup_math, rollup_sql
from arbiter_app.store.backends.backend import TAUGHT
from arbiter_app.store.rollup_math import (
    DAY,
    EVERYBODY,
    FIVE_MINUTES,
    HOUR,
    OPEN,
    RESOLUTIONS,
    ROLLUP_SUMS,
    SERIES_SUMS,
    quantile,
    unpacked,
)
from arbiter_app.store.tables import Counter, LateGrade, Rollup, Slot, StoredDecision, table

FINE_DAYS = 45
HOURLY_DAYS = 400
RETIRE_DAYS = {FIVE_MINUTES: FINE_DAYS, HOUR: HOURLY_DAYS}
PERIOD_SUMS = ("calls", "cost_pico", "judge_pico", "prompt_tokens", "completion_tokens")
"""What is told of a period key by key: adding up all that is known of each key and kind of prompt takes three times as long."""

_ROLLUPS, _SLOTS, _DECISIONS, _LATES = table(Rollup), table(Slot), table(StoredDecision), table(LateGrade)
_COUNTERS = table(Counter)

Stretch = tuple[int, int | None, int | None]
Times = tuple[int | None, int | None]
"""From the first, and before the second."""


def totals(
    connection: Connection,
    by: Sequence[str],
    *,
    since: float | None = None,
    until: float | None = None,
    scope: str | None = None,
    now: float | None = None,
) -> list[dict[str, Any]]:
    """Sums grouped by some of bucket, model, mode, from `since`, or the first, until before `until`, or until now. Neither means ever, also
    what a clock that was ahead left for days to come. `connection` has to read from one snapshot.

    `since` is rounded down to five minutes, `until` up; to an hour beyond FINE_DAYS and to a day beyond HOURLY_DAYS, as finer sums
    are retired then.
    """
    if since is None and until is None:
        return _added(connection, by, [(RESOLUTIONS[-1], None, None)], (None, None), scope)
    clock = time.time() if now is None else now
    parts = stretches(since or 0.0, clock if until is None else min(until - 1, clock), clock)
    return _added(connection, by, parts, (min(first for _, first, _ in parts), max(end for _, _, end in parts)), scope)


def period_totals(
    connection: Connection, first: int, end: int, *, scope: str | None, now: float
) -> list[dict[str, Any]]:
    """PERIOD_SUMS by key, bucket and model of the time from `first` until before `end`, of a key or of each.

    Both are whole five minutes; rounded as in `totals` where `first` is old. A project's are not told by key (empty then).
    """
    of_project = scope is not None and scope.startswith(EVERYBODY)
    by = ("bucket", "model") if of_project else ("key_id", "bucket", "model")
    parts = stretches(first, end - 1, now)
    found = _added(connection, by, parts, (first, end), scope, each=scope is None, sums=PERIOD_SUMS)
    return [{"key_id": "", **row} for row in found] if of_project else found


def day_totals(connection: Connection, by: Sequence[str], *, now: float) -> list[dict[str, Any]]:
    """The same of the UTC day of `now`, by everybody: not of days to come, which a clock that was set back leaves."""
    start = int(now) // DAY * DAY
    return _added(connection, by, [(DAY, start, start + DAY)], (start, start + DAY), None)


def counters(connection: Connection) -> dict[str, int]:
    """Every counter by name, with the decisions that are not filed yet."""
    found = {row.name: row.value for row in connection.execute(select(_COUNTERS))}
    for hidden in (projections.LISTED, TAUGHT):
        found.pop(hidden, None)
    unsummed = connection.execute(rollup_sql.behind(rollup_sql.COUNTS, found.pop(projections.SUMMED, 0))).all()
    for name, n in rollup_sql.moved(unsummed).items():
        found[name] = found.get(name, 0) + n
    return found


def _added(
    connection: Connection,
    by: Sequence[str],
    parts: Sequence[Stretch],
    times: Times,
    scope: str | None,
    *,
    each: bool = False,
    sums: Sequence[str] = ROLLUP_SUMS,
) -> list[dict[str, Any]]:
    whose = _of_each_key() if each else _of(_ROLLUPS.c, scope)
    after = projections.summed(connection)
    rows = select(*[_ROLLUPS.c[name] for name in (*by, *sums)])
    kept = [rows.where(whose, _within(_ROLLUPS.c, part)) for part in parts]
    settled = union_all(*kept, _open(rows, scope, times)).subquery().c
    grouped = [
        _by(by, settled, {name: rollup_sql.known(settled[name]) for name in sums}),
        rollup_sql.behind(
            _by(by, _DECISIONS.c, {name: rollup_sql.SUM_OF[name] for name in sums}), after, scope, *times
        ),
        rollup_sql.graded_late(_by(by, _LATES.c, {name: rollup_sql.LATE_SUM_OF[name] for name in sums}), scope, *times),
    ]
    merged: dict[tuple[Any, ...], list[Any]] = {} if by else {(): [0] * len(sums)}
    for row in connection.execute(union_all(*grouped)).all():
        group, values = tuple(row[: len(by)]), [value or 0 for value in row[len(by) :]]
        known = merged.get(group)
        merged[group] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]
    return [dict(zip((*by, *sums), (*group, *values), strict=True)) for group, values in merged.items()]


def series(
    connection: Connection,
    *,
    bucket_s: int,
    buckets: int,
    now: float,
    first: int | None = None,
    scope: str | None = None,
) -> list[dict[str, Any]]:
    """SERIES_SUMS per time slot, oldest first, empty slots included; with each model's spend, each mode's calls, latency.

    The last slot is that of `now`, or the first begins at `first`, in whole five minutes. `bucket_s` is rounded down to five minutes.
    Slots whose sums have been retired at that fineness are empty.
    """
    size = max(FIVE_MINUTES, bucket_s // FIVE_MINUTES * FIVE_MINUTES)
    first = int(now) // size * size - (buckets - 1) * size if first is None else first
    last = first + (buckets - 1) * size
    resolution = next(one for one in reversed(RESOLUTIONS) if size % one == first % one == 0)
    found = {first + at * size: rollup_math.empty() for at in range(buckets)}
    wanted = _of(_SLOTS.c, scope), _within(_SLOTS.c, (resolution, first, last + size))
    for start, body in connection.execute(select(_SLOTS.c.start, _SLOTS.c.body).where(*wanted)).all():
        rollup_math.merge(found[start - (start - first) % size], unpacked(body))
    for start, slot in _unfiled(connection, first, scope):
        if start < last + size:
            rollup_math.merge(found[start - (start - first) % size], slot)
    return [_shown(start, slot) for start, slot in found.items()]


def stretches(since: float, upto: float, now: float) -> list[tuple[int, int, int]]:
    """How to cover all from `since` up to a time with the fewest slots: (resolution, first start, end), fine at the ends only.

    `since` is rounded down to a slot of the finest resolution that is still kept for it, the end up to one, or to five minutes where
    it is now. There is always one, which is empty where nothing is to be covered.
    """
    finest = next((one for one in RESOLUTIONS if now - since < RETIRE_DAYS.get(one, math.inf) * DAY), DAY)
    at = int(since) // finest * finest
    step = FIVE_MINUTES if upto >= now else finest
    end = max(at, (int(upto) // step + 1) * step)
    found = []
    for resolution, coarser in itertools.pairwise(RESOLUTIONS):
        up = min(-(-at // coarser) * coarser, end)
        down = max(end // coarser * coarser, up)
        found += [(resolution, at, up), (resolution, down, end)]
        at, end = up, down
    found.append((RESOLUTIONS[-1], at, end))
    return [one for one in found if one[1] < one[2]] or found[-1:]


def _by(by: Sequence[str], columns: Any, sum_of: Mapping[str, Any]) -> Select[Any]:
    keys = [columns[name] for name in by]
    return select(*keys, *sum_of.values()).group_by(*keys)


def _open(query: Select[Any], scope: str | None, times: Times) -> Select[Any]:
    """What has not moved into the roll-ups of every resolution yet."""
    whose = rollup_sql.of_key(_ROLLUPS.c) if scope is None else _of(_ROLLUPS.c, scope)
    query = query.where(_ROLLUPS.c.resolution == OPEN, whose)
    return rollup_sql.within(query, _ROLLUPS.c.start, *times)


def _unfiled(connection: Connection, since: int, scope: str | None) -> Iterable[tuple[int, rollup_math.Slot]]:
    """What the decisions and grades add that are not filed yet, by five minutes."""
    after = projections.summed(connection)
    cells, bins = (
        connection.execute(rollup_sql.behind(one, after, scope, since)).all()
        for one in (rollup_sql.CELLS, rollup_sql.BINS)
    )
    lates = connection.execute(rollup_sql.graded_late(rollup_sql.LATE_CELLS, scope, since)).all()
    return [(start, slot) for (_, _, start), slot in rollup_math.finest([*cells, *lates], bins).items()]


def _of(columns: Any, scope: str | None) -> ColumnElement[bool]:
    same: ColumnElement[bool] = columns.key_id == (EVERYBODY if scope is None else scope)
    return same


def _of_each_key() -> ColumnElement[bool]:
    """Whether sums are of one of the keys that there are, which are found by one look each: those of a time lie apart, key by key."""
    scope = _ROLLUPS.alias().c
    at_last = scope.resolution == RESOLUTIONS[-1]
    known = select(func.min(scope.key_id).label("key_id")).where(at_last).cte("known", recursive=True)
    following = select(func.min(scope.key_id)).where(at_last, scope.key_id > known.c.key_id).scalar_subquery()
    known = known.union_all(select(following).where(known.c.key_id.is_not(None)))
    return _ROLLUPS.c.key_id.in_(select(known.c.key_id)) & rollup_sql.of_key(_ROLLUPS.c)


def _within(columns: Any, part: Stretch) -> ColumnElement[bool]:
    resolution, first, end = part
    conditions: list[ColumnElement[bool]] = [columns.resolution == resolution]
    if first is not None:
        conditions.append(columns.start >= first)
    if end is not None:
        conditions.append(columns.start < end)
    return and_(*conditions)


def _shown(start: int, slot: rollup_math.Slot) -> dict[str, Any]:
    return {
        "start": start,
        **dict(zip(SERIES_SUMS, slot["sums"], strict=True)),
        "models": slot["models"],
        "modes": slot["modes"],
        "p50_ms": quantile(slot["latency"], 0.5),
        "p95_ms": quantile(slot["latency"], 0.95),
    }
