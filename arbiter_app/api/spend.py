"""Who spent it: sums by project, key, tag, end user, model and runtime, and a month of them as CSV."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from arbiter_app.api import visibility
from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import Time, Word, services_of
from arbiter_app.services.rows.spending import SpendAnswer
from arbiter_app.services.spend import MOST_ROWS, last_month
from arbiter_app.store.attribution import BY, QUARTER, Whose

router = APIRouter(tags=["reads"], route_class=Guarded)
By = Annotated[str, Query(max_length=100, description=f"some of {', '.join(BY)}, with commas between them")]


@router.get("/v1/spend")
async def spend(
    request: Request,
    by: By = "project",
    since: Time = None,
    until: Time = None,
    bucket_seconds: Annotated[
        int | None, Query(ge=QUARTER, le=31_536_000, description="also by time: a multiple of 900")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
    project: Word = None,
    key: Word = None,
    tag: Word = None,
    user: Word = None,
    model: Word = None,
    runtime: Word = None,
) -> SpendAnswer:
    """Who spent it: calls, spend and tokens of each group, the dearest first, of the last 30 days where no time is said.

    A call with several tags counts for each of them. What is beyond the tags and end users that are counted apart is under an empty
    name. A caller sees its own calls.
    """
    whose = _whose(request, project, key, tag, user, model, runtime)
    step, groups = bucket_seconds or 0, _split(by)
    return await services_of(request).spend.ask(groups, whose, since=since, until=until, step=step, limit=limit)


@router.get("/v1/spend.csv")
async def spend_csv(
    request: Request,
    month: Annotated[str | None, Query(max_length=20, description="like 2026-11; the last one when absent")] = None,
    timezone: Annotated[str, Query(max_length=60, description="IANA name by whose clock the month is")] = "UTC",
    by: By = "project,key,model",
    project: Word = None,
    key: Word = None,
    tag: Word = None,
    user: Word = None,
    model: Word = None,
    runtime: Word = None,
) -> Response:
    """A month as CSV: a line for each group, the dearest first, and the total; money to the pico-dollar."""
    whose = _whose(request, project, key, tag, user, model, runtime)
    services, of_month = services_of(request), month or last_month(timezone)
    text = await services.spend.month(of_month, timezone, _split(by), whose)
    headers = {
        "Content-Disposition": f'attachment; filename="arbiter-spend-{of_month}.csv"',
        "Cache-Control": "no-store",
        "X-Content-Type-Options": "nosniff",
    }
    return Response(text, media_type="text/csv; charset=utf-8", headers=headers)


def _whose(
    request: Request,
    project: str | None,
    key: str | None,
    tag: str | None,
    user: str | None,
    model: str | None,
    runtime: str | None,
) -> Whose:
    settings = services_of(request).settings
    seen = visibility.narrowed("sums", request.state.caller, settings, project=project, key=key)
    return Whose(None if seen.project_id is None else (seen.project_id,), seen.key_id, tag, user, model, runtime)


def _split(by: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in by.split(",") if name.strip())
