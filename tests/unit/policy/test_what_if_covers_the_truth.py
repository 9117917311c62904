"""Off-policy estimates against simulated worlds whose truth is known, through the real table and its SQL."""

from __future__ import annotations

import math
import random
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from sqlalchemy import Connection, Engine, create_engine

from arbiter_app.policy import ope
from arbiter_app.policy.ope import ArmSums, LoggedData, WeightedSums, evaluate
from arbiter_app.store import evidence as reading
from arbiter_app.store.evidence import evidence
from arbiter_app.store.tables import StoredDecision, table
from tests.stores import record

RUNS = 200
SLACK = 2.5 * math.sqrt(0.95 * 0.05 / RUNS)
BLANK = record().row
INSERT = f"INSERT INTO decision ({', '.join(BLANK)}) VALUES ({', '.join('?' * len(BLANK))})"
POOL = ("a", "b", "c", "d")
INPUT = {"a": 4e-6, "b": 1e-6, "c": 5e-7, "d": 0.0}
#               mean answer USD, quality: per bucket
WORLD = {
    "code": {"a": (8e-3, 0.95), "b": (2e-3, 0.90), "c": (9e-4, 0.60), "d": (2e-4, 0.40)},
    "math": {"a": (2e-3, 0.92), "b": (5e-4, 0.70), "c": (3e-4, 0.90), "d": (1e-4, 0.50)},
    "open": {"a": (1e-2, 0.90), "b": (3e-3, 0.85), "c": (1e-3, 0.80), "d": (3e-4, 0.86)},
}
TARGETS = {
    "one rule": lambda bucket, able: {
        next(one for one in {"code": "ba", "math": "cb", "open": "dc"}[bucket] if one in able): 1.0
    },
    "at random": lambda bucket, able: {one: 1 / len(able) for one in able},
    "the baseline": lambda bucket, able: {"a": 1.0},
}


@dataclass
class Looks:
    """How a model has looked in a bucket so far."""

    n: int = 0
    total: float = 0.0

    def add(self, value: float) -> None:
        """One answer more."""
        self.n += 1
        self.total += value


@dataclass
class Logged:
    """An adaptive policy's log: every model a few times, then mostly the one that looks best, with its true probability."""

    rng: random.Random
    rows: list[dict[str, Any]] = field(default_factory=list)
    asked: defaultdict[tuple[str, tuple[str, ...]], list[int]] = field(default_factory=lambda: defaultdict(list))
    looks: defaultdict[tuple[str, str], Looks] = field(default_factory=lambda: defaultdict(Looks))

    def run(self, calls: int) -> Logged:
        """Serve so many requests."""
        for at in range(calls):
            self._one(at)
        return self

    def truth(self, target: ope.Target, known: LoggedData) -> tuple[float, float]:
        """The expected cost a call and quality of a target on these requests, where it is known at all."""
        cost = quality = calls = 0.0
        for (bucket, able), tokens in self.asked.items():
            for model, share in target(bucket, able).items():
                if not known.supports(bucket, model):
                    continue
                mean, good = WORLD[bucket][model]
                calls += share * len(tokens)
                cost += share * (mean * len(tokens) + sum(tokens) * INPUT[model])
                quality += share * good * len(tokens)
        return cost / calls, quality / calls

    def _one(self, at: int) -> None:
        rng = self.rng
        bucket = rng.choices(list(WORLD), (4, 3, 2))[0]
        able = tuple(one for one in POOL if one != "b" or rng.random() < 0.85)
        tokens = round(rng.lognormvariate(4.5, 0.8))
        model, chance = self._choice(bucket, able)
        mean, good = WORLD[bucket][model]
        usd, grade = rng.lognormvariate(math.log(mean) - 0.045, 0.3), float(rng.random() < good)
        self.looks[bucket, model].add(grade - usd * 20)
        self.asked[bucket, able].append(tokens)
        rejected = [one for one in POOL if one not in able]
        changed = {"id": str(at), "bucket": bucket, "model": model, "propensity": chance, "asked_tokens": tokens}
        changed |= {"rejected": orjson.dumps(rejected).decode() if rejected else None, "mode": "explore"}
        changed |= {"beyond_pico": round(usd * 1e12), "quality": grade if rng.random() < 0.6 else None}
        self.rows.append(BLANK | changed)

    def _choice(self, bucket: str, able: tuple[str, ...]) -> tuple[str, float]:
        thin = [one for one in able if self.looks[bucket, one].n < 6]
        if thin:
            return thin[0], 1.0
        best = max(able, key=lambda one: self.looks[bucket, one].total / self.looks[bucket, one].n)
        model = best if self.rng.random() > 0.3 else self.rng.choice(able)
        return model, 0.3 / len(able) + 0.7 * (model == best)


@pytest.fixture
def engine() -> Engine:
    made = create_engine("sqlite://")
    table(StoredDecision).create(made)
    return made


def seen(connection: Connection, rows: list[dict[str, Any]], **narrowed: Any) -> LoggedData:
    """The evidence in exactly these decisions."""
    connection.execute(table(StoredDecision).delete())
    connection.exec_driver_sql(INSERT, [tuple(row.values()) for row in rows])
    return evidence(connection, **narrowed)


