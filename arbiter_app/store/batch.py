"""Writing a batch of decisions: each table once, sums folded in Python first, SQL compiled once."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection, Dialect, bindparam
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import SQLModel

from arbiter_app.pipeline.ports import DecisionRecord, Delta
from arbiter_app.store.tables import (
    STATISTIC_FIELDS,
    Alert,
    Counter,
    Decision,
    DecisionTrace,
    LatencyBin,
    PolicyState,
    Rollup,
    Statistic,
    table,
)

RESOLUTIONS = (300, 86_400)
LATENCY_BASE = 1.15

_ROLLUP_KEY = ("resolution", "start", "bucket", "model", "mode", "key_id")
ROLLUP_SUMS = tuple(column.name for column in table(Rollup).columns if column.name not in _ROLLUP_KEY)
_SUM_AT = {name: at for at, name in enumerate(ROLLUP_SUMS)}


class Statement:
    """An insert compiled once for a dialect; `add` columns are summed on conflict, `put` columns replaced."""

    def __init__(
        self,
        dialect: Dialect,
        model: type[SQLModel],
        *,
        skip: str = "",
        add: Iterable[str] = (),
        put: Iterable[str] = (),
    ) -> None:
        target = table(model)
        self.columns = tuple(column.name for column in target.columns if column.name != skip)
        build = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
        insert: Any = build(target).values({name: bindparam(name) for name in self.columns})
        changes = {name: target.c[name] + insert.excluded[name] for name in add}
        changes |= {name: insert.excluded[name] for name in put}
        if changes:
            insert = insert.on_conflict_do_update(index_elements=list(target.primary_key.columns), set_=changes)
        compiled = insert.compile(dialect=dialect)
        self.sql = str(compiled)
        self.order: tuple[str, ...] | None = tuple(compiled.positiontup) if compiled.positional else None

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
        """Execute for many rows at once."""
        if not rows:
            return
        if self.order is None:
            connection.exec_driver_sql(self.sql, list(rows))
        else:
            order = self.order
            connection.exec_driver_sql(self.sql, [tuple([row[name] for name in order]) for row in rows])


class BatchWriter:
    """Writes decision records: rows, traces, statistics, roll-ups, histogram, counters, alerts, policy state."""

    def __init__(self, dialect: Dialect) -> None:
        self._decision = Statement(dialect, Decision, skip="seq")
        self._trace = Statement(dialect, DecisionTrace)
        self._statistic = Statement(dialect, Statistic, add=STATISTIC_FIELDS)
        self._rollup = Statement(dialect, Rollup, add=ROLLUP_SUMS)
        self._latency = Statement(dialect, LatencyBin, add=("n",))
        self._counter = Statement(dialect, Counter, add=("value",))
        self._alert = Statement(dialect, Alert, skip="id")
        self._state = Statement(dialect, PolicyState, put=("value",))

    def write(self, connection: Connection, records: Sequence[DecisionRecord]) -> None:
        """Everything the records leave behind, inside the caller's transaction."""
        if not records:
            return
        rows = [record.row for record in records]
        self._decision.run(connection, rows)
        self._trace.run(
            connection,
            [{"id": one.row["id"], "ts": one.row["ts"], "body": orjson.dumps(one.trace)} for one in records],
        )
        self.write_learned(
            connection,
            [delta for record in records for delta in record.deltas],
            [alert for record in records for alert in record.alerts],
            {key: blob for record in records for key, blob in record.state.items()},
        )
        self._rollup.run(connection, rollups_of(rows))
        self._latency.run(connection, bins_of(rows))
        self._counter.run(connection, counts_of(rows))

    def write_learned(
        self,
        connection: Connection,
        deltas: Sequence[Delta],
        alerts: Sequence[Mapping[str, Any]],
        state: Mapping[str, bytes],
    ) -> None:
        """Statistics, alerts and policy state."""
        self._statistic.run(connection, _summed(deltas))
        self._alert.run(connection, alerts)
        self._state.run(connection, [{"key": key, "value": blob} for key, blob in state.items()])

    def write_rollup(self, connection: Connection, row: Mapping[str, Any], sums: Mapping[str, Any]) -> None:
        """Add to the roll-up slots of one decision (a grade that came late)."""
        blank = dict.fromkeys(ROLLUP_SUMS, 0)
        slots = [{**blank, **sums, **slot} for slot in _slots(row)]
        self._rollup.run(connection, slots)


