"""Answers that come from a runtime of the caller's own dialect: they pass as they came, with our object where their end is told."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Sequence

import orjson

from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.lifecycle import Streamed
from arbiter_app.pipeline.native import NativeEvents


def passed_whole(decision: Decision) -> Sequence[bytes | memoryview] | None:
    """A whole answer as it came, with our object as its last member; None for one that has to be translated."""
    done = decision.completion
    if done is None or not done.native:
        return None
    return *done.native, b',"arbiter":%b}' % orjson.dumps(decision.public())


async def passed_frames(
    streamed: Streamed, native: NativeEvents, ended: Callable[[list[bytes], Decision, Iterator[int]], list[bytes]]
) -> AsyncIterator[bytes]:
    """A streamed answer as it came, event by event; `ended` puts our object into its last events (the numbers are of those that it
    adds). Raises ArbiterError when it breaks off.
    """
    async for _ in streamed.chunks:
        if events := native.taken():
            yield _counted(streamed, events)
    yield _counted(streamed, [*native.taken(), *ended(native.ending, streamed.decision, streamed.numbers)])


def _counted(streamed: Streamed, events: list[bytes]) -> bytes:
    for _ in events:
        next(streamed.numbers)
    return b"".join(events)


def data_of(event: bytes) -> bytes:
    """The data of an event, its lines joined."""
    lines = (line for line in event.split(b"\n") if line.startswith(b"data:"))
    return b"\n".join(line[5:].removeprefix(b" ") for line in lines)
