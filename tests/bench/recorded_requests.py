"""The 200 requests of `tests/bench/recorded.py`, each with a name that says what it is about."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tests.bench.scripted_runtime import BODIES, ERRORS, MESSAGES

CHAT = "/v1/chat/completions"
PINNED = "gpt-4o-mini"
MAX_BODY_BYTES = 10_000_000
"""The setting of both products; one request is over it."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Recorded:
    """A request to the product; `headers` are beside key and content type, and win."""

    name: str
    body: bytes = b""
    path: str = CHAT
    method: str = "POST"
    headers: dict[str, str] = field(default_factory=dict)


PROMPTS = (
    "Calculate 37 * 24",
    "What is the capital of France?",
    "Write a Python function that reverses a list.",
    "Translate into German: the house is green.",
    "Summarise: the cat sat on the mat and slept.",
    "Is this review positive or negative? 'I loved it'",
    "Give me a JSON object with city and people.",
    "Hallo, wie geht es dir?",
)
TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather of a city.",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}
SCHEMA = {
    "type": "json_schema",
    "json_schema": {
        "name": "place",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
            "required": ["city", "people"],
            "additionalProperties": False,
        },
    },
}
PICTURE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 418, 422, 429, 500, 502, 503, 504, 529)
OPTIONS: dict[str, Json] = {
    "n": {"n": 2},
    "stop": {"stop": ["\n", "END"]},
    "max tokens": {"max_tokens": 64},
    "max completion tokens": {"max_completion_tokens": 64},
    "temperature 0": {"temperature": 0},
    "seed and penalties": {"seed": 7, "presence_penalty": 0.1, "frequency_penalty": -0.1, "top_p": 0.9},
    "logprobs": {"logprobs": True, "top_logprobs": 2},
    "user and metadata": {"user": "u-1", "metadata": {"a": "b"}, "store": False},
    "reasoning effort": {"reasoning_effort": "low"},
    "a tool": {"tools": [TOOL]},
    "a tool that must be called": {
        "tools": [TOOL],
        "tool_choice": {"type": "function", "function": {"name": "weather"}},
    },
    "no parallel calls": {"tools": [TOOL], "parallel_tool_calls": False, "tool_choice": "auto"},
    "JSON object": {"response_format": {"type": "json_object"}},
    "JSON schema": {"response_format": SCHEMA},
    "a member nobody knows": {"of_a_provider": {"deep": [1, 2.50, 1e400]}}
    if False
    else {"of_a_provider": {"deep": [1, 2.50]}},
    "highest cost": {"arbiter_max_cost": 0.01},
}
CONVERSATIONS: dict[str, list[Json]] = {
    "a system prompt": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Why is the sky blue?"},
    ],
    "a developer prompt": [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Why is the sea blue?"},
    ],
    "parts": [
        {"role": "user", "content": [{"type": "text", "text": "Why is "}, {"type": "text", "text": "grass green?"}]}
    ],
    "several turns": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Hello!"},
        {"role": "user", "content": "Tell me of bees."},
    ],
    "an answered call": [
        {"role": "user", "content": "The weather in Paris?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": "{}"}}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
    ],
    "a picture": [{"role": "user", "content": [{"type": "text", "text": "What is this?"}, PICTURE]}],
    "a name": [{"role": "user", "name": "ann", "content": "Who am I?"}],
    "empty text": [{"role": "user", "content": ""}],
    "odd letters": [{"role": "user", "content": '\u2028 \x00 \U0001f600 \\ " é'}],
}
NO_JSON = {
    "nothing": b"",
    "a brace": b"{",
    "words": b"not json",
    "NaN": b'{"messages": NaN}',
    "Infinity": b'{"messages": [{"role": "user", "content": Infinity}]}',
    "deep": b"[" * 2_000,
    "deep inside": b'{"messages": [{"role": "user", "content": "hi"}], "metadata": '
    + b'{"a":' * 300
    + b"1"
    + b"}" * 301,
    "other bytes": b"\xff\xfe{}",
    "a string": b'"a string"',
    "a list": b"[1, 2]",
    "null": b"null",
    "a broken text": b'{"messages": "\xff"}',
    "a lone half": b'{"messages": [{"role": "user", "content": "\\ud800"}], "arbiter_pin": "gpt-4o-mini"}',
    "something after": b'{"messages": [{"role": "user", "content": "hi"}]} x',
    "a name twice": b'{"messages": [{"role": "user", "content": "hi"}], "n": 1, "n": 1, "arbiter_pin": "gpt-4o-mini", "arbiter_no_cache": true}',
}
WRONG: dict[str, Json] = {
    "no messages": {},
    "messages null": {"messages": None},
    "messages empty": {"messages": []},
    "messages a text": {"messages": "hi"},
    "messages an object": {"messages": {"role": "user"}},
    "a message a text": {"messages": ["hi"]},
    "no role": {"messages": [{"content": "hi"}]},
    "role a number": {"messages": [{"role": 7, "content": "hi"}]},
    "content a number": {"messages": [{"role": "user", "content": 7}]},
    "a part a text": {"messages": [{"role": "user", "content": ["hi"]}]},
    "stream a text": {"stream": "yes"},
    "stream options a list": {"stream": True, "stream_options": [1]},
    "cost a text": {"arbiter_max_cost": "1"},
    "cost a switch": {"arbiter_max_cost": True},
    "cost below 0": {"arbiter_max_cost": -1},
    "latency 0": {"arbiter_max_latency": 0},
    "latency a list": {"arbiter_max_latency": [1]},
    "no_cache a text": {"arbiter_no_cache": "true"},
    "models a text": {"arbiter_models": "gpt-4o"},
    "models empty": {"arbiter_models": []},
    "models a number": {"arbiter_models": [1]},
    "models unknown": {"arbiter_models": ["no-such-model"]},
    "pin a number": {"arbiter_pin": 1},
    "pin unknown": {"arbiter_pin": "no-such-model"},
    "model unknown": {"model": "no-such-model"},
    "model a number": {"model": 7},
    "an unknown name of ours": {"arbiter_maxcost": 1},
    "tools a text": {"tools": "weather"},
    "n a text": {"n": "2"},
    "max tokens 0": {"max_tokens": 0},
    "response format a text": {"response_format": "json"},
    "pin and models apart": {"arbiter_pin": "gpt-4o", "arbiter_models": ["gpt-4o-mini"]},
    "tools that none has": {"tools": [TOOL], "arbiter_models": ["hermes-3-llama-3.1-405b"]},
    "a picture that none sees": {
        "messages": [{"role": "user", "content": [PICTURE]}],
        "arbiter_models": ["deepseek-chat-v3"],
    },
    "sound that none hears": {
        "messages": [{"role": "user", "content": [SOUND]}],
        "arbiter_models": ["deepseek-chat-v3"],
    },
    "a window too small": {
        "messages": [{"role": "user", "content": "word " * 140_000}],
        "arbiter_models": ["gpt-4o", "deepseek-chat-v3"],
    },
    "every window too small": {"messages": [{"role": "user", "content": "word " * 1_100_000}]},
}
ASK = {"messages": [{"role": "user", "content": "What is the capital of France?"}], "arbiter_models": [PINNED]}


