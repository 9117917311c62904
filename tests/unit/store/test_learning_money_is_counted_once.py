"""What is asked beside an answer is on record once, with every pico-dollar of it in the sums, filed or not."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arbiter_app.pipeline.ports import Lesson
from arbiter_app.pipeline.types import Grade
from arbiter_app.policy.statistics import ModelStats
from arbiter_app.store import Store, open_store, rollups, upkeep
from tests.stores import NOW, call_now, file_all, record, run

CENT = 10**10


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with contextlib.closing(open_store(str(tmp_path / "a.db"))) as opened:
        yield opened


def shadow(model: str, pico: int | None = CENT, **changes: Any) -> dict[str, Any]:
    row: dict[str, Any] = {"model": model, "ts": NOW + 2_000, "status": "ok", "error": "", "cost_pico": pico}
    row |= {"cost_state": "settled", "prompt_tokens": 10, "completion_tokens": 5, "latency_ms": 100.0}
    return row | {"quality": 0.5, "quality_source": "objective", "quality_reason": "parses"} | changes


def asked_beside(store: Store, decision_id: str, *rows: dict[str, Any]) -> None:
    lesson = Lesson([("code", "cheap", ModelStats(calls=1.0))])

    async def write() -> None:
        for row in rows:
            await store.ledger.shadow(decision_id, row, lesson)

    run(write)


@pytest.mark.parametrize("when", ["before", "after"])
def test_charges_are_in_the_sums_whenever_their_decision_is_filed(store: Store, when: str) -> None:
    given = [record(NOW + at) for at in range(300)]
    run(lambda: store.ledger.record(*given))
    if when == "after":
        file_all(store)
    asked_beside(
        store, given[0].row["id"], shadow("cheap"), shadow("cheaper", 3), shadow("broken", None, status="failed")
    )
    for filed in (False, True):
        if filed:
            run(lambda: store.ledger.record(*[record(NOW + 300) for _ in range(300)]))
            file_all(store)
        [total] = store.read_now(rollups.totals, (), now=NOW)
        assert (total["learning_pico"], total["calls"]) == (CENT + 3, 300 + 300 * filed)
        by_mode = {row["mode"]: row for row in store.read_now(rollups.totals, ("mode", "model"), now=NOW)}
        assert by_mode["shadow"]["calls"] == by_mode["exploit"]["learning_pico"] == 0
        series = store.read_now(rollups.series, bucket_s=300, buckets=4, now=NOW + 300)
        assert [slot["learning_pico"] for slot in series] == [0, 0, CENT + 3, 0]
        assert all("shadow" not in slot["modes"] and "cheap" not in slot["models"] for slot in series)
    row = run(lambda: store.decision(given[0].row["id"]))
    assert row["learning_cost_pico"] == CENT + 3
    assert row["cost_pico"] == given[0].row["cost_pico"], "what the caller's answer cost stays what it was"
    assert [one["model"] for one in row["shadows"]] == ["broken", "cheap", "cheaper"]
    assert run(lambda: store.decision(given[1].row["id"]))["shadows"] == []


def test_a_model_is_counted_once_however_often_it_is_written(store: Store) -> None:
    one = record(NOW)
    run(lambda: store.ledger.record(one))
    asked_beside(store, one.row["id"], shadow("cheap"), shadow("cheap"), shadow("cheap", 7))
    assert store.read_now(rollups.totals, (), now=NOW)[0]["learning_pico"] == CENT
    [(_, _, known)] = [row for row in run(store.load_policy)[0] if row[1] == "cheap"]
    assert known.calls == 1.0


def test_nothing_is_counted_beside_a_decision_that_is_not_on_record(store: Store) -> None:
    asked_beside(store, "d_none", shadow("cheap"))
    assert store.read_now(rollups.totals, (), now=NOW)[0]["learning_pico"] == 0
    assert run(store.load_policy)[0] == []


def test_a_grade_may_come_later(store: Store) -> None:
    one = record(NOW)
    run(lambda: store.ledger.record(one))
    asked_beside(
        store, one.row["id"], shadow("cheap", quality=None, quality_source="none", quality_reason=""), shadow("other")
    )
    lesson = Lesson([("code", "cheap", ModelStats(graded=1.0, quality_sum=0.25))])
    run(lambda: store.ledger.shadow_grades(one.row["id"], {"cheap": Grade(0.25, "judged 0.25", "judge")}, lesson))
    cheap, other = run(lambda: store.decision(one.row["id"]))["shadows"]
    assert (cheap["quality"], cheap["quality_source"], cheap["cost_pico"]) == (0.25, "judge", CENT)
    assert (other["quality"], other["quality_source"]) == (0.5, "objective")


def test_they_go_with_their_decision_and_the_money_stays_in_the_sums(store: Store) -> None:
    given = [record(NOW + at) for at in range(20)]
    run(lambda: store.ledger.record(*given))
    for one in given:
        asked_beside(store, one.row["id"], shadow("cheap"))
    file_all(store)
    call_now(store, lambda connection: upkeep.retire_decisions(connection, 5))
    left = call_now(store, lambda connection: connection.exec_driver_sql("SELECT count(*) FROM shadow").scalar())
    assert left == 5
    assert store.read_now(rollups.totals, (), now=NOW)[0]["learning_pico"] == 20 * CENT
    run(store.reset)
    assert call_now(store, lambda connection: connection.exec_driver_sql("SELECT count(*) FROM shadow").scalar()) == 0
