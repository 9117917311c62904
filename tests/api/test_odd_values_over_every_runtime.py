"""Whatever stands where in a request, or in an answer, of whatever dialect: no request fails inside of Arbiter."""

from __future__ import annotations

import http.client
import json
import random
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api import test_every_dialect_over_every_runtime as dialects
from tests.api.test_every_dialect_over_every_runtime import CHAT, MESSAGES, MODELS, RESPONSES, Answer, Case, Runtimes
from tests.conftest import OPERATOR, Running, running
from tests.stranger import STREAM, stranger
from tests.unit.dialects import test_responses_answers_become_chats as responses
from tests.unit.dialects.test_odd_answers_are_read import odd
from tests.waiting import PATIENCE_S

FRONTS = dialects.FRONTS
RICH = Answer("I look.", dialects.THOUGHT, 2)


@pytest.fixture(scope="module")
def runtimes() -> Iterator[Runtimes]:
    with stranger() as chat, stranger() as claude, stranger() as gpt:
        yield {CHAT: chat, MESSAGES: claude, RESPONSES: gpt}


@pytest.fixture(scope="module")
def over(runtimes: Runtimes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """It keeps responses, and nothing rests, whatever has failed."""
    directory = tmp_path_factory.mktemp("odd")
    path = directory / "catalog.toml"
    path.write_text(dialects.CATALOG.format(claude=runtimes[MESSAGES].url, gpt=runtimes[RESPONSES].url))
    parts = dict.fromkeys(("BASELINE_MODEL", "ARBITER_CLASSIFIER_MODEL", "ARBITER_JUDGE_MODEL"), MODELS[CHAT])
    quiet = {"ARBITER_JUDGE_SAMPLE": "0", "ARBITER_CASCADE": "0", "ARBITER_CATALOG": str(path)}
    names = ("ARBITER_QUARANTINE_S", "ARBITER_QUARANTINE_MAX_S", "ARBITER_GONE_S", "ARBITER_GONE_MAX_S")
    more = {"CLAUDE_KEY": "k", "GPT_KEY": "k", "ARBITER_KEEP_CONTENT_HOURS": "1", **dict.fromkeys(names, "1e-9")}
    with running(directory, **runtimes[CHAT].settings, **parts, **quiet, **more) as one:
        yield one


@pytest.fixture
def client(over: Running) -> Iterator[http.client.HTTPConnection]:
    one = http.client.HTTPConnection(over.url.removeprefix("http://"), timeout=PATIENCE_S)
    yield one
    one.close()


def told(client: http.client.HTTPConnection, front: str, body: object) -> tuple[int, bytes]:
    client.request("POST", dialects.PATHS[front], json.dumps(body), {"authorization": f"Bearer {OPERATOR}"})
    answer = client.getresponse()
    return answer.status, answer.read()


def asked(front: str, wire: str, *, streamed: bool) -> dict[str, Any]:
    given = {**dialects.TOOLS[front], **dialects.THINKING[front], **dialects.FORMATS[front]}
    more = {"include": [], "metadata": {"a": "b"}} if front == RESPONSES else {"metadata": {"user_id": "u"}}
    return dialects.asked_by(front, wire, Case(RICH, streamed=streamed, asked={front: {**given, **more}}, history=True))


@pytest.mark.parametrize("wire", FRONTS)
@pytest.mark.parametrize("front", FRONTS)
def test_an_odd_request_is_answered_or_refused(
    client: http.client.HTTPConnection, runtimes: Runtimes, front: str, wire: str
) -> None:
    streamed = (front == CHAT) == (wire == CHAT)
    runtimes[wire].say = lambda _: dialects.said_by(wire, RICH, streamed=streamed)
    for body in odd(asked(front, wire, streamed=streamed), 1):
        status, text = told(client, front, {**body, "arbiter_pin": MODELS[wire]} if body.get("arbiter_pin") else body)
        assert status < 500 and b"internal_error" not in text, (body, text[-500:])


@pytest.mark.parametrize("wire", FRONTS)
@pytest.mark.parametrize("front", FRONTS)
def test_an_odd_event_breaks_off_one_answer_at_most(
    client: http.client.HTTPConnection, runtimes: Runtimes, front: str, wire: str
) -> None:
    body = asked(front, wire, streamed=True)
    events = dialects.said_by(wire, RICH, streamed=True)[2].split(b"\n\n")
    draw = random.Random(3)
    for at, event in enumerate(events):
        lines = event.split(b"\n")
        if not lines[-1].startswith(b"data: {"):
            continue
        made = list(odd(json.loads(lines[-1][6:]), 2))
        for said in draw.sample(made, min(len(made), 2)):
            changed = b"\n".join([*lines[:-1], b"data: " + json.dumps(said).encode()])
            stream = b"\n\n".join([*events[:at], changed, *events[at + 1 :]])
            runtimes[wire].say = lambda _, stream=stream: (200, STREAM, stream)
            status, text = told(client, front, body)
            assert status in (200, 400, 402, 404, 429, 502, 503, 504), (said, text[-500:])
            assert b"internal_error" not in text, (said, text[-500:])


def test_pieces_of_odd_choices_and_ends_of_odd_responses_are_passed_over(
    client: http.client.HTTPConnection, runtimes: Runtimes
) -> None:
    """Kinds that only a part of the draws above meets."""
    stream = dialects.said_by(CHAT, Answer("I look."), streamed=True)[2]
    for index in (b"[]", b"{}", b"true", b"1e300", b'"0"'):
        odd_end = stream.replace(b'"index": 0, "delta": {}', b'"index": %b, "delta": {}' % index)
        said = odd_end.replace(
            b"data: ", b'data: {"choices":[{"index":%b,"delta":{"content":"x"}}]}\n\ndata: ' % index, 2
        )
        runtimes[CHAT].say = lambda _, said=said: (200, STREAM, said)
        status, text = told(client, CHAT, asked(CHAT, CHAT, streamed=True))
        assert status == 200 and b"internal_error" not in text, (index, text)
    for end in (b"0.5", b"null", b"[]"):
        whole = dialects.said_by(RESPONSES, Answer("I look."), streamed=True)[2]
        at = whole.rindex(b'"response": {')
        said = whole[:at] + b'"response": %b}\n\n' % end
        runtimes[RESPONSES].say = lambda _, said=said: (200, STREAM, said)
        status, text = told(client, RESPONSES, asked(RESPONSES, RESPONSES, streamed=True))
        assert status in (200, 502) and b"internal_error" not in text, (end, text)


@pytest.mark.parametrize("value", [[[]], {"a": 1}, 5, "x", True])
def test_members_of_odd_kinds_are_left_out_or_passed_on(
    client: http.client.HTTPConnection, runtimes: Runtimes, value: Any
) -> None:
    for front, wire, name in ((CHAT, MESSAGES, "reasoning_effort"), (RESPONSES, RESPONSES, "include")):
        runtimes[wire].say = lambda _, wire=wire: dialects.said_by(wire, RICH, streamed=False)
        status, text = told(client, front, {**asked(front, wire, streamed=False), name: value})
        assert status in (200, 400 if front == RESPONSES else 422), (name, text)


ALIVE = (
    b": hm",
    b"data: : keepalive",
    b"data: ",
    b"data",
    b"data: ping",
    b"data: keep-alive",
    b"data: null",
    b'data: ""',
    b"id: 5",
)


@pytest.mark.parametrize("alive", [*ALIVE, b"retry: 1", b"event: heartbeat\ndata: null", b"event: keepalive\ndata: {}"])
@pytest.mark.parametrize("wire", FRONTS)
def test_signs_of_life_of_runtimes_are_no_part_of_an_answer(
    client: http.client.HTTPConnection, runtimes: Runtimes, wire: str, alive: bytes
) -> None:
    """In whatever dress they come; callers, whose clients know their dialect alone, see none of it."""
    first, *others = dialects.said_by(wire, RICH, streamed=True)[2].split(b"\n\n")
    for between in (b"\n\n", b"\n"):  # some leave out the blank line behind it
        said = b"\n\n".join([alive + between + first, *[alive + between + one for one in others[:-1]], others[-1]])
        runtimes[wire].say = lambda _, said=said: (200, STREAM, said)
        if between == b"\n" and alive.startswith((b"event", b"data: null", b'data: ""')):
            continue
        for front in FRONTS:
            status, text = told(client, front, asked(front, wire, streamed=True))
            lines = [line for line in text.decode().split("\n") if line]
            assert status == 200 and not any('"error"' in line and "broke off" in line for line in lines), text
            assert all(line.startswith(("data: {", "data: [DONE]", "event: ")) for line in lines), lines


def events_of(text: bytes) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith(b"data: {")]


