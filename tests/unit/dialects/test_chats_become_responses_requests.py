"""A chat request on its way to a runtime that speaks OpenAI's Responses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from arbiter_app.dialects.openai_responses.upstream import WIRE
from arbiter_app.pipeline.ports import Refused, RuntimeFault
from tests.sdk_types import assert_responses
from tests.unit.dialects.test_chats_become_messages_requests import PNG, TOOL, USER, WEATHER, called, result, text


def asked(**given: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the runtime gets, which the SDK's types allow, and what was dropped."""
    chat = {"model": "gpt-4.1", "messages": [USER], **given}
    request = WIRE.ask(json.dumps(chat).encode())
    made = json.loads(request.body)
    assert_responses(made)
    return made, request.dropped


def items(*given: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = asked(messages=list(given), **more)[0]["input"]
    return made


def said(role: str, words: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": "input_text", "text": words}]}


def test_a_plain_request_keeps_nothing_at_the_runtime() -> None:
    made, dropped = asked(stream=True, stream_options={"include_usage": True})
    assert made == {"model": "gpt-4.1", "input": [said("user", "Hello")], "store": False, "stream": True}
    assert dropped == ()


def test_what_says_nothing_is_sent_as_what_it_stands_for() -> None:
    tool = {"type": "function", "function": {"name": "look", "parameters": {}}}
    call = {**called("c1")["tool_calls"][0], "function": {"name": "look", "arguments": ""}}
    asks = [USER, {"role": "assistant", "content": None, "tool_calls": [call]}, result("c1")]
    made, _ = asked(messages=asks, tools=[tool], stop=[""])
    assert made["tools"][0]["parameters"] == {"type": "object", "properties": {}} and "stop" not in made
    assert made["input"][1]["arguments"] == "{}"


def test_roles_keep_their_names_and_places() -> None:
    told = items(
        {"role": "system", "content": "One."},
        {"role": "developer", "content": "Two."},
        USER,
        {"role": "assistant", "content": "Hi"},
        USER,
    )
    assert told == [
        said("system", "One."),
        said("developer", "Two."),
        said("user", "Hello"),
        {"type": "message", "role": "assistant", "content": "Hi"},
        said("user", "Hello"),
    ]


def test_a_bound_is_raised_to_the_least_that_is_taken() -> None:
    assert asked(max_tokens=77)[0]["max_output_tokens"] == 77
    made, dropped = asked(max_completion_tokens=5)
    assert (made["max_output_tokens"], dropped) == (16, ("max_completion_tokens",))


def test_tools_are_lenient_unless_they_say_otherwise() -> None:
    strict = {"type": "function", "function": {"name": "other", "strict": True}}
    made, _ = asked(tools=[TOOL, strict], tool_choice="required", parallel_tool_calls=False)
    assert made["tools"] == [
        {
            "type": "function",
            "name": "weather",
            "description": "Tells it.",
            "parameters": WEATHER,
            "strict": False,
        },
        {"type": "function", "name": "other", "parameters": {"type": "object", "properties": {}}, "strict": True},
    ]
    assert (made["tool_choice"], made["parallel_tool_calls"]) == ("required", False)
    named = {"type": "function", "function": {"name": "weather"}}
    assert asked(tools=[TOOL], tool_choice=named)[0]["tool_choice"] == {"type": "function", "name": "weather"}
    only = {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named]}}
    choice = asked(tools=[TOOL], tool_choice=only)[0]["tool_choice"]
    assert choice == {
        "type": "allowed_tools",
        "mode": "required",
        "tools": [{"type": "function", "name": "weather"}],
    }
    assert not asked(tools=[], tool_choice="auto", parallel_tool_calls=True)[0].keys() & {"tools", "tool_choice"}


def test_results_follow_their_calls_directly_in_their_order() -> None:
    late = {"role": "user", "content": "Go on"}
    told = items(USER, called("a", "b", content="Well."), result("b"), late, result("a"), tools=[TOOL])
    calls = [
        {"type": "function_call", "call_id": one, "name": "weather", "arguments": '{"city":"Oslo"}'} for one in "ab"
    ]
    results = [{"type": "function_call_output", "call_id": one, "output": "Rain"} for one in "ab"]
    said_first = {"type": "message", "role": "assistant", "content": "Well."}
    assert told[1:] == [said_first, *calls, *results, said("user", "Go on")]


