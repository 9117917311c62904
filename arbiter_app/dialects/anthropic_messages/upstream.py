"""Runtimes that speak Anthropic's Messages: how a chat request is written for them; their answers are read in `upstream_reader.py`."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.dialects.anthropic_messages.answer import MALFORMED
from arbiter_app.dialects.anthropic_messages.thinking import NEWEST, UNSAMPLED, thinking, version_of
from arbiter_app.dialects.anthropic_messages.upstream_reader import MessagesReader
from arbiter_app.dialects.history import (
    Call,
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
from arbiter_app.dialects.reasoning import MEMBER, MESSAGES
from arbiter_app.dialects.translation import Dropped
from arbiter_app.dialects.wire import WireRequest, below, unable
from arbiter_app.pipeline.messages import offered
from arbiter_app.pipeline.types import Json

VERSION = "2023-06-01"
MAX_TOKENS = 32_000
"""The bound on an answer where the caller names none, for one is required: as much as every model since Claude 4 gives."""
_LESS = (((3, 5), 4_096), ((3, 7), 8_192))
"""Before these versions of Claude, a larger bound is refused."""
_FORMATS = (MESSAGES, "anthropic-claude-v1")
"""Formats of reasoning that were made by a model of Anthropic's: ours, and OpenRouter's."""
_BEGINS = "(The conversation begins with your own words.)"
"""Stands before a history that begins with the assistant, which the dialect does not allow."""
_JPEG = ("image/jpg", "image/pjpeg")
"""What browsers and cameras call it, and this runtime refuses."""
_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*?(;base64)?,(.*)", re.DOTALL)
_OWN = ("temperature", "top_p", "top_k", "stop", "user", "safety_identifier", "thinking")
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}


class MessagesWire:
    """Messages (`dialects.wire.Wire`)."""

    dialect = "anthropic-messages"
    models = "/models?limit=1000"
    headers: Mapping[str, str] = MappingProxyType({"anthropic-version": VERSION})

    def url(self, base_url: str) -> str:
        """Where answers are asked for."""
        return below(base_url, "/messages")

    def authorized(self, key: str) -> dict[str, str]:
        """The header that a key goes in."""
        return {"x-api-key": key} if key else {}

    def ask(self, payload: bytes) -> WireRequest:
        """A chat request as a Messages request. Raises RuntimeFault where it would mean something else."""
        given, dropped = chat_of(payload), Dropped()
        return WireRequest(exact_json.line(request(given, dropped)), dropped.names)

    def reader(self) -> MessagesReader:
        """For one answer."""
        return MessagesReader()


WIRE = MessagesWire()


def request(given: Json, dropped: Dropped) -> Json:
    """The Messages request that a chat request means; inputs of calls are `orjson.Fragment`s, as they were written."""
    rest(given, _OWN, dropped)
    turns = turns_of(given)
    tools, choice = _tools(given, turns, dropped)
    most = most_tokens(given) or _most_of(given.get("model"))
    system, messages = _messages(turns, dropped)
    made: Json = {"model": given.get("model"), "max_tokens": most}
    if system:
        made["system"] = system
    made["messages"] = messages
    if tools:
        made["tools"] = tools
        if choice:
            made["tool_choice"] = choice
    made |= _thinking(given, turns, most, choice, dropped)
    made |= _sampling(given, made, dropped)
    stops = given.get("stop")
    stops = [stops] if isinstance(stops, str) else stops
    if isinstance(stops, list) and stops:
        fit = [one for one in stops if isinstance(one, str) and one.strip()]
        if len(fit) < len(stops):
            dropped.add("stop")  # of white space alone: refused
        if fit:
            made["stop_sequences"] = fit
    schema = schema_of(given)
    if schema is not None:
        config = made.setdefault("output_config", {})
        config["format"] = {"type": "json_schema", "schema": schema["schema"]}
    elif given.get("response_format") not in (None, {"type": "text"}):
        dropped.add("response_format")
    user = given.get("user") or given.get("safety_identifier")
    if isinstance(user, str) and user:
        made["metadata"] = {"user_id": user}
    if given.get("stream") is True:
        made["stream"] = True
    return made


def _most_of(model: object) -> int:
    """The bound on an answer where the caller names none."""
    version = version_of(model) or NEWEST
    return next((most for before, most in _LESS if version < before), MAX_TOKENS)


def _sampling(given: Json, made: Json, dropped: Dropped) -> Json:
    """Temperature and its like, as far as the model takes them: one of them, none while it thinks, none of the newest models."""
    version = version_of(given.get("model"))
    thinks = made.get("thinking", {}).get("type", "disabled") != "disabled"
    takes = not thinks and (version is None or version < UNSAMPLED)
    sampling: Json = {}
    for name in ("temperature", "top_p", "top_k"):
        value = given.get(name)
        if value is None or (name == "temperature" and value == 1):
            continue
        both = name == "top_p" and "temperature" in sampling
        if not takes or both or isinstance(value, bool) or not isinstance(value, int | float):
            dropped.add(name)
        elif name == "temperature" and value > 1:
            dropped.add(name)
            sampling[name] = 1.0
        else:
            sampling[name] = value
    return sampling


def _thinking(given: Json, turns: list[Turn], most: int, choice: Json, dropped: Dropped) -> Json:
    own, effort = given.get("thinking"), given.get("reasoning_effort")
    if isinstance(own, dict):
        return {"thinking": own}
    if effort in (None, "none"):
        return {}
    made = thinking(
        given.get("model"),
        effort,
        most,
        forced=choice.get("type") in ("any", "tool"),
        unthought=_goes_on_unthought(turns),
    )
    if made is None:
        dropped.add("reasoning_effort")
    return made or {}


def _goes_on_unthought(turns: list[Turn]) -> bool:
    """Whether calls are to be gone on from that were not thought before: then the next step is none either, or it is refused."""
    for turn in reversed(turns):
        if turn.role == "assistant":
            return bool(turn.calls) and not _thoughts(turn)
        if turn.role == "user":
            return False
    return False


def _tools(given: Json, turns: list[Turn], dropped: Dropped) -> tuple[list[Json], Json]:
    """The tools, and the choice among them. Where the history has calls and the request no tools, these are named, to be read."""
    asked, choice = offered(given)
    choice, only = allowed(choice)
    tools = [_tool(*one) for one in functions_of(asked) if only is None or one[1]["name"] in only]
    if not tools:
        names = dict.fromkeys(call.name for turn in turns for call in turn.calls if call.name)
        return [{"name": name, "input_schema": {"type": "object"}} for name in names], {"type": "none"} if names else {}
    one = given.get("parallel_tool_calls") is False
    name = chosen(choice)
    if name is not None:
        made: Json = {"type": "tool", "name": name}
    elif choice is None or choice in _CHOICES:
        made = {"type": _CHOICES[choice]} if choice is not None else {}
    else:
        raise unable("tool_choice", "this runtime knows no such choice")
    if one and made.get("type") != "none":
        made = {"type": "auto", **made, "disable_parallel_tool_use": True}
    return tools, made


def _tool(tool: Json, function: Json) -> Json:
    schema = function.get("parameters")
    schema = schema if isinstance(schema, dict) else {}
    made: Json = {"name": function["name"]}
    if isinstance(function.get("description"), str) and function["description"]:
        made["description"] = function["description"]
    made["input_schema"] = schema if "type" in schema else {"type": "object", "properties": {}, **schema}
    if function.get("strict") is True:
        made["strict"] = True
    return made | _cached(tool)


def _messages(turns: list[Turn], dropped: Dropped) -> tuple[str | list[Json], list[Json]]:
    """The system prompt, and the messages: who speaks takes turns, results of tools come first in the user's."""
    writer = _Writer(dropped)
    first = next((at for at, turn in enumerate(turns) if turn.role != "system"), len(turns))
    if first == len(turns):  # nobody asks anything: what is said last is the question
        first = max(first - 1, 0)
    system = [block for turn in turns[:first] for block in writer.texts(turn)]
    for turn in turns[first:]:
        writer.take(turn)
    messages = writer.messages
    if messages and messages[0]["role"] == "assistant":
        messages.insert(0, {"role": "user", "content": [{"type": "text", "text": _BEGINS}]})
    if not messages:
        raise unable("messages", "this runtime needs a message that says something")
    if messages[-1]["role"] == "assistant":
        _strip_end(messages)
    plain = all(block.keys() == {"type", "text"} for block in system)
    return "\n\n".join(block["text"] for block in system) if plain else system, messages


