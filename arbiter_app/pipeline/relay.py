"""A streamed answer on its way to the caller: passed through as it comes, assembled for grading on the side.

Events go out as the bytes that came in, where every client can read them, else rewritten (`pipeline.frames`). Kept back
are what ends an answer (its `finish_reason`, usage and `[DONE]`), and the runtime's own error frame (which becomes a
`RuntimeFault`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import orjson

from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.frames import Frames
from arbiter_app.pipeline.ports import ReplyStream, RuntimeFault
from arbiter_app.pipeline.types import Json

DONE = b"data: [DONE]\n\n"


class Assembler(Protocol):
    """Builds the whole body out of chunks (`runtime.sse.StreamAssembler`)."""

    done: bool
    error: RuntimeFault | None
    whole: bool
    large: bool
    odd: bool
    placed: list[int]

    @property
    def finish_reason(self) -> str | None: ...

    def feed(self, event: bytes) -> Json | None:
        """Take one raw event; returns its parsed chunk, None for `[DONE]` and comments."""
        ...

    def body(self) -> Json: ...


class Relay:
    """Iterate it for the frames to send; afterwards `body` is the assembled answer and `usage` the usage chunk's."""

    def __init__(self, stream: ReplyStream, assembler: Assembler, name: str = "") -> None:
        self._stream = stream
        self._assembler = assembler
        self._frames = Frames(name)

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
                passed += self._frames.of(event, chunk, assembler.placed, odd=assembler.odd)
            elif assembler.error is not None:
                return passed, assembler.error
            elif assembler.done:
                break
        return passed, None

    @property
    def whole(self) -> bool:
        """Whether `body` holds all that was streamed, so that it may be kept and served again."""
        return self._assembler.whole

    @property
    def large(self) -> bool:
        """Whether the answer was too large to be assembled."""
        return self._assembler.large

    def body(self) -> Json:
        """The answer so far as one `chat.completion` body."""
        return self._assembler.body()

    def ending(self, arbiter: Json, *, include_usage: bool) -> bytes:
        """What ends the answer: its finish, usage where it was asked for, the `arbiter` object, and `[DONE]`."""
        return self._frames.ending(arbiter, include_usage=include_usage) + DONE


def error_frame(error: ArbiterError) -> bytes:
    """The one frame that ends a broken stream."""
    return b"data: " + orjson.dumps(error.body()) + b"\n\n"
