"""What a runtime that speaks Anthropic's Messages answers, read as a chat's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message, RawMessageStreamEvent

from arbiter_app.dialects.anthropic_messages.upstream import WIRE
from tests.sdk_types import adapter
from tests.unit.dialects.reading import details, finish_of, read, streamed

USAGE = {
    "input_tokens": 10,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 20,
    "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5},
    "output_tokens": 7,
    "output_tokens_details": {"thinking_tokens": 3},
}
CHAT_USAGE = {
    "prompt_tokens": 130,
    "completion_tokens": 7,
    "total_tokens": 137,
    "prompt_tokens_details": {
        "cached_tokens": 100,
        "cache_write_tokens": 20,
        "cache_creation": {"ephemeral_5m_input_tokens": 15, "ephemeral_1h_input_tokens": 5},
    },
    "completion_tokens_details": {"reasoning_tokens": 3},
}
THINKING = {"type": "thinking", "thinking": "So.", "signature": "sig1"}
REDACTED = {"type": "redacted_thinking", "data": "zzz"}
TEXT = {"type": "text", "text": "Hello"}
USES: list[dict[str, Any]] = [
    {"type": "tool_use", "id": f"toolu_{at}", "name": "weather", "input": {"city": city}}
    for at, city in enumerate(("Oslo", "Rome"))
]
SIGNED = {"type": "reasoning.text", "text": "So.", "signature": "sig1", "format": "anthropic-messages"}
HIDDEN = {"type": "reasoning.encrypted", "data": "zzz", "format": "anthropic-messages"}
CALLS = [
    {"id": f"toolu_{at}", "type": "function", "function": {"name": "weather", "arguments": f'{{"city":"{city}"}}'}}
    for at, city in enumerate(("Oslo", "Rome"))
]
CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "text": ([TEXT], {"content": "Hello"}),
    "tools": ([TEXT, *USES], {"content": "Hello", "tool_calls": CALLS}),
    "calls alone": (USES, {"content": None, "tool_calls": CALLS}),
    "thinking": (
        [THINKING, REDACTED, TEXT],
        {"content": "Hello", "reasoning_content": "So.", "reasoning_details": [SIGNED, HIDDEN]},
    ),
    "interleaved": (
        [TEXT, THINKING, USES[0], REDACTED, USES[1]],
        {
            "content": "Hello",
            "reasoning_content": "So.",
            "reasoning_details": [{**SIGNED, "before": "toolu_0"}, {**HIDDEN, "before": "toolu_1"}],
            "tool_calls": CALLS,
        },
    ),
    "nothing": ([], {"content": ""}),
    "unknown": (
        [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}, TEXT],
        {"content": "Hello"},
    ),
}


def message(content: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A message as Anthropic documents it, which its SDK reads."""
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5"}
    made = {**head, "content": content, "stop_reason": "end_turn", "stop_sequence": None, "usage": USAGE, **more}
    Message.model_validate(made)
    return made


def events_of(said: dict[str, Any]) -> list[dict[str, Any]]:
    """The events in which a message is streamed, which its SDK reads."""
    begun = {**USAGE, "output_tokens": 1}
    made: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**said, "content": [], "stop_reason": None, "usage": begun}},
        {"type": "ping"},
    ]
    for at, block in enumerate(said["content"]):
        kind = block["type"]
        empty = {"text": {"text": ""}, "thinking": {"thinking": "", "signature": ""}, "tool_use": {"input": {}}}
        made.append({"type": "content_block_start", "index": at, "content_block": {**block, **empty.get(kind, {})}})
        deltas: list[dict[str, Any]] = []
        if kind == "text":
            deltas = [{"type": "text_delta", "text": piece} for piece in block["text"]]
        if kind == "thinking":
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in block["thinking"]]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        if kind == "tool_use":
            written = json.dumps(block["input"], separators=(",", ":"))
            deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ("", written[:4], written[4:])]
        made += [{"type": "content_block_delta", "index": at, "delta": delta} for delta in deltas]
        made.append({"type": "content_block_stop", "index": at})
    ended = {name: said.get(name) for name in ("stop_reason", "stop_sequence", "stop_details")}
    last = {name: value for name, value in USAGE.items() if name.startswith("output")}
    made += [{"type": "message_delta", "delta": ended, "usage": last}, {"type": "message_stop"}]
    for event in made:
        if event["type"] != "ping":
            adapter(RawMessageStreamEvent).validate_python(event)
    return made


@pytest.mark.parametrize("case", CASES)
def test_a_whole_answer_is_a_chat_completion(case: str) -> None:
    content, expected = CASES[case]
    reason = "tool_use" if "tool_calls" in expected else "end_turn"
    chat = read(WIRE, message(content, stop_reason=reason))
    choice = chat["choices"][0]
    assert choice["message"] == {"role": "assistant", **expected}
    assert choice["finish_reason"] == ("tool_calls" if "tool_calls" in expected else "stop")
    assert (chat["id"], chat["model"], chat["usage"]) == ("msg_1", "claude-sonnet-4-5", CHAT_USAGE)


