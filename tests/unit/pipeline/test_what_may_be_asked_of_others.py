"""Requests that do more than to be answered are asked of nobody else, in whatever dialect they say so."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from arbiter_app.dialects import anthropic_messages, openai_chat, openai_responses
from arbiter_app.pipeline.beside import kept_from_shadows, plain
from arbiter_app.pipeline.decision import new_decision
from arbiter_app.pipeline.messages import open_calls
from arbiter_app.pipeline.types import Caller, ChatRequest, Role

CALLER = Caller("k", Role.CALLER)
ASK = {"messages": [{"role": "user", "content": "Calculate 3 * 24"}]}
CHAT, OWN = {"type": "function", "function": {"name": "f", "parameters": {}}}, {"name": "f", "input_schema": {}}
FLAT = {"type": "function", "name": "f", "parameters": {}}
DIALECTS: dict[str, tuple[Any, dict[str, Any]]] = {
    "chat": (openai_chat, ASK),
    "messages": (anthropic_messages, {**ASK, "max_tokens": 9}),
    "responses": (openai_responses, {"input": "Calculate 3 * 24"}),
}


def request(dialect: str, **fields: Any) -> ChatRequest:
    room, body = DIALECTS[dialect]
    parsed: ChatRequest = room.parse(orjson.dumps({"model": "auto", **body, **fields}), CALLER, "r")
    return parsed


def kept(dialect: str, **fields: Any) -> str:
    decision = new_decision(request(dialect, **fields), timeout_s=1.0)
    return kept_from_shadows(decision, in_loop=open_calls(decision.request.messages) is not None)


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        ("chat", {"arbiter_no_shadow": True}),
        ("messages", {"arbiter_no_shadow": True}),
        ("responses", {"arbiter_no_shadow": True}),
        ("chat", {"arbiter_pin": "gpt-4o"}),
        ("chat", {"store": True}),
        ("responses", {"store": True}),
        ("chat", {"n": 3}),
        ("chat", {"web_search_options": {}}),
        ("chat", {"plugins": [{"id": "web"}]}),
        ("chat", {"tools": [CHAT, {"type": "web_search"}]}),
        ("messages", {"tools": [OWN, {"type": "web_search_20250305", "name": "web_search"}]}),
        ("messages", {"mcp_servers": [{"type": "url", "url": "http://127.0.0.1:9", "name": "m"}]}),
        ("messages", {"container": "c_1"}),
        ("responses", {"tools": [{"type": "web_search"}]}),
        ("responses", {"tools": [FLAT, {"type": "web_search"}]}),
        ("responses", {"tools": [{"type": "mcp", "server_label": "m", "server_url": "http://127.0.0.1:9"}]}),
        (
            "responses",
            {
                "input": [
                    {"role": "user", "content": "Calculate 3 * 24"},
                    {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
                    {"type": "function_call_output", "call_id": "c", "output": "72"},
                ],
                "tools": [FLAT],
            },
        ),
    ],
    ids=str,
)
def test_not_these(dialect: str, fields: dict[str, Any]) -> None:
    assert kept(dialect, **fields) != ""


@pytest.mark.parametrize(
    ("dialect", "fields"),
    [
        ("chat", {}),
        ("chat", {"arbiter_no_shadow": False, "arbiter_no_cache": True, "stream": True, "temperature": 0, "n": 1}),
        ("chat", {"store": False, "web_search_options": None, "tools": [CHAT]}),
        ("messages", {"tools": [OWN, {**OWN, "name": "g", "eager_input_streaming": True}]}),
        ("responses", {"tools": [FLAT, {"type": "custom", "name": "c"}], "store": False}),
    ],
    ids=str,
)
def test_but_these(dialect: str, fields: dict[str, Any]) -> None:
    assert kept(dialect, **fields) == ""


@pytest.mark.parametrize("dialect", DIALECTS)
def test_others_are_asked_the_same_whole_and_unstreamed(dialect: str) -> None:
    given = request(dialect, stream=True, temperature=0.5)
    sent, streamed = orjson.loads(plain(given).body(model="m")), orjson.loads(given.body(model="m"))
    assert plain(given).native is None and not plain(given).stream
    assert sent == {name: value for name, value in streamed.items() if name not in ("stream", "stream_options")}
