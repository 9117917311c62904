"""A tool loop keeps its model until it ends, whatever its messages look like, and what another model signed stops nobody."""

from __future__ import annotations

import itertools
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Running, running
from tests.stranger import Said, Stranger, chunk, plain, stranger, stream

MODELS = ["gpt-4o", "gpt-4o-mini", "gpt-4.1-mini", "deepseek-chat-v3"]
ASK = "What is the capital of France?"
LOOK_UP = {
    "type": "function",
    "function": {"name": "look_up", "parameters": {"type": "object", "properties": {"word": {"type": "string"}}}},
}
Messages = list[dict[str, Any]]
REMINDERS: list[Any] = [
    "<environment_details>\n# Current time\n12:00\n</environment_details>",
    [{"type": "text", "text": "<system-reminder>The to-do list is empty.</system-reminder>"}],
    "Please go on, and hurry.",
]


class Agents:
    """A runtime whose models all call a tool, each call with an id of its own; some refuse instead (`refusals`)."""

    def __init__(self, runtime: Stranger) -> None:
        self.runtime = runtime
        self.tool = "look_up"
        self.ids = (f"call_{number}" for number in itertools.count())
        self.refusals: dict[str, Callable[[bytes], Said | None]] = {}
        runtime.say = self.say

    def say(self, body: bytes) -> Said:
        asked = json.loads(body)
        refusal = self.refusals.get(asked["model"], lambda _: None)(body)
        if refusal is not None:
            return refusal
        called = {"name": self.tool, "arguments": '{"word": "Paris"}'}
        call = {"id": next(self.ids), "type": "function", "function": called}
        if asked.get("stream"):
            return stream(chunk({"role": "assistant", "tool_calls": [{"index": 0, **call}]}), chunk({}, "tool_calls"))
        return plain({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls")

    def asked(self) -> list[dict[str, Any]]:
        """The requests of agents that it got."""
        return [one for one in map(json.loads, self.runtime.heard) if one.get("tools")]


def foreign(body: bytes) -> Said | None:
    """A provider that refuses what it did not sign."""
    said = {"error": {"message": "messages.1: Invalid `signature` in `thinking` block", "code": None}}
    return (400, "application/json", json.dumps(said).encode()) if b"signed by" in body else None


@pytest.fixture
def agents() -> Iterator[Agents]:
    with stranger() as runtime:
        yield Agents(runtime)


def serving(agents: Agents, path: Path) -> Any:
    return running(path, **agents.runtime.settings, ARBITER_JUDGE_SAMPLE="0", ARBITER_SIGNUP="1")


@pytest.fixture
def live(agents: Agents, tmp_path: Path) -> Iterator[Running]:
    with serving(agents, tmp_path) as one:
        yield one


def step(live: Running, messages: Messages, **fields: Any) -> tuple[str, Messages, dict[str, Any]]:
    """One step of a loop: who answered, the messages with its calls and their results, and what Arbiter says."""
    key = fields.pop("key", None)
    headers = {} if key is None else {"authorization": f"Bearer {key}"}
    body = {"messages": messages, "tools": [LOOK_UP], "arbiter_models": MODELS, **fields}
    told = live.http.post("/v1/chat/completions", json=body, headers=headers)
    assert told.status_code == 200, told.text
    answer = told.json()["choices"][0]["message"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "found"} for call in answer.get("tool_calls") or []
    ]
    block: dict[str, Any] = told.json()["arbiter"]
    return block["model"], [*messages, answer, *results], block


def begun(live: Running, at: int = 0) -> tuple[str, Messages]:
    model, messages, _ = step(live, [{"role": "user", "content": f"Look up {ASK} ({at})"}])
    return model, messages


@pytest.mark.parametrize("said", REMINDERS, ids=["environment", "reminder", "words"])
def test_what_an_agent_says_as_the_user_beside_the_results_ends_no_loop(live: Running, said: Any) -> None:
    for at in range(12):
        model, messages = begun(live, at)
        for _ in range(4):
            served, messages, block = step(live, [*messages, {"role": "user", "content": said}])
            assert (served, block["mode"]) == (model, "exploit")
            assert block["reason"] == f"{model} called the tools, and stays until the loop ends"


def test_results_and_words_in_one_user_message_end_no_loop(live: Running) -> None:
    model, messages = begun(live)
    result = {"type": "tool_result", "tool_use_id": messages[-1]["tool_call_id"], "content": "found"}
    both = {"role": "user", "content": [result, {"type": "text", "text": "<system-reminder>Go on.</system-reminder>"}]}
    _, _, block = step(live, [*messages[:-1], both, {"role": "system", "content": "Be brief."}])
    assert (block["model"], "stays until the loop ends" in block["reason"]) == (model, True)


def test_an_ask_after_an_answer_in_words_or_without_results_is_in_no_loop(live: Running) -> None:
    _, messages = begun(live)
    answered = [*messages, {"role": "assistant", "content": "It is Paris."}, {"role": "user", "content": "And Spain?"}]
    unanswered = [*messages[:-1], {"role": "user", "content": "Stop. Tell me about Spain."}]
    for ended in (answered, unanswered):
        assert "stays until the loop ends" not in step(live, ended)[2]["reason"]


@pytest.mark.parametrize("streamed", [False, True])
def test_a_loop_is_known_by_its_calls_whatever_becomes_of_its_history(
    live: Running, agents: Agents, streamed: bool
) -> None:
    for at in range(12):
        messages: Messages = [{"role": "user", "content": f"Look up {ASK} ({at})"}]
        if streamed:
            body = {"messages": messages, "tools": [LOOK_UP], "arbiter_models": MODELS, "stream": True}
            frames = live.http.post("/v1/chat/completions", json=body).text.split("\n\n")
            calls = json.loads(frames[0].removeprefix("data: "))["choices"][0]["delta"]["tool_calls"]
            model = agents.asked()[-1]["model"]
            answer = {"role": "assistant", "content": None, "tool_calls": calls}
            result = {"role": "tool", "tool_call_id": calls[0]["id"], "content": "found"}
            messages = [*messages, answer, result]
        else:
            model, messages = begun(live, at)
        for kind in ("rewritten", "compacted"):
            first = {"role": "user", "content": f"{kind} {at}: <summary>Look it up.</summary>"}
            assert step(live, [first, *messages[-2:]])[0] == model


def test_ids_of_another_caller_and_ids_that_two_models_gave_say_nothing(live: Running, agents: Agents) -> None:
    model, messages = begun(live)
    moved = [{"role": "user", "content": "moved"}, *messages[1:]]
    assert "stays until" not in step(live, moved, key=live.caller())[2]["reason"]
    agents.ids = (f"again_{0 * number}" for number in itertools.count())
    for one in ("gpt-4o", "gpt-4o-mini"):
        messages = step(live, [{"role": "user", "content": ASK}], arbiter_models=[one])[1]
    assert "stays until" not in step(live, [{"role": "user", "content": "moved"}, *messages[1:]])[2]["reason"]


@pytest.mark.parametrize("ids", [[{}], ["x" * 1_000_000], [None, 7, ["a"]], ["c"] * 5_000, ["\ud83d"]])
def test_ids_of_calls_that_nobody_gave_are_harmless(live: Running, ids: list[Any]) -> None:
    calls = [{"id": one, "type": "function", "function": {"name": "look_up", "arguments": "{}"}} for one in ids]
    called = [{"role": "assistant", "content": None, "tool_calls": calls}, {"role": "tool", "content": "found"}]
    body = json.dumps({"messages": [{"role": "user", "content": ASK}, *called], "tools": [LOOK_UP]})
    assert live.http.post("/v1/chat/completions", content=body).status_code == 200


def test_a_loop_goes_on_with_its_model_after_a_restart(agents: Agents, tmp_path: Path) -> None:
    loops = []
    with serving(agents, tmp_path) as live:
        for at in range(12):
            loops.append(begun(live, at))
    with serving(agents, tmp_path) as live:
        for model, messages in loops:
            served, _, block = step(live, messages)
            assert (served, "stays until the loop ends" in block["reason"]) == (model, True)


def test_nothing_escalates_in_a_loop(live: Running, agents: Agents) -> None:
    model, messages, _ = step(live, [{"role": "user", "content": ASK}], arbiter_models=["gpt-4o-mini"])
    agents.tool = "no_such_tool"
    for _ in range(3):
        served, messages, block = step(live, messages)
        assert (served, block["quality"], block["cascaded_from"]) == (model, 0.0, None)
    assert {one["model"] for one in agents.asked()} == {model}
    first = step(live, [{"role": "user", "content": f"Another: {ASK}"}], arbiter_models=["gpt-4o-mini", "gpt-4o"])[2]
    assert first["model"] == "gpt-4o" or first["cascaded_from"] == "gpt-4o-mini"


SIGNED = "signed by another"
ASKED = {
    "role": "user",
    "content": "What is a `thought_signature`, say 'reasoning_content'?",
    "signature": "the user's own",
}
CALLED = {"name": "look_up", "arguments": '{"word": "signature"}'}
CALL = {"id": "call_x", "type": "function", "function": CALLED}
FOUND = {"role": "tool", "tool_call_id": "call_x", "content": [{"type": "text", "text": "found"}]}
SIGNATURES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"content": [{"type": "thinking", "thinking": "So.", "signature": SIGNED}, {"type": "text", "text": "I see."}]},
        {"content": [{"type": "text", "text": "I see."}]},
    ),
    ({"content": [{"type": "redacted_thinking", "data": SIGNED}]}, {}),
    ({"content": None, "reasoning": "So.", "reasoning_details": [{"data": SIGNED}]}, {"content": None}),
    ({"content": "", "reasoning_content": SIGNED, "encrypted_content": SIGNED}, {"content": ""}),
    ({"content": "I see.", "thinking_blocks": [{"signature": SIGNED}]}, {"content": "I see."}),
    (
        {"content": None, "tool_calls": [{**CALL, "extra_content": {"google": {"thought_signature": SIGNED}}}]},
        {"content": None, "tool_calls": [CALL]},
    ),
    (
        {"content": "I see.", "extra_content": {"google": {"thought_signature": SIGNED, "grounded": True}}},
        {"content": "I see.", "extra_content": {"google": {"grounded": True}}},
    ),
]