def spoken(wire: str, answer: Answer) -> list[dict[str, Any]]:
    return events_of(dialects.said_by(wire, answer, streamed=True)[2])


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("wire", [MESSAGES, RESPONSES])
def test_a_chat_from_a_runtime_of_another_dialect_is_told_in_the_callers(
    client: http.client.HTTPConnection, runtimes: Runtimes, wire: str, streamed: bool
) -> None:
    runtimes[wire].say = lambda _: dialects.said_by(CHAT, Answer("Blue."), streamed=True)
    status, text = told(client, wire, asked(wire, wire, streamed=streamed))
    assert status == 200 and b"Blue." in text and b"choices" not in text and text.count(b'"arbiter":{') == 1
    if streamed:
        last = events_of(text)[-1]["type"]
        assert last == ("message_stop" if wire == MESSAGES else "response.completed") and b"[DONE]" not in text


@pytest.mark.parametrize("calls", [0, 1])
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("odd_one", ["another end", "no end", "two beginnings"])
def test_a_message_begins_once_and_ends_as_its_blocks_say(
    client: http.client.HTTPConnection, runtimes: Runtimes, odd_one: str, streamed: bool, calls: int
) -> None:
    events = spoken(MESSAGES, Answer("Blue.", calls=calls))
    (end,) = [one for one in events if one["type"] == "message_delta"]
    if odd_one == "two beginnings":
        events.insert(0, events[0])
    elif odd_one == "no end":
        events.remove(end)
    else:
        end["delta"]["stop_reason"] = "end_turn" if calls else "tool_use"
    runtimes[MESSAGES].say = lambda _: (
        200,
        STREAM,
        b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in events),
    )
    status, text = told(client, MESSAGES, asked(MESSAGES, MESSAGES, streamed=streamed))
    assert status == 200
    said = events_of(text) if streamed else [json.loads(text)]
    assert [one["type"] for one in said].count("message_start") == int(streamed)
    (ended,) = [one.get("delta", one) for one in said if one["type"] in ("message_delta", "message")]
    assert ended["stop_reason"] == ("tool_use" if calls else "end_turn") and text.count(b'"arbiter":{') == 1


