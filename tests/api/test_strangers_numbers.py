"""What runtimes state of usage, charges and errors inside answers, in the shapes that other gateways read wrongly."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.conftest import Running
from tests.stranger import Said, Stranger, chunk, plain, stream

ASK = [{"role": "user", "content": "Tell me of the sea. " * 400}]
MINI_IN, MINI_OUT, MINI_CACHED = 0.15e-6, 0.60e-6, 0.075e-6
USED = {"prompt_tokens": 2_000, "completion_tokens": 100}
LISTED = 2_000 * MINI_IN + 100 * MINI_OUT


def ask(over: Running, **fields: Any) -> httpx.Response:
    body = {"messages": ASK, "arbiter_no_cache": True, "arbiter_pin": "gpt-4o-mini", **fields}
    return over.http.post("/v1/chat/completions", json={key: one for key, one in body.items() if one is not None})


def told(answer: httpx.Response) -> dict[str, Any]:
    """The `arbiter` object of a plain or streamed answer."""
    assert answer.status_code == 200, answer.text
    if answer.headers["content-type"].startswith("text/event-stream"):
        lines = [line for line in answer.text.split("\n") if line.startswith("data: {")]
        assert '"error"' not in lines[-1], lines[-1]
        return dict(json.loads(lines[-1][6:])["arbiter"])
    return dict(answer.json()["arbiter"])


CACHED = 500 * MINI_IN + 1_500 * MINI_CACHED + 100 * MINI_OUT
USAGE: dict[str, tuple[dict[str, Any], float]] = {
    "OpenAI": ({**USED, "prompt_tokens_details": {"cached_tokens": 1_500}}, CACHED),
    "DeepSeek": ({**USED, "prompt_cache_hit_tokens": 1_500, "prompt_cache_miss_tokens": 500}, CACHED),
    "Kimi": ({**USED, "cached_tokens": 1_500}, CACHED),
    "LiteLLM of Anthropic": ({**USED, "cache_read_input_tokens": 1_500, "prompt_tokens_details": {"cached_tokens": 1_500}}, CACHED),
    "details null": ({**USED, "prompt_tokens_details": None, "cache_read_input_tokens": None}, LISTED),
    "cached 0 first": ({**USED, "prompt_tokens_details": {"cached_tokens": 0}, "prompt_cache_hit_tokens": 1_500}, CACHED),
    "names of the Responses API": ({"input_tokens": 2_000, "output_tokens": 100, "input_tokens_details": {"cached_tokens": 1_500}}, CACHED),
    "names of Anthropic": ({"input_tokens": 500, "output_tokens": 100, "cache_read_input_tokens": 1_500, "cache_creation_input_tokens": 0}, CACHED),
    "Anthropic's counts under OpenAI's names": ({"prompt_tokens": 500, "completion_tokens": 100, "cache_read_input_tokens": 1_500}, CACHED),
    "no completion": ({"prompt_tokens": 2_000, "total_tokens": 2_100}, LISTED),
    "floats": ({"prompt_tokens": 2_000.0, "completion_tokens": 100.0}, LISTED),
    "reasoning beside the completion (xAI)": (
        {"prompt_tokens": 2_000, "completion_tokens": 10, "total_tokens": 2_100, "completion_tokens_details": {"reasoning_tokens": 90}},
        LISTED,
    ),
    "reasoning in the total alone (Gemini)": ({"prompt_tokens": 2_000, "completion_tokens": 10, "total_tokens": 2_100}, LISTED),
    "Anthropic's counts with their total": (
        {"input_tokens": 500, "output_tokens": 100, "cache_read_input_tokens": 1_500, "total_tokens": 2_100},
        CACHED,
    ),
    "a total under its parts": ({**USED, "total_tokens": 5}, LISTED),
    "reasoning is part of the completion": ({**USED, "completion_tokens_details": {"reasoning_tokens": 90}}, LISTED),
}  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", USAGE)
def test_usage_is_read_in_every_shape(over: Running, runtime: Stranger, name: str, streamed: bool) -> None:
    usage, expected = USAGE[name]
    ends = [chunk({"content": "Blue."}), chunk({}, "stop"), {**chunk({}), "choices": [], "usage": usage}]
    runtime.say = lambda body: stream(*ends) if streamed else plain(usage=usage)
    found = told(ask(over, stream=streamed))
    assert (found["cost_state"], found["cost"]) == ("computed", pytest.approx(expected, rel=1e-6))


CHARGES: dict[str, tuple[dict[str, Any], float]] = {
    "OpenRouter": ({"cost": 0.0004}, 0.0004),
    "a string": ({"cost": "0.0004"}, 0.0004),
    "one's own key": ({"cost": 0, "is_byok": True, "cost_details": {"upstream_inference_cost": 0.0004}}, 0.0004),
    "one's own key, in two parts": (
        {"cost": 0.0001, "is_byok": True, "cost_details": {"upstream_inference_prompt_cost": 0.0002, "upstream_inference_completions_cost": 0.0001}},
        0.0004,
    ),
    "Perplexity": ({"cost": {"input_tokens_cost": 0.0001, "output_tokens_cost": 0.0003, "total_cost": 0.0004}}, 0.0004),
    "a sum": ({"cost": {"total": 0.0004, "currency": "USD"}}, 0.0004),
    "a sum of its own": ({"total_cost": "$0.0004"}, 0.0004),
    "xAI": ({"cost_in_usd_ticks": 4_000_000}, 0.0004),
    "DeepInfra": ({"estimated_cost": 0.0004}, 0.0004),
    "a gateway of dollars": ({"cost_usd": 0.0004, "pricing_source": "defaults"}, 0.0004),
    "LLM Gateway": ({"cost_usd_total": 0.0004, "cost_usd_input": 0.0003, "cost_usd_output": 0.0001}, 0.0004),
}  # fmt: skip


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", CHARGES)
def test_charges_are_read_in_every_shape(over: Running, runtime: Stranger, name: str, streamed: bool) -> None:
    more, expected = CHARGES[name]
    usage = {**USED, **more}
    runtime.say = lambda body: (
        stream(chunk({"content": "Blue."}), chunk({}, "stop", usage=usage)) if streamed else plain(usage=usage)
    )
    found = told(ask(over, stream=streamed))
    assert (found["cost_state"], found["cost"]) == ("settled", pytest.approx(expected, rel=1e-6))


GROWING = [{"prompt_tokens": 2_000, "completion_tokens": 50 * at, "total_tokens": 2_000 + 50 * at} for at in range(3)]


@pytest.mark.parametrize("at_end", ["finish", "own chunk", "both", "null after"])
def test_usage_that_grows_from_chunk_to_chunk_is_counted_once(over: Running, runtime: Stranger, at_end: str) -> None:
    parts = [chunk({"content": "Bl"}, usage=GROWING[0]), chunk({"content": "ue."}, usage=GROWING[1])]
    own = {**chunk({}), "choices": [], "usage": GROWING[2]}
    ends = {
        "finish": [chunk({}, "stop", usage=GROWING[2])],
        "own chunk": [chunk({}, "stop"), own],
        "both": [chunk({}, "stop", usage=GROWING[2]), own],
        "null after": [chunk({}, "stop", usage=GROWING[2]), {**own, "usage": None}],
    }
    runtime.say = lambda body: stream(*parts, *ends[at_end])
    answer = ask(over, stream=True, stream_options={"include_usage": True})
    assert told(answer)["cost"] == pytest.approx(LISTED)
    assert answer.text.count('"total_tokens":2100') == 1 and answer.text.count('"prompt_tokens"') == 1


THOUGHTS = [
    'I see </think>{"a":1}',
    "It wants {\"a\": ...}.\n</think>\n\n{\"a\":1}",
    '<think>{"draft": true}</think>{"a":1}',
    '</think>{"a":1}',
    '<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>final<|message|>{"a":1}',
    "\u25c1think\u25b7hm\u25c1/think\u25b7{\"a\":1}",
    '[THINK]hm[/THINK]{"a":1}',
]  # fmt: skip
SCHEMA = {
    "type": "json_schema",
    "json_schema": {"name": "x", "schema": {"type": "object", "required": ["a"], "properties": {"a": {"type": "integer"}}}},
}  # fmt: skip


@pytest.mark.parametrize("text", THOUGHTS)
def test_thoughts_are_no_part_of_what_is_checked(over: Running, runtime: Stranger, text: str) -> None:
    runtime.say = lambda body: plain({"role": "assistant", "content": text})
    answer = ask(over, response_format=SCHEMA)
    assert told(answer)["quality"] == 1.0
    assert answer.json()["choices"][0]["message"]["content"] == text


def test_an_answer_that_quotes_the_mark_is_checked_whole(over: Running, runtime: Stranger) -> None:
    runtime.say = lambda body: plain({"role": "assistant", "content": '{"a":1,"b":"</think>{"}'})
    assert told(ask(over, response_format=SCHEMA))["quality"] == 1.0


ERROR = {"code": 502, "message": "Worker local total request limit reached"}
BROKEN_PLAIN: dict[str, Any] = {
    "OpenRouter, in the choice": {"choices": [{"index": 0, "finish_reason": "error", "error": ERROR, "message": {"role": "assistant", "content": ""}}]},
    "error beside an empty choice": {"error": ERROR, "choices": [{"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": ""}}]},
    "error beside no choices": {"error": ERROR, "choices": []},
    "MiniMax": {"id": "1", "choices": None, "base_resp": {"status_code": 1000, "status_msg": "unknown error"}},
    "a finish of error alone": {"choices": [{"index": 0, "finish_reason": "error", "message": {"role": "assistant", "content": None}}]},
    "choices null": {"id": "1", "object": "chat.completion", "choices": None},
    "a wrapped status": {"code": 500, "msg": "404 NOT_FOUND", "success": False},
    "a message of null": {"choices": [{"index": 0, "finish_reason": None, "message": None}]},
}  # fmt: skip
BROKEN_STREAM: dict[str, list[dict[str, Any] | bytes]] = {
    "OpenRouter, with choices": [{**chunk({"content": ""}, "error"), "error": ERROR}],
    "the role first": [chunk({"role": "assistant", "content": ""}), {**chunk({"content": ""}, "error"), "error": ERROR}],
    "in the choice": [{**chunk({}), "choices": [{"index": 0, "delta": {"content": ""}, "finish_reason": "error", "error": ERROR}]}],
    "the role, then a finish of error": [chunk({"role": "assistant", "content": ""}), chunk({}, "error")],
    "vLLM, older": [{"object": "error", "message": "The model is not multimodal", "type": "BadRequestError", "code": 400}],
    "an event of its own": [b'event: error\ndata: {"error": {"message": "boom"}}'],
    "an event without JSON": [b"event: error\ndata: boom"],
    "usage and nothing else": [chunk({"role": "assistant"}), {**chunk({}), "choices": [], "usage": USED}],
    "comments and nothing else": [b": OPENROUTER PROCESSING", b": OPENROUTER PROCESSING"],
}  # fmt: skip


@pytest.mark.parametrize("name", [*BROKEN_PLAIN, *BROKEN_STREAM])
def test_an_error_inside_an_answer_is_no_answer_and_another_model_serves(
    over: Running, runtime: Stranger, name: str
) -> None:
    streamed = name in BROKEN_STREAM

    def say(body: bytes) -> Said:
        if b'"gpt-4o-mini"' in body:
            return stream(chunk({"content": "Blue."}), chunk({}, "stop")) if streamed else plain()
        if streamed:
            return stream(*BROKEN_STREAM[name])
        return 200, "application/json", json.dumps(BROKEN_PLAIN[name]).encode()

    runtime.say = say
    for _ in range(4):
        answer = ask(over, stream=streamed, arbiter_pin=None, arbiter_models=["gpt-4o-mini", "gpt-4o"])
        assert told(answer)["model"] == "gpt-4o-mini"
        assert ("Blue." if streamed else "Paris.") in answer.text
    assert any(b'"gpt-4o"' in body for body in runtime.heard)


@pytest.mark.parametrize(("code", "message", "status", "expected"), [
    (1008, "insufficient balance", 402, "insufficient_quota"),
    (1002, "rate limit", 429, "runtime_rate_limited"),
    (1004, "login fail: Please carry the API secret key", 502, "runtime_key_refused"),
    (2013, "invalid params, context window exceeds limit", 400, "context_length_exceeded"),
])  # fmt: skip
@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_what_minimax_says_under_200_is_understood(
    over: Running, runtime: Stranger, code: int, message: str, status: int, expected: str, streamed: bool
) -> None:
    said = {"id": "1", "choices": None, "base_resp": {"status_code": code, "status_msg": message}}
    runtime.say = lambda body: (200, "application/json", json.dumps(said).encode())
    answer = ask(over, stream=streamed)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, expected), answer.text


@pytest.mark.parametrize(
    "late",
    [
        {"error": ERROR},
        {**chunk({"content": ""}, "error"), "error": ERROR},
        {**chunk({}), "choices": [{"index": 0, "delta": {}, "finish_reason": "error", "error": ERROR}]},
        {"object": "error", "message": ERROR["message"], "code": 502},
        {"type": "error", "message": ERROR["message"]},
    ],
    ids=["top", "with choices", "in the choice", "vLLM, older", "typed"],
)
def test_an_error_after_the_first_words_is_told_with_its_words(
    over: Running, runtime: Stranger, late: dict[str, Any]
) -> None:
    runtime.say = lambda body: stream(chunk({"content": "Blu"}), late)
    answer = ask(over, stream=True)
    assert answer.status_code == 200 and '"Blu"' in answer.text
    last = answer.text.rstrip().split("\n\n")
    error = json.loads(next(line for line in reversed(last) if line.startswith("data: {"))[6:])["error"]
    assert ERROR["message"] in error["message"], error
    assert '"finish_reason":"stop"' not in answer.text and '"error":{"code"' not in answer.text


def tool(name: str) -> dict[str, Any]:
    """A tool that takes a path."""
    schema = {"type": "object", "required": ["path"], "properties": {"path": {"type": "string"}}}
    return {"type": "function", "function": {"name": name, "parameters": schema}}


def piece(arguments: str | None = None, **more: Any) -> dict[str, Any]:
    """A piece of a call."""
    name = more.pop("name", None)
    function = {key: one for key, one in (("name", name), ("arguments", arguments)) if one is not None}
    return {**more, "function": function}


A, B = '{"path":"a"}', '{"path":"b"}'
HALVES = ('{"path"', ':"b"}')
CALLS: dict[str, list[list[dict[str, Any]]]] = {
    "as OpenAI sends them": [
        [piece("", index=0, id="1", type="function", name="read")],
        [piece(A, index=0)],
        [piece("", index=1, id="2", type="function", name="write")],
        [piece(HALVES[0], index=1)],
        [piece(HALVES[1], index=1)],
    ],
    "one index and no id": [[piece(A, index=0, name="read")], [piece(B, index=0, name="write")]],
    "one index and no id, the same name": [[piece(A, index=0, name="read")], [piece(B, index=0, name="read")]],
    "one index, other ids": [[piece(A, index=0, id="1", name="read")], [piece(B, index=0, id="2", name="write")]],
    "no index": [[piece(A, id="1", name="read")], [piece("", id="2", name="write")], [piece(B)]],
    "nulls in what follows": [
        [piece(A, index=0, id="1", name="read")],
        [piece("", index=1, id="2", name="write")],
        [{"index": 1, "id": None, "type": None, "function": {"name": None, "arguments": B}}],
    ],
    "blanks in what follows": [
        [piece(A, index=0, id="1", name="read")],
        [piece("", index=1, id="2", name="write")],
        [piece(B, index=1, id="", name="")],
    ],
    "white space for an id": [
        [piece(A, index=0, id="1", name="read")],
        [piece("", index=1, id="2", name="write")],
        [piece(B, index=1, id=" ")],
    ],
    "id and name with every piece": [
        [piece(A, index=0, id="1", name="read")],
        *[[piece(one, index=1, id="2", name="write")] for one in HALVES],
    ],
    "an index that goes on counting": [
        [piece(A, index=0, id="1", name="read")],
        [piece("", index=1, id="2", name="write")],
        [piece(HALVES[0], index=2)],
        [piece(HALVES[1], index=3)],
    ],
    "two pieces of one call at once": [
        [piece(A, index=0, id="1", name="read")],
        [piece(HALVES[0], index=1, id="2", name="write"), piece(HALVES[1], index=1)],
    ],
    "both whole at once": [[piece(A, index=0, id="1", name="read"), piece(B, index=1, id="2", name="write")]],
    "the name after the id": [
        [piece(A, index=0, id="1", name="read")],
        [{"index": 1, "id": "2", "type": "function"}],
        [piece("", index=1, name="write")],
        [piece(B, index=1)],
    ],
    "a head with the wrong index, a tail with the right one": [
        [piece(A, index=0, id="1", name="read")],
        [piece("", index=0, id="2", name="write")],
        [piece(B, index=1)],
    ],
    "counted from one": [[piece(A, index=1, id="1", name="read")], [piece(B, index=2, id="2", name="write")]],
    "an index as text": [[piece(A, index="0", id="1", name="read")], [piece(B, index="1", id="2", name="write")]],
}


@pytest.mark.parametrize("name", CALLS)
def test_two_calls_are_two_calls_however_their_pieces_are_labelled(over: Running, runtime: Stranger, name: str) -> None:
    runtime.say = lambda body: stream(*[chunk({"tool_calls": one}) for one in CALLS[name]], chunk({}, "tool_calls"))
    answer = ask(over, stream=True, tools=[tool("read"), tool("write")])
    assert told(answer)["quality"] == 1.0
    calls: dict[int, list[str]] = {}
    for line in answer.text.split("\n"):
        for one in json.loads(line[6:])["choices"] if line.startswith("data: {") else ():
            for part in one["delta"].get("tool_calls") or ():
                assert type(part["index"]) is int
                call = calls.setdefault(part["index"], ["", ""])
                call[0] = call[0] or part.get("function", {}).get("name") or ""
                call[1] += part.get("function", {}).get("arguments") or ""
    second = "read" if "the same name" in name else "write"
    assert calls == {0: ["read", A], 1: [second, B]}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": 0, "completion_tokens": 100, "total_tokens": 100},
        {"prompt_tokens": 2_000, "completion_tokens": 0, "total_tokens": 2_000},
        {},
        None,
    ],
    ids=str,
)
def test_nothing_counted_is_no_free_answer(
    over: Running, runtime: Stranger, usage: dict[str, int] | None, streamed: bool
) -> None:
    text = "The sea is wide and deep. " * 20
    runtime.say = lambda body: (
        stream(chunk({"content": text}), chunk({}, "stop", usage=usage))
        if streamed
        else plain({"role": "assistant", "content": text}, usage=usage)
    )
    found = told(ask(over, stream=streamed))
    assert (found["cost_state"], found["cost"]) == ("unknown", None)


BARE: dict[str, dict[str, Any]] = {
    "choices alone": {"choices": [{"message": {"content": "Blue."}}]},
    "nulls": {
        "id": None,
        "object": None,
        "created": None,
        "model": None,
        "usage": None,
        "choices": [{"index": None, "message": {"role": None, "content": "Blue."}, "finish_reason": None}],
    },
    "other types": {
        "id": 7,
        "object": "text_completion",
        "created": "1700000000",
        "model": ["m"],
        "choices": [{"index": "0", "message": {"role": "model", "content": "Blue."}, "finish_reason": ""}],
    },
    "a float of time": {
        "id": "c",
        "object": "chat.completion",
        "created": 1700000000.5,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Blue."}, "finish_reason": "stop"}],
    },
    "the object of a chunk": {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Blue."}, "finish_reason": "stop"}],
    },
    "a legacy text": {
        "id": "c",
        "object": "text_completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "text": "Blue.", "finish_reason": "stop"}],
    },
    "a delta for a message": {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "delta": {"content": "Blue."}, "finish_reason": "stop"}],
    },
}


@pytest.mark.parametrize("stream", [False, True])
def test_answers_without_an_id_get_one_each(over: Running, runtime: Stranger, stream: bool) -> None:
    """Clients join what has the same id."""
    runtime.say = lambda body: (200, "application/json", json.dumps(BARE["choices alone"]).encode())
    texts = [ask(over, stream=stream).text for _ in range(3)]
    ids = [json.loads(text.split("\n")[0].removeprefix("data: "))["id"] for text in texts]
    assert len(set(ids)) == 3 and all(one.removeprefix("chatcmpl-") for one in ids), ids


def test_numbers_for_the_id_and_model_of_a_stream_become_text(over: Running, runtime: Stranger) -> None:
    odd = [{**chunk({"content": "Blue."}), "id": 7, "model": 4}, chunk({}, "stop")]
    runtime.say = lambda body: stream(*odd)
    first = json.loads(ask(over, stream=True).text.split("\n")[0].removeprefix("data: "))
    assert (type(first["id"]), type(first["model"])) == (str, str)


@pytest.mark.parametrize("name", BARE)
def test_a_whole_answer_has_what_strict_clients_ask_for(over: Running, runtime: Stranger, name: str) -> None:
    runtime.say = lambda body: (200, "application/json", json.dumps(BARE[name]).encode())
    answer = ask(over)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert isinstance(body["id"], str) and body["id"]
    assert (body["object"], type(body["created"]), type(body["model"])) == ("chat.completion", int, str)
    assert [(one["index"], one["finish_reason"]) for one in body["choices"]] == [(0, "stop")]
    assert (body["choices"][0]["message"]["role"], body["choices"][0]["message"]["content"]) == ("assistant", "Blue.")
    assert body["arbiter"]["model"] == "gpt-4o-mini"


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(("arguments", "quality"), [(A, 1.0), ('{"path":1}', 0.0), ('{"path', 0.0)])
def test_a_function_call_of_the_old_form_is_checked_like_any_other(
    over: Running, runtime: Stranger, arguments: str, quality: float, streamed: bool
) -> None:
    call = {"name": "read", "arguments": arguments}
    pieces = [{"name": "read", "arguments": ""}, {"arguments": arguments[:5]}, {"arguments": arguments[5:]}]
    runtime.say = lambda body: (
        stream(*[chunk({"function_call": one}) for one in pieces], chunk({}, "function_call"))
        if streamed
        else plain({"role": "assistant", "content": None, "function_call": call}, "function_call")
    )
    answer = ask(over, stream=streamed, functions=[tool("read")["function"]])
    assert told(answer)["quality"] == quality
    assert "function_call" in answer.text and "tool_calls" not in answer.text


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_text_in_parts_is_the_text_of_a_stream(over: Running, runtime: Stranger, streamed: bool) -> None:
    parts = [{"type": "thinking", "thinking": [{"type": "text", "text": "3 by 4"}]}], [{"type": "text", "text": "12"}]
    runtime.say = lambda body: stream(*[chunk({"content": one}) for one in parts], chunk({}, "stop"))
    answer = ask(over, stream=streamed, messages=[{"role": "user", "content": "Calculate 3 * 4"}])
    assert told(answer)["quality"] == 1.0
    assert streamed or answer.json()["choices"][0]["message"]["content"] == "12"


@pytest.mark.parametrize("error", [{"code": 0, "message": ""}, {}, None, ""], ids=str)
def test_an_error_without_a_word_is_none(over: Running, runtime: Stranger, error: object) -> None:
    runtime.say = lambda body: plain(error=error)
    answer = ask(over)
    assert told(answer)["model"] == "gpt-4o-mini" and not answer.json().get("error")


@pytest.mark.parametrize(
    "details", [{}, {"cost_details": None}, {"cost_details": {"upstream_inference_cost": None}}], ids=str
)
@pytest.mark.parametrize("byok", [True, "true"])
def test_a_call_on_ones_own_key_whose_charge_is_not_told_is_not_free(
    over: Running, runtime: Stranger, details: dict[str, Any], byok: object
) -> None:
    runtime.say = lambda body: plain(usage={**USED, "cost": 0, "is_byok": byok, **details})
    found = told(ask(over))
    assert (found["cost_state"], found["cost"]) == ("computed", pytest.approx(LISTED))
