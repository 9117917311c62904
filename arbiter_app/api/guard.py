"""What every route of the control app passes through first: its rule, then its body, and a net under its defects."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, get_args, get_origin

import orjson
from fastapi import HTTPException, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic_core import to_json

from arbiter_app import browsers
from arbiter_app.addresses import address_of
from arbiter_app.api import query
from arbiter_app.api.auth import caller_of, is_loopback
from arbiter_app.api.body import CallerGone, read_body
from arbiter_app.api.roles import ROLES, asks_for_key, require
from arbiter_app.dialects.strict_json import load_json
from arbiter_app.logs import request_id
from arbiter_app.pipeline.errors import ArbiterError, Forbidden, InternalError, Unprocessable
from arbiter_app.pipeline.types import Caller
from arbiter_app.store import StoreError
from arbiter_app.store.fair_executor import visitor

if TYPE_CHECKING:
    from arbiter_app.bootstrap import Services

log = logging.getLogger("arbiter.api")
MAX_CONTROL_BYTES = 64_000
MAX_BYTES = {"/v1/calibrations": 4_000_000, "/v1/pool/prices": 1_000_000}
JSON_ONLY = ("/v1/register",)
"""Where no key is asked for, a foreign page could send a form, or text, without the browser asking us first."""
Endpoint = Callable[..., Coroutine[Any, Any, Any]]
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

    def __init__(self, path: str, endpoint: Endpoint, **options: Any) -> None:
        super().__init__(path, _encoded(endpoint), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The handler with everything in front of it."""
        inner = super().get_route_handler()

        async def handler(request: Request) -> Response:
            caller = request.state.caller = await authorised(request, self.path_format)
            visitor.set(address_of(request.scope) if caller is None else caller.key_id)
            self._check_names(request)
            try:
                return await inner(await self._with_body(request))
            except CallerGone:
                return Response(status_code=400)  # nobody is there to read it
            except _TOLD:
                raise
            except Exception as error:
                log.exception("a route failed")
                raise InternalError(
                    f"Arbiter failed on this request; the log has the details under {request_id.get()}"
                ) from error

        return handler

    @functools.cached_property
    def _query_names(self) -> dict[str, bool]:
        """The names that may stand in the query, and whether one may be repeated."""
        fields = self.dependant.query_params
        return {field.alias: _repeats(field.field_info.annotation) for field in fields}

    def _check_names(self, request: Request) -> None:
        for name, value in request.path_params.items():
            query.check_plain(name, str(value))
        if self.path_format not in query.LENIENT:
            query.check(request.query_params.multi_items(), self._query_names)

    async def _with_body(self, request: Request) -> Request:
        if self.body_field is None:
            return request
        if self.path_format in JSON_ONLY and not _is_json(request):
            raise Unprocessable(
                "send the body as application/json", status=415, code="unsupported_media_type", param="content-type"
            )
        if self.path_format in JSON_ONLY and browsers.from_own_page(request.scope["headers"]) is False:
            raise Forbidden("sign up from Arbiter's own pages, or with a program", code="wrong_origin")
        most = MAX_BYTES.get(self.path_format, MAX_CONTROL_BYTES)
        raw = await read_body(request.scope, request.receive, most)
        value = load_json(raw) if raw else None
        if b"\\u0000" in raw and _has_nul(value):
            raise Unprocessable("a text in the body has a NUL character in it")
        return Parsed(request, raw, value)


def _encoded(endpoint: Endpoint) -> Endpoint:
    """The endpoint with its plain values as JSON: FastAPI walks through them first, on the event loop, for 100 times as long."""

    @functools.wraps(endpoint)
    async def encoded(**values: Any) -> Response:
        value = await endpoint(**values)
        if isinstance(value, Response):
            return value
        try:
            return Response(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS), media_type="application/json")
        except TypeError:
            # A number or a text that is beyond orjson.
            return Response(to_json(value, inf_nan_mode="null"), media_type="application/json")

    return encoded


async def authorised(request: Request, path: str) -> Caller | None:
    """The caller of a control route, None for anybody. Raises Unauthorized or Forbidden by the table of roles."""
    services: Services = request.app.state.services
    rule = ROLES.get((request.method, path))
    if rule is None:
        raise Forbidden("this route has no rule, so nobody may use it")
    loopback = is_loopback(dict(request.scope))
    caller = await caller_of(services.keys, request.scope) if asks_for_key(rule, loopback=loopback) else None
    require(rule, caller, services.settings, loopback=loopback)
    return caller


def _repeats(annotation: Any) -> bool:
    """Whether a parameter is a list, or None."""
    return any(part is list or get_origin(part) is list for part in (annotation, *get_args(annotation)))


def _is_json(request: Request) -> bool:
    """Whether a body is said to be JSON; a program, which sends no Origin, may leave it unsaid."""
    content_type = request.headers.get("content-type")
    if content_type is None:
        return "origin" not in request.headers
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


def _has_nul(value: Any) -> bool:
    """Whether any text in a JSON value holds a NUL character, which no database takes in a text."""
    if isinstance(value, str):
        return "\x00" in value
    inner = [*value, *value.values()] if isinstance(value, dict) else value if isinstance(value, list) else []
    return any(_has_nul(one) for one in inner)
