"""A chat request on its way to a runtime that speaks Anthropic's Messages."""

from __future__ import annotations

import json
from typing import Any

import pytest

from arbiter_app.dialects.anthropic_messages.upstream import MAX_TOKENS, WIRE, version_of
from arbiter_app.pipeline.ports import Refused, RuntimeFault
from tests.sdk_types import assert_messages

PNG = "data:image/png;base64,aGk="
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "description": "Tells it.", "parameters": WEATHER}}
USER = {"role": "user", "content": "Hello"}


def asked(**given: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the runtime gets, which the SDK's types allow, and what was dropped."""
    chat = {"model": "claude-sonnet-4-5", "messages": [USER], **given}
    request = WIRE.ask(json.dumps(chat).encode())
    made = json.loads(request.body)
    assert_messages(made)
    return made, request.dropped


def messages(*given: dict[str, Any], **more: Any) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = asked(messages=list(given), **more)[0]["messages"]
    return made


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def called(*ids: str, **more: Any) -> dict[str, Any]:
    calls = [
        {"id": one, "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}} for one in ids
    ]
    return {"role": "assistant", "content": None, "tool_calls": calls, **more}


def result(call: str, content: Any = "Rain") -> dict[str, Any]:
    return {"role": "tool", "tool_call_id": call, "content": content}


def refused(**given: Any) -> RuntimeFault:
    with pytest.raises(RuntimeFault) as caught:
        asked(**given)
    assert (caught.value.means, caught.value.status) == (Refused.UNSUPPORTED, 400)
    return caught.value


def test_a_plain_request_says_what_is_required_and_nothing_else() -> None:
    made, dropped = asked(stream=True, stream_options={"include_usage": True})
    assert made == {
        "model": "claude-sonnet-4-5",
        "max_tokens": MAX_TOKENS,
        "messages": [{"role": "user", "content": [text("Hello")]}],
        "stream": True,
    }
    assert dropped == ()


def test_what_this_runtime_refuses_of_texts_and_pictures_is_not_sent() -> None:
    shown = {"type": "image_url", "image_url": {"url": "data:image/jpg;base64,aGk="}}
    (told,) = messages({"role": "user", "content": [text(" \n"), text("Hello"), shown]})
    source = {"type": "base64", "media_type": "image/jpeg", "data": "aGk="}
    assert told["content"] == [text("Hello"), {"type": "image", "source": source}]


def test_old_models_are_asked_for_no_more_than_they_give() -> None:
    models = {
        "claude-3-opus-20240229": 4_096,
        "claude-3-5-haiku-20241022": 8_192,
        "claude-3-7-sonnet-latest": MAX_TOKENS,
    }
    assert {model: asked(model=model)[0]["max_tokens"] for model in (*models, "glm-5")} == models | {
        "glm-5": MAX_TOKENS
    }


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_callers_bound_is_kept(name: str) -> None:
    assert asked(**{name: 77})[0]["max_tokens"] == 77


def test_system_and_developer_messages_are_the_system_prompt_and_later_ones_stay_in_their_place() -> None:
    first, second = {"role": "system", "content": "One."}, {"role": "developer", "content": "Two."}
    made, _ = asked(messages=[first, second, USER, {"role": "system", "content": "Three."}])
    assert made["system"] == "One.\n\nTwo."
    assert made["messages"] == [{"role": "user", "content": [text("Hello"), text("<system>\nThree.\n</system>")]}]
    alone, _ = asked(messages=[first, second])
    assert (alone["system"], alone["messages"][0]["role"]) == ("One.", "user")


def test_marks_of_what_is_to_be_cached_are_kept() -> None:
    mark = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
    system = {"role": "system", "content": [{**text("One."), **mark}]}
    tool = {**TOOL, **mark}
    history = [system, {"role": "user", "content": [{**text("Hi"), **mark}]}, called("a")]
    made, dropped = asked(messages=[*history, result("a", [{**text("Rain"), **mark}])], tools=[tool])
    assert made["system"] == [{**text("One."), **mark}]
    assert made["tools"][0]["cache_control"] == mark["cache_control"]
    assert made["messages"][0]["content"] == [{**text("Hi"), **mark}]
    answered = {"type": "tool_result", "tool_use_id": "a", "content": "Rain", **mark}
    assert (made["messages"][2]["content"], dropped) == ([answered], ())


def test_tools_and_the_choice_among_them() -> None:
    made, dropped = asked(tools=[TOOL], tool_choice="required", parallel_tool_calls=False)
    assert made["tools"] == [{"name": "weather", "description": "Tells it.", "input_schema": WEATHER}]
    assert made["tool_choice"] == {"type": "any", "disable_parallel_tool_use": True}
    assert asked(tools=[TOOL], tool_choice="none", parallel_tool_calls=False)[0]["tool_choice"] == {"type": "none"}
    named = {"type": "function", "function": {"name": "weather"}}
    assert asked(tools=[TOOL], tool_choice=named)[0]["tool_choice"] == {"type": "tool", "name": "weather"}
    only = {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named]}}
    other = {"type": "function", "function": {"name": "other"}}
    made, _ = asked(tools=[TOOL, other], tool_choice=only)
    assert ([one["name"] for one in made["tools"]], made["tool_choice"]) == (["weather"], {"type": "auto"})
    assert asked(tools=[other])[0]["tools"] == [{"name": "other", "input_schema": {"type": "object", "properties": {}}}]
    assert dropped == ()


