"""Three dialects of callers over runtimes of three dialects: what a runtime gets and what a caller gets back, cell by cell.

The runtimes are scripted in their providers' documented forms; what comes out is read by the official SDKs' own types.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import anthropic
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseStreamEvent

from tests.conftest import Running, running
from tests.sdk_types import adapter
from tests.stranger import STREAM, Said, Stranger, plain, stranger
from tests.stranger import stream as chat_stream
from tests.unit.dialects import test_messages_answers_become_chats as messages
from tests.unit.dialects import test_responses_answers_become_chats as responses

CHAT, MESSAGES, RESPONSES = "openai-chat", "anthropic-messages", "openai-responses"
MODELS = {CHAT: "deepseek-v4", MESSAGES: "claude-sonnet-4-5", RESPONSES: "gpt-5"}
CATALOG = """
[runtimes.claude]
base_url = "{claude}"
dialect = "anthropic-messages"
key_env = "CLAUDE_KEY"

[runtimes.gpt]
base_url = "{gpt}"
dialect = "openai-responses"
key_env = "GPT_KEY"

[models."deepseek-v4"]
input = 0.5
output = 1.5
context = 128_000
vision = true

[models."claude-sonnet-4-5"]
input = 3
output = 15
context = 200_000
vision = true
[[models."claude-sonnet-4-5".deployments]]
runtime = "claude"

