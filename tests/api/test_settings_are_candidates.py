"""A model at other settings is a candidate of its own: asked for in every dialect's words, told by its name, never against the caller's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from arbiter_app.runtime.sandbox.world import Fault
from tests.conftest import Running, running

CATALOG = """
baseline = "gpt-4o"
classifier = "deepseek-v4-flash"
judge = "deepseek-v4-pro"
[models."gpt-4o"]
input = 2.5
output = 10
variants = ["low", "high", 2048]
[models."gpt-4o-mini"]
input = 0.15
output = 0.6
variants = ["low"]
[models."deepseek-v4-flash"]
input = 0
output = 0
routable = false
[models."deepseek-v4-pro"]
input = 0
output = 0
routable = false
"""
DIALECTS = ("openai-chat", "anthropic-messages", "openai-responses")
ASK = "What is 17 * 23 + 4?"
FRONTS: dict[str, tuple[str, dict[str, Any]]] = {
    "openai-chat": ("/v1/chat/completions", {"messages": [{"role": "user", "content": ASK}]}),
    "anthropic-messages": (
        "/v1/messages",
        {"messages": [{"role": "user", "content": ASK}], "max_tokens": 20_000},
    ),
    "openai-responses": ("/v1/responses", {"input": ASK}),
}
STATED: dict[str, dict[str, Any]] = {
    "openai-chat": {"reasoning_effort": "medium"},
    "anthropic-messages": {"thinking": {"type": "enabled", "budget_tokens": 3_000}},
    "openai-responses": {"reasoning": {"effort": "medium"}},
}


@pytest.fixture(scope="module", params=DIALECTS)
def over(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One over a sandbox that is spoken to in one dialect."""
    directory = tmp_path_factory.mktemp("settings")
    (directory / "catalog.toml").write_text(CATALOG)
    environ = {"ARBITER_CATALOG": str(directory / "catalog.toml"), "ARBITER_SANDBOX_DIALECT": request.param}
    with running(directory, **environ, ARBITER_CASCADE="off") as one:
        yield one


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Running]:
    """One of a test's own, in chats."""
    (tmp_path / "catalog.toml").write_text(CATALOG)
    with running(tmp_path, ARBITER_CATALOG=str(tmp_path / "catalog.toml"), ARBITER_CASCADE="off") as one:
        yield one


