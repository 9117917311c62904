"""The simulated runtime in Anthropic's Messages: requests read as those of a chat, by the rules that Anthropic refuses them by, and
answers in its form.

Written by itself, from Anthropic's documentation: what Arbiter translates is read here by other code than its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.sandbox.answers import SimulatedAnswer
from arbiter_app.runtime.sandbox.effort import effort_of_budget
from arbiter_app.runtime.sandbox.refusal import refuse_unless
from arbiter_app.runtime.sandbox.wire import ARGUMENT_CHARS, WORDS, SandboxAnswer, in_pieces

PATH = "/messages"
LEAST_BUDGET = 1_024
_REASONS = {"tool_calls": "tool_use", "length": "max_tokens"}
_ERRORS = {401: "authentication_error", 404: "not_found_error", 413: "request_too_large", 429: "rate_limit_error"}
_CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_NO_RESULT = (
    "messages.{at}: `tool_use` ids were found without `tool_result` blocks immediately after: {ids}. Each `tool_use` block must have a "
    "corresponding `tool_result` block in the next message."
)

_UNTHOUGHT = (
    "Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is enabled, a final `assistant` message must start "
    "with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks)."
)


def chat_of(given: Json, headers: dict[str, str]) -> Json:
    """The chat request that a Messages request means. Raises SandboxRefusal."""
    refuse_unless(headers.get("anthropic-version"), "anthropic-version: header is required")
    most = given.get("max_tokens")
    refuse_unless(type(most) is int and most >= 0, "max_tokens: Field required")
    history: list[Any] = given.get("messages") or []
    refuse_unless(isinstance(history, list) and history, "messages: at least one message is required")
    thinking = given.get("thinking") or {}
    _check_thinking(given, thinking)
    messages = _system(given.get("system")) + _history(history, thinks=thinking.get("type") == "enabled")
    made: Json = {"model": given.get("model"), "messages": messages, "max_tokens": most}
    made |= {name: given[name] for name in ("stream", "temperature") if name in given}
    if given.get("stop_sequences"):
        made["stop"] = given["stop_sequences"]
    if given.get("tools"):
        made["tools"] = [_tool(one) for one in given["tools"] if "input_schema" in one]
        made |= _choice(given.get("tool_choice") or {})
    config = given.get("output_config") or {}
    if thinking.get("type") == "enabled":
        made["reasoning_effort"] = effort_of_budget(thinking["budget_tokens"])
    elif thinking.get("type") == "adaptive":
        made["reasoning_effort"] = config.get("effort") or "high"
    form = config.get("format") or {}
    if form.get("type") == "json_schema":
        made["response_format"] = {"type": "json_schema", "json_schema": {"name": "answer", "schema": form["schema"]}}
    return made


def _check_thinking(given: Json, thinking: Json) -> None:
    if thinking.get("type") != "enabled":
        return
    budget, choice = thinking.get("budget_tokens"), (given.get("tool_choice") or {}).get("type")
    refuse_unless(
        type(budget) is int and budget >= LEAST_BUDGET, "thinking.enabled.budget_tokens: Input should be >= 1024"
    )
    refuse_unless(budget < given["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`")
    refuse_unless(choice not in ("any", "tool"), "Thinking may not be enabled when tool_choice forces tool use.")


def _tool(tool: Json) -> Json:
    function = {
        "name": tool.get("name"),
        "description": tool.get("description", ""),
        "parameters": tool["input_schema"],
    }
    return {"type": "function", "function": function} | _marked(tool)


def _choice(choice: Json) -> Json:
    if choice.get("type") == "tool":
        return {"tool_choice": {"type": "function", "function": {"name": choice.get("name")}}}
    return {"tool_choice": _CHOICES[choice["type"]]} if choice.get("type") in _CHOICES else {}


def _system(system: Any) -> list[Json]:
    if not system:
        return []
    return [{"role": "system", "content": system if isinstance(system, str) else [_part(one) for one in system]}]


def _history(history: list[Any], *, thinks: bool) -> list[Json]:
    """The messages, after a look at what has to follow what."""
    made: list[Json] = []
    waiting: list[str] = []
    for at, message in enumerate(history):
        role, blocks = message.get("role"), _blocks(message)
        refuse_unless(role in ("user", "assistant", "system"), f"messages.{at}.role: unknown")
        answered = [one.get("tool_use_id") for one in blocks if one.get("type") == "tool_result"]
        missing = [one for one in waiting if one not in answered]
        refuse_unless(not missing, _NO_RESULT.format(at=at - 1, ids=", ".join(missing)))
        strange = [one for one in answered if one not in waiting]
        refuse_unless(not strange, f"messages.{at}: unexpected `tool_use_id` found in `tool_result` blocks: {strange}.")
        for block in blocks:
            empty = block.get("type") == "text" and not block.get("text")
            refuse_unless(not empty, f"messages.{at}: text content blocks must be non-empty")
        waiting = [str(one.get("id")) for one in blocks if one.get("type") == "tool_use"]
        made += [_assistant(blocks)] if role == "assistant" else _user(blocks, str(role))
    refuse_unless(not waiting, _NO_RESULT.format(at=len(history) - 1, ids=", ".join(waiting)))
    _check_end(history, thinks)
    return made


def _check_end(history: list[Any], thinks: bool) -> None:
    last = _blocks(history[-1])
    if history[-1]["role"] == "assistant" and last and last[-1].get("type") == "text":
        refuse_unless(
            not last[-1]["text"][-1:].isspace(), "messages: final assistant content cannot end with trailing whitespace"
        )
    if not thinks or not any(one.get("type") == "tool_result" for one in last):
        return
    spoken: list[Json] = next((_blocks(one) for one in reversed(history) if one["role"] == "assistant"), [{}])
    first = spoken[0].get("type")
    refuse_unless(first in ("thinking", "redacted_thinking"), _UNTHOUGHT.format(found=first))


def _blocks(message: Json) -> list[Json]:
    content = message.get("content")
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [one for one in content if isinstance(one, dict)] if isinstance(content, list) else []


def _user(blocks: list[Json], role: str) -> list[Json]:
    results = [one for one in blocks if one.get("type") == "tool_result"]
    others = [_part(one) for one in blocks if one.get("type") != "tool_result"]
    made = [
        {
            "role": "tool",
            "tool_call_id": one["tool_use_id"],
            "content": [_part(part) for part in _blocks(one)],
            **_marked(one),
        }
        for one in results
    ]
    return [*made, {"role": role, "content": others}] if others else made


def _assistant(blocks: list[Json]) -> Json:
    texts = "".join(str(one.get("text")) for one in blocks if one.get("type") == "text")
    calls = [_call(one) for one in blocks if one.get("type") == "tool_use"]
    thoughts = [
        {"type": "reasoning.text", "text": one.get("thinking"), "signature": one.get("signature")}
        for one in blocks
        if one.get("type") == "thinking"
    ]
    made: Json = {"role": "assistant", "content": texts or None}
    return made | ({"tool_calls": calls} if calls else {}) | ({"reasoning_details": thoughts} if thoughts else {})


def _call(block: Json) -> Json:
    function = {"name": block.get("name"), "arguments": orjson.dumps(block.get("input")).decode()}
    return {"id": block.get("id"), "type": "function", "function": function}


def _part(block: Json) -> Json:
    kind, source = block.get("type"), block.get("source") or {}
    if kind == "image":
        url = source.get("url") or f"data:{source.get('media_type')};base64,{source.get('data')}"
        return {"type": "image_url", "image_url": {"url": url}} | _marked(block)
    if kind == "document":
        return {"type": "file", "file": {"file_data": source.get("data") or source.get("url")}} | _marked(block)
    return {"type": "text", "text": str(block.get("text", ""))} | _marked(block)


def _marked(block: Json) -> Json:
    return {"cache_control": block["cache_control"]} if block.get("cache_control") else {}


def body(answer: SandboxAnswer) -> bytes:
    """The whole answer as a message."""
    content = [block for block, _ in _said(answer.said)]
    return orjson.dumps({**_head(answer), "content": content, **_ended(answer), "usage": _usage(answer)})


def events(answer: SandboxAnswer, *, include_usage: bool) -> list[bytes]:
    """The answer as events; usage is always in them."""
    begun = {**_usage(answer), "output_tokens": 1}
    message = {**_head(answer), "content": [], "stop_reason": None, "stop_sequence": None, "usage": begun}
    made = [_event("message_start", message=message), _event("ping")]
    for index, (block, deltas) in enumerate(_said(answer.said)):
        made.append(_event("content_block_start", index=index, content_block=_begun(block)))
        made += [_event("content_block_delta", index=index, delta=delta) for delta in deltas]
        made.append(_event("content_block_stop", index=index))
    made.append(_event("message_delta", delta=_ended(answer), usage=_usage(answer)))
    return [*made, _event("message_stop")]


def error(status: int, message: str, code: str | None) -> Json:
    """The body of a refusal."""
    kind = _ERRORS.get(status, "invalid_request_error" if status < 500 else "api_error")
    said = f"prompt is too long: {message}" if code == "context_length_exceeded" else message
    return {"type": "error", "error": {"type": kind, "message": said}, "request_id": None}


def error_event(message: str) -> bytes:
    """What breaks a stream off."""
    return _event("error", error={"type": "api_error", "message": message})


def _head(answer: SandboxAnswer) -> Json:
    named = f"msg_{answer.id.removeprefix('chatcmpl-')}"
    return {"id": named, "type": "message", "role": "assistant", "model": answer.model}


def _ended(answer: SandboxAnswer) -> Json:
    choice = answer.choices[0]
    if choice.said.stopped:
        return {"stop_reason": "stop_sequence", "stop_sequence": choice.said.stopped}
    return {"stop_reason": _REASONS.get(choice.finish, "end_turn"), "stop_sequence": None}


def _usage(answer: SandboxAnswer) -> Json:
    """What was used: here the input does not hold what was read from the cache or written to it."""
    stated = answer.usage or {"prompt_tokens": 0, "completion_tokens": 0}
    cache = stated.get("prompt_tokens_details") or {}
    read, written = cache.get("cached_tokens", 0), cache.get("cache_write_tokens", 0)
    return {
        "input_tokens": stated["prompt_tokens"] - read - written,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
        "cache_creation": {"ephemeral_5m_input_tokens": written, "ephemeral_1h_input_tokens": 0},
        "output_tokens": stated["completion_tokens"],
    }


def _said(said: SimulatedAnswer) -> Iterator[tuple[Json, list[Json]]]:
    """The blocks of an answer, each with the deltas that it comes in."""
    if said.thought:
        mark = said.signed[0]["signature"]
        pieces = [{"type": "thinking_delta", "thinking": one} for one in WORDS.findall(said.thought)]
        block = {"type": "thinking", "thinking": said.thought, "signature": mark}
        yield block, [*pieces, {"type": "signature_delta", "signature": mark}]
    if said.text or not said.tool_calls:
        yield (
            {"type": "text", "text": said.text},
            [{"type": "text_delta", "text": one} for one in WORDS.findall(said.text)],
        )
    for call in said.tool_calls:
        name, written = call["function"]["name"], call["function"]["arguments"]
        pieces = [{"type": "input_json_delta", "partial_json": one} for one in in_pieces(written, ARGUMENT_CHARS)]
        yield {"type": "tool_use", "id": f"toolu_{call['id']}", "name": name, "input": _input(written)}, pieces


def _begun(block: Json) -> Json:
    empty: dict[str, Json] = {
        "text": {"text": ""},
        "thinking": {"thinking": "", "signature": ""},
        "tool_use": {"input": {}},
    }
    return {**block, **empty[block["type"]]}


def _input(written: str) -> Json:
    """What a tool is called with; a model that wrote no object has said nothing."""
    try:
        given = orjson.loads(written)
    except orjson.JSONDecodeError:
        return {}
    return given if isinstance(given, dict) else {}


def _event(kind: str, **members: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), orjson.dumps({"type": kind, **members}))
