"""Anthropic's Messages: the protocol of `POST /v1/messages`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import orjson

from arbiter_app.dialects.anthropic_messages.answer import message
from arbiter_app.dialects.anthropic_messages.errors import status_of, told
from arbiter_app.dialects.anthropic_messages.events import Events, event
from arbiter_app.dialects.anthropic_messages.request import parse
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.lifecycle import Streamed

__all__ = ["PATHS", "REQUEST_ID", "error_body", "error_frame", "frames", "parse", "status_of", "whole"]

PATHS: tuple[str, ...] = ("/v1/messages",)
REQUEST_ID = b"request-id"


def whole(decision: Decision) -> Sequence[bytes | memoryview]:
    """A whole answer: the message, with our object as its last member."""
    return (orjson.dumps({**message(decision), "arbiter": decision.public()}),)


async def frames(streamed: Streamed) -> AsyncIterator[bytes]:
    """A streamed answer, event by event; what came together goes out together. Raises ArbiterError when it breaks off."""
    events = Events(streamed.decision)
    yield events.begin()
    async for chunks in streamed.chunks:
        passed = [part for chunk in chunks for part in events.of(chunk)]
        if passed:
            yield b"".join(passed)
    yield b"".join(events.end(streamed.decision.public()))


def error_body(error: ArbiterError) -> bytes:
    """An error as the body of an answer."""
    return orjson.dumps(told(error))


def error_frame(error: ArbiterError, _: Streamed) -> bytes:
    """The event that ends a broken stream."""
    return event(told(error))
