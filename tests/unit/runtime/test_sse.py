"""A stream of events reads the same however the network cuts it."""

from __future__ import annotations

import random
import time

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_app.runtime.assembler import StreamAssembler
from arbiter_app.runtime.sse import EventSplitter, EventTooLarge, event_data

STREAM = (
    b'\xef\xbb\xbf: hello\r\n\r\ndata: {"a":"\xe4\xbd\xa0"}\r\n\r\n\n'
    b"event: x\ndata: one\ndata: two\n\ndata:tight\r\r\ndata: [DONE]\n\n"
)
EVENTS = [b": hello", b'data: {"a":"\xe4\xbd\xa0"}', b"event: x\ndata: one\ndata: two", b"data:tight", b"data: [DONE]"]


def split(pieces: list[bytes]) -> list[bytes]:
    splitter = EventSplitter()
    return [event for piece in pieces for event in splitter.feed(piece)]


@given(st.lists(st.integers(0, len(STREAM)), max_size=30))
def test_events_do_not_depend_on_where_the_bytes_are_cut(cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(STREAM)]
    assert split([STREAM[a:b] for a, b in zip(at, at[1:], strict=False)]) == EVENTS


def test_events_arrive_byte_by_byte() -> None:
    assert split([bytes([byte]) for byte in STREAM]) == EVENTS


def test_data_lines_are_joined_and_other_fields_dropped() -> None:
    assert [event_data(event) for event in EVENTS] == [b"", EVENTS[1][6:], b"one\ntwo", b"tight", b"[DONE]"]


def test_what_the_end_of_the_stream_cuts_off_can_be_asked_for() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: 1\n\ndata: 2\r") == [b"data: 1"]
    assert splitter.rest() == b"data: 2"


def test_an_event_without_end_is_refused() -> None:
    splitter = EventSplitter(max_event_bytes=100)
    with pytest.raises(EventTooLarge):
        for _ in range(20):
            splitter.feed(b"data: 123456")


def test_a_large_event_that_drips_in_costs_linear_time() -> None:
    splitter, piece = EventSplitter(), b"x" * 100
    started = time.process_time()
    for _ in range(60_000):
        splitter.feed(piece)
    assert splitter.feed(b"\n\n") == [piece * 60_000]
    assert time.process_time() - started < 1.0


def chunk(delta: dict[str, object], finish: str | None = None, index: int = 0) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish}
    return b"data: " + orjson.dumps({"id": "c1", "created": 5, "model": "m", "choices": [choice]})


def test_chunks_become_the_body_of_a_plain_answer() -> None:
    assembler = StreamAssembler()
    for event in (
        b": keep-alive",
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Hello "}),
        chunk({"content": "you", "reasoning_content": "hm"}),
        chunk({"content": "other"}, "stop", index=1),
        chunk({}, "stop"),
        b'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}',
    ):
        assembler.feed(event)
    assert not assembler.done
    assert assembler.feed(b"data: [DONE]") is None
    assert assembler.done and assembler.error is None and assembler.body()["choices"][0]["finish_reason"] == "stop"
    body = assembler.body()
    assert (body["id"], body["created"], body["model"], body["object"]) == ("c1", 5, "m", "chat.completion")
    assert body["usage"] == {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}
    assert [choice["message"]["content"] for choice in body["choices"]] == ["Hello you", "other"]
    assert body["choices"][0]["message"]["reasoning_content"] == "hm"


def test_tool_calls_are_put_together_from_their_deltas() -> None:
    assembler = StreamAssembler()
    head = {"index": 1, "id": "call_1", "type": "function", "function": {"name": "add", "arguments": ""}}
    assembler.feed(chunk({"role": "assistant", "tool_calls": [head]}))
    for part in ('{"a"', ":1}"):
        assembler.feed(chunk({"tool_calls": [{"index": 1, "function": {"arguments": part}}]}))
    assembler.feed(chunk({}, "tool_calls"))
    message = assembler.body()["choices"][0]["message"]
    function = {"name": "add", "arguments": '{"a":1}'}
    assert message["content"] is None
    assert message["tool_calls"] == [{"id": "call_1", "type": "function", "function": function}]


@pytest.mark.parametrize(
    "event", [b"data: {broken", b"data: [1]", b'data: {"error":{"message":"no"}}', b'data: {"error":"no"}']
)
def test_an_error_frame_is_kept_and_is_no_chunk(event: bytes) -> None:
    assembler = StreamAssembler()
    assert assembler.feed(event) is None
    assert assembler.error is not None and assembler.error.message


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["choices", "delta", "index", "tool_calls", "function", "id", "usage", "error", "content"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=12,
    )
)
def test_no_shape_of_chunk_raises(value: object) -> None:
    assembler = StreamAssembler()
    for shape in (
        value,
        {"choices": value},
        {"choices": [{"delta": value}]},
        {"choices": [{"delta": {"tool_calls": value}}]},
    ):
        assembler.feed(b"data: " + orjson.dumps(shape))
    orjson.dumps(assembler.body())


def test_an_event_costs_few_microseconds() -> None:
    rng = random.Random(3)
    events = [chunk({"content": f" word{rng.randrange(100)}"}) for _ in range(5_000)]
    wire = b"".join(event + b"\n\n" for event in events)
    splitter, assembler = EventSplitter(), StreamAssembler()
    started = time.process_time()
    for at in range(0, len(wire), 1_000):
        for event in splitter.feed(wire[at : at + 1_000]):
            assembler.feed(event)
    assert (time.process_time() - started) / 5_000 < 60e-6  # measured: about 3; the slack is for loaded machines
    assert assembler.body()["choices"][0]["message"]["content"].count("word") == 5_000