def test_the_intervals_hold_the_true_cost_and_quality(engine: Engine) -> None:
    inside: dict[tuple[str, str], int] = {}
    with engine.connect() as connection:
        for seed in range(RUNS):
            logged = Logged(random.Random(seed)).run(1_000)
            known = seen(connection, logged.rows)
            assert known.calls == 1_000
            for name, target in TARGETS.items():
                estimate = evaluate(known, target, POOL, INPUT)
                assert estimate.covered > 0.75
                for kind, true, told in zip(
                    ("cost", "quality"), logged.truth(target, known), (estimate.cost, estimate.quality), strict=True
                ):
                    assert told is not None
                    inside[name, kind] = inside.get((name, kind), 0) + (told.low <= true <= told.high)
    shares = {key: n / RUNS for key, n in inside.items()}
    assert all(0.95 - SLACK <= share <= 0.97 + SLACK for share in shares.values()), shares


def test_the_sums_in_sql_are_those_of_the_rows(engine: Engine) -> None:
    rows = Logged(random.Random(1)).run(300).rows
    for at, change in enumerate(
        (
            {"status": "failed"},
            {"mode": "pinned"},
            {"mode": "cache", "asked_tokens": None},
            {"failover_from": '["x"]', "beyond_pico": None},
            {"mode": "escalate", "cascaded_from": "d", "bucket": "math"},
            {"mode": "holdout"},
        )
    ):
        rows[at].update(change)
    with engine.connect() as connection:
        known = seen(connection, rows)
        nothing = evidence(connection, since=BLANK["ts"] + 1)
        mine = evidence(connection, scope="nobody")
        assert evidence(connection, since=BLANK["ts"], scope=BLANK["key_id"]) == known
    assert nothing.calls == mine.calls == 0
    used = [row for row in rows if row["status"] == "ok" and row["mode"] not in ("pinned", "cache")]
    assert known.calls == len(used) == 297
    assert sum(known.shares().values()) == 296, "a held out request was not routed"
    for (bucket, model), arm in known.arms.items():
        mine_rows = [row for row in used if (row["cascaded_from"] or row["model"], row["bucket"]) == (model, bucket)]
        weights = [(1 / max(row["propensity"], ope.MIN_PROPENSITY), row) for row in mine_rows]
        usd = [(w, row["beyond_pico"] / 1e12) for w, row in weights if row["beyond_pico"] is not None]
        grades = [(w, row["quality"]) for w, row in weights if row["quality"] is not None and not row["failover_from"]]
        assert _near(arm, ArmSums(_sums(usd), _sums(grades)))
    assert known.arm("math", "d").usd.n == sum(
        row["cascaded_from"] == "d" or row["model"] == "d" for row in used if row["bucket"] == "math"
    )


def test_only_the_newest_decisions_count(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "NEWEST", 50)
    rows = Logged(random.Random(2)).run(120).rows
    with engine.connect() as connection:
        known = seen(connection, rows)
    assert known.calls == 50
    assert sum(group.tokens for group in known.groups) == sum(row["asked_tokens"] for row in rows[-50:])


def test_weights_of_one_give_the_plain_mean_and_its_error() -> None:
    values = [0.2, 0.9, 0.4, 0.7, 1.0]
    sums = _sums([(1.0, value) for value in values])
    mean = sum(values) / 5
    assert (sums.mean, sums.effective) == (pytest.approx(mean), 5)
    assert sums.spread == pytest.approx(sum((value - mean) ** 2 for value in values) / 4)
    assert _sums([(3.0, 0.5)]).spread == WeightedSums().mean == WeightedSums().effective == 0.0


def test_what_was_hardly_tried_is_left_out_and_named(engine: Engine) -> None:
    rows = [row for row in Logged(random.Random(3)).run(600).rows if (row["bucket"], row["model"]) != ("math", "b")]
    with engine.connect() as connection:
        known = seen(connection, rows)
    estimate = evaluate(known, ope.only("b"), POOL, INPUT)
    math_calls = sum(group.calls for group in known.groups if group.bucket == "math" and "b" not in group.rejected)
    assert [(gap.bucket, gap.model, gap.calls, gap.answers) for gap in estimate.gaps] == [("math", "b", math_calls, 0)]
    assert 0 < estimate.covered < 1 - math_calls / known.calls + 1e-9, "those who cannot have it are not covered either"
    nobody = evaluate(known, ope.only("z"), POOL, INPUT)
    assert (nobody.covered, nobody.cost, nobody.quality) == (0.0, None, None)


def _sums(values: list[tuple[float, float]]) -> WeightedSums:
    total = WeightedSums()
    for w, x in values:
        total = total + WeightedSums(1, w, w * w, w * x, w * w * x, w * w * x * x)
    return total


def _near(one: ArmSums, other: ArmSums) -> bool:
    pairs = (
        (getattr(a, name), getattr(b, name))
        for a, b in ((one.usd, other.usd), (one.grade, other.grade))
        for name in WeightedSums.__slots__
    )
    return all(math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12) for a, b in pairs)


def test_what_a_model_could_not_have_served_is_left_out_where_it_is_compared_with(engine: Engine) -> None:
    rows = Logged(random.Random(1)).run(50).rows
    for row in rows:
        row["rejected"] = None
    rows[0]["rejected"], rows[1]["rejected"] = '["gpt_4o"]', '["gpt-4o-mini","gpt_4o-mini"]'
    with engine.connect() as connection:
        assert seen(connection, rows).calls == 50
        assert evidence(connection, able="gpt_4o").calls == 49
        assert evidence(connection, able="gpt-4o").calls == 50
