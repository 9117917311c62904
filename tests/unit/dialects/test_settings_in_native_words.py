"""A setting that a caller left open, put into its request in its own dialect; what does not go with it is named, the rest stays as it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from arbiter_app.dialects import anthropic_messages, openai_chat, openai_responses
from arbiter_app.pipeline.effort import Setting
from arbiter_app.pipeline.types import Caller, ChatRequest, Role

CALLER = Caller("k", Role.CALLER)
USER = {"role": "user", "content": "Hello"}
TOOL = {"name": "add", "input_schema": {"type": "object"}}
CALLED = {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "add", "input": {}}]}
RESULT = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "3"}]}


def messages(setting: Setting, model: str, **fields: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """A Messages request with a setting, and what had to go."""
    given = {"model": "auto", "max_tokens": 20_000, "messages": [USER], **fields}
    native = anthropic_messages.parse(json.dumps(given).encode(), CALLER, "r").native
    assert native is not None
    settled, left_out = native.settled(setting, model)
    return json.loads(settled.sent(model)), left_out


def test_messages_take_a_budget_or_an_effort_as_the_model_does() -> None:
    budget, _ = messages(Setting(budget_tokens=4_096), "claude-haiku-4-5")
    assert budget["thinking"] == {"type": "enabled", "budget_tokens": 4_096}
    old, _ = messages(Setting("high"), "claude-haiku-4-5")
    assert old["thinking"] == {"type": "enabled", "budget_tokens": 16_384} and "output_config" not in old
    new, _ = messages(
        Setting("low"), "claude-opus-4-6", output_config={"format": {"type": "json_schema", "schema": {}}}
    )
    assert new["output_config"] == {"format": {"type": "json_schema", "schema": {}}, "effort": "low"}
    assert new["thinking"]["type"] == "adaptive"
    none, _ = messages(Setting("none"), "claude-opus-4-6")
    assert none["thinking"] == {"type": "disabled"}


def test_what_a_thinking_model_refuses_is_left_out_and_named() -> None:
    sent, left_out = messages(Setting("low"), "claude-haiku-4-5", temperature=0.2, top_k=5)
    assert left_out == ("temperature", "top_k") and "temperature" not in sent
    sent, left_out = messages(Setting("none"), "claude-haiku-4-5", temperature=0.2)
    assert left_out == () and sent["temperature"] == 0.2


@pytest.mark.parametrize(
    "fields",
    [
        {"max_tokens": 1_000},
        {"tools": [TOOL], "tool_choice": {"type": "any"}},
        {"tools": [TOOL], "messages": [USER, CALLED, RESULT]},
    ],
)
def test_where_there_is_no_thinking_to_ask_for_the_request_stays_as_it_is(fields: dict[str, Any]) -> None:
    for setting in (Setting("low"), Setting(budget_tokens=2_048)):
        sent, left_out = messages(setting, "claude-haiku-4-5", temperature=0.5, **fields)
        assert "thinking" not in sent and sent["temperature"] == 0.5 and left_out == ()


def test_responses_take_an_effort_and_keep_the_rest_of_what_is_said_of_reasoning() -> None:
    given = {"model": "auto", "input": "Hello", "reasoning": {"summary": "auto"}, "temperature": 0.5}
    native = openai_responses.parse(json.dumps(given).encode(), CALLER, "r").native
    assert native is not None
    for setting, effort in ((Setting("high"), "high"), (Setting(budget_tokens=2_048), "low")):
        settled, left_out = native.settled(setting, "gpt-5")
        sent = json.loads(settled.sent("gpt-5"))
        assert sent["reasoning"] == {"summary": "auto", "effort": effort} and left_out == ()
        assert sent["temperature"] == 0.5


def stated(request: ChatRequest) -> Setting | None:
    return request.setting


@pytest.mark.parametrize(
    ("fields", "setting"),
    [
        ({}, None),
        ({"reasoning_effort": "low"}, Setting("low")),
        ({"reasoning_effort": None}, None),
        ({"reasoning_effort": 7}, Setting()),
        ({"thinking": {"type": "enabled", "budget_tokens": 2_048}}, Setting(budget_tokens=2_048)),
        ({"thinking": {"type": "disabled"}}, Setting()),
        ({"reasoning": {"max_tokens": 900}}, Setting()),
        ({"chat_template_kwargs": {"enable_thinking": False}}, Setting()),
        ({"enable_thinking": True}, Setting()),
        ({"thinking": {"budget_tokens": "9" * 5_000}}, Setting()),
    ],
)
def test_what_a_chat_says_of_thinking_is_seen(fields: dict[str, Any], setting: Setting | None) -> None:
    body = json.dumps({"messages": [USER], **fields}).encode()
    assert stated(openai_chat.parse(body, CALLER, "r")) == setting


@pytest.mark.parametrize(
    ("fields", "setting"),
    [
        ({}, None),
        ({"thinking": {"type": "enabled", "budget_tokens": 2_048}}, Setting(budget_tokens=2_048)),
        ({"thinking": {"type": "adaptive"}}, Setting()),
        ({"thinking": {"type": "disabled"}}, Setting()),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}, Setting("high")),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, None),
    ],
)
def test_what_a_messages_request_says_of_thinking_is_seen(fields: dict[str, Any], setting: Setting | None) -> None:
    body = json.dumps({"model": "auto", "max_tokens": 4_000, "messages": [USER], **fields}).encode()
    assert stated(anthropic_messages.parse(body, CALLER, "r")) == setting
