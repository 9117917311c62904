"""Whatever a runtime's answer looks like, every client can read what Arbiter makes of it, and nothing of it is lost."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.conftest import OPERATOR, Running, running
from tests.stranger import Stranger, chunk, plain, stream

ASK = [{"role": "user", "content": "Tell me of the sea."}]
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}
ROLE = chunk({"role": "assistant", "content": ""})
END = chunk({}, "stop")
FORGED = {"decision_id": "forged", "cost": 0}


@pytest.fixture(scope="module")
def over(runtime: Stranger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """An Arbiter over that runtime."""
    with running(tmp_path_factory.mktemp("over"), **runtime.settings) as one:
        yield one


def ask(over: Running, **fields: Any) -> bytes:
    """The answer's bytes."""
    body = {"messages": ASK, "arbiter_pin": "gpt-4o", "arbiter_no_cache": True, **fields}
    answer = over.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200, answer.text
    return answer.content


def events(raw: bytes) -> list[dict[str, Any]]:
    """The chunks of a stream that is what every client expects."""
    assert raw.endswith(b"data: [DONE]\n\n") and raw.count(b"[DONE]") == 1
    lines = raw.removesuffix(b"data: [DONE]\n\n").decode().split("\n\n")[:-1]
    assert all(line.startswith("data: ") and "\n" not in line for line in lines)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    return [json.loads(line[6:], parse_constant=refuse) for line in lines]


CONTENT = chunk({"content": "Blue."})
SHAPES: dict[str, list[dict[str, Any] | bytes]] = {
    "well formed": [ROLE, CONTENT, END],
    "usage in a chunk of its own": [ROLE, CONTENT, END, {**ROLE, "choices": [], "usage": USAGE}],
    "usage on the finish chunk": [ROLE, CONTENT, {**END, "usage": USAGE}],
    "usage twice": [ROLE, CONTENT, {**END, "usage": USAGE}, {**ROLE, "choices": [], "usage": USAGE}],
    "usage in every chunk": [{**one, "usage": USAGE} for one in (ROLE, CONTENT, END)],
    "usage as Groq says it": [ROLE, CONTENT, {**END, "x_groq": {"id": "req_1", "usage": USAGE}}],
    "usage on the choice, as Moonshot says it": [ROLE, CONTENT, {**END, "choices": [{**END["choices"][0], "usage": USAGE}]}],
    "usage before the finish": [ROLE, CONTENT, {**ROLE, "choices": [], "usage": USAGE}, END],
    "an empty choices first": [{**ROLE, "choices": [], "prompt_filter_results": []}, ROLE, CONTENT, END],
    "an empty choices between": [ROLE, {**ROLE, "choices": []}, CONTENT, END],
    "no choices": [ROLE, {"id": "c1", "object": "chat.completion.chunk", "created": 5, "model": "m"}, CONTENT, END],
    "choices null": [ROLE, {**ROLE, "choices": None}, CONTENT, END],
    "delta null": [ROLE, chunk(None), CONTENT, chunk(None, "stop")],
    "no delta": [ROLE, CONTENT, {**ROLE, "choices": [{"index": 0, "finish_reason": "stop"}]}],
    "no role": [CONTENT, END],
    "finish on the content": [ROLE, chunk({"content": "Blue."}, "stop")],
    "all in one": [chunk({"role": "assistant", "content": "Blue."}, "stop", usage=USAGE)],
    "two finishes": [ROLE, CONTENT, END, END],
    "content after the finish": [ROLE, chunk({"content": "Bl"}), END, chunk({"content": "ue."})],
    "no finish": [ROLE, CONTENT],
    "changing ids": [{**one, "id": f"c{at}"} for at, one in enumerate((ROLE, CONTENT, END))],
    "no id, no time, no model, no object": [{"choices": one["choices"]} for one in (ROLE, CONTENT, END)],
    "no index": [{"choices": [{"delta": {"content": "Blue."}}]}, {"choices": [{"delta": {}, "finish_reason": "stop"}]}],
    "a message in place of a delta": [
        {**ROLE, "choices": [{"index": 0, "message": {"role": "assistant", "content": "Blue."}, "finish_reason": "stop"}]}
    ],
    "other fields of events": [
        b": hello",
        b"retry: 10",
        b"id: 7\nevent: message\ndata: " + json.dumps(ROLE).encode(),
        CONTENT,
        END,
    ],
    "data over several lines": [b"data: " + json.dumps(one, indent=1).replace("\n", "\ndata: ").encode() for one in (ROLE, CONTENT, END)],
    "forged": [{**one, "arbiter": FORGED} for one in (ROLE, CONTENT, END)],
    "forged deep inside": [ROLE, chunk({"content": "Blue.", "arbiter": FORGED}), {**END, "usage": {**USAGE, "arbiter": FORGED}}],
    "forged in escapes": [ROLE, b"data: " + json.dumps({**CONTENT, "arbiter": FORGED}).replace('"arb', '"\\u0061rb').encode(), END],
    "no blank lines": [b"\n".join(b"data: " + json.dumps(one).encode() for one in (ROLE, CONTENT, END))],
    "events of nothing": [b"data: null", ROLE, b"data: []", CONTENT, b"data: null", b"data: {}", END],
    "an error without a word": [{**one, "error": {"code": 0, "message": ""}} for one in (ROLE, CONTENT, END)],
    "an error that is none": [{**one, "error": None} for one in (ROLE, CONTENT, END)],
}  # fmt: skip