def signed(given: dict[str, Any]) -> Messages:
    answer = {"role": "assistant", "tool_calls": [CALL], **given}
    return [ASKED, answer, FOUND]


@pytest.mark.parametrize(("given", "kept"), SIGNATURES)
@pytest.mark.parametrize("pinned", [False, True])
def test_where_all_refuse_what_another_signed_it_is_left_out_and_they_are_asked_again(
    live: Running, agents: Agents, given: dict[str, Any], kept: dict[str, Any], pinned: bool
) -> None:
    agents.refusals = dict.fromkeys(MODELS, foreign)
    only = {"arbiter_pin": MODELS[0], "arbiter_models": None} if pinned else {"arbiter_models": MODELS[:3]}
    model, _, block = step(live, signed(given), **only)
    *refused, answered = agents.asked()
    assert [one["messages"] for one in refused] == [signed(given)] * (1 if pinned else 3)
    assert answered["messages"] == [ASKED, {"role": "assistant", "tool_calls": [CALL], **kept}, FOUND]
    assert (answered["model"], refused[0]["model"]) == (model, model)
    assert block["reason"].endswith("; asked again without what other models had signed")
    assert model not in (block["failover_from"] or ())
    assert live.arbiter.health.snapshot(time.monotonic()) == {}


@pytest.mark.parametrize("streamed", [False, True])
def test_what_a_model_signed_is_left_out_after_a_real_failover_too(
    live: Running, agents: Agents, streamed: bool
) -> None:
    body = {"messages": signed(SIGNATURES[0][0]), "tools": [LOOK_UP], "arbiter_models": MODELS[:3], "stream": streamed}
    agents.refusals = {MODELS[0]: lambda _: (500, "text/plain", b"boom"), MODELS[1]: foreign, MODELS[2]: foreign}
    told = live.http.post("/v1/chat/completions", json=body)
    assert told.status_code == 200 and '"error"' not in told.text, told.text
    assert agents.asked()[-1]["model"] in MODELS[1:]


