"""OpenAI's Responses: the protocol of `POST /v1/responses`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence

import orjson

from arbiter_app import turns as loop_turns
from arbiter_app.dialects import openai_chat
from arbiter_app.dialects.openai_responses.answer import IN_PROGRESS, failed, finished, response
from arbiter_app.dialects.openai_responses.events import Output, ended_with, framed, output_of
from arbiter_app.dialects.openai_responses.request import parse
from arbiter_app.dialects.passing import passed_frames, passed_whole
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.lifecycle import Streamed
from arbiter_app.pipeline.ports import LARGE_BYTES
from arbiter_app.pipeline.types import Json

__all__ = ["PATHS", "REQUEST_ID", "error_body", "error_frame", "frames", "parse", "status_of", "whole"]

PATHS: tuple[str, ...] = ("/v1/responses",)
REQUEST_ID = openai_chat.REQUEST_ID
PING = b": ping\n"
"""A comment, as no event says that nothing happens. A blank line behind it would be an event without data to some clients."""


def whole(decision: Decision) -> Sequence[bytes | memoryview]:
    """A whole answer: the response, with our object as its last member."""
    if (passed := passed_whole(decision)) is not None:
        return passed
    output = output_of(decision)
    return (orjson.dumps(finished(decision, output.items, output.finish)),)


async def frames(streamed: Streamed) -> AsyncIterator[bytes]:
    """A streamed answer, event by event; what came together goes out together. Raises ArbiterError when it breaks off."""
    streamed.ping = PING
    if streamed.native is not None:
        async for passed in passed_frames(streamed, streamed.native, ended_with):
            yield passed
        return
    decision, output = streamed.decision, Output(streamed.decision)

    def told(events: Iterable[Json]) -> bytes:
        return b"".join([framed(event, next(streamed.numbers)) for event in events])

    begun = response(decision, IN_PROGRESS, [])
    yield told({"type": f"response.{stage}", "response": begun} for stage in ("created", IN_PROGRESS))
    sent = 0
    async for chunks in streamed.chunks:
        made = told(event for chunk in chunks for event in output.of(chunk))
        sent += len(made)
        if made:
            yield made

    def ending() -> bytes:
        last = told(output.end())
        ended = finished(decision, output.items, output.finish)
        return last + told([{"type": f"response.{ended['status']}", "response": ended}])

    yield ending() if sent < LARGE_BYTES else await loop_turns.beside(ending)  # all is said again


def status_of(error: ArbiterError) -> int:
    """The status of an error: 400 for all that is wrong with a request, well-formed or not, as OpenAI's Responses have it."""
    return 400 if error.status == 422 else error.status


def error_body(error: ArbiterError) -> bytes:
    """An error as the body of an answer."""
    return orjson.dumps({"error": _told(error)})


def error_frame(error: ArbiterError, streamed: Streamed) -> bytes:
    """What ends a broken stream: the response as failed, and an event that the official clients raise as an exception."""
    told = _told(error)
    broken: Json = {"type": "error", **{name: told[name] for name in ("code", "message", "param")}, "error": told}
    ends = ({"type": "response.failed", "response": failed(streamed.decision, error)}, broken)
    return b"".join([framed(event, next(streamed.numbers)) for event in ends])


def _told(error: ArbiterError) -> Json:
    """What is said of an error; a chat's `messages` are the `input` here."""
    param = "input" if error.param == "messages" else error.param
    return {"message": error.message, "type": error.type, "param": param, "code": error.code}