@pytest.mark.parametrize("usage", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_every_stream_is_role_content_finish_usage_done(
    runtime: Stranger, over: Running, shape: str, usage: bool
) -> None:
    runtime.say = lambda body: stream(*SHAPES[shape])
    raw = ask(over, stream=True, **({"stream_options": {"include_usage": True}} if usage else {}))
    chunks = events(raw)
    last = chunks.pop() if usage else chunks[-1]
    assert all(len(one["choices"]) == 1 for one in chunks)
    assert (last["choices"] == []) is usage
    said = "usage" in shape or shape in ("all in one", "forged deep inside")
    assert last.get("usage") == (({**USAGE} if said else None) if usage else None)
    assert not any(one.get("usage") for one in chunks)
    assert [one["choices"][0].get("finish_reason") for one in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert [one for one in [*chunks, last] if "arbiter" in one] in ([last], [last, last])
    assert raw.count(b'"arbiter":{') == 1 and last["arbiter"]["decision_id"].startswith("d_")
    assert {(one["object"], one["id"]) for one in [*chunks, last]} == {("chat.completion.chunk", chunks[0]["id"])}
    assert all(one["id"] and type(one["created"]) is int and isinstance(one["model"], str) for one in [*chunks, last])
    deltas = [one["choices"][0]["delta"] for one in chunks]
    assert deltas[0]["role"] == "assistant" and b'"error":{' not in raw
    assert "".join(delta.get("content") or "" for delta in deltas) == "Blue."


@pytest.mark.parametrize("shape", SHAPES)
def test_the_loop_of_every_quick_start_reads_every_stream(runtime: Stranger, over: Running, shape: str) -> None:
    runtime.say = lambda body: stream(*SHAPES[shape])
    with openai.OpenAI(base_url=f"{over.url}/v1", api_key=OPERATOR, max_retries=0) as client:
        told = client.chat.completions.create(
            model="auto", messages=ASK, stream=True, extra_body={"arbiter_no_cache": True}
        )
        assert "".join(one.choices[0].delta.content or "" for one in told) == "Blue."


def test_every_choice_of_several_has_its_own_chunks(runtime: Stranger, over: Running) -> None:
    both = {**ROLE, "choices": [{"index": at, "delta": {"content": text}} for at, text in enumerate("ab")]}
    ends = {**ROLE, "choices": [{"index": at, "delta": {}, "finish_reason": "stop"} for at in (0, 1)]}
    runtime.say = lambda body: stream(both, ends)
    chunks = events(ask(over, stream=True, n=2))
    assert all(len(one["choices"]) == 1 for one in chunks)
    said = [(one["choices"][0]["index"], one["choices"][0]["delta"].get("content")) for one in chunks]
    assert said == [(0, "a"), (1, "b"), (0, None), (1, None)]
    assert "arbiter" in chunks[-1] and not any("arbiter" in one for one in chunks[:-1])


ODD = {
    "an emoji in two escapes": (b'"\\ud83d"', b'"\\ude00"', "\U0001f600"),
    "a lone half": (b'"\\ud83d"', b'"x"', "\ud83dx"),
    "invalid utf-8": (b'"a\xff"', b'"b"', "a\ufffdb"),
    "a control character": (b'"a\x00b"', b'"c"', "a\x00bc"),
    "a line separator": ('"a\u2028b"'.encode(), b'"c"', "a\u2028bc"),
    "a megabyte": (b'"' + b"x" * 1_000_000 + b'"', b'"y"', "x" * 1_000_000 + "y"),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("ending", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
def test_odd_bytes_are_no_reason_to_lose_an_answer(runtime: Stranger, over: Running, name: str, ending: bytes) -> None:
    *said, expected = ODD[name]
    raws = [json.dumps(chunk({"content": "?"})).encode().replace(b'"?"', one) for one in said]  # type: ignore[arg-type]
    _, kind, whole = stream(*[b"data: " + raw for raw in raws], END)
    runtime.say = lambda body: (200, kind, b"\xef\xbb\xbf" + whole.replace(b"\n", ending))
    chunks = events(ask(over, stream=True))
    told = "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks)
    assert told.encode("utf-16", "surrogatepass") == expected.encode("utf-16", "surrogatepass")
    assert chunks[-1]["arbiter"]["model"] == "gpt-4o"
    stored = over.http.get(f"/v1/decisions/{chunks[-1]['arbiter']['decision_id']}").json()
    assert stored["status"] == "ok"


NUMBERS = (
    b"1.10", b"1e2", b"-0", b"0.1000000000000000055", b"18446744073709551616", b"1e999", b"-1e999", b"1.0E+2", b"9" * 500
)  # fmt: skip


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number[:24].decode())
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_numbers_arrive_as_they_were_written(runtime: Stranger, over: Running, number: bytes, streamed: bool) -> None:
    logprobs = {"logprobs": {"content": [{"token": "a", "logprob": "?", "bytes": None}]}}

    def say(body: bytes) -> tuple[int, str, bytes]:
        if streamed:
            first = {**CONTENT, "choices": [{**CONTENT["choices"][0], **logprobs}]}
            status, kind, data = stream(ROLE, first, END)
        else:
            status, kind, data = plain(metadata=logprobs)
        return status, kind, data.replace(b'"?"', number)

    runtime.say = say
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "minimum": "?"}}}
    body = {"messages": ASK, "arbiter_pin": "gpt-4o", "arbiter_max_latency": 50, "seed": "?", "stream": streamed}
    sent = json.dumps({**body, "tools": [tool]}, indent=1).encode().replace(b'"?"', number)
    answer = over.http.post("/v1/chat/completions", content=sent)
    assert answer.status_code == 200, answer.text
    heard = next(one for one in reversed(runtime.heard) if b'"seed"' in one)
    assert b'"seed":' + number in heard and b'"minimum": ' + number in heard
    assert b"arbiter_" not in heard and json.loads(heard)["model"] == "gpt-4o"
    assert b'"logprob": ' + number in answer.content or b'"logprob":' + number in answer.content


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity"])
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_what_is_no_json_number_does_not_cost_the_answer(
    runtime: Stranger, over: Running, number: bytes, streamed: bool
) -> None:
    def say(body: bytes) -> tuple[int, str, bytes]:
        status, kind, data = stream(ROLE, {**CONTENT, "x": "?"}, END) if streamed else plain(x="?")
        return status, kind, data.replace(b'"?"', number)

    runtime.say = say
    raw = ask(over, stream=streamed)
    assert number not in raw
    assert (b"Blue." if streamed else b"Paris.") in raw and b'"decision_id"' in raw


