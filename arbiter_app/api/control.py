"""Everything but the chat route, on FastAPI: reads, feedback, prices, keys, health, metrics, the API's description."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from arbiter_app import __version__
from arbiter_app.api import health, keys, operations, reference, reports
from arbiter_app.api.admission import Admission
from arbiter_app.api.auth import is_loopback, secret_of
from arbiter_app.api.errors import error_answer
from arbiter_app.api.roles import ROLES, require
from arbiter_app.logs import request_id
from arbiter_app.pipeline.errors import (
    ArbiterError,
    BodyTooLarge,
    Forbidden,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    Unprocessable,
)
from arbiter_app.store import StoreError

if TYPE_CHECKING:
    from arbiter_app.services.arbiter import Arbiter

log = logging.getLogger("arbiter.api")
MAX_CONTROL_BYTES = 64_000


def control_app(arbiter: Arbiter, admission: Admission) -> FastAPI:
    """The FastAPI application over one `Arbiter`. Every route passes `authorise` first; unlisted ones are denied."""
    app = FastAPI(
        title="Arbiter",
        version=__version__,
        description="A self-hosted, OpenAI-compatible router. The chat route answers like OpenAI's.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        dependencies=[Depends(authorise)],
        redirect_slashes=False,
    )
    app.state.arbiter = arbiter
    app.state.admission = admission
    for module in (reports, operations, keys, health):
        app.include_router(module.router)
    reference.mount(app)
    app.add_exception_handler(ArbiterError, _told)
    app.add_exception_handler(StoreError, _told_store)
    app.add_exception_handler(HTTPException, _told_http)
    app.add_exception_handler(RequestValidationError, _told_invalid)
    app.add_exception_handler(Exception, _told_defect)
    return app


async def authorise(request: Request) -> None:
    """Role check by the table in `roles.py`; leaves the caller (or None) in `request.state.caller`."""
    arbiter: Arbiter = request.app.state.arbiter
    route = request.scope["route"]
    method = "GET" if request.method == "HEAD" else request.method
    rule = ROLES.get((method, route.path))
    if rule is None:
        raise Forbidden("this route has no rule, so nobody may use it")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > MAX_CONTROL_BYTES:
        raise BodyTooLarge(f"the body is larger than {MAX_CONTROL_BYTES:,} bytes")
    secret = secret_of(request.scope["headers"])
    caller = arbiter.keys.authenticate(secret) if secret is not None else None
    require(rule, caller, arbiter.settings, loopback=is_loopback(dict(request.scope)))
    request.state.caller = caller


def _answer(error: ArbiterError) -> Response:
    status, headers, body = error_answer(error)
    return Response(body, status, {name.decode(): value.decode() for name, value in headers})


async def _told(_: Request, error: Exception) -> Response:
    assert isinstance(error, ArbiterError)
    return _answer(error)


async def _told_store(_: Request, error: Exception) -> Response:
    log.warning("the store refused: %s", error)
    return _answer(Overloaded(f"the store does not take this at the moment: {error}", code="store_unavailable"))


async def _told_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        return _answer(NotFound(f"no route {request.method} {request.url.path[:200]}; see /v1/reference"))
    if error.status_code == 405:
        return _answer(MethodNotAllowed(f"{request.method} is not allowed on {request.url.path[:200]}"))
    return _answer(Unprocessable(str(error.detail), status=error.status_code))


async def _told_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"][1:])
    return _answer(Unprocessable(f"{where or 'the body'}: {first['msg']}", param=where or None))


async def _told_defect(_: Request, error: Exception) -> Response:
    log.error("a route failed", exc_info=error)
    return _answer(InternalError(f"Arbiter failed on this request; the log has the details under {request_id.get()}"))