def test_no_tools_are_said_as_nothing_and_functions_of_old_as_tools() -> None:
    made, _ = asked(tools=[], tool_choice="auto")
    assert not made.keys() & {"tools", "tool_choice"}
    made, _ = asked(functions=[TOOL["function"]], function_call={"name": "weather"})
    assert (made["tools"][0]["name"], made["tool_choice"]["name"]) == ("weather", "weather")
    old = {"role": "assistant", "content": None, "function_call": {"name": "weather", "arguments": "{}"}}
    told = messages(USER, old, {"role": "function", "name": "weather", "content": "Rain"}, functions=[TOOL["function"]])
    assert told[1]["content"][0]["id"] == told[2]["content"][0]["tool_use_id"]


def test_a_history_of_calls_names_its_tools_where_the_request_offers_none() -> None:
    made, _ = asked(messages=[USER, called("a"), result("a")])
    assert made["tools"] == [{"name": "weather", "input_schema": {"type": "object"}}]
    assert made["tool_choice"] == {"type": "none"}


def test_parallel_results_are_one_message_in_the_order_of_their_calls_and_what_is_said_follows() -> None:
    told = messages(
        USER, called("a", "b"), result("b"), {"role": "user", "content": "Go on"}, result("a"), tools=[TOOL]
    )
    uses = [{"type": "tool_use", "id": one, "name": "weather", "input": {"city": "Oslo"}} for one in "ab"]
    results = [{"type": "tool_result", "tool_use_id": one, "content": "Rain"} for one in "ab"]
    assert told[1:] == [
        {"role": "assistant", "content": uses},
        {"role": "user", "content": [*results, text("Go on")]},
    ]


def test_ids_that_fit_survive_and_others_are_made_fit_on_both_sides() -> None:
    odd = "functions.weather:0|" + "x" * 200
    told = messages(USER, called("call_1", odd), result("call_1"), result(odd), tools=[TOOL])
    ids = [block["id"] for block in told[1]["content"]]
    assert (ids[0], len(ids[1])) == ("call_1", 64)
    assert [block["tool_use_id"] for block in told[2]["content"]] == ids


def test_calls_that_go_by_one_id_get_each_its_own_and_each_its_result() -> None:
    odd = "functions.weather:0"
    told = messages(
        USER,
        called("call_0", "call_0"),
        result("call_0", "Rain"),
        result("call_0", "Snow"),
        called("call_0"),
        result("call_0", "Wind"),
        called(odd),
        called(odd),
        result(odd, "Sun"),
        tools=[TOOL],
    )
    uses = [one["id"] for turn in told for one in turn["content"] if one["type"] == "tool_use"]
    results = {one["tool_use_id"]: one["content"] for turn in told for one in turn["content"] if "tool_use_id" in one}
    assert uses[:3] == ["call_0", "call_0_2", "call_0_3"] and len(set(uses)) == 5
    assert results == dict(zip([*uses[:3], uses[4]], ["Rain", "Snow", "Wind", "Sun"], strict=True))


@pytest.mark.parametrize("nothing", [None, ""])
def test_results_without_an_id_follow_the_calls_in_their_order(nothing: Any) -> None:
    calls = called("a", "b")
    for one in calls["tool_calls"]:
        one["id"] = nothing
    told = messages(
        USER, calls, {**result(""), "tool_call_id": nothing}, {"role": "tool", "content": "Snow"}, tools=[TOOL]
    )
    results = [(one["tool_use_id"], one["content"]) for one in told[2]["content"]]
    assert results == list(zip([one["id"] for one in told[1]["content"]], ["Rain", "Snow"], strict=True))


@pytest.mark.parametrize(("most", "sent"), [(5, 5), (7.0, 7), (-1, 32_000), (None, 32_000)])
def test_a_bound_is_a_number_of_tokens(most: Any, sent: int) -> None:
    assert asked(max_tokens=most)[0]["max_tokens"] == sent


