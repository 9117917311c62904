"""Runtimes that speak OpenAI's Responses: how a chat request is written for them, and how their answers are read as a chat's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.dialects.chunks import Chunks, parsed
from arbiter_app.dialects.history import (
    Turn,
    allowed,
    chosen,
    functions_of,
    most_tokens,
    parts_of,
    refusal_text,
    rest,
    schema_of,
    turns_of,
)
from arbiter_app.dialects.openai_responses.request import ENCRYPTED
from arbiter_app.dialects.reasoning import MEMBER, RESPONSES, grouped
from arbiter_app.dialects.translation import Dropped
from arbiter_app.dialects.wire import Reader, WireRequest, below, unable
from arbiter_app.pipeline.messages import content_text, offered
from arbiter_app.pipeline.types import Json

LEAST_TOKENS = 16
"""A lower bound on an answer is refused."""
_FORMATS = (RESPONSES, "openai-responses-v1")
"""Formats of reasoning that were made by a model of OpenAI's: ours, and OpenRouter's."""
_THINKS = re.compile(r"(?:^|/)(?:o\d|gpt-(?:[5-9]|\d\d)|codex)")
"""Models whose reasoning can be had encrypted; others refuse to be asked for it."""
_PASSED = (
    "temperature",
    "top_p",
    "user",
    "metadata",
    "service_tier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
)
_MEANT = {"stop": "this runtime ends at no stop sequence; ask a model of a runtime of another dialect"}
_FINISH = {"max_output_tokens": "length", "content_filter": "content_filter"}
_LOST = "the response failed, and the runtime did not say why"


class ResponsesWire:
    """Responses (`dialects.wire.Wire`)."""

    dialect = "openai-responses"
    models = "/models"
    headers: Mapping[str, str] = MappingProxyType({})

    def url(self, base_url: str) -> str:
        """Where answers are asked for."""
        return below(base_url, "/responses")

    def authorized(self, key: str) -> dict[str, str]:
        """The header that a key goes in."""
        return {"authorization": f"Bearer {key}"} if key else {}

    def ask(self, payload: bytes) -> WireRequest:
        """A chat request as a Responses request. Raises RuntimeFault where it would mean something else."""
        given, dropped = exact_json.loads(payload), Dropped()
        return WireRequest(orjson.dumps(request(given, dropped)), dropped.names)

    def reader(self) -> Reader | None:
        """For one answer."""
        return ResponsesReader()


WIRE = ResponsesWire()


def request(given: Json, dropped: Dropped) -> Json:
    """The Responses request that a chat request means. Nothing is kept by the runtime: reasoning travels encrypted."""
    for name, why in _MEANT.items():
        if given.get(name):
            raise unable(name, why)
    rest(given, (*_PASSED, *_MEANT, "verbosity"), dropped)
    made: Json = {"model": given.get("model"), "input": _Items(dropped).of(turns_of(given)), "store": False}
    made |= {name: given[name] for name in _PASSED if given.get(name) is not None}
    most = most_tokens(given)
    if most is not None:
        made["max_output_tokens"] = max(most, LEAST_TOKENS)
        if most < LEAST_TOKENS:
            dropped.add("max_completion_tokens" if given.get("max_completion_tokens") else "max_tokens")
    made |= _tools(given)
    if text := _text(given):
        made["text"] = text
    effort = given.get("reasoning_effort")
    if isinstance(effort, str):
        made["reasoning"] = {"effort": effort}
    if isinstance(effort, str) or _THINKS.search(str(given.get("model")).lower()):
        made["include"] = [ENCRYPTED]
    if given.get("stream") is True:
        made["stream"] = True
    return made


def _tools(given: Json) -> Json:
    asked, choice = offered(given)
    choice, only = allowed(choice)
    tools = functions_of(asked)
    if not tools:
        return {}
    made: Json = {"tools": [_tool(function) for _, function in tools]}
    name = chosen(choice)
    if name is not None:
        made["tool_choice"] = {"type": "function", "name": name}
    elif only is not None:
        names = [{"type": "function", "name": one} for one in sorted(only)]
        made["tool_choice"] = {"type": "allowed_tools", "mode": choice, "tools": names}
    elif choice is not None:
        made["tool_choice"] = choice
    if isinstance(given.get("parallel_tool_calls"), bool):
        made["parallel_tool_calls"] = given["parallel_tool_calls"]
    return made


def _tool(function: Json) -> Json:
    """A tool. It is lenient unless it says otherwise, as in a chat: here strict is what is done where nothing is said."""
    schema = function.get("parameters")
    made: Json = {"type": "function", "name": function["name"]}
    if isinstance(function.get("description"), str) and function["description"]:
        made["description"] = function["description"]
    made["parameters"] = schema if isinstance(schema, dict) else {"type": "object", "properties": {}}
    return {**made, "strict": function.get("strict") is True}


def _text(given: Json) -> Json:
    made: Json = {}
    schema, asked = schema_of(given), given.get("response_format")
    if schema is not None:
        known = {name: schema[name] for name in ("schema", "strict", "description") if schema.get(name) is not None}
        made["format"] = {"type": "json_schema", "name": schema.get("name") or "answer", **known}
    elif isinstance(asked, dict) and asked.get("type") == "json_object":
        made["format"] = {"type": "json_object"}
    if given.get("verbosity") is not None:
        made["verbosity"] = given["verbosity"]
    return made


class _Items:
    """Writes the items of `input`."""

    def __init__(self, dropped: Dropped) -> None:
        self._dropped = dropped

    def of(self, turns: list[Turn]) -> list[Json]:
        """All of them. Raises RuntimeFault where nothing is said."""
        items = [item for turn in turns for item in self._turn(turn)]
        if not items:
            raise unable("messages", "this runtime needs a message that says something")
        return items

    def _turn(self, turn: Turn) -> list[Json]:
        if turn.role == "assistant":
            return self._assistant(turn)
        if turn.role == "tool":
            return [{"type": "function_call_output", "call_id": turn.answers, "output": self._output(turn)}]
        role = turn.message["role"] if turn.message.get("role") in ("system", "developer") else "user"
        content = self._parts(turn.message.get("content"))
        return [{"type": "message", "role": role, "content": content}] if content else []

    def _assistant(self, turn: Turn) -> list[Json]:
        thoughts = self._thoughts(turn)
        names = {call.id for call in turn.calls}
        items = [item for before, item in thoughts if before not in names]
        text = content_text(turn.message.get("content")) + refusal_text(turn.message)
        if text:
            items.append({"type": "message", "role": "assistant", "content": text})
        for call in turn.calls:
            items += [item for before, item in thoughts if before == call.id]
            items.append({"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments})
        return items

    def _thoughts(self, turn: Turn) -> list[tuple[str | None, Json]]:
        """The items of reasoning of a turn that a model of this dialect encrypted, and the call that each stands before, if any."""
        made: list[tuple[str | None, Json]] = []
        own = []
        for detail in turn.details:
            if detail.get("format") in _FORMATS:
                own.append(detail)
            else:
                self._dropped.add(f"messages.{MEMBER}")
        for group in grouped(own):
            data = [one["data"] for one in group if isinstance(one.get("data"), str)]
            texts = [one["summary"] for one in group if isinstance(one.get("summary"), str)]
            if not data:
                continue
            summary = [{"type": "summary_text", "text": text} for text in texts]
            named = {"id": group[0]["id"]} if isinstance(group[0].get("id"), str) else {}
            made.append(
                (
                    group[0].get("before"),
                    {"type": "reasoning", **named, "summary": summary, "encrypted_content": data[0]},
                )
            )
        return made

    def _output(self, turn: Turn) -> str | list[Json]:
        parts = self._parts(turn.message.get("content"))
        texts = [part["text"] for part in parts if part["type"] == "input_text"]
        return parts if len(texts) < len(parts) else "\n".join(texts)

    def _parts(self, content: Any) -> list[Json]:
        parts = parts_of(content)
        if any(part.get("cache_control") for part in parts):
            self._dropped.add("messages.content.cache_control")
        return [_part(part) for part in parts]


def _part(part: Json) -> Json:
    kind = part.get("type")
    if kind == "text":
        return {"type": "input_text", "text": str(part.get("text"))}
    if kind == "image_url":
        shown = part.get("image_url")
        shown = shown if isinstance(shown, dict) else {"url": shown}
        if not isinstance(shown.get("url"), str):
            raise unable("messages", "a picture has neither address nor data")
        return {"type": "input_image", "image_url": shown["url"], "detail": shown.get("detail") or "auto"}
    if kind == "file" and isinstance(part.get("file"), dict):
        return {"type": "input_file", **_file(part["file"])}
    raise unable("messages", f"this runtime knows no part of the type {str(kind)[:60]!r}")


def _file(file: Json) -> Json:
    data = file.get("file_data")
    if isinstance(data, str) and data.startswith(("http://", "https://")):
        return {"file_url": data}
    return {name: file[name] for name in ("filename", "file_data", "file_id") if file.get(name) is not None}


class ResponsesReader:
    """Reads one answer (`dialects.wire.Reader`)."""

    def __init__(self) -> None:
        self._chunks = Chunks()
        self._items: dict[object, _Item] = {}
        self._last: object = None

    @property
    def ended(self) -> bool:
        """Whether its end has come."""
        return self._chunks.ended

    @property
    def failed(self) -> bool:
        """Whether it has ended in an error."""
        return self._chunks.failed

    def whole(self, answer: Json, body: bytes) -> Json:
        """A response as a chat completion. Raises ValueError for what is none."""
        output = answer.get("output")
        if not isinstance(output, list):
            raise ValueError("it has no output")
        if answer.get("status") in ("failed", "cancelled"):
            raise ValueError(_LOST)
        message, usage = _message(output), usage_of(answer.get("usage"))
        head = {name: answer[name] for name in ("id", "model", "service_tier") if isinstance(answer.get(name), str)}
        finish = _finish(answer, bool(message.get("tool_calls")))
        made: Json = {**head, "choices": [{"index": 0, "message": message, "finish_reason": finish}]}
        if type(answer.get("created_at")) in (int, float):
            made["created"] = int(answer["created_at"])
        return {**made, "usage": usage} if usage is not None else made

    def chunks(self, data: bytes) -> list[bytes]:
        """What an event adds."""
        event = parsed(data)
        kind = event.get("type") if isinstance(event, dict) else None
        take = _EVENTS.get(kind) if isinstance(kind, str) else None
        if take is not None:
            take(self, event)
        elif kind is None or "choices" in event:
            self._chunks.raw(data)
        return self._chunks.taken()

    def _begin(self, event: Json) -> None:
        response = event.get("response")
        if isinstance(response, dict):
            self._chunks.begin(response.get("id"), response.get("model"), response.get("created_at"))

    def _item(self, event: Json) -> _Item:
        """The item that an event is of: by its place, by its id, or the last one."""
        item = event.get("item")
        named = item.get("id") if isinstance(item, dict) else event.get("item_id")
        at = event.get("output_index", named if named is not None else self._last)
        self._last = at
        known = self._items.get(at)
        if known is None:
            known = self._items[at] = _Item()
        return known

    def _added(self, event: Json) -> None:
        known, item = self._item(event), event.get("item")
        if isinstance(item, dict) and item.get("type") == "function_call" and known.number is None:
            known.number = self._chunks.call(item.get("call_id") or item.get("id"), item.get("name"))

    def _text(self, event: Json) -> None:
        item, text = self._item(event), event.get("delta")
        if isinstance(text, str):
            item.told += len(text)
            self._chunks.text(text)

    def _refusal(self, event: Json) -> None:
        item, text = self._item(event), event.get("delta")
        if isinstance(text, str):
            item.told += len(text)
            self._chunks.refusal(text)

    def _summary_part(self, event: Json) -> None:
        item = self._item(event)
        if item.told:
            self._chunks.thought("\n\n")

    def _thought(self, event: Json) -> None:
        item, text = self._item(event), event.get("delta")
        if isinstance(text, str):
            item.told += len(text)
            self._chunks.thought(text)

    def _arguments(self, event: Json) -> None:
        item, text = self._item(event), event.get("delta")
        if isinstance(text, str) and item.number is not None:
            item.told += len(text)
            self._chunks.arguments(item.number, text)

    def _done(self, event: Json) -> None:
        """An item is whole: what has not come of it in pieces comes now."""
        known, item = self._item(event), event.get("item")
        if isinstance(item, dict) and not known.done:
            self._finish(known, item)

    def _finish(self, known: _Item, item: Json) -> None:
        known.done = True
        kind = item.get("type")
        if kind == "function_call":
            if known.number is None:
                known.number = self._chunks.call(item.get("call_id") or item.get("id"), item.get("name"))
            if not known.told:
                self._chunks.arguments(known.number, item.get("arguments") or "{}")
        elif kind == "message" and not known.told:
            for part in item.get("content") or ():
                if isinstance(part, dict):
                    self._chunks.text(part.get("text") if part.get("type") == "output_text" else None)
                    self._chunks.refusal(part.get("refusal"))
        elif kind == "reasoning":
            if not known.told:
                self._chunks.thought(_thought(item))
            self._chunks.signed(_details(item))

    def _ended(self, event: Json) -> None:
        response = event.get("response")
        response = response if isinstance(response, dict) else {}
        output = response.get("output")
        for at, item in enumerate(output if isinstance(output, list) else ()):
            known = self._items.get(at) or self._items.get(item.get("id") if isinstance(item, dict) else None)
            if isinstance(item, dict) and (known is None or not known.done):
                self._finish(known or _Item(), item)
        self._chunks.end(_finish(response, self._chunks.calls > 0), usage_of(response.get("usage")))
        self._chunks.done()

    def _failed(self, event: Json) -> None:
        response = event.get("response")
        error = response.get("error") if isinstance(response, dict) else None
        self._chunks.error(error or {"message": _LOST})

    def _error(self, event: Json) -> None:
        inner = event.get("error")
        flat = {name: event[name] for name in ("code", "message", "param") if event.get(name) is not None}
        self._chunks.error(inner if isinstance(inner, dict) and inner else flat)


class _Item:
    """An item under way: its number, of a call, and how much of it has come in pieces."""

    __slots__ = ("done", "number", "told")

    def __init__(self) -> None:
        self.number: int | None = None
        self.told = 0
        self.done = False


_EVENTS = {
    "response.created": ResponsesReader._begin,
    "response.in_progress": ResponsesReader._begin,
    "response.output_item.added": ResponsesReader._added,
    "response.output_item.done": ResponsesReader._done,
    "response.output_text.delta": ResponsesReader._text,
    "response.refusal.delta": ResponsesReader._refusal,
    "response.function_call_arguments.delta": ResponsesReader._arguments,
    "response.reasoning_summary_part.added": ResponsesReader._summary_part,
    "response.reasoning_summary_text.delta": ResponsesReader._thought,
    "response.reasoning_text.delta": ResponsesReader._thought,
    "response.completed": ResponsesReader._ended,
    "response.incomplete": ResponsesReader._ended,
    "response.failed": ResponsesReader._failed,
    "response.cancelled": ResponsesReader._failed,
    "error": ResponsesReader._error,
}


def usage_of(stated: object) -> Json | None:
    """The tokens of an answer as a chat's."""
    if not isinstance(stated, dict):
        return None
    read, told = stated.get("input_tokens"), stated.get("output_tokens")
    if type(read) is not int or type(told) is not int:
        return None
    total = stated.get("total_tokens")
    made: Json = {"prompt_tokens": read, "completion_tokens": told, "total_tokens": total or read + told}
    for name, named in (("input_tokens_details", "prompt"), ("output_tokens_details", "completion")):
        if isinstance(stated.get(name), dict):
            made[f"{named}_tokens_details"] = stated[name]
    return made