def _strip_end(messages: list[Json]) -> None:
    """Drop white space at the end of what the assistant is to go on from: it is refused."""
    blocks = messages[-1]["content"]
    last = blocks[-1]
    if last["type"] == "text":
        text = last["text"].rstrip()
        blocks[-1:] = [{**last, "text": text}] if text else []
    if not blocks:
        messages.pop()


class _Writer:
    def __init__(self, dropped: Dropped) -> None:
        self._dropped = dropped
        self.messages: list[Json] = []

    def take(self, turn: Turn) -> None:
        """One message more."""
        if turn.role == "assistant":
            self._add("assistant", self._assistant(turn))
        elif turn.role == "tool":
            self._add("user", [self._result(turn)])
        elif turn.role == "system":
            blocks = self.texts(turn)
            self._add("user", [{**one, "text": f"<system>\n{one['text']}\n</system>"} for one in blocks])
        else:
            self._add("user", self._parts(turn.message.get("content")))

    def texts(self, turn: Turn) -> list[Json]:
        """The texts of a system message."""
        parts = parts_of(turn.message.get("content"))
        return [self._text(part) for part in parts if isinstance(part.get("text"), str)]

    def _add(self, role: str, blocks: list[Json]) -> None:
        if not blocks:
            return
        if self.messages and self.messages[-1]["role"] == role:
            self.messages[-1]["content"] += blocks
        else:
            self.messages.append({"role": role, "content": blocks})

    def _assistant(self, turn: Turn) -> list[Json]:
        thoughts = _thoughts(turn)
        for detail in turn.details:
            if detail.get("format") not in _FORMATS:
                self._dropped.add(f"messages.{MEMBER}")
        names = {call.id for call in turn.calls}
        blocks = [block for before, block in thoughts if before not in names]
        blocks += self._parts(turn.message.get("content"))
        if refused := refusal_text(turn.message):
            blocks.append({"type": "text", "text": refused})
        for call in turn.calls:
            blocks += [block for before, block in thoughts if before == call.id]
            blocks.append({"type": "tool_use", "id": call.id, "name": call.name, "input": _input(call)})
        return blocks

    def _result(self, turn: Turn) -> Json:
        blocks = self._parts(turn.message.get("content"))
        made: Json = {"type": "tool_result", "tool_use_id": turn.answers}
        marks = [block.pop("cache_control") for block in blocks if "cache_control" in block]
        if len(blocks) == 1 and blocks[0]["type"] == "text":
            made["content"] = blocks[0]["text"]
        elif blocks:
            made["content"] = blocks
        return {**made, "cache_control": marks[-1]} if marks else made

    def _parts(self, content: Any) -> list[Json]:
        return [block for part in parts_of(content) for block in self._part(part)]

    def _part(self, part: Json) -> list[Json]:
        kind = part.get("type")
        if kind == "text":  # one that is blank is refused
            return [self._text(part)] if str(part.get("text")).strip() else []
        if kind == "image_url":
            return [self._image(part)]
        if kind == "file":
            return [self._file(part)]
        if kind == "refusal":
            return [{"type": "text", "text": part["refusal"]}] if part.get("refusal") else []
        if kind in ("thinking", "redacted_thinking"):
            return [part]
        raise unable("messages", f"this runtime knows no part of the type {str(kind)[:60]!r}")

    def _text(self, part: Json) -> Json:
        return {"type": "text", "text": str(part.get("text")), **_cached(part)}

    def _image(self, part: Json) -> Json:
        shown = part.get("image_url")
        url = shown.get("url") if isinstance(shown, dict) else shown
        if isinstance(shown, dict) and shown.get("detail") not in (None, "auto"):
            self._dropped.add("messages.content.image_url.detail")
        return {"type": "image", "source": _source(url), **_cached(part)}

    def _file(self, part: Json) -> Json:
        file = part.get("file")
        file = file if isinstance(file, dict) else {}
        if file.get("file_data") is None:
            raise unable("messages", "a file that is kept at a provider can be read by that provider's models alone")
        source = _source(file["file_data"])
        if source.get("media_type", "").startswith("text/"):
            source = {"type": "text", "media_type": "text/plain", "data": _decoded(source["data"])}
        named = {"title": file["filename"]} if isinstance(file.get("filename"), str) and file["filename"] else {}
        return {"type": "document", "source": source, **named, **_cached(part)}


