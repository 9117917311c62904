"""Pieces of an answer that came together are one chunk, whatever they are pieces of; what stands between them parts them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from arbiter_app.dialects.wire import Wire
from arbiter_app.dialects.wires import WIRES


def deltas(wire: Wire, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What the chunks of events that came together add."""
    reader = wire.reader()
    assert reader is not None
    for event in events:
        reader.take(json.dumps(event).encode())
    told = [json.loads(made.removeprefix(b"data: ")) for made in reader.taken()]
    assert reader.taken() == []
    return [choice["delta"] for one in told for choice in one["choices"]]


def block(at: int, kind: str, **told: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": at, "delta": {"type": kind, **told}}


def begun(at: int, kind: str, **told: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": at, "content_block": {"type": kind, **told}}


MESSAGES = [
    begun(0, "thinking", thinking=""),
    block(0, "thinking_delta", thinking="So"),
    block(0, "thinking_delta", thinking="."),
    begun(1, "text", text=""),
    block(1, "text_delta", text="I look"),
    block(1, "text_delta", text=" it \ud83d"),
    block(1, "text_delta", text="\ude00 up."),
    begun(2, "tool_use", id="a", name="weather", input={}),
    block(2, "input_json_delta", partial_json='{"city"'),
    block(2, "input_json_delta", partial_json=':"Oslo"}'),
]
ITEM = {"output_index": 1}
RESPONSES = [
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "So"},
    {"type": "response.reasoning_summary_text.delta", "output_index": 0, "delta": "."},
    {"type": "response.output_text.delta", **ITEM, "delta": "I look"},
    {"type": "response.output_text.delta", **ITEM, "delta": " it \ud83d"},
    {"type": "response.output_text.delta", **ITEM, "delta": "\ude00 up."},
    {
        "type": "response.output_item.added",
        "output_index": 2,
        "item": {"type": "function_call", "call_id": "a", "name": "weather"},
    },
    {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": '{"city"'},
    {"type": "response.function_call_arguments.delta", "output_index": 2, "delta": ':"Oslo"}'},
]


@pytest.mark.parametrize(
    ("dialect", "events"),
    [("anthropic-messages", MESSAGES), ("openai-responses", RESPONSES)],
    ids=["messages", "responses"],
)
def test_what_came_together_is_one_piece(dialect: str, events: list[dict[str, Any]]) -> None:
    call = {"index": 0, "id": "a", "type": "function", "function": {"name": "weather", "arguments": ""}}
    assert deltas(WIRES[dialect], events) == [
        {"role": "assistant", "reasoning_content": "So."},
        {"content": "I look it \U0001f600 up."},
        {"tool_calls": [call]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"city":"Oslo"}'}}]},
    ]
