"""The audit log: who changed what, for operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import Before, Word, services_of
from arbiter_app.services.rows.people import AuditList

router = APIRouter(tags=["audit"], route_class=Guarded)


@router.get("/v1/audit")
async def audit(
    request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 50, before: Before = None, subject: Word = None
) -> AuditList:
    """Administrative acts, newest first: who, when, what, before and after. Page on with `before` = `next`."""
    rows = await services_of(request).audit.newest(limit=limit, before=before, subject=subject)
    return {"data": rows, "next": rows[-1]["id"] if len(rows) == limit else None}


@router.get("/v1/audit.csv")
async def audit_csv(request: Request) -> StreamingResponse:
    """All of them as CSV."""
    headers = {"Content-Disposition": 'attachment; filename="arbiter-audit.csv"', "Cache-Control": "no-store"}
    return StreamingResponse(services_of(request).audit.csv(), media_type="text/csv; charset=utf-8", headers=headers)
