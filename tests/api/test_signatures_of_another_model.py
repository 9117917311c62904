"""What one model of a provider has signed is not sent to another: thoughts that pass untranslated are known by who signed them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import Running, running
from tests.stranger import STREAM, Said, Stranger, stranger
from tests.unit.dialects import test_messages_answers_become_chats as messages
from tests.unit.dialects import test_responses_answers_become_chats as responses

RUNTIME = """
[runtimes.{name}]
base_url = "{url}"
dialect = "{dialect}"
key_env = "THEIR_KEY"
"""
MODEL = """
[models."{model}"]
input = 3
output = 15
context = 200_000
[[models."{model}".deployments]]
runtime = "{runtime}"
"""
ONE, OTHER = "claude-one", "claude-other"
G_ONE, G_OTHER = "gpt-one", "gpt-other"
NAMED = {"x-arbiter-task": "open"}
FUNCTION = {"type": "function", "name": "look", "parameters": {"type": "object"}, "strict": False}
TOOL = {"name": "look", "input_schema": {"type": "object"}}


def signature_of(model: str) -> str:
    return f"c2lnbmVkIGJ5IA+/{model}=="


def says(body: bytes) -> Said:
    """A model that thinks, signs and calls."""
    asked = json.loads(body)
    mark = signature_of(asked["model"])
    if "input" in asked:
        thought = {"id": f"rs_{asked['model']}", "type": "reasoning", "summary": [], "encrypted_content": mark}
        call = {
            "id": "fc_1",
            "type": "function_call",
            "call_id": "c1",
            "name": "look",
            "arguments": "{}",
            "status": "completed",
        }
        answer = responses.response([thought, call])
        events = responses.events_of(answer)
    else:
        blocks = [
            {"type": "thinking", "thinking": "Hm.", "signature": mark},
            {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
        ]
        answer = messages.message(blocks, stop_reason="tool_use")
        events = messages.events_of(answer)
    if asked.get("stream"):
        told = b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in events)
        return 200, STREAM, told
    return 200, "application/json", json.dumps(answer).encode()


@pytest.fixture(scope="module")
def runtime() -> Iterator[Stranger]:
    with stranger() as one:
        one.say = says
        yield one


@pytest.fixture(scope="module")
def over(runtime: Stranger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("over")
    catalog = directory / "catalog.toml"
    catalog.write_text(
        RUNTIME.format(name="claude", url=runtime.url, dialect="anthropic-messages")
        + RUNTIME.format(name="gpt", url=runtime.url, dialect="openai-responses")
        + "".join(MODEL.format(model=one, runtime="claude") for one in (ONE, OTHER))
        + "".join(MODEL.format(model=one, runtime="gpt") for one in (G_ONE, G_OTHER))
    )
    parts = dict.fromkeys(("BASELINE_MODEL", "ARBITER_CLASSIFIER_MODEL", "ARBITER_JUDGE_MODEL"), ONE)
    own = {"ARBITER_CATALOG": str(catalog), "THEIR_KEY": "their-key-0123456789", "ARBITER_JUDGE_SAMPLE": "0", **parts}
    with running(directory, **runtime.settings, **own, ARBITER_CASCADE="0") as one:
        yield one


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_a_thinking_block_goes_to_the_model_that_signed_it_alone(
    over: Running, runtime: Stranger, streamed: bool
) -> None:
    foreign = {"type": "thinking", "thinking": "Who knows.", "signature": "c29tZWJvZHkgZWxzZQ=="}
    ask = {"role": "user", "content": "Look."}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}
    asked: dict[str, Any] = {"max_tokens": 4_000, "tools": [TOOL], "stream": streamed}
    asked["thinking"] = {"type": "enabled", "budget_tokens": 2_000}

    def told(model: str, history: list[Any]) -> tuple[Any, list[str]]:
        del runtime.heard[:]
        answer = over.http.post(
            "/v1/messages", json={**asked, "messages": history, "arbiter_pin": model}, headers=NAMED
        )
        assert answer.status_code == 200, answer.text
        (sent,) = [one for one in map(json.loads, runtime.heard) if one.get("tools")]
        return sent, [] if streamed else answer.json()["arbiter"].get("dropped", [])

    told(ONE, [ask])
    thought = {"type": "thinking", "thinking": "Hm.", "signature": signature_of(ONE)}
    call = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}
    history = [ask, {"role": "assistant", "content": [thought, call]}, {"role": "user", "content": [result]}]
    sent, _ = told(ONE, history)
    assert sent["messages"][1]["content"] == [thought, call] and sent["thinking"] == asked["thinking"]
    sent, dropped = told(OTHER, history)
    assert sent["messages"][1]["content"] == [call] and sent["messages"][2] == history[2]
    assert sent["thinking"] == {"type": "disabled"}, "it would refuse to go on with a call without a thought"
    assert streamed or dropped == ["messages.thinking"]
    unknown = [ask, {"role": "assistant", "content": [foreign, call]}, {"role": "user", "content": [result]}]
    sent, _ = told(OTHER, unknown)
    assert sent["messages"] == unknown, "what nobody knows passes as it is"


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "streamed"])
def test_an_item_of_reasoning_goes_to_the_model_that_encrypted_it_alone(
    over: Running, runtime: Stranger, streamed: bool
) -> None:
    def told(model: str, items: list[Any]) -> Any:
        del runtime.heard[:]
        asked = {"input": items, "stream": streamed, "store": False, "arbiter_pin": model, "tools": [FUNCTION]}
        answer = over.http.post("/v1/responses", json=asked, headers=NAMED)
        assert answer.status_code == 200, answer.text
        (sent,) = [one for one in map(json.loads, runtime.heard) if one.get("tools")]
        return sent["input"]

    ask = {"role": "user", "content": "Look."}
    told(G_ONE, [ask])
    thought = {"id": "rs_1", "type": "reasoning", "summary": [], "encrypted_content": signature_of(G_ONE)}
    call = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
    items = [ask, thought, call, {"type": "function_call_output", "call_id": "c1", "output": "seen"}]
    assert told(G_ONE, items) == items
    assert told(G_OTHER, items) == [ask, *items[2:]]