[models."gpt-5"]
input = 1.25
output = 10
context = 400_000
vision = true
[[models."gpt-5".deployments]]
runtime = "gpt"
"""
FRONTS = [CHAT, MESSAGES, RESPONSES]
PATHS = {CHAT: "/v1/chat/completions", MESSAGES: "/v1/messages", RESPONSES: "/v1/responses"}
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
PNG = "data:image/png;base64,aGk="
ASK = "What is the weather in Oslo and in Rome?"
THOUGHT = "Two cities."
ARGUMENTS = ['{"city":"Oslo"}', '{"city":"Rome"}']
UNCARRIED: dict[str, dict[str, Any]] = {CHAT: {"seed": 4}, MESSAGES: {"top_k": 5}, RESPONSES: {"truncation": "auto"}}
"""What each caller asks for that no other dialect has a word for."""


@dataclass(frozen=True)
class Answer:
    """What a model says; `seen` is the same as a caller sees it, whatever the dialects."""

    text: str = ""
    thought: str = ""
    calls: int = 0
    cut: str = ""
    usage: tuple[int, int, int] = (130, 100, 7)

    @property
    def seen(self) -> tuple[Any, ...]:
        calls = [(f"call_{at}", "weather", json.loads(ARGUMENTS[at])) for at in range(self.calls)]
        return self.text, self.thought, calls, self.cut or ("calls" if calls else "end"), self.usage


@dataclass(frozen=True)
class Case:
    """What is asked of every cell, and what the model says to it."""

    answer: Answer
    streamed: bool = False
    asked: dict[str, dict[str, Any]] = field(default_factory=dict)
    history: bool = False


TOOLS: dict[str, dict[str, Any]] = {
    CHAT: {"tools": [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]},
    MESSAGES: {"tools": [{"name": "weather", "input_schema": SCHEMA}]},
    RESPONSES: {"tools": [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]},
}
THINKING: dict[str, dict[str, Any]] = {
    CHAT: {"reasoning_effort": "low"},
    MESSAGES: {"thinking": {"type": "enabled", "budget_tokens": 2_048}, "max_tokens": 4_000},
    RESPONSES: {"reasoning": {"effort": "low"}},
}
IMAGES: dict[str, dict[str, Any]] = {
    CHAT: {
        "messages": [
            {
                "role": "user",
                "content": [{"type": "text", "text": ASK}, {"type": "image_url", "image_url": {"url": PNG}}],
            }
        ]
    },
    MESSAGES: {
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": ASK},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}},
                ],
            }
        ]
    },
    RESPONSES: {
        "input": [
            {
                "role": "user",
                "content": [{"type": "input_text", "text": ASK}, {"type": "input_image", "image_url": PNG}],
            }
        ]
    },
}
FORMATS: dict[str, dict[str, Any]] = {
    CHAT: {
        "response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    },
    MESSAGES: {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
    RESPONSES: {"text": {"format": {"type": "json_schema", "name": "answer", "schema": SCHEMA, "strict": True}}},
}
STOPS: dict[str, dict[str, Any]] = {CHAT: {"stop": ["END"]}, MESSAGES: {"stop_sequences": ["END"]}, RESPONSES: {}}
CASES = {
    "plain": Case(Answer("Rain.")),
    "stream": Case(
        Answer("I look it up.", THOUGHT, 2), streamed=True, asked={**{f: {**TOOLS[f], **THINKING[f]} for f in FRONTS}}
    ),
    "tools": Case(Answer("I look it up.", calls=1), asked=TOOLS),
    "parallel tools": Case(Answer("Rain in both."), asked=TOOLS, history=True),
    "thinking": Case(Answer("Rain.", THOUGHT), asked=THINKING),
    "images": Case(Answer("A cat."), asked=IMAGES),
    "JSON schema": Case(Answer('{"city":"Oslo"}'), asked=FORMATS),
    "stop": Case(Answer("One two", cut="END"), asked=STOPS),
    "cut": Case(Answer("One two", cut="length")),
}


# What runtimes say.


def said_by(wire: str, answer: Answer, *, streamed: bool) -> Said:
    """An answer of a runtime of a dialect."""
    if wire == MESSAGES:
        blocks: list[dict[str, Any]] = []
        if answer.thought:
            blocks.append({"type": "thinking", "thinking": answer.thought, "signature": "sig1"})
        if answer.text:
            blocks.append({"type": "text", "text": answer.text})
        for at in range(answer.calls):
            given = json.loads(ARGUMENTS[at])
            blocks.append({"type": "tool_use", "id": f"call_{at}", "name": "weather", "input": given})
        reason = {"": "tool_use" if answer.calls else "end_turn", "END": "stop_sequence", "length": "max_tokens"}
        told = {"stop_reason": reason[answer.cut], "stop_sequence": "END" if answer.cut == "END" else None}
        whole = messages.message(blocks, **told)
        return framed(messages.events_of(whole)) if streamed else jsoned(whole)
    if wire == RESPONSES:
        items = [responses.reasoning(0, answer.thought)] if answer.thought else []
        items += [responses.said(answer.text)] if answer.text else []
        items += [{**responses.FUNCTIONS[at], "arguments": ARGUMENTS[at]} for at in range(answer.calls)]
        cut = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        done = responses.response(items, **(cut if answer.cut == "length" else {}))
        return framed(responses.events_of(done)) if streamed else jsoned(done)
    calls = [
        {"id": f"call_{at}", "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS[at]}}
        for at in range(answer.calls)
    ]
    message = {"role": "assistant", "content": answer.text, **({"tool_calls": calls} if calls else {})}
    if answer.thought:
        message["reasoning_content"] = answer.thought
    finish = "length" if answer.cut == "length" else "tool_calls" if calls else "stop"
    if not streamed:
        return plain(message, finish, usage=responses.CHAT_USAGE)
    if calls:
        message["tool_calls"] = [{"index": at, **call} for at, call in enumerate(calls)]
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m"}
    order = ("reasoning_content", "content", "tool_calls")
    deltas = [{name: message[name]} for name in order if message.get(name)]
    chunks = [{**head, "choices": [{"index": 0, "delta": one, "finish_reason": None}]} for one in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})
    return chat_stream(*chunks, {**head, "choices": [], "usage": responses.CHAT_USAGE})


def jsoned(body: dict[str, Any], status: int = 200) -> Said:
    return status, "application/json", json.dumps(body).encode()


def framed(events: list[dict[str, Any]]) -> Said:
    return (
        200,
        STREAM,
        b"".join(b"event: %b\ndata: %b\n\n" % (one["type"].encode(), json.dumps(one).encode()) for one in events),
    )


# What callers ask, and what they see.


def asked_by(front: str, wire: str, case: Case) -> dict[str, Any]:
    """A request of a caller of a dialect."""
    body: dict[str, Any] = {"model": "auto", "arbiter_pin": MODELS[wire], "arbiter_no_cache": True}
    said = {"role": "user", "content": ASK}
    body |= {"input": [said]} if front == RESPONSES else {"messages": [said]}
    body |= {"max_tokens": 100} if front == MESSAGES else {}
    body |= {**UNCARRIED[front], **case.asked.get(front, {})}
    if case.history:
        body["input" if front == RESPONSES else "messages"] += history(front)
    if case.streamed:
        body |= {"stream": True, **({"stream_options": {"include_usage": True}} if front == CHAT else {})}
    return body


def history(front: str) -> list[dict[str, Any]]:
    """Two calls and their results, the second one first where a dialect allows that."""
    ids = ["call_0", "call_1"]
    if front == MESSAGES:
        uses = [
            {"type": "tool_use", "id": one, "name": "weather", "input": json.loads(ARGUMENTS[at])}
            for at, one in enumerate(ids)
        ]
        results = [{"type": "tool_result", "tool_use_id": one, "content": f"Rain ({one})"} for one in ids]
        return [{"role": "assistant", "content": uses}, {"role": "user", "content": results}]
    if front == RESPONSES:
        calls = [
            {"type": "function_call", "call_id": one, "name": "weather", "arguments": ARGUMENTS[at]}
            for at, one in enumerate(ids)
        ]
        return [*calls, *({"type": "function_call_output", "call_id": one, "output": f"Rain ({one})"} for one in ids)]
    made = [
        {"id": one, "type": "function", "function": {"name": "weather", "arguments": ARGUMENTS[at]}}
        for at, one in enumerate(ids)
    ]
    told = [{"role": "tool", "tool_call_id": one, "content": f"Rain ({one})"} for one in reversed(ids)]
    return [{"role": "assistant", "content": None, "tool_calls": made}, *told]


def seen_by(front: str, body: dict[str, Any]) -> tuple[Any, ...]:
    """Text, thought, calls, why it ended and (tokens in, cached, out) of a whole answer, read by the SDK's types."""
    if front == MESSAGES:
        message = anthropic.types.Message.model_validate(body)
        text = "".join(one.text for one in message.content if one.type == "text")
        thought = "".join(one.thinking for one in message.content if one.type == "thinking")
        calls = [(one.id, one.name, one.input) for one in message.content if one.type == "tool_use"]
        ends = {"end_turn": "end", "tool_use": "calls", "max_tokens": "length", "stop_sequence": message.stop_sequence}
        usage = message.usage
        read, written = usage.cache_read_input_tokens or 0, usage.cache_creation_input_tokens or 0
        counted = usage.input_tokens + read + written, read, usage.output_tokens
        return text, thought, calls, ends[str(message.stop_reason)], counted
    if front == RESPONSES:
        response = Response.model_validate(body)
        thought = "".join(part.text for item in response.output if item.type == "reasoning" for part in item.summary)
        called = [
            (item.call_id, item.name, json.loads(item.arguments))
            for item in response.output
            if item.type == "function_call"
        ]
        ended = "calls" if called else "end"
        if response.status == "incomplete":
            assert response.incomplete_details is not None
            ended = {"max_output_tokens": "length"}[str(response.incomplete_details.reason)]
        used = response.usage
        assert used is not None
        counted = used.input_tokens, used.input_tokens_details.cached_tokens, used.output_tokens
        return response.output_text, thought, called, ended, counted
    choice = ChatCompletion.model_validate(body).choices[0]
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in body["choices"][0]["message"].get("tool_calls") or []
    ]
    thought = body["choices"][0]["message"].get("reasoning_content", "")
    matched = body["choices"][0].get("stop_reason")
    ends = {"stop": matched or "end", "tool_calls": "calls", "length": "length"}
    used = body["usage"]
    counted = used["prompt_tokens"], used["prompt_tokens_details"]["cached_tokens"], used["completion_tokens"]
    return choice.message.content, thought, calls, ends[choice.finish_reason], counted


