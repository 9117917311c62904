"""What an operator does to the store: reset, retention in short steps, backup and restore."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from arbiter_app.pipeline.ports import DecisionRecord, Lesson
from arbiter_app.policy import ModelStats
from arbiter_app.store import Store, StoreError, open_store, rollups, sessions, upkeep
from arbiter_app.store.backends import StoreUnusable
from arbiter_app.store.decisions import Filter
from arbiter_app.store.health import examine
from tests import databases
from tests.served import ROOT
from tests.stores import NOW, connected, file_all, mixed, record, rows_of, run, summed


def write(store: Store, records: Sequence[DecisionRecord]) -> None:
    run(lambda: asyncio.gather(*[store.ledger.record(one) for one in records]))


def cost(path: Path) -> Any:
    store = open_store(str(path))
    total = store.read_now(rollups.totals, ())[0]["cost_pico"]
    store.close()
    return total


def test_reset_forgets_everything_but_keys_and_their_usage(store: Store) -> None:
    write(store, mixed(50))
    run(lambda: store.mint_key(role="caller", email="", label=""))
    run(lambda: store.count("k", {"week": 5}))
    run(store.reset)
    assert store.read_now(rollups.totals, ())[0]["calls"] == 0
    assert (list(store.stretch(Filter())), run(store.counters), run(store.load_policy)) == ([], {}, ([], {}))
    assert len(run(store.keys)) == 1
    assert run(lambda: store.usage("k"))["week"].used == 1


def test_retention_keeps_the_newest_decisions_and_every_sum(store: Store) -> None:
    records = mixed(1_200, days=100)
    write(store, records)
    file_all(store)
    run(lambda: store.retain(now=NOW, keep_decisions=400, keep_trace_days=10.0))
    kept = list(store.stretch(Filter()))
    assert [row["id"] for row in kept] == [one.row["id"] for one in reversed(records[-400:])]
    assert store.read_now(rollups.totals, ())[0]["cost_pico"] == summed(records, "cost_pico")
    month = [one for one in records if one.row["ts"] >= (NOW - 30 * 86_400) // 300 * 300]
    assert store.read_now(rollups.totals, (), since=NOW - 30 * 86_400, now=NOW)[0]["calls"] == len(month)
    oldest = min(
        rows_of(store, f"SELECT min(start) FROM {sums} WHERE resolution = 300")[0][0] for sums in ("rollup", "slot")
    )
    traces = [row[0] for row in rows_of(store, "SELECT ts FROM decision_trace")]
    assert oldest >= int(NOW - 45 * 86_400) - 300
    assert traces and min(traces) >= NOW - 10 * 86_400
    old = next(row for row in kept if row["ts"] < NOW - 10 * 86_400)
    assert run(lambda: store.decision(old["id"]))["trace"] is None


def test_sums_older_than_the_finest_kept_are_read_by_the_hour(store: Store) -> None:
    records = mixed(400, days=90)
    write(store, records)
    file_all(store)
    run(lambda: store.retain(now=NOW, keep_decisions=400, keep_trace_days=100.0))
    since = NOW - 60 * 86_400
    wanted = [one for one in records if one.row["ts"] >= since // 3_600 * 3_600]
    assert store.read_now(rollups.totals, (), since=since, now=NOW)[0]["calls"] == len(wanted)


def test_retention_never_holds_the_writer_for_long(store: Store) -> None:
    write(store, mixed(3_000, days=2))

    async def both() -> int:
        let_in = 0
        work = asyncio.create_task(store.retain(now=NOW, keep_decisions=10, keep_trace_days=30.0))
        while not work.done():
            await store.ledger.record(record())
            let_in += 1
        await work
        return let_in

    assert run(both) > 5, "writes come in between its steps; how long one is held up is measured in tests/bench"


def test_a_backup_taken_under_load_is_whole(file_store: Store, tmp_path: Path) -> None:
    async def both() -> None:
        writes = [file_store.ledger.record(one) for one in mixed(300)]
        await file_store.back_up(tmp_path / "backup.db")
        await asyncio.gather(*writes)

    run(both)
    copy = open_store(str(tmp_path / "backup.db"))
    rows = list(copy.stretch(Filter()))
    assert copy.read_now(rollups.totals, ())[0]["cost_pico"] == sum(row["cost_pico"] or 0 for row in rows)
    copy.close()
    assert (tmp_path / "backup.db").stat().st_mode & 0o777 == 0o600


def test_restore_replaces_the_store_and_keeps_what_was_there(tmp_path: Path) -> None:
    path, backup = tmp_path / "arbiter.db", tmp_path / "backup.db"
    store = open_store(str(path))
    write(store, [record(cost_pico=1)])
    run(lambda: store.back_up(backup))
    write(store, [record(cost_pico=10)])
    store.close()
    kept = upkeep.restore(backup, path)
    assert kept is not None
    assert (cost(path), cost(kept)) == (1, 11)


def test_a_link_to_the_store_is_the_store(tmp_path: Path) -> None:
    """Who serves by a link is seen by its file's name, and what a link leads to is what is replaced."""
    path, link, backup = tmp_path / "arbiter.db", tmp_path / "link.db", tmp_path / "backup.db"
    store = open_store(str(path))
    run(lambda: store.back_up(backup))
    link.symlink_to(path)
    code = (
        "import sys; from pathlib import Path; from arbiter_app.store.neighbours import Neighbours; "
        f"mark = Neighbours(Path({str(link)!r})); print(flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as other:
        assert other.stdin is not None and other.stdout is not None
        other.stdout.readline()
        with pytest.raises(StoreUnusable, match="is serving"):
            upkeep.restore(backup, path)
        other.stdin.close()
    write(store, [record(cost_pico=10)])
    store.close()
    upkeep.restore(backup, link)
    assert link.is_symlink() and cost(path) == 0


def test_a_damaged_store_can_be_restored_over(tmp_path: Path) -> None:
    path, backup = tmp_path / "arbiter.db", tmp_path / "backup.db"
    store = open_store(str(path))
    write(store, [record(cost_pico=1)])
    run(lambda: store.back_up(backup))
    store.close()
    path.write_bytes(b"damaged " * 1_000)
    kept = upkeep.restore(backup, path)
    assert kept is not None and kept.read_bytes() == b"damaged " * 1_000
    assert cost(path) == 1


@pytest.mark.parametrize(("content", "says"), [(None, "no such file"), (b"junk" * 5_000, "not a usable backup")])
def test_what_is_no_backup_is_refused_and_nothing_changes(tmp_path: Path, content: bytes | None, says: str) -> None:
    path, backup = tmp_path / "arbiter.db", tmp_path / "odd name #1.db"
    store = open_store(str(path))
    write(store, [record(cost_pico=5)])
    store.close()
    if content is not None:
        backup.write_bytes(content)
    with pytest.raises(StoreUnusable, match=says):
        upkeep.restore(backup, path)
    assert cost(path) == 5


def test_a_backup_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path, backup = tmp_path / "arbiter.db", tmp_path / "backup.db"
    for one in (path, backup):
        open_store(str(one)).close()
    with connected(backup) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnusable, match="newer version"):
        upkeep.restore(backup, path)


