"""OpenAI's legacy text completions: the protocol of `POST /v1/completions`, for clients that complete code as it is typed.

Runtimes serve chats: a prompt becomes a message that a model is told to go on with, and its answer the completion.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import orjson

from arbiter_app.dialects.openai_chat import REQUEST_ID, status_of
from arbiter_app.dialects.openai_completions.answer import TextFrames, completion
from arbiter_app.dialects.openai_completions.request import parse
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.lifecycle import Streamed

__all__ = ["PATHS", "REQUEST_ID", "error_body", "error_frame", "frames", "parse", "status_of", "whole"]

PATHS: tuple[str, ...] = ("/v1/completions",)


def whole(decision: Decision) -> Sequence[bytes | memoryview]:
    """A whole answer: the completion, with our object as its last member."""
    return (orjson.dumps({**completion(decision), "arbiter": decision.public()}),)


async def frames(streamed: Streamed) -> AsyncIterator[bytes]:
    """A streamed answer, frame by frame; what came together goes out together. Raises ArbiterError when it breaks off."""
    made = TextFrames(streamed.decision)
    streamed.ping = made.ping()
    async for chunks in streamed.chunks:
        passed = b"".join(made.of(chunk) for chunk in chunks)
        if passed:
            yield passed
    yield made.ending()


def error_body(error: ArbiterError) -> bytes:
    """An error as the body of an answer; a chat's `messages` are the `prompt` here."""
    param = "prompt" if error.param == "messages" else error.param
    told = {"message": error.message, "type": error.type, "param": param, "code": error.code}
    return orjson.dumps({"error": told})


def error_frame(error: ArbiterError, _: Streamed) -> bytes:
    """The one frame that ends a broken stream."""
    return b"data: " + error_body(error) + b"\n\n"