def whole_of(front: str, stream: str) -> dict[str, Any]:
    """What the SDK makes of a stream, with the `arbiter` object."""
    events = [json.loads(line[5:]) for line in stream.splitlines() if line.startswith("data:") and "[DONE]" not in line]
    if front == MESSAGES:
        snapshot: Any = None
        buffers: dict[int, bytes] = {}
        for one in events:
            if one["type"] != "ping":
                event = adapter(anthropic.types.RawMessageStreamEvent).validate_python(one)
                snapshot = accumulate_event(
                    event=event, current_snapshot=snapshot, json_bufs=buffers, output_format=anthropic.NOT_GIVEN
                )
        assert events[-1]["type"] == "message_stop"
        arbiter = next(one["arbiter"] for one in events if one["type"] == "message_delta")
        return {**json.loads(snapshot.model_dump_json()), "arbiter": arbiter}
    if front == RESPONSES:
        for number, one in enumerate(events):
            adapter(ResponseStreamEvent).validate_python(one)
            assert one["sequence_number"] == number
        last: dict[str, Any] = events[-1]["response"]
        return last
    texts: dict[str, str] = {}
    calls: dict[int, dict[str, Any]] = {}
    finish = None
    for one in events:
        ChatCompletionChunk.model_validate(one)
        for choice in one["choices"]:
            finish = choice["finish_reason"] or finish
            for name in ("content", "reasoning_content"):
                texts[name] = texts.get(name, "") + (choice["delta"].get(name) or "")
            for call in choice["delta"].get("tool_calls") or []:
                known = calls.setdefault(
                    call["index"], {"id": call.get("id"), "function": {"name": "", "arguments": ""}}
                )
                for name in ("name", "arguments"):
                    known["function"][name] += call["function"].get(name) or ""
    message = {"role": "assistant", **texts, "tool_calls": [{"type": "function", **calls[at]} for at in sorted(calls)]}
    end = {"index": 0, "message": message, "finish_reason": finish}
    head = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}
    return {**head, "choices": [end], "usage": events[-1]["usage"], "arbiter": events[-1]["arbiter"]}


