"""Everything but the chat route, on FastAPI: reads, feedback, prices, keys, health, metrics, the API's description."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from arbiter_app import __version__
from arbiter_app.api import (
    audit,
    base,
    budgets,
    calibrations,
    contents,
    health,
    hosts,
    keys,
    messages,
    notifications,
    operations,
    people,
    pool,
    projects,
    reference,
    reports,
    responses,
    routes,
    spend,
)
from arbiter_app.api.errors import error_answer, spoken
from arbiter_app.api.guard import Guarded
from arbiter_app.api.roles import ROLES
from arbiter_app.logs import request_id
from arbiter_app.pipeline.errors import (
    ArbiterError,
    InternalError,
    MethodNotAllowed,
    NotFound,
    Overloaded,
    Unprocessable,
)
from arbiter_app.store import StoreError

if TYPE_CHECKING:
    from arbiter_app.bootstrap import Services

log = logging.getLogger("arbiter.api")
METHODS = sorted({method for method, _ in ROLES})
BASES = ("/", "/v1")
WHERE = "chats are POST /v1/chat/completions (a client's base URL ends in /v1); all routes are on /v1/reference"


def control_app(services: Services) -> FastAPI:
    """The FastAPI application over one `Arbiter`. Every route is `Guarded`: roles first, unlisted ones are denied."""
    app = FastAPI(
        title="Arbiter",
        version=__version__,
        description="A self-hosted, OpenAI-compatible router. The chat route answers like OpenAI's.",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    app.state.services = services
    app.router.route_class = Guarded
    for module in (
        base,
        reports,
        spend,
        messages,
        responses,
        routes,
        operations,
        calibrations,
        budgets,
        people,
        contents,
        projects,
        notifications,
        pool,
        hosts,
        audit,
        keys,
        health,
    ):
        app.include_router(module.router)
    reference.mount(app)
    app.add_exception_handler(ArbiterError, _told)
    app.add_exception_handler(StoreError, _told_store)
    app.add_exception_handler(HTTPException, _told_http)
    app.add_exception_handler(RequestValidationError, _told_invalid)
    app.add_exception_handler(Exception, _told_defect)
    return app


def _answer(request: Request, error: ArbiterError) -> Response:
    status, headers, body = error_answer(error, spoken(request.scope))
    return Response(body, status, {name.decode(): value.decode() for name, value in headers})


async def _told(request: Request, error: Exception) -> Response:
    assert isinstance(error, ArbiterError)
    return _answer(request, error)


async def _told_store(request: Request, error: Exception) -> Response:
    log.warning("the store refused: %s", error)
    return _answer(
        request, Overloaded(f"the store does not take this at the moment: {error}", code="store_unavailable")
    )


async def _told_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    where = request.url.path[:200]
    if error.status_code == 404:
        return _answer(request, NotFound(f"no route {request.method} {where}; {WHERE}"))
    if error.status_code == 405:
        allowed = ", ".join(_methods(request))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"allow": f"{allowed}, OPTIONS"})
        hint = f"; {WHERE}" if where in BASES else ""
        answer = _answer(request, MethodNotAllowed(f"{request.method} is not allowed on {where}; {allowed} is{hint}"))
        answer.headers["allow"] = allowed
        return answer
    return _answer(request, Unprocessable(str(error.detail), status=error.status_code))


def _methods(request: Request) -> list[str]:
    """The methods of all routes at this path; each route by itself knows only its own."""
    return [
        method
        for method in METHODS
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in request.app.routes)
    ]


async def _told_invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    where = ".".join(_place(first["loc"], error.body))
    return _answer(request, Unprocessable(f"{where or 'the body'}: {first['msg']}", param=where or None))


def _place(place: Sequence[str | int], body: Any) -> Iterator[str]:
    """The names on the way to what is wrong; without those of the kinds that a value could have been."""
    source, *way = place
    for part in way:
        if source == "body":
            if isinstance(body, dict):
                body = body.get(part)
            elif isinstance(body, list) and isinstance(part, int):
                body = body[part]
            else:
                return
        yield str(part)


async def _told_defect(request: Request, error: Exception) -> Response:
    log.error("a route failed", exc_info=error)
    return _answer(
        request, InternalError(f"Arbiter failed on this request; the log has the details under {request_id.get()}")
    )
