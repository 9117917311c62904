"""The simulated runtime in OpenAI's Responses: requests read as those of a chat, by the rules that OpenAI refuses them by, and answers in
its form.

Written by itself, from OpenAI's documentation: what Arbiter translates is read here by other code than its own. Nothing is stored.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Iterator
from typing import Any

import orjson

from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.sandbox.answers import SimulatedAnswer
from arbiter_app.runtime.sandbox.refusal import SandboxRefusal, refuse_unless
from arbiter_app.runtime.sandbox.wire import ARGUMENT_CHARS, WORDS, SandboxAnswer, in_pieces

PATH = "/responses"
LEAST_TOKENS = 16
ENCRYPTED = "reasoning.encrypted_content"
_INCOMPLETE = {"length": "max_output_tokens"}
_CALLS, _OUTPUTS = ("function_call", "custom_tool_call"), ("function_call_output", "custom_tool_call_output")


def chat_of(given: Json, headers: dict[str, str]) -> Json:
    """The chat request that a Responses request means. Raises SandboxRefusal."""
    if given.get("previous_response_id"):
        said = f"Previous response with id '{given['previous_response_id']}' not found."
        raise SandboxRefusal(400, said, "previous_response_not_found")
    most = given.get("max_output_tokens")
    refuse_unless(
        most is None or (type(most) is int and most >= LEAST_TOKENS),
        "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16.",
        "integer_below_min_value",
    )
    items: Any = given.get("input")
    items = [{"role": "user", "content": items}] if isinstance(items, str) else items
    refuse_unless(
        isinstance(items, list) and items, "Missing required parameter: 'input'.", "missing_required_parameter"
    )
    begun = [{"role": "system", "content": given["instructions"]}] if given.get("instructions") else []
    made: Json = {"model": given.get("model"), "messages": [*begun, *_history(items)]}
    made |= {name: given[name] for name in ("stream", "temperature") if name in given}
    if most is not None:
        made["max_completion_tokens"] = most
    made |= _tools(given)
    effort = (given.get("reasoning") or {}).get("effort")
    if effort:
        made["reasoning_effort"] = effort
    made["include"] = given.get("include") or []
    form = (given.get("text") or {}).get("format") or {}
    if form.get("type") == "json_schema":
        made["response_format"] = {
            "type": "json_schema",
            "json_schema": {"name": form.get("name"), "schema": form["schema"]},
        }
    elif form.get("type") == "json_object":
        made["response_format"] = form
    return made


def _tools(given: Json) -> Json:
    """The functions among the tools; the others this runtime does not have."""
    functions = [one for one in given.get("tools") or () if isinstance(one, dict) and one.get("type") == "function"]
    if not functions:
        return {}
    made: Json = {"tools": [{"type": "function", "function": {**one, "type": None}} for one in functions]}
    choice = given.get("tool_choice")
    if isinstance(choice, dict):
        named = {"type": "function", "function": {"name": choice.get("name")}}
        choice = named if choice.get("type") == "function" else choice.get("mode", "auto")
    return made if choice is None else {**made, "tool_choice": choice}


def _history(items: list[Any]) -> list[Json]:
    """The messages: what one turn of the model said and called is one of them."""
    made: list[Json] = []
    waiting: dict[str, None] = {}
    signed: list[Json] = []
    for item in items:
        kind = item.get("type", "message")
        if kind == "reasoning":
            signed += _signed(item)
        elif kind in _CALLS:
            if not made or made[-1]["role"] != "assistant":
                made.append({"role": "assistant", "content": None})
            made[-1].setdefault("tool_calls", []).append(_call(item))
            waiting[str(item.get("call_id"))] = None
        elif kind in _OUTPUTS:
            named = str(item.get("call_id"))
            refuse_unless(named in waiting, f"No tool call found for function call output with call_id {named}.")
            del waiting[named]
            made.append({"role": "tool", "tool_call_id": named, "content": _content(item.get("output"))})
        elif kind == "message":
            role = item.get("role")
            made.append({"role": role, "content": _content(item.get("content"))})
        if signed and made and made[-1]["role"] == "assistant":
            made[-1].setdefault("reasoning_details", []).extend(signed)
            signed = []
    refuse_unless(not waiting, f"No tool output found for function call {next(iter(waiting), '')}.")
    return made


def _call(item: Json) -> Json:
    function = {"name": item.get("name"), "arguments": item.get("arguments", item.get("input"))}
    return {"id": item.get("call_id"), "type": "function", "function": function}


def _content(content: Any) -> Any:
    if not isinstance(content, list):
        return content
    return [_part(one) for one in content]


def _part(part: Json) -> Json:
    kind = part.get("type")
    if kind == "input_image":
        return {"type": "image_url", "image_url": {"url": part.get("image_url")}}
    if kind == "input_file":
        return {"type": "file", "file": part}
    return {"type": "text", "text": str(part.get("text", part.get("refusal", "")))}


def _signed(item: Json) -> list[Json]:
    """What a model thought before, read from what it encrypted."""
    if item.get("encrypted_content") is None:
        return []
    try:
        text, mark = orjson.loads(base64.b64decode(item["encrypted_content"], validate=True))
    except (ValueError, TypeError):
        text, mark = "", "unreadable"
    return [{"type": "reasoning.text", "text": text, "signature": mark}]


def _encrypted(said: SimulatedAnswer) -> str:
    return base64.b64encode(orjson.dumps([said.thought, said.signed[0]["signature"]])).decode()


def body(answer: SandboxAnswer) -> bytes:
    """The whole answer as a response."""
    return orjson.dumps(_response(answer, _status(answer), [item for item, _ in _said(answer)], _usage(answer)))


def events(answer: SandboxAnswer, *, include_usage: bool) -> list[bytes]:
    """The answer as events; usage is always in the last."""
    begun, output = _response(answer, "in_progress", [], None), []
    told: list[Json] = [{"type": f"response.{one}", "response": begun} for one in ("created", "in_progress")]
    for index, (item, pieces) in enumerate(_said(answer)):
        output.append(item)
        told.append({"type": "response.output_item.added", "output_index": index, "item": _begun(item)})
        told += [{**one, "item_id": item["id"], "output_index": index} for one in pieces]
        told.append({"type": "response.output_item.done", "output_index": index, "item": item})
    status = _status(answer)
    told.append({"type": f"response.{status}", "response": _response(answer, status, output, _usage(answer))})
    return [_event(one, number) for number, one in enumerate(told)]


def error(status: int, message: str, code: str | None) -> Json:
    """The body of a refusal."""
    if message.startswith("Invalid `signature`"):
        message, code = "The encrypted content could not be verified.", "invalid_encrypted_content"
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def error_event(message: str) -> bytes:
    """What breaks a stream off."""
    return _event({"type": "error", "code": "server_error", "message": message, "param": None}, 0)


def _status(answer: SandboxAnswer) -> str:
    return "incomplete" if answer.choices[0].finish in _INCOMPLETE else "completed"


def _response(answer: SandboxAnswer, status: str, output: list[Json], usage: Json | None) -> Json:
    why = _INCOMPLETE.get(answer.choices[0].finish) if status == "incomplete" else None
    return {
        "id": f"resp_{_named(answer)}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": {"reason": why} if why else None,
        "instructions": None,
        "metadata": {},
        "model": answer.model,
        "output": output,
        "parallel_tool_calls": True,
        "previous_response_id": None,
        "store": False,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": usage,
    }


def _usage(answer: SandboxAnswer) -> Json | None:
    stated = answer.usage
    if not stated:
        return None
    cached = (stated.get("prompt_tokens_details") or {}).get("cached_tokens", 0)
    thought = (stated.get("completion_tokens_details") or {}).get("reasoning_tokens", 0)
    return {
        "input_tokens": stated["prompt_tokens"],
        "input_tokens_details": {"cached_tokens": cached},
        "output_tokens": stated["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": thought},
        "total_tokens": stated["total_tokens"],
    }


def _named(answer: SandboxAnswer) -> str:
    return answer.id.removeprefix("chatcmpl-")


def _said(answer: SandboxAnswer) -> Iterator[tuple[Json, list[Json]]]:
    """The items of the output, each with the events between its beginning and its end."""
    said, named = answer.said, _named(answer)
    if said.thought:
        sealed = {"encrypted_content": _encrypted(said)} if answer.encrypted else {}
        summary = {"type": "summary_text", "text": said.thought}
        yield {"id": f"rs_{named}", "type": "reasoning", "summary": [summary], **sealed}, _thinking(said.thought)
    if said.text or not said.tool_calls:
        part = {"type": "output_text", "text": said.text, "annotations": [], "logprobs": []}
        item = {"id": f"msg_{named}", "type": "message", "status": "completed", "role": "assistant", "content": [part]}
        yield item, _speaking(part)
    for number, call in enumerate(said.tool_calls):
        function = {"name": call["function"]["name"], "arguments": call["function"]["arguments"]}
        item = {"id": f"fc_{named}_{number}", "type": "function_call", "status": "completed", "call_id": call["id"]}
        yield {**item, **function}, _calling(function)


def _thinking(thought: str) -> list[Json]:
    at, kind = {"summary_index": 0}, "response.reasoning_summary"
    part = {"type": "summary_text", "text": thought}
    return [
        {"type": f"{kind}_part.added", **at, "part": {**part, "text": ""}},
        *({"type": f"{kind}_text.delta", **at, "delta": one} for one in WORDS.findall(thought)),
        {"type": f"{kind}_text.done", **at, "text": thought},
        {"type": f"{kind}_part.done", **at, "part": part},
    ]


def _speaking(part: Json) -> list[Json]:
    at, kind = {"content_index": 0}, "response.output_text"
    return [
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
        *({"type": f"{kind}.delta", **at, "delta": one, "logprobs": []} for one in WORDS.findall(part["text"])),
        {"type": f"{kind}.done", **at, "text": part["text"], "logprobs": []},
        {"type": "response.content_part.done", **at, "part": part},
    ]


def _calling(function: Json) -> list[Json]:
    kind = "response.function_call_arguments"
    pieces = [{"type": f"{kind}.delta", "delta": one} for one in in_pieces(function["arguments"], ARGUMENT_CHARS)]
    return [*pieces, {"type": f"{kind}.done", **function}]


def _begun(item: Json) -> Json:
    empty: dict[str, Json] = {
        "reasoning": {"summary": []},
        "message": {"status": "in_progress", "content": []},
        "function_call": {"status": "in_progress", "arguments": ""},
    }
    return {name: value for name, value in {**item, **empty[item["type"]]}.items() if name != "encrypted_content"}


def _event(event: Json, number: int) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps({**event, "sequence_number": number}))
