"""Small inputs that made other gateways fail, against a runtime whose models say what their servers say. One Arbiter for all."""

from __future__ import annotations

import gzip
import json
import zlib
from collections import Counter
from typing import Any

import httpx
import pytest
from openai.lib.streaming._deltas import accumulate_delta

from tests.conftest import Running
from tests.stranger import STREAM, Said, Stranger, chunk, plain, stream

ASK = [{"role": "user", "content": "What is the capital of France?"}]
TWO = ["gpt-4o", "gpt-4o-mini"]
THREE = [*TWO, "gpt-4.1-mini"]


def ask(over: Running, **fields: Any) -> httpx.Response:
    """One chat, by default open to three models."""
    body = {"messages": ASK, "arbiter_no_cache": True, "arbiter_models": THREE, **fields}
    return over.http.post("/v1/chat/completions", json={key: one for key, one in body.items() if one is not None})


def says(runtime: Stranger, **by_model: Said) -> None:
    """Script the runtime: what these models say (`gpt_4o` for `gpt-4o`); the others answer."""
    scripts = {name.replace("_", "-").replace("4-1", "4.1"): said for name, said in by_model.items()}

    def say(body: bytes) -> Said:
        asked = json.loads(body)
        answers = stream(chunk({"content": "Paris."}), chunk({}, "stop")) if asked.get("stream") else plain()
        return scripts.get(asked["model"], scripts.get("all", answers))

    runtime.say = say


def no(status: int, body: Any) -> Said:
    """An error."""
    return status, "application/json", body if isinstance(body, bytes) else json.dumps(body).encode()


def calls(runtime: Stranger) -> Counter[str]:
    """How often each model was asked."""
    return Counter(json.loads(body)["model"] for body in runtime.heard)


