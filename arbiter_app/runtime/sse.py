"""Server-sent events by the byte: a stream split into its events, and what a whole answer would have been as some."""

from __future__ import annotations

import re

import orjson

from arbiter_app import exact_json
from arbiter_app.pipeline.completions import (
    choices_of,
)
from arbiter_app.pipeline.types import Json

MAX_EVENT_BYTES = 8 * 1024 * 1024
DONE = b"[DONE]"
AGAIN = b"\ndata:"
"""Where an event has data for the second time: it may be several (`separated`)."""
_ALIVE = re.compile(rb"\s*(?::[^{\n]{0,200}|(?i:ping|heart-?beat|keep-?alive)[\w .-]{0,40})\s*")
"""What says only that somebody is still at work, sent as data: a comment, or a word for that."""
_HEAD = ("id", "created", "model", "system_fingerprint", "service_tier")


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


def typed(event: bytes) -> bytes:
    """An event of another dialect than a chat's with its type in its data, where it stands in its name alone."""
    line, _, rest = event.partition(b"\n")
    data, name = event_data(rest), line[6:].strip()
    if not (line.startswith(b"event:") and data.startswith(b"{") and name.isascii()):
        return event
    try:
        said = exact_json.exact(data)
    except ValueError:
        return event
    return event if "type" in said else b"%b\ndata: %b" % (line, exact_json.dumps({"type": name.decode(), **said}))


def named(event: bytes) -> bytes:
    """An event that is named by its type: Anthropic's library for Python passes over those that are not."""
    if event.startswith(b"event:"):
        return event
    said = exact_json.loads(event_data(event))
    kind = said.get("type") if isinstance(said, dict) else None
    return b"event: %b\n%b" % (kind.encode(), event) if isinstance(kind, str) and kind.isprintable() else event


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


def _line_data(line: bytes) -> bytes | None:
    if line.startswith(b"data: "):
        return line[6:]
    return line[5:] if line.startswith(b"data:") else None