# What runtimes hear.


def heard_by(wire: str, case: str, body: dict[str, Any]) -> None:
    """What the case is about stands in the request in the runtime's own words."""
    if case == "images":
        shown = {
            CHAT: lambda: body["messages"][0]["content"][1]["image_url"]["url"],
            MESSAGES: lambda: "data:image/png;base64," + body["messages"][0]["content"][1]["source"]["data"],
            RESPONSES: lambda: body["input"][0]["content"][1]["image_url"],
        }
        assert shown[wire]() == PNG
    if case == "JSON schema":
        schema = {
            CHAT: lambda: body["response_format"]["json_schema"]["schema"],
            MESSAGES: lambda: body["output_config"]["format"]["schema"],
            RESPONSES: lambda: body["text"]["format"]["schema"],
        }
        assert schema[wire]() == SCHEMA
    if case == "thinking":
        asked = {
            CHAT: lambda: body["reasoning_effort"],
            MESSAGES: lambda: {2_048: "low"}[body["thinking"]["budget_tokens"]],
            RESPONSES: lambda: body["reasoning"]["effort"],
        }
        assert asked[wire]() == "low"
    if case == "stop":
        assert body["stop_sequences" if wire == MESSAGES else "stop"] == ["END"]
    if case in ("tools", "stream", "parallel tools"):
        tool = body["tools"][0]
        assert (tool["function"] if wire == CHAT else tool)["name"] == "weather"
    if case == "parallel tools":
        if wire == MESSAGES:
            results = [one["tool_use_id"] for one in body["messages"][2]["content"]]
        elif wire == RESPONSES:
            results = [one["call_id"] for one in body["input"][-2:]]
        else:
            results = [one["tool_call_id"] for one in body["messages"][-2:]]
        assert sorted(results) == ["call_0", "call_1"]
        assert wire == CHAT or results == ["call_0", "call_1"]


Runtimes = dict[str, Stranger]


@pytest.fixture(scope="module")
def runtimes() -> Iterator[Runtimes]:
    with stranger() as chat, stranger() as claude, stranger() as gpt:
        chat.listing = lambda: jsoned({"data": [{"id": MODELS[CHAT]}]})
        claude.listing = lambda: jsoned({"data": [{"type": "model", "id": MODELS[MESSAGES]}], "has_more": False})
        gpt.listing = lambda: jsoned({"data": [{"id": MODELS[RESPONSES]}]})
        yield {CHAT: chat, MESSAGES: claude, RESPONSES: gpt}