def test_a_response_ends_with_the_output_that_its_events_have_told(
    client: http.client.HTTPConnection, runtimes: Runtimes
) -> None:
    events = spoken(RESPONSES, Answer("Blue."))
    events[-1]["response"]["output"] = []
    runtimes[RESPONSES].say = lambda _: (
        200,
        STREAM,
        b"".join(b"data: %b\n\n" % json.dumps(one).encode() for one in events),
    )
    _, text = told(client, RESPONSES, asked(RESPONSES, RESPONSES, streamed=True))
    (item,) = events_of(text)[-1]["response"]["output"]
    assert item["content"][0]["text"] == "Blue."


@pytest.mark.parametrize("lacks", ["stop_reason", "usage", "type", "id", "model"])
def test_a_message_that_lacks_what_every_message_has_is_made_whole(
    client: http.client.HTTPConnection, runtimes: Runtimes, lacks: str
) -> None:
    whole = json.loads(dialects.said_by(MESSAGES, Answer("Blue."), streamed=False)[2])
    del whole[lacks]
    runtimes[MESSAGES].say = lambda _: (200, "application/json", json.dumps(whole).encode())
    _, text = told(client, MESSAGES, asked(MESSAGES, MESSAGES, streamed=False))
    assert json.loads(text)[lacks] and b"Blue." in text


def test_a_response_that_is_not_finished_is_no_answer(client: http.client.HTTPConnection, runtimes: Runtimes) -> None:
    queued = {"id": "r", "object": "response", "status": "queued", "output": []}
    runtimes[RESPONSES].say = lambda _: (200, "application/json", json.dumps(queued).encode())
    body = {**asked(RESPONSES, RESPONSES, streamed=False), "arbiter_pin": MODELS[RESPONSES]}
    status, text = told(client, RESPONSES, body)
    assert status == 502 and b"not finished" in text


