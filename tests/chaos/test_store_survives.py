"""The store under faults: kill -9 loses nothing acknowledged, a refusing database pauses learning and recovers by itself."""

from __future__ import annotations

import asyncio
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from arbiter_app.pipeline.ports import Lesson
from arbiter_app.pipeline.types import Grade
from arbiter_app.store import Store, WritesPaused, open_store, projections, rollups
from arbiter_app.store.decisions import Filter
from tests.stores import Pragma, mixed, record, run
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).resolve().parent.parent.parent
WRITING = """
import asyncio, sys
from arbiter_app.store import open_store
from tests.stores import Pragma, mixed

async def main():
    store = open_store(sys.argv[1])
    store.writer.max_wait_s = 60  # for the other process: what is told is committed, never only kept in memory
    print("ready", flush=True)
    async def one(record):
        await store.ledger.record(record)
        sys.stdout.write(record.row["id"] + "\\n")
    seed = int(sys.argv[2])
    while True:
        seed += 1000
        await asyncio.gather(*[one(record) for record in mixed(40, seed=seed)])
        sys.stdout.flush()

asyncio.run(main())
"""
LOCKING = """
import sqlite3, sys
held = sqlite3.connect(sys.argv[1], isolation_level=None)
held.execute("BEGIN IMMEDIATE")
print("held", flush=True)
sys.stdin.readline()
"""


async def recovered(store: Store) -> None:
    """Wait until the store takes writes again; it finds that out without being asked."""
    until = time.monotonic() + PATIENCE_S
    while store.ledger.degraded:
        assert time.monotonic() < until
        await asyncio.sleep(0.01)


def late_grade(store: Store, decision_id: str) -> asyncio.Future[None]:
    """A judge's grade of 0.25 that arrives after the record."""
    return store.ledger.grade(decision_id, Grade(0.25, "late", "judge"), Lesson(), judge_pico=1)


def spawn(code: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, stdin=-1, stdout=subprocess.PIPE, text=True
    )


def test_killed_under_load_nothing_acknowledged_is_lost_and_sums_equal_outcomes(tmp_path: Path) -> None:
    path, rng, acknowledged = tmp_path / "arbiter.db", random.Random(3), set()
    for at in range(4):
        writing = [spawn(WRITING, str(path), str(at * 10 + part)) for part in range(1 + at % 2)]
        for process in writing:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
        for process in writing:
            assert process.stdout is not None
            for _ in range(rng.randrange(200, 1_500)):  # some are killed while a slice is filed
                acknowledged.add(process.stdout.readline().strip())
            process.send_signal(signal.SIGKILL)
            acknowledged |= {line.strip() for line in process.stdout.read().splitlines(True) if line.endswith("\n")}
            process.wait()
            process.stdout.close()
            assert process.stdin is not None
            process.stdin.close()
    store = open_store(str(path))
    rows = list(store.stretch(Filter()))
    assert len(acknowledged) >= 200
    assert acknowledged <= {row["id"] for row in rows}
    assert store.read_now(projections.listed) > 0 and store.read_now(projections.summed) > 0
    for task in {row["task"] for row in rows}:
        wanted = [row["id"] for row in rows if row["task"] == task]
        assert [row["id"] for row in store.stretch(Filter(task=task))] == wanted
    total = store.read_now(rollups.totals, ())[0]
    assert (total["calls"], total["cost_pico"]) == (len(rows), sum(row["cost_pico"] or 0 for row in rows))
    answered = [row for row in rows if row["status"] == "ok"]
    statistics, _ = run(store.load_policy)
    assert sum(stats.calls for _, _, stats in statistics) == len(answered)
    for bucket, model, stats in statistics:
        seen = [row["quality"] for row in answered if (row["bucket"], row["model"]) == (bucket, model)]
        assert stats.quality_sum == pytest.approx(sum(q for q in seen if q is not None), abs=1e-6)
    store.close()


