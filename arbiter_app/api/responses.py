"""What clients of OpenAI's Responses ask for beside an answer: one that was given before, where contents are kept."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from arbiter_app import exact_json
from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.pipeline.errors import BadRequest, Unprocessable
from arbiter_app.pipeline.plain import quoted
from arbiter_app.services.contents import Contents
from arbiter_app.services.rows.removals import DeletedResponse

router = APIRouter(tags=["chat"], route_class=Guarded)
RESPONSE = "/v1/responses/{response_id}"
INPUT_ITEMS = "/v1/responses/{response_id}/input_items"
JSON = "application/json"


@router.get(RESPONSE)
async def response(request: Request, response_id: str, stream: bool = False) -> Response:
    """A response of this key that is kept, as it was given."""
    contents = _contents(request)
    if stream:
        raise BadRequest("a kept response is not streamed again", param="stream", code="unsupported_parameter")
    return Response(await contents.response(request.state.caller, response_id), media_type=JSON)


@router.delete(RESPONSE)
async def delete_response(request: Request, response_id: str) -> DeletedResponse:
    """Delete a response of this key that is kept. Those that went on from it hold what was said before, too, and stay."""
    await _contents(request).delete(request.state.caller, response_id)
    return {"id": response_id, "object": "response", "deleted": True}


@router.get(INPUT_ITEMS)
async def input_items(
    request: Request,
    response_id: str,
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    order: Literal["asc", "desc"] = "desc",
) -> Response:
    """What a response of this key answered, with all that it went on from; `after` an item, the newest first."""
    items = await _contents(request).input_items(request.state.caller, response_id)
    if order == "desc":
        items.reverse()
    if after:
        at = next((at for at, one in enumerate(items) if one["id"] == after), None)
        if at is None:
            raise Unprocessable(f"after: {quoted(after)} is no item of this response", param="after")
        items = items[at + 1 :]
    shown = items[:limit]
    ends = {"first_id": shown[0]["id"], "last_id": shown[-1]["id"]} if shown else {"first_id": None, "last_id": None}
    told = {"object": "list", "data": shown, **ends, "has_more": len(items) > limit}
    return Response(exact_json.dumps(told), media_type=JSON)


def _contents(request: Request) -> Contents:
    """The kept contents. Raises BadRequest where none are kept."""
    contents = services_of(request).contents
    if not contents.on:
        raise BadRequest(
            "no response is stored here: Arbiter keeps no contents (ARBITER_KEEP_CONTENT_HOURS is off). Keep the answer yourself; what was "
            "decided about it is at GET /v1/decisions/{decision_id}, by the id in its header x-arbiter-decision",
            param="response_id",
            code="unsupported_parameter",
        )
    return contents