Events = list[dict[str, Any]]


def told_without_type(events: Events) -> list[bytes]:
    lines = ({name: one for name, one in event.items() if name != "type"} for event in events)
    return [
        b"event: %b\ndata: %b" % (event["type"].encode(), json.dumps(rest).encode())
        for event, rest in zip(events, lines, strict=True)
    ]


def changed(events: Events, kind: str, **more: Any) -> Events:
    """The events with other members in those of a type."""
    return [{**one, **more} if one["type"] == kind else one for one in events]


def without(events: Events, kind: str, of: str = "") -> Events:
    """The events without those of a type, or of one that begin a block or an item of a type."""
    found = [one.get("content_block", one.get("delta", one.get("item", {}))) for one in events]
    left = zip(events, found, strict=True)
    return [one for one, what in left if one["type"] != kind or (of and what.get("type") != of)]


def with_inputs(events: Events, *, as_text: bool) -> Events:
    """The inputs of calls where their blocks begin, and nowhere else."""
    inputs = iter(dialects.ARGUMENTS)
    made = without(events, "content_block_delta", "input_json_delta")
    for one in made:
        if one.get("content_block", {}).get("type") == "tool_use":
            given = next(inputs)
            one["content_block"]["input"] = given if as_text else json.loads(given)
    return made


def with_pieces(events: Events, kind: str, **more: Any) -> Events:
    """What is added in pieces of a type, in other members."""
    return [
        {**one, "delta": {"type": kind, **{name: make(one["delta"]) for name, make in more.items()}}}
        if one.get("delta", {}).get("type") == kind
        else one
        for one in events
    ]


def with_usage(events: Events, at_start: object, *at_end: dict[str, Any]) -> Events:
    """Counts at the beginning, and in as many ends."""
    made: Events = []
    for one in events:
        if one["type"] == "message_start":
            one = {**one, "message": {**one["message"], "usage": at_start}}
        if one["type"] == "message_delta":
            made += [{**one, "delta": {} if at else one["delta"], "usage": used} for at, used in enumerate(at_end)]
        else:
            made.append(one)
    return made


COUNTED = {"input_tokens": 10, "cache_read_input_tokens": 100, "cache_creation_input_tokens": 20, "output_tokens": 7}
CARELESS_MESSAGES: dict[str, Any] = {
    "as it should be": lambda events: events,
    "types in names alone": told_without_type,
    "no beginning": lambda events: without(events, "message_start"),
    "a beginning of nothing": lambda events: changed(events, "message_start", message=None),
    "counts at the end alone": lambda events: with_usage(events, None, COUNTED),
    "counts in a second end": lambda events: with_usage(events, None, {"output_tokens": 0}, COUNTED),
    "an end without a reason": lambda events: changed(events, "message_delta", delta={"stop_reason": None}),
    "an end in OpenAI's words": lambda events: changed(events, "message_delta", delta={"stop_reason": "tool_calls"}),
    "texts that never began": lambda events: without(events, "content_block_start", "text"),
    "thoughts that never began": lambda events: without(events, "content_block_start", "thinking"),
    "no blocks end": lambda events: without(events, "content_block_stop"),
    "every block is the first": lambda events: [{**one, "index": 0} if "index" in one else one for one in events],
    "counted from one": lambda events: [
        {**one, "index": one["index"] + 1} if "index" in one else one for one in events
    ],
    "blocks without numbers": lambda events: [
        {name: value for name, value in one.items() if name != "index"} for one in events
    ],
    "inputs at the beginning": lambda events: with_inputs(events, as_text=False),
    "inputs as text at the beginning": lambda events: with_inputs(events, as_text=True),
    "thoughts called text": lambda events: with_pieces(events, "thinking_delta", text=lambda delta: delta["thinking"]),
    "pieces without a type": lambda events: [
        {**one, "delta": {name: value for name, value in one["delta"].items() if name != "type"}}
        if one["type"] == "content_block_delta"
        else one
        for one in events
    ],
}


