"""Histories as agents send them all day, decoded by their types: `items.py` makes the same of them at several times the cost.

Messages of text, calls with their results, and reasoning are known here, each with the members that OpenAI documents and Codex adds.
Whatever else is in a history, and whatever is wrong with one, is left to `items.py` to read and to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from arbiter_app.dialects.openai_responses.tools import arguments_of, function_name
from arbiter_app.dialects.openai_responses.turns import Turns
from arbiter_app.dialects.reasoning import unsealed
from arbiter_app.dialects.strict_json import History, Unusual
from arbiter_app.dialects.translation import Dropped


class _TextPart(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: Literal["input_text", "output_text", "text", "summary_text", "reasoning_text"]
    text: str
    annotations: tuple[()] = ()
    logprobs: tuple[()] | None = ()


class _TypedItem(msgspec.Struct, forbid_unknown_fields=True, gc=False):
    type: Literal[
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "reasoning",
    ] = "message"
    role: Literal["", "user", "assistant", "system", "developer"] = ""
    content: str | list[_TextPart] | None = None
    call_id: str = ""
    name: str = ""
    namespace: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[_TextPart] | None = None
    summary: list[_TextPart] = []
    encrypted_content: str | None = None
    id: str | None = None
    status: str | None = None
    phase: str | None = None


_HISTORY = msgspec.json.Decoder(list[_TypedItem])


def history(written: str) -> History:
    """A history (its JSON) as that of a chat. Raises Unusual, and msgspec's errors, for what `items.py` has to read."""
    turns, dropped = Turns(), Dropped()
    signed = False
    for item in _HISTORY.decode(written):
        kind = item.type
        if kind == "message":
            _message(item, turns)
        elif kind == "function_call":
            _call(item, item.arguments, turns)
        elif kind == "function_call_output" or kind == "custom_tool_call_output":
            if item.call_id not in turns.open:
                raise Unusual
            turns.result(item.call_id, _text(item.output, "\n"), [])
        elif kind == "custom_tool_call":
            _call(item, None if item.input is None else arguments_of(item.input), turns)
        else:
            signed = True
            own = unsealed(item.encrypted_content, "".join([part.text for part in item.summary]))
            if own is None:
                dropped.add("input.reasoning")
            turns.sign(own or [])
    messages = turns.messages()
    if turns.open or not messages:
        raise Unusual
    return History(messages, dropped.names, signed)


def _message(item: _TypedItem, turns: Turns) -> None:
    if item.role == "assistant":
        turns.answer(_text(item.content, ""))
    elif item.role == "user":
        turns.say("user", _said(item.content))
    elif item.role:
        turns.say("system", _text(item.content, "\n"))
    else:
        raise Unusual


def _call(item: _TypedItem, arguments: str | None, turns: Turns) -> None:
    name = function_name(item.name, item.namespace)
    if arguments is None or not name or not item.call_id or item.call_id in turns.open:
        raise Unusual
    turns.call(item.call_id, name, arguments)


def _said(content: str | Sequence[_TextPart] | None) -> str | list[dict[str, str]]:
    """What a user says: one text, or the texts that are not empty as parts."""
    if content is None or isinstance(content, str) or len(content) == 1:
        return _text(content, "")
    texts = _texts(content)
    return [{"type": "text", "text": text} for text in texts if text] or ""


def _text(content: str | Sequence[_TextPart] | None, between: str) -> str:
    if content is None:
        raise Unusual
    return content if isinstance(content, str) else between.join(_texts(content))


def _texts(content: Sequence[_TextPart]) -> list[str]:
    if any([part.type == "summary_text" or part.type == "reasoning_text" for part in content]):
        raise Unusual
    return [part.text for part in content]
