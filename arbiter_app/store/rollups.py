"""Reading sums: reports, time series and latency quantiles come from roll-ups, never from single decisions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select

from arbiter_app.store.batch import LATENCY_BASE, RESOLUTIONS, ROLLUP_SUMS
from arbiter_app.store.tables import LatencyBin, Rollup, table

_ROLLUPS, _BINS = table(Rollup), table(LatencyBin)


def totals(
    connection: Connection, by: Sequence[str], *, since: float | None = None, key_id: str | None = None
) -> list[dict[str, Any]]:
    """Sums grouped by some of bucket, model, mode. `since` is rounded down to five minutes; None means ever."""
    resolution = RESOLUTIONS[-1] if since is None else RESOLUTIONS[0]
    columns = [_ROLLUPS.c[name] for name in by]
    sums = [func.coalesce(func.sum(_ROLLUPS.c[name]), 0).label(name) for name in ROLLUP_SUMS]
    query = select(*columns, *sums).where(*_where(resolution, since, key_id))
    if columns:
        query = query.group_by(*columns)
    return [dict(row._mapping) for row in connection.execute(query)]


def series(
    connection: Connection, *, bucket_s: int, buckets: int, now: float, key_id: str | None = None
) -> list[dict[str, Any]]:
    """Sums per time slot, oldest first, empty slots included; with each model's spend, each mode's calls, latency."""
    size = max(RESOLUTIONS[0], bucket_s // RESOLUTIONS[0] * RESOLUTIONS[0])
    last = int(now) // size * size
    first = last - (buckets - 1) * size
    resolution = RESOLUTIONS[-1] if size % RESOLUTIONS[-1] == 0 else RESOLUTIONS[0]
    slot = _slot(_ROLLUPS.c.start, size)
    sums = [func.sum(_ROLLUPS.c[name]).label(name) for name in ROLLUP_SUMS]
    query = select(slot.label("slot"), _ROLLUPS.c.model, _ROLLUPS.c.mode, *sums)
    query = query.where(*_where(resolution, first, key_id)).group_by(slot, _ROLLUPS.c.model, _ROLLUPS.c.mode)
    slots = {first + at * size: _blank(first + at * size) for at in range(buckets)}
    for row in connection.execute(query):
        if row.slot in slots:
            _add(slots[row.slot], dict(row._mapping))
    if key_id is None:
        for start, quantiles in _latency(connection, resolution, first, size).items():
            if start in slots:
                slots[start].update(quantiles)
    return [slots[start] for start in sorted(slots)]


def latency(connection: Connection, *, since: float | None = None) -> dict[str, dict[str, float]]:
    """Latency quantiles by model, in milliseconds."""
    resolution = RESOLUTIONS[-1] if since is None else RESOLUTIONS[0]
    query = select(_BINS.c.model, _BINS.c.bin, func.sum(_BINS.c.n).label("n")).where(_BINS.c.resolution == resolution)
    if since is not None:
        query = query.where(_BINS.c.start >= since - RESOLUTIONS[0])
    histograms: dict[str, dict[int, int]] = {}
    for row in connection.execute(query.group_by(_BINS.c.model, _BINS.c.bin)):
        histograms.setdefault(row.model, {})[row.bin] = row.n
    return {model: _quantiles(histogram) for model, histogram in histograms.items()}


def _where(resolution: int, since: float | None, key_id: str | None) -> list[ColumnElement[bool]]:
    conditions = [_ROLLUPS.c.resolution == resolution]
    if since is not None:
        conditions.append(_ROLLUPS.c.start >= int(since) // RESOLUTIONS[0] * RESOLUTIONS[0])
    if key_id is not None:
        conditions.append(_ROLLUPS.c.key_id == key_id)
    return conditions


def _slot(start: ColumnElement[int], size: int) -> ColumnElement[int]:
    """The slot a roll-up starts in: whole multiples of `size`."""
    return start - start % size


def _blank(start: int) -> dict[str, Any]:
    return {"start": start, "models": {}, "modes": {}, "p50_ms": None, "p95_ms": None, **dict.fromkeys(ROLLUP_SUMS, 0)}


def _add(slot: dict[str, Any], row: dict[str, Any]) -> None:
    for name in ROLLUP_SUMS:
        slot[name] += row[name]
    slot["models"][row["model"]] = slot["models"].get(row["model"], 0) + row["cost_pico"]
    slot["modes"][row["mode"]] = slot["modes"].get(row["mode"], 0) + row["calls"]


def _latency(connection: Connection, resolution: int, first: int, size: int) -> dict[int, dict[str, float]]:
    slot = _slot(_BINS.c.start, size)
    query = select(slot.label("slot"), _BINS.c.bin, func.sum(_BINS.c.n).label("n"))
    query = query.where(_BINS.c.resolution == resolution, _BINS.c.start >= first).group_by(slot, _BINS.c.bin)
    histograms: dict[int, dict[int, int]] = {}
    for row in connection.execute(query):
        histograms.setdefault(row.slot, {})[row.bin] = row.n
    return {start: _quantiles(histogram) for start, histogram in histograms.items()}


def _quantiles(histogram: dict[int, int]) -> dict[str, float]:
    return {"p50_ms": _quantile(histogram, 0.5), "p95_ms": _quantile(histogram, 0.95)}


def _quantile(histogram: dict[int, int], share: float) -> float:
    """The middle of the bin that holds the quantile: right within the bin's 15 %."""
    left = share * sum(histogram.values())
    for at in sorted(histogram):
        left -= histogram[at]
        if left <= 0:
            return float(round(LATENCY_BASE ** (at + 0.5), 3))
    return float(round(LATENCY_BASE ** (max(histogram) + 0.5), 3))
