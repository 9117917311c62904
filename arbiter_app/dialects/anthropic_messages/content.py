"""Messages and their blocks as those of a chat completion.

What only the model that made it can read (thinking), and what a provider's own tools left behind, is dropped and named. Results of
tools come first and directly after their calls, one message each; pictures in them follow as the user's, for a result of a chat is
text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects.anthropic_messages.turns import (
    assistant_message,
    has_fractions,
    marked,
    result_message,
    says_anything,
    strip_end,
    system_message,
    user_message,
)
from arbiter_app.dialects.history import CallIds
from arbiter_app.dialects.reasoning import unsealed
from arbiter_app.dialects.translation import MAX_DROPPED_CHARS, Dropped
from arbiter_app.pipeline.errors import BadRequest
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import Json

THOUGHTS = ("thinking", "redacted_thinking")
_FOREIGN = (
    *THOUGHTS,
    "server_tool_use",
    "mcp_tool_use",
    "mcp_tool_result",
    "mcp_tool_listing",
    "container_upload",
    "fallback",
)
"""Types of blocks that mean something to their maker alone, beside the results of its tools (`_RESULT`)."""
_RESULT = "_tool_result"
_MEMBERS = {
    "text": ("type", "text", "cache_control"),
    "image": ("type", "source", "cache_control"),
    "document": ("type", "source", "title", "context", "citations", "cache_control"),
    "search_result": ("type", "source", "title", "content", "citations", "cache_control"),
    "tool_reference": ("type", "tool_name", "cache_control"),
    "tool_use": ("type", "id", "name", "input", "caller", "cache_control"),
    "tool_result": ("type", "tool_use_id", "content", "is_error", "cache_control"),
}
"""Members of blocks that are carried, or mean nothing elsewhere."""
COMPACTED = "compaction"
SUMMARY = "(A summary of the conversation before this:)"
_PLACED = ("text", "image", "document", "search_result", "tool_use", "tool_result", "tool_reference", *THOUGHTS)
"""Types of blocks that have their place, and mean nothing in another; of any else, only a runtime of Messages may know what it is."""


def wrong(where: str, why: str) -> BadRequest:
    """The refusal of a request that is no Messages request."""
    return BadRequest(f"{where}: {why}", param=where[:100], code="invalid_value")


def text_of(value: Any, where: str) -> str:
    """A member that must be text. A number as it was written is none."""
    if type(value) is not str:
        raise wrong(where, "must be a string")
    return value


def listed(value: Any, where: str) -> list[Json]:
    """A member that must be a list of objects."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise wrong(where, "must be a list of objects")
    return value


def cached(block: Json, where: str = "") -> Json:
    """The `cache_control` of a block, or of a request, to be kept, as members of what becomes of it."""
    given = block.get("cache_control")
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise wrong(f"{where}.cache_control".removeprefix("."), "must be an object")
    return marked(given)


def system_messages(system: Any, dropped: Dropped) -> list[Json]:
    """The system prompt, a string or text blocks, as messages: one or none."""
    if system is None:
        return []
    return system_message(_Parts(dropped).of(system, "system", ("text",)), dropped)


def chat_messages(messages: Any, dropped: Dropped) -> list[Json]:
    """All messages. Raises BadRequest for what is none, and where calls and results of tools do not belong together."""
    if not isinstance(messages, list) or not messages:
        raise wrong("messages", "at least one message is required")
    made: list[Json] = []
    called: dict[str, str] = {}
    for at, message in enumerate(messages):
        where = f"messages.{at}"
        if not isinstance(message, dict):
            raise wrong(where, "must be an object")
        role = message.get("role")
        if role not in ("user", "assistant", "system"):
            raise wrong(f"{where}.role", f"must be user, assistant or system, not {quoted(role, 40)}")
        content, where = message.get("content"), f"{where}.content"
        if role == "system":
            _all_answered(called, where)
            made += system_messages(content, dropped)
        elif role == "user":
            made += _user(content, where, called, dropped)
        else:
            _all_answered(called, where)
            made += _assistant(content, where, called, dropped)
    _all_answered(called, "messages")
    strip_end(made)
    if not says_anything(made):
        raise wrong("messages", "no message says anything")
    return made