@pytest.fixture(scope="module")
def over(runtimes: Runtimes, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("over")
    path = directory / "catalog.toml"
    path.write_text(CATALOG.format(claude=runtimes[MESSAGES].url, gpt=runtimes[RESPONSES].url))
    parts = dict.fromkeys(("BASELINE_MODEL", "ARBITER_CLASSIFIER_MODEL", "ARBITER_JUDGE_MODEL"), MODELS[CHAT])
    quiet = {"ARBITER_JUDGE_SAMPLE": "0", "ARBITER_CASCADE": "0", "ARBITER_CATALOG": str(path)}
    keys = {"CLAUDE_KEY": "key-of-claude-0123", "GPT_KEY": "key-of-gpt-0123456"}
    with running(directory, **runtimes[CHAT].settings, **keys, **parts, **quiet) as one:
        yield one


@pytest.fixture(autouse=True)
def fresh(over: Running, runtimes: Runtimes) -> None:
    """No cell knows of another."""

    async def forget() -> None:
        over.arbiter.memory.forget()

    over.run(forget)
    for one in runtimes.values():
        one.heard.clear()


every = [(front, wire) for front in FRONTS for wire in MODELS]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(("front", "wire"), every)
def test_a_cell(over: Running, runtimes: Runtimes, front: str, wire: str, case: str) -> None:
    asked = CASES[case]
    runtimes[wire].say = lambda body: said_by(wire, asked.answer, streamed=asked.streamed)
    answer = over.http.post(PATHS[front], json=asked_by(front, wire, asked))
    if case == "stop" and wire == RESPONSES and front != RESPONSES:
        error = answer.json()["error"]
        assert (answer.status_code, error["param"]) == (400, "stop")
        assert "stop sequence" in error["message"] and runtimes[wire].heard == []
        return
    assert answer.status_code == 200, answer.text
    body = whole_of(front, answer.text) if asked.streamed else answer.json()
    heard = json.loads(runtimes[wire].last)
    assert (heard["model"], body["arbiter"]["model"]) == (MODELS[wire], MODELS[wire])
    assert not any(name.startswith("arbiter") for name in heard)
    text, thought, calls, ended, usage = asked.answer.seen
    if case == "stop" and (wire == CHAT or front == RESPONSES):
        ended = "end"  # a chat does not say at which sequence it ended, a response not even that it did
    assert seen_by(front, body) == (text, thought, calls, ended, usage)
    dropped = [] if front == wire else list(UNCARRIED[front])
    assert body["arbiter"].get("dropped", []) == dropped
    if not (case == "stop" and front == RESPONSES):
        heard_by(wire, case, heard)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("front", "wire"), every)
def test_what_a_runtime_refuses_is_an_error_in_the_callers_shape(
    over: Running, runtimes: Runtimes, front: str, wire: str, streamed: bool
) -> None:
    said = {"type": "invalid_request_error", "message": "The picture of the cat is upside down."}
    runtimes[wire].say = lambda body: jsoned({"type": "error", "error": said}, 400)
    answer = over.http.post(PATHS[front], json={**asked_by(front, wire, CASES["plain"]), "stream": streamed})
    error = answer.json()["error"]
    assert (answer.status_code, error["message"]) == (400, said["message"])
    assert (answer.json().get("type") == "error") == (front == MESSAGES)


