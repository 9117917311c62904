"""POST /v1/chat/completions as a bare ASGI handler: read, authenticate, admit, run the lifecycle, answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson
from starlette.types import Receive, Scope, Send

from arbiter_app.api import limits
from arbiter_app.api.admission import Admission
from arbiter_app.api.auth import caller_of, is_new
from arbiter_app.api.body import BIG_BYTES, CallerGone, read_body
from arbiter_app.api.errors import error_answer
from arbiter_app.api.parse import parse_chat
from arbiter_app.api.watch import Watch, Watched
from arbiter_app.logs import request_id as log_request_id
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import (
    ArbiterError,
    ContextLengthExceeded,
    DeadlineExceeded,
    InternalError,
    NoCapableModel,
    Overloaded,
    Unauthorized,
    Unprocessable,
)
from arbiter_app.pipeline.relay import error_frame
from arbiter_app.pipeline.types import Caller, ChatRequest, Json
from arbiter_app.protocol import ANSWER_PIECE_BYTES, answer, answer_in_pieces, send_in_pieces, when_gone
from arbiter_app.services.keys import LimitReached
from arbiter_app.store.usage import Window

if TYPE_CHECKING:
    from arbiter_app.services.arbiter import Arbiter

log = logging.getLogger("arbiter.api")

JSON = (b"content-type", b"application/json")
NOSNIFF = (b"x-content-type-options", b"nosniff")
STREAM = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
UNASKED = (ContextLengthExceeded, NoCapableModel, Unprocessable)
"""Refusals before any model was asked: they do not count against a key's limits."""
BROKEN = (500, 502, 504)
DRAINED = "Arbiter was stopped before this answer was complete; try again in a moment"


