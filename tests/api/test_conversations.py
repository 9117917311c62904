"""A conversation keeps its model, by its first message or the id the caller sends, unless that fails or cannot serve."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from arbiter_app.runtime.sandbox.world import Fault
from tests import databases
from tests.conftest import Running, running

DATABASES = databases.KINDS

POOL = ["mistral-small-3.2-24b-instruct-2506", "gpt-4o-mini", "deepseek-chat-v3", "gpt-4o"]
KEPT = "this conversation keeps its model"


def turns(first: str, asked: int) -> list[dict[str, str]]:
    """A conversation whose `asked`-th question is to be answered."""
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": first}]
    for at in range(1, asked):
        messages += [{"role": "assistant", "content": "So it is."}, {"role": "user", "content": f"Calculate {at} * 31"}]
    return messages


def ask(gateway: Running, messages: list[dict[str, str]], **fields: Any) -> dict[str, Any]:
    body = {"messages": messages, "arbiter_no_cache": True, "arbiter_models": POOL, **fields}
    block: dict[str, Any] = gateway.http.post("/v1/chat/completions", json=body).json()["arbiter"]
    return block


def settled(gateway: Running) -> None:
    """Every model answers right, so that nothing escalates."""
    for model in POOL:
        gateway.world.change_skill(model, 1.1)


def test_turns_stay_with_the_model_that_answered_first(own_gateway: Running) -> None:
    settled(own_gateway)
    kept = 0
    for at in range(12):
        first = ask(own_gateway, turns(f"Calculate {at} * 7", 1))
        assert KEPT not in first["reason"]
        for turn in range(2, 5):
            block = ask(own_gateway, turns(f"Calculate {at} * 7", turn))
            if KEPT in block["reason"]:
                kept += 1
                assert block["model"] == first["model"]
            else:
                break  # the gain was worth more than the cache
    assert kept >= 24


def test_another_caller_and_another_first_message_are_other_conversations(own_gateway: Running) -> None:
    settled(own_gateway)
    ask(own_gateway, turns("Calculate 5 * 7", 1))
    assert KEPT not in ask(own_gateway, turns("Calculate 6 * 7", 2))["reason"]
    with own_gateway.client(own_gateway.caller()) as other:
        body = {"messages": turns("Calculate 5 * 7", 2), "arbiter_models": POOL}
        assert KEPT not in other.post("/v1/chat/completions", json=body).json()["arbiter"]["reason"]
    assert KEPT in ask(own_gateway, turns("Calculate 5 * 7", 2))["reason"]


def test_an_id_of_the_caller_names_the_conversation(own_gateway: Running) -> None:
    settled(own_gateway)
    named = {"metadata": {"conversation_id": "c-1"}}
    first = ask(own_gateway, turns("Calculate 5 * 7", 1), **named)
    second = ask(own_gateway, turns("Something else: calculate 8 * 9", 1), **named)
    assert (second["model"], KEPT in second["reason"]) == (first["model"], True)
    assert KEPT not in ask(own_gateway, turns("Calculate 8 * 9", 1), metadata={"conversation_id": "c-2"})["reason"]


def test_a_model_that_fails_or_may_not_serve_is_left_and_the_next_one_kept(tmp_path: Path) -> None:
    with running(tmp_path, ARBITER_STICKY_MARGIN="100") as one:  # no gain is worth leaving a conversation's model
        settled(one)
        first = ask(one, turns("Calculate 5 * 7", 1))
        one.world.faults[first["model"]] = Fault(status=500)
        second = ask(one, turns("Calculate 5 * 7", 2))
        assert (second["failover_from"], second["model"] in POOL) == ([first["model"]], True)
        one.world.faults.clear()
        one.arbiter.health.forget()
        third = ask(one, turns("Calculate 5 * 7", 3))
        assert (third["model"], KEPT in third["reason"]) == (second["model"], True)
        others = [model for model in POOL if model != third["model"]]
        fourth = ask(one, turns("Calculate 5 * 7", 4), arbiter_models=others)
        assert (fourth["model"] in others, KEPT in fourth["reason"]) == (True, False)


def test_a_gain_beyond_the_margin_ends_the_stay(tmp_path: Path) -> None:
    for margin, stays in (("100", True), ("0.25", False)):
        with running(tmp_path / margin, ARBITER_STICKY_MARGIN=margin) as one:
            settled(one)
            first = ask(one, turns("Calculate 5 * 7", 1))
            one.world.change_skill(first["model"], 0.0)
            other = next(model for model in POOL if model != first["model"])
            for at in range(12):  # by now one is known to be always wrong, the other always right
                for model in (first["model"], other):
                    ask(one, turns(f"Calculate {at} * 13", 1), arbiter_models=[model])
            later = ask(one, turns("Calculate 5 * 7", 2))
            assert (KEPT in later["reason"]) == stays


LOOK_UP = {
    "type": "function",
    "function": {
        "name": "look_up",
        "parameters": {"type": "object", "properties": {"word": {"type": "string"}}, "required": ["word"]},
    },
}


def test_a_tool_loop_keeps_its_model_until_it_ends_unless_that_fails(own_gateway: Running) -> None:
    settled(own_gateway)

    def loop(first: str, steps: int) -> list[dict[str, Any]]:
        messages: list[dict[str, Any]] = [{"role": "user", "content": first}]
        for at in range(steps):
            called = {"id": f"call_{at}", "type": "function", "function": {"name": "look_up", "arguments": "{}"}}
            messages.append({"role": "assistant", "content": None, "tool_calls": [called]})
            messages.append({"role": "tool", "tool_call_id": f"call_{at}", "content": "found"})
        return messages

    for at in range(25):
        begun = ask(own_gateway, loop(f"Calculate {at} * 7", 0), tools=[LOOK_UP])
        for steps in range(1, 5):
            block = ask(own_gateway, loop(f"Calculate {at} * 7", steps), tools=[LOOK_UP])
            assert (block["model"], block["mode"]) == (begun["model"], "exploit")
            assert block["reason"] == f"{begun['model']} called the tools, and stays until the loop ends"
    own_gateway.world.faults[begun["model"]] = Fault(status=500)
    after = ask(own_gateway, loop("Calculate 24 * 7", 5), tools=[LOOK_UP])
    assert (after["failover_from"], after["model"] in POOL) == ([begun["model"]], True)
    own_gateway.world.faults.clear()
    own_gateway.arbiter.health.forget()
    assert ask(own_gateway, loop("Calculate 24 * 7", 6), tools=[LOOK_UP])["model"] == after["model"]


def test_a_decision_tells_what_was_cached_and_what_a_switch_would_lose(own_gateway: Running) -> None:
    settled(own_gateway)
    long = f"Calculate 6 * 7 {'and mind every word of this long text ' * 400}"
    first = ask(own_gateway, turns(long, 1), arbiter_pin="gpt-4o")
    second = ask(own_gateway, turns(long, 2), arbiter_pin="gpt-4o")
    third = ask(own_gateway, turns(long, 3))
    traces = [own_gateway.http.get(f"/v1/decisions/{one['decision_id']}").json()["trace"] for one in (first, second)]
    assert "cached_tokens" not in traces[0]["route"]
    in_cache = sum(traces[1]["call"][name] for name in ("cached_tokens", "written_tokens"))
    assert traces[1]["call"]["cached_tokens"] > 1_000
    told = own_gateway.http.get(f"/v1/decisions/{third['decision_id']}").json()["trace"]
    route, estimated = told["route"], told["filter"]["prompt_tokens"]
    assert (route["cached_by"], route["cached_tokens"]) == ("gpt-4o", min(in_cache, estimated))
    lost = {one["model"]: "for the lost cache" in one["why_not"] for one in route["candidates"] if one["why_not"]}
    assert not lost.get("gpt-4o") and any(lost.values())
