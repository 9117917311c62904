"""Histories as agents send them all day, decoded by their types: `content.py` makes the same of them at five times the cost.

Texts, calls with their results, and thoughts are known here, each with the members that Anthropic documents. Whatever else is in a history,
and whatever is wrong with one, is left to `content.py` to read and to say.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

import msgspec
import orjson

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
from arbiter_app.dialects.reasoning import unsealed
from arbiter_app.dialects.strict_json import History, Unusual, hold_flat
from arbiter_app.dialects.translation import Dropped
from arbiter_app.pipeline.types import Json

Mark = dict[str, str]


class _TypedBlock(msgspec.Struct, tag_field="type", forbid_unknown_fields=True, gc=False):
    cache_control: Mark | None = None


class _TextBlock(_TypedBlock, tag="text", kw_only=True, gc=False):
    text: str
    citations: None = None


class _CallBlock(_TypedBlock, tag="tool_use", kw_only=True, gc=False):
    id: str
    name: str
    input: msgspec.Raw
    caller: dict[str, str] | None = None


class _ResultBlock(_TypedBlock, tag="tool_result", kw_only=True, gc=False):
    tool_use_id: str
    content: str | list[_TextBlock] | None = None
    is_error: bool | None = None


class _ThoughtBlock(msgspec.Struct, tag_field="type", tag="thinking", forbid_unknown_fields=True, gc=False):
    thinking: str
    signature: str | None = None


class _HiddenBlock(msgspec.Struct, tag_field="type", tag="redacted_thinking", forbid_unknown_fields=True, gc=False):
    data: str


_AnyBlock = _TextBlock | _CallBlock | _ResultBlock | _ThoughtBlock | _HiddenBlock


class _Message(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    role: Literal["user", "assistant", "system"]
    content: str | list[_AnyBlock]


_HISTORY = msgspec.json.Decoder(list[_Message])
_SEPARATORS = re.compile("[\u2028\u2029]")
_LOOSE = re.compile(r"\[\s|\[{\s|.{,24}[:,]\s")
"""How JSON begins that is not written as compactly as it can be."""


def history(written: str) -> History:
    """A history (its JSON) as that of a chat. Raises Unusual, and msgspec's errors, for what `content.py` has to read."""
    dropped = Dropped()
    reader = _HistoryReader(dropped, compact=_LOOSE.match(written) is None)
    made: list[Json] = []
    for message in _HISTORY.decode(written):
        content, role = message.content, message.role
        if role == "user":
            made += reader.user(content)
        elif reader.called:
            raise Unusual
        elif role == "assistant":
            made += reader.assistant(content)
        else:
            made += system_message(_parts(content), dropped)
    strip_end(made)
    if reader.called or not says_anything(made):
        raise Unusual
    return History(made, dropped.names, reader.signed)


class _HistoryReader:
    """Makes messages of a chat; `called` are the ids of calls that wait for their results, `signed` tells of thoughts."""

    def __init__(self, dropped: Dropped, *, compact: bool) -> None:
        self.called: set[str] = set()
        self.signed = False
        self._dropped = dropped
        self._compact = compact

    def user(self, content: str | Sequence[_AnyBlock]) -> list[Json]:
        """Results of tools first, then what else is said."""
        if isinstance(content, str):
            made, others = list[Json](), _parts(content)
        else:
            made = [self._result(block) for block in content if type(block) is _ResultBlock]
            others = (
                _parts([block for block in content if type(block) is not _ResultBlock])
                if len(made) < len(content)
                else []
            )
        if self.called:
            raise Unusual
        return made + user_message(others) if others else made

    def _result(self, block: _ResultBlock) -> Json:
        if block.tool_use_id not in self.called:
            raise Unusual
        self.called.remove(block.tool_use_id)
        content, mark, failed = block.content, block.cache_control, block.is_error is True
        if isinstance(content, str) and mark is None and not failed:
            return {"role": "tool", "tool_call_id": block.tool_use_id, "content": content}
        texts = _parts(content) if content is not None else []
        return result_message(block.tool_use_id, texts, marked(mark), failed=failed)

    def assistant(self, content: str | Sequence[_AnyBlock]) -> list[Json]:
        """A turn of the model: what it said, called, and signed where Arbiter sealed it."""
        if isinstance(content, str):
            return assistant_message(_parts(content), [], [])
        parts: list[Json] = []
        calls: list[Json] = []
        signed: list[Json] = []
        for block in content:
            if type(block) is _TextBlock:
                if block.text:
                    parts.append(_part(block))
            elif type(block) is _CallBlock:
                calls.append(self._call(block))
            elif type(block) is _ThoughtBlock:
                signed += self._signed(block.signature, block.thinking, "thinking")
            elif type(block) is _HiddenBlock:
                signed += self._signed(block.data, "", "redacted_thinking")
            else:
                raise Unusual
        return assistant_message(parts, calls, signed)

    def _call(self, block: _CallBlock) -> Json:
        named, called = block.id, self.called
        if not named or not block.name or named in called:
            raise Unusual
        called.add(named)
        if block.cache_control is not None:
            self._dropped.add("messages.content.tool_use.cache_control")
        function = {"name": block.name, "arguments": self._arguments(str(block.input, "utf-8"))}
        return {"id": named, "type": "function", "function": function}

    def _arguments(self, written: str) -> str:
        """The input of a call in one form, its numbers as they were written."""
        if not written.startswith("{"):
            raise Unusual
        hold_flat(written)
        if self._compact and "\\" not in written and (written.isascii() or _SEPARATORS.search(written) is None):
            return written
        given = orjson.loads(written)
        return exact_json.dumps(exact_json.exact(written.encode()) if has_fractions(given) else given).decode()

    def _signed(self, seal: str | None, shown: str, kind: str) -> list[Json]:
        self.signed = True
        own = unsealed(seal, shown)
        if own is None:
            self._dropped.add(f"messages.content.{kind}")
        return own or []


def _parts(content: str | Sequence[_AnyBlock]) -> list[Json]:
    """Texts as parts; empty ones are left out."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content else []
    texts = [block for block in content if type(block) is _TextBlock]
    if len(texts) < len(content):
        raise Unusual
    return [_part(block) for block in texts if block.text]


def _part(block: _TextBlock) -> Json:
    mark = block.cache_control
    return (
        {"type": "text", "text": block.text} if mark is None else {"type": "text", "text": block.text, **marked(mark)}
    )
