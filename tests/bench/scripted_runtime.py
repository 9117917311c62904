"""A runtime that answers by a script: what a prompt names in double brackets (`[[status 429]]`), else an answer made of the prompt.

The same request has the same answer whenever and however often it comes, so that two products can be compared by what they make of it.
"""

from __future__ import annotations

import json
import re
import threading
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

Json = dict[str, Any]
Reply = tuple[int, dict[str, str], bytes]

SIDE = ("deepseek-v4-flash", "deepseek-v4-pro")
"""Who classifies and judges; whether and when they are asked hangs on chance."""
NAMED = re.compile(r"\[\[([^\]]+)\]\]")
JSON = {"content-type": "application/json"}
EVENTS = {"content-type": "text/event-stream; charset=utf-8"}
CHARGE = {"x-btl-customer-charge": "0.000012"}
USAGE = {"prompt_tokens": 20, "completion_tokens": 7, "total_tokens": 27}
CALLS = [
    {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Paris"}'}},
    {"id": "call_2", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}},
]
CLASSIFIER = "You are Arbiter's classifier"
KNOWN = {
    CLASSIFIER: "open",
    "Calculate 37 * 24": "37 * 24 = 888.",
    "JSON": '{"city":"Paris","people":2100000}',
}
CONTENT_REFUSED = {
    "error": {
        "message": "The content was refused by our policy.",
        "type": "invalid_request_error",
        "code": "content_filter",
    }
}
TOO_LONG = {
    "error": {
        "message": "This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.",
        "type": "invalid_request_error",
        "param": "messages",
        "code": "context_length_exceeded",
    }
}
MESSAGES: dict[str, Json] = {
    "thoughts": {"content": "It is so.", "reasoning_content": "Let me see."},
    "thoughts in the text": {"content": "<think>Let me see.</think>It is so."},
    "refusal": {"content": None, "refusal": "I cannot help with that."},
    "calls": {"content": None, "tool_calls": CALLS[:1]},
    "two calls": {"content": "I will look.", "tool_calls": CALLS},
    "empty": {"content": ""},
    "annotations": {
        "content": "See there.",
        "annotations": [{"type": "url_citation", "url_citation": {"url": "https://a.example"}}],
    },
    "parts": {"content": [{"type": "text", "text": "In "}, {"type": "text", "text": "parts."}]},
    "unicode": {"content": "Zürich \u2028 \U0001f600 </script> \\u0041"},
}
"""Messages by the names that prompts give."""
BODIES: dict[str, bytes] = {
    "no json": b"<html>It works</html>",
    "nothing": b"",
    "a list": b"[]",
    "no choices": b'{"id":"c","object":"chat.completion","created":1,"model":"m"}',
    "empty choices": b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[]}',
    "error with 200": b'{"error":{"message":"it broke","type":"server_error","code":500}}',
    "numbers": b'{"id":"c","object":"chat.completion","created":1,"model":"m","big":123456789012345678901234567890,"small":1.10,'
    b'"choices":[{"index":0,"message":{"role":"assistant","content":"1.10"},"finish_reason":"stop"}]}',
}
"""Whole bodies with status 200."""
ERRORS: dict[str, tuple[int, Json]] = {
    "content refused": (400, CONTENT_REFUSED),
    "too long": (400, TOO_LONG),
    "quota": (
        429,
        {"error": {"message": "You exceeded your quota.", "type": "insufficient_quota", "code": "insufficient_quota"}},
    ),
    "no such model": (404, {"error": {"message": "The model does not exist", "code": "model_not_found"}}),
    "bad parameter": (
        400,
        {"error": {"message": "Unsupported value: 'temperature'", "param": "temperature", "code": "unsupported_value"}},
    ),
    "detail": (422, {"detail": [{"loc": ["body", "n"], "msg": "n is too large", "type": "value_error"}]}),
    "text": (500, {"message": "it broke"}),
}


class ScriptedRuntime:
    """Serves for a `with` block at `url`; `received` are the bodies of the chats since it was last cleared, but for those of Arbiter's own."""

    def __init__(self) -> None:
        self.received: list[Json] = []
        runtime = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                """Nothing is logged."""

            def do_GET(self) -> None:
                self.reply(200, JSON, b'{"object":"list","data":[]}')

            def do_POST(self) -> None:
                asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if asked.get("model") not in SIDE:
                    runtime.received.append(asked)
                self.reply(*reply(asked))

            def reply(self, status: int, headers: dict[str, str], body: bytes) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def reply(asked: Json) -> Reply:
    """The answer to the body of a chat."""
    prompt = json.dumps(asked.get("messages"))
    found = NAMED.findall(prompt) if CLASSIFIER not in prompt else []
    name = found[-1] if found else ""
    if name.startswith("status "):
        return _status(int(name.split()[1]), name)
    if name in ERRORS:
        status, said = ERRORS[name]
        return status, JSON, json.dumps(said).encode()
    if name in BODIES:
        return 200, JSON, BODIES[name]
    if asked.get("stream") is True:
        return 200, {**EVENTS, **CHARGE}, _events(asked, name, prompt)
    return (
        200,
        {**JSON, **({} if name == "no charge" else CHARGE)},
        json.dumps(_completion(asked, name, prompt)).encode(),
    )


