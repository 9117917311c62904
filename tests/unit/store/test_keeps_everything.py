"""One file, one writer: what was acknowledged is there, sums are exact, reads are indexed, trouble is told in words."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from arbiter_app.pipeline.ports import DecisionRecord, Lesson
from arbiter_app.pipeline.types import Grade
from arbiter_app.policy.statistics import ModelStats
from arbiter_app.store import Store, open_store
from arbiter_app.store.backends import StoreUnusable, url_of
from arbiter_app.store.decisions import Filter
from arbiter_app.store.engine import unsound
from arbiter_app.store.keys import make_key, public_id, well_formed
from arbiter_app.store.upkeep import restore
from tests.stores import connected
from tests.unit.store.conftest import Place

NOW = 1_750_000_000.0
BLANK: dict[str, Any] = {
    "request_id": "r",
    "key_id": "k",
    "conversation": "",
    "task": "math",
    "difficulty": "easy",
    "bucket": "math",
    "classified_by": "rules",
    "model": "m",
    "mode": "exploit",
    "reason": "",
    "propensity": 1.0,
    "quality": 1.0,
    "quality_source": "objective",
    "quality_reason": "",
    "cost_pico": 100,
    "answer_cost_pico": 100,
    "classifier_cost_pico": None,
    "judge_cost_pico": None,
    "cost_state": "settled",
    "baseline_pico": 300,
    "prompt_tokens": 10,
    "completion_tokens": 20,
    "tokens_needed": 30,
    "eligible_models": 14,
    "latency_ms": 100.0,
    "first_byte_ms": 50.0,
    "overhead_ms": 1.0,
    "stream": False,
    "status": "ok",
    "error_code": "",
    "cache": "miss",
    "failover_from": None,
    "cascaded_from": None,
    "rejected": '["b"]',
    "asked_tokens": 12,
    "beyond_pico": -3,
    "learning_cost_pico": None,
    "project_id": "default",
    "runtime": "",
    "end_user": "",
    "tags": None,
}


def record(at: int, **fields: Any) -> DecisionRecord:
    row = {**BLANK, "id": f"d_{at:016d}", "ts": NOW + at, **fields}
    return DecisionRecord(row, {"at": at}, [("math", row["model"], ModelStats(calls=1.0))])


def with_store(path: Path | str, work: Callable[[Store], Awaitable[Any]], **options: Any) -> Any:
    async def run() -> Any:
        store = open_store(str(path), **options)
        try:
            return await work(store)
        finally:
            store.close()

    return asyncio.run(run())


def test_a_record_comes_back_whole(place: Place) -> None:
    async def work(store: Store) -> Any:
        await store.ledger.record(record(1, failover_from='["a"]', stream=True))
        return await store.decision("d_0000000000000001")

    row = with_store(place("a.db"), work)
    assert row["trace"] == {"at": 1}
    assert (row["failover_from"], row["rejected"]) == (["a"], ["b"])
    assert row["stream"] is True
    read = ("failover_from", "rejected", "stream", "tags")
    assert row["tags"] == []
    assert {name: row[name] for name in BLANK if name not in read} == {
        name: value for name, value in BLANK.items() if name not in read
    }
    assert with_store(place("a.db"), lambda store: store.decision("d_none")) is None


def test_a_burst_shares_commits_and_everything_is_there_after_reopening(place: Place) -> None:
    async def burst(store: Store) -> int:
        await asyncio.gather(*[store.ledger.record(record(at, model=f"m{at % 3}")) for at in range(1_000)])
        return store.writer.commits

    async def look(store: Store) -> Any:
        rows, _ = await store.load_policy()
        return await store.counters(), {model: stats.calls for _, model, stats in rows}

    assert with_store(place("a.db"), burst) < 200
    counters, calls = with_store(place("a.db"), look)
    assert counters["decisions"] == 1_000
    assert calls == {"m0": 334.0, "m1": 333.0, "m2": 333.0}


def test_sums_are_exact_and_follow_late_grades(place: Place) -> None:
    async def work(store: Store) -> Any:
        costs = [10**15 + at for at in range(100)]
        await asyncio.gather(*[store.ledger.record(record(at, cost_pico=cost)) for at, cost in enumerate(costs)])
        await store.ledger.record(record(100, status="failed", cost_pico=7, quality=None))
        await store.ledger.grade("d_0000000000000100", Grade(0.5, "x", "judge"), Lesson(), judge_pico=9)
        (total,) = await store.totals(())
        return sum(costs), total, await store.totals(("bucket",), since=NOW), await store.decision("d_0000000000000100")

    costs, total, since, late = with_store(place("a.db"), work)
    assert total["cost_pico"] == costs + 7
    assert (total["calls"], total["failed"], total["compared"], total["judge_pico"]) == (101, 1, 100, 9)
    assert (total["graded"], total["quality_sum"]) == (101, 100.5)
    assert {name: since[0][name] for name in total} == total
    assert (late["quality"], late["quality_source"], late["judge_cost_pico"]) == (0.5, "judge", 9)


def test_pages_are_filtered_and_continue_without_gaps(place: Place) -> None:
    async def work(store: Store) -> Any:
        for at in range(25):
            store.ledger.record(record(at, model="a" if at % 2 else "b", key_id=f"k{at % 5}"))
        await store.ledger.record(record(25, model="b"))
        seen, before = [], None
        while page := await store.page(Filter(model="a"), limit=5, before=before):
            seen += [row["id"] for row in page]
            before = page[-1]["seq"]
        mine = await store.page(Filter(key_id="k3", since=NOW + 4, until=NOW + 20), limit=50)
        return seen, [row["id"] for row in mine], len(list(store.stretch(Filter())))

    seen, mine, exported = with_store(place("a.db"), work)
    assert seen == [f"d_{at:016d}" for at in range(23, -1, -2)]
    assert mine == [f"d_{at:016d}" for at in (18, 13, 8)]
    assert exported == 26


def test_time_slots_are_oldest_first_with_the_empty_ones(place: Place) -> None:
    async def work(store: Store) -> Any:
        for at in range(4):
            await store.ledger.record(record(at * 3_600, latency_ms=10.0 * (at + 1)))
        return await store.series(bucket_s=3_600, buckets=6, now=NOW + 4 * 3_600)

    slots = with_store(place("a.db"), work)
    assert [slot["calls"] for slot in slots] == [0, 1, 1, 1, 1, 0]
    assert slots[1]["models"] == {"m": 100}
    assert slots[4]["p50_ms"] == pytest.approx(40, rel=0.15)
    assert slots[0]["p95_ms"] is None


def test_keys_have_a_checksum_and_only_their_digest_is_stored(tmp_path: Path) -> None:
    key = make_key()
    assert well_formed(key)
    assert not well_formed(key[:-1] + ("a" if key[-1] != "a" else "b"))
    assert not well_formed("arb_short")

    async def work(store: Store) -> Any:
        minted = await store.mint_key(role="caller", email="a@b.c", label="")
        assert await store.set_key_status(minted.key.id, "revoked")
        assert not await store.set_key_status(minted.key.id, "active"), "revoked is for ever"
        return minted.secret

    secret = with_store(tmp_path / "a.db", work)
    raw = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert secret.encode() not in raw
    assert public_id(secret).encode() in raw


def test_the_file_is_private(tmp_path: Path) -> None:
    with_store(tmp_path / "new" / "a.db", lambda store: store.counters())
    assert os.stat(tmp_path / "new" / "a.db").st_mode & 0o077 == 0
    assert os.stat(tmp_path / "new").st_mode & 0o077 == 0


def test_a_damaged_file_is_told_in_words_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    path.write_bytes(b"this is no database at all" * 100)
    before = path.read_bytes()
    with pytest.raises(StoreUnusable, match="damaged or not a database"):
        open_store(str(path))
    assert path.read_bytes() == before
    assert "damaged" in unsound(url_of(str(path)))


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with_store(path, lambda store: store.counters())
    with connected(path) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnusable, match="newer version"):
        open_store(str(path))


def test_a_backup_can_be_restored_and_the_present_file_is_kept(tmp_path: Path) -> None:
    path, backup = tmp_path / "a.db", tmp_path / "backup.db"

    async def fill(store: Store) -> None:
        await store.ledger.record(record(1))
        await store.back_up(backup)
        await store.ledger.record(record(2))

    with_store(path, fill)
    kept = restore(backup, path)
    assert kept is not None and kept.exists()
    assert with_store(path, lambda store: store.counters())["decisions"] == 1
    (tmp_path / "junk").write_text("junk")
    with pytest.raises(StoreUnusable, match="not a usable backup"):
        restore(tmp_path / "junk", path)


def test_old_decisions_and_traces_go_and_their_sums_stay(place: Place) -> None:
    async def work(store: Store) -> Any:
        await asyncio.gather(*[store.ledger.record(record(at)) for at in range(100)])
        gone = await store.retain(now=NOW + 100, keep_decisions=10, keep_trace_days=1e-3)
        (total,) = await store.totals(())
        newest = await store.page(Filter(), limit=500)
        return gone, total["calls"], [row["id"] for row in newest]

    gone, calls, left = with_store(place("a.db"), work)
    assert calls == 100
    assert left == [f"d_{at:016d}" for at in range(99, 89, -1)]
    assert gone >= 90


def test_relaxed_durability_waits_for_nothing(place: Place) -> None:
    async def work(store: Store) -> Any:
        future = store.ledger.record(record(1))
        assert future.done()
        await store.writer.call(lambda connection: None)
        return await store.counters()

    assert with_store(place("a.db"), work, durability="relaxed")["decisions"] == 1


def test_limits_are_counted_exactly_by_two_processes(place: Place) -> None:
    async def work(store: Store) -> Any:
        other = open_store(place("a.db"))
        limits = {"six_hours": 10, "week": 100}
        tries = [one.count("k", limits) for _ in range(25) for one in (store, other)]
        outcomes = await asyncio.gather(*tries)
        other.close()
        return outcomes, await store.usage("k")

    outcomes, usage = with_store(place("a.db"), work)
    assert [one.full for one in outcomes].count("") == 10
    assert usage["six_hours"].used == 10
    full = next(one for one in outcomes if one.full)
    assert 0 < full.windows[full.full].resets_in_s <= 6 * 3600


def test_a_lone_write_takes_one_commit(place: Place) -> None:
    async def work(store: Store) -> Any:
        before = store.writer.commits
        for at in range(20):
            await store.ledger.record(record(at))
        return store.writer.commits - before

    assert with_store(place("a.db"), work) == 20
