"""What a request would get, without a call: `POST /v1/route`."""

from __future__ import annotations

from fastapi import APIRouter, Request

from arbiter_app.api.body import beside_when_big, read_body
from arbiter_app.api.chat import hinted, tagged
from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.dialects import openai_chat
from arbiter_app.logs import request_id
from arbiter_app.services.routing import foretold
from arbiter_app.services.rows.decisions import RouteAnswer

router = APIRouter(tags=["chat"], route_class=Guarded)


@router.post("/v1/route")
async def route(request: Request) -> RouteAnswer:
    """The decision on a chat request without calling a model: who would serve it now, why, and what every candidate is expected to
    cost and to be worth.

    The body is that of a chat request. Nothing is sent to a model, nothing is recorded, and nothing counts against the key's
    limits. Where Arbiter would ask a model what the prompt is about, it counts as an open question here.
    """
    services = services_of(request)
    body = await read_body(request.scope, request.receive, services.settings.max_body_bytes)
    chat = await beside_when_big(openai_chat.parse, body, request.state.caller, request_id.get())
    preview = services.preview
    decision = await preview.decide(hinted(tagged(chat, request.scope), request.scope))
    return foretold(decision, preview.router, services.catalog.baseline, preview.budgets)
