"""Models are tried beside answers: after the caller's has gone, once, with every dollar told, and never where they must not be."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from arbiter_app.pipeline.types import PICO_PER_USD
from arbiter_app.policy import Trials
from arbiter_app.runtime.sandbox.judging import Taste
from arbiter_app.runtime.sandbox.world import Fault
from arbiter_app.services.shadows import CHOSEN
from tests.conftest import Running, running
from tests.stores import Pragma
from tests.waiting import FAR_S, until

QUICK = {
    "ARBITER_SHADOW": "on",
    "ARBITER_SHADOW_PER_S": "1000",
    "ARBITER_BASELINE_FIRST": "1",
    "ARBITER_JUDGE_CHECK": "0",
}
"""Trials begin after one grade of the baseline, and at no pace that a test would wait for."""


@pytest.fixture(scope="module")
def _quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("quick"), **QUICK) as one:
        yield one


@pytest.fixture
def quick(_quick: Running) -> Running:
    """A gateway that has learned nothing yet."""
    _quick.settle()
    _quick.world.reset()
    assert _quick.http.post("/v1/reset").status_code == 200
    return _quick


def decision(gateway: Running, answer: httpx.Response) -> dict[str, Any]:
    """The whole record, once nothing is asked beside it any more."""
    assert answer.status_code == 200, answer.text
    gateway.settle()
    found: dict[str, Any] = gateway.http.get(f"/v1/decisions/{answer.headers['x-arbiter-decision']}").json()
    return found


def tried(gateway: Running, ask: str = "Calculate {} * 24", **fields: Any) -> dict[str, Any]:
    """The first of a few requests beside which models were asked."""
    for at in range(40):
        row = decision(gateway, gateway.chat(ask.format(at), **fields))
        if row["shadows"]:
            return row
    raise AssertionError("nothing was asked beside forty answers")


def asked(gateway: Running) -> int:
    """Calls of the runtime so far."""
    return gateway.world.calls.total()


@pytest.mark.parametrize("stream", [False, True])
def test_the_record_says_who_was_asked_beside_and_what_that_cost_and_scored(quick: Running, stream: bool) -> None:
    row = tried(quick, "Calculate 7{} * 24" if stream else "Calculate 6{} * 24", stream=stream)
    assert 1 <= len(row["shadows"]) <= 3
    assert row["mode"] in ("exploit", "escalate"), "the caller got the answer of the model that is believed best"
    for one in row["shadows"]:
        assert one["status"] == "ok" and one["cost_state"] == "settled"
        assert one["quality_source"] == "objective" and one["quality"] in (0.0, 1.0)
        assert one["model"] != row["model"] and one["latency_ms"] > 0 and one["completion_tokens"] > 0
    assert row["learning_cost"] == pytest.approx(sum(one["cost"] for one in row["shadows"]), abs=1e-15)
    assert row["trace"]["route"]["shadows"][: len(row["shadows"])]
    assert [one["model"] for one in row["trace"]["call"]["attempts"]] == [row["model"]] or row["mode"] == "escalate"


def test_the_report_counts_every_dollar_once_and_apart(tmp_path: Path) -> None:
    with running(tmp_path, **QUICK) as one:
        pool = ["gpt-4o", "gpt-4.1", "gpt-4.1-mini", "gpt-4o-mini"]  # none of them is free
        rows = [decision(one, one.chat(f"Calculate {at} * 24", arbiter_models=pool)) for at in range(60)]
        report = one.http.get("/v1/report").json()
        beside = [shadow for row in rows for shadow in row["shadows"]]
        learning = sum(round(shadow["cost"] * PICO_PER_USD) for shadow in beside)
        assert beside and learning > 0
        assert Decimal(report["learning_spend_exact"]) * PICO_PER_USD == learning
        answers = sum(round(row["cost"] * PICO_PER_USD) for row in rows)
        judged = round(report["judge_spend"] * PICO_PER_USD)
        assert Decimal(report["actual_spend_exact"]) * PICO_PER_USD == answers + judged + learning
        assert report["saved"] == pytest.approx(report["baseline_spend"] - report["actual_spend"])
        by_mode = {row["mode"]: row for row in report["by_mode"]}
        assert (by_mode["shadow"]["calls"], by_mode["shadow"]["actual_spend"]) == (0, report["learning_spend"])
        assert by_mode["shadow"]["saved"] == -report["learning_spend"]
        for by in ("by_mode", "by_model", "by_bucket"):
            assert sum(row["learning_spend"] for row in report[by]) == pytest.approx(report["learning_spend"])
        assert report["calls"] == one.http.get("/v1/overview").json()["decisions"] == 60
        series = one.http.get("/v1/timeseries").json()["data"]
        assert sum(slot["learning"] for slot in series) == pytest.approx(report["learning_spend"])
        assert sum(slot["spend"] for slot in series) == pytest.approx(report["actual_spend"])
        told = one.arbiter.policy.learning()
        assert (told["shadow_calls"], told["explore_calls"]) == (len(beside), 0)
        assert round(told["explore_usd"] * PICO_PER_USD) == learning
        assert report["explore_usd_share"] == pytest.approx(report["learning_spend"] / report["baseline_spend"])
        metrics = one.http.get("/metrics").text
        spent = [float(line.split()[1]) for line in metrics.splitlines() if 'kind="learning"' in line]
        assert sum(spent) == pytest.approx(report["learning_spend"])
    with running(tmp_path, **QUICK) as again:
        assert again.http.get("/v1/report").json()["learning_spend_exact"] == report["learning_spend_exact"]


def test_nobody_is_asked_while_the_caller_reads_the_answer(quick: Running) -> None:
    tried(quick)
    for model in quick.arbiter.catalog.names:
        quick.world.faults[model] = Fault(drip_s=0.01)
    before, during = asked(quick), list[int]()
    body = {"messages": [{"role": "user", "content": "Calculate 8 * 2424"}], "stream": True}
    with quick.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        for line in answer.iter_lines():
            if '"delta"' in line:
                during.append(asked(quick) - before)
    assert during[:2] == [1] * 2, "of many pieces: the last ones may be read long after they were sent"
    row = decision(quick, answer)
    assert asked(quick) - before == 1 + len(row["shadows"]) > 1


WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}}}
LOOP = [
    {"role": "user", "content": "Calculate 3 * 24"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
    },
    {"role": "tool", "tool_call_id": "c1", "content": "72"},
]


@pytest.mark.parametrize(
    "fields",
    [
        {"arbiter_no_shadow": True},
        {"arbiter_pin": "gpt-4o"},
        {"store": True},
        {"n": 2},
        {"web_search_options": {}},
        {"web_search_options": {"search_context_size": "low"}},
        {"messages": LOOP, "tools": [WEATHER]},
    ],
    ids=lambda fields: "+".join(fields),
)
def test_no_other_model_is_asked_where_that_must_not_be(quick: Running, fields: dict[str, Any]) -> None:
    tried(quick)
    for at in range(4):
        row = decision(quick, quick.chat(f"Calculate {at} * 29", **fields))
        assert row["shadows"] == [] and row["learning_cost"] is None
        assert "shadows" not in row["trace"]["route"]
        assert row["mode"] in ("exploit", "pinned", "escalate"), "and no trial serves the caller instead"
    assert tried(quick), "others would have been asked"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {"max_tokens": 200, "messages": [{"role": "user", "content": "Calculate 5 * 29"}]}),
        ("/v1/responses", {"input": "Calculate 5 * 29"}),
        ("/v1/responses", {"input": "Calculate 5 * 29", "store": True}),
    ],
)
def test_callers_of_every_dialect_may_refuse(quick: Running, path: str, body: dict[str, Any]) -> None:
    tried(quick)
    refused = {} if body.get("store") else {"arbiter_no_shadow": True}
    for _ in range(4):
        answer = quick.http.post(path, json={"model": "auto", **body, **refused})
        assert decision(quick, answer)["shadows"] == []
    sent = {"model": "auto", **body, "store": False}
    assert any(decision(quick, quick.http.post(path, json=sent))["shadows"] for _ in range(40)), "else they are asked"


def test_a_cached_answer_and_an_embedding_are_asked_of_nobody(quick: Running) -> None:
    tried(quick)
    for _ in range(3):
        row = decision(quick, quick.chat("Calculate 77 * 29", arbiter_cache=True))
    assert (row["mode"], row["shadows"]) == ("cache", [])
    before = asked(quick)
    body = {"model": "text-embedding-3-small", "input": "the sea"}
    assert decision(quick, quick.http.post("/v1/embeddings", json=body))["shadows"] == []
    assert asked(quick) - before <= 1
    assert tried(quick)


def test_an_answer_that_calls_tools_is_not_asked_of_others(quick: Running) -> None:
    """The next step depends on it: whatever another model would do is not what happens."""
    for at in range(12):
        body = {"tools": [WEATHER], "tool_choice": "required"}
        row = decision(quick, quick.chat(f"What is the weather in town {at}?", **body))
        assert row["shadows"] == []


def test_off_means_that_trials_serve_as_before(tmp_path: Path) -> None:
    with running(tmp_path, **{**QUICK, "ARBITER_SHADOW": "off"}) as one:
        rows = [decision(one, one.chat(f"Calculate {at} * 24")) for at in range(40)]
        assert any(row["mode"] == "explore" and row["model"] != "gpt-4o" for row in rows)
        assert all(row["shadows"] == [] for row in rows)
        assert one.http.get("/v1/report").json()["learning_spend"] == 0


def test_a_model_that_fails_beside_an_answer_rests_is_not_asked_again_and_costs_nobody_an_answer(
    tmp_path: Path,
) -> None:
    with running(tmp_path, **QUICK) as one:
        row = tried(one)
        model = row["shadows"][0]["model"]
        one.world.faults[model] = Fault(status=503)
        calls = one.world.calls[model]
        failed = None
        for at in range(60):
            row = decision(one, one.chat(f"Calculate {at} * 31"))
            assert row["status"] == "ok"
            failed = next((shadow for shadow in row["shadows"] if shadow["status"] == "failed"), None)
            assert one.world.calls[model] == calls + (failed is not None)
            if failed is not None:
                break
        assert failed is not None and failed["model"] == model
        assert (failed["cost"], failed["cost_state"], failed["quality"]) == (None, "unknown", None)
        assert model in one.http.get("/v1/overview").json()["quarantined"]


def test_the_judge_sees_all_answers_at_once_and_its_taste_for_the_first_moves_nothing(tmp_path: Path) -> None:
    with running(tmp_path, **QUICK, ARBITER_JUDGE_SAMPLE="1") as one:
        one.world.taste = Taste(noise=0.0, first=0.2)
        row = tried(one, "Write a poem number {} about the sea")
        assert row["quality_source"] == "judge" and row["quality_reason"].startswith("judged beside")
        assert {shadow["quality_source"] for shadow in row["shadows"]} == {"judge"}
        assert row["judge_cost"] is not None


@contextmanager
def being_read(gateway: Running, drip_s: float = 0.05) -> Iterator[Iterator[bytes]]:
    """A streamed answer whose first bytes have come, and whose last ones will take a while."""
    for model in gateway.arbiter.catalog.names:
        gateway.world.faults[model] = Fault(drip_s=drip_s)
    body = {"messages": [{"role": "user", "content": "Calculate 8 * 2424"}], "stream": True}
    with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        pieces = answer.iter_raw()
        next(pieces)
        gateway.world.faults.clear()
        yield pieces


def test_nothing_is_asked_beside_while_many_are_in_work(tmp_path: Path) -> None:
    with running(tmp_path, **QUICK, ARBITER_MAX_CONCURRENCY="3") as one:
        tried(one)
        with being_read(one, 5.0):
            asked_of = [gateway_calls(one, f"Calculate {at} * 37") for at in range(5)]
        assert asked_of == [1] * 5, "two of three places are taken while they are answered"
        one.settle()
        assert tried(one)


def served_by(gateway: Running, ask: str) -> dict[str, Any]:
    """What Arbiter said of one answer."""
    told: dict[str, Any] = gateway.chat(ask).json()["arbiter"]
    return told


def test_trials_serve_callers_while_nothing_can_be_asked_beside_so_that_learning_goes_on(tmp_path: Path) -> None:
    with running(tmp_path, **QUICK, ARBITER_MAX_CONCURRENCY="3") as one:
        with being_read(one, 5.0):
            told = [served_by(one, f"Calculate {at} * 37") for at in range(40)]
        assert any(each["mode"] == "explore" and each["model"] != "gpt-4o" for each in told)
        one.settle()
        assert one.http.post("/v1/reset").status_code == 200
        one.arbiter.shadows._late_s, one.arbiter.shadows._late_at = 2 * FAR_S, time.monotonic() + FAR_S
        told = [served_by(one, f"Calculate {at} * 41") for at in range(40)]
        assert any(each["mode"] == "explore" and each["model"] != "gpt-4o" for each in told), "nor a late loop"
        one.arbiter.shadows._late_s = 0.0
        for at in range(20):
            one.settle()
            assert served_by(one, f"Calculate {at} * 43")["mode"] != "explore"


def test_trials_serve_callers_while_what_is_to_be_asked_would_wait_long(tmp_path: Path) -> None:
    with running(tmp_path, **{**QUICK, "ARBITER_SHADOW_PER_S": "0.01"}) as one:
        told = [served_by(one, f"Calculate {at} * 37") for at in range(40)]
        report = one.http.get("/metrics").text
        assert 'arbiter_shadow_dropped_total{reason="full"}' not in report, "nobody is named who is not asked"
        assert any(each["mode"] == "explore" for each in told)
        assert told[0]["mode"] == told[1]["mode"] == "exploit", "beside these others were asked, or were to be"


def test_an_answer_that_needs_a_judge_leaves_room_for_those_that_have_a_grade(quick: Running) -> None:
    shadows = quick.arbiter.shadows
    shadows._slower = 1.0
    room = []
    for backlog in (400, 700, 1_500, 2_500):  # at a thousand a second
        shadows._backlog = backlog
        room.append("".join("01"[not shadows._full(0, times)] for times in (1.0, CHOSEN, CHOSEN**2)))
    shadows._backlog = 0
    assert room == ["111", "011", "001", "000"], "no trial any more; no judge is asked; nobody is"


def gateway_calls(gateway: Running, ask: str) -> int:
    """How many calls of models a request came to, one that an objective check failed left out."""
    before = asked(gateway)
    told = gateway.chat(ask).json()["arbiter"]
    gateway.settle()
    return asked(gateway) - before - (told["cascaded_from"] is not None)


def test_nothing_is_asked_beside_while_the_loop_is_late(quick: Running) -> None:
    tried(quick)
    shadows = quick.arbiter.shadows
    shadows._late_s, shadows._late_at = 2 * FAR_S, time.monotonic() + FAR_S
    assert [gateway_calls(quick, f"Calculate {at} * 37") for at in range(4)] == [1] * 4
    shadows._late_s = 0.0
    assert tried(quick)


def test_the_pace_halves_while_the_loop_has_too_much_to_do_and_comes_back(
    quick: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    shadows = quick.arbiter.shadows

    async def turn(busy_s: float) -> float:
        waiting = asyncio.create_task(shadows._paced())
        await asyncio.sleep(0)
        time.sleep(busy_s)  # noqa: ASYNC251 - this is what the loop has to do
        await waiting
        return shadows._slower

    async def turns() -> list[float]:
        shadows._slower, shadows._next_at = 1.0, time.monotonic()
        return [await turn(busy_s) for busy_s in (0.03, 0.03, 0.03)]

    assert quick.run(turns) == [2.0, 4.0, 8.0]
    monkeypatch.setattr("arbiter_app.services.shadows.TURN_LATE_S", FAR_S)  # from now on no turn is late
    until(lambda: quick.run(lambda: turn(0.0)) == 1.0)
    shadows._late_s = 0.0


def test_nothing_is_asked_beside_while_the_store_takes_no_writes(quick: Running) -> None:
    tried(quick)
    pragma = Pragma(quick.arbiter.store)
    pragma.set("PRAGMA query_only=1")
    assert quick.chat("Calculate 3 * 37").status_code == 200
    quick.settle()
    until(lambda: quick.arbiter.store.ledger.degraded)
    assert [gateway_calls(quick, f"Calculate {at} * 37") for at in range(4)] == [1] * 4
    assert all(served_by(quick, f"Calculate {at} * 39")["mode"] != "explore" for at in range(8)), (
        "nothing is learned now"
    )
    pragma.clear()
    until(lambda: not quick.arbiter.store.ledger.degraded)
    assert tried(quick)


def test_nothing_is_asked_beside_once_the_process_is_to_end(tmp_path: Path) -> None:
    with running(tmp_path, **QUICK) as one:
        tried(one)
        before = asked(one)
        with being_read(one) as pieces:
            one.loop.call_soon_threadsafe(one.arbiter.requests.drain, 30.0)
            assert b"[DONE]" in b"".join(pieces)
        one.settle()
        assert asked(one) == before + 1


def test_no_more_is_spent_on_learning_than_its_share(tmp_path: Path) -> None:
    """Whatever is in work at once: what is being asked counts before it is charged."""
    bounds = {"ARBITER_EXPLORE_USD_SHARE": "0.02", "ARBITER_SHADOW_START": "10", "ARBITER_SHADOW_CONCURRENCY": "64"}
    with running(tmp_path, **QUICK, **bounds, ARBITER_SANDBOX_LATENCY="0.2") as one:
        one.arbiter.router._trials = lambda _: Trials.SHADOW  # none serves a caller, however busy this machine is
        with ThreadPoolExecutor(24) as callers:
            paid = ["gpt-4o", "gpt-4.1", "gpt-4.1-mini", "gpt-4o-mini", "gemini-2.5-flash"]
            answers = callers.map(lambda at: one.chat(f"Calculate {at} * 24", arbiter_models=paid), range(200))
            assert {answer.status_code for answer in answers} == {200}
        one.settle()
        assert one.http.get("/v1/report").json()["learning_spend"] > 0
        assert one.arbiter.policy.learning_left_usd("math") > 0, "what was spent is under what the policy grants"


def test_a_model_whose_charge_is_not_known_is_not_asked_beside_again(tmp_path: Path) -> None:
    """Nobody could keep to a budget of dollars with it."""
    with running(tmp_path, **QUICK) as one:
        one.world.faults["*"] = Fault(no_usage=True, no_charge=True)
        models = [
            shadow["model"] for at in range(30) for shadow in decision(one, one.chat(f"Calculate {at} * 24"))["shadows"]
        ]
        assert models and len(models) == len(set(models))


def test_budgets_pay_for_what_is_asked_beside_and_are_never_passed(tmp_path: Path) -> None:
    with running(tmp_path, **QUICK) as one:
        body = {"scope": "key", "subject": "*", "period": "month", "limit_usd": "0.05"}
        key = one.caller()
        assert one.http.post("/v1/budgets", json={**body, "subject": key[:12]}).status_code == 200
        sent = (
            {"messages": [{"role": "user", "content": f"Calculate {at} * 24"}], "max_tokens": 50} for at in range(30)
        )
        with one.client(key) as asker:
            rows = [decision(one, asker.post("/v1/chat/completions", json=each)) for each in sent]
        assert any(row["learning_cost"] for row in rows)
        report = one.http.get("/v1/report").json()
        (budget,) = one.http.get("/v1/budgets").json()["data"]
        assert (budget["spent_usd"], budget["reserved_usd"]) == (pytest.approx(report["actual_spend"], abs=1e-12), 0)
