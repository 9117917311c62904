"""Whatever a conversation was (tool loops, parallel results in any order, thoughts of several models), the request that a runtime of
another dialect gets of it is one that its provider's SDK allows, with results directly behind their calls and ids that survive."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter_app.dialects.anthropic_messages import upstream as messages
from arbiter_app.dialects.history import fit_id
from arbiter_app.dialects.openai_responses import upstream as responses
from arbiter_app.pipeline.ports import RuntimeFault
from tests.sdk_types import assert_messages, assert_responses
from tests.unit.dialects.test_chats_become_messages_requests import PNG, TOOL

_text = st.text(max_size=12)
_words = _text.filter(str.strip)
_part = st.one_of(
    st.builds(lambda text: {"type": "text", "text": text}, _text),
    st.just({"type": "image_url", "image_url": {"url": PNG}}),
    st.just({"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}}),
)
_content = st.one_of(_text, st.lists(_part, max_size=3))
_detail = st.sampled_from(
    [
        {"type": "reasoning.text", "text": "So.", "signature": "s", "format": "anthropic-messages"},
        {"type": "reasoning.encrypted", "data": "r", "format": "anthropic-messages"},
        {"type": "reasoning.encrypted", "data": "e", "id": "rs_1", "format": "openai-responses"},
        {"type": "reasoning.summary", "summary": "Hm.", "id": "rs_1", "format": "openai-responses"},
        {"type": "reasoning.text", "text": "unsigned", "format": "unknown"},
    ]
)
_arguments = st.sampled_from(['{"city":"Oslo"}', "{}", "", "[1]", '{"a', '{"n":1e999}'])


@st.composite
def _turn(draw: st.DrawFn, at: int) -> list[dict[str, Any]]:
    """An ask and its answer: in words, or in calls whose results come in any order, perhaps behind words of the user."""
    made: list[dict[str, Any]] = [
        {"role": draw(st.sampled_from(["user", "system", "developer"])), "content": draw(_content)}
    ]
    if made[0]["role"] != "user":
        made[0]["content"] = draw(_text)
    answer: dict[str, Any] = {"role": "assistant", "content": draw(st.none() | _text)}
    if details := draw(st.lists(_detail, max_size=3)):
        answer["reasoning_details"] = details
    kind = draw(st.sampled_from(["call_{}_{}", "functions.weather:{}|{}", "toolu_{}" + "x" * 80 + "{}"]))
    ids = [kind.format(at, number) for number in range(draw(st.integers(0, 3)))]
    if ids:
        answer["tool_calls"] = [
            {"id": one, "type": "function", "function": {"name": "weather", "arguments": draw(_arguments)}}
            for one in ids
        ]
    results: list[dict[str, Any]] = [{"role": "tool", "tool_call_id": one, "content": draw(_content)} for one in ids]
    results = draw(st.permutations(results))
    if results and draw(st.booleans()):
        results.insert(draw(st.integers(0, len(results))), {"role": "user", "content": draw(_words)})
    return [*made, answer, *results]


@st.composite
def _chats(draw: st.DrawFn) -> dict[str, Any]:
    turns = [draw(_turn(at)) for at in range(draw(st.integers(0, 4)))]
    asked: dict[str, Any] = {"messages": [*sum(turns, []), {"role": "user", "content": draw(_words)}]}
    asked["model"] = draw(st.sampled_from(["claude-sonnet-4-5", "claude-opus-4-7", "gpt-5", "glm-5"]))
    if draw(st.booleans()):
        asked["tools"] = [TOOL]
        asked["tool_choice"] = draw(st.sampled_from(["auto", "none", "required"]))
        asked["parallel_tool_calls"] = draw(st.booleans())
    if draw(st.booleans()):
        asked["reasoning_effort"] = draw(st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]))
    if draw(st.booleans()):
        asked["max_tokens"] = draw(st.integers(1, 40_000))
    if draw(st.booleans()):
        asked["temperature"] = draw(st.floats(0, 2))
    return asked


def ids_of(chat: dict[str, Any]) -> list[str]:
    return [fit_id(call["id"]) for one in chat["messages"] for call in one.get("tool_calls", [])]


@settings(max_examples=60)
@given(_chats())
def test_over_messages(chat: dict[str, Any]) -> None:
    made = json.loads(messages.WIRE.ask(json.dumps(chat).encode()).body)
    assert_messages(made)
    told = made["messages"]
    assert [one["role"] for one in told] == [("user", "assistant")[at % 2] for at in range(len(told))]
    called: list[str] = []
    for at, one in enumerate(told):
        uses = [block["id"] for block in one["content"] if block["type"] == "tool_use"]
        if uses:
            results = told[at + 1]["content"][: len(uses)]
            assert [block["tool_use_id"] for block in results] == uses
        called += uses
        assert all(block["text"] for block in one["content"] if block["type"] == "text")
    assert called == ids_of(chat)
    assert sum(block["type"] == "tool_result" for one in told for block in one["content"]) == len(called)
    if made.get("thinking", {}).get("type") == "enabled":
        assert 1_024 <= made["thinking"]["budget_tokens"] < made["max_tokens"]
        assert "temperature" not in made and made.get("tool_choice", {}).get("type") not in ("any", "tool")


@settings(max_examples=60)
@given(_chats())
def test_over_responses(chat: dict[str, Any]) -> None:
    made = json.loads(responses.WIRE.ask(json.dumps(chat).encode()).body)
    assert_responses(made)
    items = made["input"]
    called = [one["call_id"] for one in items if one["type"] == "function_call"]
    assert called == ids_of(chat)
    assert [one["call_id"] for one in items if one["type"] == "function_call_output"] == called
    at = 0
    while at < len(items):  # calls of a turn, with the reasoning before each, then all of their results
        if items[at]["type"] != "function_call":
            at += 1
            continue
        calls = []
        while items[at]["type"] in ("function_call", "reasoning"):
            calls += [items[at]["call_id"]] if items[at]["type"] == "function_call" else []
            at += 1
        results = items[at : at + len(calls)]
        assert [one.get("call_id") for one in results] == calls
        at += len(calls)


_NAMES = ("role", "content", "type", "text", "tool_calls", "function", "id", "file", "image_url", "url")
_odd = st.recursive(
    st.none() | st.booleans() | st.integers() | _text,
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.sampled_from(_NAMES), one, max_size=4),
    max_leaves=8,
)


@settings(max_examples=200)
@given(_odd)
def test_what_is_no_message_is_never_a_failure_of_ours(odd: Any) -> None:
    answer = {"role": "assistant", "content": odd, "tool_calls": odd, "reasoning_details": odd}
    chat = {"model": "m", "messages": [{"role": "user", "content": "Hi"}, answer], "tools": odd, "tool_choice": odd}
    for wire in (messages.WIRE, responses.WIRE):
        try:
            wire.ask(json.dumps(chat).encode())
        except RuntimeFault as fault:
            assert fault.status == 400