@pytest.mark.parametrize("names", [True, False], ids=["named", "unnamed"])
@pytest.mark.parametrize("name", CARELESS_MESSAGES)
def test_a_careless_stream_of_messages_is_read_by_everybody(
    client: http.client.HTTPConnection, runtimes: Runtimes, name: str, names: bool
) -> None:
    events = CARELESS_MESSAGES[name](spoken(MESSAGES, RICH))
    said = [
        one
        if isinstance(one, bytes)
        else (b"event: %b\n" % one["type"].encode() if names else b"") + b"data: " + json.dumps(one).encode()
        for one in events
    ]
    runtimes[MESSAGES].say = lambda _: (200, STREAM, b"".join(one + b"\n\n" for one in said) + b"data: [DONE]\n\n")
    for front in FRONTS:
        body = asked(front, MESSAGES, streamed=True)
        status, text = told(client, front, {**body, "arbiter_pin": MODELS[MESSAGES]})
        assert status == 200, text
        seen = dialects.seen_by(front, dialects.whole_of(front, text.decode()))
        assert seen[:4] == RICH.seen[:4]
        assert seen[4] == RICH.seen[4] or "beginning" in name
        lines = text.decode().split("\n")
        if front == MESSAGES:
            unnamed = [
                one
                for one, before in zip(lines[1:], lines, strict=False)
                if one.startswith("data:") and not before.startswith("event:")
            ]
            assert not unnamed and "[DONE]" not in text.decode()
            ends = [event["index"] for event in events_of(text) if event["type"] == "content_block_stop"]
            assert sorted(ends) == [0, 1, 2, 3]


CARELESS_BLOCKS: dict[str, Any] = {
    "a text": "I look.",
    "a lone block": {"type": "text", "text": "I look."},
    "no type": [{"text": "I look."}],
    "Responses' type": [{"type": "output_text", "text": "I look."}],
    "a text of nothing": [{"type": "text", "text": None}, {"type": "text", "text": "I look."}],
    "bare": ["I look."],
}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", CARELESS_BLOCKS)
def test_a_careless_message_is_read_by_everybody(
    client: http.client.HTTPConnection, runtimes: Runtimes, name: str, streamed: bool
) -> None:
    whole = json.loads(dialects.said_by(MESSAGES, Answer("I look."), streamed=False)[2])
    said = json.dumps({**whole, "content": CARELESS_BLOCKS[name], "stop_reason": "stop"}).encode()
    runtimes[MESSAGES].say = lambda _: (200, "application/json", said)
    for front in FRONTS:
        body = asked(front, MESSAGES, streamed=streamed)
        status, text = told(client, front, {**body, "arbiter_pin": MODELS[MESSAGES]})
        assert status == 200, text
        answer = dialects.whole_of(front, text.decode()) if streamed else json.loads(text)
        assert dialects.seen_by(front, answer) == Answer("I look.").seen


def with_response(events: Events, kind: str, *lacks: str, **more: Any) -> Events:
    """The events with another response in those of a type."""
    return [
        {**one, "response": {name: value for name, value in {**one["response"], **more}.items() if name not in lacks}}
        if one["type"] == kind
        else one
        for one in events
    ]


def lacking(events: Events, *names: str) -> Events:
    return [{name: value for name, value in one.items() if name not in names} for one in events]


CARELESS_RESPONSES: dict[str, Any] = {
    "as it should be": lambda events: events,
    "types in names alone": told_without_type,
    "no numbers": lambda events: lacking(events, "sequence_number"),
    "one number for all": lambda events: [{**one, "sequence_number": 0} for one in events],
    "no beginning": lambda events: events[2:],
    "a beginning that lacks members": lambda events: with_response(
        events, "response.created", "tools", "tool_choice", "parallel_tool_calls"
    ),
    "no places": lambda events: lacking(events, "output_index", "content_index"),
    "one place for all": lambda events: [
        {**one, "output_index": 0} if "output_index" in one else one for one in events
    ],
    "no names of items": lambda events: lacking(events, "item_id"),
    "items that never began": lambda events: without(events, "response.output_item.added"),
    "parts that never began": lambda events: without(events, "response.content_part.added"),
    "no pieces": lambda events: [one for one in events if not one["type"].endswith(".delta")],
    "the end alone": lambda events: events[-1:],
    "an end of another name": lambda events: [*events[:-1], {**events[-1], "type": "response.done"}],
    "an end that lacks the calls": lambda events: with_response(
        events, "response.completed", output=events[-1]["response"]["output"][:2]
    ),
    "no end": lambda events: events[:-1],
    "a chat's counts": lambda events: with_response(events, "response.completed", usage=responses.CHAT_USAGE),
}


