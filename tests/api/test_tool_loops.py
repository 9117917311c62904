"""A tool loop keeps its model until it ends, whatever its messages look like."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
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
    """A runtime whose models all call a tool, each call with an id of its own."""

    def __init__(self, runtime: Stranger) -> None:
        self.runtime = runtime
        self.tool = "look_up"
        self.ids = (f"call_{number}" for number in itertools.count())
        runtime.say = self.say

    def say(self, body: bytes) -> Said:
        asked = json.loads(body)
        called = {"name": self.tool, "arguments": '{"word": "Paris"}'}
        call = {"id": next(self.ids), "type": "function", "function": called}
        if asked.get("stream"):
            return stream(chunk({"role": "assistant", "tool_calls": [{"index": 0, **call}]}), chunk({}, "tool_calls"))
        return plain({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls")

    def asked(self) -> list[dict[str, Any]]:
        """The requests of agents that it got."""
        return [one for one in map(json.loads, self.runtime.heard) if one.get("tools")]


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
