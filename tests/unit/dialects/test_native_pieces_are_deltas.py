"""A runtime of the caller's own dialect that sends all of a text so far, again and again: its caller gets what each adds, once."""

from __future__ import annotations

import json
from typing import Any

import pytest

from arbiter_app.dialects.anthropic_messages.regular import RegularMessage
from arbiter_app.dialects.openai_responses.regular import RegularResponse

TEXT = "The sea, the sea, the open sea! The blue, the fresh, the ever free."
GIVEN = json.dumps({"city": "Paris", "days": [1, 2, 3], "more": {"city": "Rome"}})
SHAPES = ("deltas", "snapshots", "deltas, then all of it", "held back to the end")


def shaped(text: str, shape: str) -> list[str]:
    """A text as a runtime may send it in pieces."""
    ends = [*range(7, len(text), 9), len(text)]
    if shape == "snapshots":
        return [text[:end] for end in ends]
    if shape == "held back to the end":
        return [text[:3], text[:5]]  # may be two deltas
    pieces = [text[a:b] for a, b in zip([0, *ends], ends, strict=False)]
    return [*pieces, text] if shape.endswith("all of it") else pieces


def meant(text: str, shape: str) -> str:
    return text[:3] + text[:5] if shape == "held back to the end" else text


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("block", "kind", "member"),
    [
        ({"type": "text", "text": ""}, "text_delta", "text"),
        ({"type": "thinking", "thinking": "", "signature": ""}, "thinking_delta", "thinking"),
        ({"type": "tool_use", "id": "t", "name": "f", "input": {}}, "input_json_delta", "partial_json"),
    ],
)
def test_messages(block: dict[str, Any], kind: str, member: str, shape: str) -> None:
    text = GIVEN if member == "partial_json" and shape != SHAPES[-1] else TEXT
    came = [{"type": "content_block_start", "index": 0, "content_block": block}]
    came += [
        {"type": "content_block_delta", "index": 0, "delta": {"type": kind, member: one}} for one in shaped(text, shape)
    ]
    came += [{"type": "content_block_stop", "index": 0}, {"type": "message_stop"}]
    regular = RegularMessage()
    regular.of({"type": "message_start"})
    told = [one for event in came for one in regular.of(event)]
    assert [one["type"] for one in (told[0], *told[-2:])] == [came[0]["type"], *(one["type"] for one in came[-2:])]
    assert "".join(one["delta"][member] for one in told[1:-2]) == meant(text, shape)
    if shape == "deltas":
        assert all(one is other for one, other in zip(told, came, strict=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize(
    ("kind", "member", "place"),
    [
        ("response.output_text", "text", {"content_index": 0}),
        ("response.reasoning_summary_text", "text", {"summary_index": 0}),
        ("response.function_call_arguments", "arguments", {}),
    ],
)
def test_responses(kind: str, member: str, place: dict[str, int], shape: str) -> None:
    text = GIVEN if member == "arguments" and shape != SHAPES[-1] else TEXT
    where = {"item_id": "i", "output_index": 0, **place}
    came: list[dict[str, Any]] = [{"type": "response.content_part.added", **where}]
    came += [{"type": f"{kind}.delta", **where, "delta": one} for one in shaped(text, shape)]
    came += [{"type": f"{kind}.done", **where, member: text}, {"type": "response.completed", "response": {}}]
    regular = RegularResponse()
    told = [one for at, event in enumerate(came) for one in regular.of({**event, "sequence_number": at})]
    assert [one["sequence_number"] for one in told] == list(range(len(told)))
    assert "".join(one.get("delta", "") for one in told) == meant(text, shape)
    assert [one["type"] for one in told[-2:]] == [f"{kind}.done", "response.completed"]
