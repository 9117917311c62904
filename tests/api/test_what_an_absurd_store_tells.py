"""Rows that no request could make, as earlier releases or clocks and runtimes that lied left them, break no page and no sum."""

from __future__ import annotations

import asyncio
import csv
import io
import itertools
import json
import math
import re
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from reflex.state import State

from arbiter_app.pipeline.types import PICO_PER_USD
from arbiter_app.policy import FIELDS
from arbiter_app.services.reads import shown
from arbiter_app.store import Store, open_store
from arbiter_app.store.decisions import Filter
from arbiter_app.web import decision_views, views
from arbiter_app.web.ask import Workload
from arbiter_app.web.export import csv_rows, json_rows
from arbiter_app.web.ranges import ALL, RANGES
from arbiter_app.web.topics import topics
from tests import databases
from tests.conftest import Running, running
from tests.stores import connected, file_all, record

NOW = time.time()
DAY_S = 86_400.0
DEAR = 99_999 * PICO_PER_USD
MOST = 2**63 - 1
BASELINE = {"model": "gpt-4o", "mode": "explore"}
"""Calls that measure the baseline."""


def cost(pico: int | None, **changes: Any) -> dict[str, Any]:
    """The columns of a row that cost so much, which were all charged for the answer."""
    return {"cost_pico": pico, "answer_cost_pico": pico, "beyond_pico": pico, **changes}


STORES: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "one row": [{}],
    "one row of the baseline": [BASELINE],
    "one row that failed": [cost(None, status="failed", quality=None, baseline_pico=None, cost_state="unknown")],
    "charges of 99,999 dollars": [cost(DEAR, model="gpt-4o-mini")] * 200,
    "charges and baselines of 99,999 dollars": [cost(DEAR, baseline_pico=DEAR, **BASELINE)] * 200,
    "a dear baseline and cheap others": [cost(DEAR, baseline_pico=DEAR, **BASELINE)] * 120
    + [cost(10**6, model="gpt-4o-mini")] * 120,
    "the largest of all numbers": [cost(MOST, baseline_pico=MOST, judge_cost_pico=MOST, classifier_cost_pico=MOST)] * 7,
    "below zero": [cost(-5 * PICO_PER_USD, baseline_pico=-3 * PICO_PER_USD, **BASELINE)] * 30
    + [cost(-7 * PICO_PER_USD, model="gpt-4o-mini")] * 30,
    "all free": [cost(0, baseline_pico=0, **BASELINE)] * 20 + [cost(0, model="gpt-4o-mini", baseline_pico=0)] * 20,
    "no baselines": [cost(10**9, model="gpt-4o-mini", baseline_pico=None, asked_tokens=None)] * 20,
    "no tokens": [{"prompt_tokens": 0, "completion_tokens": 0, "asked_tokens": 0, "tokens_needed": 0}] * 20,
    "nothing known": [
        cost(None, baseline_pico=None, prompt_tokens=None, completion_tokens=None, asked_tokens=None, quality=None)
        | {"latency_ms": None, "first_byte_ms": None, "propensity": None, "cost_state": "unknown"}
    ]
    * 20,
    "dates to come": [{"ts": NOW + 400 * DAY_S}] * 20 + [{}] * 5,
    "dates far off": [{"ts": ts} for ts in (0.0, 1.0, 4e9, 1e11)],
    "times that none takes": [
        {"latency_ms": ms, "overhead_ms": ms, "first_byte_ms": ms} for ms in (0.0, -5.0, 1e-300, 1e300, 1e15)
    ],
    "likelihoods that are none": [{"propensity": one, "quality": one} for one in (0.0, -1.0, 1e-300, 1e300, 2.0)] * 20,
    "words that are none": [{"model": "", "mode": "dreamt", "bucket": "?:", "task": "", "difficulty": "", "id": "x"}],
    "held out": [cost(DEAR, model="gpt-4o", mode="holdout", baseline_pico=DEAR)] * 120
    + [cost(0, model="gpt-4o-mini")] * 120,
}  # fmt: skip