def chat(name: str, prompt: str | list[Json], **fields: Any) -> Recorded:
    """A chat with one model, past the cache, where nothing else is said."""
    messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    body = {"model": "auto", "messages": messages, "arbiter_pin": PINNED, "arbiter_no_cache": True, **fields}
    if "arbiter_models" in fields:
        del body["arbiter_pin"]
    return Recorded(name, json.dumps(body).encode())


def recorded() -> list[Recorded]:
    """All of them, in the order in which they are sent."""
    return [*_plain(), *_cached(), *_answers_of_kinds(), *_failing(), *_wrong()]


def _plain() -> Iterator[Recorded]:
    for at, prompt in enumerate(PROMPTS):
        yield chat(f"plain {at}", prompt)
        yield chat(f"streamed {at}", prompt, stream=True)
    yield chat("streamed with usage", PROMPTS[1], stream=True, stream_options={"include_usage": True})
    yield chat("pinned to another", PROMPTS[1], arbiter_pin="gpt-4o")
    yield chat("pinned with prefix", PROMPTS[1], arbiter_pin="openai/gpt-4o")
    yield chat("one model allowed", PROMPTS[0], arbiter_models=["gpt-4.1-mini"])
    yield chat("one model allowed, streamed", PROMPTS[0], arbiter_models=["gpt-4.1-mini"], stream=True)
    for name, messages in CONVERSATIONS.items():
        yield chat(f"with {name}", messages)
    for name, fields in OPTIONS.items():
        yield chat(f"option {name}", "Give me a JSON object of a city.", **fields)
    for name in ("n", "stop", "a tool", "JSON schema", "logprobs"):
        yield chat(f"option {name}, streamed", "Give me a JSON object of a city.", stream=True, **OPTIONS[name])


