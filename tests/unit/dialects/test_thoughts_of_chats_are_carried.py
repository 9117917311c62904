"""What runtimes of chats say of a model's thinking goes through callers of other dialects, and stands where it stood when it is back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from arbiter_app.dialects.openai_chat.upstream import CHAT
from arbiter_app.dialects.reasoning import TOLD, put_back, sealed, unsealed
from tests.unit.dialects.test_messages_answers_become_chats import CALLS
from tests.unit.dialects.test_reasoning_travels_sealed import (
    as_items,
    as_messages,
    back_from_items,
    back_from_messages,
    of,
)

THOUGHT = "First I look.\n\nThen I say. \U0001f600"
SIGNED = {"type": "reasoning.text", "text": THOUGHT, "signature": "s1", "format": "anthropic-claude-v1", "index": 0}
HIDDEN = {"type": "reasoning.encrypted", "data": "hid", "id": "rs_1", "format": "openai-responses-v1", "index": 1}
SAID: dict[str, dict[str, Any]] = {
    "DeepSeek's": {"reasoning_content": THOUGHT},
    "Groq's": {"reasoning": THOUGHT},
    "Ollama's": {"thinking": THOUGHT},
    "OpenRouter's": {"reasoning": THOUGHT, "reasoning_details": [SIGNED, HIDDEN]},
    "OpenRouter's, hidden": {"reasoning_details": [HIDDEN]},
    "OpenRouter's, in details alone": {"reasoning_details": [SIGNED, HIDDEN]},
}
KEPT: dict[str, dict[str, Any]] = {
    **{case: said for case, said in SAID.items() if case != "OpenRouter's"},
    "OpenRouter's": {"reasoning_details": [SIGNED, HIDDEN]},
}


def message(case: str, content: str | None = "I look it up.") -> dict[str, Any]:
    return {"content": content, **SAID[case], "tool_calls": CALLS}


def in_pieces(said: dict[str, Any]) -> list[dict[str, Any]]:
    """The chunks of a message as such runtimes stream it: a few characters at a time, thoughts first, the signature last."""
    text, deltas = THOUGHT, []
    member = next((name for name in ("reasoning_content", "reasoning", "thinking") if name in said), "")
    details = said.get("reasoning_details", [])
    for at in range(0, len(text) if member or SIGNED in details else 0, 9):
        piece: dict[str, Any] = {"content": "", **({member: text[at : at + 9]} if member else {})}
        if details:
            piece["reasoning_details"] = [
                {**{key: SIGNED[key] for key in ("type", "format", "index")}, "text": text[at : at + 9]}
            ]
        deltas.append(piece)
    if SIGNED in details:
        whole = {"type": "reasoning.text", "text": "", "signature": "s1", "format": SIGNED["format"], "index": 0}
        deltas.append({"content": "", "reasoning_details": [whole]})
    deltas += [{"content": "", "reasoning_details": [HIDDEN]}] if HIDDEN in details else []
    deltas += [{"content": said["content"][at : at + 5]} for at in range(0, len(said["content"] or ""), 5)]
    deltas += [{"tool_calls": [{"index": at, **call}]} for at, call in enumerate(said["tool_calls"])]
    return [{"choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]


def sent(model: str, answer: dict[str, Any]) -> dict[str, Any]:
    """What a runtime of chats gets of the message."""
    made: dict[str, Any] = json.loads(CHAT.ask(json.dumps({"messages": [of(model, answer)[0]]}).encode()).body)[
        "messages"
    ][0]
    return made


@pytest.mark.parametrize("case", SAID)
@pytest.mark.parametrize("form", ["whole", "streamed", "kept"])
@pytest.mark.parametrize("content", ["I look it up.", ""])
def test_through_a_caller_of_messages_and_back(case: str, form: str, content: str) -> None:
    blocks = as_messages(message(case, content), form, in_pieces)
    assert [block["type"] for block in blocks][-2:] == ["tool_use"] * 2
    shown = "".join(block["thinking"] for block in blocks if block["type"] == "thinking")
    assert shown == ("" if case.endswith("hidden") else THOUGHT)
    answer = back_from_messages(blocks)
    assert sent("m", answer) == {"role": "assistant", "content": content or None, **KEPT[case], "tool_calls": CALLS}
    bare = {"role": "assistant", "content": content or None, "tool_calls": CALLS}
    assert sent("another", answer) == bare


@pytest.mark.parametrize("case", SAID)
@pytest.mark.parametrize("form", ["whole", "streamed"])
def test_through_a_caller_of_responses_and_back(case: str, form: str) -> None:
    items = as_items(message(case), form, in_pieces)
    assert [item["type"] for item in items] == ["reasoning", "message", "function_call", "function_call"]
    answer = back_from_items(items)
    said = {"role": "assistant", "content": "I look it up.", "tool_calls": CALLS}
    assert sent("m", answer) == {**said, **KEPT[case]}
    assert sent("another", answer) == said


def test_a_long_thought_is_not_said_twice_on_its_way() -> None:
    said = {**message("DeepSeek's"), "reasoning_content": "So. " * 10_000}
    assert len(json.dumps(as_messages(said, "whole"))) < 41_000
    assert len(json.dumps(as_items(said, "whole"))) < 41_000


def test_thoughts_between_texts_are_one_again() -> None:
    given = [
        unsealed(sealed("m", [{"type": TOLD, "member": "reasoning_content"}]), text) or [] for text in ("So.", " Well.")
    ]
    answer: dict[str, Any] = {"role": "assistant", "content": "Hi"}
    put_back(answer, [one for group in given for one in group])
    assert sent("m", answer) == {"role": "assistant", "content": "Hi", "reasoning_content": "So. Well."}


@pytest.mark.parametrize("member", ["role", "content", "tool_calls", "x", 1, None, ["reasoning"]])
def test_who_seals_something_else_sets_no_other_member(member: Any) -> None:
    answer: dict[str, Any] = {"role": "assistant", "content": "Hi"}
    put_back(answer, unsealed(sealed("m", [{"type": TOLD, "member": member}]), "system") or [])
    assert sent("m", answer) == {"role": "assistant", "content": "Hi"}
