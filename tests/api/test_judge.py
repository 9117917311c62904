"""The judge is compared with objective checks and with people, weighed by it, after a restart too, and never overrules."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from arbiter_app.pipeline.ports import Lesson
from arbiter_app.policy.agreement import OBJECTIVE, Pairs
from arbiter_app.runtime.sandbox.judging import Taste
from tests.conftest import Running, running

ALWAYS = {"ARBITER_JUDGE_CHECK": "1"}
POOL = ["gpt-4o-mini", "mistral-small-3.2-24b-instruct-2506"]


def ask(gateway: Running, n: int, start: int = 0) -> list[dict[str, Any]]:
    """Sums of which about half are answered wrong."""
    for model in POOL:
        gateway.world.change_skill(model, 0.55)
    asks = (gateway.chat(f"Calculate {start + at} * 24", arbiter_models=POOL) for at in range(n))
    blocks = [answer.json()["arbiter"] for answer in asks]
    gateway.settle()
    return blocks


def judge(gateway: Running) -> dict[str, Any]:
    told: dict[str, Any] = gateway.http.get("/v1/report").json()["judge"]
    return told


@pytest.mark.parametrize(
    ("taste", "least", "most"),
    [(Taste(), 0.8, 1.0), (Taste(noise=0.4), 0.3, 0.8), (Taste(arbitrary=1.0), 0.0, 0.15), (Taste(bias=0.3), 0.7, 1.0)],
)
def test_grades_weigh_what_the_judge_is_worth(tmp_path: Path, taste: Taste, least: float, most: float) -> None:
    with running(tmp_path, **ALWAYS) as one:
        one.world.taste = taste
        ask(one, 60)
        told = judge(one)
        assert told["objective"]["n"] == 60
        assert least <= told["by_task"][0]["weight"] <= most
        assert (told["objective"]["bias"] > 0.05) == (taste.bias > 0)
        metrics = one.http.get("/metrics").text
        assert f'arbiter_judge_weight{{task="math"}} {told["by_task"][0]["weight"]}' in metrics
        trust = one.arbiter.judging.trust("open")
        before = {row["model"]: row["n"] for row in one.http.get("/v1/policy").json()["buckets"].get("open", [])}
        block = one.chat("Write a poem about the sea").json()["arbiter"]
        one.settle()
        rows = {row["model"]: row["n"] for row in one.http.get("/v1/policy").json()["buckets"]["open"]}
        assert rows[block["model"]] - before.get(block["model"], 0) == pytest.approx(trust.weight)
    with running(tmp_path) as again:
        assert judge(again) == told, "what is known of the judge survives a restart"


def test_a_check_of_the_judge_costs_nothing_but_its_charge(tmp_path: Path) -> None:
    with running(tmp_path, **ALWAYS) as one:
        one.world.taste = Taste(arbitrary=1.0)
        block = ask(one, 1)[0]
        stored = one.http.get(f"/v1/decisions/{block['decision_id']}").json()
        assert (stored["quality"], stored["quality_source"]) == (block["quality"], "objective")
        assert stored["quality_reason"].startswith(block["quality_reason"] + "; the judge: judged 0.")
        assert stored["judge_cost"] is not None
        assert one.world.kinds["judge"] == 1


def test_a_judge_is_not_asked_beyond_the_budget_or_the_share(tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_JUDGE_CHECK="1", ARBITER_JUDGE_CHECK_USD_PER_DAY="0") as one:
        ask(one, 5)
        assert one.world.kinds["judge"] == 0
    with running(tmp_path, ARBITER_JUDGE_CHECK="0") as one:
        ask(one, 5, start=100)
        assert one.world.kinds["judge"] == 0


def test_a_judge_that_is_known_well_is_asked_less(tmp_path: Path) -> None:
    with running(tmp_path, **ALWAYS) as one:
        key = one.arbiter.catalog.judge, "math", OBJECTIVE
        one.run(lambda: one.arbiter.store.ledger.adjust(Lesson(pairs=[(key, Pairs(n=1e6))])))
        one.run(one.arbiter.judging.learn_trust)
        ask(one, 60)
        assert one.world.kinds["judge"] < 30  # 6 are expected


def test_a_thumb_on_a_judged_answer_is_compared_once_and_can_be_turned(tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_JUDGE_SAMPLE="1") as one:
        block = one.chat("Write a poem about the sea").json()["arbiter"]
        one.settle()
        score = one.http.get(f"/v1/decisions/{block['decision_id']}").json()["quality"]
        for rating in ("up", "up", "down"):
            one.http.post("/v1/feedback", json={"decision_id": block["decision_id"], "rating": rating})
        people = judge(one)["people"]
        assert people["n"] == 1
        assert people["bias"] == pytest.approx(score)
        assert people["agreement"] == float(score < 0.5)
