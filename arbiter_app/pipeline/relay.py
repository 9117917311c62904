"""A streamed answer on its way to the caller: passed through as it comes, assembled for grading on the side.

Events go out as the bytes that came in. Three are kept back: the usage chunk (the caller gets it only when it asked
for usage), `[DONE]` (sent once, last), and the runtime's own error frame (which becomes a `RuntimeFault`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import orjson

from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.ports import ReplyStream, RuntimeFault
from arbiter_app.pipeline.types import Json

DONE = b"data: [DONE]\n\n"


class Assembler(Protocol):
    """Builds the whole body out of chunks (`runtime.sse.StreamAssembler`)."""

    done: bool
    error: Json | None

    @property
    def finish_reason(self) -> str | None: ...

    def feed(self, event: bytes) -> Json | None:
        """Take one raw event; returns its parsed chunk, None for `[DONE]` and comments."""
        ...

    def body(self) -> Json: ...


class Relay:
    """Iterate it for the frames to send; afterwards `body` is the assembled answer and `usage` the usage chunk's."""

    def __init__(self, stream: ReplyStream, assembler: Assembler) -> None:
        self._stream = stream
        self._assembler = assembler

    async def frames(self) -> AsyncIterator[bytes]:
        """The frames for the caller; what came together goes out together.

        Raises RuntimeFault when the stream breaks or ends without finishing, after what had come before that.
        """
        while not self._assembler.done and (events := await self._stream.together()):
            passed, fault = self._taken(events)
            if passed:
                yield b"".join(passed)
            if fault is not None:
                raise fault
        if not self._assembler.done and self._assembler.finish_reason is None:
            raise RuntimeFault("transport", "the stream ended before the answer was finished")

    def _taken(self, events: Sequence[bytes]) -> tuple[list[bytes], RuntimeFault | None]:
        """Take events in; what the caller gets of them as it is, up to the runtime's error frame or `[DONE]`."""
        assembler = self._assembler
        passed: list[bytes] = []
        for event in events:
            chunk = assembler.feed(event)
            if chunk is not None:
                if chunk.get("choices") or not chunk.get("usage"):
                    passed += (event, b"\n\n")
            elif assembler.error is not None:
                return passed, RuntimeFault("protocol", _said(assembler.error))
            elif assembler.done:
                break
        return passed, None

    def body(self) -> Json:
        """The answer so far as one `chat.completion` body."""
        return self._assembler.body()


def last_chunk(body: Json, arbiter: Json, *, include_usage: bool) -> bytes:
    """The final chunk before `[DONE]`: no choices, the `arbiter` object, and usage when the caller asked for it."""
    chunk: Json = {
        "id": body.get("id", ""),
        "object": "chat.completion.chunk",
        "created": body.get("created", 0),
        "model": body.get("model", ""),
        "choices": [],
    }
    if include_usage:
        chunk["usage"] = body.get("usage")
    chunk["arbiter"] = arbiter
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def error_frame(error: ArbiterError) -> bytes:
    """The one frame that ends a broken stream."""
    return b"data: " + orjson.dumps(error.body()) + b"\n\n"


def replayed(body: Json) -> list[bytes]:
    """A whole answer as stream frames, without usage and `[DONE]` (for answers from the cache)."""
    head: Json = {
        "id": body.get("id", ""),
        "object": "chat.completion.chunk",
        "created": body.get("created", 0),
        "model": body.get("model", ""),
    }
    frames = []
    for position, choice in enumerate(body.get("choices", [])):
        message = {key: value for key, value in choice.get("message", {}).items() if value is not None}
        if "tool_calls" in message:
            message["tool_calls"] = [{"index": at, **call} for at, call in enumerate(message["tool_calls"])]
        index = choice.get("index", position)
        frames.append({**head, "choices": [{"index": index, "delta": message, "finish_reason": None}]})
        finish = choice.get("finish_reason") or "stop"
        frames.append({**head, "choices": [{"index": index, "delta": {}, "finish_reason": finish}]})
    return [b"data: " + orjson.dumps(frame) + b"\n\n" for frame in frames]


def _said(error: Json) -> str:
    inner = error.get("error", error)
    message = inner.get("message") if isinstance(inner, dict) else None
    return str(message or "the runtime reported an error in the stream")[:500]
