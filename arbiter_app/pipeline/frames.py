"""The frames of a streamed answer as every client can read them, whatever the runtime's look like.

Every chunk has id, object, created, model and exactly one choice with a delta; the first of a choice names the role; one,
the last, carries `finish_reason` and the `arbiter` object. Where usage was asked for, `arbiter` rides on the usage chunk,
the only one without a choice, and usage is said once. An `arbiter` of the runtime's own is dropped wherever it stands.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from typing import Any

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.types import Json

OWN = "arbiter"
KIND, WHOLE = "chat.completion.chunk", "chat.completion"
NS_PER_S = 10**9
_MEMBERS = frozenset({"id", "object", "created", "model", "choices", "usage", "error"})
"""Those with a place of their own; an error that is stated beside an answer is none, and clients must not take it for one."""
_SEPARATORS = (b"\xe2\x80\xa8", b"\xe2\x80\xa9")
"""U+2028 and U+2029: line ends to some readers of lines, never to JSON."""

_ESCAPED = re.compile(rb"\\u00(?:61|72|62|69|74|65)")
"""A letter of our name, written so that it is not seen."""


class Frames:
    """Makes the frames of one answer. `name` is its id where the runtime gives none."""

    def __init__(self, name: str = "") -> None:
        self._name = name
        self._head: Json = {}
        self._usage: object = None
        self._finished: dict[int, Json] = {}
        self._calls: set[int] = set()
        self._begun: set[int] = set()

    def of(self, event: bytes, chunk: Json, placed: Sequence[int], *, odd: bool) -> Sequence[bytes]:
        """What the caller gets of an event (`chunk` is its parsed data) for now."""
        if not odd and self._passes(event, chunk):
            return event, b"\n\n"
        try:
            return self.add(exact_json.exact(_data(event)), placed)
        except ValueError:
            return ()

    def add(self, chunk: Json, placed: Sequence[int] = ()) -> list[bytes]:
        """The same of a chunk whose numbers are as they were written (`exact_json.exact`)."""
        chunk = without_own(chunk)
        more = {key: value for key, value in chunk.items() if key not in _MEMBERS}
        if not self._head:
            self._head = _head(chunk, self._name)
        if isinstance(chunk.get("usage"), dict):
            self._usage = chunk["usage"]
        choices = chunk.get("choices")
        told = [choice for choice in choices if isinstance(choice, dict)] if isinstance(choices, list) else []
        if told or isinstance(choices, list):
            self._head.update(more)
        numbers = iter(placed)
        return [frame for choice in told for frame in self._choice(choice, numbers, more)]

    def ending(self, arbiter: Json, *, include_usage: bool) -> bytes:
        """The chunks that end the answer."""
        if not self._head:
            self._head = _head({}, self._name)
        ends = [self._end(index) for index in sorted(self._begun | self._finished.keys() or {0})]
        chunks: list[Json] = [{**self._head, "choices": [end]} for end in ends]
        if include_usage:
            chunks.append({**self._head, "choices": [], "usage": self._usage})
        *others, last = [exact_json.dumps(chunk) for chunk in chunks]
        frames = [*others, last[:-1] + b',"arbiter":' + orjson.dumps(arbiter) + b"}"]
        return b"".join(_framed(frame) for frame in frames)

    def _passes(self, event: bytes, chunk: Json) -> bool:
        """Whether the bytes of an event are right as they are; what begins or ends a choice never is."""
        choices = chunk.get("choices")
        choice = choices[0] if type(choices) is list and len(choices) == 1 else None
        return (
            type(choice) is dict
            and type(choice.get("delta")) is dict
            and choice.get("finish_reason") is None
            and choice.get("index") in self._begun
            and chunk.get("id") == self._head.get("id")
            and chunk.get("object") == KIND
            and type(chunk.get("created")) is int
            and type(chunk.get("model")) is str
            and not chunk.get("usage")
            and not chunk.get("error")
            and event.startswith(b"data: ")
            and b"\n" not in event
            and b'"arbiter"' not in event
            and not any(mark in event for mark in _SEPARATORS)
            and (b"\\u00" not in event or chunk == without_own(chunk))
        )

    def _choice(self, choice: Json, numbers: Iterator[int], more: Json) -> list[bytes]:
        index = index_of(choice)
        first = index not in self._begun
        delta = dict(delta_of(choice, first=first))
        if isinstance(delta.get("tool_calls"), list):
            delta["tool_calls"] = [_numbered(call, numbers) for call in delta["tool_calls"]]
            self._calls.add(index)
        if first:
            self._begun.add(index)
            delta = {"role": "assistant", **{key: value for key, value in delta.items() if key != "role" or value}}
        told = {key: value for key, value in choice.items() if key not in ("message", "text")}
        if choice.get("finish_reason") is not None:
            end = {key: value for key, value in told.items() if key not in ("delta", "logprobs")}
            self._finished.setdefault(index, end)
        if not (first or any(value not in (None, "", []) for value in delta.values()) or choice.get("logprobs")):
            return [] if choice.get("finish_reason") is not None else [self._chunk(index, told, delta, more)]
        return [self._chunk(index, told, delta, more)]

    def _chunk(self, index: int, told: Json, delta: Json, more: Json) -> bytes:
        choice = {**told, "index": _written(index), "delta": delta, "finish_reason": None}
        return _framed(exact_json.dumps({**self._head, **more, "choices": [choice]}))

    def _end(self, index: int) -> Json:
        otherwise = "tool_calls" if index in self._calls else "stop"
        end = self._finished.get(index, {"finish_reason": otherwise})
        first = {} if index in self._begun else {"role": "assistant", "content": ""}
        return {**end, "index": _written(index), "delta": first}


def replayed(raw: bytes, name: str) -> tuple[bytes, Frames]:
    """A whole answer (its JSON) as stream frames up to its end, for answers from the cache; `Frames` gives that."""
    body, frames = exact_json.exact(raw), Frames(name)
    head = {key: value for key, value in body.items() if key not in ("object", "choices")}
    chunks = []
    for position, choice in enumerate(body.get("choices") or []):
        message = {key: value for key, value in choice.get("message", {}).items() if value is not None}
        if isinstance(message.get("tool_calls"), list):
            message["tool_calls"] = [
                {"index": _written(at), **call}
                for at, call in enumerate(message["tool_calls"])
                if isinstance(call, dict)
            ]
        index = index_of({"index": choice.get("index", _written(position))})
        rest = {key: value for key, value in choice.items() if key not in ("message", "index")}
        chunks.append({**head, "choices": [{**rest, "index": _written(index), "delta": message}]})
    return b"".join(frame for chunk in chunks for frame in frames.add(chunk)), frames


def without_own(value: Any) -> Any:
    """A value without any member named `arbiter`, however deep: what a runtime says under our name is not ours."""
    if isinstance(value, dict):
        return {key: without_own(inner) for key, inner in value.items() if key != OWN}
    return [without_own(inner) for inner in value] if isinstance(value, list) else value


def without_own_bytes(raw: bytes) -> bytes:
    """The bytes of a whole answer, unless they have a member of our name somewhere; then the same without it."""
    if not may_name_own(raw):
        return raw
    said = exact_json.exact(raw)
    ours = without_own(said)
    return raw if ours == said else exact_json.dumps(ours)


def may_name_own(raw: bytes) -> bool:
    """Whether our name may be that of a member somewhere."""
    return b'"arbiter"' in raw or _ESCAPED.search(raw) is not None


def first_choice(body: Json) -> Json | None:
    """The first choice of what may be an answer."""
    choices = body.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else None


def completed(body: Json, now_ns: int) -> bool:
    """Give a whole answer what strict clients ask for, where the runtime left it out; says whether it did.

    `now_ns` (by `time.time_ns`) is its time and makes its id, where it has none.
    """
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        return False
    changed = with_text_arguments(body)
    if body.get("error"):
        del body["error"]
        changed = True
    head = _identified(body, WHOLE, str(now_ns), now_ns // NS_PER_S)
    if any(body.get(member) != value for member, value in head.items()):
        body.update(head)
        changed = True
    for position, choice in enumerate(choices):
        if isinstance(choice, dict) and _choice_completed(choice, position):
            changed = True
    return changed


def _choice_completed(choice: Json, position: int) -> bool:
    message, changed = choice.get("message"), False
    if not isinstance(message, dict):
        delta, text = choice.pop("delta", None), choice.get("text")
        message = delta if isinstance(delta, dict) else {"content": text} if isinstance(text, str) else None
        if message is None:
            return False
        choice["message"], changed = message, True
    if message and message.get("role") != "assistant":
        message["role"] = "assistant"
        changed = True
    if message and "content" not in message:
        message["content"] = None
        changed = True
    if not _is_whole(choice.get("index")):
        choice["index"] = position
        changed = True
    if not (type(reason := choice.get("finish_reason")) is str and reason):
        choice["finish_reason"] = "tool_calls" if message.get("tool_calls") else "stop"
        changed = True
    return changed


def _is_whole(number: object) -> bool:
    """Whether it is a whole number, as a value or as it was written."""
    return type(number) is int or (isinstance(number, exact_json.Written) and number.isdecimal())


def with_text_arguments(body: Json) -> bool:
    """Make the arguments of the calls in a whole answer text, as every client reads them, where they are objects or missing;
    says whether any were."""
    choices, changed = body.get("choices"), False
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, dict) else None
        if not isinstance(message, dict):
            continue
        calls = message.get("tool_calls")
        functions = (
            [call.get("function") for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []
        )
        for function in (*functions, message.get("function_call")):
            if isinstance(function, dict) and isinstance(given := function.get("arguments"), dict | list | None):
                function["arguments"] = "{}" if given is None else exact_json.dumps(given).decode()
                changed = True
    return changed


def index_of(choice: Json) -> int:
    """The number of a choice; 0 where it says none."""
    index = choice.get("index", 0)
    if isinstance(index, exact_json.Written):
        return int(index) if index.isdecimal() and len(index) < 6 else 0
    return index if type(index) is int else 0


def delta_of(choice: Json, *, first: bool) -> Json:
    """What a choice of a chunk adds: its `delta`; or a whole `message` (or `text`), where that is all it ever says."""
    delta = choice.get("delta")
    if isinstance(delta, dict) and (delta or not first):
        return delta
    message, text = choice.get("message"), choice.get("text")
    if first and isinstance(message, dict):
        return message
    return {"content": text} if isinstance(text, str) else {}


def _head(chunk: Json, name: str) -> Json:
    """The members that every chunk has, from the first one."""
    return _identified(chunk, KIND, name, _written(int(time.time())))


def _identified(body: Json, kind: str, name: str, now: object) -> Json:
    """The members that tell an answer from others: as they are stated, where that can be. `name` and `now` are for where it cannot.

    A number as it was written (`exact_json.Written`) is no text.
    """
    stated, model, created = body.get("id"), body.get("model"), body.get("created")
    return {
        "id": stated if type(stated) is str and stated else f"chatcmpl-{name}",
        "object": kind,
        "created": created if _is_whole(created) else now,
        "model": model if type(model) is str else "",
    }


def _numbered(call: object, numbers: Iterator[int]) -> object:
    """A piece of a tool call with its right number, and its arguments as text."""
    if not isinstance(call, dict):
        return call
    number = next(numbers, None)
    function = call.get("function")
    if isinstance(function, dict) and isinstance(function.get("arguments"), dict):
        call = {**call, "function": {**function, "arguments": exact_json.dumps(function["arguments"]).decode()}}
    return call if number is None else {**call, "index": _written(number)}


def _written(number: int) -> exact_json.Written:
    return exact_json.Written(number)


def _data(event: bytes) -> bytes:
    """The data of an event, its lines joined."""
    lines = (line for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines)


def _framed(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