def rollups_of(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The roll-up rows of some decisions, folded per slot."""
    folded: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        sums = _sums(row)
        for resolution in RESOLUTIONS:
            start = int(row["ts"]) // resolution * resolution
            key = (resolution, start, row["bucket"], row["model"], row["mode"], row["key_id"])
            known = folded.get(key)
            folded[key] = list(sums) if known is None else [a + b for a, b in zip(known, sums, strict=True)]
    return [dict(zip((*_ROLLUP_KEY, *ROLLUP_SUMS), (*key, *sums), strict=True)) for key, sums in folded.items()]


def bins_of(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The latency histogram of some decisions."""
    folded: dict[tuple[int, int, str, int], int] = defaultdict(int)
    for row in rows:
        latency = row["latency_ms"]
        if latency is not None and row["cache"] != "hit" and row["status"] == "ok":
            at = int(math.log(max(1.0, latency)) / math.log(LATENCY_BASE))
            for resolution in RESOLUTIONS:
                folded[resolution, int(row["ts"]) // resolution * resolution, row["model"], at] += 1
    names = ("resolution", "start", "model", "bin")
    return [{**dict(zip(names, key, strict=True)), "n": n} for key, n in folded.items()]


def counts_of(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The counters that some decisions move."""
    folded: dict[str, int] = defaultdict(int)
    for row in rows:
        folded["decisions"] += 1
        folded[f"status.{row['status']}"] += 1
        if row["classified_by"]:
            folded[f"classified.{row['classified_by']}"] += 1
        if row["cache"] == "hit":
            folded["cache.hit"] += 1
    return [{"name": name, "value": value} for name, value in folded.items()]


def _sums(row: Mapping[str, Any]) -> list[Any]:
    """The values that one decision adds, in the order of ROLLUP_SUMS."""
    sums: list[Any] = [0] * len(ROLLUP_SUMS)

    def add(name: str, value: Any) -> None:
        sums[_SUM_AT[name]] = value

    cost, baseline, quality, latency = row["cost_pico"], row["baseline_pico"], row["quality"], row["latency_ms"]
    add("calls", 1)
    if row["status"] != "ok":
        add(row["status"], 1)
    add("cost_pico", cost or 0)
    add("classifier_pico", row["classifier_cost_pico"] or 0)
    add(row["cost_state"], 1)
    if row["status"] != "ok":
        add("compared_pico", cost or 0)
    elif baseline is not None and cost is not None:
        add("baseline_pico", baseline)
        add("compared_pico", cost)
        add("compared", 1)
    if quality is not None:
        add("graded", 1)
        add("quality_sum", quality)
        add("quality_sq", quality * quality)
    add("prompt_tokens", row["prompt_tokens"] or 0)
    add("completion_tokens", row["completion_tokens"] or 0)
    if latency is not None and row["cache"] != "hit":
        add("latency_sum", latency)
        add("latency_n", 1)
    add("overhead_sum", row["overhead_ms"])
    return sums


def _slots(row: Mapping[str, Any]) -> list[dict[str, Any]]:
    named = {name: row[name] for name in ("bucket", "model", "mode", "key_id")}
    return [{"resolution": size, "start": int(row["ts"]) // size * size, **named} for size in RESOLUTIONS]


def _summed(deltas: Iterable[Delta]) -> list[dict[str, Any]]:
    folded: dict[tuple[str, str], dict[str, float]] = {}
    for bucket, model, delta in deltas:
        known = folded.setdefault((bucket, model), {})
        for name, value in delta.items():
            known[name] = known.get(name, 0.0) + value
    blank = dict.fromkeys(STATISTIC_FIELDS, 0.0)
    return [{"bucket": bucket, "model": model, **blank, **sums} for (bucket, model), sums in folded.items()]