class _Parts:
    """Makes parts of a chat message out of blocks."""

    def __init__(self, dropped: Dropped) -> None:
        self._dropped = dropped

    def of(self, content: Any, where: str, kinds: Sequence[str]) -> list[Json]:
        """The parts of a content, a string or blocks of some kinds; empty texts are left out."""
        if type(content) is str:
            return [{"type": "text", "text": content}] if content else []
        if not isinstance(content, list):
            raise wrong(where, "must be a string or a list of blocks")
        parts = []
        for at, block in enumerate(content):
            parts += self.block(block, f"{where}.{at}", kinds)
        return parts

    def block(self, block: Any, where: str, kinds: Sequence[str]) -> list[Json]:
        """The parts that one block becomes."""
        if not isinstance(block, dict):
            raise wrong(where, "must be an object")
        kind = block.get("type")
        if kind not in kinds:
            refused = wrong(f"{where}.type", f"must be one of {', '.join(kinds)}, not {quoted(kind, 60)}")
            if type(kind) is not str or kind in _PLACED:
                raise refused
            self._dropped.cannot(refused)
            return [{"type": "text", "text": f"({kind[:MAX_DROPPED_CHARS]})"}]
        self._dropped.rest(block, _MEMBERS[str(kind)], f"messages.content.{kind}.")
        if kind == "text":
            text = text_of(block.get("text"), f"{where}.text")
            return [{"type": "text", "text": text, **cached(block, where)}] if text else []
        if kind == "image":
            return [self._image(block, where)]
        if kind == "document":
            return self._document(block, where)
        if kind == "search_result":
            return self._found(block, where)
        name = text_of(block.get("tool_name"), f"{where}.tool_name")
        return [{"type": "text", "text": f"The tool {name} can be called."}]

    def _image(self, block: Json, where: str) -> Json:
        source = _source(block, where)
        kind, where_in = source.get("type"), f"{where}.source"
        if kind == "base64":
            url = _data_url(source, where_in)
        elif kind == "url":
            url = text_of(source.get("url"), f"{where_in}.url")
        else:
            url = self._kept(kind, where_in, "base64 or url")
        return {"type": "image_url", "image_url": {"url": url}, **cached(block, where)}

    def _document(self, block: Json, where: str) -> list[Json]:
        source, mark = _source(block, where), cached(block, where)
        kind, where_in = source.get("type"), f"{where}.source"
        title, context = block.get("title"), block.get("context")
        named = text_of(title, f"{where}.title") if title is not None else ""
        self._uncited(block)
        head = [named, text_of(context, f"{where}.context") if context is not None else ""]
        before: list[Json] = [{"type": "text", "text": one} for one in head if one]
        if kind == "text":
            text = text_of(source.get("data"), f"{where_in}.data")
            return [*before, {"type": "text", "text": text, **mark}] if text else before
        if kind == "content":
            return [*before, *self.of(source.get("content"), f"{where_in}.content", ("text", "image"))]
        if kind == "base64":
            data = _data_url(source, where_in)
        elif kind == "url":
            data = text_of(source.get("url"), f"{where_in}.url")
        else:
            data = self._kept(kind, where_in, "base64, text, content or url")
        file = {"filename": named or "document.pdf", "file_data": data}
        return [*before[1 if named else 0 :], {"type": "file", "file": file, **mark}]

    def _uncited(self, block: Json) -> None:
        citations = block.get("citations")
        if isinstance(citations, dict) and citations.get("enabled"):
            self._dropped.add("messages.content.citations")

    def _kept(self, kind: Any, where: str, known: str) -> str:
        """What stands for a source that can be read where it is kept alone, by models that see all the same."""
        refused = _unreachable(kind, where, known)
        if type(kind) is not str:
            raise refused
        self._dropped.cannot(refused)
        return ""

    def _found(self, block: Json, where: str) -> list[Json]:
        self._uncited(block)
        head = [text_of(block.get(name), f"{where}.{name}") for name in ("title", "source")]
        parts = self.of(block.get("content"), f"{where}.content", ("text",))
        return [{"type": "text", "text": "\n".join(filter(None, head))}, *parts]


def _user(content: Any, where: str, called: dict[str, str], dropped: Dropped) -> list[Json]:
    """A user's message: the results of tools first, each in a message, then what else is in it."""
    blocks = content if isinstance(content, list) else []
    results: list[Json] = []
    pictures: list[Json] = []
    rest: list[Json] = []
    parts = _Parts(dropped)
    for at, block in enumerate(blocks):
        inside = f"{where}.{at}"
        if isinstance(block, dict) and block.get("type") == "tool_result":
            result, seen = _result(block, inside, called, parts)
            results.append(result)
            pictures += seen
        elif isinstance(block, dict) and _is_foreign(block):
            dropped.add(f"messages.content.{block['type']}")
        elif isinstance(block, dict) and block.get("type") == COMPACTED:
            rest += _summary(block, inside, dropped)
        else:
            rest += parts.block(block, inside, ("text", "image", "document", "search_result", "tool_result"))
    if not isinstance(content, list):
        rest = parts.of(content, where, ("text",))
    _all_answered(called, where)
    return [*results, *user_message(pictures + rest)]


def _result(block: Json, where: str, called: dict[str, str], parts: _Parts) -> tuple[Json, list[Json]]:
    """What a tool gave as a message, and the pictures and files in it as parts of the user's message after it."""
    call = text_of(block.get("tool_use_id"), f"{where}.tool_use_id")
    if called.pop(call, None) is None:
        raise wrong(
            f"{where}.tool_use_id",
            f"{quoted(call, 80)} is the id of no tool_use block in the assistant's message before, or its second result",
        )
    failed = block.get("is_error")
    if failed is not None and not isinstance(failed, bool):
        raise wrong(f"{where}.is_error", "must be true or false")
    content = block.get("content")
    kinds = ("text", "image", "document", "search_result", "tool_reference")
    told = parts.of(content, f"{where}.content", kinds) if content is not None else []
    texts = [part for part in told if part["type"] == "text"]
    others = [part for part in told if part["type"] != "text"]
    result = result_message(call, texts, cached(block, where), failed=failed is True, more=bool(others))
    if others:
        others.insert(0, {"type": "text", "text": f"This was given by the tool call {call}:"})
    return result, others


