"""A tool loop keeps its model until it ends, whatever its messages look like."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Running, running
from tests.stranger import Said, Stranger, plain, stranger

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
        self.ids = (f"call_{number}" for number in itertools.count())
        runtime.say = self.say

    def say(self, body: bytes) -> Said:
        called = {"name": "look_up", "arguments": '{"word": "Paris"}'}
        call = {"id": next(self.ids), "type": "function", "function": called}
        return plain({"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls")


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
    body = {"messages": messages, "tools": [LOOK_UP], "arbiter_models": MODELS, **fields}
    told = live.http.post("/v1/chat/completions", json=body)
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
    _, _, block = step(live, [*messages[:-1], both])
    assert (block["model"], "stays until the loop ends" in block["reason"]) == (model, True)


def test_an_ask_after_an_answer_in_words_or_without_results_is_in_no_loop(live: Running) -> None:
    _, messages = begun(live)
    answered = [*messages, {"role": "assistant", "content": "It is Paris."}, {"role": "user", "content": "And Spain?"}]
    unanswered = [*messages[:-1], {"role": "user", "content": "Stop. Tell me about Spain."}]
    for ended in (answered, unanswered):
        assert "stays until the loop ends" not in step(live, ended)[2]["reason"]
