"""Kept contents of decisions: read one, find some, ask another model the same, take them out as JSONL, delete."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import Word, services_of
from arbiter_app.services.exchanges import Wanted
from arbiter_app.services.rows.contents import FoundContents, KeptContent, SecondAnswer
from arbiter_app.services.rows.removals import Removed

router = APIRouter(tags=["contents"], route_class=Guarded)
Quality = Annotated[float | None, Query(ge=0, le=1, description="graded at least so well")]


class AgainBody(BaseModel):
    """Which model is to answer the same."""

    model_config = ConfigDict(strict=True, extra="forbid")
    model: str = Field(max_length=200)


@router.get("/v1/decisions/{decision_id}/content")
async def content(request: Request, decision_id: str) -> KeptContent:
    """What was asked and answered in a decision, where its project keeps that. Who reads it is in the audit log."""
    return await services_of(request).exchanges.content(request.state.caller, decision_id)


@router.delete("/v1/decisions/{decision_id}/content")
async def delete(request: Request, decision_id: str) -> Removed:
    """Delete it before its time."""
    await services_of(request).exchanges.delete(request.state.caller, decision_id)
    return {"status": "removed"}


@router.post("/v1/decisions/{decision_id}/again")
async def again(request: Request, decision_id: str, body: AgainBody) -> SecondAnswer:
    """Ask another model what was asked in a decision, as a call of your own key."""
    return await services_of(request).exchanges.ask_again(request.state.caller, decision_id, body.model)


@router.get("/v1/contents")
async def search(
    request: Request,
    query: Annotated[str, Query(max_length=200, description="words that all have to be in it")] = "",
    project: Word = None,
    task: Word = None,
    model: Word = None,
    min_quality: Quality = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 20,
    before: Word = None,
) -> FoundContents:
    """Contents with all of some words in them, newest first. Search on with `before` = `next`."""
    wanted = Wanted(project, task, model, min_quality, tuple(query.split()))
    return await services_of(request).exchanges.search(request.state.caller, wanted, limit=limit, before=before)


@router.get("/v1/contents.jsonl")
async def export(
    request: Request,
    form: Annotated[
        Literal["evaluation", "fine_tuning"],
        Query(description="everything that is known, or what OpenAI's fine-tuning takes"),
    ] = "evaluation",
    project: Word = None,
    task: Word = None,
    model: Word = None,
    min_quality: Quality = None,
) -> StreamingResponse:
    """All of them as JSONL, newest first: a chat with its answer in each line."""
    wanted = Wanted(project, task, model, min_quality)
    read = await services_of(request).exchanges.export(request.state.caller, wanted, form)

    async def lines() -> AsyncIterator[bytes]:
        text, before = await read(None)
        while before is not None:
            if text:
                yield text
            text, before = await read(before)

    headers = {"Content-Disposition": 'attachment; filename="arbiter-contents.jsonl"', "Cache-Control": "no-store"}
    return StreamingResponse(lines(), media_type="application/jsonl", headers=headers)