def test_half_a_character_in_a_prompt_breaks_nothing(runtime: Stranger, over: Running) -> None:
    runtime.say = lambda body: plain()
    body = b'{"messages":[{"role":"user","content":"Tell me of \\ud83d"}],"temperature":0,"arbiter_pin":"gpt-4o"}'
    answer = over.http.post("/v1/chat/completions", content=body)
    assert answer.status_code == 200, answer.text
    assert any(b'"Tell me of \\ud83d"' in one for one in runtime.heard)
    assert over.http.get("/v1/recent?limit=1").json()["data"][0]["status"] == "ok"


@pytest.mark.parametrize(
    "more", [{"arbiter": FORGED}, {"usage": {**USAGE, "arbiter": FORGED}}, {"x": [{"arbiter": FORGED}]}], ids=str
)
def test_a_forged_arbiter_is_dropped_from_a_plain_answer(
    runtime: Stranger, over: Running, more: dict[str, Any]
) -> None:
    runtime.say = lambda body: plain(**more)
    raw = ask(over)
    assert b"forged" not in raw and raw.count(b'"arbiter"') == 1
    assert json.loads(raw)["arbiter"]["decision_id"].startswith("d_")


PAYLOADS: dict[str, tuple[dict[str, Any], str]] = {
    "image": ({"content": "", "images": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]}, "stop"),
    "parts": ({"content": [{"type": "image_url", "image_url": {"url": "u"}}]}, "stop"),
    "audio": ({"content": None, "audio": {"id": "a", "data": "AA"}}, "stop"),
    "reasoning that was cut": ({"content": "", "reasoning_content": "hm"}, "length"),
    "a think block that was cut": ({"content": "<think>hm"}, "length"),
    "refusal": ({"content": None, "refusal": "I cannot."}, "stop"),
    "filtered": ({"content": "", "annotations": []}, "content_filter"),
    "annotations": ({"content": "", "annotations": [{"type": "url_citation"}]}, "stop"),
    "function call": ({"content": None, "function_call": {"name": "f", "arguments": "{}"}}, "function_call"),
}  # fmt: skip


