"""What a decision costs the writer, and what each durability makes callers wait: `python -m tests.bench.writer`.

Seeded decisions with traces of the usual size (about 3 KB) go to the store's own writer from some callers at once. CPU is
that of the writer's thread with all that follows a commit (filing included); waits are those of the callers.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import uvloop

from arbiter_app.catalog import load_catalog
from arbiter_app.pipeline.ports import DecisionRecord
from arbiter_app.store import Store, open_store
from tests.bench.seed_store import some

KEYS = 5
WARM = 1_024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.writer", description=__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="decisions a run")
    parser.add_argument("--directory", type=Path, help="where the databases are made; elsewhere than on a RAM disk")
    given = parser.parse_args()
    for durability in ("relaxed", "strict", "power"):
        for callers in (1, 16, 64):
            with tempfile.TemporaryDirectory(dir=given.directory) as directory:
                store = open_store(f"{directory}/arbiter.db", durability=durability)
                n = given.n if callers > 1 else given.n // 4
                print(f"{durability:<8} {callers:2} at once  {uvloop.run(measured(store, n, callers))}", flush=True)
                store.close()


async def measured(store: Store, n: int, callers: int) -> str:
    """One run as a line of figures."""
    records = _records(n + WARM)
    clock = time.pthread_getcpuclockid(store.writer.thread_id)
    await asyncio.gather(*[store.ledger.record(one) for one in records[:WARM]])
    await store.writer.call(lambda connection: None)
    waits: list[float] = []
    asked = iter(records[WARM:])

    async def caller() -> None:
        for one in asked:
            started = time.perf_counter()
            await store.ledger.record(one)
            waits.append((time.perf_counter() - started) * 1000)
            await asyncio.sleep(0)

    before, commits, started = time.clock_gettime(clock), store.writer.commits, time.perf_counter()
    await asyncio.gather(*[caller() for _ in range(callers)])
    await store.writer.call(lambda connection: None)
    took = time.perf_counter() - started
    cpu_us, cuts = (time.clock_gettime(clock) - before) / n * 1e6, quantiles(waits, n=100)
    return (
        f"{cpu_us:5.0f} us CPU a decision  {n / (store.writer.commits - commits):5.1f} a commit  "
        f"wait p50 {cuts[49]:6.2f}  p99 {cuts[98]:6.2f}  worst {max(waits):6.1f} ms  {n / took:6.0f}/s"
    )


def _records(n: int) -> list[DecisionRecord]:
    rng, start = random.Random(5), time.time()
    models = list(load_catalog(None, baseline="gpt-4o", baseline_context=128_000).names)
    found = [some(rng, start + at / 1000, models, KEYS) for at in range(n)]
    for one in found:
        one.trace["route"] = {"candidates": [_candidate(rng, model) for model in models]}
        one.trace["filter"] = {"eligible": models, "tokens_needed": 100, "rejected": {}}
    return found


def _candidate(rng: random.Random, model: str) -> tuple[object, ...]:
    facts = float(rng.randrange(300)), rng.random(), rng.random(), rng.random(), rng.random() / 1000
    return model, *facts, "quality 0.88 under the bar of 0.95"


if __name__ == "__main__":
    main()
