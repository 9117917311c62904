"""Chat chunks of a streamed answer, put together to the body that a plain answer would have had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.completions import (
    another_id,
    calls_completed,
    choices_of,
    delta_of,
    index_of,
    name_added,
    said_in,
    usage_in,
)
from arbiter_app.pipeline.events import ChunkEvent
from arbiter_app.pipeline.finish_reasons import CALLS, OLD_CALL, finish_of
from arbiter_app.pipeline.messages import content_text
from arbiter_app.pipeline.plain import is_digits
from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.pipeline.signed import MEMBER
from arbiter_app.pipeline.snapshots import Pieces, is_object
from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.faults import stated_error
from arbiter_app.runtime.sse import DONE, event_data

MAX_ASSEMBLED_CHARS = 1_000_000
"""Of a streamed answer that is put together, to be graded; more is passed on all the same."""
_KNOWN = frozenset({"id", "object", "created", "model", "choices", "usage", "arbiter"})
_IDENTITY = frozenset({"id", "created", "model"})
_SIMPLE_DELTA = frozenset(
    {"role", "content", "refusal", "reasoning", "reasoning_content", "tool_calls", "function_call"}
)
_SIMPLE_CHOICE = frozenset({"index", "delta", "finish_reason"})
_SIMPLE_CALL = frozenset({"index", "id", "type", "function"})
_SIMPLE_FUNCTION = frozenset({"name", "arguments"})


def _ends(chunk: Json) -> bool:
    """Whether a chunk is no part of an answer, or ends one: then it may be an error."""
    choices = chunk.get("choices")
    if not choices or not isinstance(choices, list | dict):
        return True
    first = choices[0] if type(choices) is list else choices
    return isinstance(first, dict) and first.get("finish_reason") is not None


class StreamAssembler:
    """Collects `chat.completion.chunk` events into the body that a plain answer would have had.

    `done`: `[DONE]` came. `error`: the fault that an error frame states, or an event that is no chunk. `whole`: the body
    holds all that the chunks held; it does not once that is `large`, of more than `most_chars` characters. `odd`: the last
    chunk is not what strict clients read, or its tool calls are not numbered as they should be: `placed` has their right
    numbers, in order. `deltas`: the event that says the same in deltas, where the last one's texts were none.
    """

    def __init__(self, most_chars: int = MAX_ASSEMBLED_CHARS) -> None:
        self.done = False
        self.error: RuntimeFault | None = None
        self.whole = True
        self.large = False
        self.odd = False
        self.placed: list[int] = []
        self.deltas: bytes | None = None
        self._most = most_chars
        self._head: Json = {}
        self._usage: Json | None = None
        self._choices: dict[int, _Choice] = {}

    @property
    def finished(self) -> bool:
        """Whether every choice that has begun says why it ended."""
        return bool(self._choices) and all(one.finish_reason is not None for one in self._choices.values())

    def feed(self, event: bytes) -> Json | None:
        """Take one event; returns its chunk, None for `[DONE]`, comments and what is not a chunk (`null` is nothing)."""
        self.odd, self.deltas = False, None
        if type(event) is ChunkEvent:
            self._take(event.chunk, choices_of(event.chunk) or [], made=True)
            return event.chunk
        data = event[6:] if event.startswith(b"data: {") and b"\n" not in event else event_data(event)
        if data == DONE:
            self.done = True
            return None
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            try:
                self.odd, chunk = True, exact_json.lenient(data)
            except ValueError:
                self._no_chunk(data.strip(), "is not JSON")
                return None
        if not isinstance(chunk, dict):
            if chunk:
                self._no_chunk(data.strip(), "is not a chunk")
            return None
        choices = chunk.get("choices")
        if type(choices) is list and len(choices) == 1 and type(choices[0]) is dict:  # so is nearly every piece
            ends = choices[0].get("finish_reason") is not None
        else:
            ends, choices = _ends(chunk), choices_of(chunk) or []
        if ends or chunk.get("error"):
            self.error = stated_error(chunk, {}, data)
        if self.error is not None:
            return None
        if self._take(chunk, choices):
            self.odd, self.deltas = True, _in_deltas(data, chunk)
        return chunk

    def _no_chunk(self, data: bytes, why: str) -> None:
        """The end, an error, or something odd, which after the answer has finished is an end, too."""
        if data == DONE or (data and self.finished):
            self.done = True
        elif data:
            self.error = RuntimeFault("protocol", f"the runtime sent an event that {why}")

    def body(self) -> Json:
        """The answer so far."""
        name = str(self._head.get("id") or "")
        choices = [self._choices[index].body(index, name) for index in sorted(self._choices)]
        body: Json = {**self._head, "object": "chat.completion", "choices": choices}
        if self._usage is not None:
            body["usage"] = exact_json.whole(self._usage)
        return body

    def _take_head(self, chunk: Json) -> None:
        """What a chunk says of the whole answer."""
        head = self._head
        for key, value in chunk.items():
            if key not in _KNOWN:
                if value is not None and head.get(key) != value:  # most say the same in each chunk
                    head[key] = exact_json.whole(value)
                    self.whole = self.whole and not isinstance(value, dict | list)
            elif key in _IDENTITY and key not in head:
                head[key] = exact_json.whole(value)

    def _take(self, chunk: Json, choices: list[Json], *, made: bool = False) -> bool:
        """Take a chunk with its choices in; says whether it says now what it adds, where it said something else. What is `made` here says
        that."""
        if not (chunk.keys() <= _KNOWN and self._head.keys() >= _IDENTITY):  # else it says nothing new of that
            self._take_head(chunk)
        if chunk.get("usage") is not None or "x_groq" in chunk or (choices and "usage" in choices[0]):
            usage = usage_in(chunk)
            self._usage = self._usage if usage is None else usage
        self.placed, changed = [], False
        for choice in choices:
            index = choice.get("index", 0)
            if type(index) is not int:  # which it nearly always is, as there is nearly always a delta
                index = index_of(choice)
            known = self._choices.get(index)
            if known is None:
                known = self._choices[index] = _Choice()
            self.whole = known.take(choice, self.placed, full=self.large, made=made) and self.whole
            changed = changed or known.changed
            self._most -= known.added
            if self._most < 0:
                self.large, self.whole = True, False
            self.odd = self.odd or known.odd
        return changed


def _in_deltas(data: bytes, chunk: Json) -> bytes:
    """The event of a chunk whose choices have been given other deltas, its numbers as they were written."""
    told = exact_json.exact(data)
    for choice, now in zip(choices_of(told) or (), choices_of(chunk) or (), strict=True):
        choice["delta"] = now.get("delta")
    return b"data: " + exact_json.dumps(told)


class _Choice:
    """One choice under way: every text field of its deltas (content, refusal, reasoning_content ...), tool calls, or an old function call, and
    what was signed."""

    __slots__ = ("_begun", "_details", "_old_form", "_texts", "_tools", "added", "changed", "finish_reason", "odd")

    def __init__(self) -> None:
        self._begun = self._old_form = False
        self._texts: dict[str, Pieces] = {"content": Pieces()}
        self._details: list[Json] = []
        self._tools = _ToolCalls()
        self.finish_reason: str | None = None
        self.odd = self.changed = False
        self.added = 0

    def take(self, choice: Json, placed: list[int], *, full: bool, made: bool) -> bool:
        """Take what a chunk adds; says whether all of that will be in the body. Text that comes when it is full is dropped."""
        self.added = 0
        self.odd = self.changed = False
        whole = choice.keys() <= _SIMPLE_CHOICE or not _more(choice, _SIMPLE_CHOICE)
        later, self._begun = self._begun, True
        delta = choice.get("delta")
        if not delta or type(delta) is not dict:
            delta = delta_of(choice, first=not later)
        if later and not delta and choice.get("message"):
            delta = self._grown(choice)
        reason = choice.get("finish_reason")
        looked = not (full or made)
        if looked and ("tool_calls" in delta or type(delta.get("content", "")) is not str):
            delta = self._as_read(choice, delta)
        for key, value in delta.items():
            if isinstance(value, str):
                self.added += len(value)
                known = self._texts.get(key)
                if known is not None and known.plain and len(value) < known.size and not full:  # so are nearly all
                    known.parts.append(value)
                    known.size += len(value)
                elif key != "role" and not full:
                    self._say(choice, key, value, looked=looked, ends=reason is not None)
            elif key == "tool_calls" and isinstance(value, list):
                whole = self._call(choice, value, placed, full=full, looked=looked) and whole
            elif key == "function_call" and isinstance(value, dict):
                self._tools.take({"index": 0, "function": value}, full=full, looked=False)
                self.added += self._tools.added
                self._old_form = True
            elif value is not None:
                whole = False
                if key == MEMBER and isinstance(value, list) and not full:
                    self._sign([one for one in value if isinstance(one, dict)])
                elif key == "content" and not full:  # pictures among text
                    self._texts["content"].add(content_text(value))
        if reason is not None:
            self.odd = True
            choice["finish_reason"] = finish_of(reason, self.called)
            self.finish_reason = self.finish_reason or choice["finish_reason"]
            if looked:
                self._tell_held(choice, placed)
        return whole and (delta.keys() <= _SIMPLE_DELTA or not _more(delta, _SIMPLE_DELTA))

    def _as_read(self, choice: Json, delta: Json) -> Json:
        """What a chunk adds, in the form that every client reads."""
        if (said := said_in(delta)) is not None:
            delta = {**delta, **said}
            self.changed, choice["delta"] = True, delta
        return delta

    def _grown(self, choice: Json) -> Json:
        """What a choice adds by a `message` that comes later: it is all that was said so far."""
        message = choice["message"]
        if not isinstance(message, dict):
            return {}
        told = {key: value for key, value in message.items() if isinstance(value, str) and self._goes_on(key, value)}
        if not self._tools.begun and message.get("tool_calls"):
            told["tool_calls"] = message["tool_calls"]
        if told:
            self.changed, choice["delta"] = True, told
        return told

    def _goes_on(self, key: str, text: str) -> bool:
        """Whether a text is one that was begun, grown."""
        known = self._texts.get(key)
        return key != "role" and (known is None or known.is_grown(text))

    def _say(self, choice: Json, key: str, text: str, *, looked: bool, ends: bool) -> None:
        """Take a piece of a text."""
        known = self._texts.get(key)
        if known is None:
            known = self._texts[key] = Pieces()
        if not looked:
            known.parts.append(text)
            known.size += len(text)
        elif (added := known.add(text, ends=ends)) != text:
            self._change(choice, key, added)

    def _call(self, choice: Json, pieces: list[Any], placed: list[int], *, full: bool, looked: bool) -> bool:
        """Take pieces of tool calls; says whether all of them will be in the body."""
        whole = True
        for at, call in enumerate(pieces):
            if isinstance(call, dict):
                position = self._tools.take(call, full=full, looked=looked)
                self.added += self._tools.added
                placed.append(position)
                self.odd = self.odd or call.get("index") != position or type(call["index"]) is not int
                whole = whole and self._tools.whole
                told = call if self._tools.renamed is None else {**call, "id": self._tools.renamed}
                if self._tools.adds is not None:
                    told = {**told, "function": {**told["function"], "arguments": self._tools.adds}}
                if told is not call:
                    pieces = [*pieces[:at], told, *pieces[at + 1 :]]
                    self._change(choice, "tool_calls", pieces)
        return whole

    def _tell_held(self, choice: Json, placed: list[int]) -> None:
        """Say with the end what was held back until it was known what it is."""
        for key, known in self._texts.items():
            if not known.plain and (rest := known.rest()):
                said = delta_of(choice, first=False).get(key)
                self._change(choice, key, (said if isinstance(said, str) else "") + rest)
        for position, rest in self._tools.rests():
            pieces = delta_of(choice, first=False).get("tool_calls") or []
            piece = {"index": position, "function": {"arguments": rest}}
            placed.append(position)
            self._change(choice, "tool_calls", [*pieces, piece])

    def _change(self, choice: Json, key: str, value: object) -> None:
        """Let the chunk say something else."""
        self.changed, choice["delta"] = True, {**delta_of(choice, first=True), key: value}

    @property
    def called(self) -> str:
        """The finish reason of what it calls so far; empty while it calls nothing."""
        return "" if not self._tools.begun else OLD_CALL if self._old_form else CALLS

    def _sign(self, details: list[Json]) -> None:
        self._details += details
        self.added += sum(len(text) for one in details for text in one.values() if isinstance(text, str))

    def body(self, index: int, name: str) -> Json:
        """The choice as a plain answer has it; `name` is the answer's id."""
        texts = {key: exact_json.whole_text(str(pieces)) for key, pieces in self._texts.items()}
        calls = self._tools.bodies()
        content = texts.pop("content") or (None if calls or texts.get("refusal") else "")
        message: Json = {"role": "assistant", "content": content, **{key: text for key, text in texts.items() if text}}
        if self._details:
            message[MEMBER] = exact_json.whole(self._details)
        if calls and self._old_form:
            message["function_call"] = calls[0]["function"]
        elif calls:
            message["tool_calls"] = calls
        if calls:
            calls_completed(message, f"{name}_{index}")
        return {"index": index, "message": message, "finish_reason": finish_of(self.finish_reason, self.called)}


