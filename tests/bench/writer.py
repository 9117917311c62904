"""What a decision costs the writer, and what each durability makes callers wait: `python -m tests.bench.writer`.

Seeded decisions with traces of the usual size (about 3 KB) go to the store's own writer from some callers at once. CPU is
that of the writer's thread with all that follows a commit (filing included); waits are those of the callers.

`--attribution 7` tells what sums by project, key, tag and end user cost: so many pairs of runs, with them and without, of decisions that name
neither, and of decisions of five projects with two tags and one of 200 end users each.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

import uvloop

from arbiter_app.catalog_file import load_catalog
from arbiter_app.pipeline.ports import DecisionRecord
from arbiter_app.store import Store, labels, open_store
from tests.bench.seed_store import some

KEYS = 5
WARM = 1_024


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.writer", description=__doc__)
    parser.add_argument("--n", type=int, default=10_000, help="decisions a run")
    parser.add_argument("--directory", type=Path, help="where the databases are made; elsewhere than on a RAM disk")
    parser.add_argument(
        "--attribution", type=int, default=0, help="pairs of runs, with sums by project, key, tag and user and without"
    )
    given = parser.parse_args()
    if given.attribution:
        for labelled in (False, True):
            pairs = [[_cpu_us(given, labelled, filed) for filed in (True, False)] for _ in range(given.attribution)]
            ratios = sorted(one / other for one, other in pairs)
            told = " ".join(f"{ratio:.2f}" for ratio in ratios)
            print(
                f"{'labelled' if labelled else 'plain':<9} {median(ratios):.2f} times the CPU ({told}), {pairs[0]} us"
            )
        return
    for durability in ("relaxed", "strict", "power"):
        for callers in (1, 16, 64):
            with tempfile.TemporaryDirectory(dir=given.directory) as directory:
                store = open_store(f"{directory}/arbiter.db", durability=durability)
                n = given.n if callers > 1 else given.n // 4
                print(f"{durability:<8} {callers:2} at once  {uvloop.run(measured(store, n, callers))}", flush=True)
                store.close()


def _cpu_us(given: argparse.Namespace, labelled: bool, filed: bool) -> int:
    """CPU of a decision, microseconds, with 16 callers at once."""
    with tempfile.TemporaryDirectory(dir=given.directory) as directory:
        store = open_store(f"{directory}/arbiter.db")
        if not filed:
            vars(store.writer.projections)["_attributions"] = _Nothing()
        line = uvloop.run(measured(store, given.n, 16, labelled=labelled))
        store.close()
    return int(line.split()[0])


class _Nothing:
    def add(self, connection: object, after: int, upto: int) -> None:
        """No sums by project, key, tag and user."""


async def measured(store: Store, n: int, callers: int, *, labelled: bool = False) -> str:
    """One run as a line of figures."""
    records = _records(n + WARM)
    for at, one in enumerate(records if labelled else ()):
        user, project = f"user-{at * 7 % 200}", f"prj_{at % 5}"
        tags = labels.text_of((f"team:{at % 11}", f"feature:{at % 23}", f"user:{user}"))
        one.row |= {"project_id": project, "end_user": user, "tags": tags}
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
