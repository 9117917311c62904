"""The true saving lies inside the stated 95 % interval in 93 to 97 % of simulated runs."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import StaticPool, create_engine, select

from arbiter_app.pipeline.holdout import drawn
from arbiter_app.policy.savings import Repriced, half_width, t95, variance_of
from arbiter_app.services import savings_report
from arbiter_app.store.rollup_sql import SUM_OF
from arbiter_app.store.tables import StoredDecision, table


def covered(rng: random.Random, calls: int, n: int, spread: float) -> bool:
    """One run: two buckets whose baseline cost is drawn; does the interval hold the true total of the re-priced calls?"""
    estimate, true, parts = 0.0, 0.0, []
    for mean in (1.0, 3.0):
        measured = [rng.gauss(mean, spread * mean) for _ in range(n)]
        unseen = rng.gauss(calls * mean, math.sqrt(calls) * spread * mean)
        variance = variance_of(n, sum(measured), sum(x * x for x in measured))
        estimate += calls * sum(measured) / n
        true += unseen
        parts.append(Repriced(calls, n, sum(measured) / n, variance))
    width = half_width(parts)
    assert width is not None
    return abs(estimate - true) <= width


@pytest.mark.parametrize(("calls", "n", "spread"), [(500, 10, 0.2), (500, 60, 0.3), (50, 20, 0.2), (2000, 5, 0.1)])
def test_coverage(calls: int, n: int, spread: float) -> None:
    rng = random.Random(calls + n)
    runs = 1_500
    share = sum(covered(rng, calls, n, spread) for _ in range(runs)) / runs
    slack = 2.5 * math.sqrt(0.95 * 0.05 / runs)
    assert 0.95 - slack <= share <= 0.97 + slack


def test_an_unmeasured_baseline_gives_no_interval() -> None:
    assert half_width([Repriced(10, 1, 1.0, 0.0)]) is None
    assert half_width([Repriced(10, 0, 0.0, 0.0), Repriced(10, 9, 1.0, 1.0)]) is None
    assert half_width([Repriced(0, 0, 0.0, 0.0)]) == 0.0
    assert variance_of(1, 5.0, 25.0) == 0.0


def test_a_single_baseline_call_borrows_the_spread_of_the_others_and_widens_the_interval() -> None:
    known = Repriced(100, 20, 1.0, 0.04)
    alone, both = half_width([known]), half_width([known, Repriced(10, 1, 1.0, 0.0)])
    assert alone is not None and both is not None
    assert both > 1.05 * alone


@pytest.mark.parametrize(("freedom", "quantile"), [(3, 3.182), (5, 2.571), (10, 2.228), (30, 2.042), (math.inf, 1.960)])
def test_t_quantiles(freedom: float, quantile: float) -> None:
    assert t95(freedom) == pytest.approx(quantile, rel=0.01)


INPUT_USD, OUTPUT_USD = 2.5e-6, 1e-5
RUNS = 300
SLACK = 2.5 * math.sqrt(0.95 * 0.05 / RUNS)
ENGINE = create_engine("sqlite://", poolclass=StaticPool)
COLUMNS = ("bucket", "model", "mode", "cost_pico", "baseline_pico", "asked_tokens", "beyond_pico")
DECISIONS = table(StoredDecision)
BY_BUCKET = [DECISIONS.c[name] for name in savings_report.BY]
SUMS = select(*BY_BUCKET, *[column.label(name) for name, column in SUM_OF.items()]).group_by(*BY_BUCKET)
ANSWERS = {"code": 400.0, "math": 60.0, "open": 700.0}


def summed(made: list[tuple[Any, ...]]) -> list[dict[str, Any]]:
    """Roll-up rows of answered decisions, given as COLUMNS."""
    with ENGINE.begin() as connection:
        connection.exec_driver_sql("DELETE FROM decision")
        marks = ", ".join("?" * len(COLUMNS))
        connection.exec_driver_sql(f"INSERT INTO decision (status, {', '.join(COLUMNS)}) VALUES ('ok', {marks})", made)
        return [dict(row._mapping) for row in connection.execute(SUMS)]


@pytest.fixture(autouse=True, scope="module")
def a_table_of_decisions() -> Iterator[None]:
    """The decisions' columns without what they must hold, so that few values need to be made."""
    with ENGINE.begin() as connection:
        connection.exec_driver_sql(f"CREATE TABLE decision ({', '.join(DECISIONS.c.keys())})")
    yield
    ENGINE.dispose()