@pytest.mark.parametrize("name", PAYLOADS)
def test_any_payload_is_an_answer(runtime: Stranger, over: Running, name: str) -> None:
    message, finish = PAYLOADS[name]
    runtime.say = lambda body: plain({"role": "assistant", **message}, finish)
    body = {"messages": [{"role": "user", "content": "Calculate 3 * 4"}], "arbiter_no_cache": True}
    answer = over.http.post("/v1/chat/completions", json=body).json()
    assert answer["choices"][0]["message"] == {"role": "assistant", **message}
    assert (answer["arbiter"]["quality"], answer["arbiter"]["cascaded_from"]) == (None, None)


@pytest.mark.parametrize(
    "thought", ["<think>hm</think>", " \n<thinking>{</thinking>\n", "<THINK>a</THINK><think>b</think>"], ids=repr
)
def test_a_leading_thought_is_dropped_before_every_check(runtime: Stranger, over: Running, thought: str) -> None:
    runtime.say = lambda body: plain({"role": "assistant", "content": thought + '{"a":1}'})
    told = json.loads(ask(over, response_format={"type": "json_object"}))
    assert told["arbiter"]["quality"] == 1.0
    assert told["choices"][0]["message"]["content"].startswith(thought)


WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def call_of(number: int, arguments: Any) -> dict[str, Any]:
    """A call as it is in a whole answer."""
    return {"id": f"call_{number}", "type": "function", "function": {"name": "get_weather", "arguments": arguments}}


@pytest.mark.parametrize("usage", [False, True])
def test_two_calls_with_ids_and_no_index_are_two_calls(runtime: Stranger, over: Running, usage: bool) -> None:
    calls = [call_of(1, '{"city":"Oslo"}'), call_of(2, '{"city":"Rome"}')]
    runtime.say = lambda body: stream(ROLE, *[chunk({"tool_calls": [one]}) for one in calls], chunk({}, "tool_calls"))
    more = {"stream_options": {"include_usage": True}} if usage else {}
    chunks = events(ask(over, stream=True, tools=[WEATHER], **more))
    told = [piece for one in chunks for choice in one["choices"] for piece in choice["delta"].get("tool_calls") or ()]
    assert told == [{**one, "index": at} for at, one in enumerate(calls)]
    assert (chunks[-1]["arbiter"]["quality"], chunks[-1]["arbiter"]["quality_reason"][:12]) == (1.0, "2 tool calls")


