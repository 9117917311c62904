"""The frames of a streamed answer as every client can read them, whatever the runtime's look like.

Every chunk has id, object, created, model and exactly one choice with a delta. The first of a choice names the role, the first of
a call its id and name, and no other does: clients join what comes again. One, the last, carries `finish_reason` and the
`arbiter` object. Where usage was asked for, `arbiter` rides on the usage chunk, the only one without a choice, and usage is
said once. An `arbiter` of the runtime's own is dropped wherever it stands.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.completions import (
    call_id_of,
    called_in,
    choices_of,
    delta_of,
    identified,
    index_of,
    name_added,
    usage_in,
    without_own,
)
from arbiter_app.pipeline.events import Chunk
from arbiter_app.pipeline.finish_reasons import finish_of
from arbiter_app.pipeline.types import Json

KIND = "chat.completion.chunk"
DONE = b"data: [DONE]\n\n"
_MEMBERS = frozenset({"id", "object", "created", "model", "choices", "usage", "error"})
"""Those with a place of their own; an error that is stated beside an answer is none, and clients must not take it for one."""
_PIECE = frozenset({"index", "function"})
_SEPARATORS = (b"\xe2\x80\xa8", b"\xe2\x80\xa9")
"""U+2028 and U+2029: line ends to some readers of lines, never to JSON."""
_SEPARATE = b"\xe2\x80"
"""What both begin with: looked for in every event of a stream, where a generator over both took a third of all that is looked at."""


class Frames:
    """Makes the frames of one answer. `name` is its id where the runtime gives none."""

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._head: Json = {}
        self._usage: object = None
        self._finished: dict[int, Json] = {}
        self._called: dict[int, str] = {}
        self._calls: dict[tuple[int, int], _Call] = {}
        self._begun: set[int] = set()

    def of(self, chunk: Chunk) -> Sequence[bytes]:
        """What the caller gets of a chunk for now: the runtime's own bytes, where every client can read them."""
        event = chunk.event
        if event is None:
            return self.add(chunk.data)
        if not chunk.odd and self._passes(event, chunk.data):
            return event, b"\n\n"
        try:
            return self.add(exact_json.exact(_data(event)), chunk.placed)
        except ValueError:
            return ()

    def add(self, chunk: Json, placed: Sequence[int] = ()) -> list[bytes]:
        """The same of a chunk whose numbers are as they were written (`exact_json.exact`)."""
        chunk = without_own(chunk)
        more = {key: value for key, value in chunk.items() if key not in _MEMBERS}
        if not self._head:
            self._head = _head(chunk, self._name)
        usage = usage_in(chunk)
        if usage is not None:
            self._usage = usage
        choices = choices_of(chunk)
        if choices is not None:
            self._head.update(more)
        numbers = iter(placed)
        return [frame for choice in choices or () for frame in self._choice(choice, numbers, more)]

    def ending(self, arbiter: Json, *, include_usage: bool) -> bytes:
        """What ends the answer: its finish, usage where it was asked for, the `arbiter` object, and `[DONE]`."""
        if not self._head:
            self._head = _head({}, self._name)
        ends = [self._end(index) for index in sorted(self._begun | self._finished.keys() or {0})]
        chunks: list[Json] = [{**self._head, "choices": [end]} for end in (*self._without_arguments(), *ends)]
        if include_usage:
            chunks.append({**self._head, "choices": [], "usage": self._usage})
        *others, last = [exact_json.dumps(chunk) for chunk in chunks]
        frames = [*others, last[:-1] + b',"arbiter":' + orjson.dumps(arbiter) + b"}"]
        return b"".join(_framed(frame) for frame in frames) + DONE

    def ping(self) -> bytes:
        """A chunk that adds nothing, which more clients take than a comment."""
        return self._chunk(min(self._begun, default=0), {}, {}, {})

    def _passes(self, event: bytes, chunk: Json) -> bool:
        """Whether the bytes of an event are right as they are; what begins or ends a choice never is."""
        choices = chunk.get("choices")
        choice = choices[0] if type(choices) is list and len(choices) == 1 else None
        return (
            type(choice) is dict
            and type(delta := choice.get("delta")) is dict
            and choice.get("finish_reason") is None
            and "role" not in delta
            and "function_call" not in delta
            and type(index := choice.get("index")) is int
            and index in self._begun
            and chunk.get("id") == self._head.get("id")
            and chunk.get("object") == KIND
            and type(chunk.get("created")) is int
            and type(chunk.get("model")) is str
            and not chunk.get("usage")
            and not chunk.get("error")
            and event.startswith(b"data: ")
            and b"\n" not in event
            and b'"arbiter"' not in event
            and (_SEPARATE not in event or not any(mark in event for mark in _SEPARATORS))
            and (b"\\u00" not in event or chunk == without_own(chunk))
            and ("tool_calls" not in delta or self._goes_on(index, delta["tool_calls"]))
        )

    def _goes_on(self, choice: int, pieces: object) -> bool:
        """Whether pieces of tool calls add arguments to calls that have begun, and nothing else."""
        if pieces is not None and not isinstance(pieces, list):
            return False
        for piece in pieces or ():
            if not isinstance(piece, dict) or piece.keys() != _PIECE:
                return False
            function, call = piece["function"], self._calls.get((choice, piece["index"]))
            added = function.get("arguments") if isinstance(function, dict) and len(function) == 1 else None
            if call is None or not isinstance(added, str):
                return False
            call.said = call.said or bool(added)
        return True

    def _choice(self, choice: Json, numbers: Iterator[int], more: Json) -> list[bytes]:
        index = index_of(choice)
        first = index not in self._begun
        delta = dict(delta_of(choice, first=first))
        if called := called_in(delta):
            self._called[index] = called
        if isinstance(delta.get("tool_calls"), list):
            delta["tool_calls"] = [self._piece(index, call, numbers) for call in delta["tool_calls"]]
        role = delta.pop("role", None)
        if first:
            self._begun.add(index)
            delta = {"role": role or "assistant", **delta}
        told = {key: value for key, value in choice.items() if key not in ("message", "text")}
        finish = finish_of(choice.get("finish_reason"))
        if finish is not None:
            end = {key: value for key, value in told.items() if key not in ("delta", "logprobs")}
            self._finished.setdefault(index, end)
        if not (first or any(value not in (None, "", []) for value in delta.values()) or choice.get("logprobs")):
            return [] if finish is not None else [self._chunk(index, told, delta, more)]
        return [self._chunk(index, told, delta, more)]

    def _chunk(self, index: int, told: Json, delta: Json, more: Json) -> bytes:
        choice = {**told, "index": _written(index), "delta": delta, "finish_reason": None}
        return _framed(exact_json.dumps({**self._head, **more, "choices": [choice]}))

    def _piece(self, choice: int, piece: object, numbers: Iterator[int]) -> object:
        """A piece of a tool call as every client reads it: numbered, with arguments as text, and with what names it once."""
        if not isinstance(piece, dict):
            return piece
        number = next(numbers, None)
        if number is None:
            number = index_of(piece)
        function = piece.get("function")
        function = dict(function) if isinstance(function, dict) else {}
        call = self._calls.get((choice, number))
        if isinstance(function.get("arguments"), dict):
            function["arguments"] = exact_json.dumps(function["arguments"]).decode()
        elif not isinstance(function.get("arguments"), str):
            function["arguments"] = ""
        if call is None:
            call = self._calls[choice, number] = _Call(str(function.get("name") or ""))
            made = piece.get("id") or call_id_of(f"{self._name}_{choice}", number)
            piece = {**piece, "id": made, "type": "function"}
        else:
            piece = {key: value for key, value in piece.items() if key not in ("id", "type")}
            told = function.pop("name", None)
            if added := name_added(call.name, told) if isinstance(told, str) else "":
                function["name"], call.name = added, call.name + added
        call.said = call.said or bool(function["arguments"])
        return {**piece, "index": _written(number), "function": function}

    def _without_arguments(self) -> Iterator[Json]:
        """The choices that end the calls of which no arguments came: no text is no JSON."""
        for (choice, number), call in self._calls.items():
            if not call.said:
                piece = {"index": _written(number), "function": {"arguments": "{}"}}
                yield {"index": _written(choice), "delta": {"tool_calls": [piece]}, "finish_reason": None}

    def _end(self, index: int) -> Json:
        end, called = self._finished.get(index, {}), self._called.get(index, "")
        first = {} if index in self._begun else {"role": "assistant", "content": ""}
        finish = finish_of(end.get("finish_reason"), called) or called or "stop"
        return {**end, "index": _written(index), "delta": first, "finish_reason": finish}


@dataclass(slots=True)
class _Call:
    """A tool call that has begun: its name, and whether any of its arguments came."""

    name: str
    said: bool = False


def _head(chunk: Json, name: str) -> Json:
    """The members that every chunk has, from the first one."""
    return identified(chunk, KIND, name, _written(int(time.time())))


def _written(number: int) -> exact_json.Written:
    return exact_json.Written(number)


def _data(event: bytes) -> bytes:
    """The data of an event, its lines joined."""
    lines = (line for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines)


def _framed(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
