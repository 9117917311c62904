"""An answer that comes as lines of JSON, as Ollama's own routes and some proxies stream, made into the events it would have come in."""

from __future__ import annotations

from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.types import Json

_CHUNKS = ("choices", "error")


def events_in_lines(body: bytes, *, any_object: bool = False) -> list[bytes]:
    """The events of a body of JSON lines; none where it is something else. `any_object`: their reader knows what they are."""
    events, called = [], False
    for line in filter(None, map(bytes.strip, body.split(b"\n"))):
        try:
            said = exact_json.loads(line)
        except ValueError:
            return []
        chunk = said if any_object and isinstance(said, dict) else chunk_of(said)
        if chunk is None:
            return []
        if chunk is not said:
            choice = chunk["choices"][0]
            called = called or "tool_calls" in choice["delta"]
            choice["finish_reason"] = choice["finish_reason"] and ("tool_calls" if called else choice["finish_reason"])
        events.append(b"data: " + (line if chunk is said else orjson.dumps(chunk)))
    return events


def chunk_of(said: Any) -> Json | None:
    """What a line says as a chunk of a chat; None where it is no piece of an answer."""
    if not isinstance(said, dict) or any(key in said for key in _CHUNKS):
        return said if isinstance(said, dict) else None
    message = said.get("message", {"content": said["response"]} if isinstance(said.get("response"), str) else None)
    if not isinstance(message, dict) or not isinstance(said.get("done"), bool):
        return None
    finish = (said.get("done_reason") or "stop") if said["done"] else None
    delta = {key: message[key] for key in ("role", "content") if message.get(key)}
    if isinstance(message.get("thinking"), str):
        delta["reasoning_content"] = message["thinking"]
    calls = message.get("tool_calls")
    if isinstance(calls, list):
        delta["tool_calls"] = [_call(call, at) for at, call in enumerate(calls) if isinstance(call, dict)]
    chunk: Json = {
        "object": "chat.completion.chunk",
        "model": said.get("model"),
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    prompt, answer = said.get("prompt_eval_count"), said.get("eval_count")
    if type(prompt) is int and type(answer) is int:
        chunk["usage"] = {"prompt_tokens": prompt, "completion_tokens": answer, "total_tokens": prompt + answer}
    return chunk


def chat_of_ollama(answer: Json) -> Json:
    """A whole answer of Ollama's own kind as a chat completion; any other as it is."""
    if any(key in answer for key in _CHUNKS) or (chunk := chunk_of(answer)) is None:
        return answer
    choice = chunk["choices"][0]
    finish = "tool_calls" if "tool_calls" in choice["delta"] else choice["finish_reason"]
    chunk["choices"] = [{"index": 0, "message": choice["delta"], "finish_reason": finish}]
    return chunk


def _call(call: Json, at: int) -> Json:
    """Ollama's calls have no ids, and arguments that are objects."""
    function = call.get("function")
    function = function if isinstance(function, dict) else {}
    arguments = function.get("arguments")
    written = arguments if isinstance(arguments, str) else orjson.dumps(arguments or {}).decode()
    return {
        "index": at,
        "id": call.get("id") or f"call_{at}",
        "type": "function",
        "function": {**function, "arguments": written},
    }
