"""Server-sent events by the byte: split a stream into events, and assemble chat chunks into one answer."""

from __future__ import annotations

from typing import Any

import orjson

from arbiter_app.pipeline.types import Json

MAX_EVENT_BYTES = 8 * 1024 * 1024
_BOM = b"\xef\xbb\xbf"


class EventTooLarge(ValueError):
    """One event is larger than any answer should be."""


class EventSplitter:
    """Feed it bytes as they arrive, get whole events back, without the blank line that ends them."""

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._buffer = b""
        self._max = max_event_bytes
        self._started = False

    def feed(self, data: bytes) -> list[bytes]:
        """The events completed by `data`. Raises EventTooLarge when one grows without end."""
        buffer = self._buffer + data
        if not self._started and buffer:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = buffer
                return []
            buffer, self._started = buffer.removeprefix(_BOM), True
        held = b""
        if b"\r" in buffer:
            if buffer.endswith(b"\r"):
                buffer, held = buffer[:-1], b"\r"
            buffer = buffer.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        *events, rest = buffer.split(b"\n\n")
        self._buffer = rest + held
        if len(rest) > self._max:
            raise EventTooLarge(f"an event of the stream is larger than {self._max} bytes")
        return [stripped for event in events if (stripped := event.strip(b"\n"))]

    def rest(self) -> bytes:
        """What is left after the stream ended: an event whose blank line never came."""
        return self._buffer.strip(b"\r\n")


def event_data(event: bytes) -> bytes:
    """The data of an event: its `data:` lines joined by newlines; empty for comments and other fields."""
    if b"\n" not in event:
        return _line_data(event) or b""
    return b"\n".join(part for line in event.split(b"\n") if (part := _line_data(line)) is not None)


def _line_data(line: bytes) -> bytes | None:
    if line.startswith(b"data: "):
        return line[6:]
    return line[5:] if line.startswith(b"data:") else None


class StreamAssembler:
    """Collects `chat.completion.chunk` events into the body that a plain answer would have had."""

    def __init__(self) -> None:
        self.done = False
        self.error: Json | None = None
        self._head: Json = {}
        self._usage: Json | None = None
        self._choices: dict[int, _Choice] = {}

    @property
    def finish_reason(self) -> str | None:
        """Why the first choice ended; None while it has not."""
        first = self._choices.get(0)
        return first.finish_reason if first is not None else None

    def feed(self, event: bytes) -> Json | None:
        """Take one event; returns its chunk, None for `[DONE]`, comments and what is not a chunk."""
        data = event_data(event).strip()
        if not data:
            return None
        if data == b"[DONE]":
            self.done = True
            return None
        try:
            chunk = orjson.loads(data)
        except orjson.JSONDecodeError:
            self.error = {"message": "the runtime sent an event that is not JSON"}
            return None
        if not isinstance(chunk, dict):
            self.error = {"message": "the runtime sent an event that is not a chunk"}
            return None
        if chunk.get("error") is not None:
            self.error = chunk["error"] if isinstance(chunk["error"], dict) else {"message": str(chunk["error"])}
            return None
        self._take(chunk)
        return chunk

    def body(self) -> Json:
        """The answer so far."""
        choices = [self._choices[index].body(index) for index in sorted(self._choices)]
        body: Json = {**self._head, "object": "chat.completion", "choices": choices}
        if self._usage is not None:
            body["usage"] = self._usage
        return body

    def _take(self, chunk: Json) -> None:
        if not self._head:
            self._head = {key: chunk[key] for key in ("id", "created", "model", "system_fingerprint") if key in chunk}
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self._usage = usage
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                index = choice.get("index", 0)
                self._choices.setdefault(index if isinstance(index, int) else 0, _Choice()).take(choice)


class _Choice:
    """One choice under way."""

    __slots__ = ("_content", "_refusal", "_tools", "finish_reason")

    def __init__(self) -> None:
        self._content: list[str] = []
        self._refusal: list[str] = []
        self._tools: dict[int, Json] = {}
        self.finish_reason: str | None = None

    def take(self, choice: Json) -> None:
        delta = choice.get("delta")
        if isinstance(delta, dict):
            content = delta.get("content")
            if isinstance(content, str):
                self._content.append(content)
            refusal = delta.get("refusal")
            if isinstance(refusal, str):
                self._refusal.append(refusal)
            calls = delta.get("tool_calls")
            for call in calls if isinstance(calls, list) else ():
                if isinstance(call, dict):
                    self._take_call(call)
        reason = choice.get("finish_reason")
        if isinstance(reason, str):
            self.finish_reason = reason

    def _take_call(self, call: Json) -> None:
        index = call.get("index", 0)
        known = self._tools.setdefault(
            index if isinstance(index, int) else 0,
            {"id": None, "type": "function", "function": {"name": "", "arguments": ""}},
        )
        if isinstance(call.get("id"), str):
            known["id"] = call["id"]
        function: Any = call.get("function")
        if isinstance(function, dict):
            for key in ("name", "arguments"):
                if isinstance(function.get(key), str):
                    known["function"][key] += function[key]

    def body(self, index: int) -> Json:
        content = "".join(self._content)
        message: Json = {"role": "assistant", "content": content or (None if self._tools else "")}
        if self._tools:
            message["tool_calls"] = [self._tools[at] for at in sorted(self._tools)]
        if self._refusal:
            message["refusal"] = "".join(self._refusal)
        return {"index": index, "message": message, "finish_reason": self.finish_reason}