UNKNOWN = {
    "a language of its own": (400, {"error": {"message": "Le mod\u00e8le n'est pas pris en charge"}}),
    "a bare word": (400, b"Nope"),
    "nothing": (400, b""),
    "a wrong role": (400, {"error": {"message": "Invalid role: developer", "param": "messages[0].role"}}),
    "a validation error": (422, {"detail": [{"loc": ["body", "messages", 0, "name"], "msg": "not permitted"}]}),
    "an odd object": (400, {"success": False, "reason": {"text": "Bad"}}),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", UNKNOWN)
def test_what_one_model_alone_calls_malformed_is_answered_by_another(
    over: Running, runtime: Stranger, name: str, streamed: bool
) -> None:
    says(runtime, gpt_4o=no(*UNKNOWN[name]))
    for _ in range(8):
        assert ask(over, stream=streamed).status_code == 200
    assert 0 < calls(runtime)["gpt-4o"] <= 3, "who goes on so rests"
    assert over.http.get("/health").json()["runtime"] == "ok"


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", UNKNOWN)
def test_what_a_second_model_calls_malformed_is_the_callers(
    over: Running, runtime: Stranger, name: str, streamed: bool
) -> None:
    status, _ = UNKNOWN[name]
    says(runtime, all=no(*UNKNOWN[name]))
    for _ in range(4):
        told = ask(over, stream=streamed)
        assert (told.status_code, told.json()["error"]["type"]) == (status, "invalid_request_error"), told.text
    assert sum(calls(runtime).values()) == 8
    assert over.http.get("/v1/overview").json()["quarantined"] == {}


@pytest.mark.parametrize("other", [(503, b""), (401, b""), (404, b"gone"), (429, b""), (200, b"<html>")], ids=str)
def test_what_one_model_calls_malformed_is_said_where_nobody_else_answers(
    over: Running, runtime: Stranger, other: tuple[int, bytes]
) -> None:
    malformed = no(400, {"error": {"message": "messages: roles must alternate here"}})
    says(runtime, gpt_4o=malformed, gpt_4o_mini=no(*other), gpt_4_1_mini=no(*other))
    told = ask(over)
    assert (told.status_code, told.json()["error"]["message"]) == (400, "messages: roles must alternate here")


def test_a_pinned_models_refusal_is_said_at_once(over: Running, runtime: Stranger) -> None:
    says(runtime, gpt_4o=no(400, {"error": {"message": "No.", "code": "odd"}}))
    told = ask(over, arbiter_pin="gpt-4o", arbiter_models=None)
    assert (told.status_code, told.json()["error"]["code"]) == (400, "odd")
    assert calls(runtime) == {"gpt-4o": 1}


def test_content_is_refused_once(over: Running, runtime: Stranger) -> None:
    says(runtime, all=no(400, {"error": {"message": "Content Exists Risk"}}))
    assert ask(over).json()["error"]["code"] == "content_filter"
    assert sum(calls(runtime).values()) == 1


BODY = json.dumps({"messages": ASK, "arbiter_pin": "gpt-4o"})
ENCODED: dict[str, tuple[bytes, int, str]] = {
    "a byte order mark": (b"\xef\xbb\xbf" + BODY.encode(), 200, ""),
    "line ends around it": (b"\r\n" + BODY.encode() + b"\r\n", 200, ""),
    "UTF-16": (BODY.encode("utf-16"), 400, "UTF-16"),
    "gzip": (gzip.compress(BODY.encode()), 400, "compressed"),
    "deflate": (zlib.compress(BODY.encode()), 400, "compressed"),
    "two at once": (BODY.encode() * 2, 400, "after document"),
}


@pytest.mark.parametrize("name", ENCODED)
def test_a_body_is_read_as_it_was_meant_or_the_reason_is_told(over: Running, runtime: Stranger, name: str) -> None:
    sent, status, why = ENCODED[name]
    told = over.http.post("/v1/chat/completions", content=sent, headers={"content-type": "application/json"})
    assert told.status_code == status, told.text
    assert why in told.text
    assert all(json.loads(body)["messages"] == ASK for body in runtime.heard)


WHOLE = stream(chunk({"role": "assistant", "content": ""}), chunk({"content": "Blue."}), chunk({}, "stop"))[2]
DONE = b"data: [DONE]\n\n"
STREAMED: dict[str, tuple[str, bytes]] = {
    "called JSON": ("application/json", WHOLE),
    "called JSON, after a comment": ("application/json; charset=utf-8", b": PROCESSING\n\n" + WHOLE),
    "called text": ("text/plain", WHOLE),
    "called nothing": ("", WHOLE),
    "pings first": (STREAM, b'event: ping\ndata: {"type": "ping"}\n\n' + WHOLE),
    "an end in quotes": (STREAM, WHOLE.replace(b"[DONE]", b'"[DONE]"')),
    "an end of another word": (STREAM, WHOLE.replace(b"[DONE]", b"[END]")),
    "junk after the finish": (STREAM, WHOLE.replace(DONE, b"data: {bad\n\n" + DONE)),
    "an end without a line end": (STREAM, WHOLE.rstrip()),
    "no end": (STREAM, WHOLE.removesuffix(DONE)),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", STREAMED)
def test_a_stream_is_an_answer_whatever_it_is_called_and_however_it_ends(
    over: Running, runtime: Stranger, name: str, streamed: bool
) -> None:
    runtime.say = lambda body: (200, *STREAMED[name])
    told = ask(over, stream=streamed)
    assert told.status_code == 200, told.text
    assert "Blue." in told.text and '"error"' not in told.text and '"arbiter":{' in told.text
    assert told.text.count("[DONE]") == (1 if streamed else 0)


def lines(*objects: dict[str, Any], end: str = "\n") -> bytes:
    """JSON, one object a line."""
    return "".join(json.dumps(one) + end for one in objects).encode()


def ollama(content: str, done: bool = False, **more: Any) -> dict[str, Any]:
    """A line of Ollama's own route."""
    message = {"role": "assistant", "content": content}
    return {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message, "done": done, **more}


COUNTED = {"done_reason": "stop", "prompt_eval_count": 26, "eval_count": 3}
CHUNKS = (chunk({"role": "assistant", "content": ""}), chunk({"content": "Blue."}), chunk({}, "stop"))
LINES: dict[str, tuple[str, bytes]] = {
    "chunks": ("application/x-ndjson", lines(*CHUNKS)),
    "chunks, called JSON": ("application/json", lines(*CHUNKS)),
    "chunks, called text": ("text/plain; charset=utf-8", lines(*CHUNKS, end="\r\n")),
    "chunks, called a stream": (STREAM, lines(*CHUNKS)),
    "chunks with blank lines": (STREAM, lines(*CHUNKS, end="\n\n")),
    "Ollama's own": ("application/x-ndjson", lines(ollama("Bl"), ollama("ue."), ollama("", done=True, **COUNTED))),
    "Ollama's own as a whole": ("application/json", lines(ollama("Blue.", done=True, **COUNTED))),
    "Ollama's completions": (
        "application/x-ndjson",
        lines(
            {"model": "m", "response": "Blue.", "done": False}, {"model": "m", "response": "", "done": True, **COUNTED}
        ),
    ),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses"])
@pytest.mark.parametrize("name", LINES)
def test_an_answer_in_lines_of_json_is_an_answer(
    over: Running, runtime: Stranger, name: str, path: str, streamed: bool
) -> None:
    runtime.say = lambda body: (200, *LINES[name])
    asked = {"input": "Tell me of the sea."} if path.endswith("responses") else {"messages": ASK, "max_tokens": 50}
    told = over.http.post(path, json={**asked, "stream": streamed, "arbiter_no_cache": True})
    assert told.status_code == 200, told.text
    assert ("Blue." in told.text or ("Bl" in told.text and "ue." in told.text)) and '"error":{' not in told.text
    if "Ollama" in name and path.endswith("completions") and not streamed:
        assert told.json()["usage"]["prompt_tokens"] == 26


def test_calls_of_tools_in_lines_of_json_are_calls(over: Running, runtime: Stranger) -> None:
    call = {"function": {"name": "get_weather", "arguments": {"city": "Paris"}}}
    said = {**ollama(""), "message": {"role": "assistant", "content": "", "tool_calls": [call]}}
    runtime.say = lambda body: (200, "application/x-ndjson", lines(said, ollama("", done=True, **COUNTED)))
    choice = ask(over).json()["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    (made,) = choice["message"]["tool_calls"]
    assert made["id"] and made["function"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_lines_of_json_that_begin_with_an_error_are_an_error(over: Running, runtime: Stranger, streamed: bool) -> None:
    refused = lines({"error": "model 'x' not found"}, {"status": "x"})
    says(runtime, gpt_4o=(200, "application/x-ndjson", refused))
    told = ask(over, stream=streamed)
    assert told.status_code == 200 and "Paris." in told.text


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("status", [200, 429, 503])
def test_a_wait_that_is_stated_in_words_alone_is_honoured(
    over: Running, runtime: Stranger, status: int, streamed: bool
) -> None:
    words = {"message": "Rate limit reached. Please try again in 1m30s.", "code": "rate_limit_exceeded"}
    says(runtime, all=no(status, {"error": words}))
    told = ask(over, stream=streamed)
    assert (told.status_code, told.headers["retry-after"]) == (429, "90"), told.text
    rests = over.http.get("/v1/overview").json()["quarantined"].values()
    assert rests and all(80 < rest["seconds_left"] <= 90 for rest in rests)


BEGUN = chunk({"role": "assistant", "content": "Par"})
FILTERED = {"message": "The response was filtered due to our content management policy", "code": "content_filter"}


@pytest.mark.parametrize(
    "late",
    [
        {"error": FILTERED},
        {"error": {"message": "This model's maximum context length is 8192 tokens", "code": 400}},
        {"error": {"message": "Invalid value for messages[3]", "code": 400}},
    ],
    ids=["content", "too long", "malformed"],
)
def test_what_a_caller_brings_about_in_mid_stream_takes_no_model_from_others(
    over: Running, runtime: Stranger, late: dict[str, Any]
) -> None:
    says(runtime, all=stream(BEGUN, late))
    told = ask(over, stream=True)
    error = json.loads(told.text.rstrip().split("data: ")[-1])["error"]
    assert late["error"]["message"] in error["message"]
    assert (error["code"] == "content_filter") is (late["error"] is FILTERED)
    assert over.http.get("/v1/overview").json()["quarantined"] == {}


def test_a_stream_that_ends_in_a_rate_limit_rests_its_model_for_as_long_as_that_says(
    over: Running, runtime: Stranger
) -> None:
    says(runtime, all=stream(BEGUN, {"error": {"message": "Rate limit reached, try again in 1m30s", "code": 429}}))
    ask(over, stream=True)
    (rest,) = over.http.get("/v1/overview").json()["quarantined"].values()
    assert 80 < rest["seconds_left"] <= 90


BROKEN_OFF = {
    "runtime_rate_limited": {"message": "Rate limit reached", "code": 429},
    "runtime_overloaded": {"type": "overloaded_error", "message": "Overloaded"},
    "insufficient_quota": {"message": "Insufficient credits", "code": 402},
    "runtime_key_refused": {"message": "Incorrect API key provided", "code": "invalid_api_key"},
    "context_length_exceeded": {"message": "prompt is too long: 213462 tokens > 200000 maximum"},
    "content_filter": {"message": "Output blocked by content filtering policy"},
    "runtime_unavailable": {"message": "boom"},
}


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/completions"])
@pytest.mark.parametrize("code", BROKEN_OFF)
def test_what_ends_an_answer_in_mid_stream_is_said_as_before_one(
    over: Running, runtime: Stranger, code: str, path: str
) -> None:
    frame = b"data: " + json.dumps({"error": BROKEN_OFF[code]}).encode()
    runtime.say = lambda body: stream(chunk({"role": "assistant", "content": "Blue"}), frame, done=False)
    asked: dict[str, Any] = {"messages": ASK, "max_tokens": 50}
    asked = {"input": "a"} if path.endswith("responses") else {"prompt": "a"} if path == "/v1/completions" else asked
    told = over.http.post(path, json={**asked, "stream": True, "arbiter_no_cache": True})
    assert told.status_code == 200 and "Blue" in told.text
    assert f'"code":"{code}"' in told.text.replace(": ", ":"), told.text[-400:]


def test_a_prompt_that_is_too_long_for_an_embedding_is_told_by_the_usual_code(over: Running, runtime: Stranger) -> None:
    says(runtime, all=no(400, {"error": {"message": "input is too long: 9000 tokens > 8192 maximum"}}))
    told = over.http.post("/v1/embeddings", json={"model": "text-embedding-3-small", "input": "a"})
    assert told.status_code == 400 and told.json()["error"]["code"] == "context_length_exceeded", told.text


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
def test_a_pin_outside_of_the_list_is_refused_before_anybody_is_asked(
    over: Running, runtime: Stranger, streamed: bool
) -> None:
    told = ask(over, stream=streamed, arbiter_pin="gpt-4o", arbiter_models=["gpt-4o-mini"])
    assert told.status_code == 400, told.text
    error = told.json()["error"]
    assert error["param"] == "arbiter_pin" and "'gpt-4o'" in error["message"] and "'gpt-4o-mini'" in error["message"]
    assert not runtime.heard
    assert ask(over, arbiter_pin="openai/gpt-4o", arbiter_models=["gpt-4o"]).status_code == 200


LONE: dict[str, Any] = {"index": 0, "delta": {"content": "Paris."}, "finish_reason": None}


@pytest.mark.parametrize(
    "choices",
    [LONE, [{**LONE, "delta": "Paris."}], {**LONE, "delta": "Paris."}],
    ids=["a lone choice", "a delta of text", "both"],
)
def test_a_stream_of_lone_choices_and_bare_text_is_an_answer(over: Running, runtime: Stranger, choices: Any) -> None:
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    says(runtime, all=stream({**head, "choices": choices}, {**head, "choices": {"index": 0, "finish_reason": "stop"}}))
    told = ask(over, stream=True)
    chunks = [json.loads(line[6:]) for line in told.text.splitlines() if line.startswith("data: {")]
    assert "".join(one["choices"][0]["delta"].get("content") or "" for one in chunks) == "Paris."
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


def test_a_whole_answer_with_a_lone_choice_is_an_answer(over: Running, runtime: Stranger) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Paris."}, "finish_reason": "stop"}
    says(runtime, all=(200, "application/json", json.dumps({"id": "c", "choices": choice}).encode()))
    assert ask(over).json()["choices"][0]["message"]["content"] == "Paris."


def piece(arguments: Any = None, **more: Any) -> dict[str, Any]:
    """A chunk with a piece of a call."""
    name = {"name": more.pop("name")} if "name" in more else {}
    return chunk({"tool_calls": [{"index": 0, **more, "function": {**name, "arguments": arguments}}]})


OSLO = '{"city":"Oslo"}'
NAMED: dict[str, Any] = {"id": "c1", "type": "function", "name": "get_weather"}
CALLED: dict[str, tuple[list[dict[str, Any]], str, str]] = {
    "an end that says stop": ([piece(OSLO, **NAMED)], "stop", OSLO),
    "an end in Google's words": ([piece(OSLO, **NAMED)], "STOP", OSLO),
    "an end in Anthropic's words": ([piece(OSLO, **NAMED)], "tool_use", OSLO),
    "no arguments": ([piece(**NAMED)], "tool_calls", "{}"),
    "empty arguments": ([piece("", **NAMED)], "tool_calls", "{}"),
    "no id": ([piece("", type="function", name="get_weather"), piece(OSLO)], "tool_calls", OSLO),
    "an id and a name each time": ([piece('{"city":', **NAMED), piece('"Oslo"}', **NAMED)], "tool_calls", OSLO),
    "the function beside the id": (
        [chunk({"tool_calls": [{"index": 0, **NAMED, "arguments": OSLO}]})],
        "tool_calls",
        OSLO,
    ),
    "its name in its place": (
        [chunk({"tool_calls": [{"index": 0, "id": "c1", "function": "get_weather", "arguments": OSLO}]})],
        "tool_calls",
        OSLO,
    ),
    "parameters": (
        [
            chunk(
                {
                    "tool_calls": [
                        {"index": 0, "id": "c1", "function": {"name": "get_weather", "parameters": {"city": "Oslo"}}}
                    ]
                }
            )
        ],
        "tool_calls",
        OSLO,
    ),
    "arguments written twice": ([piece(json.dumps(OSLO), **NAMED)], "tool_calls", OSLO),
    "arguments written twice, in pieces": (
        [piece('"{\\"ci', **NAMED), piece('ty\\":\\"Oslo'), piece('\\"}"')],
        "tool_calls",
        OSLO,
    ),
    "a string that is no object": ([piece('"Oslo"', **NAMED)], "tool_calls", '"Oslo"'),
    "empty names": ([piece("", **NAMED), piece(OSLO, id="", type="", name="")], "tool_calls", OSLO),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("case", CALLED)
def test_a_call_is_whole_and_named_once_and_ends_as_a_call(
    over: Running, runtime: Stranger, case: str, streamed: bool
) -> None:
    chunks, finish, arguments = CALLED[case]
    says(runtime, all=stream(*chunks, chunk({"role": "assistant", "content": None}), chunk({}, finish)))
    told = ask(over, stream=streamed)
    if streamed:
        message: dict[Any, Any] = {}
        ends = []
        for line in told.text.splitlines():
            if line.startswith("data: {"):
                (choice,) = json.loads(line[6:])["choices"]
                accumulate_delta(message, choice["delta"])
                ends.append(choice["finish_reason"])
    else:
        (choice,) = told.json()["choices"]
        message, ends = choice["message"], [choice["finish_reason"]]
    assert message["role"] == "assistant" and [one for one in ends if one is not None] == ["tool_calls"]
    (call,) = message["tool_calls"]
    assert call["function"] == {"name": "get_weather", "arguments": arguments} and call["type"] == "function"
    assert call["id"] == "c1" or (case == "no id" and call["id"].startswith("call_"))


ENDS = {
    "stop": "stop",
    "tool_calls": "stop",
    "eos_token": "stop",
    "MAX_TOKENS": "length",
    "model_length": "length",
    "SAFETY": "content_filter",
    "sensitive": "content_filter",
}
ENDED = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("stated", ENDS)
def test_why_an_answer_ended_is_said_in_the_callers_words(
    over: Running, runtime: Stranger, stated: str, streamed: bool
) -> None:
    says(runtime, all=stream(chunk({"content": "Par"}, ""), chunk({"content": "is."}, "null"), chunk({}, stated)))
    told = ask(over, stream=streamed).text.replace(" ", "")
    assert f'"finish_reason":"{ENDS[stated]}"' in told and told.count('finish_reason":"') == 1
    asked = {"messages": ASK, "max_tokens": 50, "stream": streamed, "arbiter_no_cache": True}
    told = over.http.post("/v1/messages", json=asked).text.replace(" ", "")
    assert f'"stop_reason":"{ENDED[ENDS[stated]]}"' in told


@pytest.mark.parametrize("finish", ["network_error", "insufficient_system_resource", "MALFORMED_FUNCTION_CALL"])
def test_an_answer_that_could_not_be_made_is_asked_of_another(over: Running, runtime: Stranger, finish: str) -> None:
    says(runtime, gpt_4o=plain({"role": "assistant", "content": ""}, finish))
    for _ in range(4):
        assert ask(over).json()["arbiter"]["model"] != "gpt-4o"