def _source(url: Any) -> Json:
    """The source of a picture or a file. Raises RuntimeFault for what is neither an address nor data."""
    if not isinstance(url, str):
        raise unable("messages", "a picture or a file has neither address nor data")
    if url.startswith(("http://", "https://")):
        return {"type": "url", "url": url}
    found = _DATA_URL.fullmatch(url)
    if found is None:
        return {"type": "base64", "media_type": "application/pdf", "data": url}
    data = found[3] if found[2] else base64.b64encode(found[3].encode()).decode()
    kind = found[1] or "text/plain"
    return {"type": "base64", "media_type": "image/jpeg" if kind in _JPEG else kind, "data": data}


def _decoded(data: str) -> str:
    try:
        return base64.b64decode(data).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        raise unable("messages", "the data of a file is no base64") from None


def _cached(part: Json) -> Json:
    """The mark of what is to be cached."""
    mark = part.get("cache_control")
    return {"cache_control": mark} if isinstance(mark, dict) and mark else {}


def _thoughts(turn: Turn) -> list[tuple[str | None, Json]]:
    """The blocks of thinking of a turn that a model of this dialect signed, and the call that each stands before, if any."""
    blocks: list[tuple[str | None, Json]] = []
    for detail in turn.details:
        if detail.get("format") not in _FORMATS:
            continue
        if detail.get("type") == "reasoning.text" and isinstance(detail.get("signature"), str):
            block = {"type": "thinking", "thinking": detail.get("text") or "", "signature": detail["signature"]}
        elif detail.get("type") == "reasoning.encrypted" and isinstance(detail.get("data"), str):
            block = {"type": "redacted_thinking", "data": detail["data"]}
        else:
            continue
        blocks.append((detail.get("before"), block))
    return blocks


def _input(call: Call) -> Any:
    """The input of a call as its model wrote it; what is no object stands in one."""
    text = call.arguments.strip() or "{}"
    try:
        whole = isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        whole = False
    return orjson.Fragment(text) if whole else {MALFORMED: call.arguments}
