"""OpenAI's chat completions: the protocol of `POST /v1/chat/completions`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import orjson

from arbiter_app.dialects.openai_chat.frames import Frames
from arbiter_app.dialects.openai_chat.request import conversation_of, parse, translated
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.lifecycle import Streamed

__all__ = [
    "PATHS",
    "REQUEST_ID",
    "conversation_of",
    "error_body",
    "error_frame",
    "frames",
    "parse",
    "status_of",
    "translated",
    "whole",
]

PATHS: tuple[str, ...] = ("/v1/chat/completions",)
REQUEST_ID = b"x-request-id"


def whole(decision: Decision) -> Sequence[bytes | memoryview]:
    """A whole answer in pieces that are not copied: the runtime's own bytes, with our object as its last member."""
    done, arbiter = decision.completion, orjson.dumps(decision.public())
    if done is not None and done.pieces:
        return *done.pieces, b',"arbiter":%b}' % arbiter
    raw = (done.raw or orjson.dumps(done.body)) if done is not None else b"{}"
    return memoryview(raw)[:-1], b',"arbiter":%b}' % arbiter


async def frames(streamed: Streamed) -> AsyncIterator[bytes]:
    """A streamed answer, frame by frame; what came together goes out together. Raises ArbiterError when it breaks off."""
    decision, made = streamed.decision, Frames(streamed.decision.id)
    async for chunks in streamed.chunks:
        passed = [part for chunk in chunks for part in made.of(chunk)]
        if passed:
            streamed.ping = streamed.ping or made.ping()
            yield b"".join(passed)
    yield made.ending(decision.public(), include_usage=decision.request.include_usage)


def status_of(error: ArbiterError) -> int:
    """The status that an error is answered with."""
    return error.status


def error_body(error: ArbiterError) -> bytes:
    """An error as the body of an answer."""
    told = {"message": error.message, "type": error.type, "param": error.param, "code": error.code}
    return orjson.dumps({"error": told})


def error_frame(error: ArbiterError, _: Streamed) -> bytes:
    """The one frame that ends a broken stream."""
    return b"data: " + error_body(error) + b"\n\n"