@pytest.fixture(scope="module", params=STORES)
def rows(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """The rows of one store, as they were recorded; one minute apart unless they say when."""
    changed = enumerate(STORES[request.param])
    return [record(NOW - 60 * at).row | {"id": f"dec_{at:06d}"} | changes for at, changes in changed]


@pytest.fixture(scope="module")
def over_it(rows: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An Arbiter that has started over that store."""
    directory = tmp_path_factory.mktemp("absurd")
    fill(databases.place(databases.chosen, directory / "arbiter.db"), rows)
    with running(directory, ARBITER_PUBLIC_READS="1") as one:
        yield one


@pytest.fixture(scope="module", params=["filed", "not filed"])
def over(rows: list[dict[str, Any]], over_it: Running, request: pytest.FixtureRequest) -> Iterator[Running]:
    """The same with the sums that are filed, and those that are not; the second time it has forgotten, and heard of all rows anew."""
    arbiter = over_it.arbiter
    if arbiter.memory.generation:
        over_it.run(lambda: recorded(arbiter.store, rows))
    if request.param == "filed":
        file_all(arbiter.store)
    yield over_it
    over_it.http.post("/v1/reset").raise_for_status()


async def recorded(store: Store, rows: list[dict[str, Any]]) -> None:
    """Have these rows on record."""
    await asyncio.gather(*(store.ledger.record(record(**row)) for row in rows))


def fill(where: str, rows: list[dict[str, Any]]) -> None:
    store = open_store(where)
    try:
        asyncio.run(recorded(store, rows))
    finally:
        store.close()


def asked(over: Running, path: str) -> Any:
    """What a route says, which is JSON that every client reads."""
    answer = over.http.get(path)
    assert answer.status_code == 200, (path, answer.text)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return json.loads(answer.text, parse_constant=refuse)


def numbers(told: Any) -> Iterator[float]:
    if isinstance(told, dict):
        told = list(told.values())
    for one in told if isinstance(told, list) else ():
        if isinstance(one, int | float):
            yield one
        else:
            yield from numbers(one)


PATHS = (
    "/v1/report",
    "/v1/report?days=1",
    "/v1/report?days=3650",
    "/v1/timeseries",
    "/v1/timeseries?bucket_seconds=2592000&buckets=1000",
    "/v1/timeseries?bucket_seconds=300&buckets=1000",
    "/v1/recent?limit=500",
    "/v1/recent?since=0",
    "/v1/overview",
    "/v1/policy",
    "/v1/alerts",
    "/v1/what-if",
    "/v1/what-if?days=30&tolerance=1",
    "/v1/pricing",
    "/health",
)


def test_every_route_answers_in_numbers(over: Running) -> None:
    for path in PATHS:
        assert all(math.isfinite(one) for one in numbers(asked(over, path))), path


def test_the_metrics_are_numbers(over: Running) -> None:
    answer = over.http.get("/metrics")
    assert answer.status_code == 200
    values = [line.rpartition(" ")[2] for line in answer.text.splitlines() if line and not line.startswith("#")]
    assert all(float(value) == float(value) for value in values)


def test_sums_are_exact(over: Running, rows: list[dict[str, Any]]) -> None:
    told = asked(over, "/v1/report")
    spent = sum((row["cost_pico"] or 0) + (row["judge_cost_pico"] or 0) for row in rows)
    assert told["calls"] == len(rows)
    exactly = Decimal(told["actual_spend_exact"]) * PICO_PER_USD
    assert exactly == spent if abs(spent) < MOST else abs(exactly - spent) <= abs(spent) // 10**15
    named = [row for row in rows if row["model"]]
    usd = sum((row["cost_pico"] or 0) + (row["judge_cost_pico"] or 0) for row in named) / PICO_PER_USD
    assert sum(row["actual_spend"] for row in told["by_model"]) == pytest.approx(usd, abs=1e-9)


def test_ratios_of_nothing_are_unknown_and_others_are_what_they_are(over: Running) -> None:
    told = asked(over, "/v1/report")
    for part in (told, *told["by_bucket"], *told["by_model"], *told["by_mode"]):
        if part["baseline_spend"] <= 0:
            assert part["saved_pct"] is None
        else:
            assert part["saved_pct"] == pytest.approx(100 * part["saved"] / part["baseline_spend"])
            assert part["actual_spend"] < 0 or part["saved_pct"] <= 100
    assert told["saved"] == pytest.approx(told["baseline_spend"] - told["actual_spend"], abs=1e-6)
    if told["interval"] is not None:
        low, high = told["interval"]
        assert low - 1e-6 <= told["saved_pct"] <= high + 1e-6


def test_every_decision_opens(over: Running, rows: list[dict[str, Any]]) -> None:
    listed = asked(over, "/v1/recent?limit=500")["data"]
    assert len(listed) == min(len(rows), 500)
    for row in listed[:20]:
        assert asked(over, f"/v1/decisions/{row['id']}")["id"] == row["id"]


def test_pages_show_numbers(over: Running) -> None:
    arbiter = over.arbiter
    rooms = topics(arbiter, Workload(arbiter.requests))
    overviews: list[Any] = [("feed", ALL, ""), ("demo",), *(("summary", ALL, span) for span in RANGES)]
    for room in [*overviews, *(("models", span) for span in RANGES)]:
        told = over.run(lambda room=room: rooms[room[0]].load(room))
        assert set(told) <= set(State.get_class_substate(rooms[room[0]].state).vars), (
            "a push sets variables of its state"
        )
        text = json.dumps(told, allow_nan=False, default=str)
        assert not re.search(r"[\s\"$]-?(?:nan|inf)\b", text, re.IGNORECASE), room
    for row in asked(over, "/v1/recent?limit=3")["data"]:
        opened = asked(over, f"/v1/decisions/{row['id']}")
        for view in (views.feed_row, decision_views.facts, decision_views.charges, decision_views.candidates):
            assert json.dumps(view(opened), allow_nan=False)


def test_exports_hold_every_row(over: Running, rows: list[dict[str, Any]]) -> None:
    stored = [shown(row) for row in over.run(lambda: over.arbiter.store.page(Filter(), limit=500))]
    assert len(json.loads(b"[" + json_rows(stored) + b"]", parse_constant=pytest.fail)) == min(len(rows), 500)
    assert len(list(csv.reader(io.StringIO(csv_rows(stored).decode())))) == min(len(rows), 500)


def test_requests_are_routed(over: Running) -> None:
    for ask in ("Calculate 6 * 7.", "Write a Python function that adds two numbers.", "Tell me of the sea."):
        assert over.chat(ask, arbiter_no_cache=True).status_code == 200


STATISTICS: dict[str, dict[str, float]] = {
    "endless": {"calls": math.inf, "cost_usd": math.inf, "cost_n": 1.0},
    "grades beyond one": {"calls": 9.0, "graded": 9.0, "quality_sum": 1e300, "quality_sq": 1e300},
    "grades below zero": {"calls": 9.0, "graded": 9.0, "quality_sum": -1e9, "quality_sq": 1e18},
    "endless grades": {"graded": math.inf, "quality_sum": math.inf, "quality_sq": math.inf},
    "counts below zero": {"calls": -9.0, "graded": -9.0, "cost_n": -9.0, "latency_n": -9.0, "tries": -1e9},
    "dear": {"calls": 200.0, "tries": 200.0, "cost_n": 200.0, "cost_usd": 200 * 99_999.0, "cost_sq": 200 * 99_999.0**2},
    "dearer than anything": {"cost_n": 9.0, "cost_usd": 1e300, "cost_sq": 1e308, "unit_n": 9.0, "unit_sum": 1e300},
    "costs below zero": {
        "calls": 9.0,
        "cost_n": 9.0,
        "cost_usd": -1e6,
        "cost_sq": 1e12,
        "unit_n": 9.0,
        "unit_sum": -5.0,
    },
    "sizes that none has": {"sized_n": 5.0, "size_sum": 1e300, "size_sq": 1e308, "sized_usd": 1e9, "size_usd": -1e300},
    "trials without end": {"explore_n": 1e300, "explore_usd": 1e300},
    "slower than anything": {"latency_n": 1e-300, "latency_ms": 1e300},
}


@pytest.mark.parametrize("name", STATISTICS)
def test_statistics_that_cannot_be_stop_no_routing(tmp_path: Path, name: str) -> None:
    fill(databases.place("sqlite", tmp_path / "arbiter.db"), [])
    with connected(tmp_path / "arbiter.db") as connection:
        for bucket, model in itertools.product(("code", "math", "open", "factual"), ("gpt-4o", "gpt-4o-mini")):
            columns = {"bucket": bucket, "model": model, **dict.fromkeys(FIELDS, 0.0), **STATISTICS[name]}
            places = ", ".join("?" for _ in columns)
            names = ", ".join(columns)
            connection.execute(f"INSERT INTO statistic ({names}) VALUES ({places})", tuple(columns.values()))
    with running(tmp_path, database="sqlite") as over:
        for path in ("/v1/policy", "/v1/overview", "/v1/report"):
            assert all(math.isfinite(one) for one in numbers(asked(over, path))), path
        test_requests_are_routed(over)
        assert all(math.isfinite(one) for one in numbers(asked(over, "/v1/policy")))


def test_the_last_days_of_a_report_leave_out_days_to_come(tmp_path: Path) -> None:
    rows = [record(NOW + days * DAY_S).row | {"id": f"dec_{at}"} for at, days in enumerate((-3, -0.5, 0.5, 40))]
    fill(databases.place("sqlite", tmp_path / "arbiter.db"), rows)
    with running(tmp_path, database="sqlite", ARBITER_PUBLIC_READS="1") as over:
        assert [asked(over, f"/v1/report?days={days}")["calls"] for days in (1, 30)] == [1, 2]
        assert asked(over, "/v1/report")["calls"] == 4


def test_what_was_between_two_times_is_asked_for(tmp_path: Path) -> None:
    """A report, the slots of a chart, and what changed since the period before."""
    hours = (-49.5, -30.5, -29.5, -6.5, -0.5)
    rows = [record(NOW + at * 3_600).row | {"id": f"dec_{at}", "cost_pico": 10**12} for at in hours]
    fill(databases.place("sqlite", tmp_path / "arbiter.db"), rows)
    day = NOW - DAY_S
    with running(tmp_path, database="sqlite", ARBITER_PUBLIC_READS="1") as over:
        told = asked(over, f"/v1/report?since={day - DAY_S}&until={day}")
        assert (told["calls"], told["since"], told["until"]) == (2, day - DAY_S, day)
        assert asked(over, f"/v1/report?until={day}")["calls"] == 3
        assert asked(over, f"/v1/report?since={day}")["calls"] == 2
        change = asked(over, f"/v1/spend-change?hours=24&until={day}")
        assert (change["before"]["calls"], change["after"]["calls"]) == (1, 2)
        slots = asked(over, f"/v1/timeseries?since={day - DAY_S}&bucket_seconds=86400&buckets=1")["data"]
        assert [slot["calls"] for slot in slots] == [2]
        both = over.http.get(f"/v1/report?days=1&since={day}")
        assert (both.status_code, both.json()["error"]["param"]) == (422, "days")
