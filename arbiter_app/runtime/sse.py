"""Server-sent events by the byte: split a stream into events, and assemble chat chunks into one answer."""

from __future__ import annotations

import re

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.completions import (
    calls_completed,
    choices_of,
    delta_of,
    index_of,
    name_added,
    usage_in,
)
from arbiter_app.pipeline.events import ChunkEvent
from arbiter_app.pipeline.finish_reasons import CALLS, OLD_CALL, finish_of
from arbiter_app.pipeline.messages import content_text
from arbiter_app.pipeline.plain import is_digits
from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.pipeline.signed import MEMBER
from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.faults import stated_error

MAX_EVENT_BYTES = 8 * 1024 * 1024
MAX_ASSEMBLED_CHARS = 1_000_000
"""Of a streamed answer that is put together, to be graded; more is passed on all the same."""
DONE = b"[DONE]"
AGAIN = b"\ndata:"
"""Where an event has data for the second time: it may be several (`separated`)."""
_ALIVE = re.compile(rb"\s*(?::[^{\n]{0,200}|(?i:ping|heart-?beat|keep-?alive)[\w .-]{0,40})\s*")
"""What says only that somebody is still at work, sent as data: a comment, or a word for that."""
_HEAD = ("id", "created", "model", "system_fingerprint", "service_tier")
_KNOWN = frozenset({"id", "object", "created", "model", "choices", "usage", "arbiter"})
_IDENTITY = frozenset({"id", "created", "model"})
_SIMPLE_DELTA = frozenset(
    {"role", "content", "refusal", "reasoning", "reasoning_content", "tool_calls", "function_call"}
)
_SIMPLE_CHOICE = frozenset({"index", "delta", "finish_reason"})
_SIMPLE_CALL = frozenset({"index", "id", "type", "function"})
_SIMPLE_FUNCTION = frozenset({"name", "arguments"})


class EventTooLarge(ValueError):
    """One event is larger than any answer should be."""