def test_reasoning_goes_back_as_it_came_before_what_it_was_thought_before() -> None:
    own = {"id": "rs_1", "format": "openai-responses"}
    first = [
        {"type": "reasoning.summary", "summary": "So.", **own},
        {"type": "reasoning.encrypted", "data": "gAAA", **own},
    ]
    second = {"type": "reasoning.encrypted", "data": "gBBB", "id": "rs_2", "format": "openai-responses", "before": "b"}
    other = {"type": "reasoning.text", "text": "Hm.", "signature": "s", "format": "anthropic-messages"}
    turn = called("a", "b", reasoning_details=[*first, second, other])
    made, dropped = asked(messages=[USER, turn, result("a"), result("b")], tools=[TOOL])
    thought = {"type": "reasoning", "id": "rs_1", "encrypted_content": "gAAA"}
    thought["summary"] = [{"type": "summary_text", "text": "So."}]  # type: ignore[assignment]
    assert made["input"][1] == thought
    assert made["input"][3] == {"type": "reasoning", "id": "rs_2", "summary": [], "encrypted_content": "gBBB"}
    assert [one["type"] for one in made["input"][1:5]] == ["reasoning", "function_call", "reasoning", "function_call"]
    assert dropped == ("messages.reasoning_details",)


def test_reasoning_is_asked_for_encrypted_where_models_have_it() -> None:
    for model in ("gpt-5.2-codex", "o4-mini", "openai/gpt-5"):
        assert asked(model=model)[0]["include"] == ["reasoning.encrypted_content"]
    assert "include" not in asked(model="gpt-4o")[0]
    assert asked(reasoning_effort="low")[0]["reasoning"] == {"effort": "low"}


def test_pictures_and_files_are_carried() -> None:
    seen = {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}}
    linked = {"type": "image_url", "image_url": {"url": "https://e.org/a.png"}}
    file = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}}
    told = items({"role": "user", "content": [text("See:"), seen, linked, file]})
    assert told[0]["content"][1:] == [
        {"type": "input_image", "image_url": PNG, "detail": "high"},
        {"type": "input_image", "image_url": "https://e.org/a.png", "detail": "auto"},
        {"type": "input_file", **file["file"]},  # type: ignore[dict-item]
    ]
    shown = items(USER, called("a"), result("a", [text("Look:"), linked]), tools=[TOOL])[2]["output"]
    assert [one["type"] for one in shown] == ["input_text", "input_image"]


def test_formats_and_what_openai_calls_the_same_pass() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": WEATHER, "strict": True}}
    made, dropped = asked(response_format=schema, verbosity="low", user="u", temperature=0.3, prompt_cache_key="k")
    assert made["text"] == {
        "format": {"type": "json_schema", "name": "x", "schema": WEATHER, "strict": True},
        "verbosity": "low",
    }
    assert (made["user"], made["temperature"], made["prompt_cache_key"], dropped) == ("u", 0.3, "k", ())
    assert asked(response_format={"type": "json_object"})[0]["text"] == {"format": {"type": "json_object"}}


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"stop": ["END"]}, "stop"),
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"audio": {"voice": "a"}}, "audio"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
    ],
)
def test_what_would_mean_something_else_is_refused(given: dict[str, Any], param: str) -> None:
    with pytest.raises(RuntimeFault) as caught:
        asked(**given)
    assert caught.value.means is Refused.UNSUPPORTED
    assert caught.value.refusal is not None and caught.value.refusal.param == param


def test_what_has_no_word_is_named() -> None:
    marked = {**text("Hi"), "cache_control": {"type": "ephemeral"}}
    made, dropped = asked(messages=[{"role": "user", "content": [marked]}], seed=1, presence_penalty=0.5)
    assert dropped == ("seed", "presence_penalty", "messages.content.cache_control")
    assert made["input"] == [said("user", "Hi")]
