"""The gateway: one ASGI callable for everything under `/v1`, `/health`, `/readyz` and `/metrics`."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from starlette.types import Message, Receive, Scope, Send

from arbiter_app.api.chat import Chat
from arbiter_app.api.control import control_app
from arbiter_app.api.errors import error_answer
from arbiter_app.logs import request_id as log_request_id
from arbiter_app.pipeline.errors import MethodNotAllowed

if TYPE_CHECKING:
    from arbiter_app.services.arbiter import Arbiter

CHAT = "/v1/chat/completions"
MAX_REQUEST_ID = 128
# Request ids must be unlike each other, not secret: no system call for each.
_RANDOM = random.Random()


class Gateway:
    """Dispatches by path: the chat route bare, the rest to FastAPI. Every answer carries `x-request-id`."""

    def __init__(self, arbiter: Arbiter) -> None:
        self.chat = Chat(arbiter)
        self._control = control_app(arbiter, self.chat.admission)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request_id = _request_id(scope)
        if scope["path"] != CHAT:
            log_request_id.set(request_id)
            await self._control(scope, receive, _stamped(send, request_id))
        elif scope["method"] == "POST":
            await self.chat(scope, receive, send, request_id)
        else:
            error = MethodNotAllowed(f"{scope['method']} is not allowed here; POST a chat request")
            status, headers, body = error_answer(error)
            stamped = _stamped(send, request_id)
            await stamped({"type": "http.response.start", "status": status, "headers": [*headers, (b"allow", b"POST")]})
            await stamped({"type": "http.response.body", "body": body})


def _request_id(scope: Scope) -> str:
    """The caller's own id when it is sane, else a new one."""
    for name, value in scope["headers"]:
        if name == b"x-request-id" and 0 < len(value) <= MAX_REQUEST_ID and all(33 <= char <= 126 for char in value):
            return bytes(value).decode()
    return f"req_{_RANDOM.getrandbits(96):024x}"


def _stamped(send: Send, request_id: str) -> Send:
    async def stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [
                *message.get("headers", []),
                (b"x-request-id", request_id.encode()),
                (b"x-content-type-options", b"nosniff"),
            ]
        await send(message)

    return stamped