def piece(name: str | None = None, arguments: str | None = None, **more: Any) -> dict[str, Any]:
    """A piece of the first call of a stream."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    return chunk({"tool_calls": [{"index": 0, **more, "function": function}]})


ARGUMENTS = piece(None, '{"city":"Oslo"}')
NAMES_IN_PIECES = {
    "without an id": [piece("get_", ""), piece("weather", ""), ARGUMENTS],
    "with an id": [piece("get_", "", id="a"), piece("weather", "", id="a"), ARGUMENTS],
    "with an id at first": [piece("get_", "", id="a"), piece("weather"), ARGUMENTS],
    "without a number": [chunk({"tool_calls": [{"function": {"name": one}}]}) for one in ("get_", "weather")]
    + [ARGUMENTS],
    "told anew as it grows": [
        piece("get_", id="a"),
        piece("get_weather", id="a"),
        piece("get_weather", '{"city":"Oslo"}'),
    ],
    "after the id": [chunk({"tool_calls": [{"index": 0, "id": "a"}]}), piece("get_weather", ""), ARGUMENTS],
    "after some arguments": [piece(None, '{"city":', id="a"), piece("get_weather", '"Oslo"}')],
}


@pytest.mark.parametrize("name", NAMES_IN_PIECES)
def test_a_name_of_a_call_may_come_in_pieces(runtime: Stranger, over: Running, name: str) -> None:
    runtime.say = lambda body: stream(ROLE, *NAMES_IN_PIECES[name], chunk({}, "tool_calls"))
    chunks = events(ask(over, stream=True, tools=[WEATHER]))
    pieces = [one for each in chunks for choice in each["choices"] for one in choice["delta"].get("tool_calls") or ()]
    joined = {
        key: "".join(one["function"].get(key) or "" for one in pieces if one["index"] == 0)
        for key in ("name", "arguments")
    }
    assert joined == {"name": "get_weather", "arguments": '{"city":"Oslo"}'} and {one["index"] for one in pieces} == {0}
    assert chunks[-1]["arbiter"]["quality"] == 1.0, chunks[-1]["arbiter"]["quality_reason"]
    own = {"name": "get_weather", "input_schema": WEATHER["function"]["parameters"]}
    body = {"messages": [{"role": "user", "content": "Weather?"}], "max_tokens": 99, "stream": True}
    told = over.http.post("/v1/messages", json={**body, "model": "auto", "tools": [own], "arbiter_no_cache": True}).text
    (begun,) = [one for one in events_in(told) if one["type"] == "content_block_start"]
    assert begun["content_block"]["name"] == "get_weather"
    body = {"input": "Weather?", "stream": True, "tools": [{"type": "function", **WEATHER["function"]}]}
    told = over.http.post("/v1/responses", json={**body, "arbiter_no_cache": True}).text
    calls = [one["item"] for one in events_in(told) if one["type"].startswith("response.output_item")]
    assert [one["name"] for one in calls] == ["get_weather"] * 2 and calls[1]["arguments"] == '{"city":"Oslo"}'


OSLO, ROME = '{"city":"Oslo"}', '{"city": "Rome", "at": {"at": "noon"}}'
THOUGHTS = {
    "type": "thinking",
    "thinking": [{"type": "text", "text": "It is wide. "}, {"type": "text", "text": "And blue."}],
}
ODD_MESSAGES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "parts": (
        {"content": [{"type": "text", "text": "Bl"}, {"type": "output_text", "text": "ue."}]},
        {"content": "Blue."},
    ),
    "thoughts, as Mistral has them": (
        {"content": [THOUGHTS, {"type": "text", "text": "Blue."}]},
        {"content": "Blue.", "reasoning_content": "It is wide. And blue."},
    ),
    "a part alone": ({"content": {"type": "text", "text": "Blue."}}, {"content": "Blue."}),
    "texts": ({"content": ["Bl", None, "ue."]}, {"content": "Blue."}),
    "a text and what it is drawn from, as Mistral has them": (
        {"content": [{"type": "text", "text": "Blue."}, {"type": "reference", "reference_ids": [1, 2]}]},
        {"content": "Blue."},
    ),
    "a number": ({"content": 42}, {"content": "42"}),
    "no calls": ({"content": "Blue.", "tool_calls": [None, 5]}, {"content": "Blue."}),
    "a call alone": ({"content": None, "tool_calls": "CALL"}, {"tool_calls": ["CALL"]}),
    "a picture": ({"content": [{"type": "image_url", "image_url": {"url": "data:,"}}]},) * 2,
}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", ODD_MESSAGES)
def test_what_is_said_in_another_form_is_told_in_that_of_the_protocol(
    runtime: Stranger, over: Running, name: str, streamed: bool
) -> None:
    call = call_of(1, OSLO)
    said, right = (json.loads(json.dumps(one).replace('"CALL"', json.dumps(call))) for one in ODD_MESSAGES[name])
    finish = "tool_calls" if "tool_calls" in right else "stop"
    runtime.say = lambda body: (
        stream(ROLE, chunk({"role": "assistant", **said}), chunk({}, finish)) if streamed else plain(said, finish)
    )
    raw = ask(over, stream=streamed, tools=[WEATHER])
    if streamed:
        chunks = events(raw)
        choices = [choice for one in chunks for choice in one["choices"]]
        deltas = [choice["delta"] for choice in choices]
        told: dict[str, Any] = {}
        for key, value in ((key, value) for delta in deltas for key, value in delta.items() if value and key != "role"):
            told[key] = told[key] + value if key in told else value
        for one in told.get("tool_calls", []):
            assert one.pop("index") == 0
    else:
        choices = json.loads(raw)["choices"]
        told = {key: value for key, value in choices[0]["message"].items() if value and key != "role"}
    assert (told, choices[-1]["finish_reason"]) == (right, finish)


def test_usage_that_is_none_is_not_told(runtime: Stranger, over: Running) -> None:
    runtime.say = lambda body: plain(usage=[1, 2])
    assert "usage" not in json.loads(ask(over))


def grown(text: str, step: int) -> list[str]:
    """All of a text so far, again and again."""
    return [text[:end] for end in [*range(step, len(text), step), len(text)]]


SAYING = "The sea, the sea, the open sea: blue, fresh and free."
CALLS_AS_SNAPSHOTS: dict[str, list[dict[str, Any]]] = {
    "all so far": [piece("get_weather", one, id="a") for one in grown(OSLO, 3)],
    "all so far, named once": [piece("get_weather", "", id="a"), *[piece(None, one) for one in grown(OSLO, 4)]],
    "all so far, without an id": [piece("get_weather", one) for one in grown(OSLO, 3)],
    "all so far, without a number": [
        chunk({"tool_calls": [{"id": "a", "function": {"name": "get_weather", "arguments": one}}]})
        for one in grown(OSLO, 3)
    ],
    "all so far, another id each time": [
        piece("get_weather", one, id=f"a{at}") for at, one in enumerate(grown(OSLO, 3))
    ],
    "pieces, another id each time": [
        piece("get_weather", '{"ci', id="a1"),
        piece(None, 'ty":"O', id="a2"),
        piece(None, 'slo"}', id="a3"),
    ],
    "pieces, another id and the name each time": [
        piece("get_weather", '{"ci', id="a1"),
        piece("get_weather", 'ty":"O', id="a2"),
        piece("get_weather", 'slo"}', id="a3"),
    ],
    "pieces, the name each time, no number": [
        chunk({"tool_calls": [{"function": {"name": "get_weather", "arguments": one}}]})
        for one in ('{"ci', 'ty":"Oslo"}')
    ],
    "pieces, and all of it at the end": [
        piece("get_weather", "", id="a"),
        *[piece(None, OSLO[at : at + 2]) for at in range(0, len(OSLO), 2)],
        piece("get_weather", OSLO, id="a"),
    ],
    "all of it twice": [piece("get_weather", OSLO, id="a"), piece("get_weather", OSLO)],
    "as an object at the end": [piece("get_weather", OSLO, id="a"), piece(None, {"city": "Oslo"})],  # type: ignore[arg-type]
    "nothing first": [
        piece("get_weather", "{}", id="a"),
        *[piece(None, OSLO[at : at + 5]) for at in range(0, len(OSLO), 5)],
    ],
}
PAIRS_OF_CALLS: dict[str, list[dict[str, Any]]] = {
    "by turns": [
        chunk({"tool_calls": [{"index": at, "id": f"c{at}", "function": {"name": "get_weather", "arguments": ""}}]})
        for at in (0, 1)
    ]
    + [
        chunk({"tool_calls": [{"index": at, "function": {"arguments": text[cut : cut + 3]}}]})
        for cut in range(0, len(ROME), 3)
        for at, text in ((0, OSLO), (1, ROME))
        if text[cut : cut + 3]
    ],
    "by turns, all so far": [
        chunk(
            {
                "tool_calls": [
                    {"index": at, "id": f"c{at}", "function": {"name": "get_weather", "arguments": text[:end]}}
                ]
            }
        )
        for end in range(2, len(ROME) + 2, 2)
        for at, text in ((0, OSLO), (1, ROME))
    ],
    "counted from one": [
        chunk({"tool_calls": [{"index": at, "id": f"c{at}", "function": {"name": "get_weather", "arguments": text}}]})
        for at, text in ((1, OSLO), (2, ROME))
    ],
    "both with the number 0": [
        chunk({"tool_calls": [{"index": 0, "id": f"c{at}", "function": {"name": "get_weather", "arguments": one}}]})
        for at, text in ((1, OSLO), (2, ROME))
        for one in (text[:5], text[5:])
    ],
    "both with one id": [
        chunk({"tool_calls": [{"index": at, "id": "c", "function": {"name": "get_weather", "arguments": text}}]})
        for at, text in ((0, OSLO), (1, ROME))
    ],
    "both in each chunk, all so far": [
        chunk(
            {
                "tool_calls": [
                    {"index": at, "id": f"c{at}", "function": {"name": "get_weather", "arguments": text[:end]}}
                    for at, text in ((0, OSLO), (1, ROME))
                ]
            }
        )
        for end in range(4, len(ROME) + 4, 4)
    ],
}
TEXTS_AS_SNAPSHOTS: dict[str, list[dict[str, Any]]] = {
    "all so far": [chunk({"content": one}) for one in grown(SAYING, 6)],
    "all so far by letters": [chunk({"role": "assistant", "content": one}) for one in grown(SAYING, 1)],
    "pieces, and all of it with the end": [
        *[chunk({"content": SAYING[at : at + 7]}) for at in range(0, len(SAYING), 7)],
        chunk({"content": SAYING}, "stop"),
    ],
    "pieces, and all of it before the end": [
        *[chunk({"content": SAYING[at : at + 7]}) for at in range(0, len(SAYING), 7)],
        chunk({"role": "assistant", "content": SAYING}),
    ],
    "messages that grow": [
        {**ROLE, "choices": [{"index": 0, "message": {"role": "assistant", "content": one}, "finish_reason": None}]}
        for one in grown(SAYING, 9)
    ],
    "pieces, and a message at the end": [
        *[chunk({"content": SAYING[at : at + 7]}) for at in range(0, len(SAYING), 7)],
        {
            **ROLE,
            "choices": [{"index": 0, "message": {"role": "assistant", "content": SAYING}, "finish_reason": "stop"}],
        },
    ],
}


def said_to_all(over: Running, **more: Any) -> list[tuple[str, list[str]]]:
    """The text and the arguments of calls that callers of a chat, of Messages and of Responses get of one stream."""
    chunks = events(ask(over, stream=True, tools=[WEATHER], **more))
    deltas = [choice["delta"] for one in chunks for choice in one["choices"]]
    joined: dict[int, str] = {}
    for one in [one for delta in deltas for one in delta.get("tool_calls") or ()]:
        joined[one["index"]] = joined.get(one["index"], "") + one["function"]["arguments"]
    found = [("".join(delta.get("content") or "" for delta in deltas), [joined[at] for at in sorted(joined)])]
    own = {"name": "get_weather", "input_schema": WEATHER["function"]["parameters"]}
    body: dict[str, Any] = {"messages": ASK, "max_tokens": 99, "stream": True, "model": "auto", "tools": [own]}
    told = events_in(over.http.post("/v1/messages", json={**body, "arbiter_no_cache": True}).text)
    blocks: dict[int, list[str]] = {
        one["index"]: [one["content_block"]["type"]] for one in told if one["type"] == "content_block_start"
    }
    for one in told:
        if one["type"] == "content_block_delta":
            blocks[one["index"]].append(one["delta"].get("text") or one["delta"].get("partial_json") or "")
    text = "".join("".join(rest) for kind, *rest in blocks.values() if kind == "text")
    found.append((text, ["".join(rest) for kind, *rest in blocks.values() if kind == "tool_use"]))
    body = {"input": "Weather?", "stream": True, "tools": [{"type": "function", **WEATHER["function"]}]}
    told = events_in(over.http.post("/v1/responses", json={**body, "arbiter_no_cache": True}).text)
    text = "".join(one["delta"] for one in told if one["type"] == "response.output_text.delta")
    (ended,) = [one["response"] for one in told if one["type"] == "response.completed"]
    calls = [one["arguments"] for one in ended["output"] if one["type"] == "function_call"]
    pieces = "".join(one["delta"] for one in told if one["type"] == "response.function_call_arguments.delta")
    assert sorted(pieces) == sorted("".join(calls))
    return [*found, (text, calls)]


@pytest.mark.parametrize("name", [*CALLS_AS_SNAPSHOTS, *PAIRS_OF_CALLS])
def test_calls_are_told_once_however_their_pieces_come(runtime: Stranger, over: Running, name: str) -> None:
    pieces = CALLS_AS_SNAPSHOTS.get(name) or PAIRS_OF_CALLS[name]
    runtime.say = lambda body: stream(ROLE, *pieces, chunk({}, "tool_calls"))
    right = [OSLO] if name in CALLS_AS_SNAPSHOTS else [OSLO, ROME]
    assert said_to_all(over) == [("", right)] * 3


@pytest.mark.parametrize("name", TEXTS_AS_SNAPSHOTS)
def test_text_is_told_once_however_its_pieces_come(runtime: Stranger, over: Running, name: str) -> None:
    runtime.say = lambda body: stream(ROLE, *TEXTS_AS_SNAPSHOTS[name], *([] if "end" in name.split()[-1:] else [END]))
    assert said_to_all(over) == [(SAYING, [])] * 3


def events_in(text: str) -> list[dict[str, Any]]:
    """The data of a stream's events."""
    return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]