@pytest.mark.parametrize("name", CARELESS_RESPONSES)
def test_a_careless_stream_of_responses_is_read_by_everybody(
    client: http.client.HTTPConnection, runtimes: Runtimes, name: str
) -> None:
    begun = [{**one, "sequence_number": at} for at, one in enumerate(spoken(RESPONSES, RICH))]
    events = CARELESS_RESPONSES[name](begun)
    if name in ("no pieces", "parts that never began", "items that never began"):
        events = [{**one, "sequence_number": at} for at, one in enumerate(events)]
    said = [
        one if isinstance(one, bytes) else b"event: %b\ndata: %b" % (one["type"].encode(), json.dumps(one).encode())
        for one in events
    ]
    runtimes[RESPONSES].say = lambda _: (200, STREAM, b"".join(one + b"\n\n" for one in said) + b"data: [DONE]\n\n")
    for front in FRONTS:
        body = asked(front, RESPONSES, streamed=True)
        status, text = told(client, front, {**body, "arbiter_pin": MODELS[RESPONSES]})
        assert status == 200, text
        if front == CHAT and name == "no end":
            text = text.replace(b'"usage":null', b'"usage":' + json.dumps(responses.CHAT_USAGE).encode())
        seen = dialects.seen_by(front, dialects.whole_of(front, text.decode()))
        assert seen[:4] == RICH.seen[:4] and (seen[4] == RICH.seen[4] or name in ("no end", "a chat's counts"))
        if front == RESPONSES and name != "one place for all":
            parts = {event["item_id"] for event in events_of(text) if event["type"] == "response.content_part.added"}
            texts = {event["item_id"] for event in events_of(text) if event["type"] == "response.output_text.delta"}
            assert texts <= parts


def said_so(content: Any, **more: Any) -> list[dict[str, Any]]:
    """An output of one message."""
    return [{"type": "message", "id": "m", "role": "assistant", "status": "completed", "content": content, **more}]


ANNOTATED = {"type": "output_text", "text": "I look.", "annotations": []}
CARELESS_OUTPUTS: dict[str, dict[str, Any]] = {
    "a text": {"output": said_so("I look.")},
    "a lone part": {"output": said_so(ANNOTATED)},
    "a chat's part": {"output": said_so([{"type": "text", "text": "I look."}])},
    "a part without annotations": {"output": said_so([{"type": "output_text", "text": "I look."}])},
    "an item without a type": {"output": said_so([ANNOTATED], type=None)},
    "an item without a name": {"output": [{"type": "message", "content": [ANNOTATED]}]},
    "a chat's counts": {"usage": responses.CHAT_USAGE},
    "no time": {"created_at": None},
    "no tools": {"tools": ..., "tool_choice": ..., "parallel_tool_calls": ...},
    "cut, and not why": {"status": "incomplete", "incomplete_details": None},
    "cut by another word": {"status": "incomplete", "incomplete_details": {"reason": "max_tokens"}},
}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", CARELESS_OUTPUTS)
def test_a_careless_response_is_read_by_everybody(
    client: http.client.HTTPConnection, runtimes: Runtimes, name: str, streamed: bool
) -> None:
    whole = json.loads(dialects.said_by(RESPONSES, Answer("I look."), streamed=False)[2])
    said = {member: one for member, one in {**whole, **CARELESS_OUTPUTS[name]}.items() if one is not ...}
    runtimes[RESPONSES].say = lambda _: (200, "application/json", json.dumps(said).encode())
    for front in FRONTS:
        if front == RESPONSES and "cut" in name:
            continue  # it passes as it came
        body = asked(front, RESPONSES, streamed=streamed)
        status, text = told(client, front, {**body, "arbiter_pin": MODELS[RESPONSES]})
        assert status == 200, text
        answer = dialects.whole_of(front, text.decode()) if streamed else json.loads(text)
        assert dialects.seen_by(front, answer) == Answer("I look.", cut="length" if "cut" in name else "").seen
