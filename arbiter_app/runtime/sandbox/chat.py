"""The simulated runtime in OpenAI's chat completions, which is what it thinks in."""

from __future__ import annotations

import orjson

from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.sandbox.wire import SandboxAnswer

PATH = "/chat/completions"


def chat_of(given: Json, headers: dict[str, str]) -> Json:
    """The request as it is."""
    return given


def body(answer: SandboxAnswer) -> bytes:
    """The whole answer."""
    return answer.body()


def events(answer: SandboxAnswer, *, include_usage: bool) -> list[bytes]:
    """The answer as server-sent events, `[DONE]` last."""
    return answer.events(include_usage=include_usage)


def error(status: int, message: str, code: str | None) -> Json:
    """The body of a refusal."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}


def error_event(message: str) -> bytes:
    """What breaks a stream off."""
    told = {"error": {"message": message, "type": "server_error", "code": None}}
    return b"data: %b\n\n" % orjson.dumps(told)
