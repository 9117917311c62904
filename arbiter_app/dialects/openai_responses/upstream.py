"""Runtimes that speak OpenAI's Responses: how a chat request is written for them; their answers are read in `upstream_reader.py`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects.history import (
    Turn,
    allowed,
    chat_of,
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
from arbiter_app.dialects.openai_responses.thinking import effort_of
from arbiter_app.dialects.openai_responses.upstream_reader import ResponsesReader
from arbiter_app.dialects.reasoning import MEMBER, RESPONSES, grouped
from arbiter_app.dialects.translation import Dropped
from arbiter_app.dialects.wire import Reader, WireRequest, below, unable
from arbiter_app.pipeline.effort import budget_of
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
        given, dropped = chat_of(payload), Dropped()
        return WireRequest(exact_json.line(request(given, dropped)), dropped.names)

    def reader(self) -> Reader | None:
        """For one answer."""
        return ResponsesReader()


WIRE = ResponsesWire()


def request(given: Json, dropped: Dropped) -> Json:
    """The Responses request that a chat request means. Nothing is kept by the runtime: reasoning travels encrypted."""
    for name, why in _MEANT.items():
        value = given.get(name)
        if value and (not isinstance(value, list) or any(value)):
            raise unable(name, why)
    rest(given, (*_PASSED, *_MEANT, "verbosity", "thinking"), dropped)
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
    effort = _effort(given, dropped)
    if isinstance(effort, str):
        made["reasoning"] = {"effort": effort}
    if isinstance(effort, str) or _THINKS.search(str(given.get("model")).lower()):
        made["include"] = [ENCRYPTED]
    if given.get("stream") is True:
        made["stream"] = True
    return made


def _effort(given: Json, dropped: Dropped) -> object:
    """How hard it is to think; a budget in Anthropic's words as the effort that it is about."""
    effort, thinking = given.get("reasoning_effort"), given.get("thinking")
    if thinking is None or effort is not None:
        return effort
    budget = budget_of(thinking)
    if budget.budget_tokens:
        return effort_of(budget)
    dropped.add("thinking")
    return None


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
    made["parameters"] = schema if isinstance(schema, dict) and schema else {"type": "object", "properties": {}}
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
            items.append(
                {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": call.arguments or "{}"}
            )
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