class EventSplitter:
    """Feed it bytes as they arrive, get whole events back, without the blank line that ends them.

    Line ends are normalised to `\\n`. Bytes of an unfinished event are kept in pieces and looked at once, so that a
    large event that drips in costs linear time. `size`: how many bytes those are.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._pieces: list[bytes] = []
        self.size = 0
        self._ends_line = False
        self._held = b""
        self._max = max_event_bytes
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """The events completed by `data`. Raises EventTooLarge when one grows without end."""
        if self._held:
            data, self._held = self._held + data, b""
        if not self._started and not (data := self._without_bom(data)):
            return []
        if b"\r" in data:
            data = self._normal(data)
        ended = data.startswith(b"\n") if self._ends_line else False
        if not ended and b"\n\n" not in data:
            self._keep(data)
            return []
        *events, rest = (b"".join(self._pieces) + data).split(b"\n\n")
        self._pieces, self.size, self._ends_line = [], 0, False
        self._keep(rest)
        return [stripped for event in events if (stripped := event.strip(b"\n"))]

    def rest(self) -> bytes:
        """What is left after the stream ended: an event whose blank line never came."""
        return (b"".join(self._pieces) + self._held).strip(b"\r\n")

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        self._pieces.append(data)
        self.size += len(data)
        self._ends_line = data.endswith(b"\n")
        if self.size > self._max:
            raise EventTooLarge(f"an event of the stream is larger than {self._max} bytes")

    def _without_bom(self, data: bytes) -> bytes:
        """Drop a byte order mark at the very start; while it may still be one, hold what there is."""
        if len(data) < len(exact_json.BOM) and exact_json.BOM.startswith(data):
            self._held = data
            return b""
        self._started = True
        return data.removeprefix(exact_json.BOM)

    def _normal(self, data: bytes) -> bytes:
        """LF line ends; a CR at the end waits for the LF that may follow."""
        if data.endswith(b"\r"):
            data, self._held = data[:-1], b"\r"
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def separated(event: bytes) -> list[bytes]:
    """The events in one, where a runtime leaves out the blank lines between them; else that one."""
    if AGAIN not in event or _is_json(event_data(event)):
        return [event]
    lines = [data for line in event.split(b"\n") if (data := _line_data(line)) is not None]
    if not all(_is_json(data) or data.strip() == DONE or _ALIVE.fullmatch(data) for data in lines):
        return [event]
    return [b"data: " + data for data in lines]


def told_plainly(event: bytes) -> tuple[bytes, Json] | None:
    """The data of an event and the object that they are, where it is written as nearly all are: in strict JSON on one line, behind no
    other line than one that names the event.
    """
    line = event.partition(b"\n")[2] if event.startswith(b"event:") else event
    if not line.startswith(b"data: {") or b"\n" in line:
        return None
    data = line[6:]
    try:
        said: Json = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return data, said


def _is_json(data: bytes) -> bool:
    try:
        exact_json.loads(data)
    except ValueError:
        return False
    return True


def event_data(event: bytes) -> bytes:
    """The data of an event: its `data:` lines joined by newlines; empty for comments and other fields, and for signs of life."""
    if b"\n" not in event:
        if event.startswith(b"data: {"):
            return event[6:]
        data = _line_data(event) or b""
    else:
        data = _joined(event)
    return data if data.startswith(b"{") or _ALIVE.fullmatch(data) is None else b""


def _joined(event: bytes) -> bytes:
    return b"\n".join(part for line in event.split(b"\n") if (part := _line_data(line)) is not None)


def has_payload(chunk: object) -> bool:
    """Whether a chunk carries something for the caller: text, reasoning, a call, a refusal, or an end; not the role alone."""
    choices = choices_of(chunk) if isinstance(chunk, dict) else None
    return any(map(_says_something, choices or ()))


def _says_something(choice: Json) -> bool:
    delta = choice.get("delta")
    said = (
        bool(delta)
        if isinstance(delta, str)
        else isinstance(delta, dict) and any(value for key, value in delta.items() if key != "role")
    )
    return said or any(choice.get(name) for name in ("finish_reason", "text", "message"))


def events_of(answer: object) -> list[bytes]:
    """A whole answer as the events of a stream, `[DONE]` at the end; none when it has no choices."""
    choices = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(answer, dict) or not isinstance(choices, list):
        return []
    head: Json = {"object": "chat.completion.chunk", **{key: answer[key] for key in _HEAD if key in answer}}
    chunks: list[Json] = []
    for position, choice in enumerate(choices):
        if not isinstance(choice, dict) or not isinstance(choice.get("message"), dict):
            continue
        delta = {key: value for key, value in choice["message"].items() if value is not None}
        if isinstance(delta.get("tool_calls"), list):
            calls = [call for call in delta["tool_calls"] if isinstance(call, dict)]
            delta["tool_calls"] = [{"index": at, **call} for at, call in enumerate(calls)]
        rest = {key: value for key, value in choice.items() if key not in ("message", "index", "finish_reason")}
        index = choice.get("index", position)
        finish = choice.get("finish_reason") or "stop"
        chunks.append({**head, "choices": [{"index": index, "delta": delta, **rest, "finish_reason": None}]})
        chunks.append({**head, "choices": [{"index": index, "delta": {}, "finish_reason": finish}]})
    if not chunks:
        return []
    if isinstance(answer.get("usage"), dict):
        chunks.append({**head, "choices": [], "usage": answer["usage"]})
    return [*(b"data: " + orjson.dumps(chunk) for chunk in chunks), b"data: " + DONE]


def _ends(chunk: Json) -> bool:
    """Whether a chunk is no part of an answer, or ends one: then it may be an error."""
    choices = chunk.get("choices")
    if not choices or not isinstance(choices, list | dict):
        return True
    first = choices[0] if type(choices) is list else choices
    return isinstance(first, dict) and first.get("finish_reason") is not None


def _line_data(line: bytes) -> bytes | None:
    if line.startswith(b"data: "):
        return line[6:]
    return line[5:] if line.startswith(b"data:") else None


class StreamAssembler:
    """Collects `chat.completion.chunk` events into the body that a plain answer would have had.

    `done`: `[DONE]` came. `error`: the fault that an error frame states, or an event that is no chunk. `whole`: the body
    holds all that the chunks held; it does not once that is `large`, of more than `most_chars` characters. `odd`: the last
    chunk is not what strict clients read, or its tool calls are not numbered as they should be: `placed` has their right
    numbers, in order.
    """

    def __init__(self, most_chars: int = MAX_ASSEMBLED_CHARS) -> None:
        self.done = False
        self.error: RuntimeFault | None = None
        self.whole = True
        self.large = False
        self.odd = False
        self.placed: list[int] = []
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
        self.odd = False
        if type(event) is ChunkEvent:
            self._take(event.chunk)
            return event.chunk
        data = event_data(event)
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
        if chunk.get("error") or _ends(chunk):
            self.error = stated_error(chunk, {}, data)
        if self.error is not None:
            return None
        self._take(chunk)
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

    def _take(self, chunk: Json) -> None:
        if not (chunk.keys() <= _KNOWN and self._head.keys() >= _IDENTITY):  # else it says nothing new of that
            self._take_head(chunk)
        usage = usage_in(chunk)
        if usage is not None:
            self._usage = usage
        self.placed = []
        for choice in choices_of(chunk) or ():
            index = index_of(choice)
            known = self._choices.get(index)
            if known is None:
                known = self._choices[index] = _Choice()
            self.whole = known.take(choice, self.placed, full=self.large) and self.whole
            self._most -= known.added
            if self._most < 0:
                self.large, self.whole = True, False
            self.odd = self.odd or known.odd


class _Choice:
    """One choice under way: every text field of its deltas (content, refusal, reasoning_content ...), tool calls, or an old function call, and
    what was signed."""

    __slots__ = ("_begun", "_details", "_old_form", "_texts", "_tools", "added", "finish_reason", "odd")

    def __init__(self) -> None:
        self._begun = self._old_form = False
        self._texts: dict[str, list[str]] = {"content": []}
        self._details: list[Json] = []
        self._tools = _ToolCalls()
        self.finish_reason: str | None = None
        self.odd = False
        self.added = 0

    def take(self, choice: Json, placed: list[int], *, full: bool) -> bool:
        """Take what a chunk adds; says whether all of that will be in the body. Text that comes when it is full is dropped."""
        self.added = 0
        self.odd, whole = False, choice.keys() <= _SIMPLE_CHOICE or not _more(choice, _SIMPLE_CHOICE)
        delta, self._begun = delta_of(choice, first=not self._begun), True
        for key, value in delta.items():
            if isinstance(value, str):
                self.added += len(value)
                if key != "role" and not full:
                    self._texts.setdefault(key, []).append(value)
            elif key == "tool_calls" and isinstance(value, list):
                for call in value:
                    if isinstance(call, dict):
                        position = self._tools.take(call, full=full)
                        self.added += self._tools.added
                        placed.append(position)
                        self.odd = self.odd or call.get("index") != position or type(call["index"]) is not int
                        whole = whole and self._tools.whole
            elif key == "function_call" and isinstance(value, dict):
                self._tools.take({"index": 0, "function": value}, full=full)
                self.added += self._tools.added
                self._old_form = True
            elif value is not None:
                whole = False
                if key == MEMBER and isinstance(value, list) and not full:
                    self._sign([one for one in value if isinstance(one, dict)])
                elif key == "content" and not full:
                    self._texts["content"].append(content_text(value))
        reason = choice.get("finish_reason")
        if reason is not None:
            self.odd = True
            choice["finish_reason"] = finish_of(reason, self.called)
            self.finish_reason = self.finish_reason or choice["finish_reason"]
        return whole and (delta.keys() <= _SIMPLE_DELTA or not _more(delta, _SIMPLE_DELTA))

    @property
    def called(self) -> str:
        """The finish reason of what it calls so far; empty while it calls nothing."""
        return "" if not self._tools.begun else OLD_CALL if self._old_form else CALLS

    def _sign(self, details: list[Json]) -> None:
        self._details += details
        self.added += sum(len(text) for one in details for text in one.values() if isinstance(text, str))

    def body(self, index: int, name: str) -> Json:
        """The choice as a plain answer has it; `name` is the answer's id."""
        texts = {key: exact_json.whole_text("".join(parts)) for key, parts in self._texts.items()}
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
    """The tool calls of one choice, by their pieces: a new id is a new call, whatever its number says."""

    def __init__(self) -> None:
        self._calls: list[Json] = []
        self._at: dict[int, int] = {}
        self.whole = True
        self.added = 0

    def take(self, piece: Json, *, full: bool) -> int:
        """Add a piece; returns the position of its call."""
        function = piece.get("function")
        function = function if isinstance(function, dict) else {}
        name, arguments = function.get("name"), function.get("arguments")
        stated = _number(piece.get("index"))
        position = self._position(piece.get("id"), stated, name)
        if stated is not None:
            self._at[stated] = position
        call = self._calls[position]
        if isinstance(piece.get("id"), str) and piece["id"].strip():
            call["id"] = piece["id"]
        if isinstance(name, str):
            call["name"] += name_added(call["name"], name)
        if isinstance(arguments, dict):
            arguments = orjson.dumps(exact_json.whole(arguments)).decode()
        self.added = len(arguments) if isinstance(arguments, str) else 0
        if isinstance(arguments, str) and not (full and call["arguments"]):
            call["arguments"].append("" if full else arguments)
        self.whole = not _more(piece, _SIMPLE_CALL) and not _more(function, _SIMPLE_FUNCTION)
        return position

    def _position(self, call_id: object, stated: int | None, name: object) -> int:
        named, begins = isinstance(call_id, str) and bool(call_id.strip()), isinstance(name, str) and bool(name)
        if named:
            same = next((at for at, call in enumerate(self._calls) if call["id"] == call_id), None)
            if same is not None:
                return same
        known = self._at.get(stated) if stated is not None else None
        if known is None and self._calls and (stated is None or not (named or begins)):
            known = len(self._calls) - 1
        if known is not None:
            call = self._calls[known]
            other = any(call["arguments"]) and begins and call["name"] not in ("", name)
            again = (
                begins and not named and any(call["arguments"]) and (stated is None or _is_object(call["arguments"]))
            )
            if not (other or again or (named and call["id"] is not None)):
                return known
        self._calls.append({"id": None, "name": "", "arguments": []})
        return len(self._calls) - 1

    @property
    def begun(self) -> bool:
        """Whether there is a call."""
        return bool(self._calls)

    def bodies(self) -> list[Json]:
        """The calls as a plain answer has them."""
        return [
            {
                "id": call["id"] and exact_json.whole_text(call["id"]),
                "type": "function",
                "function": {
                    "name": exact_json.whole_text(call["name"]),
                    "arguments": exact_json.whole_text("".join(call["arguments"])),
                },
            }
            for call in self._calls
        ]


def _is_object(parts: list[str]) -> bool:
    """Whether the pieces make a whole object."""
    text = "".join(parts).strip()
    if not text.endswith("}"):
        return False
    try:
        return isinstance(orjson.loads(text), dict)
    except orjson.JSONDecodeError:
        return False


def _number(index: object) -> int | None:
    if type(index) is int:
        return index
    return int(index) if isinstance(index, str) and is_digits(index, 5) else None
