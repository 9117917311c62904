"""What is learned shows in the next choice, survives a restart, follows prices, and adds up to the last digit."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Running, running
from tests.stores import rounded

MATH = ("mistral-small-3.2-24b-instruct-2506", "deepseek-chat-v3", "gpt-4o")


def teach(gateway: Running, n: int, start: int = 0, **fields: Any) -> list[dict[str, Any]]:
    """`n` distinct arithmetic requests over a small pool; returns their arbiter blocks."""
    blocks = []
    for at in range(n):
        answer = gateway.chat(f"Calculate {start + at} * 24", arbiter_models=list(MATH), **fields)
        blocks.append(answer.json()["arbiter"])
        gateway.settle()
    return blocks


def served(blocks: list[dict[str, Any]]) -> str:
    """The model that answered most of them."""
    models = [block["model"] for block in blocks]
    return max(set(models), key=models.count)


WAYS = {
    "beside answers": {"ARBITER_SHADOW": "on", "ARBITER_SHADOW_PER_S": "1000"},
    "as answers": {"ARBITER_SHADOW": "off"},
    "classic": {"ARBITER_POLICY": "classic", "ARBITER_EPSILON": "0.3"},
}
"""How a model is tried; by the classic policy often enough to notice a price again within 200 requests in all but two of a million lives."""


@pytest.fixture(params=WAYS)
def either(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """A gateway of one's own with each of the policies, and each of the ways in which the default one tries models."""
    with running(tmp_path, **WAYS[request.param]) as one:
        yield one


def test_a_price_shift_alerts_re_explores_moves_traffic_and_comes_back(either: Running) -> None:
    own_gateway = either
    for model in MATH:
        own_gateway.world.change_skill(model, 1.1)  # always right, so that price alone decides
    favourite = served(teach(own_gateway, 80)[-20:])
    assert favourite == MATH[0]
    told = own_gateway.http.post("/v1/simulate-price", json={"model": favourite, "multiplier": 8}).json()
    assert told == {"model": favourite, "multiplier": 8, "active": True}
    after = teach(own_gateway, 40, start=1_000)
    alerts = own_gateway.http.get("/v1/alerts").json()["data"]
    assert [(one["kind"], one["model"], one["direction"]) for one in alerts] == [("price", favourite, "up")]
    assert 7.5 < alerts[0]["new_unit"] / alerts[0]["old_unit"] < 8.5
    assert served(after[-20:]) != favourite
    tried = [own_gateway.http.get(f"/v1/decisions/{block['decision_id']}").json()["shadows"] for block in after]
    assert any(block["mode"] == "explore" for block in after) or any(tried)
    quality = {row["model"]: row["n"] for row in own_gateway.http.get("/v1/policy").json()["buckets"]["math"]}
    assert quality[favourite] >= 20, "what is known of the quality stays"
    own_gateway.http.post("/v1/simulate-price", json={"model": favourite, "multiplier": 1})
    assert own_gateway.http.get("/v1/overview").json()["active_price_overrides"] == {}
    back = teach(own_gateway, 20, start=2_000)
    while len(back) < 200 and (served(back[-20:]) != favourite or directions(own_gateway) != ["down", "up"]):
        back += teach(own_gateway, 20, start=2_000 + len(back))
    assert served(back[-20:]) == favourite
    assert directions(own_gateway) == ["down", "up"]


def directions(gateway: Running) -> list[str]:
    """Where prices went, the last one first."""
    return [one["direction"] for one in gateway.http.get("/v1/alerts").json()["data"]]


def test_policy_feed_alerts_and_counters_survive_a_restart(tmp_path: Path) -> None:
    with running(tmp_path) as first:
        teach(first, 30)
        first.http.post("/v1/simulate-price", json={"model": MATH[0], "multiplier": 8})
        teach(first, 30, start=500)
        first.settle()
        first.run(first.arbiter.alerting.follow)
        before = {
            path: first.http.get(path).json() for path in ("/v1/policy", "/v1/recent", "/v1/alerts", "/v1/report")
        }
        counters = first.http.get("/v1/overview").json()["classifier"]
    with running(tmp_path) as second:
        for path, value in before.items():
            assert rounded(second.http.get(path).json()) == rounded(value), path
        now = second.http.get("/v1/overview").json()
        assert now["classifier"] == counters
        assert now["active_price_overrides"] == {}, "overrides are gone at restart"


def test_the_report_equals_the_costs_returned_to_the_last_digit(own_gateway: Running) -> None:
    asks = ["Calculate {} * 3", "Write a Python function number {}", "Give me a JSON object about {}", "Who won in {}?"]
    returned = Decimal(0)
    for at in range(60):
        block = own_gateway.chat(asks[at % 4].format(at), stream=False).json()["arbiter"]
        returned += Decimal(repr(block["cost"]))
    own_gateway.settle()
    report = own_gateway.http.get("/v1/report").json()
    assert Decimal(report["actual_spend_exact"]) == returned + Decimal(repr(report["judge_spend"])) + Decimal(
        report["learning_spend_exact"]
    )
    assert report["calls"] == 60


