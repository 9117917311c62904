"""Whatever the official SDKs let a caller say is carried, named as dropped, served by a runtime of the dialect alone, or refused: never lost."""

from __future__ import annotations

import json
from typing import Any

import pytest
import typing_extensions as typing
from anthropic.types.beta import beta_content_block_param
from anthropic.types.beta.message_create_params import MessageCreateParamsBase
from openai.types.responses import response_input_item_param
from openai.types.responses.response_create_params import ResponseCreateParamsBase

from arbiter_app.dialects import anthropic_messages, openai_responses
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import Caller, ChatRequest, Role

CALLER = Caller("k_test", Role.CALLER)
CARRIED = {
    *(
        "messages",
        "model",
        "max_tokens",
        "metadata",
        "stop_sequences",
        "system",
        "temperature",
        "top_p",
        "stream",
        "cache_control",
    ),
    *("thinking", "tool_choice", "tools", "output_config", "output_format"),
}
"""Members of Messages with a word in a chat."""
CARRIED_OF_RESPONSES = {
    *(
        "input",
        "instructions",
        "max_output_tokens",
        "metadata",
        "model",
        "parallel_tool_calls",
        "prompt_cache_key",
        "reasoning",
        "user",
    ),
    *(
        "prompt_cache_retention",
        "safety_identifier",
        "service_tier",
        "store",
        "stream",
        "temperature",
        "text",
        "tool_choice",
        "tools",
    ),
    *("top_p", "include"),
}
MEANS_NOTHING_HERE = {"betas", "workspace_id", "user_profile_id", "stream_options", "truncation"}
"""Headers in the SDK's eyes, and what says how a stream is padded, or what is done here in any case."""


def read(dialect: Any, **members: Any) -> ChatRequest:
    return dialect.parse(json.dumps(members).encode(), CALLER, "req_1")


def place_of(dialect: Any, name: str, asked: dict[str, Any], value: Any) -> str:
    """What became of a member."""
    try:
        chat = read(dialect, **asked, **{name: value})
    except ArbiterError as error:
        assert (dialect.status_of(error), (error.param or "").partition(".")[0]) == (400, name)
        return "refused"
    if chat.untranslatable is not None and (chat.untranslatable.param or "").startswith(name):
        return "its dialect alone"
    return "dropped" if any(one.partition(".")[0] == name for one in chat.dropped) else "lost"


ASK = {"messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize("name", sorted(set(MessageCreateParamsBase.__annotations__) - CARRIED - MEANS_NOTHING_HERE))
def test_of_messages(name: str) -> None:
    assert place_of(anthropic_messages, name, ASK, {"type": "some"}) != "lost"


@pytest.mark.parametrize(
    "name", sorted(set(ResponseCreateParamsBase.__annotations__) - CARRIED_OF_RESPONSES - MEANS_NOTHING_HERE)
)
def test_of_responses(name: str) -> None:
    assert place_of(openai_responses, name, {"input": "Hi"}, {"type": "some", "prewarm": False}) != "lost"


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("compaction", {"type": "summarize"}),
        ("thread", {"type": "continue", "previous_message_id": "msg_1"}),
        ("mcp_servers", [{"type": "url", "name": "x", "url": "https://x.test"}]),
        ("inference_geo", "eu"),
        ("billing_policy", {"type": "billing_policy", "bill_to": "user_profile"}),
    ],
)
def test_what_messages_mean_something_else_without_is_for_their_runtimes_alone(member: str, value: Any) -> None:
    assert place_of(anthropic_messages, member, ASK, value) == "its dialect alone"
    nothing = {
        "mcp_servers": [],
        "inference_geo": "global",
        "billing_policy": {"type": "billing_policy", "bill_to": "self"},
    }
    if member in nothing:
        assert read(anthropic_messages, **ASK, **{member: nothing[member]}).untranslatable is None


def test_what_responses_mean_something_else_without_is_for_their_runtimes_alone() -> None:
    moderation = {"model": "omni", "policy": {"input": {"mode": "block"}}}
    assert place_of(openai_responses, "moderation", {"input": "Hi"}, moderation) == "its dialect alone"


