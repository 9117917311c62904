"""Decision records for tests of the store, and what their sums must come to by adding them up one by one."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, event

from arbiter_app.pipeline.decision import decision_id
from arbiter_app.pipeline.ports import DecisionRecord
from arbiter_app.policy.statistics import ModelStats
from arbiter_app.store import Store, projections

T = TypeVar("T")
NOW = 1_790_000_123.0
BUCKETS = ("code", "math", "structured", "factual", "open", "code:hard", "open:hard")
MODELS = ("gpt-4o", "gpt-4o-mini", "deepseek-v4-flash", "gemini-2.5-flash")
MODES = ("exploit", "exploit", "exploit", "explore", "escalate")
KEYS = ("settings-1", "arb_aaaaaaaa", "arb_bbbbbbbb")


def run(work: Callable[[], Awaitable[Any]]) -> Any:
    """What comes of work on a store, in an event loop of its own."""

    async def call() -> Any:
        return await work()

    return asyncio.run(call())


def call_now(store: Store, work: Callable[[Connection], T]) -> T:
    """What comes of work in the writer's transaction, from a thread without an event loop."""

    async def call() -> T:
        return await store.writer.call(work)

    return asyncio.run(call())


def record(ts: float = NOW, **changes: Any) -> DecisionRecord:
    """One answered request; `changes` replace columns. Its delta counts one call and its quality."""
    row: dict[str, Any] = {
        **{"id": decision_id(ts), "ts": ts, "request_id": "r", "key_id": "settings-1", "conversation": ""},
        **{"task": "code", "difficulty": "easy", "bucket": "code", "classified_by": "rules", "model": "gpt-4o"},
        **{"mode": "exploit", "reason": "cheapest within tolerance", "propensity": 0.9, "quality": 0.75},
        **{"quality_source": "objective", "quality_reason": "parses", "cost_pico": 123_456_789_012},
        **{"answer_cost_pico": 123_456_789_012, "classifier_cost_pico": None, "judge_cost_pico": None},
        **{"cost_state": "settled", "baseline_pico": 223_456_789_012, "prompt_tokens": 100, "completion_tokens": 50},
        **{"tokens_needed": 150, "eligible_models": 14, "latency_ms": 200.0, "first_byte_ms": 90.0, "overhead_ms": 0.5},
        **{"stream": False, "status": "ok", "error_code": "", "cache": "miss", "failover_from": None},
        **{"cascaded_from": None, "rejected": None, "asked_tokens": 110, "beyond_pico": 120_000_000_000},
        **{"learning_cost_pico": None, "project_id": "default", "runtime": "", "end_user": "", "tags": None},
        **changes,
    }
    graded = {} if row["quality"] is None else {"graded": 1.0, "quality_sum": row["quality"]}
    deltas = [(row["bucket"], row["model"], ModelStats(calls=1.0, **graded))] if row["status"] == "ok" else []
    return DecisionRecord(row, {"classify": {"rule": "fence"}}, deltas)


def mixed(count: int, *, seed: int = 7, days: float = 1.0, until: float = NOW) -> list[DecisionRecord]:
    """A seeded mixture of requests over the last `days` before `until`, oldest first."""
    rng = random.Random(seed)
    times = sorted(until - rng.random() * days * 86_400 for _ in range(count))
    return [_some(rng, ts) for ts in times]


def summed(records: Iterable[DecisionRecord], name: str) -> int:
    """The exact sum of a money or count column over records; unknown counts nothing."""
    return sum(one.row[name] or 0 for one in records)


def _some(rng: random.Random, ts: float) -> DecisionRecord:
    bucket = rng.choice(BUCKETS)
    status = rng.choices(("ok", "failed", "aborted"), (0.94, 0.04, 0.02))[0]
    known = rng.random() < 0.95
    cost = rng.randrange(10**12) if known else None
    return record(
        ts,
        key_id=rng.choice(KEYS),
        task=bucket.partition(":")[0],
        difficulty="hard" if bucket.endswith(":hard") else "easy",
        bucket=bucket,
        classified_by=rng.choice(("rules", "model", "memory")),
        model=rng.choice(MODELS),
        mode=rng.choice(MODES),
        quality=rng.random() if rng.random() < 0.7 else None,
        cost_pico=cost,
        answer_cost_pico=cost,
        classifier_cost_pico=rng.randrange(10**9) if rng.random() < 0.1 else None,
        cost_state="settled" if known else "unknown",
        baseline_pico=rng.randrange(10**13) if rng.random() < 0.8 else None,
        latency_ms=rng.lognormvariate(6, 0.7),
        status=status,
        error_code="" if status == "ok" else "runtime_unavailable",
        cache="hit" if rng.random() < 0.05 else "miss",
    )


def rows_of(store: Store, sql: str) -> list[tuple[Any, ...]]:
    """What a plain query finds, in either kind of database."""
    return [tuple(row) for row in store.read_now(lambda connection: connection.exec_driver_sql(sql).all())]


def file_all(store: Store) -> int:
    """List and sum whatever waits, slice by slice; how many decisions were summed."""
    filed = 0
    for what in projections.SLICES:
        filed = 0
        while went := call_now(store, partial(store.writer.projections.build, what=what)):
            filed += went
    while call_now(store, store.writer.projections.settle):
        pass
    return filed


READ_ONLY = "SET default_transaction_read_only = on"
"""What makes a PostgreSQL refuse as a pragma makes SQLite."""


class Pragma:
    """A pragma that every new writing connection gets while it is set: how tests fill or protect the database."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.text = ""
        self._connect()  # before there is one more listener: a list of them must not grow while it is gone through
        event.listen(store.writer._engine, "connect", self._connected)

    def _connected(self, connection: Any, _record: Any) -> None:
        if self.text:
            connection.execute(self.text)
            connection.commit()

    def set(self, text: str) -> None:
        """From now on, also for the connection in use; on PostgreSQL every pragma means that it takes no writes."""
        text = READ_ONLY if self._store.path is None else text
        self._connect()
        call_now(self._store, lambda connection: connection.exec_driver_sql(text))
        self.text = text

    def _connect(self) -> None:
        """Afterwards the writer is connected, and has looked for what waits."""
        call_now(self._store, lambda connection: None)

    def clear(self) -> None:
        """The writer reconnects after every refusal, so that the next attempt is free of it."""
        self.text = ""


@contextmanager
def connected(path: Path | str | None) -> Iterator[sqlite3.Connection]:
    """A connection that knows nothing of the store: commits at the end and is closed, which sqlite3's own is not."""
    connection = sqlite3.connect(str(path))
    try:
        with connection:
            yield connection
    finally:
        connection.close()


def rounded(value: Any) -> Any:
    """Floats to nine digits: sums that are kept apart and added up later differ in their last ones. Money is exact."""
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    if isinstance(value, list):
        return [rounded(one) for one in value]
    return float(f"{value:.9g}") if isinstance(value, Decimal | float) else value
