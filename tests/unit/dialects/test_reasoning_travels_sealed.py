"""What a model of one dialect signed goes to callers of the others and comes back, byte for byte, for that model alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from arbiter_app import exact_json
from arbiter_app.dialects import anthropic_messages, openai_responses
from arbiter_app.dialects.anthropic_messages.answer import message
from arbiter_app.dialects.anthropic_messages.events import Events
from arbiter_app.dialects.openai_responses.events import Output
from arbiter_app.dialects.reasoning import SEAL, unsealed
from arbiter_app.pipeline.events import Chunk, chunks_of
from arbiter_app.pipeline.signed import signed_by, unsigned
from arbiter_app.pipeline.types import Caller, Role
from tests.unit.dialects.test_answers_become_messages import assembled, completed, decided
from tests.unit.dialects.test_messages_answers_become_chats import CALLS, HIDDEN, SIGNED
from tests.unit.dialects.test_responses_answers_become_chats import signed

CALLER = Caller("k", Role.CALLER)
ASK = {"role": "user", "content": "Hi"}
EXTRA = {"google": {"thought_signature": "gem"}}
GEMINI = [{**CALLS[0], "extra_content": EXTRA}, CALLS[1]]
ANSWERS: dict[str, dict[str, Any]] = {
    "Claude's": {
        "content": "Hello",
        "reasoning_content": "So.",
        "reasoning_details": [SIGNED, HIDDEN],
        "tool_calls": CALLS,
    },
    "interleaved": {
        "content": "Hello",
        "reasoning_content": "So.",
        "reasoning_details": [{**SIGNED, "before": "toolu_0"}, {**HIDDEN, "before": "toolu_1"}],
        "tool_calls": CALLS,
    },
    "GPT's": {
        "content": "Hello",
        "reasoning_content": "So.\n\nWell.",
        "reasoning_details": [*signed(0, "So.", "Well."), *signed(1)],
        "tool_calls": CALLS,
    },
    "Gemini's": {"content": None, "tool_calls": GEMINI},
}
Pieces = Callable[[dict[str, Any]], list[dict[str, Any]]]
given = pytest.mark.parametrize("case", ANSWERS)


def pieces(said: dict[str, Any]) -> list[dict[str, Any]]:
    """A message as a runtime's reader streams it: thoughts, text, calls."""
    details = said.get("reasoning_details", [])
    ids = {one["id"] for one in said["tool_calls"]}
    first = [{"reasoning_details": [one]} for one in details if one.get("before") not in ids]
    thought = [{"reasoning_content": said["reasoning_content"]}] if details else []
    deltas: list[dict[str, Any]] = [*thought, *first] if first else []
    deltas += [{"content": said["content"]}] if said["content"] else []
    deltas += thought if not first else []
    for at, call in enumerate(said["tool_calls"]):
        deltas += [{"reasoning_details": [one]} for one in details if one.get("before") == call["id"]]
        deltas.append({"tool_calls": [{"index": at, **call}]})
    return [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]


def as_messages(said: dict[str, Any], form: str, pieces: Pieces = pieces) -> list[dict[str, Any]]:
    """The content that a caller of Messages gets of an answer, as its SDK reads it."""
    decision = completed(decided(), {})
    body = {"choices": [{"index": 0, "message": {"role": "assistant", **said}, "finish_reason": "tool_calls"}]}
    if form == "whole":
        made: list[dict[str, Any]] = message(completed(decision, body))["content"]
        return made
    events = Events(decision)
    chunks = pieces(said) if form == "streamed" else [one.data for one in chunks_of(json.dumps(body).encode())]
    raw = [events.begin(), *(part for one in chunks for part in events.of(Chunk(None, one)))]
    raw += events.end({})
    parsed = [json.loads(one.split("\ndata: ")[1]) for one in b"".join(raw).decode().strip().split("\n\n")]
    told: list[dict[str, Any]] = json.loads(assembled(parsed).model_dump_json(exclude_none=True))["content"]
    return told


def as_items(said: dict[str, Any], form: str, pieces: Pieces = pieces) -> list[dict[str, Any]]:
    """The items that a caller of Responses gets."""
    output = Output(completed(decided(), {}))
    whole = [{"choices": [{"index": 0, "delta": {"role": "assistant", **said}, "finish_reason": "tool_calls"}]}]
    for one in whole if form == "whole" else pieces(said):
        list(output.of(Chunk(None, one)))
    list(output.end())
    return output.items


