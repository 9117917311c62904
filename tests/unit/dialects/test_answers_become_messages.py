"""A chat's answer as Anthropic's message: whole, and as events of which one block is open at a time, without holes."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import anthropic
import orjson
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from arbiter_app import exact_json
from arbiter_app.dialects.anthropic_messages import error_body, error_frame, status_of
from arbiter_app.dialects.anthropic_messages.answer import MALFORMED, message
from arbiter_app.dialects.anthropic_messages.events import Events
from arbiter_app.dialects.reasoning import TOLD, sealed
from arbiter_app.pipeline import errors
from arbiter_app.pipeline.decision import Decision, new_decision
from arbiter_app.pipeline.events import Chunk
from arbiter_app.pipeline.types import UNKNOWN_COST, Caller, ChatRequest, Completion, Json, Role, Usage

EVENT: TypeAdapter[Any] = TypeAdapter(anthropic.types.RawMessageStreamEvent)


def decided(payload: Json | None = None, *, thoughts: bool = True) -> Decision:
    asked = payload or {"messages": [{"role": "user", "content": "Hi"}]}
    request = ChatRequest("r", Caller("k", Role.CALLER), asked, [], "Hi", "", show_thoughts=thoughts)
    return new_decision(request, timeout_s=5.0)


def completed(decision: Decision, body: Json, usage: Usage | None = None, **more: Any) -> Decision:
    decision.completion = Completion("m", body, "", [], usage, UNKNOWN_COST, 1.0, 1.0, **more)
    return decision


def whole(said: Json, finish: str = "stop", payload: Json | None = None, **choice: Any) -> Json:
    body = {"choices": [{"index": 0, "message": said, "finish_reason": finish, **choice}]}
    made: Json = json.loads(exact_json.line(message(completed(decided(payload), body))))
    assert anthropic.types.Message.model_validate(made)
    return made


def function(name: str, arguments: Any, call: str | None = "c1") -> Json:
    return {"id": call, "type": "function", "function": {"name": name, "arguments": arguments}}


def streamed(*chunks: Json, decision: Decision | None = None, placed: list[list[int]] | None = None) -> list[Json]:
    """The events of a stream, checked against the grammar."""
    decision = decision or decided()
    events = Events(decision)
    raw = [events.begin()]
    for at, one in enumerate(chunks):
        raw += events.of(Chunk(None, one, placed[at] if placed else ()))
    completed(decision, {})
    raw += events.end({"model": "m"})
    parsed = []
    for part in b"".join(raw).decode().removesuffix("\n\n").split("\n\n"):
        name, data = part.split("\n")
        parsed.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {parsed[-1]['type']}"
    check(parsed)
    return parsed


def check(parsed: list[Json]) -> None:
    assert [one["type"] for one in parsed[:2]] == ["message_start", "ping"]
    assert [one["type"] for one in parsed[-2:]] == ["message_delta", "message_stop"]
    at, is_open = -1, False
    for one in parsed[2:-2]:
        if one["type"] == "content_block_start":
            assert not is_open
            at, is_open = at + 1, True
        else:
            assert is_open
            is_open = one["type"] != "content_block_stop"
        assert one["index"] == at
    assert not is_open


def assembled(parsed: list[Json]) -> Any:
    """What the official SDK makes of the events."""
    snapshot, buffers = None, {}
    for one in parsed:
        if one["type"] != "ping":
            event = EVENT.validate_python(one)
            snapshot = accumulate_event(
                event=event, current_snapshot=snapshot, json_bufs=buffers, output_format=anthropic.NOT_GIVEN
            )
    return snapshot


def chunk(delta: Json, finish: str | None = None, **choice: Any) -> Json:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish, **choice}]}


def piece(index: int | None, arguments: str = "", call: str | None = None, name: str | None = None) -> Json:
    made: Json = {"function": {"arguments": arguments, **({"name": name} if name else {})}}
    return {**made, **({"index": index} if index is not None else {}), **({"id": call} if call else {})}


def test_text_thought_and_calls_are_blocks() -> None:
    made = whole(
        {"content": "A", "reasoning_content": "T", "tool_calls": [function("n", '{"x":1}'), function("m", "", "c2")]},
        "tool_calls",
    )
    assert made["content"] == [
        {
            "type": "thinking",
            "thinking": "T",
            "signature": sealed("m", [{"type": TOLD, "member": "reasoning_content"}]),
        },
        {"type": "text", "text": "A"},
        {"type": "tool_use", "id": "c1", "name": "n", "input": {"x": 1}},
        {"type": "tool_use", "id": "c2", "name": "m", "input": {}},
    ]
    assert made["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("said", "finish", "reason"),
    [
        ({"content": "A"}, "stop", "end_turn"),
        ({"content": "A"}, "length", "max_tokens"),
        ({"content": "A"}, "content_filter", "refusal"),
        ({"content": "A"}, "something", "end_turn"),
        ({"content": None, "refusal": "No."}, "stop", "refusal"),
        ({"tool_calls": [function("n", "{}")]}, "stop", "tool_use"),
        ({"tool_calls": [function("n", '{"x"')]}, "length", "max_tokens"),
        ({"function_call": {"name": "n", "arguments": "{}"}}, "function_call", "tool_use"),
    ],
)
def test_why_it_ended(said: Json, finish: str, reason: str) -> None:
    assert whole(said, finish)["stop_reason"] == reason


def test_a_stop_sequence_is_named_where_the_runtime_names_it() -> None:
    payload = {"messages": [], "stop": ["END"]}
    made = whole({"content": "A"}, payload=payload, stop_reason="END")
    assert (made["stop_reason"], made["stop_sequence"]) == ("stop_sequence", "END")
    assert whole({"content": "A"}, payload=payload, stop_reason=50256)["stop_reason"] == "end_turn"


@pytest.mark.parametrize(
    ("arguments", "given"),
    [
        ({"x": 1}, {"x": 1}),
        (None, {}),
        ("  ", {}),
        ('{"x":', {MALFORMED: '{"x":'}),
        ("[1]", {MALFORMED: "[1]"}),
    ],
)
def test_inputs_are_objects_whatever_the_model_wrote(arguments: Any, given: Json) -> None:
    assert whole({"tool_calls": [function("n", arguments)]})["content"][0]["input"] == given


def test_a_call_without_an_id_gets_one() -> None:
    first, second = whole({"tool_calls": [function("n", "{}", None), function("n", "{}", " ")]})["content"]
    assert first["id"] != second["id"]
    assert first["id"].startswith("toolu_")


def test_cached_tokens_are_apart() -> None:
    used = Usage(100, 7, 60, written_tokens=5, written_1h_tokens=20)
    made = message(completed(decided(), {"choices": [{"message": {"content": "A"}}]}, used))
    assert made["usage"] == {
        "input_tokens": 15,
        "cache_creation_input_tokens": 25,
        "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 20},
        "cache_read_input_tokens": 60,
        "output_tokens": 7,
    }


@pytest.mark.parametrize("pieces", [False, True])
def test_an_answer_that_was_not_looked_at_is_read(pieces: bool) -> None:
    raw = orjson.dumps({"choices": [{"message": {"content": "A" * 10}, "finish_reason": "stop"}]})
    given: Json = {"pieces": (raw[:20], raw[20:-1])} if pieces else {"raw": raw}
    made = message(completed(decided(), {"id": "x"}, large=True, **given))
    assert made["content"] == [{"type": "text", "text": "A" * 10}]


def test_a_stream_of_thought_text_and_calls() -> None:
    parsed = streamed(
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning": "Th"}),
        chunk({"reasoning": "ink"}),
        chunk({"content": "A"}),
        chunk({"tool_calls": [piece(0, "", "c1", "n")]}),
        chunk({"tool_calls": [piece(0, '{"x":')]}),
        chunk({"tool_calls": [piece(0, "1}")]}),
        chunk({"tool_calls": [piece(1, "{}", "c2", "m")]}),
        chunk({}, "tool_calls"),
    )
    made = assembled(parsed)
    assert [one.type for one in made.content] == ["thinking", "text", "tool_use", "tool_use"]
    assert (made.content[0].thinking, made.content[1].text) == ("Think", "A")
    assert (made.content[2].id, made.content[2].input, made.content[3].input) == ("c1", {"x": 1}, {})
    assert made.stop_reason == "tool_use"
    assert parsed[-2]["arbiter"] == {"model": "m"}


def test_pieces_of_two_calls_in_turns_are_put_in_order() -> None:
    made = assembled(
        streamed(
            chunk({"tool_calls": [piece(0, '{"a":', "c1", "n"), piece(1, '{"b":', "c2", "n")]}),
            chunk({"tool_calls": [piece(1, "2}"), piece(0, "1}")]}),
            chunk({"content": "Wait."}),
            chunk({}, "stop"),
        )
    )
    assert [getattr(one, "input", None) for one in made.content] == [{"a": 1}, {"b": 2}, None]
    assert made.stop_reason == "tool_use"


def test_the_right_numbers_of_calls_count_not_those_that_were_stated() -> None:
    parsed = streamed(
        chunk({"tool_calls": [piece(0, '{"a":1}', "c1", "n")]}),
        chunk({"tool_calls": [piece(0, '{"b":2}', "c2", "n")]}),
        placed=[[0], [1]],
    )
    assert [one.id for one in assembled(parsed).content] == ["c1", "c2"]


def test_other_choices_are_not_told() -> None:
    other = {"index": 1, "delta": {"content": "B", "tool_calls": [piece(0, "{}", "cx", "x")]}, "finish_reason": None}
    mine = {"index": 0, "delta": {"tool_calls": [piece(0, "{}", "c1", "n")]}, "finish_reason": None}
    parsed = streamed({"choices": [other, mine]}, placed=[[7, 0]])
    assert [one.id for one in assembled(parsed).content] == ["c1"]


def test_thoughts_are_not_told_to_those_who_did_not_ask() -> None:
    said = [chunk({"reasoning_content": "T"}), chunk({"content": "A"})]
    assert [one.type for one in assembled(streamed(*said, decision=decided(thoughts=False))).content] == ["text"]


def test_an_empty_stream_is_an_empty_message() -> None:
    made = assembled(streamed(chunk({}, "stop")))
    assert (made.content, made.stop_reason) == ([], "end_turn")


_deltas = st.one_of(
    st.builds(lambda text: {"content": text}, st.text(max_size=4)),
    st.builds(lambda text: {"reasoning_content": text}, st.text(max_size=4)),
    st.builds(
        lambda at, text, new: {"tool_calls": [piece(at, text, f"c{at}" if new else None, "n" if new else None)]},
        st.one_of(st.none(), st.integers(0, 2)),
        st.sampled_from(["", "{", "}", '{"a":1}', '"x"', " "]),
        st.booleans(),
    ),
    st.sampled_from([{}, {"content": None}, {"tool_calls": None}, {"tool_calls": ["x"]}, {"content": [{"type": "x"}]}]),
)


@settings(max_examples=300)
@given(st.lists(_deltas, max_size=12))
def test_any_stream_keeps_the_grammar_and_loses_nothing(deltas: list[Json]) -> None:
    parsed = streamed(*(chunk(delta) for delta in deltas), chunk({}, "stop"))
    told = [one["delta"] for one in parsed if one["type"] == "content_block_delta"]
    texts = "".join(delta["content"] for delta in deltas if isinstance(delta.get("content"), str))
    assert "".join(delta.get("text", "") for delta in told) == texts
    given_calls = [delta["tool_calls"][0] for delta in deltas if isinstance(delta.get("tool_calls"), list)]
    arguments = "".join(call["function"]["arguments"] for call in given_calls if isinstance(call, dict))
    kept = Counter("".join(delta.get("partial_json", "") for delta in told))
    assert kept <= Counter(arguments)
    assert kept == Counter(arguments) or "}" in arguments, "only what follows a whole object is left out"


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (errors.BadRequest("wrong"), 400, "invalid_request_error"),
        (errors.Unprocessable("wrong"), 400, "invalid_request_error"),
        (errors.Unauthorized("who"), 401, "authentication_error"),
        (errors.OutOfCredit("empty"), 402, "billing_error"),
        (errors.Forbidden("no"), 403, "permission_error"),
        (errors.NotFound("where"), 404, "not_found_error"),
        (errors.MethodNotAllowed("how"), 405, "invalid_request_error"),
        (errors.BodyTooLarge("big"), 413, "request_too_large"),
        (errors.RateLimited("slow"), 429, "rate_limit_error"),
        (errors.InternalError("oh"), 500, "api_error"),
        (errors.RuntimeUnavailable("gone"), 502, "api_error"),
        (errors.Overloaded("full"), 503, "overloaded_error"),
        (errors.DeadlineExceeded("late"), 504, "timeout_error"),
    ],
)
def test_every_error_has_its_type(error: errors.ArbiterError, status: int, kind: str) -> None:
    told = json.loads(error_body(error))
    assert (status_of(error), told["type"], told["error"]["type"]) == (status, "error", kind)
    assert told["error"]["message"] == error.message
    assert error_frame(error, None).startswith(b"event: error\ndata: {")


def test_too_long_a_prompt_says_so_in_the_words_that_agents_look_for() -> None:
    said = json.loads(error_body(errors.too_long(200_000, 210_000, 32_000)))["error"]["message"]
    assert said.startswith("prompt is too long: 210000 tokens > 200000 maximum. This model's")
    assert json.loads(error_body(errors.too_long(None, 1, 0)))["error"]["message"].startswith("prompt is too long. ")