@pytest.mark.parametrize(("front", "wire"), every)
def test_a_stream_that_breaks_ends_in_the_callers_shape(
    over: Running, runtimes: Runtimes, front: str, wire: str
) -> None:
    def cut(body: bytes) -> Said:
        status, kind, data = said_by(wire, Answer("Rain in Oslo."), streamed=True)
        events = data.split(b"\n\n")
        return status, kind, b"\n\n".join(events[: len(events) // 3]) + b"\n\n"

    runtimes[wire].say = cut
    stream = over.http.post(PATHS[front], json={**asked_by(front, wire, CASES["plain"]), "stream": True}).text
    events = [json.loads(line[5:]) for line in stream.splitlines() if line.startswith("data:")]
    assert "error" in events[-1] and "arbiter" not in stream
    if front == RESPONSES:
        assert [one["sequence_number"] for one in events] == list(range(len(events)))


@pytest.mark.parametrize("front", [MESSAGES, RESPONSES])
def test_what_is_said_in_the_runtimes_own_dialect_passes_as_it_came(
    over: Running, runtimes: Runtimes, front: str
) -> None:
    answer = Answer("Rain.", THOUGHT, 2)
    body = asked_by(front, front, Case(answer, asked={front: {**TOOLS[front], **THINKING[front]}}))
    more = {"context_management": {"edits": [{"type": "x", "n": 1.10}]}} if front == MESSAGES else {"max_tool_calls": 3}
    runtimes[front].say = lambda _: said_by(front, answer, streamed=False)
    told = over.http.post(PATHS[front], json={**body, **more}, headers={"anthropic-beta": "context-management"})
    heard, sent = json.loads(runtimes[front].last), {**body, **more}
    assert heard == {name: value for name, value in sent.items() if not name.startswith("arbiter_")} | {
        "model": MODELS[front]
    }
    came = json.loads(said_by(front, answer, streamed=False)[2])
    assert told.content.startswith(said_by(front, answer, streamed=False)[2][:-1])
    assert {name: value for name, value in told.json().items() if name != "arbiter"} == came
    assert runtimes[front].heads[-1][1].get("anthropic-beta") == ("context-management" if front == MESSAGES else None)


@pytest.mark.parametrize("front", [MESSAGES, RESPONSES])
def test_its_events_pass_as_they_came(over: Running, runtimes: Runtimes, front: str) -> None:
    answer = Answer("Rain.", THOUGHT, 2)
    body = asked_by(front, front, Case(answer, streamed=True, asked={front: {**TOOLS[front], **THINKING[front]}}))
    runtimes[front].say = lambda _: said_by(front, answer, streamed=True)
    stream = over.http.post(PATHS[front], json=body).content
    came = said_by(front, answer, streamed=True)[2].split(b"\n\n")
    ends = came.index(next(one for one in came if b"message_delta" in one or b"response.completed" in one))
    assert stream.split(b"\n\n")[:ends] == came[:ends]
    assert len(stream.split(b"\n\n")) == len(came)


BROUGHT_BACK = {
    CHAT: f'"reasoning_content":"{THOUGHT}"',
    MESSAGES: '"signature":"sig1"',
    RESPONSES: '"encrypted_content":"enc0"',
}


def test_reasoning_goes_back_to_the_model_that_made_it_whoever_the_caller_is(over: Running, runtimes: Runtimes) -> None:
    """Of a step in a tool loop: what the caller has got goes back, and to another model does not."""
    answer = Answer("", THOUGHT, 1)
    for front, wire in every:
        if front in (CHAT, wire):
            continue
        runtimes[wire].say = lambda _, wire=wire: said_by(wire, answer, streamed=False)  # type: ignore[misc]
        case = Case(answer, asked={front: {**TOOLS[front], **THINKING[front]}})
        first = asked_by(front, wire, case)
        told = over.http.post(PATHS[front], json=first).json()
        if front == MESSAGES:
            result = {"type": "tool_result", "tool_use_id": "call_0", "content": "Rain"}
            turn = [{"role": "assistant", "content": told["content"]}, {"role": "user", "content": [result]}]
            second = {**first, "messages": [*first["messages"], *turn]}
        else:
            output = {"type": "function_call_output", "call_id": "call_0", "output": "Rain"}
            second = {**first, "input": [*first["input"], *told["output"], output]}
        assert over.http.post(PATHS[front], json=second).status_code == 200
        heard = runtimes[wire].last.decode()
        assert BROUGHT_BACK[wire] in heard
        for other in MODELS:
            if other == wire:
                continue
            runtimes[other].say = lambda _, other=other: said_by(other, Answer("Rain."), streamed=False)  # type: ignore[misc]
            moved = over.http.post(PATHS[front], json={**second, "arbiter_pin": MODELS[other]})
            assert moved.status_code == 200, moved.text
            heard = runtimes[other].last.decode()
            assert not any(mark in heard for mark in ("sig1", "enc0", THOUGHT, "arbiter1:", "made_by"))


SIGNATURE = {MESSAGES: "sig1", RESPONSES: "enc0"}


def begun(over: Running, runtimes: Runtimes, dialect: str) -> dict[str, Any]:
    """A request that goes on from an answer that passed as it came, with what its model signed."""
    answer = Answer("", THOUGHT, 1)
    runtimes[dialect].say = lambda _: said_by(dialect, answer, streamed=False)
    first = asked_by(dialect, dialect, Case(answer, asked={dialect: {**TOOLS[dialect], **THINKING[dialect]}}))
    told = over.http.post(PATHS[dialect], json=first).json()
    if dialect == MESSAGES:
        result = {"type": "tool_result", "tool_use_id": "call_0", "content": "Rain"}
        turn = [{"role": "assistant", "content": told["content"]}, {"role": "user", "content": [result]}]
        return {**first, "messages": [*first["messages"], *turn]}
    output = {"type": "function_call_output", "call_id": "call_0", "output": "Rain"}
    return {**first, "input": [*first["input"], *told["output"], output]}


@pytest.mark.parametrize("dialect", [MESSAGES, RESPONSES])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_runtime_that_refuses_what_another_model_signed_is_asked_again_without_it(
    over: Running, runtimes: Runtimes, dialect: str, streamed: bool
) -> None:
    second = {**begun(over, runtimes, dialect), "stream": streamed}

    def say(body: bytes) -> Said:
        if SIGNATURE[dialect].encode() in body:
            said = {
                "type": "invalid_request_error",
                "message": "messages.1.content.0: Invalid `signature` in `thinking` block",
            }
            return jsoned({"type": "error", "error": said}, 400)
        return said_by(dialect, Answer("Rain."), streamed=streamed)

    runtimes[dialect].say = say
    answer = over.http.post(PATHS[dialect], json=second)
    body = whole_of(dialect, answer.text) if streamed else answer.json()
    assert seen_by(dialect, body)[0] == "Rain."
    assert body["arbiter"]["reason"].endswith("; asked again without what other models had signed")
    refused, answered = (json.loads(one) for one in runtimes[dialect].heard[-2:])
    history = "messages" if dialect == MESSAGES else "input"
    signed = refused[history][1]
    if dialect == MESSAGES:
        assert [block["type"] for block in answered[history][1]["content"]] == ["tool_use"]
    else:
        assert (signed["type"], [one["type"] for one in answered[history][1:]]) == (
            "reasoning",
            ["function_call", "function_call_output"],
        )
    assert {name: value for name, value in answered.items() if name != history} == {
        name: value for name, value in refused.items() if name != history
    }


@pytest.mark.parametrize("dialect", [MESSAGES, RESPONSES])
def test_what_goes_to_another_dialect_after_a_failure_is_translated_and_says_what_it_lost(
    over: Running, runtimes: Runtimes, dialect: str
) -> None:
    second = begun(over, runtimes, dialect)
    del second["arbiter_pin"]
    second["arbiter_models"] = [MODELS[dialect], MODELS[CHAT]]
    runtimes[dialect].say = lambda _: jsoned({"type": "error", "error": {"type": "api_error", "message": "Boom"}}, 500)
    runtimes[CHAT].say = lambda _: said_by(CHAT, Answer("Rain."), streamed=False)
    body = over.http.post(PATHS[dialect], json=second).json()
    assert (seen_by(dialect, body)[0], body["arbiter"]["model"]) == ("Rain.", MODELS[CHAT])
    lost = {MESSAGES: ["top_k", "messages.content.thinking"], RESPONSES: ["input.reasoning", "truncation"]}
    assert body["arbiter"]["dropped"] == lost[dialect]
    assert SIGNATURE[dialect] not in runtimes[CHAT].last.decode()


@pytest.mark.parametrize("streamed", [False, True])
def test_an_answer_of_the_runtimes_own_under_our_name_is_not_passed_on(
    over: Running, runtimes: Runtimes, streamed: bool
) -> None:
    def say(body: bytes) -> Said:
        status, kind, data = said_by(MESSAGES, Answer("Rain."), streamed=streamed)
        return status, kind, data.replace(b'"role": "assistant"', b'"role": "assistant", "arbiter": {"model": "mine"}')

    runtimes[MESSAGES].say = say
    case = Case(Answer("Rain."), streamed=streamed)
    answer = over.http.post(PATHS[MESSAGES], json=asked_by(MESSAGES, MESSAGES, case))
    assert answer.status_code == 200 and "mine" not in answer.text and answer.text.count('"arbiter"') == 1
    body = whole_of(MESSAGES, answer.text) if streamed else answer.json()
    assert (seen_by(MESSAGES, body)[0], body["arbiter"]["model"]) == ("Rain.", MODELS[MESSAGES])


HOSTED: dict[str, list[dict[str, Any]]] = {
    MESSAGES: [{"type": "web_search_20250305", "name": "web_search", "max_uses": 2}],
    RESPONSES: [{"type": "web_search"}, {"type": "code_interpreter", "container": {"type": "auto"}}],
}


def searched(dialect: str, *, streamed: bool) -> Said:
    """An answer of a model that has searched by the tool of its provider."""
    if dialect == MESSAGES:
        use = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "Oslo"}}
        result = {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": []}
        whole = messages.message([use, result, {"type": "text", "text": "Rain."}], stop_reason="end_turn")
        return framed(messages.events_of(whole)) if streamed else jsoned(whole)
    call = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "O"}}
    done = responses.response([call, responses.said("Rain.")])
    return framed(responses.events_of(done)) if streamed else jsoned(done)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("dialect", [MESSAGES, RESPONSES])