def back_from_messages(content: list[dict[str, Any]]) -> dict[str, Any]:
    results = [
        {"type": "tool_result", "tool_use_id": block["id"], "content": "Rain"}
        for block in content
        if block["type"] == "tool_use"
    ]
    history = [ASK, {"role": "assistant", "content": content}, {"role": "user", "content": results}]
    chat = anthropic_messages.parse(json.dumps({"max_tokens": 9, "messages": history}).encode(), CALLER, "r")
    assert chat.dropped == ()
    answer: dict[str, Any] = chat.payload["messages"][1]
    return answer


def back_from_items(items: list[dict[str, Any]]) -> dict[str, Any]:
    results = [
        {"type": "function_call_output", "call_id": item["call_id"], "output": "Rain"}
        for item in items
        if item["type"] == "function_call"
    ]
    history = [{"type": "message", **ASK}, *items, *results]
    chat = openai_responses.parse(json.dumps({"input": history}).encode(), CALLER, "r")
    assert chat.dropped == ()
    answer: dict[str, Any] = chat.payload["messages"][1]
    return answer


def of(model: str, answer: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    """What of a message goes to a model, and whether something of another was in it."""
    found = signed_by({model}, json.dumps([answer]))
    assert found is not None
    made: dict[str, Any] = json.loads(found[0])[0]
    return made, found[1]


def check(answer: dict[str, Any], case: str) -> None:
    said = {name: value for name, value in ANSWERS[case].items() if name != "reasoning_content"}
    own, others = of("m", answer)
    assert ({**own, "content": own.get("content")}, others) == ({"role": "assistant", **said}, False)
    bare, others = of("another", answer)
    assert ("reasoning_details" in bare, others) == (False, True)
    assert bare["tool_calls"] == CALLS


@given
@pytest.mark.parametrize("form", ["whole", "streamed", "kept"])
def test_through_a_caller_of_messages_and_back(case: str, form: str) -> None:
    content = as_messages(ANSWERS[case], form)
    assert [block["type"] for block in content if block["type"] == "tool_use"] == ["tool_use"] * 2
    check(back_from_messages(content), case)


@given
@pytest.mark.parametrize("form", ["whole", "streamed"])
def test_through_a_caller_of_responses_and_back(case: str, form: str) -> None:
    check(back_from_items(as_items(ANSWERS[case], form)), case)


def test_thoughts_stand_where_they_were_thought() -> None:
    for form in ("whole", "streamed"):
        kinds = [block["type"] for block in as_messages(ANSWERS["interleaved"], form)]
        assert kinds == ["text", "thinking", "tool_use", "redacted_thinking", "tool_use"]
    items = as_items(ANSWERS["GPT's"], "whole")
    assert [item["type"] for item in items][:2] == ["reasoning", "reasoning"]
    assert items[0]["summary"] == [{"type": "summary_text", "text": "So.\n\nWell."}]


def test_who_asked_for_no_thoughts_gets_no_blocks_of_them() -> None:
    body = {"choices": [{"message": ANSWERS["Claude's"]}]}
    made = message(completed(decided(thoughts=False), body))
    assert [block["type"] for block in made["content"]] == ["text", "tool_use", "tool_use"]


def test_what_is_no_seal_of_ours_is_a_models_own_and_a_broken_one_says_nothing() -> None:
    assert unsealed("EqQBCgIYAhIM") is None
    assert unsealed(None) is None
    for broken in ("", "{", "[]", '["m"]', "[1,[]]", '["m",{}]', '["m",[1]]'):
        assert unsealed(SEAL + broken) == []


def test_nothing_is_written_anew_where_nothing_is_known_to_be_signed() -> None:
    assert signed_by({"m"}, '[{"role": "assistant", "reasoning_details": [{"data": "x"}]}]') is None


def test_what_is_asked_again_without_signatures_has_no_makers_either() -> None:
    call = {**CALLS[0], "extra_content": EXTRA, "made_by": "m"}
    bare = unsigned(exact_json.dumps([{"role": "assistant", "content": None, "tool_calls": [call]}]).decode())
    assert bare is not None and json.loads(bare)[0]["tool_calls"] == [CALLS[0]]
