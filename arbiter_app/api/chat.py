"""Asking for an answer, in any dialect, as a bare ASGI handler: read, authenticate, admit, run the lifecycle, answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.types import Receive, Scope, Send

from arbiter_app.api import limits
from arbiter_app.api.auth import caller_of
from arbiter_app.api.body import BIG_BYTES, CallerGone, read_body
from arbiter_app.api.budget_headers import budget_headers
from arbiter_app.api.errors import Headers, error_answer, id_headers
from arbiter_app.api.pings import Pings
from arbiter_app.api.tags import SAYING, TAGS, end_user_of, tags_of
from arbiter_app.dialects import Dialect
from arbiter_app.logs import request_id as log_request_id
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import ArbiterError, InternalError, Unauthorized, Unprocessable
from arbiter_app.pipeline.lifecycle import Streamed
from arbiter_app.pipeline.native import NativeRequest
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import Caller, ChatRequest, Task
from arbiter_app.protocol import ANSWER_PIECE_BYTES, answer, answer_in_pieces, between, send_in_pieces, when_gone
from arbiter_app.services.contents import Contents, Keeping
from arbiter_app.services.requests import Request, RequestService
from arbiter_app.turns import beside

log = logging.getLogger("arbiter.api")

JSON = (b"content-type", b"application/json")
NOSNIFF = (b"x-content-type-options", b"nosniff")
STREAM = ((b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache"), (b"x-accel-buffering", b"no"))
LAST_WORD_S = 1.0
TASK = b"x-arbiter-task"
DIFFICULTIES = {"": None, "easy": False, "hard": True}
BROKEN = (500, 502, 504)


Answer = Callable[[ChatRequest], Awaitable[Decision]]


class Chat:
    """The route of one dialect. `answer` gives whole answers, where that is not the lifecycle of chats; `contents` keeps them."""

    def __init__(
        self,
        dialect: Dialect,
        requests: RequestService,
        *,
        max_body_bytes: int,
        ping_s: float = 0.0,
        answer: Answer | None = None,
        contents: Contents | None = None,
    ) -> None:
        self.dialect = dialect
        self._id_headers = id_headers(dialect)
        self._answer = answer or requests.lifecycle.answer
        self._requests = requests
        self._keys = requests.keys
        self._max_body = max_body_bytes
        self._contents = contents
        self._ping_s = ping_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        """Answer one request. A caller who hangs up cancels the work, streamed or not."""
        log_request_id.set(request_id)
        ids = [(name, request_id.encode()) for name in self._id_headers]
        reply = _Reply(self.dialect, send, request_id, ids)
        request = self._requests.request()
        try:
            async with request:
                when_gone(scope, request.hang_up)
                await self._serve(scope, receive, request, reply)
        except ArbiterError as error:
            if error.status in BROKEN:
                log.warning("%s: %s", error.code, error.message, extra={"decision": error.decision_id})
            reply.limits = limits.headers(request.windows, self._keys.limits)
            await reply.error(error)
        except CallerGone:
            return
        except Exception:
            log.exception("the chat route failed")
            await reply.error(
                InternalError(f"Arbiter failed on this request; the log has the details under {request_id}")
            )

    async def _serve(self, scope: Scope, receive: Receive, request: Request, reply: _Reply) -> None:
        """Read the request, only while there is a chance that it is served, and answer it."""
        caller = await caller_of(self._keys, scope)
        if caller is None:
            raise Unauthorized(
                "an API key is needed: send it as `Authorization: Bearer arb_...`", code="missing_api_key"
            )
        self._requests.refuse_early(caller)
        chat, reply.keeping = await self._read(scope, receive, caller, reply.request_id)
        await request.admit(caller)
        if request.windows:
            reply.limits = limits.headers(request.windows, self._keys.limits)
        if chat.stream:
            streamed = await self._requests.lifecycle.stream(chat)
            await reply.stream(streamed, Pings(streamed, between(scope), self._ping_s))
        else:
            await reply.whole(await self._answer(chat))

    async def _read(
        self, scope: Scope, receive: Receive, caller: Caller, request_id: str
    ) -> tuple[ChatRequest, Keeping | None]:
        """The request, with what it refers to, and how its answer is kept. Big bodies are parsed beside the loop."""
        body = await read_body(scope, receive, self._max_body)
        said = None
        if self._contents is not None:
            said = await self._contents.recalled(body, caller)
            body = said.body
        if len(body) < BIG_BYTES:
            chat = self.dialect.parse(body, caller, request_id)
        else:
            chat = await beside(self.dialect.parse, body, caller, request_id)
        if chat.native is not None and (going_along := _headers(chat.native, scope)):
            chat = replace(chat, native=replace(chat.native, headers=going_along))
        headers = {name for name, _ in scope["headers"]}
        if TAGS in headers or not chat.payload.keys().isdisjoint(SAYING):
            chat = tagged(chat, scope)
        if TASK in headers:
            chat = hinted(chat, scope)
        return (chat, None) if self._contents is None or said is None else self._contents.keeping(chat, said)


def tagged(chat: ChatRequest, scope: Scope) -> ChatRequest:
    """The request with what its caller says that it belongs to."""
    tags = tags_of(scope["headers"], chat.payload)
    return replace(chat, tags=tags, end_user=end_user_of(chat.payload)) if tags else chat


def _headers(native: NativeRequest, scope: Scope) -> dict[str, str]:
    """The headers that go along to a runtime of the request's dialect."""
    found: dict[str, str] = {}
    for name, value in scope["headers"] if native.passes else ():
        if (named := name.decode("latin-1")) in native.passes and value:
            found[named] = f"{found[named]},{value.decode('latin-1')}" if named in found else value.decode("latin-1")
    return found