def _status(status: int, name: str) -> Reply:
    """An error of a status; `html`, `empty` or `later` (with a retry-after) may follow in its name."""
    if name.endswith("html"):
        return status, {"content-type": "text/html"}, b"<html><h1>Bad</h1></html>"
    if name.endswith("empty"):
        return status, JSON, b""
    later = {"retry-after": "7"} if name.endswith("later") else {}
    said = {"error": {"message": f"scripted {status}", "type": "scripted", "param": None, "code": f"code_{status}"}}
    return status, {**JSON, **later}, json.dumps(said).encode()


def _message(asked: Json, name: str, prompt: str) -> Json:
    if name in MESSAGES:
        return {"role": "assistant", **MESSAGES[name]}
    text = next(
        (said for part, said in KNOWN.items() if part in prompt), f"Answer {zlib.crc32(prompt.encode())} of it."
    )
    return {"role": "assistant", "content": text}


def _number(asked: Json) -> int:
    """How many answers are asked for, at least one."""
    number = asked.get("n")
    return number if isinstance(number, int) and number > 0 else 1


def _finish(message: Json, name: str) -> str:
    if name.startswith("finish "):
        return name.removeprefix("finish ")
    return "tool_calls" if message.get("tool_calls") else "stop"


def _completion(asked: Json, name: str, prompt: str) -> Json:
    message = _message(asked, name, prompt)
    choices = [
        {"index": at, "message": message, "logprobs": None, "finish_reason": _finish(message, name)}
        for at in range(_number(asked))
    ]
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": f"{asked.get('model')}-2025",
    }
    body |= {"choices": choices, "system_fingerprint": "fp_1", "service_tier": "default"}
    return body if name == "no usage" else {**body, "usage": USAGE}


def _events(asked: Json, name: str, prompt: str) -> bytes:
    base = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_750_000_000,
        "model": f"{asked.get('model')}-2025",
    }
    message = _message(asked, name, prompt)
    deltas: list[Json] = [{"role": "assistant", "content": ""}]
    for word in re.findall(r"\S+\s*", message.get("reasoning_content") or ""):
        deltas.append({"reasoning_content": word})
    content = message.get("content")
    for word in re.findall(r"\S+\s*", content) if isinstance(content, str) else []:
        deltas.append({"content": word})
    for at, call in enumerate(message.get("tool_calls", [])):
        begun = {**call, "index": at, "function": {**call["function"], "arguments": ""}}
        deltas.append({"tool_calls": [begun]})
        deltas.append({"tool_calls": [{"index": at, "function": {"arguments": call["function"]["arguments"]}}]})
    if message.get("refusal"):
        deltas.append({"refusal": message["refusal"]})
    told: list[Any] = [
        {**base, "choices": [{"index": at, "delta": delta, "finish_reason": None}]}
        for at in range(_number(asked))
        for delta in deltas
    ]
    if name == "error in the stream":
        return b"".join(
            _event(one) for one in [*told[:2], {"error": {"message": "it broke", "type": "server_error", "code": 500}}]
        )
    if name == "error at once":
        return _event({"error": {"message": "it broke", "type": "server_error", "code": 500}})
    if name == "cut off":
        return b"".join(_event(one) for one in told[:2])
    if name == "comments":
        told = [one for pair in ((b": keep-alive\n\n", one) for one in told) for one in pair]
    told += [
        {**base, "choices": [{"index": at, "delta": {}, "finish_reason": _finish(message, name)}]}
        for at in range(_number(asked))
    ]
    if (asked.get("stream_options") or {}).get("include_usage") and name != "no usage":
        told.append({**base, "choices": [], "usage": USAGE})
    done = b"" if name == "no end" else b"data: [DONE]\n\n"
    return b"".join(one if isinstance(one, bytes) else _event(one) for one in told) + done


def _event(said: Json) -> bytes:
    return b"data: " + json.dumps(said).encode() + b"\n\n"
