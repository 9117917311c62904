"""Anthropic's Messages as a chat request: each member and block has its place, what has none is named, what means nothing is refused."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter_app.dialects.anthropic_messages import parse
from arbiter_app.pipeline.errors import ArbiterError, BadRequest
from arbiter_app.pipeline.types import Caller, Capability, ChatRequest, Role

CALLER = Caller("k_test", Role.CALLER)
ASK = {"role": "user", "content": "Hi"}
MARK = {"cache_control": {"type": "ephemeral", "ttl": "1h", "scope": "global"}}
KEPT = {"cache_control": {"type": "ephemeral", "ttl": "1h"}}
PDF = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}


def read(*messages: Any, **members: Any) -> ChatRequest:
    return parse(json.dumps({"messages": list(messages) or [ASK], **members}).encode(), CALLER, "req_1")


def text(words: str, **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


def call(name: str, **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": name, "name": "look", "input": given}


def result(name: str, content: Any = "ok", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": name, "content": content, **more}


def user(*blocks: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


def test_plain_members_have_their_names_in_a_chat() -> None:
    chat = read(
        model="auto",
        system="Be brief.",
        max_tokens=300,
        temperature=0.5,
        top_p=0.9,
        stop_sequences=["END"],
        stream=True,
        metadata={"user_id": "u1"},
        arbiter_max_cost=0.5,
        arbiter_pin="gpt-4o",
    )
    assert chat.payload == {
        "model": "auto",
        "stream": True,
        "temperature": 0.5,
        "top_p": 0.9,
        "messages": [{"role": "system", "content": "Be brief."}, ASK],
        "max_tokens": 300,
        "stop": ["END"],
        "user": "u1",
    }
    assert (chat.stream, chat.max_tokens, chat.max_cost_usd, chat.pin) == (True, 300, 0.5, "gpt-4o")
    assert (chat.ask, chat.system, chat.dropped) == ("Hi", "Be brief.", ())


def test_system_blocks_keep_their_marks_and_are_one_text_without_any() -> None:
    assert read(system=[text("A"), text(""), text("B")]).messages[0]["content"] == "A\n\nB"
    assert read(system=[text("A"), text("B", **MARK)]).messages[0]["content"] == [text("A"), text("B", **KEPT)]
    assert [one["role"] for one in read(ASK, {"role": "system", "content": [text("Now in French.")]}).messages] == [
        "user",
        "system",
    ]


def test_pictures_and_documents() -> None:
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    linked = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}
    told = {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Words."}, "title": "T"}
    parts = {"type": "document", "source": {"type": "content", "content": [text("Part."), picture]}}
    found = {"type": "search_result", "source": "s", "title": "t", "content": [text("Found.")]}
    chat = read(user(picture, linked, {"type": "document", "source": PDF, **MARK}, told, parts, found))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    assert chat.messages[0]["content"] == [
        image,
        {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
        {
            "type": "file",
            "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
            **KEPT,
        },
        text("T"),
        text("Words."),
        text("Part."),
        image,
        text("t\ns"),
        text("Found."),
    ]
    assert Capability.VISION in chat.needs


def test_parallel_results_follow_their_calls_one_by_one_and_what_else_is_said_comes_after() -> None:
    chat = read(
        ASK,
        assistant(text("I look."), call("a", at=1), call("b")),
        user(text("Quick."), result("b", [text("x"), text("y")]), result("a", "no", is_error=True)),
    )
    first, second = chat.messages[1]["tool_calls"]
    assert chat.messages[1]["content"] == "I look."
    assert first == {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"at":1}'}}
    assert second["function"]["arguments"] == "{}"
    assert chat.messages[2:] == [
        {"role": "tool", "tool_call_id": "b", "content": "x\ny"},
        {"role": "tool", "tool_call_id": "a", "content": "Error: no"},
        {"role": "user", "content": "Quick."},
    ]


def test_pictures_of_a_result_are_the_users() -> None:
    picture = {"type": "image", "source": {"type": "url", "url": "https://a.example/b.png"}}
    *_, tool, after = read(ASK, assistant(call("a")), user(result("a", [text("Seen."), picture]))).messages
    assert tool["content"].startswith("Seen.\n")
    assert after["role"] == "user"
    assert [part["type"] for part in after["content"]] == ["text", "image_url"]
    assert "a" in after["content"][0]["text"]


@pytest.mark.parametrize(
    ("block", "content"),
    [
        (result("a", None), ""),
        (result("a", []), ""),
        (result("a", "", is_error=True), "Error: "),
        ({"type": "tool_result", "tool_use_id": "a"}, ""),
        (result("a", "ok", **MARK), [text("ok", **KEPT)]),
        (result("a", [{"type": "tool_reference", "tool_name": "grep"}]), "The tool grep can be called."),
    ],
)
def test_results_of_every_form(block: dict[str, Any], content: Any) -> None:
    assert read(ASK, assistant(call("a")), user(block)).messages[-1] == {
        "role": "tool",
        "tool_call_id": "a",
        "content": content,
    }


def test_numbers_reach_the_runtime_as_they_were_written() -> None:
    body = b'{"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":[{"type":"tool_use","id":"a",'
    body += b'"name":"n","input":{"id":12345678901234567890123,"x":1.50}}]},{"role":"user","content":[{"type":'
    body += (
        b'"tool_result","tool_use_id":"a"}]}],"temperature":0.70,"tools":[{"name":"n","input_schema":{"maximum":1e3}}]}'
    )
    chat = parse(body, CALLER, "r")
    sent = chat.body(model="m").decode()
    assert chat.messages[1]["tool_calls"][0]["function"]["arguments"] == '{"id":12345678901234567890123,"x":1.50}'
    assert '"temperature":0.70' in sent
    assert '"maximum":1e3' in sent


def test_thinking_and_what_a_providers_tools_left_is_dropped_and_named() -> None:
    chat = read(
        ASK,
        assistant({"type": "thinking", "thinking": "...", "signature": "s"}),
        assistant(
            {"type": "redacted_thinking", "data": "x"},
            {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}},
            {"type": "web_search_tool_result", "tool_use_id": "s", "content": []},
            text("Found."),
        ),
        user(text("Go on.")),
        top_k=5,
        context_management={"edits": []},
        metadata={"tenant": "t"},
        service_tier=None,
        tools=[{"name": "n", "input_schema": {}, "input_examples": []}],
    )
    assert [one["content"] for one in chat.messages] == ["Hi", "Found.", "Go on."]
    assert set(chat.dropped) == {
        "top_k",
        "context_management",
        "metadata.tenant",
        "tools.input_examples",
        "messages.content.thinking",
        "messages.content.redacted_thinking",
        "messages.content.server_tool_use",
        "messages.content.web_search_tool_result",
    }


def test_tools_of_anthropics_are_no_chat() -> None:
    own = {"name": "n", "input_schema": {"type": "object"}}
    chat = read(tools=[{"name": "bash", "type": "bash_20250124"}, own])
    assert [one["function"]["name"] for one in chat.payload["tools"]] == ["n"]
    assert chat.untranslatable is not None and chat.untranslatable.param == "tools.0.type"
    assert read(tools=[own]).untranslatable is None


@pytest.mark.parametrize(
    ("messages", "members", "param", "needs"),
    [
        ([user({"type": "hologram", "x": 1})], {}, "messages.0.content.0.type", set()),
        (
            [user({"type": "image", "source": {"type": "file", "file_id": "f"}})],
            {},
            "messages.0.content.0.source",
            {Capability.VISION},
        ),
        (
            [user({"type": "document", "source": {"type": "ftp"}})],
            {},
            "messages.0.content.0.source.type",
            {Capability.VISION},
        ),
        ([ASK], {"max_tokens": 0}, "max_tokens", set()),
    ],
    ids=["block", "image", "document", "no answer"],
)
def test_what_only_a_runtime_of_messages_can_do_is_told_with_the_chat(
    messages: Any, members: Any, param: str, needs: set[Capability]
) -> None:
    chat = read(*messages, **members)
    assert chat.untranslatable is not None and chat.untranslatable.param == param
    assert chat.needs == needs and chat.max_tokens == members.get("max_tokens")
    assert chat.native is not None and json.loads(chat.native.sent("m")) == {
        "model": "m",
        "messages": messages,
        **members,
    }


def test_ids_of_calls_by_models_of_others_are_made_fit_where_they_pass_untranslated() -> None:
    odd = "functions.look:0"
    talk = [ASK, assistant(call(odd)), user(result(odd)), assistant(call(odd)), user(result(odd, "no"))]
    native = read(*talk).native
    assert native is not None
    told = json.loads(native.sent("m"))["messages"]
    uses = [turn["content"][0] for turn in told if turn["role"] == "assistant"]
    assert len({one["id"] for one in uses}) == 2 and all(
        re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", one["id"]) for one in uses
    )
    assert [one["id"] for one in uses] == [turn["content"][0]["tool_use_id"] for turn in told[2::2]]
    talk[3], talk[4] = assistant(call("a")), user(result("a"))
    talk[1], talk[2] = assistant(call("b")), user(result("b"))
    native = read(*talk).native
    assert native is not None and json.loads(native.sent("m"))["messages"] == talk


def test_tools_and_their_choice() -> None:
    tool = {"name": "n", "description": "d", "input_schema": {"type": "object"}, "strict": True, **MARK}
    chat = read(tools=[tool], tool_choice={"type": "tool", "name": "n", "disable_parallel_tool_use": True})
    function = {"name": "n", "parameters": {"type": "object"}, "description": "d", "strict": True}
    assert chat.payload["tools"] == [{"type": "function", "function": function, **KEPT}]
    assert chat.payload["tool_choice"] == {"type": "function", "function": {"name": "n"}}
    assert chat.payload["parallel_tool_calls"] is False
    assert Capability.TOOLS in chat.needs
    for theirs, ours in (("auto", "auto"), ("any", "required"), ("none", "none")):
        assert read(tools=[tool], tool_choice={"type": theirs}).payload["tool_choice"] == ours
    assert read(tools=[], tool_choice={"type": "auto"}).payload.keys() == {"messages"}


@pytest.mark.parametrize(
    ("members", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 30_000}}, "high"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "disabled"}}, None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, None),
        ({"output_config": {"effort": "low"}}, "low"),
        ({"output_config": {"effort": "max"}}, "high"),
    ],
)
def test_effort_is_asked_for_where_it_differs_from_what_is_done_anyway(members: Any, effort: str | None) -> None:
    assert read(**members).payload.get("reasoning_effort") == effort


def test_thoughts_are_shown_to_those_who_ask_for_them() -> None:
    assert not read().show_thoughts
    assert not read(thinking={"type": "disabled"}).show_thoughts
    assert not read(thinking={"type": "adaptive", "display": "omitted"}).show_thoughts
    assert read(thinking={"type": "adaptive"}).show_thoughts


def test_a_schema_of_the_answer() -> None:
    schema = {"type": "object"}
    for members in (
        {"output_config": {"format": {"type": "json_schema", "schema": schema}}},
        {"output_format": {"type": "json_schema", "schema": schema}},
    ):
        chat = read(**members)
        assert Capability.JSON_SCHEMA in chat.needs
        assert chat.payload["response_format"]["json_schema"] == {"name": "answer", "schema": schema, "strict": True}


def test_a_long_user_id_becomes_a_hash_of_the_length_that_runtimes_take() -> None:
    one, other = (read(metadata={"user_id": "u" * 150 + end}).payload["user"] for end in "ab")
    assert len(one) == len(other) == 64
    assert one != other


def test_the_end_of_what_the_assistant_goes_on_from_has_no_white_space() -> None:
    assert read(ASK, {"role": "assistant", "content": "The answer is \n"}).messages[-1]["content"] == "The answer is"
    blocks = assistant(text("A", **MARK), text("B "))
    assert read(ASK, blocks).messages[-1]["content"] == [text("A", **KEPT), text("B")]


def test_a_conversation_is_the_same_when_marks_move_and_the_system_speaks_again() -> None:
    first = read(user(text("Fix it.", **MARK)), system=[text("You code.", **MARK)])
    later = read(
        user(text("Fix it.")),
        assistant(text("Done.")),
        {"role": "system", "content": "Be careful."},
        user(text("More.")),
        system="You code.",
    )
    assert first.conversation == later.conversation
    assert first.conversation != read(user(text("Fix that.")), system="You code.").conversation


def test_what_claude_code_tells_its_maker_about_itself_is_no_instruction() -> None:
    said = text("x-anthropic-billing-header: cc_version=2.1.197.f39; cch=1;")
    chat = read(system=[said, text("You code.")])
    assert chat.messages[0]["content"] == "You code."
    assert chat.dropped == ("system.x-anthropic-billing-header",)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [1]}, "messages.0"),
        ({"messages": [{"content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": ""}]}, "messages"),
        ({"messages": [user("x")]}, "messages.0.content.0"),
        ({"messages": [user({"type": "tool_use"})]}, "messages.0.content.0.type"),
        ({"messages": [user({"type": ["text"]})]}, "messages.0.content.0.type"),
        ({"messages": [user({"type": "text", "text": 5})]}, "messages.0.content.0.text"),
        ({"messages": [user({"type": "text", "text": "x", "cache_control": 1})]}, "messages.0.content.0.cache_control"),
        ({"messages": [user({"type": "image"})]}, "messages.0.content.0.source"),
        ({"messages": [user({"type": "image", "source": {}})]}, "messages.0.content.0.source.type"),
        (
            {"messages": [user({"type": "image", "source": {"type": "base64", "media_type": "image/png"}})]},
            "messages.0.content.0.source.data",
        ),
        ({"messages": [user(result("a"))]}, "messages.0.content.0.tool_use_id"),
        ({"messages": [ASK, assistant(call("a"))]}, "messages"),
        ({"messages": [ASK, assistant(call("a")), ASK]}, "messages.2.content"),
        ({"messages": [ASK, assistant(call("a")), assistant(text("x"))]}, "messages.2.content"),
        ({"messages": [ASK, assistant(call("a")), user(result("a"), result("a"))]}, "messages.2.content.1.tool_use_id"),
        ({"messages": [ASK, assistant(call("a"), call("a"))]}, "messages.1.content.1.id"),
        ({"messages": [ASK, assistant({**call("a"), "input": "{}"})]}, "messages.1.content.0.input"),
        ({"messages": [ASK, assistant({**call("a"), "id": 7})]}, "messages.1.content.0.id"),
        ({"messages": [ASK, assistant(call("a")), user(result("a", is_error=1))]}, "messages.2.content.0.is_error"),
        ({"messages": [ASK, assistant(call("a")), user(result("a", 3))]}, "messages.2.content.0.content"),
        ({"messages": [ASK], "system": 5}, "system"),
        ({"messages": [ASK], "system": [{"type": "image"}]}, "system.0.type"),
        ({"messages": [ASK], "max_tokens": "5"}, "max_tokens"),
        ({"messages": [ASK], "max_tokens": 1.5}, "max_tokens"),
        ({"messages": [ASK], "max_tokens": -1}, "max_tokens"),
        ({"messages": [ASK], "max_tokens": True}, "max_tokens"),
        ({"messages": [ASK], "temperature": "hot"}, "temperature"),
        ({"messages": [ASK], "stream": "yes"}, "stream"),
        ({"messages": [ASK], "stop_sequences": [1]}, "stop_sequences"),
        ({"messages": [ASK], "metadata": "me"}, "metadata"),
        ({"messages": [ASK], "metadata": {"user_id": 5}}, "metadata.user_id"),
        ({"messages": [ASK], "tools": {}}, "tools"),
        ({"messages": [ASK], "tools": [{"input_schema": {}}]}, "tools.0.name"),
        ({"messages": [ASK], "tools": [{"name": "n"}]}, "tools.0.input_schema"),
        ({"messages": [ASK], "tool_choice": "auto"}, "tool_choice"),
        ({"messages": [ASK], "tool_choice": {"type": []}}, "tool_choice.type"),
        ({"messages": [ASK], "thinking": True}, "thinking"),
        ({"messages": [ASK], "thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"messages": [ASK], "output_config": {"effort": 3}}, "output_config.effort"),
        ({"messages": [ASK], "output_config": {"format": {"type": "text"}}}, "output_config.format"),
        ({"messages": [ASK], "arbiter_unknown": 1}, "arbiter_unknown"),
    ],
    ids=lambda value: json.dumps(value)[-60:] if isinstance(value, dict) else value,
)
def test_what_means_nothing_is_refused_and_the_place_named(body: dict[str, Any], param: str) -> None:
    with pytest.raises(ArbiterError) as caught:
        parse(json.dumps(body).encode(), CALLER, "r")
    assert caught.value.param == param
    assert caught.value.status in (400, 422)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"null", b'{"messages": NaN}', b"\xff", b"[" * 5_000])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(BadRequest):
        parse(body, CALLER, "r")


_words = st.sampled_from(
    ["text", "image", "document", "tool_use", "tool_result", "thinking", "user", "assistant", "system", "a", "", "url"]
)
_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False), _words),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(
                ["type", "text", "content", "source", "id", "name", "input", "role", "tool_use_id", "data"]
            ),
            inner,
            max_size=5,
        ),
    ),
    max_leaves=12,
)
_blocks = st.fixed_dictionaries(
    {"type": _words}, optional={name: _values for name in ("text", "content", "source", "id", "name", "tool_use_id")}
)
_said = st.fixed_dictionaries({"role": _words, "content": st.one_of(_values, st.lists(_blocks, max_size=4))})
_members = ("system", "tools", "tool_choice", "thinking", "output_config", "metadata", "stop_sequences", "max_tokens")


@settings(max_examples=400)
@given(st.lists(_said, max_size=4), st.dictionaries(st.sampled_from(_members), _values, max_size=3))
def test_any_json_is_a_chat_or_a_refusal(messages: list[Any], members: dict[str, Any]) -> None:
    try:
        chat = parse(json.dumps({"messages": messages, **members}).encode(), CALLER, "r")
    except ArbiterError as error:
        assert error.status in (400, 422)
        return
    sent = json.loads(chat.body(model="m"))
    open_calls: set[str] = set()
    for message in sent["messages"]:
        if message["role"] == "tool":
            open_calls.remove(message["tool_call_id"])
            continue
        assert not open_calls, "results follow their calls directly and completely"
        assert message.get("content") or message.get("tool_calls")
        open_calls = {one["id"] for one in message.get("tool_calls", ())}
