"""Anthropic's Messages: the protocol of `POST /v1/messages`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import orjson

from arbiter_app import exact_json
from arbiter_app.dialects.anthropic_messages.answer import message
from arbiter_app.dialects.anthropic_messages.errors import status_of, told
from arbiter_app.dialects.anthropic_messages.events import PING, Events, ended_with, event
from arbiter_app.dialects.anthropic_messages.request import parse
from arbiter_app.dialects.passing import passed_frames, passed_whole
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.lifecycle import Streamed

__all__ = ["PATHS", "REQUEST_ID", "error_body", "error_frame", "frames", "parse", "status_of", "whole"]

PATHS: tuple[str, ...] = ("/v1/messages",)
REQUEST_ID = b"request-id"


def whole(decision: Decision) -> Sequence[bytes | memoryview]:
    """A whole answer: the message, with our object as its last member."""
    if (passed := passed_whole(decision)) is not None:
        return passed
    return (exact_json.line({**message(decision), "arbiter": orjson.Fragment(orjson.dumps(decision.public()))}),)


async def frames(streamed: Streamed) -> AsyncIterator[bytes]:
    """A streamed answer, event by event; what came together goes out together. Raises ArbiterError when it breaks off."""
    streamed.ping = event(PING)
    if streamed.native is not None:
        async for passed in passed_frames(streamed, streamed.native, ended_with):
            yield passed
        return
    events = Events(streamed.decision)
    yield events.begin()
    async for chunks in streamed.chunks:
        made = [part for chunk in chunks for part in events.of(chunk)]
        if made:
            yield b"".join(made)
    yield b"".join(events.end(streamed.decision.public()))


def error_body(error: ArbiterError) -> bytes:
    """An error as the body of an answer."""
    return orjson.dumps(told(error))


def error_frame(error: ArbiterError, _: Streamed) -> bytes:
    """The event that ends a broken stream."""
    return event(told(error))