class _Reply:
    """Writes the answer; knows whether it has begun."""

    def __init__(self, dialect: Dialect, send: Send, request_id: str, ids: Headers) -> None:
        self._dialect = dialect
        self._send = send
        self._ids = ids
        self.request_id = request_id
        self.limits: limits.Headers = []
        self._begun = self._ended = False
        self._streamed: Streamed | None = None
        self.keeping: Keeping | None = None

    async def whole(self, decision: Decision) -> None:
        done = decision.completion
        if done is not None and done.large:  # where it is translated, that takes its time
            parts = await beside(self._dialect.whole, decision)
        else:
            parts = self._dialect.whole(decision)
        headers = [JSON, *_named(decision)]
        if self.keeping is not None:
            await self.keeping.whole(parts)
        headers += [*self.limits, NOSNIFF, *self._ids]
        self._begun = True
        if sum(map(len, parts)) <= ANSWER_PIECE_BYTES:
            await answer(self._send, 200, headers, b"".join(parts))
        else:
            await answer_in_pieces(self._send, 200, headers, parts)

    async def stream(self, streamed: Streamed, pings: Pings) -> None:
        headers = [*STREAM, *_named(streamed.decision), *self.limits, NOSNIFF, *self._ids]
        async with contextlib.aclosing(streamed.chunks):
            self._begun, self._streamed = True, streamed
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
            with contextlib.closing(pings):
                pings.waiting()
                async for frame in self._dialect.frames(streamed):
                    pings.busy()
                    if self.keeping is not None:
                        await self.keeping.frame(frame)
                    if len(frame) > ANSWER_PIECE_BYTES:
                        await send_in_pieces(self._send, frame)
                    else:
                        await self._send({"type": "http.response.body", "body": frame, "more_body": True})
                    pings.waiting()
        self._ended = True
        await self._send({"type": "http.response.body", "body": b""})

    async def error(self, error: ArbiterError) -> None:
        """End with an error: as the last frame in the middle of a stream, not at all in the middle of a whole answer."""
        if self._streamed is not None and not self._ended:
            frame = self._dialect.error_frame(error, self._streamed)
            with contextlib.suppress(TimeoutError):  # who takes nothing does not get this either
                async with asyncio.timeout(LAST_WORD_S):
                    await self._send({"type": "http.response.body", "body": frame})
        if self._begun:
            return
        status, headers, data = error_answer(error, self._dialect)
        self._begun = True
        await answer(self._send, status, [*headers, *self.limits, NOSNIFF, *self._ids], data)


def hinted(chat: ChatRequest, scope: Scope) -> ChatRequest:
    """The request with the task that its caller names in a header, if it does: `code`, `code:easy` or `code:hard`. Raises Unprocessable for
    another word."""
    hint = next((value for name, value in scope["headers"] if name == TASK), b"").strip()
    if not hint:
        return chat
    name, _, difficulty = hint.decode("latin-1").lower().partition(":")
    if name not in Task._value2member_map_ or difficulty not in DIFFICULTIES:
        known = ", ".join(Task)
        raise Unprocessable(
            f"x-arbiter-task: {quoted(hint.decode('latin-1'), 40)} is no task; known are {known}, each alone or with :easy or :hard",
            param="x-arbiter-task",
        )
    return replace(chat, task=Task(name), hard=DIFFICULTIES[difficulty])


def _named(decision: Decision) -> list[tuple[bytes, bytes]]:
    task = str(decision.classification.task) if decision.classification else ""
    return [
        (b"x-arbiter-decision", decision.id.encode()),
        (b"x-arbiter-model", decision.model.encode("latin-1", "replace")),
        (TASK, task.encode()),
        *(budget_headers(decision.reservation) if decision.reservation is not None else ()),
    ]