@pytest.mark.parametrize("streamed", [False, True])
def test_tokens_counted_in_text_are_numbers_to_the_caller_and_priced(
    runtime: Stranger, over: Running, streamed: bool
) -> None:
    usage = {"prompt_tokens": "10", "completion_tokens": "5", "prompt_tokens_details": {"cached_tokens": "4"}}
    last = {**chunk({}), "choices": [], "usage": usage}
    runtime.say = lambda body: (
        stream(chunk({"content": "Paris."}), chunk({}, "stop"), last)
        if b'"stream":true' in body
        else plain(usage=usage)
    )
    answer = ask(over, stream=streamed, **({"stream_options": {"include_usage": True}} if streamed else {}))
    told = events(answer)[-1] if streamed else json.loads(answer)
    assert told["usage"]["prompt_tokens"] == 10 and told["usage"]["completion_tokens"] == 5
    assert told["usage"]["prompt_tokens_details"] == {"cached_tokens": 4}
    assert told["arbiter"]["cost_state"] == "computed"


COUNTED: dict[str, dict[str, Any]] = {
    "Responses' names": {
        "input_tokens": 10,
        "output_tokens": 5,
        "total_tokens": 15,
        "input_tokens_details": {"cached_tokens": 4},
    },
    "Messages' names": {"input_tokens": 6, "output_tokens": 5, "cache_read_input_tokens": 4},
    "names of JavaScript": {"promptTokens": 10, "completionTokens": 5, "totalTokens": 15},
    "Bedrock's names": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
    "Gemini's names": {"promptTokenCount": 10, "candidatesTokenCount": 5, "totalTokenCount": 15},
    "no sum": {"prompt_tokens": 10, "completion_tokens": 5},
    "a sum alone of the answer": {"prompt_tokens": 10, "total_tokens": 15},
}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", COUNTED)
def test_what_was_used_is_told_as_every_client_of_chats_reads_it(
    runtime: Stranger, over: Running, name: str, streamed: bool
) -> None:
    last = {**chunk({}), "choices": [], "usage": COUNTED[name]}
    runtime.say = lambda body: (
        stream(chunk({"content": "Paris."}), chunk({}, "stop"), last)
        if b'"stream":true' in body
        else plain(usage=COUNTED[name])
    )
    answer = ask(over, stream=streamed, **({"stream_options": {"include_usage": True}} if streamed else {}))
    told = events(answer)[-1] if streamed else json.loads(answer)
    assert told["usage"] == COUNTED[name] | USAGE | (
        {"prompt_tokens_details": {"cached_tokens": 4}} if "Responses" in name else {}
    )
    assert told["arbiter"]["cost_state"] == "computed"