def _cached() -> Iterator[Recorded]:
    sum_ = "Calculate 37 * 24"
    kept = {
        "model": "auto",
        "temperature": 0,
        "arbiter_models": [PINNED],
        "messages": [{"role": "user", "content": sum_}],
    }
    for at, more in enumerate(
        ({}, {}, {"stream": True}, {"stream": True, "stream_options": {"include_usage": True}}, {"temperature": 0.5})
    ):
        yield Recorded(f"cached {at}", json.dumps({**kept, **more}).encode())
    other = {
        "model": "auto",
        "temperature": 0,
        "arbiter_models": ["gpt-4.1"],
        "messages": [{"role": "user", "content": "What is 12 + 30?"}],
    }
    yield Recorded("cached, allowed, first", json.dumps(other).encode())
    yield Recorded("cached, allowed, again", json.dumps(other).encode())


def _answers_of_kinds() -> Iterator[Recorded]:
    more = ("no usage", "no charge", "finish length", "finish content_filter", "finish something_new")
    for name in (*MESSAGES, *more):
        yield chat(f"answer {name}", f"Tell me. [[{name}]]", **({"tools": [TOOL]} if "call" in name else {}))
    for name in (*MESSAGES, *more, "comments", "no end", "cut off", "error in the stream", "error at once"):
        yield chat(
            f"answer {name}, streamed",
            f"Tell me. [[{name}]]",
            stream=True,
            **({"tools": [TOOL]} if "call" in name else {}),
        )
    for name in BODIES:
        yield chat(f"body {name}", f"Tell me. [[{name}]]")


def _failing() -> Iterator[Recorded]:
    for status in STATUSES:
        yield chat(f"runtime {status}", f"Tell me. [[status {status}]]")
    for status in (400, 401, 403, 404, 413, 422, 429, 500, 502, 503, 529):
        yield chat(f"runtime {status}, streamed", f"Tell me. [[status {status}]]", stream=True)
    for kind in ("400 html", "502 html", "500 empty", "400 empty", "429 later", "503 later", "302 empty"):
        yield chat(f"runtime {kind}", f"Tell me. [[status {kind}]]")
    for name in ERRORS:
        yield chat(f"runtime says {name}", f"Tell me. [[{name}]]")


def _wrong() -> Iterator[Recorded]:
    for name, body in NO_JSON.items():
        yield Recorded(f"no JSON: {name}", body)
    for name, fields in WRONG.items():
        yield Recorded(f"wrong: {name}", json.dumps({**({} if name == "no messages" else ASK), **fields}).encode())
    good = json.dumps(ASK).encode()
    yield Recorded("wrong: too large", json.dumps({**ASK, "x": "x" * MAX_BODY_BYTES}).encode())
    for at, key in enumerate(("", "Bearer", "Basic abc", "Bearer wrong")):
        yield Recorded(f"key {at}", good, headers={"authorization": key})
    yield Recorded("a text type", chat("", PROMPTS[1]).body, headers={"content-type": "text/plain"})
    yield Recorded("an unknown path", good, path="/v1/chat/completion")
    yield Recorded("another method", method="GET")
    yield Recorded("another method, DELETE", method="DELETE")