class Chat:
    """The chat route over one `Arbiter`."""

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        settings = arbiter.settings
        self._max_body = settings.max_body_bytes
        # The runtime has `request_timeout_s`; as long again for a caller to read. Who reads slower gives up its place.
        self._longest_s = 2 * settings.request_timeout_s
        self._watch = Watch()
        self.admission = Admission(settings.max_concurrency, settings.max_queue, settings.queue_wait_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        """Answer one request. A caller who hangs up cancels the work, streamed or not."""
        log_request_id.set(request_id)
        reply = _Reply(send, request_id)
        watched, told = self._watch.begin(), when_gone(scope)
        told(watched.hang_up)
        try:
            try:
                caller = self._caller(scope)
            except Unauthorized:
                if not await is_new(self._arbiter.keys, scope):
                    raise
                caller = self._caller(scope)
            request = await self._read(scope, receive, caller, request_id)
            await self._admitted(request, reply, watched)
        except ArbiterError as error:
            await self._refused(error, reply)
        except CallerGone:
            return
        except asyncio.CancelledError:
            if not await self._cut_off(watched, reply):
                raise
        except Exception:
            log.exception("the chat route failed")
            await reply.error(
                InternalError(f"Arbiter failed on this request; the log has the details under {request_id}")
            )
        finally:
            told(None)
            self._watch.end(watched)

    def end_all(self) -> None:
        """End what is still running, each with an error: the time to drain is over."""
        self._arbiter.lifecycle.ending = DRAINED
        self._watch.cancel_all()

    async def _refused(self, error: ArbiterError, reply: _Reply) -> None:
        self._arbiter.metrics.refused(error)
        if error.status in BROKEN:
            log.warning("%s: %s", error.code, error.message, extra={"decision": error.decision_id})
        await reply.error(error)

    async def _cut_off(self, watched: Watched, reply: _Reply) -> bool:
        """Tell the caller why its request was cancelled, if it is still there; False when that was not our doing."""
        if not (watched.gone or watched.late or self._arbiter.lifecycle.ending):
            return False
        watched.task.uncancel()
        if watched.late:
            await self._refused(DeadlineExceeded(f"the answer was not read within {self._longest_s:g} s"), reply)
        elif not watched.gone:
            await reply.broken_off(Overloaded(DRAINED, code="draining", retry_after_s=2.0))
        return True

    def _caller(self, scope: Scope) -> Caller:
        caller = caller_of(self._arbiter.keys, scope)
        if caller is None:
            raise Unauthorized(
                "an API key is needed: send it as `Authorization: Bearer arb_...`", code="missing_api_key"
            )
        self._arbiter.keys.may_route(caller)
        return caller

    async def _read(self, scope: Scope, receive: Receive, caller: Caller, request_id: str) -> ChatRequest:
        """The request, read only while there is a chance that it is served. Big bodies are parsed beside the loop."""
        if self._arbiter.draining:
            raise Overloaded("Arbiter is shutting down; try again in a moment", code="draining", retry_after_s=2.0)
        self.admission.refuse_when_full()
        body = await read_body(scope, receive, self._max_body)
        if len(body) < BIG_BYTES:
            return parse_chat(body, caller, request_id)
        return await asyncio.to_thread(parse_chat, body, caller, request_id)

    async def _admitted(self, request: ChatRequest, reply: _Reply, watched: Watched) -> None:
        await self.admission.enter()
        try:
            windows = await self._counted(request.caller, reply)
            watched.within(self._longest_s)
            await self._answer(request, reply)
        except UNASKED:
            await self._arbiter.keys.uncount(request.caller)
            given_back = {kind: replace(window, used=window.used - 1) for kind, window in windows.items()}
            reply.limits = limits.headers(given_back, self._arbiter.keys.limits)
            raise
        finally:
            self.admission.leave()

    async def _counted(self, caller: Caller, reply: _Reply) -> dict[str, Window]:
        """Count the request; the answer says what is left of the key's limits."""
        try:
            windows = await self._arbiter.keys.count(caller)
        except LimitReached as error:
            reply.limits = limits.headers(error.windows, self._arbiter.keys.limits)
            raise
        reply.limits = limits.headers(windows, self._arbiter.keys.limits)
        return windows

    async def _answer(self, request: ChatRequest, reply: _Reply) -> None:
        if request.stream:
            streamed = await self._arbiter.lifecycle.stream(request)
            await reply.stream(streamed.decision, streamed.frames)
        else:
            decision, body = await self._arbiter.lifecycle.answer(request)
            await reply.whole(decision, body)


class _Reply:
    """Writes the answer; knows whether it has begun."""

    def __init__(self, send: Send, request_id: str) -> None:
        self._send = send
        self._id = (b"x-request-id", request_id.encode())
        self.limits: limits.Headers = []
        self._begun = False
        self._streaming = False

    async def whole(self, decision: Decision, body: Json) -> None:
        completion = decision.completion
        raw = completion.raw if completion and completion.raw else orjson.dumps(body)
        pieces = completion.pieces if completion else ()
        if pieces or len(raw) > ANSWER_PIECE_BYTES:
            parts = *(pieces or (memoryview(raw)[:-1],)), b',"arbiter":%b}' % orjson.dumps(decision.public())
            self._begun = True
            headers = [JSON, *_named(decision), *self.limits, NOSNIFF, self._id]
            await answer_in_pieces(self._send, 200, headers, parts)
            return
        await self._respond(200, [JSON, *_named(decision)], _with_arbiter(raw, decision.public()))

    async def stream(self, decision: Decision, frames: AsyncIterator[bytes]) -> None:
        headers = [*STREAM, *_named(decision), *self.limits, NOSNIFF, self._id]
        self._begun = self._streaming = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        async with contextlib.aclosing(frames) as open_frames:  # type: ignore[type-var]
            async for frame in open_frames:
                if len(frame) > ANSWER_PIECE_BYTES:
                    await send_in_pieces(self._send, frame)
                else:
                    await self._send({"type": "http.response.body", "body": frame, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def broken_off(self, error: ArbiterError) -> None:
        """End with an error, also in the middle of a stream."""
        if self._streaming:
            await self._send({"type": "http.response.body", "body": error_frame(error)})
        else:
            await self.error(error)

    async def error(self, error: ArbiterError) -> None:
        if self._begun:
            return
        status, headers, data = error_answer(error)
        await self._respond(status, headers, data)

    async def _respond(self, status: int, headers: list[tuple[bytes, bytes]], data: bytes) -> None:
        self._begun = True
        await answer(self._send, status, [*headers, *self.limits, NOSNIFF, self._id], data)


def _with_arbiter(raw: bytes, arbiter: Json) -> bytes:
    """An answer, the runtime's own bytes, with our object as its last member."""
    return b'%b,"arbiter":%b}' % (raw[:-1], orjson.dumps(arbiter))


def _named(decision: Decision) -> list[tuple[bytes, bytes]]:
    task = str(decision.classification.task) if decision.classification else ""
    return [
        (b"x-arbiter-decision", decision.id.encode()),
        (b"x-arbiter-model", decision.model.encode("latin-1", "replace")),
        (b"x-arbiter-task", task.encode()),
    ]
