"""The holdout: drawn by the decision's seed at the stated share, inside its budget, with the true propensity on record."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from arbiter_app.pipeline.holdout import DAY_S, Holdout, drawn
from tests.conftest import Running, running

NOON = 20_000 * DAY_S + DAY_S / 2


def test_the_draw_belongs_to_the_seed_and_has_the_stated_share() -> None:
    rng = random.Random(1)
    seeds = [rng.getrandbits(48) for _ in range(40_000)]
    share = sum(drawn(seed, 0.05) for seed in seeds) / len(seeds)
    assert share == pytest.approx(0.05, abs=0.004)
    assert [drawn(seed, 0.05) for seed in seeds[:500]] == [drawn(seed, 0.05) for seed in seeds[:500]]
    assert all(drawn(seed, 0.2) for seed in seeds if drawn(seed, 0.05)), "a larger share holds out the same and more"
    assert not any(drawn(seed, 0.0) for seed in seeds)


def test_the_draw_says_nothing_about_the_choice_made_with_the_same_seed() -> None:
    rng = random.Random(2)
    seeds = [rng.getrandbits(48) for _ in range(40_000)]
    held = [random.Random(seed).random() for seed in seeds if drawn(seed, 0.1)]
    assert sum(held) / len(held) == pytest.approx(0.5, abs=0.02)


def test_the_budget_opens_over_the_day_and_closes_when_spent() -> None:
    holdout = Holdout(0.01, 2.4)
    start = NOON - DAY_S / 2
    assert holdout.chance(start) == 0.01
    holdout.paid(start, 101_000_000_000)
    assert holdout.chance(start + 10) == 0.0, "the first hour's 0.10 USD are spent"
    assert holdout.chance(start + 3_600) == 0.01, "the next hour has opened another 0.10"
    holdout.known(NOON, 2_400_000_000_000)
    assert holdout.chance(start + DAY_S - 1) == 0.0, "other processes spent the day's whole budget"
    assert holdout.chance(start + DAY_S) == 0.01, "a new day"
    assert Holdout(0.0, 2.4).chance(NOON) == Holdout(0.5, 0.0).chance(NOON) == 0.0


def test_held_out_requests_go_to_the_baseline_and_every_propensity_tells_of_the_draw(tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_HOLDOUT_SHARE="0.3", ARBITER_HOLDOUT_USD_PER_DAY="1000") as gateway:
        for at in range(120):
            gateway.chat(f"Calculate {at} * 24")
        rows = gateway.http.get("/v1/recent", params={"limit": 200}).json()["data"]
        held = [row for row in rows if row["mode"] == "holdout"]
        routed = [row for row in rows if row["mode"] in ("exploit", "explore")]
        assert 20 <= len(held) <= 55
        assert {row["model"] for row in held} == {"gpt-4o"}
        assert all(0.3 <= row["propensity"] <= 1 for row in held)
        assert all(row["propensity"] <= 0.7 for row in routed if row["model"] != "gpt-4o")
        assert all(row["propensity"] > 0.3 for row in routed if row["model"] == "gpt-4o")
        stage = gateway.http.get(f"/v1/decisions/{held[0]['id']}").json()["trace"]["route"]
        assert drawn(stage["seed"], 0.3) and "held out" in stage["reason"]
        assert gateway.arbiter.holdout.chance(time.time()) == 0.3


def test_pinned_requests_and_those_the_baseline_cannot_serve_are_never_held_out(tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_HOLDOUT_SHARE="1", ARBITER_HOLDOUT_USD_PER_DAY="1000") as gateway:
        assert _mode(gateway) == "holdout"
        assert _mode(gateway, arbiter_pin="gpt-4o") == "pinned"
        assert _mode(gateway, arbiter_models=["gpt-4o-mini", "gpt-4.1"]) in ("explore", "exploit")


def test_a_spent_budget_is_remembered_over_a_restart(tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_HOLDOUT_SHARE="1", ARBITER_HOLDOUT_USD_PER_DAY="0.0000001") as first:
        assert _mode(first) == "holdout"
        assert _mode(first) != "holdout"
    with running(tmp_path, ARBITER_HOLDOUT_SHARE="1", ARBITER_HOLDOUT_USD_PER_DAY="0.0000001") as second:
        assert _mode(second) != "holdout"


def _mode(gateway: Running, **fields: object) -> str:
    answer = gateway.chat("What is 3 * 4?", arbiter_no_cache=True, **fields)
    mode: str = answer.json()["arbiter"]["mode"]
    return mode