@pytest.mark.parametrize("most", [0, "5", True, [], 1.5])
def test_no_answer_is_made_without_a_bound_where_one_was_meant(most: Any) -> None:
    assert "whole number of tokens" in refused(max_tokens=most).message


def test_arguments_go_out_as_they_were_written_and_what_is_no_object_stands_in_one() -> None:
    written = '{"n":123456789012345678901234567890,"x":1.0}'
    call = called("a")
    call["tool_calls"][0]["function"]["arguments"] = written
    body = WIRE.ask(json.dumps({"model": "m", "messages": [USER, call, result("a")], "tools": [TOOL]}).encode()).body
    assert f'"input":{written}'.encode() in body
    for broken, given in (("[1]", {"malformed_arguments": "[1]"}), ("", {}), ('{"a', {"malformed_arguments": '{"a'})):
        call["tool_calls"][0]["function"]["arguments"] = broken
        assert messages(USER, call, result("a"), tools=[TOOL])[1]["content"][0]["input"] == given


def test_empty_texts_and_white_space_at_the_end_of_a_prefill_are_not_sent() -> None:
    empty = {"role": "user", "content": [text(""), text("Hello")]}
    told = messages(empty, {"role": "assistant", "content": ""}, {"role": "assistant", "content": "The answer is \n"})
    assert told == [
        {"role": "user", "content": [text("Hello")]},
        {"role": "assistant", "content": [text("The answer is")]},
    ]
    assert len(messages(USER, {"role": "assistant", "content": " \n"})) == 1
    assert refused(messages=[{"role": "user", "content": ""}]).refusal.param == "messages"


def test_who_speaks_takes_turns_and_the_user_begins() -> None:
    told = messages({"role": "assistant", "content": "Hi, I am here."}, USER, USER)
    assert [one["role"] for one in told] == ["user", "assistant", "user"]
    assert told[2]["content"] == [text("Hello"), text("Hello")]


def test_pictures_and_files_are_carried() -> None:
    seen = {"type": "image_url", "image_url": {"url": PNG, "detail": "high"}}
    linked = {"type": "image_url", "image_url": {"url": "https://e.org/a.png"}}
    pdf = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,aGk="}}
    note = {"type": "file", "file": {"filename": "a.txt", "file_data": "data:text/plain;base64,aGk="}}
    made, dropped = asked(messages=[{"role": "user", "content": [seen, linked, pdf, note]}])
    sources = [block["source"] for block in made["messages"][0]["content"]]
    assert sources == [
        {"type": "base64", "media_type": "image/png", "data": "aGk="},
        {"type": "url", "url": "https://e.org/a.png"},
        {"type": "base64", "media_type": "application/pdf", "data": "aGk="},
        {"type": "text", "media_type": "text/plain", "data": "hi"},
    ]
    assert dropped == ("messages.content.image_url.detail",)
    shown = messages(USER, called("a"), result("a", [text("Look:"), linked]), tools=[TOOL])[2]["content"][0]["content"]
    assert [block["type"] for block in shown] == ["text", "image"]


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"tools": [{"type": "custom", "custom": {"name": "run"}}]}, "tools"),
        ({"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {}}]}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]}, "messages"),
    ],
)
def test_what_would_mean_something_else_is_refused(given: dict[str, Any], param: str) -> None:
    fault = refused(**given)
    assert fault.refusal is not None and fault.refusal.param == param


def test_what_has_no_word_is_named_and_what_says_nothing_is_not() -> None:
    made, dropped = asked(
        seed=1, logit_bias={"1": 2}, metadata={"a": "b"}, response_format={"type": "json_object"}, verbosity="low"
    )
    assert dropped == ("seed", "logit_bias", "metadata", "verbosity", "response_format")
    silent = asked(n=1, logprobs=False, store=False, frequency_penalty=0, modalities=["text"], metadata=None)
    assert silent == asked()


def test_stop_sequences_the_user_and_a_schema_have_words_of_their_own() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": WEATHER, "strict": True}}
    made, dropped = asked(stop=["END", " \n"], user="u1", response_format=schema)
    assert (made["stop_sequences"], made["metadata"], dropped) == (["END"], {"user_id": "u1"}, ("stop",))
    assert made["output_config"] == {"format": {"type": "json_schema", "schema": WEATHER}}
    assert asked(stop="END")[0]["stop_sequences"] == ["END"]


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-3-7-sonnet-20250219", (3, 7)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("anthropic.claude-opus-4-6-v1", (4, 6)),
        ("anthropic/claude-opus-4.7", (4, 7)),
        ("claude-haiku-4-5@20251001", (4, 5)),
        ("claude-sonnet-5", (5, 0)),
        ("claude-fable-latest", (99, 0)),
        ("glm-5", None),
        (None, None),
    ],
)
def test_which_claude_a_model_is(model: object, version: tuple[int, int] | None) -> None:
    assert version_of(model) == version