def _assistant(content: Any, where: str, called: dict[str, str], dropped: Dropped) -> list[Json]:
    """An assistant's message; none where nothing but thoughts is in it."""
    parts, calls = [], []
    signed: list[Json] = []
    makes = _Parts(dropped)
    for at, block in enumerate(content if isinstance(content, list) else ()):
        inside = f"{where}.{at}"
        if isinstance(block, dict) and block.get("type") == "tool_use":
            calls.append(_call(block, inside, called, dropped))
        elif isinstance(block, dict) and block.get("type") in THOUGHTS and (own := _unsealed(block)) is not None:
            signed += own
        elif isinstance(block, dict) and _is_foreign(block):
            dropped.add(f"messages.content.{block['type']}")
        elif isinstance(block, dict) and block.get("type") == COMPACTED:
            parts += _summary(block, inside, dropped)
        else:
            parts += makes.block(block, inside, ("text", "tool_use", "image"))
    if not isinstance(content, list):
        parts = makes.of(content, where, ("text",))
    return assistant_message(parts, calls, signed)


def _summary(block: Json, where: str, dropped: Dropped) -> list[Json]:
    """What stands for messages before it that their maker has summed up; nothing where that failed."""
    said = block.get("content")
    if isinstance(said, str) and said:
        dropped.rest(block, ("type", "content", "cache_control"), f"messages.content.{COMPACTED}.")
        return [{"type": "text", "text": f"{SUMMARY}\n{said}", **cached(block, where)}]
    if block.get("encrypted_content") is not None:
        dropped.cannot(wrong(where, "a summary that only its maker can read stands for what was said before"))
    return []


def _unsealed(block: Json) -> list[Json] | None:
    """What Arbiter sealed in a block of thinking; None for one that is a model's own."""
    shown = block.get("thinking")
    seal = block.get("signature" if block["type"] == "thinking" else "data")
    return unsealed(seal, shown if isinstance(shown, str) else "")


def _call(block: Json, where: str, called: dict[str, str], dropped: Dropped) -> Json:
    call, name = (text_of(block.get(member), f"{where}.{member}") for member in ("id", "name"))
    if not call or not name:
        raise wrong(where, "id and name of a tool_use must not be empty")
    if call in called:
        raise wrong(f"{where}.id", f"{quoted(call, 80)} is the id of two tool_use blocks")
    dropped.rest(block, _MEMBERS["tool_use"], "messages.content.tool_use.")
    given = block.get("input")
    if not isinstance(given, dict):
        raise wrong(f"{where}.input", "must be an object")
    if block.get("cache_control") is not None:
        dropped.add("messages.content.tool_use.cache_control")
    called[call] = where
    dropped.rounded = dropped.rounded or has_fractions(given)
    function = {"name": name, "arguments": exact_json.dumps(given).decode()}
    return {"id": call, "type": "function", "function": function}


def _all_answered(called: dict[str, str], where: str) -> None:
    """Raises BadRequest when calls before this message have no result."""
    if called:
        call = next(iter(called))
        raise wrong(where, f"the tool_use {quoted(call, 80)} has no tool_result in the message after it")


def with_own_ids(history: list[Any]) -> list[Any]:
    """The same messages with ids of calls as strict runtimes take them, no two alike (`CallIds`)."""
    ids, renamed = CallIds(), dict[str, str]()
    made = []
    for message in history:
        blocks = message["content"] if isinstance(message.get("content"), list) else []
        renamed |= {block["id"]: ids.own(block["id"]) for block in blocks if block.get("type") == "tool_use"}
        made.append({**message, "content": [_renamed(block, renamed) for block in blocks]} if blocks else message)
    return made


def _renamed(block: Json, names: Mapping[str, str]) -> Json:
    member = {"tool_use": "id", "tool_result": "tool_use_id"}.get(block.get("type") or "", "")
    return {**block, member: names.get(block[member], block[member])} if member else block


def _is_foreign(block: Json) -> bool:
    kind = block.get("type")
    return kind in _FOREIGN or (type(kind) is str and kind != "tool_result" and kind.endswith(_RESULT))


def _source(block: Json, where: str) -> Json:
    source = block.get("source")
    if not isinstance(source, dict):
        raise wrong(f"{where}.source", "must be an object")
    return source


def _data_url(source: Json, where: str) -> str:
    kind, data = (text_of(source.get(name), f"{where}.{name}") for name in ("media_type", "data"))
    return f"data:{kind};base64,{data}"


def _unreachable(kind: Any, where: str, known: str) -> BadRequest:
    if kind == "file":
        return wrong(
            where, "a file that is kept at a provider can be read by that provider's models alone; send its data"
        )
    return wrong(f"{where}.type", f"must be {known}, not {quoted(kind, 40)}")