def test_a_model_that_can_read_it_gets_what_was_signed(live: Running, agents: Agents) -> None:
    agents.refusals = dict.fromkeys(MODELS[:2], foreign)
    assert step(live, signed(SIGNATURES[0][0]), arbiter_models=MODELS[:3])[0] == MODELS[2]
    assert agents.asked()[-1]["messages"] == signed(SIGNATURES[0][0])


def test_the_rest_of_the_messages_is_sent_as_it_was_written(live: Running, agents: Agents) -> None:
    agents.refusals = dict.fromkeys(MODELS, foreign)
    answer = '{"role":"assistant","content":"Sch\u00f6n","reasoning_content":"signed by another","weight":%s}'
    numbers = "[0.1000000000000000000000001,123456789012345678901234567890,1e999]"
    text = '{"messages":[{"role":"user","content":"a"},%s,{"role":"user","content":"b"}],"arbiter_pin":"gpt-4o","tools":[]}'
    told = live.http.post("/v1/chat/completions", content=text % (answer % numbers))
    assert told.status_code == 200, told.text
    assert numbers.encode() in agents.runtime.last and b"signed by" not in agents.runtime.last


def test_what_cannot_be_left_out_is_refused_in_the_providers_words_and_asked_once(
    live: Running, agents: Agents
) -> None:
    for given, models, times in (({}, MODELS[:1], 1), (SIGNATURES[0][0], MODELS[:1], 2)):
        agents.runtime.heard.clear()
        agents.refusals = dict.fromkeys(MODELS, lambda _: foreign(b"signed by"))
        body = {"messages": signed(given), "tools": [LOOK_UP], "arbiter_models": models}
        told = live.http.post("/v1/chat/completions", json=body)
        assert (told.status_code, told.json()["error"]["code"]) == (400, "upstream_rejected")
        assert "Invalid `signature`" in told.json()["error"]["message"]
        assert len(agents.asked()) == times
