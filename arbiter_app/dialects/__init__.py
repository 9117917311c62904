"""The protocols that callers speak: how a request is read, and how an answer and an error are written. One room each.

The core knows none of them: it takes a `ChatRequest`, whose payload is an OpenAI chat completion's, and hands over chunks of such
completions. A dialect that has other words translates on its way in and out, and names in `ChatRequest.dropped` what it cannot carry.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.lifecycle import Streamed
from arbiter_app.pipeline.types import Caller, ChatRequest


class Dialect(Protocol):
    """What a room of this package offers; modules are dialects."""

    PATHS: tuple[str, ...]
    """Where it is spoken, by POST."""
    REQUEST_ID: bytes
    """The header in which its clients look for the id of a request; `x-request-id` is there in any case."""

    def parse(self, body: bytes, caller: Caller, request_id: str) -> ChatRequest:
        """One request. Raises BadRequest for what is no JSON object, Unprocessable for what means nothing."""

    def whole(self, decision: Decision) -> Sequence[bytes | memoryview]:
        """A whole answer, in pieces that need not be copied."""

    def frames(self, streamed: Streamed) -> AsyncIterator[bytes]:
        """A streamed answer as server-sent events, and what stands between them (`Streamed.ping`). Raises ArbiterError when it
        breaks off."""

    def status_of(self, error: ArbiterError) -> int:
        """The status that an error is answered with."""

    def error_body(self, error: ArbiterError) -> bytes:
        """An error as the body of an answer."""

    def error_frame(self, error: ArbiterError, streamed: Streamed) -> bytes:
        """What ends a broken stream."""
