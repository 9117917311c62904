"""A Responses request as the chat request that a runtime gets, and what is said of one that is none."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter_app.dialects.openai_responses import parse, status_of
from arbiter_app.pipeline.errors import ArbiterError, BadRequest
from arbiter_app.pipeline.types import Caller, Capability, ChatRequest, Role

CALLER = Caller("k_1", Role.CALLER)
PIXEL = "data:image/png;base64,iVBORw0KGgo="


def read(**request: Any) -> ChatRequest:
    return parse(json.dumps(request).encode(), CALLER, "req_1")


def messages(*items: Any) -> list[dict[str, Any]]:
    return read(input=list(items)).messages


def call(call_id: str, name: str = "look_up", arguments: str = "{}", **more: Any) -> dict[str, Any]:
    return {"type": "function_call", "call_id": call_id, "name": name, "arguments": arguments, **more}


def output(call_id: str, told: Any = "found") -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": call_id, "output": told}


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "name": name, "parameters": {"type": "object", "properties": {}}, **more}


def said(role: str, kind: str, text: str) -> dict[str, Any]:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def test_a_text_and_instructions_are_two_messages():
    chat = read(model="auto", input="Hello", instructions="Be brief.")
    assert chat.messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]
    assert (chat.ask, chat.system, chat.stream, chat.dropped) == ("Hello", "Be brief.", False, ())
    assert json.loads(chat.body(model="m")) == {"model": "m", "messages": chat.messages}


def test_roles_and_parts():
    parts = [
        {"type": "input_text", "text": "Look:"},
        {"type": "input_image", "image_url": PIXEL, "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "input_text", "text": ""},
    ]
    refused = {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}
    made = messages(
        said("developer", "input_text", "Rules"),
        {"role": "user", "content": parts},
        said("assistant", "output_text", "I see."),
        refused,
        {"role": "user", "content": "And now?"},
    )
    assert made == [
        {"role": "system", "content": "Rules"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look:"},
                {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
                {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
                {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
            ],
        },
        {"role": "assistant", "content": "I see."},
        {"role": "assistant", "content": None, "refusal": "No."},
        {"role": "user", "content": "And now?"},
    ]
    chat = read(input=[{"role": "user", "content": parts}])
    assert chat.needs == {Capability.VISION, Capability.AUDIO} and chat.ask == "Look:"


def test_the_calls_of_a_turn_are_one_message_and_their_outputs_follow_it():
    made = messages(
        {"role": "user", "content": "Go"},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "secret"},
        said("assistant", "output_text", "I look."),
        call("c1", arguments='{"a": 1}'),
        call("c2"),
        said("user", "input_text", "<environment_context>here</environment_context>"),
        output("c2", "two"),
        output("c1", [{"type": "input_text", "text": "one"}, {"type": "input_image", "image_url": PIXEL}]),
        call("c1"),
        output("c1", "again"),
    )
    assert [message["role"] for message in made] == [
        *("user", "assistant", "tool", "tool", "user", "user", "assistant", "tool")
    ]
    assert made[1]["content"] == "I look."
    assert [(one["id"], one["function"]["arguments"]) for one in made[1]["tool_calls"]] == [
        ("c1", '{"a": 1}'),
        ("c2", "{}"),
    ]
    assert [(made[at]["tool_call_id"], made[at]["content"]) for at in (2, 3, 7)] == [
        *(("c2", "two"), ("c1", "one"), ("c1", "again"))
    ]
    assert made[4] == {"role": "user", "content": [{"type": "image_url", "image_url": {"url": PIXEL}}]}
    assert made[6]["content"] is None


def test_custom_tools_and_namespaces_are_functions():
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: LINE"}
    tools = [
        function("plain", strict=False, description="d"),
        function("held", strict=True, defer_loading=True),
        {"type": "custom", "name": "patch", "description": "Patches.", "format": grammar},
        {"type": "namespace", "name": "crm", "description": "x", "tools": [function("find")]},
        {"type": "web_search", "external_web_access": False},
    ]
    history = [
        {"role": "user", "content": "Go"},
        {"type": "custom_tool_call", "call_id": "c1", "name": "patch", "input": 'say "hi"'},
        {"type": "custom_tool_call_output", "call_id": "c1", "output": "done"},
        call("c2", "find", namespace="crm"),
        output("c2"),
    ]
    chat = read(input=history, tools=tools, tool_choice="auto", parallel_tool_calls=True)
    functions = {one["function"]["name"]: one["function"] for one in chat.payload["tools"]}
    assert list(functions) == ["plain", "held", "patch", "crm__find"]
    assert functions["plain"] == {
        "name": "plain",
        "parameters": {"type": "object", "properties": {}},
        "description": "d",
    }
    assert functions["held"]["strict"] is True
    assert (
        functions["patch"]["parameters"]["required"] == ["input"] and "start: LINE" in functions["patch"]["description"]
    )
    assert json.loads(chat.messages[1]["tool_calls"][0]["function"]["arguments"]) == {"input": 'say "hi"'}
    assert chat.messages[3]["tool_calls"][0]["function"]["name"] == "crm__find"
    assert chat.dropped == ("tools.web_search", "tools.defer_loading") and Capability.TOOLS in chat.needs
    assert (chat.payload["tool_choice"], chat.payload["parallel_tool_calls"]) == ("auto", True)


def test_the_names_of_a_namespace_fit_a_function():
    names = [f"{'very_' * 20}{end}" for end in ("long", "far")]
    tools = [{"type": "namespace", "name": "mcp.server", "tools": [function(name) for name in names]}]
    made = [one["function"]["name"] for one in read(input="Go", tools=tools).payload["tools"]]
    assert len(set(made)) == 2 and all(len(name) == 64 and name.startswith("mcp_server__very_") for name in made)


@pytest.mark.parametrize(
    ("choice", "expected", "names"),
    [
        ("required", "required", ["a", "b"]),
        ({"type": "function", "name": "a"}, {"type": "function", "function": {"name": "a"}}, ["a", "b"]),
        ({"type": "custom", "name": "b"}, {"type": "function", "function": {"name": "b"}}, ["a", "b"]),
        ({"type": "allowed_tools", "mode": "required", "tools": [{"type": "custom", "name": "b"}]}, "required", ["b"]),
    ],
)
def test_tool_choices(choice, expected, names):
    tools = [function("a"), {"type": "custom", "name": "b"}]
    chat = read(input="Go", tools=tools, tool_choice=choice)
    assert chat.payload["tool_choice"] == expected
    assert [one["function"]["name"] for one in chat.payload["tools"]] == names


def test_what_asks_for_tools_without_any_is_left_out():
    assert read(input="Go", tools=[], tool_choice="auto", parallel_tool_calls=False).payload.keys() == {"messages"}


def test_wishes_are_carried_in_a_chats_words():
    schema = {"type": "object", "properties": {"a": {"type": "number", "minimum": 0.5}}}
    form = {"type": "json_schema", "name": "n", "schema": schema, "strict": True}
    chat = read(
        input="Go",
        stream=True,
        max_output_tokens=99,
        reasoning={"effort": "low", "summary": "auto", "context": "all"},
        text={"format": form, "verbosity": "low"},
        temperature=0.5,
        top_p=1,
        metadata={"a": "b"},
        user="u",
        safety_identifier="s",
        prompt_cache_key="thread",
        store=False,
        include=["reasoning.encrypted_content"],
        client_metadata={"x": "y"},
        truncation="auto",
        top_logprobs=3,
        arbiter_pin="gpt-4o",
    )
    assert {name: value for name, value in chat.payload.items() if name != "messages"} == {
        "stream": True,
        "max_completion_tokens": 99,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}},
        "verbosity": "low",
        "temperature": 0.5,
        "top_p": 1,
        "metadata": {"a": "b"},
        "user": "u",
        "safety_identifier": "s",
        "prompt_cache_key": "thread",
    }
    assert set(chat.dropped) == {*("reasoning.context", "truncation", "top_logprobs")}
    assert (chat.stream, chat.max_tokens, chat.needs, chat.pin) == (True, 99, {Capability.JSON_SCHEMA}, "gpt-4o")


def test_the_key_of_the_prompt_cache_names_the_conversation():
    one, other = read(input="A", prompt_cache_key="t1"), read(input="B", prompt_cache_key="t1")
    assert one.named and one.conversation == other.conversation != read(input="A", prompt_cache_key="t2").conversation
    stated = read(input="A", prompt_cache_key="t1", metadata={"conversation_id": "mine"})
    assert stated.conversation == read(input="B", metadata={"conversation_id": "mine"}).conversation
    assert not read(input="A").named


def test_ids_of_calls_are_made_fit_where_they_pass_untranslated() -> None:
    odd = "call_" + "x" * 80
    chat = read(input=[said("user", "input_text", "hi"), call(odd), output(odd), call(odd), output(odd)])
    assert chat.native is not None
    ids = [one["call_id"] for one in json.loads(chat.native.sent("m"))["input"][1:]]
    assert ids[0] == ids[1] != ids[2] == ids[3] and max(map(len, ids)) == 64


def test_a_file_by_its_address_is_one_and_to_fill_a_cache_asks_for_no_answer() -> None:
    file = {"type": "input_file", "file_url": "https://example.org/a.pdf"}
    assert messages({"role": "user", "content": [file]})[0]["content"] == [
        {"type": "file", "file": {"file_data": "https://example.org/a.pdf"}}
    ]
    assert read(input="hi", prompt_cache_options={"prewarm": True}).max_tokens == 0
    assert read(input="hi", prompt_cache_options={"prewarm": False}).untranslatable is None


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"background": True}, "background"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
    ],
    ids=lambda value: json.dumps(value)[-60:] if isinstance(value, dict) else value,
)
def test_what_cannot_be_had_here_is_a_400_that_says_what_to_do(request_, param):
    with pytest.raises(BadRequest) as caught:
        read(**{"input": "hi", **request_})
    assert (caught.value.status, caught.value.param, caught.value.code) == (400, param, "unsupported_parameter")


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"tools": [{"type": "web_search"}]}, "tools[0]"),
        ({"tools": [function("a"), {"type": "mcp", "server_label": "x"}]}, "tools[1]"),
        ({"tools": [function("a"), {"type": "web_search"}], "tool_choice": {"type": "web_search"}}, "tool_choice"),
        ({"input": [{"role": "user", "content": "hi"}, {"type": "code_interpreter_call"}]}, "input[1].type"),
        ({"input": [{"role": "user", "content": [{"type": "hologram"}]}]}, "input[0].content[0].type"),
        (
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "f"}]}]},
            "input[0].content[0].file_id",
        ),
        ({"prompt_cache_options": {"prewarm": True}}, "prompt_cache_options.prewarm"),
    ],
    ids=lambda value: json.dumps(value)[-60:] if isinstance(value, dict) else value,
)
def test_what_only_a_runtime_of_the_same_dialect_can_do_is_told_with_the_chat(request_, param):
    refusal = read(**{"input": "hi", **request_}).untranslatable
    assert refusal is not None and (refusal.param, refusal.code) == (param, "unsupported_parameter")


@pytest.mark.parametrize(
    "items",
    [[call("c1")], [output("c1")], [call("c1"), output("c1"), output("c1")], [call("c1"), call("c1"), output("c1")]],
    ids=["no output", "no call", "two outputs", "two calls"],
)
def test_calls_and_outputs_belong_together(items):
    with pytest.raises(BadRequest) as caught:
        messages({"role": "user", "content": "hi"}, *items)
    assert caught.value.param == "input" and "c1" in caught.value.message


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"input": None}, "input"),
        ({"input": []}, "input"),
        ({"input": 7}, "input"),
        ({"input": {"role": "user"}}, "input"),
        ({"input": ["hi"]}, "input[0]"),
        ({"input": [{"type": "reasoning"}]}, "input"),
        ({"input": [{"role": "robot", "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": 7, "content": "x"}]}, "input[0].role"),
        ({"input": [{"role": "user"}]}, "input[0].content"),
        ({"input": [{"role": "user", "content": [7]}]}, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": [{"type": "input_text"}]}]}, "input[0].content[0].text"),
        ({"input": [{"role": "user", "content": [{"type": "input_image"}]}]}, "input[0].content[0].image_url"),
        ({"input": [{"role": "user", "content": [{"type": "input_file"}]}]}, "input[0].content[0].file_data"),
        ({"input": [{"role": "user", "content": [{"type": "refusal", "refusal": "x"}]}]}, "input[0].content"),
        ({"input": [{"role": "system", "content": [{"type": "input_image", "image_url": "u"}]}]}, "input[0].content"),
        (
            {"input": [{"role": "assistant", "content": [{"type": "input_image", "image_url": "u"}]}]},
            "input[0].content",
        ),
        ({"input": [call("", "f")]}, "input[0].call_id"),
        ({"input": [call("c", "")]}, "input[0].name"),
        ({"input": [call("c", arguments={})]}, "input[0].arguments"),
        ({"input": [call("c"), output("c", None)]}, "input[1].output"),
        ({"input": [{"type": "custom_tool_call", "call_id": "c", "name": "n"}]}, "input[0].input"),
        ({"instructions": 7}, "instructions"),
        ({"stream": "yes"}, "stream"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": True}, "max_output_tokens"),
        ({"temperature": "hot"}, "temperature"),
        ({"top_p": True}, "top_p"),
        ({"metadata": []}, "metadata"),
        ({"include": "all"}, "include"),
        ({"reasoning": "low"}, "reasoning"),
        ({"reasoning": {"effort": 1}}, "reasoning.effort"),
        ({"text": []}, "text"),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "text.format.name"),
        ({"user": 7}, "user"),
        ({"prompt_cache_key": ["x"]}, "prompt_cache_key"),
        ({"tools": {}}, "tools"),
        ({"tools": [7]}, "tools[0]"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": []}]}, "tools[0].parameters"),
        ({"tools": [{"type": "namespace", "name": "n", "tools": [{"type": "function"}]}]}, "tools[0].tools[0].name"),
        ({"tools": [function("f")], "tool_choice": "always"}, "tool_choice"),
        ({"tools": [function("f")], "tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tools": [function("f")], "parallel_tool_calls": "yes"}, "parallel_tool_calls"),
        ({"arbiter_pin": 1}, "arbiter_pin"),
        ({"arbiter_unknown": 1}, "arbiter_unknown"),
    ],
    ids=lambda value: json.dumps(value)[-60:] if isinstance(value, dict) else value,
)
def test_what_means_nothing_is_400_as_at_openai_and_names_the_field(request_, param):
    with pytest.raises(ArbiterError) as caught:
        read(**{"input": "hi", **request_})
    assert (status_of(caught.value), caught.value.type, caught.value.param) == (400, "invalid_request_error", param)


@pytest.mark.parametrize(
    ("request_", "code", "param"),
    [
        ({"input": None}, "missing_required_parameter", "input"),
        ({"input": []}, "missing_required_parameter", "input"),
        ({"input": 0}, "invalid_type", "input"),
        ({"input": ["hi"]}, "invalid_type", "input[0]"),
        ({"input": [{"role": "user"}]}, "missing_required_parameter", "input[0].content"),
        ({"input": [{"role": "judge", "content": "x"}]}, "invalid_value", "input[0].role"),
        (
            {"input": [{"type": "function_call", "call_id": "c", "name": "f"}]},
            "missing_required_parameter",
            "input[0].arguments",
        ),
        ({"stream": "yes"}, "invalid_type", "stream"),
        ({"model": 5}, "invalid_type", "model"),
        ({"max_output_tokens": "5"}, "invalid_type", "max_output_tokens"),
        ({"max_output_tokens": 0}, "integer_below_min_value", "max_output_tokens"),
        ({"text": {"format": {"type": "xml"}}}, "invalid_value", "text.format.type"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n"}}},
            "missing_required_parameter",
            "text.format.schema",
        ),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, "missing_required_parameter", "text.format.name"),
        (
            {"text": {"format": {"type": "json_schema", "name": "n", "schema": []}}},
            "invalid_type",
            "text.format.schema",
        ),
        ({"tools": [{"type": "function", "name": "f", "parameters": "x"}]}, "invalid_type", "tools[0].parameters"),
    ],
    ids=str,
)
def test_what_is_wrong_goes_by_the_codes_of_openai(request_, code, param):
    with pytest.raises(BadRequest) as caught:
        read(**{"input": "hi", **request_})
    assert (caught.value.code, caught.value.param) == (code, param)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'{"input": NaN}', b"\xff"])
def test_what_is_no_json_object_is_400(body):
    with pytest.raises(BadRequest) as caught:
        parse(body, CALLER, "req_1")
    assert (caught.value.status, caught.value.code) == (400, "invalid_json")


def test_thousands_of_unknown_members_are_not_all_told():
    assert len(read(input="hi", **{f"x{n}": 1 for n in range(5_000)}).dropped) == 100


NAMES = (
    "type role content text name arguments call_id output input tools tool_choice reasoning include metadata namespace image_url "
    "file_data format schema instructions mode summary effort refusal parameters function"
).split()
WORDS = (
    "message user assistant developer function_call function_call_output custom_tool_call custom_tool_call_output reasoning "
    "input_text output_text input_image input_file refusal function custom namespace web_search allowed_tools auto json_schema c1"
).split()
ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=6),
    max_leaves=25,
)


@settings(max_examples=400)
@given(st.dictionaries(st.sampled_from(["input", *NAMES]), ODD, max_size=6))
def test_whatever_comes_is_a_request_or_a_refusal(request_):
    try:
        chat = read(**request_)
    except ArbiterError as error:
        assert error.status in (400, 422)
    else:
        assert json.loads(chat.body(model="m"))["messages"]