def test_hosted_tools_go_to_the_models_whose_runtime_has_them(
    over: Running, runtimes: Runtimes, dialect: str, streamed: bool
) -> None:
    asked = asked_by(dialect, dialect, Case(Answer("Rain."), streamed=streamed, asked={dialect: {}}))
    asked |= {"tools": HOSTED[dialect]}
    del asked["arbiter_pin"]
    runtimes[dialect].say = lambda _: searched(dialect, streamed=streamed)
    answer = over.http.post(PATHS[dialect], json=asked)
    assert answer.status_code == 200, answer.text
    body = whole_of(dialect, answer.text) if streamed else answer.json()
    kinds = [one["type"] for one in body["content" if dialect == MESSAGES else "output"]]
    assert kinds[0] in ("server_tool_use", "web_search_call") and seen_by(dialect, body)[0] == "Rain."
    assert (body["arbiter"]["model"], body["arbiter"]["eligible_models"]) == (MODELS[dialect], 1)
    assert "dropped" not in body["arbiter"]
    heard = json.loads(runtimes[dialect].last)
    assert heard["tools"] == HOSTED[dialect] and not any(name.startswith("arbiter") for name in heard)


@pytest.mark.parametrize("dialect", [MESSAGES, RESPONSES])
def test_hosted_tools_are_refused_where_no_runtime_has_them(over: Running, runtimes: Runtimes, dialect: str) -> None:
    asked = asked_by(dialect, CHAT, CASES["plain"]) | {"tools": HOSTED[dialect]}
    answer = over.http.post(PATHS[dialect], json=asked)
    assert answer.status_code == 400 and "that may serve this has it" in answer.json()["error"]["message"]
    assert all(not one.heard for one in runtimes.values())