def test_a_look_at_the_store_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "arbiter.db"
    assert not examine(str(path)).exists
    assert not path.exists()
    open_store(str(path)).close()
    health = examine(str(path))
    assert (health.revision, health.problem) == (health.head, "")
    path.write_bytes(b"junk" * 5_000)
    assert "damaged" in examine(str(path)).problem


def test_a_server_database_is_backed_up_by_its_own_tools(tmp_path: Path) -> None:
    store = open_store(databases.place("postgres", tmp_path / "arbiter.db"))
    with pytest.raises(StoreError, match="pg_dump"):
        run(lambda: store.back_up(tmp_path / "never"))
    store.close()


def test_statistics_that_cannot_be_true_leave_the_store_and_others_stay(store: Store) -> None:
    bad = ModelStats(calls=9.0, graded=9.0, quality_sum=1e300, quality_sq=1e300, latency_n=3.0, latency_ms=30.0)
    good = ModelStats(calls=5.0, graded=4.0, quality_sum=3.0, quality_sq=2.5, cost_n=5.0, cost_usd=0.1)
    run(
        lambda: store.ledger.adjust(
            Lesson([("math", "bad", bad), ("math", "good", good), ("code", "none", ModelStats(tries=-99.0))])
        )
    )
    run(lambda: store.retain(now=NOW, keep_decisions=10, keep_trace_days=1.0))
    rows = rows_of(store, "SELECT model, calls, graded, quality_sum, latency_ms FROM statistic ORDER BY model")
    assert rows == [("bad", 9.0, 0.0, 0.0, 30.0), ("good", 5.0, 4.0, 3.0, 0.0)]


def test_sessions_that_have_run_out_are_removed(store: Store) -> None:
    for at in range(3):
        row = sessions.SessionRow(f"digest {at}", "arb_12345678", "caller", NOW - 10, NOW + at)
        run(lambda row=row: store.writer.call(lambda c: sessions.begin(c, row, per_key=9, most=9)))
    run(lambda: store.retain(now=NOW + 1, keep_decisions=10, keep_trace_days=1.0))
    assert [row.ends for row in run(lambda: store.read(sessions.everyone)).values()] == [NOW + 2]
