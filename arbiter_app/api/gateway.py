"""The gateway: one ASGI callable for everything under `/v1`, `/health`, `/readyz` and `/metrics`."""

from __future__ import annotations

import os
import random
import re
from typing import TYPE_CHECKING

from starlette.middleware.cors import CORSMiddleware
from starlette.types import Message, Receive, Scope, Send

from arbiter_app.api.chat import Chat
from arbiter_app.api.control import control_app
from arbiter_app.api.errors import error_answer, id_headers, spoken
from arbiter_app.dialects import (
    Dialect,
    anthropic_messages,
    openai_chat,
    openai_completions,
    openai_embeddings,
    openai_responses,
)
from arbiter_app.logs import request_id as log_request_id
from arbiter_app.pipeline.errors import MethodNotAllowed
from arbiter_app.protocol import answer, refuse_socket

if TYPE_CHECKING:
    from arbiter_app.bootstrap import Services

DIALECTS: tuple[Dialect, ...] = (openai_chat, anthropic_messages, openai_responses, openai_completions)
MAX_REQUEST_ID = 128
HARDENING = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
)
_TWICE = re.compile(r"/+(?:v1/+)*(?=v1(?:/|$))")
_SLASHES = re.compile(r"//+")
EXPOSED = (
    "x-request-id",
    "request-id",
    "x-arbiter-decision",
    "x-arbiter-model",
    "x-arbiter-task",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
    "x-arbiter-budget-remaining",
    "x-arbiter-budget-renews",
    "x-arbiter-budget-warning",
    "retry-after",
)
"""Headers of an answer that scripts on pages of other origins may read."""
METHODS = ("GET", "HEAD", "POST", "DELETE", "OPTIONS")
PREFLIGHT_S = 600
"""How long a browser may go by the answer to its question whether it may ask."""
# Request ids must be unlike each other, not secret: no system call for each.
_RANDOM = random.Random()
os.register_at_fork(after_in_child=_RANDOM.seed)


class Gateway:
    """Dispatches by path: the chat route bare, the rest to FastAPI. Every answer carries `x-request-id`."""

    def __init__(self, services: Services) -> None:
        self._services = services
        most = services.settings.max_body_bytes
        self._chats = {
            path: Chat(
                dialect,
                services.requests,
                max_body_bytes=most,
                ping_s=services.settings.ping_s,
                contents=services.contents if dialect is openai_responses else None,
            )
            for dialect in DIALECTS
            for path in dialect.PATHS
        }
        embed = Chat(openai_embeddings, services.requests, max_body_bytes=most, answer=services.embedding.answer)
        self._chats |= dict.fromkeys(openai_embeddings.PATHS, embed)
        self._control = control_app(services)
        self._origins = frozenset(origin.encode() for origin in services.settings.cors_origins)
        self._across = CORSMiddleware(
            self._answer,
            allow_origins=services.settings.cors_origins,
            allow_methods=METHODS,
            allow_headers=("*",),
            allow_credentials=True,
            allow_private_network=True,
            expose_headers=EXPOSED,
            max_age=PREFLIGHT_S,
        )

    @property
    def in_work(self) -> bool:
        """Whether a request runs."""
        return bool(self._services.requests.in_work)

    def drain(self, *, at_once: bool = False) -> None:
        """Refuse new work from now on; what still runs after `ARBITER_DRAIN_S` seconds, or at once, ends with an error."""
        if at_once:
            self._services.requests.end_all()
        else:
            self._services.requests.drain(self._services.settings.drain_s)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request. There are no sockets here."""
        if scope["type"] == "websocket":
            await refuse_socket(receive, send)
        elif self._origins and any(one[0] == b"origin" and one[1] in self._origins for one in scope["headers"]):
            await self._across(scope, receive, send)
        else:
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = _request_id(scope)
        chat = self._chats.get(scope["path"])
        if chat is None and (path := meant(scope["path"])) != scope["path"]:
            scope = {**scope, "path": path}
            chat = self._chats.get(path)
        if chat is None:
            log_request_id.set(request_id)
            # A server sends no body after HEAD, whatever the application says.
            asked = {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope
            await self._control(asked, receive, _stamped(send, request_id, spoken(scope)))
        elif scope["method"] == "POST":
            await chat(scope, receive, send, request_id)
        else:
            await _only_post(scope["method"], chat.dialect, _stamped(send, request_id, chat.dialect))


def meant(path: str) -> str:
    """The path that is meant by clients whose base URL ends in a slash, or in a `/v1` that they add once more."""
    path = _SLASHES.sub("/", path) if "//" in path else path
    return _TWICE.sub("/", path, count=1).rstrip("/") or "/"


async def _only_post(method: str, dialect: Dialect, send: Send) -> None:
    """What another method than POST gets on a chat route. OPTIONS here allows no other origin."""
    if method == "OPTIONS":
        await send({"type": "http.response.start", "status": 204, "headers": [(b"allow", b"POST, OPTIONS")]})
        await send({"type": "http.response.body"})
        return
    refused = MethodNotAllowed(f"{method} is not allowed here; POST a chat request")
    status, headers, body = error_answer(refused, dialect)
    await answer(send, status, [*headers, (b"allow", b"POST")], body)


def _request_id(scope: Scope) -> str:
    """The caller's own id when it is sane, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and 0 < len(value) <= MAX_REQUEST_ID and all(33 <= char <= 126 for char in value):
            return bytes(value).decode()
    return f"req_{_RANDOM.getrandbits(96):024x}"


def _stamped(send: Send, request_id: str, dialect: Dialect) -> Send:
    ids = [(name, request_id.encode()) for name in id_headers(dialect)]

    async def stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message.get("headers", []),
                *ids,
                *HARDENING,
            ]
        await send(message)

    return stamped
