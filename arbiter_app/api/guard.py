"""What every route of the control app passes through first: its rule, then its body, and a net under its defects."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any

from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from arbiter_app.api.auth import caller_of, is_loopback
from arbiter_app.api.body import load_json, read_body
from arbiter_app.api.roles import ROLES, asks_for_key, require
from arbiter_app.logs import request_id
from arbiter_app.pipeline.errors import ArbiterError, BodyTooSlow, Forbidden, InternalError
from arbiter_app.pipeline.types import Caller
from arbiter_app.store import StoreError

if TYPE_CHECKING:
    from arbiter_app.services.arbiter import Arbiter

log = logging.getLogger("arbiter.api")
MAX_CONTROL_BYTES = 64_000
MAX_BYTES = {"/v1/calibrations": 4_000_000}
_TOLD = (ArbiterError, StoreError, HTTPException, RequestValidationError)


class Parsed(Request):
    """A request whose body was read and parsed by us, whatever its content type says."""

    def __init__(self, request: Request, raw: bytes, value: Any) -> None:
        headers = [pair for pair in request.scope["headers"] if pair[0] != b"content-type"]
        scope = {**request.scope, "headers": [*headers, (b"content-type", b"application/json")]}
        super().__init__(scope, request.receive)
        self._raw, self._value = raw, value

    async def body(self) -> bytes:
        """The bytes as they came."""
        return self._raw

    async def json(self) -> Any:
        """What they mean."""
        return self._value


class Guarded(APIRoute):
    """A route that nobody gets past without its rule in `roles.py`, and whose body is read only after that."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler with everything in front of it."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            request.state.caller = authorised(request, self.path_format)
            try:
                return await inner(await self._with_body(request))
            except _TOLD:
                raise
            except Exception as error:
                log.exception("a route failed")
                raise InternalError(
                    f"Arbiter failed on this request; the log has the details under {request_id.get()}"
                ) from error

        return handler

    async def _with_body(self, request: Request) -> Request:
        if self.body_field is None:
            return request
        most = MAX_BYTES.get(self.path_format, MAX_CONTROL_BYTES)
        within_s = request.app.state.arbiter.settings.body_timeout_s
        try:
            async with asyncio.timeout(within_s):
                raw = await read_body(request.scope, request.receive, most)
        except TimeoutError:
            raise BodyTooSlow(f"the body did not arrive within {within_s:g} s") from None
        return Parsed(request, raw, load_json(raw) if raw else None)


def authorised(request: Request, path: str) -> Caller | None:
    """The caller of a control route, None for anybody. Raises Unauthorized or Forbidden by the table of roles."""
    arbiter: Arbiter = request.app.state.arbiter
    rule = ROLES.get((request.method, path))
    if rule is None:
        raise Forbidden("this route has no rule, so nobody may use it")
    loopback = is_loopback(dict(request.scope))
    caller = caller_of(arbiter.keys, request.scope) if asks_for_key(rule, loopback=loopback) else None
    require(rule, caller, arbiter.settings, loopback=loopback)
    return caller
