"""Reading sums: reports, time series and latency quantiles come from roll-ups, never from single decisions."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, func, or_, select, union_all

from arbiter_app.store.folding import (
    DAY,
    EVERYBODY,
    FIVE_MINUTES,
    HOUR,
    LATENCY_BASE,
    OPEN,
    RESOLUTIONS,
    ROLLUP_SUMS,
)
from arbiter_app.store.tables import LatencyBin, Rollup, table

FINE_DAYS = 45
HOURLY_DAYS = 400
SERIES_SUMS = ("calls", "cost_pico", "judge_pico", "baseline_pico", "compared_pico", "compared")
RETIRE_DAYS = {FIVE_MINUTES: FINE_DAYS, HOUR: HOURLY_DAYS}

_ROLLUPS, _BINS = table(Rollup), table(LatencyBin)

Stretch = tuple[int, int | None, int | None]


def totals(
    connection: Connection,
    by: Sequence[str],
    *,
    since: float | None = None,
    key_id: str | None = None,
    now: float | None = None,
) -> list[dict[str, Any]]:
    """Sums grouped by some of bucket, model, mode. None means ever.

    `since` is rounded down to five minutes; to an hour beyond FINE_DAYS and to a day beyond HOURLY_DAYS, as finer sums
    are retired then.
    """
    columns = [_ROLLUPS.c[name] for name in by]
    sums = [func.sum(_ROLLUPS.c[name]) for name in ROLLUP_SUMS]
    parts = _scoped(stretches(since, _now(now)), key_id)
    query = union_all(*[select(*columns, *sums).where(part).group_by(*columns) for part in parts])
    merged: dict[tuple[Any, ...], list[Any]] = {} if by else {(): [0] * len(ROLLUP_SUMS)}
    for row in connection.execute(query):
        group, values = tuple(row[: len(by)]), [value or 0 for value in row[len(by) :]]
        known = merged.get(group)
        merged[group] = values if known is None else [a + b for a, b in zip(known, values, strict=True)]
    return [dict(zip((*by, *ROLLUP_SUMS), (*group, *values), strict=True)) for group, values in merged.items()]


def series(
    connection: Connection, *, bucket_s: int, buckets: int, now: float, key_id: str | None = None
) -> list[dict[str, Any]]:
    """SERIES_SUMS per time slot, oldest first, empty slots included; with each model's spend, each mode's calls, latency.

    `bucket_s` is rounded down to five minutes. Slots whose sums have been retired at that fineness are empty.
    """
    size = max(FIVE_MINUTES, bucket_s // FIVE_MINUTES * FIVE_MINUTES)
    last = int(now) // size * size
    first = last - (buckets - 1) * size
    resolution = next(one for one in reversed(RESOLUTIONS) if size % one == 0)
    slots = {first + at * size: _blank(first + at * size) for at in range(buckets)}
    for start, model, mode, *values in connection.execute(_by_slot((resolution, first, last + size), size, key_id)):
        _add(slots[start], model, mode, values)
    if key_id is None:
        for start, quantiles in _latency(connection, (resolution, first, last + size), size).items():
            slots[start].update(quantiles)
    return [_named(slots[start]) for start in sorted(slots)]


def _by_slot(part: Stretch, size: int, key_id: str | None) -> Select[Any]:
    """SERIES_SUMS per slot, model and mode; first per stored slot, in the table's own order, as that halves the sorting."""
    keys = ("start", "model", "mode")
    columns = [_ROLLUPS.c[name] for name in keys]
    sums = [func.sum(_ROLLUPS.c[name]).label(name) for name in SERIES_SUMS]
    scoped = _scoped([part], key_id)
    stored = union_all(*[select(*columns, *sums).where(one).group_by(*columns) for one in scoped]).subquery()
    slot = (stored.c.start - stored.c.start % size).label("slot")
    grouped = (slot, stored.c.model, stored.c.mode)
    return select(*grouped, *[func.sum(stored.c[name]) for name in SERIES_SUMS]).group_by(*grouped)


def latency(connection: Connection, *, since: float | None = None, now: float | None = None) -> dict[str, Any]:
    """Latency quantiles by model, in milliseconds."""
    parts = stretches(since, _now(now))
    query = select(_BINS.c.model, _BINS.c.bin, func.sum(_BINS.c.n).label("n"))
    query = query.where(or_(*[_within(_BINS.c, part) for part in (_open(parts), *parts)]), _BINS.c.model != EVERYBODY)
    histograms: dict[str, dict[int, int]] = {}
    for row in connection.execute(query.group_by(_BINS.c.model, _BINS.c.bin)):
        histograms.setdefault(row.model, {})[row.bin] = row.n
    return {model: _quantiles(histogram) for model, histogram in histograms.items()}


