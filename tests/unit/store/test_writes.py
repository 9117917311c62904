"""The writer: a burst shares one commit, one bad write costs nobody else anything, late grades change all sums at once."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import sqlite3
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from arbiter_app.pipeline.ports import Lesson
from arbiter_app.pipeline.types import Grade
from arbiter_app.policy.statistics import ModelStats
from arbiter_app.store import Store, StoreError, open_store, projections
from arbiter_app.store.backends.sqlite import CHECKPOINT_PAGES
from arbiter_app.store.decisions import Filter
from arbiter_app.store.feedback import Thumb
from tests.stores import NOW, call_now, connected, mixed, record, run
from tests.unit.store.conftest import Place

PAGE_BYTES = 4_096


def total(store: Store, name: str) -> Any:
    return run(lambda: store.totals(()))[0][name]


def statistic(store: Store, bucket: str, model: str) -> Any:
    rows, _ = run(store.load_policy)
    return next(stats for at, of, stats in rows if (at, of) == (bucket, model))


def test_a_burst_that_queued_behind_a_commit_shares_the_next_one(file_store: Store) -> None:
    async def burst() -> int:
        other = sqlite3.connect(file_store.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")  # stands for a commit under way
        before = file_store.writer.commits
        waiting = [file_store.ledger.record(one) for one in mixed(200)]
        assert not any(future.done() for future in waiting)
        other.execute("COMMIT")
        other.close()
        await asyncio.gather(*waiting)
        return file_store.writer.commits - before

    assert run(burst) == 1
    assert total(file_store, "calls") == 200


def test_a_finished_future_means_that_another_connection_sees_the_record(file_store: Store) -> None:
    one = record()

    async def write() -> int:
        await file_store.ledger.record(one)
        with connected(file_store.path) as other:
            return other.execute("SELECT count(*) FROM decision WHERE id = ?", (one.row["id"],)).fetchone()[0]

    assert run(write) == 1


def test_relaxed_durability_does_not_wait(place: Place) -> None:
    store = open_store(place("arbiter.db"), durability="relaxed")

    async def write() -> bool:
        return store.ledger.record(record()).done()

    assert run(write)
    store.close()
    again = open_store(place("arbiter.db"))
    assert total(again, "calls") == 1
    again.close()


def test_one_failing_write_costs_the_others_nothing(store: Store) -> None:
    def broken(connection: Any) -> None:
        connection.exec_driver_sql("INSERT INTO counter VALUES ('half', 1)")
        connection.exec_driver_sql("SELECT * FROM no_such_table")

    async def write() -> list[Any]:
        first = [store.ledger.record(one) for one in mixed(10)]
        bad = store.writer.call(broken)
        last = [store.ledger.record(one) for one in mixed(10, seed=8)]
        return await asyncio.gather(*first, bad, *last, return_exceptions=True)

    outcomes = run(write)
    assert [at for at, one in enumerate(outcomes) if one is not None] == [10]
    assert "no_such_table" in str(outcomes[10])
    assert total(store, "calls") == 20
    assert "half" not in run(store.counters)
    assert store.ledger.degraded == ""


def test_the_same_record_twice_is_stored_and_counted_once(store: Store) -> None:
    one = record()

    async def write() -> None:
        await asyncio.gather(store.ledger.record(one), store.ledger.record(one))
        await store.ledger.record(one)

    run(write)
    assert total(store, "calls") == 1
    assert statistic(store, "code", "gpt-4o").calls == 1
    assert store.writer.lost == 0


def test_what_no_database_can_store_does_not_cost_the_record(store: Store) -> None:
    odd = record(reason="half a \ud800 character", prompt_tokens=10**30, overhead_ms=0.1)
    odd.trace["deep"] = {"set": {1, 2}, "half": "\udfff"}

    async def write() -> list[Any]:
        return await asyncio.gather(store.ledger.record(odd), store.ledger.record(record()))

    assert run(write) == [None, None]
    row = run(lambda: store.decision(odd.row["id"]))
    assert (row["prompt_tokens"], row["reason"]) == (None, "half a ? character")
    assert total(store, "calls") == 2


def test_a_late_grade_changes_row_sums_and_statistics_together(store: Store) -> None:
    one = record(quality=None, quality_reason="judge pending")

    async def write() -> None:
        await store.ledger.record(one)
        lesson = Lesson([("code", "gpt-4o", ModelStats(graded=1.0, quality_sum=0.5))], state={"drift": b"x"})
        await store.ledger.grade(one.row["id"], Grade(0.5, "the judge said 0.5", "judge"), lesson, judge_pico=77)

    run(write)
    row = run(lambda: store.decision(one.row["id"]))
    assert (row["quality"], row["quality_source"], row["judge_cost_pico"]) == (0.5, "judge", 77)
    assert (total(store, "graded"), total(store, "quality_sum"), total(store, "judge_pico")) == (1, 0.5, 77)
    assert (total(store, "calls"), statistic(store, "code", "gpt-4o").quality_sum) == (1, 0.5)
    assert run(store.load_policy)[1] == {"drift": b"x"}


def test_statistics_equal_the_sum_of_all_deltas(store: Store) -> None:
    records = mixed(500)

    async def write() -> None:
        await asyncio.gather(*[store.ledger.record(one) for one in records])
        await store.ledger.adjust(Lesson([("code", "gpt-4o", ModelStats(votes=1.0, votes_sum=1.0))]))

    run(write)
    rows, _ = run(store.load_policy)
    answered = [one.row for one in records if one.row["status"] == "ok"]
    assert sum(stats.calls for _, _, stats in rows) == len(answered)
    graded = sum(row["quality"] for row in answered if row["quality"] is not None)
    assert sum(stats.quality_sum for _, _, stats in rows) == pytest.approx(graded, abs=1e-9)
    assert statistic(store, "code", "gpt-4o").votes == 1


def test_alerts_and_feedback_are_kept(store: Store) -> None:
    alert = {"ts": NOW, "kind": "price", "task": "code", "bucket": "code", "model": "gpt-4o", "old_unit": 1e-6}
    alert |= {"new_unit": 8e-6, "direction": "up", "reason": "the unit price moved"}
    thumb = {"ts": NOW, "decision_id": "d_1", "key_id": "k", "bucket": "code", "model": "gpt-4o"}

    async def write() -> list[Any]:
        await store.ledger.adjust(Lesson(alerts=[alert, {**alert, "model": "gpt-4o-mini"}]))
        return [await store.add_feedback({**thumb, "rating": rating, "score": 0.4}) for rating in ("up", "up", "down")]

    up = Thumb("up", 0.4, True)
    assert run(write) == [(None, True), (up, True), (up, True)]
    newest = run(lambda: store.alerts(limit=1))
    assert [one["model"] for one in newest] == ["gpt-4o-mini"]
    assert [one["model"] for one in run(lambda: store.alerts(limit=5, before=newest[0]["id"]))] == ["gpt-4o"]


def test_threads_without_a_loop_can_write_and_hear_of_failures(store: Store) -> None:
    assert call_now(store, lambda connection: connection.exec_driver_sql("SELECT 41 + 1").scalar()) == 42
    with pytest.raises(Exception, match="no_such"):
        call_now(store, lambda connection: connection.exec_driver_sql("SELECT no_such"))
    assert issubclass(StoreError, RuntimeError)


def test_closing_writes_what_is_queued(place: Place) -> None:
    store = open_store(place("arbiter.db"))

    async def write() -> None:
        for one in mixed(300):
            store.ledger.record(one)

    run(write)
    store.close()
    again = open_store(place("arbiter.db"))
    assert len(list(again.stretch(Filter()))) == 300
    again.close()


def test_a_long_run_leaves_no_handles_no_memory_and_a_short_log(tmp_path: Path) -> None:
    """Twenty thousand writes, in which slices are filed and roll-ups settled, and reads between them."""
    store = open_store(str(tmp_path / "arbiter.db"))

    async def some(seed: int, rounds: int) -> None:
        for at in range(rounds):
            await asyncio.gather(*[store.ledger.record(one) for one in mixed(100, seed=seed + at)])
            await store.page(Filter(task="math"), limit=20)

    run(lambda: some(0, 40))
    before = _handles(), _resident_bytes()
    run(lambda: some(1_000, 160))
    after = _handles(), _resident_bytes()
    assert after[0] <= before[0]
    assert after[1] < before[1] * 1.1 + 2**22
    assert store.path is not None
    assert store.path.with_name("arbiter.db-wal").stat().st_size < 2**25
    assert store.writer.pending == 0
    assert total(store, "calls") == 20_000
    store.close()


def _handles() -> int:
    return len(os.listdir("/proc/self/fd"))


def _resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def left_to_file(store: Store) -> dict[str, int]:
    """How many decisions wait to be listed, and to be summed."""
    return {what: call_now(store, partial(store.writer.projections.waiting, what=what)) for what in projections.SLICES}


def test_the_log_stays_short_so_that_no_commit_has_to_move_much_of_it(file_store: Store) -> None:
    async def commits() -> None:
        for one in mixed(500):
            await file_store.ledger.record(one)

    run(commits)
    assert Path(f"{file_store.path}-wal").stat().st_size < 2 * CHECKPOINT_PAGES * PAGE_BYTES


def test_filing_keeps_up_with_commits_that_are_larger_than_its_slices(store: Store) -> None:
    async def commits() -> None:
        for at in range(12):
            await store.ledger.record(*mixed(600, seed=at))

    run(commits)
    assert all(left < 4 * 600 for left in left_to_file(store).values())


def test_a_kind_that_cannot_be_filed_holds_up_no_other(file_store: Store) -> None:
    with connected(file_store.path) as other:
        other.execute("ALTER TABLE listed_by_mode RENAME TO elsewhere")

    async def commits() -> None:
        for at in range(40):
            await file_store.ledger.record(*mixed(40, seed=at))

    run(commits)
    left = left_to_file(file_store)
    assert left[projections.LISTED] == 1_600
    assert left[projections.SUMMED] < 2 * projections.SLICES[projections.SUMMED]
    assert total(file_store, "calls") == 1_600