def _message(output: list[Any]) -> Json:
    """The assistant's message that items are."""
    texts: list[str] = []
    refusals: list[str] = []
    thoughts: list[str] = []
    details: list[Json] = []
    calls: list[Json] = []
    waiting = 0
    for item in output:
        kind = item.get("type") if isinstance(item, dict) else None
        if kind == "message":
            for part in item.get("content") or ():
                if isinstance(part, dict) and part.get("type") == "output_text":
                    texts.append(str(part.get("text") or ""))
                elif isinstance(part, dict) and part.get("type") == "refusal":
                    refusals.append(str(part.get("refusal") or ""))
            waiting = len(details)
        elif kind == "reasoning":
            thoughts.append(_thought(item))
            details += _details(item)
        elif kind == "function_call":
            named = str(item.get("call_id") or item.get("id") or f"call_{len(calls)}")
            if texts or calls:
                details[waiting:] = [{**one, "before": named} for one in details[waiting:]]
            waiting = len(details)
            arguments = item.get("arguments")
            function = {
                "name": str(item.get("name") or ""),
                "arguments": arguments if isinstance(arguments, str) and arguments else "{}",
            }
            calls.append({"id": named, "type": "function", "function": function})
    made: Json = {"role": "assistant", "content": "".join(texts) or (None if calls or refusals else "")}
    if refusals:
        made["refusal"] = "".join(refusals)
    if thinking := "\n\n".join(filter(None, thoughts)):
        made["reasoning_content"] = thinking
    if details:
        made[MEMBER] = details
    return {**made, "tool_calls": calls} if calls else made


def _thought(item: Json) -> str:
    """What an item of reasoning shows."""
    parts = item.get("summary") or item.get("content") or ()
    return "\n\n".join(str(part.get("text") or "") for part in parts if isinstance(part, dict))


def _details(item: Json) -> list[Json]:
    """What an item of reasoning has encrypted, with its summary."""
    data = item.get("encrypted_content")
    if not isinstance(data, str) or not data:
        return []
    named = {"id": item["id"]} if isinstance(item.get("id"), str) else {}
    texts = [part.get("text") for part in item.get("summary") or () if isinstance(part, dict)]
    own: Json = {**named, "format": RESPONSES}
    summaries = [{"type": "reasoning.summary", "summary": text, **own} for text in texts if isinstance(text, str)]
    return [*summaries, {"type": "reasoning.encrypted", "data": data, **own}]


def _finish(response: Json, called: bool) -> str:
    why = response.get("incomplete_details")
    why = why.get("reason") if isinstance(why, dict) else None
    if isinstance(why, str) and why in _FINISH:
        return _FINISH[why]
    return "tool_calls" if called else "stop"


__all__ = ["WIRE", "ResponsesReader", "ResponsesWire", "request", "usage_of"]
