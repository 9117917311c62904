"""Reads: sums equal the records to the last digit, pages are complete and in order, every filter has its index."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import random
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import Connection, event

from arbiter_app.pipeline.ports import DecisionRecord, Lesson
from arbiter_app.pipeline.types import Grade
from arbiter_app.store import Store, decisions, open_store, projections, rollup_math, rollups
from arbiter_app.store.decisions import Filter
from arbiter_app.store.tables import LISTS
from arbiter_app.web import ranges
from tests import databases
from tests.stores import BUCKETS, KEYS, MODELS, NOW, call_now, connected, file_all, mixed, record, run, summed
from tests.unit.store.conftest import Place

SINCE = (None, NOW - 30 * 86_400, NOW - 3 * 86_400, NOW - 7_200, NOW - 300)


def write(store: Store, records: Sequence[DecisionRecord]) -> None:
    run(lambda: asyncio.gather(*[store.ledger.record(one) for one in records]))


@pytest.fixture(scope="module")
def records() -> list[DecisionRecord]:
    return mixed(1_500, days=40)


@pytest.fixture(scope="module", params=databases.KINDS)
def store(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, records: list[DecisionRecord]
) -> Iterator[Store]:
    """Two thirds have been filed, in two goes; a third waits."""
    one = open_store(databases.place(request.param, tmp_path_factory.mktemp("store") / "arbiter.db"))
    for part in range(3):
        write(one, records[part * 500 : (part + 1) * 500])
        if part < 2:
            file_all(one)
    yield one
    one.close()


@pytest.mark.parametrize("since", SINCE)
@pytest.mark.parametrize("key_id", [None, KEYS[1], "arb_nobody00"])
def test_totals_equal_the_records_to_the_last_digit(
    store: Store, records: list[DecisionRecord], since: float | None, key_id: str | None
) -> None:
    got = store.read_now(rollups.totals, ("bucket", "model"), since=since, scope=key_id, now=NOW)
    start = 0 if since is None else int(since) // 300 * 300
    chosen = [one for one in records if one.row["ts"] >= start and key_id in (None, one.row["key_id"])]
    assert sum(row["calls"] for row in got) == len(chosen)
    for bucket in BUCKETS:
        for model in MODELS:
            of = [one for one in chosen if (one.row["bucket"], one.row["model"]) == (bucket, model)]
            row = next((r for r in got if (r["bucket"], r["model"]) == (bucket, model)), None)
            assert (row["cost_pico"] if row else 0) == summed(of, "cost_pico")
            assert (row["classifier_pico"] if row else 0) == summed(of, "classifier_cost_pico")
            assert (row["failed"] if row else 0) == sum(one.row["status"] == "failed" for one in of)


def test_a_calls_baseline_counts_only_when_both_sides_are_known(store: Store, records: list[DecisionRecord]) -> None:
    total = store.read_now(rollups.totals, ())[0]
    both = [
        one
        for one in records
        if one.row["status"] == "ok" and one.row["baseline_pico"] is not None and one.row["cost_pico"] is not None
    ]
    failed = [one for one in records if one.row["status"] != "ok"]
    assert total["compared"] == len(both)
    assert total["baseline_pico"] == summed(both, "baseline_pico")
    assert total["compared_pico"] == summed(both, "cost_pico") + summed(failed, "cost_pico")


@pytest.mark.parametrize(("bucket_s", "buckets"), [(300, 50), (3_600, 24), (5_400, 30), (86_400, 45), (604_800, 3)])
@pytest.mark.parametrize("key_id", [None, KEYS[2]])
def test_series_are_whole_and_zero_filled_oldest_first(
    store: Store, records: list[DecisionRecord], bucket_s: int, buckets: int, key_id: str | None
) -> None:
    slots = run(lambda: store.series(bucket_s=bucket_s, buckets=buckets, now=NOW, scope=key_id))
    starts = [slot["start"] for slot in slots]
    assert starts == list(range(starts[0], starts[0] + buckets * bucket_s, bucket_s))
    assert starts[-1] <= NOW < starts[-1] + bucket_s
    for slot in slots:
        of = [
            one
            for one in records
            if slot["start"] <= one.row["ts"] < slot["start"] + bucket_s and key_id in (None, one.row["key_id"])
        ]
        assert (slot["calls"], slot["cost_pico"]) == (len(of), summed(of, "cost_pico"))
        assert sum(slot["models"].values()) == slot["cost_pico"]
        assert sum(slot["modes"].values()) == slot["calls"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kolkata"])
@pytest.mark.parametrize(("first_ago", "last_ago"), [(0, 0), (3, 3), (8, 2), (44, 30), (44, 0)])
def test_days_of_any_time_zone_are_told_exactly_and_their_slots_add_up(
    store: Store, records: list[DecisionRecord], zone: str, first_ago: int, last_ago: int
) -> None:
    today = datetime.fromtimestamp(NOW, ZoneInfo(zone)).date()
    first, last = (today - timedelta(days=ago) for ago in (first_ago, last_ago))
    at = ranges.range_at(f"{first}..{last}", zone, NOW)
    ends = [
        datetime.combine(one, datetime.min.time(), ZoneInfo(zone)).timestamp()
        for one in (first, last + timedelta(days=1))
    ]
    assert (at.since, at.until) == (ends[0], ends[1] if last_ago else None)
    mine = [one for one in records if ends[0] <= one.row["ts"] < ends[1]]
    (total,) = store.read_now(rollups.totals, (), since=at.since, until=at.until, now=NOW)
    assert (total["calls"], total["cost_pico"]) == (len(mine), summed(mine, "cost_pico"))
    slots = run(lambda: store.series(bucket_s=at.bucket_s, buckets=at.buckets, first=at.first, now=NOW))
    assert slots[0]["start"] == at.since and sum(slot["cost_pico"] for slot in slots) >= summed(mine, "cost_pico")
    if (ends[1] - ends[0]) % at.bucket_s == 0:
        assert sum(slot["cost_pico"] for slot in slots) == summed(mine, "cost_pico")


@pytest.mark.parametrize("key_id", [None, KEYS[0]])
def test_latency_quantiles_are_right_within_a_bin(
    store: Store, records: list[DecisionRecord], key_id: str | None
) -> None:
    month = rollup_math.MONTH
    slots = run(lambda: store.series(bucket_s=month, buckets=3, now=NOW, scope=key_id))
    for slot in slots:
        seen = sorted(
            one.row["latency_ms"]
            for one in records
            if one.row["cache"] != "hit"
            and one.row["status"] == "ok"
            and key_id in (None, one.row["key_id"])
            and slot["start"] <= one.row["ts"] < slot["start"] + month
        )
        if not seen:
            assert (slot["p50_ms"], slot["p95_ms"]) == (None, None)
            continue
        assert slot["p50_ms"] == pytest.approx(seen[len(seen) // 2], rel=0.15)
        assert slot["p95_ms"] == pytest.approx(seen[int(len(seen) * 0.95)], rel=0.15)
    assert sum(slot["p50_ms"] is not None for slot in slots) == 2


def test_filing_changes_nothing_that_is_read(place: Place) -> None:
    store = open_store(place("arbiter.db"))
    write(store, mixed(240, days=3))
    reads: list[Callable[[Connection], Any]] = [
        lambda c: sorted(map(str, rollups.totals(c, ("bucket", "mode"), now=NOW))),
        lambda c: sorted(map(str, rollups.totals(c, ("model",), since=NOW - 100_000, scope=KEYS[0], now=NOW))),
        lambda c: [(s["start"], s["cost_pico"], s["p95_ms"], sorted(s["models"].items())) for s in _hours(c)],
        lambda c: decisions.page(c, Filter(task="code", since=NOW - 100_000), limit=50),
        lambda c: decisions.page(c, Filter(status="failed"), limit=50, before=200),
        lambda c: sorted(rollups.counters(c).items()),
    ]
    before = [store.read_now(_rounded(read)) for read in reads]
    for most in (1, 80, 81, 78):  # the edge lies anywhere among what is read
        for what in projections.SLICES:
            assert call_now(store, partial(store.writer.projections.build, what=what, most=most)) == most
            assert [store.read_now(_rounded(read)) for read in reads] == before
    left = store.read_now(store.writer.projections.opened)
    while left:
        assert call_now(store, store.writer.projections.settle) < left
        assert [store.read_now(_rounded(read)) for read in reads] == before
        left = store.read_now(store.writer.projections.opened)
    assert file_all(store) == 0
    store.close()


def test_a_late_grade_counts_the_same_before_and_after_filing(place: Place) -> None:
    sums = []
    for filed_first in (True, False):
        store = open_store(place(f"{filed_first}.db"))
        one = record(quality=None)
        write(store, [one])
        assert not filed_first or file_all(store) == 1
        run(lambda store=store, at=one.row["id"]: _graded(store, at, 0.25, 7))
        run(lambda store=store, at=one.row["id"]: _graded(store, at, 0.75, 9))  # a second thought replaces the first
        for _ in range(2):
            sums.append(store.read_now(rollups.totals, ("bucket", "model", "mode"), now=NOW))
            sums.append(store.read_now(rollups.totals, ("bucket", "model", "mode"), since=NOW - 900, now=NOW))
            assert store.read_now(_hours)[-1]["judge_pico"] == 9
            file_all(store)
        store.close()
    assert all(one == sums[0] for one in sums)
    assert (sums[0][0]["graded"], sums[0][0]["quality_sum"], sums[0][0]["judge_pico"]) == (1, 0.75, 9)


async def _graded(store: Store, decision_id: str, quality: float, pico: int) -> None:
    await store.ledger.grade(decision_id, Grade(quality, "late", "judge"), Lesson(), judge_pico=pico)


def test_pages_go_newest_first_and_miss_nothing(store: Store, records: list[DecisionRecord]) -> None:
    seen: list[str] = []
    before = None
    while page := store.read_now(decisions.page, Filter(), limit=400, before=before):
        seen += [row["id"] for row in page]
        before = page[-1]["seq"]
    assert seen == [one.row["id"] for one in reversed(records)]


@pytest.mark.parametrize(
    "narrowed",
    [
        Filter(task="math"),
        Filter(model=MODELS[1], mode="explore"),
        Filter(status="failed"),
        Filter(status="aborted", task="open"),
        Filter(status="ok", key_id=KEYS[1], since=NOW - 864_000),
        Filter(since=NOW - 864_000, until=NOW - 432_000),
        Filter(task="code", model=MODELS[0], mode="escalate", key_id=KEYS[0]),
    ],
)
def test_filters_narrow_to_exactly_what_they_say(store: Store, records: list[DecisionRecord], narrowed: Filter) -> None:
    named = {
        name: value for name in ("task", "model", "mode", "status", "key_id") if (value := getattr(narrowed, name))
    }
    wanted = [
        one.row["id"]
        for one in reversed(records)
        if all(one.row[name] == value for name, value in named.items())
        and (narrowed.since is None or one.row["ts"] >= narrowed.since)
        and (narrowed.until is None or one.row["ts"] < narrowed.until)
    ]
    assert [row["id"] for row in store.stretch(narrowed)] == wanted
    assert wanted


def test_a_follower_sees_what_is_new_oldest_first(place: Place) -> None:
    store = open_store(place("arbiter.db"))
    write(store, [record() for _ in range(3)])
    last = run(lambda: store.page(Filter(), limit=1))[0]["seq"]
    new = [record(reason=f"new {at}") for at in range(3)]
    write(store, new)
    assert [row["reason"] for row in store.read_now(decisions.after, last)] == ["new 0", "new 1", "new 2"]
    store.close()


def test_a_decision_opens_with_its_trace_and_an_unknown_one_is_none(
    store: Store, records: list[DecisionRecord]
) -> None:
    row = run(lambda: store.decision(records[0].row["id"]))
    assert row["trace"] == {"classify": {"rule": "fence"}}
    assert row["cost_pico"] == records[0].row["cost_pico"]
    assert run(lambda: store.decision("d_0000000000000000")) is None


def test_candidates_are_read_by_name_whether_they_were_stored_as_rows_or_named(place: Place) -> None:
    named = {"model": "a", "n": 2.0, "quality": 0.9, "low": 0.5, "high": 1.0, "cost": 1e-5, "why_not": ""}
    store = open_store(place("arbiter.db"))
    written = [record(), record()]
    for one, candidates in zip(written, ([tuple(named.values())], [named]), strict=True):
        one.trace["route"] = {"model": "a", "candidates": candidates}
    write(store, written)
    for one in written:
        assert run(partial(store.decision, one.row["id"]))["trace"]["route"] == {"model": "a", "candidates": [named]}
    store.close()


def test_every_read_of_a_large_file_goes_through_an_index(file_store: Store) -> None:
    store = file_store
    write(store, mixed(400))
    file_all(store)
    filters = [Filter(), *[Filter(**{name: "x"}) for name in LISTS]]
    filters += [Filter(status="failed", key_id="x"), Filter(since=1.0), Filter(task="code", until=2.0)]
    filters += [Filter(key_id="x", task="code", model="x", mode="y", since=NOW - 864_000)]
    for narrowed in filters:
        for plan in _plans(store, lambda c, f=narrowed: decisions.page(c, f, limit=50, before=9)):
            assert "TEMP B-TREE" not in plan, (narrowed, plan)
            assert "SEARCH" in plan or plan == "SCAN span\n", (narrowed, plan)
            if "listed_by" in plan:
                assert plan.index("SEARCH listed_by") < plan.index("SEARCH decision"), (narrowed, plan)
    reads: list[Callable[[Connection], Any]] = [
        lambda c: decisions.one(c, "d_1"),
        lambda c: decisions.after(c, 7),
        lambda c: rollups.totals(c, ("model",), since=NOW - 1e6, now=NOW),
        lambda c: rollups.totals(c, ("model",), scope="k"),
        lambda c: _hours(c),
        lambda c: rollups.counters(c),
    ]
    for read in reads:
        for plan in _plans(store, read):
            assert "SCAN slot" not in plan and "SCAN rollup" not in plan and "SCAN decision" not in plan, plan


def test_no_write_of_a_large_store_reads_a_whole_table(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "arbiter.db"))
    said: set[str] = set()
    traced = call_now(store, lambda c: c.connection.driver_connection)
    traced.set_trace_callback(said.add)
    one = record(quality=None)
    write(store, [*mixed(20), one])
    file_all(store)
    run(lambda: _graded(store, one.row["id"], 0.5, 1))
    file_all(store)
    run(lambda: store.retain(now=NOW + 50 * 86_400, keep_decisions=5, keep_trace_days=1.0))
    traced.set_trace_callback(None)
    wrote = [text for text in said if text.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH"))]
    assert len(wrote) > 30
    with connected(store.path) as plain:
        for text in wrote:
            plan = "\n".join(row[3] for row in plain.execute(f"EXPLAIN QUERY PLAN {text}"))
            assert not re.search(r"SCAN (slot|rollup|decision|listed_by_\w+)$", plan, re.MULTILINE), (text, plan)
    store.close()


def test_a_time_is_found_among_clocks_that_went_back(place: Place) -> None:
    """Requests end in another order than they began, and clocks are set back."""
    store = open_store(place("arbiter.db"))
    times = [NOW + (at * 7_919) % 1_000 * 60.0 for at in range(300)]
    write(store, [record(ts, id=f"d_{at:016d}") for at, ts in enumerate(times)])
    while call_now(store, partial(store.writer.projections.build, what=projections.LISTED, most=10)):
        pass
    since, until = NOW + 20_000, NOW + 25_000
    wanted = [f"d_{at:016d}" for at, ts in enumerate(times) if since <= ts < until]
    assert [row["id"] for row in store.stretch(Filter(since=since, until=until))] == wanted[::-1]
    assert [row["id"] for row in store.stretch(Filter(task="code", until=until))][0] == max(
        f"d_{at:016d}" for at, ts in enumerate(times) if ts < until
    )
    assert list(store.stretch(Filter(until=NOW - 1))) == []
    store.close()


def _plans(store: Store, read: Callable[[Connection], Any]) -> list[str]:
    """How SQLite would run each SELECT of a read."""
    found: list[str] = []

    def explain(_conn: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        steps = cursor.connection.execute(f"EXPLAIN QUERY PLAN {statement}", parameters).fetchall()
        if steps:
            found.append("\n".join(step[3] for step in steps) + "\n")

    with store._reading.connect() as connection:
        event.listen(connection, "before_cursor_execute", explain)
        read(connection)
    return found


def _hours(connection: Connection) -> list[dict[str, Any]]:
    return rollups.series(connection, bucket_s=3_600, buckets=48, now=NOW)


def _rounded(read: Callable[[Connection], Any]) -> Callable[[Connection], str]:
    """Floats may differ in their last digits when summed in another order."""
    return lambda connection: re.sub(r"\d+\.\d+", _six_digits, str(read(connection)))


def _six_digits(number: re.Match[str]) -> str:
    return f"{float(number[0]):.6f}"


ABSURD_PICO = 99_999 * 10**12


@pytest.mark.parametrize("filed", [False, True], ids=["not filed", "filed"])
def test_sums_past_64_bits_are_still_sums(tmp_path: Path, filed: bool) -> None:
    money = ("cost_pico", "baseline_pico", "beyond_pico", "judge_cost_pico", "classifier_cost_pico")
    given = [record(NOW + at, **dict.fromkeys(money, ABSURD_PICO)) for at in range(300)]
    with contextlib.closing(open_store(str(tmp_path / "a.db"))) as store:
        write(store, given)
        for _ in range(3 if filed else 0):
            call_now(store, lambda c: store.writer.projections.build(c, projections.SUMMED, 100))
        for _ in range(1 if filed else 0):
            call_now(store, store.writer.projections.settle)
        for by in ((), ("bucket", "model", "mode")):
            [total] = store.read_now(rollups.totals, by, now=NOW)
            assert total["calls"] == 300
            for name in ("cost_pico", "baseline_pico", "beyond_pico", "judge_pico"):
                assert total[name] == pytest.approx(300 * ABSURD_PICO)
        series = store.read_now(rollups.series, bucket_s=3600, buckets=2, now=NOW + 300)
        assert sum(slot["cost_pico"] for slot in series) == pytest.approx(300 * ABSURD_PICO)


def test_sums_within_64_bits_are_exact_with_either_sign(tmp_path: Path) -> None:
    amounts = [-3, 2**40 + 1, -(2**45) - 7, 12, 0]
    given = [record(NOW + at, beyond_pico=pico) for at, pico in enumerate(amounts)]
    with contextlib.closing(open_store(str(tmp_path / "a.db"))) as store:
        write(store, given)
        assert store.read_now(rollups.totals, (), now=NOW)[0]["beyond_pico"] == sum(amounts)
        call_now(store, lambda c: store.writer.projections.build(c, projections.SUMMED, 100))
        call_now(store, store.writer.projections.settle)
        assert store.read_now(rollups.totals, (), now=NOW)[0]["beyond_pico"] == sum(amounts)


@pytest.mark.parametrize("filed", [True, False])
def test_the_last_days_end_now_whatever_a_clock_that_was_ahead_left(tmp_path: Path, filed: bool) -> None:
    ago = (
        -400 * 86_400,
        -86_400,
        -3_600,
        -300,
        0,
        200,
        3_700,
        90_000,
        6 * 86_400,
        29 * 86_400,
        70 * 86_400,
        500 * 86_400,
    )
    store = open_store(str(tmp_path / "arbiter.db"))
    write(store, [record(NOW - one) for one in ago])
    if filed:
        file_all(store)
    for now in (NOW, NOW - 4_000, NOW - 30 * 86_400, NOW + 7_200):
        for days in (0.01, 0.1, 1.5, 8, 31, 40, 100, 3_650):
            since = now - days * 86_400
            size = 300 if days <= rollups.FINE_DAYS else 3_600 if days <= rollups.HOURLY_DAYS else 86_400
            wanted = [NOW - one for one in ago if since // size * size <= NOW - one < (now // 300 + 1) * 300]
            got = store.read_now(rollups.totals, (), since=since, now=now)
            assert got[0]["calls"] == len(wanted), (now - NOW, days)
    assert store.read_now(rollups.totals, (), now=NOW)[0]["calls"] == len(ago)
    store.close()


def test_a_time_is_covered_by_stretches_of_which_none_is_empty() -> None:
    """An empty one is not free: without its key a server goes through all sums of that fineness."""
    rng = random.Random(3)
    for _ in range(2_000):
        since = NOW - rng.choice((60, 4_000, 90_000, 40 * 86_400, 500 * 86_400)) * rng.random()
        upto = rng.choice((NOW, since + (NOW - since) * rng.random()))
        parts = sorted((first, end) for _, first, end in rollups.stretches(since, upto, NOW))
        assert parts[0][0] <= since and parts[-1][1] > upto
        assert all(first < end for first, end in parts)
        assert all(before[1] == after[0] for before, after in itertools.pairwise(parts))
    assert rollups.stretches(NOW + 9_000, NOW, NOW)[0][1:] == (int(NOW + 9_000) // 300 * 300,) * 2
