"""What clients of OpenAI's Responses ask for beside an answer: one that was given before. Arbiter keeps no contents."""

from __future__ import annotations

from typing import NoReturn

from fastapi import APIRouter

from arbiter_app.api.guard import Guarded
from arbiter_app.pipeline.errors import BadRequest
from arbiter_app.pipeline.types import Json

router = APIRouter(tags=["chat"], route_class=Guarded)
RESPONSE = "/v1/responses/{response_id}"
INPUT_ITEMS = "/v1/responses/{response_id}/input_items"


@router.get(RESPONSE)
async def response(response_id: str) -> Json:
    """A response that was stored: there is none."""
    _not_kept()


@router.delete(RESPONSE)
async def delete_response(response_id: str) -> Json:
    """Delete a response that was stored: there is none."""
    _not_kept()


@router.get(INPUT_ITEMS)
async def input_items(response_id: str) -> Json:
    """The input of a response that was stored: there is none."""
    _not_kept()


def _not_kept() -> NoReturn:
    raise BadRequest(
        "no response is stored here: Arbiter keeps no contents (ARBITER_KEEP_CONTENT_HOURS is off). Keep the answer yourself; what was "
        "decided about it is at GET /v1/decisions/{decision_id}, by the id in its header x-arbiter-decision",
        param="response_id",
        code="unsupported_parameter",
    )