@pytest.mark.parametrize("case", CASES)
def test_a_stream_says_the_same_in_chunks(case: str) -> None:
    content, expected = CASES[case]
    reason = "tool_use" if "tool_calls" in expected else "end_turn"
    body, chunks, assembler = streamed(WIRE, events_of(message(content, stop_reason=reason)))
    said = body["choices"][0]["message"]
    if found := details(chunks):
        said = {**said, "reasoning_details": found}
    assert said == {"role": "assistant", **expected}
    assert (assembler.done, assembler.error, finish_of(assembler)) == (
        True,
        None,
        "tool_calls" if "tool_calls" in expected else "stop",
    )
    assert body["usage"] == CHAT_USAGE
    assert all(chunk["id"] == "msg_1" for chunk in chunks)
    assert [bool(chunk["choices"]) for chunk in chunks] == [True] * (len(chunks) - 1) + [False]


@pytest.mark.parametrize(
    ("reason", "finish"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("refusal", "content_filter"),
        ("pause_turn", "stop"),
    ],
)
def test_why_an_answer_ended(reason: str, finish: str) -> None:
    said = message([TEXT], stop_reason=reason)
    assert read(WIRE, said)["choices"][0]["finish_reason"] == finish
    assert finish_of(streamed(WIRE, events_of(said))[2]) == finish


def test_at_which_stop_sequence_it_ended() -> None:
    said = message([TEXT], stop_reason="stop_sequence", stop_sequence="END")
    assert read(WIRE, said)["choices"][0]["stop_reason"] == "END"
    chunks = streamed(WIRE, events_of(said))[1]
    assert [one["choices"][0].get("stop_reason") for one in chunks if one["choices"]][-1] == "END"


def test_why_it_was_refused() -> None:
    details = {"type": "refusal", "category": "cyber", "explanation": "It could do harm."}
    said = message([], stop_reason="refusal", stop_details=details)
    choice = read(WIRE, said)["choices"][0]
    assert (choice["message"]["refusal"], choice["finish_reason"]) == ("It could do harm.", "content_filter")
    assert streamed(WIRE, events_of(said))[0]["choices"][0]["message"]["refusal"] == "It could do harm."


def test_numbers_in_inputs_stay_as_they_were_written() -> None:
    written = '{"n": 123456789012345678901234567890, "x": 1.10}'
    body = json.dumps(message([{**USES[0], "input": {"x": 5}}])).replace('{"x": 5}', written).encode()
    chat = WIRE.reader().whole(json.loads(body), body)
    arguments = chat["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert arguments == written.replace(" ", "")


def test_usage_that_is_never_or_twice_stated() -> None:
    said = message([TEXT])
    del said["usage"]
    assert "usage" not in read(WIRE, said)
    events = events_of(message([TEXT]))
    events[-2]["usage"] = {**USAGE, "input_tokens": 11, "output_tokens": 9}
    usage = streamed(WIRE, events)[0]["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (131, 9)
    events[-2]["usage"] = events[0]["message"]["usage"] = {}
    assert "usage" not in streamed(WIRE, events)[0]


def test_streams_that_are_not_quite_right() -> None:
    events = events_of(message([TEXT, *USES], stop_reason="tool_use"))
    for event in events:  # no index, and nothing says that a block is over
        event.pop("index", None)
    bare = [event for event in events if event["type"] not in ("content_block_stop", "ping")]
    assert streamed(WIRE, bare)[0]["choices"][0]["message"]["tool_calls"] == CALLS
    whole = [one for one in events_of(message([USES[0]])) if one["type"] != "content_block_delta"]
    whole[2]["content_block"]["input"] = {"city": "Oslo"}  # all of the input at the beginning
    assert streamed(WIRE, whole)[0]["choices"][0]["message"]["tool_calls"] == CALLS[:1]
    ended = events_of(message([TEXT]))[:-2] + [{"type": "message_stop"}]
    assert finish_of(streamed(WIRE, ended)[2]) == "stop"
    unbegun = [one for one in events_of(message([TEXT])) if one["type"] not in ("content_block_start", "message_start")]
    assert streamed(WIRE, unbegun)[0]["choices"][0]["message"]["content"] == "Hello"


def test_a_stream_that_is_cut_is_not_finished() -> None:
    events = events_of(message([TEXT, USES[0]], stop_reason="tool_use"))
    for at in range(len(events) - 2):
        _, _, assembler = streamed(WIRE, events[:at])
        assert (assembler.done, assembler.finished) == (False, False)


def test_an_error_in_a_stream_is_a_fault_of_its_meaning() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}, "request_id": "r"}
    _, _, assembler = streamed(WIRE, [*events_of(message([TEXT]))[:4], error])
    assert assembler.error is not None
    assert (assembler.error.means, assembler.error.message) == ("overloaded", "Overloaded")
    assert streamed(WIRE, [b"no JSON"])[2].error is not None


def test_what_is_no_message_is_no_answer() -> None:
    with pytest.raises(ValueError, match="no content"):
        WIRE.reader().whole({"id": "x"}, b'{"id":"x"}')
