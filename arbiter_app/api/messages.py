"""What clients of Anthropic's Messages ask for beside an answer: how many tokens a request is."""

from __future__ import annotations

from fastapi import APIRouter, Request

from arbiter_app.api.body import beside_when_big, read_body
from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.dialects import anthropic_messages
from arbiter_app.logs import request_id
from arbiter_app.pipeline.messages import offered
from arbiter_app.pipeline.tokens import estimate_messages
from arbiter_app.pipeline.types import Caller
from arbiter_app.services.rows.decisions import TokenCount

router = APIRouter(tags=["chat"], route_class=Guarded)
COUNT_TOKENS = "/v1/messages/count_tokens"


@router.post(COUNT_TOKENS)
async def count_tokens(request: Request) -> TokenCount:
    """How many tokens a Messages request is, estimated as for any model: which one will serve is not known yet.

    Nothing is sent to a model, and nothing counts against the key's limits.
    """
    body = await read_body(request.scope, request.receive, services_of(request).settings.max_body_bytes)
    return {"input_tokens": await beside_when_big(_tokens, body, request.state.caller)}


def _tokens(body: bytes, caller: Caller) -> int:
    chat = anthropic_messages.parse(body, caller, request_id.get())
    return estimate_messages(chat.messages, offered(chat.payload)[0])