def _more(item: Json, simple: frozenset[str]) -> bool:
    """Whether it says anything beside the simple fields."""
    return any(value not in (None, "", []) for key, value in item.items() if key not in simple)


class _ToolCalls:
    """The tool calls of one choice, by their pieces: a new id is a new call, whatever its number says.

    `adds`: the arguments that the last piece adds, where it said others. `renamed`: the id of its call, where another one has that which
    it says.
    """

    def __init__(self) -> None:
        self._calls: list[_CallSoFar] = []
        self._at: dict[int, int] = {}
        self._by_id: dict[str, int] = {}
        self.whole = True
        self.added = 0
        self.adds: str | None = None
        self.renamed: str | None = None

    def take(self, piece: Json, *, full: bool, looked: bool) -> int:
        """Add a piece; returns the position of its call."""
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        name, arguments = function.get("name"), function.get("arguments")
        if isinstance(arguments, dict):
            arguments = orjson.dumps(exact_json.whole(arguments)).decode()
        text = arguments if isinstance(arguments, str) else ""
        stated = _number(piece.get("index"))
        position = self._position(piece.get("id"), stated, name, text)
        if stated is not None:
            self._at[stated] = position
        call = self._calls[position]
        call_id, self.renamed = piece.get("id"), None
        if isinstance(call_id, str) and call_id.strip():
            if call.id is None and call_id in self._by_id:
                self.renamed = another_id(call_id, position)
            self._by_id[call_id] = position
            call.id = call.id or self.renamed or call_id
        if isinstance(name, str):
            call.name += name_added(call.name, name)
        self.added, self.adds = len(text), None
        if text and not full:
            self._add(call, text, looked=looked)
        self.whole = not _more(piece, _SIMPLE_CALL) and not _more(function, _SIMPLE_FUNCTION)
        return position

    def _add(self, call: _CallSoFar, text: str, *, looked: bool) -> None:
        known = call.arguments
        if not looked or (known.plain and len(text) < known.size and text[0] != "{"):
            known.parts.append(text)
            known.size += len(text)
        elif (added := known.add(text)) != text:
            self.adds = added

    def _position(self, call_id: object, stated: int | None, name: object, arguments: str) -> int:
        named, begins = isinstance(call_id, str) and bool(call_id.strip()), isinstance(name, str) and bool(name)
        if named and (same := self._by_id.get(str(call_id))) is not None:
            if stated is None or stated in self._at or not begins or not is_object(str(self._calls[same].arguments)):
                return same
            self._calls.append(_CallSoFar())  # a number and a name of its own, after a call that is whole
            return len(self._calls) - 1
        known = self._at.get(stated) if stated is not None else None
        if known is None and self._calls and (stated is None or not (named or begins)):
            known = len(self._calls) - 1
        if known is None or self._is_another(self._calls[known], named, stated, name if begins else "", arguments):
            self._calls.append(_CallSoFar())
            return len(self._calls) - 1
        return known

    @staticmethod
    def _is_another(call: _CallSoFar, named: bool, stated: int | None, name: object, arguments: str) -> bool:
        """Whether a piece begins another call than this one, which its number, or its place, says that it is of."""
        said = call.arguments
        if name and said.begun and call.name not in ("", name):
            return True
        if named and call.id is not None:  # some state another id with each piece
            return not said.begun or is_object(str(said)) or bool(name and not said.goes_on(arguments))
        again = bool(name) and not named and said.begun and (stated is None or is_object(str(said)))
        return again and not said.goes_on(arguments)

    def rests(self) -> Iterator[tuple[int, str]]:
        """What was held back of arguments, by the position of the call."""
        for position, call in enumerate(self._calls):
            if not call.arguments.plain and (rest := call.arguments.rest()):
                yield position, rest

    @property
    def begun(self) -> bool:
        """Whether there is a call."""
        return bool(self._calls)

    def bodies(self) -> list[Json]:
        """The calls as a plain answer has them."""
        return [
            {
                "id": call.id and exact_json.whole_text(call.id),
                "type": "function",
                "function": {
                    "name": exact_json.whole_text(call.name),
                    "arguments": exact_json.whole_text(str(call.arguments)),
                },
            }
            for call in self._calls
        ]


class _CallSoFar:
    """A tool call under way; the first id that is stated is its own."""

    __slots__ = ("arguments", "id", "name")

    def __init__(self) -> None:
        self.id: str | None = None
        self.name = ""
        self.arguments = Pieces(arguments=True)


def _number(index: object) -> int | None:
    if type(index) is int:
        return index
    return int(index) if isinstance(index, str) and is_digits(index, 5) else None
