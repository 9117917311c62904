"""Whatever a runtime of another dialect says where a number, a text or a list belongs: it is read, or is no answer; nothing else."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from arbiter_app import exact_json
from arbiter_app.dialects.wires import WIRES
from arbiter_app.runtime.assembler import StreamAssembler
from tests.unit.dialects import test_answers_become_messages as become_messages
from tests.unit.dialects import test_messages_answers_become_chats as messages
from tests.unit.dialects import test_responses_answers_become_chats as responses

MESSAGES, RESPONSES = "anthropic-messages", "openai-responses"
ODD: tuple[Any, ...] = (None, [], {}, 5, -1, 1.5, 1e300, True, "", [5], {"a": 5}, [[]], [None], 10**25, "\ud83d")
WHOLE = {
    MESSAGES: messages.message([messages.THINKING, messages.TEXT, messages.REDACTED, *messages.USES]),
    RESPONSES: responses.response([responses.reasoning(0, "hm"), responses.said("Hello"), *responses.FUNCTIONS]),
}
EVENTS = {MESSAGES: messages.events_of(WHOLE[MESSAGES]), RESPONSES: responses.events_of(WHOLE[RESPONSES])}
both = pytest.mark.parametrize("dialect", [MESSAGES, RESPONSES])


def odd(value: Any, some: int) -> Iterator[Any]:
    """The value with each of its parts in turn replaced by some odd ones, and left out."""
    draw = random.Random(7)
    for path in _paths(value):
        for other in draw.sample(ODD, some):
            made = copy.deepcopy(value)
            holder = _at(made, path[:-1])
            holder[path[-1]] = other
            yield made
        made = copy.deepcopy(value)
        del _at(made, path[:-1])[path[-1]]
        yield made


def _paths(value: Any) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield (name,)
        yield from ((name, *path) for path in _paths(one))


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for name in path:
        value = value[name]
    return value


def fed(dialect: str, events: list[Any]) -> StreamAssembler:
    reader, assembler = WIRES[dialect].reader(), StreamAssembler()
    assert reader is not None
    for event in events:
        reader.take(json.dumps(event).encode())
        for made in reader.taken():
            assembler.feed(made)
    return assembler


@both
def test_a_stream_with_one_odd_part_is_read_to_its_end(dialect: str) -> None:
    events = EVENTS[dialect]
    for at, event in enumerate(events):
        for other in odd(event, 3):
            orjson.dumps(fed(dialect, [*events[:at], other, *events[at + 1 :]]).body())


@both
def test_events_in_any_order_are_read(dialect: str) -> None:
    draw = random.Random(5)
    for _ in range(200):
        events = draw.sample(EVENTS[dialect], draw.randint(1, len(EVENTS[dialect])))
        orjson.dumps(fed(dialect, events).body())


@both
def test_a_whole_answer_with_one_odd_part_is_a_chat_or_none(dialect: str) -> None:
    read = 0
    for other in odd(WHOLE[dialect], len(ODD)):
        body = json.dumps(other).encode()
        reader, answer = WIRES[dialect].reader(), exact_json.loads(body)
        assert reader is not None
        try:
            chat = reader.whole(answer, body)
        except ValueError:
            continue
        read += 1
        orjson.dumps(chat)
        for name in ("prompt_tokens", "completion_tokens", "total_tokens"):
            assert 0 <= chat.get("usage", {}).get(name, 0) < 2**60
    assert read > 500


@both
def test_numbers_that_no_block_can_have_stand_for_the_last_one(dialect: str) -> None:
    def without_place(event: dict[str, Any]) -> dict[str, Any]:
        places = {name: [] for name in ("index", "output_index", "item_id") if name in event}
        return {**event, **places}

    kept = fed(dialect, [without_place(event) for event in EVENTS[dialect]]).body()
    assert kept["choices"][0]["message"]["content"] == "Hello"


@both
@pytest.mark.parametrize("before", [[], {}, 5, None])
def test_a_thought_before_what_is_no_call_stands_first(dialect: str, before: Any) -> None:
    detail = {"type": "reasoning.text", "text": "So.", "signature": "s", "data": "d", "format": dialect}
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = {"role": "assistant", "content": "A", "reasoning_details": [{**detail, "before": before}]}
    asked = [{"role": "user", "content": "Hi"}, {**said, "tool_calls": [call]}]
    answered = {"role": "tool", "tool_call_id": "c1", "content": "ok"}
    WIRES[dialect].ask(json.dumps({"model": "m", "messages": [*asked, answered]}).encode())
    told = become_messages.whole({**said, "tool_calls": [{**call, "id": before}]}, "tool_calls")
    assert told["content"][-1]["name"] == "f"


def test_calls_that_are_no_list_are_none() -> None:
    assert become_messages.whole({"content": "A", "tool_calls": 5})["content"] == [{"type": "text", "text": "A"}]


def test_a_text_beside_an_empty_output_is_the_answer() -> None:
    response = {"id": "r", "object": "response", "status": "completed", "output": [], "output_text": "Hello"}
    ended = {"type": "response.completed", "response": response}
    (choice,) = fed(RESPONSES, [ended]).body()["choices"]
    assert choice["message"]["content"] == "Hello"
    reader = WIRES[RESPONSES].reader()
    assert reader is not None
    (choice,) = reader.whole(response, b"")["choices"]
    assert (choice["message"]["content"], reader.stray) == ("Hello", True)
    said = {"type": "response.output_text.delta", "output_index": 0, "content_index": 0, "delta": "Hello"}
    (choice,) = fed(RESPONSES, [said, ended]).body()["choices"]
    assert choice["message"]["content"] == "Hello", "and it is said once"


@pytest.mark.parametrize("arguments", ['{"city":"Oslo"}', {"city": "Oslo"}], ids=["text", "an object"])
def test_what_a_response_says_at_once_is_read_like_pieces(arguments: Any) -> None:
    item = {"id": "f", "type": "function_call", "call_id": "c1", "name": "weather", "arguments": ""}
    done = {"type": "response.function_call_arguments.done", "output_index": 1, "arguments": arguments}
    text = {"type": "response.output_text.done", "output_index": 0, "content_index": 0, "text": "Hello"}
    added = {"type": "response.output_item.added", "output_index": 1, "item": item}
    (choice,) = fed(RESPONSES, [text, added, done, {"type": "response.completed", "response": {}}]).body()["choices"]
    assert choice["message"]["content"] == "Hello"
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"city":"Oslo"}'
    whole = {"id": "r", "output": [{**item, "arguments": arguments}]}
    reader = WIRES[RESPONSES].reader()
    assert reader is not None
    (choice,) = reader.whole(whole, b"")["choices"]
    assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"city":"Oslo"}'
