"""Fill a store with many decisions and time every read: `python -m tests.bench.seed_store STORE [--n 1000000]`, STORE a file or a URL.

The rows are seeded, spread over `--days`, and written through the product's own batches, so that sums, histogram and
traces are what real traffic leaves behind. With `--reads` an already filled store is measured only.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

from arbiter_app.catalog_file import load_catalog
from arbiter_app.pipeline.ports import DecisionRecord
from arbiter_app.store import Store, open_store
from arbiter_app.store.decisions import Filter
from arbiter_app.store.evidence import evidence
from tests.stores import call_now, file_all, record

BATCH = 2_000
TASKS = ("code", "math", "structured", "factual", "open")


def main() -> None:
    """Seed, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("store")
    parser.add_argument("--n", type=int, default=1_000_000)
    parser.add_argument("--days", type=float, default=90.0)
    parser.add_argument("--keys", type=int, default=200)
    parser.add_argument("--reads", action="store_true", help="measure only")
    given = parser.parse_args()
    store = open_store(given.store)
    try:
        if not given.reads:
            started = time.perf_counter()
            seed(store, given.n, days=given.days, keys=given.keys)
            print(f"{given.n:,} decisions in {time.perf_counter() - started:.0f} s{_size(store)}")
        for line in measured(store):
            print(line)
    finally:
        store.close()


def seed(store: Store, n: int, *, days: float, keys: int, seed: int = 11) -> None:
    """Write `n` decisions of `keys` callers over the last `days`, oldest first."""
    rng = random.Random(seed)
    models = list(load_catalog(None, baseline="gpt-4o", baseline_context=128_000).names)
    start, step = time.time() - days * 86_400, days * 86_400 / n
    call_now(store, lambda connection: store.backend.make_days(connection, start, start + days * 86_400))
    for first in range(0, n, BATCH):
        batch = [some(rng, start + at * step, models, keys) for at in range(first, min(n, first + BATCH))]
        call_now(store, lambda connection, rows=batch: store.writer.batch.write(connection, rows))
        file_all(store)


def some(rng: random.Random, ts: float, models: list[str], keys: int) -> DecisionRecord:
    """One plausible decision: few keys make most calls, each task has its favourite models."""
    task = rng.choice(TASKS)
    hard = rng.random() < 0.2
    model = models[min(len(models) - 1, int(rng.expovariate(0.6)))]
    failed = rng.random() < 0.01
    made = record(
        ts,
        key_id=f"arb_{int(rng.paretovariate(1.0)) % keys:08d}",
        task=task,
        difficulty="hard" if hard else "easy",
        bucket=f"{task}:hard" if hard else task,
        model=model,
        mode=rng.choices(("exploit", "explore", "escalate", "holdout", "pinned"), (80, 15, 2, 1, 2))[0],
        quality=None if failed else rng.random(),
        cost_pico=rng.randrange(10**10),
        latency_ms=rng.lognormvariate(6.5, 0.6),
        status="failed" if failed else "ok",
        error_code="runtime_unavailable" if failed else "",
    )
    made.trace["route"] = {"candidates": [{"model": one, "n": 9, "quality": 0.91, "cost": 1e-4} for one in models]}
    return made


def measured(store: Store) -> list[str]:
    """Each read's time in milliseconds: the middle and the worst of seven."""
    now = time.time()
    newest = asyncio.run(store.page(Filter(), limit=1))[0]
    by = ("bucket", "model", "mode")
    busy, rare = "arb_00000001", "arb_00000150"
    reads: dict[str, Callable[[], Awaitable[Any]]] = {
        "report, ever": lambda: store.totals(by),
        "report, 30 days": lambda: store.totals(by, since=now - 30 * 86_400),
        "report, 24 hours": lambda: store.totals(by, since=now - 86_400),
        "report, one busy key": lambda: store.totals(by, scope=busy),
        "series, 24 x 1 h": lambda: store.series(bucket_s=3_600, buckets=24, now=now),
        "series, 96 x 900 s": lambda: store.series(bucket_s=900, buckets=96, now=now),
        "series, 60 x 12 h": lambda: store.series(bucket_s=43_200, buckets=60, now=now),
        "series, 90 x 1 d": lambda: store.series(bucket_s=86_400, buckets=90, now=now),
        "series, 24 x 1 h, one busy key": lambda: store.series(bucket_s=3_600, buckets=24, now=now, scope=busy),
        "series, 1000 x 1 h": lambda: store.series(bucket_s=3_600, buckets=1_000, now=now),
        "decision with trace": lambda: store.decision(newest["id"]),
        "feed, newest 50": lambda: store.page(Filter(), limit=50),
        "feed, 500 in the middle": lambda: store.page(Filter(), limit=500, before=newest["seq"] // 2),
        "feed, one task": lambda: store.page(Filter(task="math"), limit=50),
        "feed, failed": lambda: store.page(Filter(status="failed"), limit=50),
        "feed, failed in one task": lambda: store.page(Filter(status="failed", task="math"), limit=50),
        "feed, holdout of a rare key": lambda: store.page(Filter(mode="holdout", key_id=rare), limit=50),
        "feed, task + model + mode": lambda: store.page(
            Filter(task="math", model="gpt-4.1", mode="holdout", status="failed"), limit=50
        ),
        "feed, two values that never meet": lambda: store.page(Filter(task="math", model="nobody"), limit=50),
        "feed, since an hour": lambda: store.page(Filter(since=now - 3_600), limit=50),
        "feed, until 60 days ago": lambda: store.page(Filter(until=now - 60 * 86_400), limit=50),
        "feed, a task on one day": lambda: store.page(
            Filter(task="math", mode="holdout", since=now - 50 * 86_400, until=now - 49 * 86_400), limit=50
        ),
        "alerts": lambda: store.alerts(limit=50),
        "evidence for what-if, ever": lambda: store.read(evidence),
        "evidence for what-if, 24 hours": lambda: store.read(evidence, since=now - 86_400),
        "counters": store.counters,
        "statistics": store.load_policy,
        "keys": store.keys,
        "usage of a key": lambda: store.usage(busy),
    }
    return [_line(name, read) for name, read in reads.items()]


def _line(name: str, read: Callable[[], Awaitable[Any]]) -> str:
    async def timed() -> list[float]:
        took = []
        for _ in range(7):
            started = time.perf_counter()
            await read()
            took.append((time.perf_counter() - started) * 1000)
        return sorted(took)

    took = asyncio.run(timed())
    return f"{name:<36} {took[3]:8.1f} ms   worst {took[-1]:8.1f} ms"


def _size(store: Store) -> str:
    return "" if store.path is None else f", {store.path.stat().st_size / 1e6:,.0f} MB"


if __name__ == "__main__":
    main()
