"""The events of a streamed response: their grammar, whatever the chat's stream looks like; a whole answer has the same items."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from arbiter_app.dialects.openai_responses.events import Output, framed
from arbiter_app.pipeline.decision import Decision, new_decision
from arbiter_app.pipeline.events import Chunk
from arbiter_app.pipeline.types import Caller, ChatRequest, Role
from arbiter_app.runtime.assembler import StreamAssembler

TOOLS = [
    {"type": "function", "name": "look_up"},
    {"type": "custom", "name": "patch"},
    {"type": "namespace", "name": "crm", "tools": [{"type": "function", "name": "find"}]},
]
CLOSED = {
    "response.output_item.added": "response.output_item.done",
    "response.content_part.added": "response.content_part.done",
}


def decision() -> Decision:
    payload: dict[str, Any] = {"messages": [{"role": "user", "content": "hi"}]}
    caller = Caller("k", Role.CALLER)
    request = ChatRequest("req", caller, payload, payload["messages"], "hi", "", repeated={"tools": TOOLS})
    return new_decision(request, timeout_s=5)


def told(*deltas: dict[str, Any], finish: str | None = "stop") -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The events of a stream of these deltas, and the items of its output."""
    output, assembler, events = Output(decision()), StreamAssembler(), []
    for at, delta in enumerate([*deltas, {}]):
        ended = finish if at == len(deltas) else None
        raw = b"data: " + json.dumps({"choices": [{"index": 0, "delta": delta, "finish_reason": ended}]}).encode()
        chunk = assembler.feed(raw)
        assert chunk is not None
        events += output.of(Chunk(raw, chunk, assembler.placed, assembler.odd))
    events += output.end()
    frames = [framed(event, number) for number, event in enumerate(events)]
    read = [json.loads(frame.split(b"\ndata: ")[1]) for frame in frames]
    assert [event["sequence_number"] for event in read] == list(range(len(read)))
    return read, output.items


def kinds(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def called(index: int, **function: Any) -> dict[str, Any]:
    given = {"index": index, **({"id": function.pop("id")} if "id" in function else {}), "function": function}
    return {"tool_calls": [given]}


def test_a_text():
    events, (item,) = told({"role": "assistant", "content": ""}, {"content": "Hel"}, {"content": "lo"})
    assert kinds(events) == [
        *("output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done"),
    ]
    assert (item["type"], item["status"], item["content"][0]["text"]) == ("message", "completed", "Hello")
    assert events[-3]["text"] == "Hello" and events[-1]["item"] == item


def test_thinking_a_text_and_two_calls_that_take_turns():
    events, items = told(
        {"reasoning_content": "Hm"},
        {"reasoning": "m."},
        {"content": "I look."},
        called(0, id="c1", name="look_up", arguments=""),
        called(1, id="c2", name="crm__find", arguments='{"a"'),
        called(0, arguments="{}"),
        called(1, arguments=":1}"),
        finish="tool_calls",
    )
    assert [item["type"] for item in items] == ["reasoning", "message", "function_call", "function_call"]
    assert items[0]["summary"] == [{"type": "summary_text", "text": "Hmm."}]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in items[2:]] == [
        *(("c1", "look_up", "{}"), ("c2", "find", '{"a":1}'))
    ]
    assert items[3]["namespace"] == "crm" and "namespace" not in items[2]
    assert kinds(events)[:5] == [
        *("output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta"),
        *("reasoning_summary_text.delta", "reasoning_summary_text.done"),
    ]
    grammar(events, items)


def test_a_custom_tool_is_called_with_its_input():
    events, (item,) = told(
        called(0, id="c1", name="patch", arguments='{"input": "*** Be'), called(0, arguments='gin"}')
    )
    assert (item["type"], item["input"], item["id"][:4]) == ("custom_tool_call", "*** Begin", "ctc_")
    assert kinds(events) == [
        *("output_item.added", "custom_tool_call_input.delta", "custom_tool_call_input.done", "output_item.done")
    ]
    _, (odd,) = told(called(0, id="c1", name="patch", arguments="*** Begin"))
    assert odd["input"] == "*** Begin"


def test_a_call_whose_name_comes_late_or_never():
    events, (item,) = told(
        {"function_call": {"arguments": '{"a":'}}, {"function_call": {"name": "look_up", "arguments": "1}"}}
    )
    deltas = [event["delta"] for event in events if event["type"].endswith("arguments.delta")]
    assert item["arguments"] == "".join(deltas) == '{"a":1}' and item["call_id"]
    events, (item,) = told(called(0, arguments='{"a":1}'))
    assert (item["name"], item["arguments"]) == ("", '{"a":1}')
    grammar(events, [item])