def stretches(since: float | None, now: float) -> list[Stretch]:
    """How to cover [since, ever after) with the fewest slots: (resolution, first start, end), fine at the old end only.

    `since` is rounded down to a slot of the finest resolution that is still kept for it.
    """
    if since is None:
        return [(RESOLUTIONS[-1], None, None)]
    finest = next((one for one in RESOLUTIONS if now - since < RETIRE_DAYS.get(one, math.inf) * DAY), DAY)
    at = int(since) // finest * finest
    found: list[Stretch] = []
    for resolution, coarser in zip(RESOLUTIONS, (*RESOLUTIONS[1:], None), strict=True):
        if resolution < finest:
            continue
        if coarser is None:
            found.append((resolution, at, None))
        elif at % coarser:
            up = -(-at // coarser) * coarser
            found.append((resolution, at, up))
            at = up
    return found


def _scoped(parts: Sequence[Stretch], key_id: str | None) -> list[ColumnElement[bool]]:
    """The roll-ups of some stretches for a key or everybody, and what has not been folded into them yet.

    As one condition for each: read one after the other in a single statement, each in the table's own order.
    """
    columns = _ROLLUPS.c
    unfolded = _within(columns, _open(parts))
    if key_id is not None:
        unfolded = and_(columns.key_id == key_id, unfolded)
    return [unfolded, *[and_(columns.key_id == (key_id or EVERYBODY), _within(columns, part)) for part in parts]]


def _open(parts: Sequence[Stretch]) -> Stretch:
    """The open slots from the first start to the last end."""
    return OPEN, parts[0][1], parts[-1][2]


def _within(columns: Any, part: Stretch) -> ColumnElement[bool]:
    resolution, first, end = part
    conditions: list[ColumnElement[bool]] = [columns.resolution == resolution]
    if first is not None:
        conditions.append(columns.start >= first)
    if end is not None:
        conditions.append(columns.start < end)
    return and_(*conditions)


def _blank(start: int) -> dict[str, Any]:
    return {"start": start, "models": {}, "modes": {}, "p50_ms": None, "p95_ms": None, "sums": [0] * len(SERIES_SUMS)}


def _add(slot: dict[str, Any], model: str, mode: str, values: Sequence[Any]) -> None:
    slot["sums"] = [a + b for a, b in zip(slot["sums"], values, strict=True)]
    slot["models"][model] = slot["models"].get(model, 0) + values[_COST]
    slot["modes"][mode] = slot["modes"].get(mode, 0) + values[_CALLS]


def _named(slot: dict[str, Any]) -> dict[str, Any]:
    sums = slot.pop("sums")
    return slot | dict(zip(SERIES_SUMS, sums, strict=True))


def _latency(connection: Connection, part: Stretch, size: int) -> dict[int, dict[str, float]]:
    columns = (_BINS.c.start, _BINS.c.bin)
    unfolded = select(*columns, func.sum(_BINS.c.n)).where(_within(_BINS.c, _open([part]))).group_by(*columns)
    folded = select(*columns, _BINS.c.n).where(_within(_BINS.c, part), _BINS.c.model == EVERYBODY)
    query = union_all(unfolded, folded)
    histograms: dict[int, dict[int, int]] = {}
    for start, at, n in connection.execute(query):
        histogram = histograms.setdefault(start // size * size, {})
        histogram[at] = histogram.get(at, 0) + n
    return {start: _quantiles(histogram) for start, histogram in histograms.items()}


def _quantiles(histogram: dict[int, int]) -> dict[str, float]:
    return {"p50_ms": quantile(histogram.items(), 0.5), "p95_ms": quantile(histogram.items(), 0.95)}


def quantile(histogram: Iterable[tuple[int, int]], share: float) -> float:
    """The middle of the bin that holds the quantile: right within the bin's 15 %."""
    bins = sorted(histogram)
    reached = accumulate(n for _, n in bins)
    wanted = share * sum(n for _, n in bins)
    found = next(at for (at, _), below in zip(bins, reached, strict=True) if below >= wanted)
    return float(round(LATENCY_BASE ** (found + 0.5), 3))


def _now(now: float | None) -> float:
    return time.time() if now is None else now


_COST, _CALLS = SERIES_SUMS.index("cost_pico"), SERIES_SUMS.index("calls")