@pytest.mark.parametrize("streamed", [(True, True), (False, True), (False, False), (True, False)], ids=str)
def test_the_second_answer_to_the_same_has_all_that_the_first_had(
    runtime: Stranger, over: Running, streamed: tuple[bool, bool]
) -> None:
    signed = {**call_of(1, '{"city":"Oslo"}'), "extra_content": {"google": {"thought_signature": "SIGNED"}}}
    runtime.say = lambda body: (
        stream(chunk({"role": "assistant", "tool_calls": [{"index": 0, **signed}]}), chunk({}, "tool_calls"))
        if b'"stream":true' in body
        else plain({"role": "assistant", "content": None, "tool_calls": [signed]}, "tool_calls")
    )
    for one in streamed:
        body = {"messages": [{"role": "user", "content": f"Weather? {streamed}"}], "tools": [WEATHER], "temperature": 0}
        answer = over.http.post("/v1/chat/completions", json={**body, "stream": one})
        assert answer.status_code == 200
        assert answer.content.count(b"SIGNED") == 1


@pytest.mark.parametrize(
    ("arguments", "told", "quality"),
    [
        ({"city": "Oslo"}, '{"city":"Oslo"}', 1.0),
        ({"city": "Oslo", "n": 18446744073709551616}, '{"city":"Oslo","n":18446744073709551616}', 1.0),
        ({}, "{}", 0.0),
        (None, "{}", 0.0),
        ([1], "[1]", 0.0),
        ('{"city": "Oslo"}', '{"city": "Oslo"}', 1.0),
        ('"{\\"city\\": \\"Oslo\\"}"', '{"city": "Oslo"}', 1.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_arguments_of_a_whole_answer_are_text(
    runtime: Stranger, over: Running, arguments: Any, told: str, quality: float, streamed: bool
) -> None:
    calls = [call_of(1, arguments)]
    runtime.say = lambda body: plain({"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls")
    raw = ask(over, tools=[WEATHER], stream=streamed)
    if streamed:
        chunks = events(raw)
        pieces = [one for each in chunks for one in each["choices"][0]["delta"].get("tool_calls") or ()]
        whole = "".join(one["function"]["arguments"] for one in pieces)
        assert json.loads(whole) == json.loads(told)
        found = chunks[-1]["arbiter"]
    else:
        answer = json.loads(raw)
        assert answer["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == told
        found = answer["arbiter"]
    assert found["quality"] == quality


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_every_call_of_an_answer_has_an_id_of_its_own(runtime: Stranger, over: Running, streamed: bool) -> None:
    """Results are told apart by it."""
    calls = [call_of(1, OSLO), call_of(1, ROME)]
    numbered = [chunk({"tool_calls": [{"index": at, **one}]}) for at, one in enumerate(calls)]
    runtime.say = lambda body: (
        stream(ROLE, *numbered, chunk({}, "tool_calls"))
        if b'"stream":true' in body
        else plain({"role": "assistant", "content": None, "tool_calls": calls}, "tool_calls")
    )
    raw = ask(over, tools=[WEATHER], stream=streamed)
    choices = [one["choices"][0] for one in (events(raw) if streamed else [json.loads(raw)])]
    told = [call for one in choices for call in one.get("delta", one.get("message")).get("tool_calls") or ()]
    assert [one["id"] for one in told] == ["call_1", "call_1_1"]
    assert [json.loads(one["function"]["arguments"]) for one in told] == [json.loads(OSLO), json.loads(ROME)]


@pytest.mark.parametrize("streamed", [(True, True), (True, False), (False, True), (False, False)], ids=str)
def test_half_a_character_and_nan_at_the_very_start_pass(
    runtime: Stranger, over: Running, streamed: tuple[bool, bool]
) -> None:
    asked, answered = streamed

    def say(body: bytes) -> tuple[int, str, bytes]:
        first = {**chunk({"role": "assistant", "content": "?"}), "x": "!"}
        status, kind, data = stream(first, END) if answered else plain({"role": "assistant", "content": "?"}, x="!")
        return status, kind, data.replace(b'"?"', b'"a\\ud83dz"').replace(b'"!"', b"NaN")

    runtime.say = say
    raw = ask(over, stream=asked)
    one = events(raw)[0]["choices"][0]["delta"] if asked else json.loads(raw)["choices"][0]["message"]
    assert one["content"] in ("a\ud83dz", "a\ufffdz") and b"NaN" not in raw
