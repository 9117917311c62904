"""What a runtime that speaks OpenAI's Responses answers, read as a chat's."""

from __future__ import annotations

from typing import Any

import pytest
from openai.types.responses import Response, ResponseStreamEvent

from arbiter_app.dialects.openai_responses.upstream import WIRE
from tests.sdk_types import adapter
from tests.unit.dialects.reading import details, finish_of, read, streamed

USAGE = {
    "input_tokens": 130,
    "input_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
    "output_tokens": 7,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 137,
}
CHAT_USAGE = {
    "prompt_tokens": 130,
    "completion_tokens": 7,
    "total_tokens": 137,
    "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 20},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def reasoning(at: int, *summary: str) -> dict[str, Any]:
    told = [{"type": "summary_text", "text": text} for text in summary]
    return {"type": "reasoning", "id": f"rs_{at}", "summary": told, "encrypted_content": f"enc{at}"}


def signed(at: int, *summary: str, **more: Any) -> list[dict[str, Any]]:
    own = {"id": f"rs_{at}", "format": "openai-responses"}
    told = [{"type": "reasoning.summary", "summary": text, **own, **more} for text in summary]
    return [*told, {"type": "reasoning.encrypted", "data": f"enc{at}", **own, **more}]


def said(text: str, kind: str = "output_text") -> dict[str, Any]:
    part = {"type": kind, "text": text, "annotations": []} if kind == "output_text" else {"type": kind, kind: text}
    return {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [part]}


FUNCTIONS = [
    {
        "type": "function_call",
        "id": f"fc_{at}",
        "call_id": f"call_{at}",
        "name": "weather",
        "arguments": f'{{"city":"{city}"}}',
        "status": "completed",
    }
    for at, city in enumerate(("Oslo", "Rome"))
]
CALLS = [
    {"id": f"call_{at}", "type": "function", "function": {"name": "weather", "arguments": f'{{"city":"{city}"}}'}}
    for at, city in enumerate(("Oslo", "Rome"))
]
CASES: dict[str, tuple[list[dict[str, Any]], dict[str, Any]]] = {
    "text": ([said("Hello")], {"content": "Hello"}),
    "refusal": ([said("No.", "refusal")], {"content": None, "refusal": "No."}),
    "tools": ([said("Hello"), *FUNCTIONS], {"content": "Hello", "tool_calls": CALLS}),
    "reasoning": (
        [reasoning(0, "So.", "Well."), said("Hello")],
        {"content": "Hello", "reasoning_content": "So.\n\nWell.", "reasoning_details": signed(0, "So.", "Well.")},
    ),
    "interleaved": (
        [reasoning(0), FUNCTIONS[0], reasoning(1), FUNCTIONS[1]],
        {
            "content": None,
            "reasoning_details": [*signed(0), *signed(1, before="call_1")],
            "tool_calls": CALLS,
        },
    ),
    "nothing": ([], {"content": ""}),
}


def response(output: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    """A response as OpenAI documents it, which its SDK reads."""
    head = {"id": "resp_1", "object": "response", "created_at": 1_700_000_000, "model": "gpt-5"}
    rest = {"tool_choice": "auto", "tools": [], "parallel_tool_calls": True, "error": None, "incomplete_details": None}
    made = {**head, "status": "completed", "output": output, "usage": USAGE, **rest, **more}
    Response.model_validate(made)
    return made


def events_of(done: dict[str, Any]) -> list[dict[str, Any]]:
    """The events in which a response is streamed, which its SDK reads."""
    begun = {**done, "status": "in_progress", "output": [], "usage": None}
    made: list[dict[str, Any]] = [{"type": f"response.{one}", "response": begun} for one in ("created", "in_progress")]
    for at, item in enumerate(done["output"]):
        where = {"output_index": at, "item_id": item["id"]}
        kind = item["type"]
        begins = {"message": {"content": []}, "function_call": {"arguments": ""}, "reasoning": {"summary": []}}
        empty = begins.get(kind, {})
        open_item = {**item, **empty, **({} if kind == "reasoning" else {"status": "in_progress"})}
        made.append({"type": "response.output_item.added", "output_index": at, "item": open_item})
        if kind == "message":
            part = item["content"][0]
            name = part["type"]
            where["content_index"] = 0
            made.append({"type": "response.content_part.added", **where, "part": part})
            text = part.get("text") or part.get("refusal")
            more = {"logprobs": []} if name == "output_text" else {}
            made += [{"type": f"response.{name}.delta", **where, "delta": piece, **more} for piece in text]
            told = {"text": text, "logprobs": []} if name == "output_text" else {"refusal": text}
            made.append({"type": f"response.{name}.done", **where, **told})
            made.append({"type": "response.content_part.done", **where, "part": part})
        elif kind == "function_call":
            text = item["arguments"]
            call = "response.function_call_arguments"
            made += [{"type": f"{call}.delta", **where, "delta": piece} for piece in (text[:4], text[4:])]
            made.append({"type": f"{call}.done", **where, "arguments": text, "name": item["name"]})
        elif kind == "reasoning":
            for number, part in enumerate(item["summary"]):
                which = {**where, "summary_index": number}
                summary = "response.reasoning_summary"
                made.append({"type": f"{summary}_part.added", **which, "part": part})
                made += [{"type": f"{summary}_text.delta", **which, "delta": piece} for piece in part["text"]]
                made.append({"type": f"{summary}_text.done", **which, "text": part["text"]})
                made.append({"type": f"{summary}_part.done", **which, "part": part})
        made.append({"type": "response.output_item.done", "output_index": at, "item": item})
    made.append({"type": f"response.{done['status']}", "response": done})
    numbered = [{**event, "sequence_number": number} for number, event in enumerate(made)]
    for event in numbered:
        adapter(ResponseStreamEvent).validate_python(event)
    return numbered


@pytest.mark.parametrize("case", CASES)
def test_a_whole_answer_is_a_chat_completion(case: str) -> None:
    output, expected = CASES[case]
    chat = read(WIRE, response(output))
    choice = chat["choices"][0]
    assert choice["message"] == {"role": "assistant", **expected}
    assert choice["finish_reason"] == ("tool_calls" if "tool_calls" in expected else "stop")
    assert (chat["id"], chat["model"], chat["created"]) == ("resp_1", "gpt-5", 1_700_000_000)
    assert chat["usage"] == CHAT_USAGE


@pytest.mark.parametrize("case", CASES)
def test_a_stream_says_the_same_in_chunks(case: str) -> None:
    output, expected = CASES[case]
    body, chunks, assembler = streamed(WIRE, events_of(response(output)))
    message = body["choices"][0]["message"]
    if found := details(chunks):
        message = {**message, "reasoning_details": found}
    assert message == {"role": "assistant", **expected}
    assert (assembler.done, assembler.error) == (True, None)
    assert finish_of(assembler) == ("tool_calls" if "tool_calls" in expected else "stop")
    assert body["usage"] == CHAT_USAGE
    assert all((chunk["id"], chunk["created"]) == ("resp_1", 1_700_000_000) for chunk in chunks)


@pytest.mark.parametrize(("reason", "finish"), [("max_output_tokens", "length"), ("content_filter", "content_filter")])
def test_why_an_answer_is_not_whole(reason: str, finish: str) -> None:
    done = response([said("Hel")], status="incomplete", incomplete_details={"reason": reason})
    assert read(WIRE, done)["choices"][0]["finish_reason"] == finish
    assert finish_of(streamed(WIRE, events_of(done))[2]) == finish


def test_what_came_in_no_pieces_comes_when_it_is_whole() -> None:
    done = response([reasoning(0, "So."), said("Hello"), *FUNCTIONS])
    for kept in (
        ("response.created", "response.output_item.done", "response.completed"),
        ("response.completed",),
    ):
        body, chunks, _ = streamed(WIRE, [event for event in events_of(done) if event["type"] in kept])
        message = body["choices"][0]["message"]
        assert (message["content"], message["reasoning_content"]) == ("Hello", "So.")
        assert (message["tool_calls"], details(chunks)) == (CALLS, signed(0, "So."))


def test_events_without_places_are_told_apart_by_their_items() -> None:
    events = events_of(response([said("Hello"), *FUNCTIONS]))
    for event in events:
        event.pop("output_index", None)
    assert streamed(WIRE, events)[0]["choices"][0]["message"]["tool_calls"] == CALLS


def test_a_stream_that_is_cut_is_not_finished() -> None:
    events = events_of(response([said("Hello"), FUNCTIONS[0]]))
    for at in range(len(events) - 1):
        _, _, assembler = streamed(WIRE, events[:at])
        assert (assembler.done, assembler.finished) == (False, False)


@pytest.mark.parametrize(
    "event",
    [
        {"type": "error", "code": "rate_limit_exceeded", "message": "Slow down.", "param": None},
        {"type": "error", "error": {"code": "rate_limit_exceeded", "message": "Slow down."}},
        {
            "type": "response.failed",
            "response": {"error": {"code": "rate_limit_exceeded", "message": "Slow down."}, "status": "failed"},
        },
    ],
)
def test_an_error_in_a_stream_is_a_fault_of_its_meaning(event: dict[str, Any]) -> None:
    _, _, assembler = streamed(WIRE, [*events_of(response([said("Hello")]))[:5], event])
    assert assembler.error is not None
    assert (assembler.error.means, assembler.error.message) == ("rate_limited", "Slow down.")


def test_what_failed_without_a_word_is_a_fault_too() -> None:
    _, _, assembler = streamed(WIRE, [{"type": "response.failed", "response": {"status": "failed", "error": None}}])
    assert assembler.error is not None and "failed" in assembler.error.message
    for wrong in ({"id": "x"}, {"status": "failed", "output": []}):
        with pytest.raises(ValueError):
            WIRE.reader().whole(wrong, b"")