def test_a_call_without_arguments_has_an_empty_object():
    events, (item,) = told(called(0, id="c1", name="look_up"))
    assert item["arguments"] == "{}"
    grammar(events, [item])


def test_a_refusal_and_an_answer_without_anything():
    events, (item,) = told({"content": "Well. "}, {"refusal": "No."})
    assert [part["type"] for part in item["content"]] == ["output_text", "refusal"]
    assert [event["content_index"] for event in events if event["type"].endswith("part.added")] == [0, 1]
    _, (empty,) = told()
    assert empty["content"][0]["text"] == ""


@pytest.mark.parametrize(
    ("finish", "status"), [("length", "incomplete"), ("content_filter", "incomplete"), ("stop", "completed")]
)
def test_the_item_that_was_cut_is_incomplete(finish, status):
    assert told({"content": "Hel"}, finish=finish)[1][-1]["status"] == status
    items = told({"content": "x"}, called(0, id="c", name="look_up", arguments='{"a'), finish=finish)[1]
    assert [item["status"] for item in items] == ["completed", status]


def test_choices_that_are_one_object():
    output = Output(decision())
    assert kinds(list(output.of(Chunk(None, {"choices": {"delta": "Hi"}}))))[-1] == "output_text.delta"


def test_halves_of_a_character_and_line_separators():
    halves = json.loads('["\\ud83d", "\\ude00 \\u2028", "\\ud83d"]')
    events, (item,) = told(*({"content": half} for half in halves))
    assert item["content"][0]["text"] in ("\U0001f600 \u2028", "\U0001f600 \u2028\ufffd")
    assert b"\xe2\x80\xa8" not in b"".join(framed(event, 0) for event in events)
    assert framed({"type": "x", "name": "\ud83d"}, 0)


def grammar(events: list[dict[str, Any]], items: list[dict[str, Any]]) -> None:
    """Every item is told of once, in the order of its index, before its pieces, and ended once, after them, as it is."""
    open_items: dict[int, str] = {}
    done: dict[int, dict[str, Any]] = {}
    text: dict[tuple[int, str], str] = {}
    for event in events:
        index = event["output_index"]
        if event["type"] == "response.output_item.added":
            assert index == len(open_items) + len(done) or index not in {**open_items, **done}
            assert event["item"]["status" if "status" in event["item"] else "id"]
            open_items[index] = event["item"]["id"]
        elif event["type"] == "response.output_item.done":
            assert open_items.pop(index) == event["item"]["id"]
            done[index] = event["item"]
        else:
            assert event["item_id"] == open_items[index]
            if event["type"].endswith(".delta"):
                text[index, event["type"]] = text.get((index, event["type"]), "") + event["delta"]
    assert not open_items and [done[index] for index in sorted(done)] == items
    assert sorted(done) == list(range(len(items)))
    for (index, kind), said in text.items():
        if kind == "response.function_call_arguments.delta":
            assert done[index]["arguments"] == said
        elif kind == "response.custom_tool_call_input.delta":
            assert done[index]["input"] == said


PIECES = st.one_of(
    st.builds(lambda text: {"content": text}, st.text(max_size=5)),
    st.builds(lambda text: {"reasoning_content": text}, st.text(max_size=5)),
    st.builds(lambda text: {"refusal": text}, st.text(max_size=5)),
    st.builds(
        lambda index, more: {"tool_calls": [{"index": index, **more}]},
        st.integers(0, 2),
        st.fixed_dictionaries(
            {},
            optional={
                "id": st.sampled_from(["c1", "c2", ""]),
                "function": st.fixed_dictionaries(
                    {},
                    optional={
                        "name": st.sampled_from(["look_up", "patch", "crm__find", ""]),
                        "arguments": st.sampled_from(["{", "}", "", {"a": 1}, None]),
                    },
                ),
            },
        ),
    ),
    st.just({"tool_calls": [7]}),
    st.just({"content": 7, "reasoning": [], "refusal": {}, "function_call": {"name": "look_up"}}),
)


@settings(max_examples=300)
@given(st.lists(PIECES, max_size=12), st.sampled_from(["stop", "length", None, "tool_calls"]))
def test_any_stream_has_the_grammar(deltas, finish):
    grammar(*told(*deltas, finish=finish))