def sent(over: Running, front: str, **fields: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What is said of the answer, and what the runtime was asked, as it understands that."""
    path, body = FRONTS[front]
    answer = over.http.post(path, json={"model": "auto", **body, **fields, "arbiter_no_cache": True})
    assert answer.status_code == 200, answer.text
    block: dict[str, Any] = answer.json()["arbiter"]
    asked = next(one for one in reversed(over.world.payloads) if one["model"] in ("gpt-4o", "gpt-4o-mini"))
    return block, asked


@pytest.mark.parametrize("front", FRONTS)
def test_a_setting_is_asked_for_in_the_words_of_the_runtime(over: Running, front: str) -> None:
    for pin, effort in (("gpt-4o:low", "low"), ("gpt-4o:high", "high"), ("gpt-4o:2048", "low")):
        block, asked = sent(over, front, arbiter_pin=pin)
        assert (block["model"], asked["model"]) == (pin, "gpt-4o")
        thinking = asked.get("thinking") or {}
        assert asked.get("reasoning_effort") == effort or thinking.get("budget_tokens") == 2_048, asked
        row = over.http.get(f"/v1/decisions/{block['decision_id']}").json()
        assert row["model"] == row["trace"]["call"]["attempts"][-1]["model"] == pin


@pytest.mark.parametrize("front", FRONTS)
def test_a_pin_of_the_model_is_the_model_as_it_is(over: Running, front: str) -> None:
    for named in ({"arbiter_pin": "gpt-4o"}, {"model": "openai/gpt-4o"}):
        block, asked = sent(over, front, **named)
        assert block["model"] == "gpt-4o" and "thinking" not in asked
        assert asked.get("reasoning_effort") is None


@pytest.mark.parametrize("front", FRONTS)
def test_what_the_caller_says_goes_before_every_setting(over: Running, front: str) -> None:
    block, asked = sent(over, front, arbiter_models=["gpt-4o", "gpt-4o-mini"], **STATED[front])
    assert ":" not in block["model"] and asked["reasoning_effort"] == "medium"
    trace = over.http.get(f"/v1/decisions/{block['decision_id']}").json()["trace"]
    assert trace["filter"]["rejected"]["gpt-4o:low"] == "the caller says how hard to think"


def test_a_caller_who_says_what_a_variant_does_gets_that_variant(plain: Running) -> None:
    block, asked = sent(plain, "openai-chat", reasoning_effort="high", arbiter_models=["gpt-4o"])
    assert (block["model"], asked["reasoning_effort"]) == ("gpt-4o:high", "high")
    path, body = FRONTS["openai-chat"]
    both = plain.http.post(path, json={**body, "reasoning_effort": "high", "arbiter_pin": "gpt-4o:low"})
    assert both.status_code == 400 and "does not go with that" in both.json()["error"]["message"]


def test_a_model_is_allowed_and_left_out_with_its_variants(plain: Running) -> None:
    for allowed, names in (
        (["gpt-4o-mini"], {"gpt-4o-mini", "gpt-4o-mini:low"}),
        (["!gpt-4o"], {"gpt-4o-mini", "gpt-4o-mini:low"}),
        (["!gpt-4o", "!gpt-4o-mini:low"], {"gpt-4o-mini"}),
        (["gpt-4o:low"], {"gpt-4o:low"}),
    ):
        block, _ = sent(plain, "openai-chat", arbiter_models=allowed)
        trace = plain.http.get(f"/v1/decisions/{block['decision_id']}").json()["trace"]
        assert set(trace["filter"]["eligible"]) == names


def test_no_thinking_is_asked_for_where_there_is_no_room_for_it(plain: Running) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
    for fields, left_out in (
        ({"max_tokens": 2_048}, {"gpt-4o:2048"}),
        ({"tools": [tool], "tool_choice": "required"}, {"gpt-4o:low", "gpt-4o:high", "gpt-4o:2048", "gpt-4o-mini:low"}),
    ):
        block, _ = sent(plain, "openai-chat", **fields)
        trace = plain.http.get(f"/v1/decisions/{block['decision_id']}").json()["trace"]
        assert set(trace["filter"]["rejected"]) == left_out


def test_health_is_the_models_whatever_its_setting(plain: Running) -> None:
    plain.world.faults["gpt-4o"] = Fault(status=500, count=1)
    block, _ = sent(plain, "openai-chat", arbiter_models=["gpt-4o:low", "gpt-4o-mini"])
    while block["failover_from"] is None:  # until the one that fails was asked
        block, _ = sent(plain, "openai-chat", arbiter_models=["gpt-4o:low", "gpt-4o-mini"])
    assert block["failover_from"] == ["gpt-4o"]
    assert set(plain.http.get("/v1/overview").json()["quarantined"]) == {"gpt-4o"}
    block, _ = sent(plain, "openai-chat")
    trace = plain.http.get(f"/v1/decisions/{block['decision_id']}").json()["trace"]
    assert {name for name, why in trace["filter"]["rejected"].items() if "quarantined" in why} == {
        "gpt-4o",
        "gpt-4o:low",
        "gpt-4o:high",
        "gpt-4o:2048",
    }


def test_lists_and_reports_say_which_variant_answered(plain: Running) -> None:
    sent(plain, "openai-chat", arbiter_pin="gpt-4o:low")
    listed = {row["id"]: row.get("variant_of") for row in plain.http.get("/v1/models").json()["data"]}
    assert (listed["gpt-4o"], listed["gpt-4o:low"], listed["gpt-4o-mini:low"]) == (None, "gpt-4o", "gpt-4o-mini")
    priced = {row["id"]: row["variants"] for row in plain.http.get("/v1/pricing").json()["data"]}
    assert priced["gpt-4o"] == ["gpt-4o:low", "gpt-4o:high", "gpt-4o:2048"] and "gpt-4o:low" not in priced
    report = plain.http.get("/v1/report").json()
    assert [row["model"] for row in report["by_model"]] == ["gpt-4o:low"]
    refused = plain.http.post("/v1/chat/completions", json={**FRONTS["openai-chat"][1], "arbiter_pin": "gpt-4o:max"})
    assert refused.status_code == 422 and "gpt-4o:low" in refused.json()["error"]["message"]


def test_a_tool_loop_stays_with_its_model_where_its_setting_has_no_room(plain: Running) -> None:
    tool = {"type": "function", "function": {"name": "add", "parameters": {"type": "object", "properties": {}}}}
    asked: list[dict[str, Any]] = [{"role": "user", "content": "Add them up, please."}]
    tools = {"tools": [tool], "arbiter_no_cache": True}
    first = plain.http.post(
        "/v1/chat/completions", json={**tools, "messages": asked, "arbiter_models": ["gpt-4o-mini:low"]}
    ).json()
    call = first["choices"][0]["message"]["tool_calls"][0]
    said = {"role": "assistant", "content": None, "tool_calls": [call]}
    history = [*asked, said, {"role": "tool", "tool_call_id": call["id"], "content": "3"}]
    on = plain.http.post("/v1/chat/completions", json={**tools, "messages": history}).json()["arbiter"]
    assert (first["arbiter"]["model"], on["model"]) == ("gpt-4o-mini:low", "gpt-4o-mini:low")
    forced = {**tools, "messages": history, "tool_choice": "required"}
    on = plain.http.post("/v1/chat/completions", json=forced).json()["arbiter"]
    assert on["model"] == "gpt-4o-mini" and "called the tools" in on["reason"]


def test_an_operator_lists_variants_while_arbiter_serves(plain: Running) -> None:
    edited = plain.http.patch("/v1/pool/models/gpt-4o-mini", json={"variants": ["low", "max"], "effort": "none"})
    assert edited.status_code == 200, edited.text
    block, asked = sent(plain, "openai-chat", arbiter_pin="gpt-4o-mini:max")
    assert (block["model"], asked["reasoning_effort"]) == ("gpt-4o-mini:max", "max")
    wrong = plain.http.patch("/v1/pool/models/gpt-4o-mini", json={"variants": ["much"]})
    assert wrong.status_code == 422 and "a variant is one of" in wrong.text