@pytest.mark.parametrize(
    ("pragma", "says"),
    [("PRAGMA max_page_count = 1", "full .free some disk space"), ("PRAGMA query_only = ON", "readonly.*writable")],
)
def test_a_full_or_read_only_disk_pauses_learning_and_recovers_without_restart(
    store: Store, pragma: str, says: str
) -> None:
    refusing = Pragma(store)
    during = mixed(400, seed=2)

    async def live() -> None:
        await asyncio.gather(*[store.ledger.record(one) for one in mixed(50, seed=1)])
        await asyncio.to_thread(refusing.set, pragma)
        waiting = [store.ledger.record(one) for one in during[:200]]
        waiting.append(late_grade(store, during[1].row["id"]))
        await asyncio.wait_for(asyncio.gather(*waiting), PATIENCE_S)  # answers go on

        assert re.search(says, store.ledger.degraded)
        later = [store.ledger.record(one) for one in during[200:]]
        assert all(one.done() for one in later), "nobody waits for a database that is known to refuse"
        await late_grade(store, during[0].row["id"])
        with pytest.raises(WritesPaused):
            await store.mint_key(role="caller", email="", label="")
        assert re.search(says, await store.trouble())
        assert store.writer.pending >= 402
        assert len(await store.page(Filter(), limit=500)) == 50  # reads go on
        refusing.clear()
        await recovered(store)
        await store.ledger.record(record())

    run(live)
    ids = [row["id"] for row in store.stretch(Filter())]
    assert [row["id"] for row in store.stretch(Filter())][1:401] == [one.row["id"] for one in reversed(during)]
    assert len(ids) == 451
    assert [run(lambda i=one.row["id"]: store.decision(i))["quality"] for one in during[:2]] == [0.25, 0.25]
    assert store.read_now(rollups.totals, ())[0]["calls"] == 451
    assert (store.writer.lost, store.writer.pending) == (0, 0)
    assert run(store.counters)["store.recovered"] == 1
    assert run(store.keys) == {}


def test_what_cannot_be_kept_is_counted_and_what_was_promised_is_kept(store: Store) -> None:
    store.writer._max_pending = 100
    refusing = Pragma(store)
    refusing.set("PRAGMA query_only = ON")
    records = mixed(150)

    async def live() -> None:
        await store.ledger.record(records[0])
        for one in records[1:]:
            await store.ledger.record(one)
        assert store.writer.lost == 50
        refusing.clear()
        await recovered(store)
        await store.ledger.record(record())

    run(live)
    ids = [row["id"] for row in store.stretch(Filter())]
    assert ids[1:] == [one.row["id"] for one in reversed(records[:100])]


def test_a_short_lock_of_another_process_is_waited_for(store: Store) -> None:
    store.writer.max_wait_s = PATIENCE_S

    async def live() -> None:
        other = await asyncio.to_thread(_held, store)
        waiting = store.ledger.record(record())
        assert not waiting.done()
        _release(other)
        await asyncio.wait_for(waiting, PATIENCE_S)
        assert store.ledger.degraded == ""

    run(live)


def test_a_long_lock_of_another_process_degrades_then_recovers(store: Store) -> None:
    async def live() -> None:
        other = await asyncio.to_thread(_held, store)
        started = time.perf_counter()
        await store.ledger.record(record())
        assert time.perf_counter() - started > 0.9  # max_wait_s is one second; the lock would last for ever
        assert "another process holds its lock" in store.ledger.degraded
        _release(other)
        await recovered(store)
        await store.ledger.record(record())

    run(live)
    assert len(list(store.stretch(Filter()))) == 2


def test_closing_while_the_database_refuses_ends_soon_and_says_what_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = open_store(str(tmp_path / "arbiter.db"))
    refusing = Pragma(store)
    refusing.set("PRAGMA query_only = ON")

    async def live() -> None:
        for one in mixed(5):
            await store.ledger.record(one)

    run(live)
    store.close()
    assert store.writer.lost == 5
    assert "closed with 5 writes unwritten" in caplog.text


def test_two_processes_write_into_one_file_without_loss(tmp_path: Path) -> None:
    path = tmp_path / "arbiter.db"
    open_store(str(path)).close()
    writing = [spawn(WRITING, str(path), str(seed)) for seed in (1, 2)]
    told = [0, 0]
    for at, process in enumerate(writing):
        assert process.stdout is not None
        while told[at] < 400:
            told[at] += len(process.stdout.readline()) > 10
    for process in writing:
        process.kill()
        process.communicate()
    store = open_store(str(path))
    rows = list(store.stretch(Filter()))
    assert len(rows) >= 800 and len({row["id"] for row in rows}) == len(rows)
    assert store.read_now(rollups.totals, ())[0]["calls"] == len(rows)
    store.close()


def _held(store: Store) -> subprocess.Popen[str]:
    other = spawn(LOCKING, str(store.path))
    assert other.stdout is not None and other.stdout.readline() == "held\n"
    return other


def _release(other: subprocess.Popen[str]) -> None:
    other.communicate("\n")