def test_a_decision_opened_by_id_shows_every_stage_and_its_time(gateway: Running) -> None:
    decision_id = gateway.chat("Calculate 6 * 7", arbiter_no_cache=True).json()["arbiter"]["decision_id"]
    trace = gateway.http.get(f"/v1/decisions/{decision_id}").json()["trace"]
    assert trace["classify"]["rule"] == "arithmetic expression"
    assert len(trace["filter"]["eligible"]) == 14
    assert len(trace["route"]["candidates"]) == 14
    assert sum(one["why_not"] == "" for one in trace["route"]["candidates"]) == 1
    assert trace["call"]["attempts"][0]["status"] == 200
    assert "expected 42" in trace["grade"]["reason"] or trace["grade"]["cascade"] is not None
    for stage in ("classify", "filter", "route", "call", "grade", "learn"):
        assert trace[stage]["ms"] >= 0
    assert trace["total_ms"] >= trace["call"]["ms"] > 0
    shown = {"messages": 1, "ask_chars": 15, "stream": False, "tools": False, "max_tokens": None, "pin": None}
    assert shown.items() <= trace["request"].items()
    assert (trace["filter"]["rejected"], trace["filter"]["budget_met"], trace["filter"]["note"]) == ({}, True, "")
    sizes = "SELECT length(body) FROM decision_trace WHERE id = ?"
    stored = gateway.arbiter.store.read_now(lambda one: one.exec_driver_sql(sizes, (decision_id,)).scalar())
    assert stored < 2_000, "two traces fit into a page of the database"


def test_a_failed_check_escalates_once_and_both_calls_are_paid(tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_POLICY="classic") as gateway:  # which tries the cheapest first
        _escalates(gateway)


def _escalates(own_gateway: Running) -> None:
    own_gateway.world.change_skill("gpt-4o-mini", 0.0)
    block = own_gateway.chat(
        "Calculate 31 * 41", arbiter_models=["gpt-4o-mini", "gpt-4o"], arbiter_no_cache=True
    ).json()["arbiter"]
    assert (block["mode"], block["cascaded_from"], block["model"]) == ("escalate", "gpt-4o-mini", "gpt-4o")
    attempts = own_gateway.http.get(f"/v1/decisions/{block['decision_id']}").json()["trace"]["call"]["attempts"]
    assert len(attempts) == 2
    assert Decimal(repr(block["cost"])) == sum(Decimal(repr(one["cost"])) for one in attempts)
    rows = {row["model"]: row for row in own_gateway.http.get("/v1/policy").json()["buckets"]["math"]}
    assert rows["gpt-4o-mini"]["n"] == 1
    assert rows["gpt-4o"]["n"] == 1


def test_thumbs_weigh_in_and_the_same_thumb_twice_counts_once(own_gateway: Running) -> None:
    block = teach(own_gateway, 1)[0]
    vote = {"decision_id": block["decision_id"], "rating": "down"}

    def quality() -> float:
        rows = own_gateway.http.get("/v1/policy").json()["buckets"]["math"]
        return next(float(row["quality"]) for row in rows if row["model"] == block["model"])

    before = quality()
    own_gateway.http.post("/v1/feedback", json=vote)
    once = quality()
    own_gateway.http.post("/v1/feedback", json=vote)
    assert once == quality() < before
    own_gateway.http.post("/v1/feedback", json={**vote, "rating": "up"})
    assert quality() >= before


def test_a_judged_grade_arrives_later_in_the_record(own_gateway: Running) -> None:
    block = own_gateway.chat("Write a poem about the sea").json()["arbiter"]
    assert (block["quality"], block["quality_reason"]) == (None, "judge pending")
    own_gateway.settle()
    stored = own_gateway.http.get(f"/v1/decisions/{block['decision_id']}").json()
    assert stored["quality_source"] == "judge"
    assert 0 <= stored["quality"] <= 1
    rows = own_gateway.http.get("/v1/policy").json()["buckets"]["open"]
    assert next(row["n"] for row in rows if row["model"] == block["model"]) > 0


def test_reset_clears_what_was_learned_and_keeps_the_keys(own_gateway: Running) -> None:
    key = own_gateway.caller()
    teach(own_gateway, 3)
    assert own_gateway.http.post("/v1/reset").json() == {"status": "reset"}
    assert own_gateway.http.get("/v1/report").json()["calls"] == 0
    assert own_gateway.http.get("/v1/policy").json()["buckets"] == {}
    assert own_gateway.http.get("/v1/recent").json()["data"] == []
    with own_gateway.client(key) as caller:
        assert caller.get("/v1/key").status_code == 200
