"""A streamed answer on its way to the caller: handed on as it comes, assembled for grading on the side.

The runtime's own error frame becomes a `RuntimeFault`, its `[DONE]` the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from arbiter_app import turns
from arbiter_app.pipeline.events import Chunk
from arbiter_app.pipeline.ports import ReplyStream, RuntimeFault
from arbiter_app.pipeline.types import Json


class Assembler(Protocol):
    """Builds the whole body out of chunks (`runtime.assembler.StreamAssembler`)."""

    done: bool
    error: RuntimeFault | None
    whole: bool
    large: bool
    odd: bool
    placed: list[int]
    deltas: bytes | None

    @property
    def finished(self) -> bool: ...

    def feed(self, event: bytes) -> Json | None:
        """Take one raw event; returns its parsed chunk, None for `[DONE]` and comments."""
        ...

    def body(self) -> Json: ...


class Relay:
    """Iterate `chunks`; afterwards `body` is the assembled answer."""

    def __init__(self, stream: ReplyStream, assembler: Assembler) -> None:
        self._stream = stream
        self._assembler = assembler

    async def chunks(self) -> AsyncIterator[Sequence[Chunk]]:
        """The chunks, those together that came together.

        Raises RuntimeFault when the stream breaks or ends without finishing, after what had come before that. An answer that is
        finished is whole, however its stream ends.
        """
        while not self._assembler.done and (events := await self._events()):
            large = max(map(len, events)) > turns.PIECE_BYTES
            passed, fault = self._taken(events)
            if large:  # what is made of it is work for another turn
                await turns.next_large_turn()
            if passed:
                yield passed
            if fault is not None:
                raise fault
        if not self._assembler.done and not self._assembler.finished:
            raise RuntimeFault("transport", "the stream ended before the answer was finished")

    async def _events(self) -> Sequence[bytes]:
        try:
            return await self._stream.together()
        except RuntimeFault:
            if self._assembler.finished:
                return ()
            raise

    def _taken(self, events: Sequence[bytes]) -> tuple[list[Chunk], RuntimeFault | None]:
        """Take events in; the chunks in them, up to the runtime's error frame or `[DONE]`."""
        assembler = self._assembler
        passed: list[Chunk] = []
        for event in events:
            chunk = assembler.feed(event)
            if chunk is not None:
                passed.append(Chunk(assembler.deltas or event, chunk, assembler.placed, assembler.odd))
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