def _types(union: Any) -> list[str]:
    """The `type`s of the members of a union of typed dictionaries."""
    found = []
    for one in filter(typing.is_typeddict, typing.get_args(union)):
        kind = typing.get_type_hints(one).get("type")
        found += [
            word for inner in (kind, *typing.get_args(kind)) for word in typing.get_args(inner) if isinstance(word, str)
        ]
    return sorted(set(found))


BLOCKS = _types(beta_content_block_param.BetaContentBlockParam)
ITEMS = _types(response_input_item_param.ResponseInputItemParam)


@pytest.mark.parametrize(
    "kind", sorted(set(BLOCKS) - {"text", "image", "document", "search_result", "tool_use", "tool_result"})
)
def test_blocks_of_messages(kind: str) -> None:
    said = [{"type": kind, "content": None, "encrypted_content": "e"}, {"type": "text", "text": "Hi"}]
    for role in ("user", "assistant"):
        chat = read(anthropic_messages, messages=[{"role": "user", "content": "Hi"}, {"role": role, "content": said}])
        assert f"messages.content.{kind}" in chat.dropped or chat.untranslatable is not None


@pytest.mark.parametrize("kind", sorted(set(ITEMS) - {"message", "item_reference"}))
def test_items_of_responses(kind: str) -> None:
    item = {"type": kind, "call_id": "c1"}
    try:
        chat = read(openai_responses, input=[{"role": "user", "content": "Hi"}, item])
    except ArbiterError as error:
        assert openai_responses.status_of(error) == 400 and (error.param or "").startswith("input")
    else:
        assert f"input.{kind}" in chat.dropped or chat.untranslatable is not None


def test_a_summary_that_can_be_read_is_carried_as_text() -> None:
    summed = {"type": "compaction", "content": "They fixed a.py.", "encrypted_content": "e", "signature": "s"}
    history = [{"role": "assistant", "content": [summed]}, {"role": "user", "content": "Go on."}]
    chat = read(anthropic_messages, messages=history)
    assert chat.messages[0]["content"] == "(A summary of the conversation before this:)\nThey fixed a.py."
    assert chat.untranslatable is None
    assert {"messages.content.compaction.signature", "messages.content.compaction.encrypted_content"} <= set(
        chat.dropped
    )
    failed = read(
        anthropic_messages,
        messages=[{"role": "assistant", "content": [{"type": "compaction", "content": None}]}, *history[1:]],
    )
    assert [one["role"] for one in failed.messages] == ["user"] and failed.untranslatable is None


def test_members_of_blocks_and_parts_that_have_no_word_are_named() -> None:
    block = {"type": "text", "text": "Hi", "citations": [{"type": "char_location"}], "new": 1}
    chat = read(anthropic_messages, messages=[{"role": "user", "content": [block]}])
    assert chat.dropped == ("messages.content.text.citations", "messages.content.text.new")
    part = {"type": "input_text", "text": "Hi", "prompt_cache_breakpoint": {"mode": "explicit"}}
    chat = read(openai_responses, input=[{"role": "user", "content": [part], "new": 1}])
    assert chat.dropped == ("input.new", "input.content.prompt_cache_breakpoint")


@pytest.mark.parametrize(
    "content", ["Hi", [{"type": "text", "text": "Hi"}], [{"type": "text", "text": "A"}, {"type": "text", "text": "Hi"}]]
)
def test_a_mark_on_the_whole_of_messages_stands_at_their_end(content: Any) -> None:
    chat = read(
        anthropic_messages,
        messages=[{"role": "user", "content": content}],
        cache_control={"type": "ephemeral", "ttl": "1h"},
    )
    assert chat.messages[-1]["content"][-1] == {
        "type": "text",
        "text": "Hi",
        "cache_control": {"type": "ephemeral", "ttl": "1h"},
    }
    assert chat.ask.endswith("Hi") and "cache_control" in chat.written["messages"] and chat.dropped == ()
    assert chat.native is not None and json.loads(chat.native.sent("m"))["messages"][0]["content"] == content
    plain = read(anthropic_messages, messages=[{"role": "user", "content": content}])
    assert plain.conversation == chat.conversation