@dataclass
class Traffic:
    """Requests past a policy that starts with the baseline and then tries it now and then; `truth` knows every price."""

    rng: random.Random
    share: float
    made: list[tuple[Any, ...]] = field(default_factory=list)
    seen: Counter[str] = field(default_factory=Counter)
    saved: float = 0.0
    routed: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))

    def send(self, calls: int) -> list[dict[str, Any]]:
        """The roll-up rows after so many calls, summed as the store sums decisions."""
        for _ in range(calls):
            self._one()
        return summed(self.made)

    def _one(self) -> None:
        rng = self.rng
        bucket = rng.choices(list(ANSWERS), (3, 2, 1))[0]
        real, length = rng.lognormvariate(5.5, 0.8), rng.lognormvariate(math.log(ANSWERS[bucket]), 0.4)
        estimate = round(real * rng.uniform(1.0, 1.2))
        price = real * INPUT_USD + length * OUTPUT_USD
        model, mode = self._choice(bucket)
        own = model == "base"
        paid = price if own else (real * INPUT_USD + rng.lognormvariate(0, 0.3) * length * OUTPUT_USD) / 3
        self.saved += price - paid
        if mode != "holdout":
            self.routed[bucket] += price - paid
        beyond = paid - estimate * (INPUT_USD if own else INPUT_USD / 3)
        pico = round(paid * 1e12)
        self.made.append((bucket, model, mode, pico, pico if own else None, estimate, round(beyond * 1e12)))

    def _choice(self, bucket: str) -> tuple[str, str]:
        if drawn(self.rng.getrandbits(48), self.share):
            return "base", "holdout"
        self.seen[bucket] += 1
        first = self.seen[bucket] <= 8
        return ("base", "explore") if first or self.rng.random() < 0.03 else ("cheap", "exploit")


@pytest.mark.parametrize(("calls", "share"), [(200, 0.0), (500, 0.05)])
def test_the_reports_saving_is_covered_from_decisions_to_interval(calls: int, share: float) -> None:
    inside = 0
    for seed in range(RUNS):
        traffic = Traffic(random.Random(seed), share)
        rows = traffic.send(calls)
        baseline = savings_report.baseline_of("base", INPUT_USD, rows, rows)
        spend = sum(baseline.pico(row) for row in rows) / 1e12
        saved = spend - sum(row["cost_pico"] for row in rows) / 1e12
        low, high = savings_report.certainty(saved, spend, baseline.unsure(rows))["interval_usd"]
        inside += low <= traffic.saved <= high
    assert 0.95 - SLACK <= inside / RUNS <= 0.97 + SLACK


def test_the_holdouts_saving_is_covered_where_it_was_drawn() -> None:
    inside = proven = 0
    for seed in range(RUNS):
        traffic = Traffic(random.Random(seed), 0.06)
        told = savings_report.holdout(traffic.send(700), "base", INPUT_USD)
        held = {bucket for bucket, _, mode, *_ in traffic.made if mode == "holdout"}
        low, high = told["interval_usd"]
        inside += low <= sum(traffic.routed[bucket] for bucket in held) <= high
        proven += told["proven"]
    assert 0.95 - SLACK <= inside / RUNS <= 0.97 + SLACK
    assert proven > 0.9 * RUNS, "an interval that holds everything would be covered, too"


def test_a_bucket_without_the_baseline_claims_nothing() -> None:
    rows = Traffic(random.Random(3), 0.0).send(300)
    unmeasured = [row for row in rows if row["bucket"] == "code" and row["model"] == "cheap"]
    baseline = savings_report.baseline_of("base", INPUT_USD, unmeasured, unmeasured)
    assert [baseline.pico(row) for row in unmeasured] == [row["cost_pico"] for row in unmeasured]
    assert baseline.compared(unmeasured) == 0
    assert savings_report.certainty(0.0, 1.0, baseline.unsure(unmeasured)) == {
        "interval": None,
        "interval_usd": None,
        "proven": False,
    }
    assert savings_report.holdout(rows, "base", INPUT_USD)["saved"] is None, "nothing was held out"


def test_a_period_with_too_few_calls_of_the_baseline_asks_the_older_ones() -> None:
    ever = Traffic(random.Random(4), 0.0).send(400)
    thin = [row for row in Traffic(random.Random(5), 0.0).send(6) if row["mode"] == "explore"]
    known = savings_report.baseline_of("base", INPUT_USD, thin, ever).known
    assert known == savings_report.baseline_of("base", INPUT_USD, [], ever).known
    assert savings_report.baseline_of("base", INPUT_USD, thin, []).known.keys() == {row["bucket"] for row in thin}


def test_a_loss_is_shown_as_a_loss() -> None:
    told = savings_report.certainty(-0.5, 1.0, [Repriced(100, 50, 0.01, 1e-6)])
    assert told["interval"][1] < 0 and not told["proven"]