def test_an_effort_is_a_budget_where_models_think_by_tokens() -> None:
    for effort, budget in (("low", 2_048), ("medium", 8_192), ("high", 16_384)):
        made, dropped = asked(reasoning_effort=effort)
        assert (made["thinking"], dropped) == ({"type": "enabled", "budget_tokens": budget}, ())
    assert asked(reasoning_effort="high", max_tokens=4_000)[0]["thinking"]["budget_tokens"] == 3_999
    for given in ({"max_tokens": 500}, {"tools": [TOOL], "tool_choice": "required"}):
        made, dropped = asked(reasoning_effort="low", **given)
        assert ("thinking" in made, dropped) == (False, ("reasoning_effort",))
    assert asked(reasoning_effort="none") == asked()


def test_an_effort_is_an_effort_where_models_decide_themselves() -> None:
    made, dropped = asked(model="claude-opus-4-7", reasoning_effort="xhigh", temperature=0.5)
    assert made["thinking"] == {"type": "adaptive", "display": "summarized"}
    assert (made["output_config"], dropped) == ({"effort": "xhigh"}, ("temperature",))
    assert asked(model="claude-opus-4-6", reasoning_effort="xhigh")[0]["output_config"] == {"effort": "high"}
    schema = {"type": "json_schema", "json_schema": {"schema": WEATHER}}
    made, _ = asked(model="claude-sonnet-5", reasoning_effort="low", response_format=schema)
    assert made["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": WEATHER}}
    forced = asked(model="claude-sonnet-5", reasoning_effort="low", tools=[TOOL], tool_choice="required")[0]
    assert ("thinking" in forced, forced["output_config"]) == (False, {"effort": "low"})


def test_temperature_goes_where_it_is_taken() -> None:
    assert asked(temperature=0.2, top_p=0.9)[1] == ("top_p",)
    made, dropped = asked(temperature=1.7)
    assert (made["temperature"], dropped) == (1.0, ("temperature",))
    assert asked(reasoning_effort="low", temperature=0.2)[1] == ("temperature",)
    assert asked(model="claude-opus-4-7", temperature=0.2, top_p=0.5, top_k=3)[1] == ("temperature", "top_p", "top_k")
    assert asked(model="claude-opus-4-7", temperature=1)[1] == ()


def test_thoughts_go_back_in_their_order_with_their_signatures_and_those_of_others_do_not() -> None:
    first = {"type": "reasoning.text", "text": "So.", "signature": "sig1", "format": "anthropic-messages"}
    second = {"type": "reasoning.encrypted", "data": "zzz", "format": "anthropic-messages", "before": "b"}
    other = {"type": "reasoning.encrypted", "data": "gpt", "format": "openai-responses"}
    turn = called("a", "b", content="Well.", reasoning_content="So.", reasoning_details=[first, second, other])
    made, dropped = asked(messages=[USER, turn, result("a"), result("b")], tools=[TOOL], reasoning_effort="low")
    assert made["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "So.", "signature": "sig1"},
        text("Well."),
        {"type": "tool_use", "id": "a", "name": "weather", "input": {"city": "Oslo"}},
        {"type": "redacted_thinking", "data": "zzz"},
        {"type": "tool_use", "id": "b", "name": "weather", "input": {"city": "Oslo"}},
    ]
    assert made["thinking"] == {"type": "enabled", "budget_tokens": 2_048}
    assert dropped == ("messages.reasoning_details",)


def test_a_loop_that_was_begun_without_a_thought_goes_on_without_one() -> None:
    history = [USER, called("a"), result("a")]
    made, dropped = asked(messages=history, tools=[TOOL], reasoning_effort="low")
    assert ("thinking" in made, dropped) == (False, ("reasoning_effort",))
    again = asked(
        messages=[*history, {"role": "assistant", "content": "Rain."}, USER], tools=[TOOL], reasoning_effort="low"
    )
    assert "thinking" in again[0]


def test_halves_of_characters_and_numbers_out_of_range_are_no_reason_to_fail() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"\\ud83d!"}],"top_k":1e999}'
    assert json.loads(WIRE.ask(body).body)["messages"][0]["content"] == [text("\ufffd!")]