@pytest.mark.parametrize("dialect", [MESSAGES, RESPONSES])
def test_to_fill_a_cache_goes_to_a_runtime_that_has_one_and_teaches_nothing(
    over: Running, runtimes: Runtimes, dialect: str
) -> None:
    warm: dict[str, Any] = {MESSAGES: {"max_tokens": 0}, RESPONSES: {"prompt_cache_options": {"prewarm": True}}}[
        dialect
    ]
    asked = asked_by(dialect, dialect, CASES["plain"]) | warm
    del asked["arbiter_pin"]
    runtimes[dialect].say = lambda _: said_by(dialect, Answer(""), streamed=False)
    answer = over.http.post(PATHS[dialect], json=asked)
    assert answer.status_code == 200, answer.text
    told = answer.json()["arbiter"]
    assert (told["model"], told["eligible_models"]) == (MODELS[dialect], 1)
    assert (told["quality"], told["quality_reason"]) == (None, "no answer was asked for")
    assert warm.items() <= json.loads(runtimes[dialect].last).items()
    refused = over.http.post(PATHS[dialect], json={**asked, "arbiter_pin": MODELS[CHAT]})
    assert refused.status_code == 400 and "asks for no answer" in refused.json()["error"]["message"]


@pytest.mark.parametrize("dialect", [MESSAGES, RESPONSES])
def test_hosted_tools_go_to_nobody_else_after_a_failure(over: Running, runtimes: Runtimes, dialect: str) -> None:
    asked = asked_by(dialect, dialect, CASES["plain"]) | {"tools": HOSTED[dialect]}
    del asked["arbiter_pin"]
    runtimes[dialect].say = lambda _: jsoned({"type": "error", "error": {"type": "api_error", "message": "Boom"}}, 500)
    assert over.http.post(PATHS[dialect], json=asked).status_code == 502
    assert all(not one.heard for wire, one in runtimes.items() if wire != dialect)


def test_what_a_hosted_tool_left_in_the_history_stays_with_the_runtime_that_has_it(
    over: Running, runtimes: Runtimes
) -> None:
    run = {"type": "code_interpreter_call", "id": "ci_1", "status": "completed", "code": "1+1", "container_id": "c"}
    asked = asked_by(RESPONSES, RESPONSES, CASES["plain"])
    asked["input"] = [*asked["input"], run, {"role": "user", "content": "And now?"}]
    runtimes[RESPONSES].say = lambda _: said_by(RESPONSES, Answer("Rain."), streamed=False)
    answer = over.http.post(PATHS[RESPONSES], json=asked)
    assert answer.status_code == 200, answer.text
    assert json.loads(runtimes[RESPONSES].last)["input"][1] == run
    refused = over.http.post(PATHS[RESPONSES], json={**asked, "arbiter_pin": MODELS[CHAT]})
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "input[1].type")
