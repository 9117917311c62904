"""Read routes: models, report, policy, decisions, time series, overview, pricing, alerts."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query, Request

from arbiter_app.api import query, visibility
from arbiter_app.api.errors import spoken
from arbiter_app.api.guard import Guarded
from arbiter_app.api.visibility import Seen
from arbiter_app.bootstrap import Services
from arbiter_app.dialects import anthropic_messages
from arbiter_app.dialects.anthropic_messages.models import PAGE, model_of, page_of
from arbiter_app.pipeline.errors import NotFound, Unauthorized, Unprocessable
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import Json
from arbiter_app.services.project_roles import is_operator
from arbiter_app.services.rows.alerts import AlertList
from arbiter_app.services.rows.decisions import DecisionList, TracedDecision
from arbiter_app.services.rows.estimates import WhatIfAnswer
from arbiter_app.services.rows.gateway import State
from arbiter_app.services.rows.models import ListedModel, ModelList, PriceList
from arbiter_app.services.rows.policy import PolicyTable
from arbiter_app.services.rows.reports import ReportAnswer, TimeSeries
from arbiter_app.services.rows.spending import SpendChangeAnswer
from arbiter_app.store.decisions import ORDERS, RANKED, Filter
from arbiter_app.store.rollup_math import FIVE_MINUTES

router = APIRouter(tags=["reads"], route_class=Guarded)
MAX_CURSOR = 2**63 - 1
Before = Annotated[
    int | None, Query(ge=1, le=MAX_CURSOR, description="the cursor (`seq` or `id`) of the last row seen")
]
Word = Annotated[str | None, Query(max_length=200)]
Time = Annotated[float | None, Query(ge=0, le=1e11, allow_inf_nan=False, description="unix seconds")]
Days = Annotated[float | None, Query(gt=0, le=3650, description="only the last so many days; all time when absent")]


def services_of(request: Request) -> Services:
    """The service object behind a request."""
    found: Services = request.app.state.services
    return found


def _seen(request: Request, project: str | None = None, key: str | None = None, thing: str = "sums") -> Seen:
    """Whose calls the visitor looks at. Raises NotFound where they may not."""
    settings = services_of(request).settings
    return visibility.narrowed(thing, request.state.caller, settings, project=project, key=key)


@router.get("/v1/models", response_model=ModelList)
async def models(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=1000, description="of Anthropic's form alone, as the others")] = PAGE,
    after_id: Word = None,
    before_id: Word = None,
    beta: Word = None,
) -> ModelList | Json:
    """OpenAI's model list: `auto` first, then the pool with context, prices and `routable`.

    With the header `anthropic-version` it has Anthropic's form, in pages.
    """
    listed = services_of(request).reads.models()
    if spoken(request.scope) is anthropic_messages:
        return page_of(listed["data"], limit=limit, after=after_id, before=before_id)
    return listed


@router.get("/v1/models/{model:path}", response_model=ListedModel)
async def model(request: Request, model: str, beta: Word = None) -> ListedModel | Json:
    """One model of the list, in the same form."""
    for row in services_of(request).reads.models()["data"]:
        if row["id"] == model:
            return model_of(row) if spoken(request.scope) is anthropic_messages else row
    raise NotFound(f"no model {quoted(model)}; see GET /v1/models")


@router.get("/v1/report")
async def report(
    request: Request,
    days: Days = None,
    since: Time = None,
    until: Time = None,
    project: Word = None,
    key: Word = None,
) -> ReportAnswer:
    """Calls, actual spend, baseline spend, saving with interval, and the breakdown. A caller sees its own calls.

    Of the last so many days, or between two times: `until` is now when absent, `since` the beginning.
    """
    services, own = services_of(request), _seen(request, project, key).scope
    if days is not None and (since is not None or until is not None):
        raise Unprocessable("days counts back from now: leave it out beside since and until", param="days")
    first = since if days is None else time.time() - days * 86_400
    report = await services.reads.report(since=first, until=until, scope=own)
    placebos = await services.what_if.placebos(days=days, since=since, until=until, scope=own)
    limits = await services.budgets.of_scope(own, request.state.caller)
    return {**report, "placebos": placebos, "budgets": limits}


@router.get("/v1/spend-change")
async def spend_change(
    request: Request,
    hours: Annotated[float, Query(ge=1, le=8_760, description="the length of both periods")] = 24,
    until: Annotated[float | None, Query(ge=0, le=1e11, description="when the later one ends; now when absent")] = None,
    project: Word = None,
    key: Word = None,
) -> SpendChangeAnswer:
    """What changed since the period before: the change in spend, apart into causes that add up to it, and by task, model and key."""
    changes, named = services_of(request).spend_changes, is_operator(request.state.caller)
    scope = _seen(request, project, key).scope
    return await changes.since_before(seconds=hours * 3_600, until=until, scope=scope, keys=named)


@router.get("/v1/what-if")
async def what_if(
    request: Request,
    tolerance: Annotated[
        float | None, Query(ge=0, le=1, description="quality tolerance, 0 to 1; the one in force when absent")
    ] = None,
    without: Annotated[list[str] | None, Query(max_length=50, description="a model to leave out; repeatable")] = None,
    days: Days = None,
) -> WhatIfAnswer:
    """What another tolerance, or fewer models, would have cost and scored on the same traffic, with 95 % intervals.

    Estimated from the newest decisions by inverse propensities; `refused` says in a sentence why there is no estimate.
    """
    services = services_of(request)
    wanted = services.settings.routing.quality_tolerance if tolerance is None else tolerance
    return await services.what_if.ask(tolerance=wanted, without=without or (), days=days, scope=_seen(request).scope)


@router.get("/v1/policy")
async def policy(request: Request) -> PolicyTable:
    """Per bucket, rows of model, n, quality with interval, mean cost, chosen; for operators the segments that differ, too."""
    return services_of(request).reads.policy(segments=is_operator(request.state.caller))


@router.get("/v1/recent")
async def recent(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Before = None,
    task: Word = None,
    model: Word = None,
    mode: Word = None,
    status: Word = None,
    since: Time = None,
    until: Time = None,
    request_id: Word = None,
    project: Word = None,
    key: Word = None,
    tag: Word = None,
    user: Word = None,
    runtime: Word = None,
    sort: Annotated[
        str | None, Query(description=f"{', '.join(ORDERS)}: of the newest {RANKED:,} that match, in one page")
    ] = None,
) -> DecisionList:
    """Decisions newest first. Page on with `before` = `next`."""
    query.choice("sort", sort, ORDERS)
    sought = None if request.state.caller is None else request_id
    seen = _seen(request, project, key, "decisions")
    if request.state.caller is None and (tag is not None or user is not None):
        raise Unauthorized("an API key is needed to look for a tag or end user", code="missing_api_key")
    labelled = {"project_id": seen.project_id, "runtime": runtime, "end_user": user, "tag": tag}
    narrowed = Filter(task, model, mode, status, seen.key_id, since, until, sought, **labelled)
    reads = services_of(request).reads
    if sort:
        rows = await reads.ranked(narrowed, sort, limit=limit)
    else:
        rows = await reads.recent(narrowed, limit=limit, before=before)
    told = [visibility.told(row, request.state.caller, services_of(request).settings) for row in rows]
    return {"data": told, "next": rows[-1]["seq"] if len(rows) == limit and not sort else None}


@router.get("/v1/decisions/{decision_id}")
async def decision(request: Request, decision_id: str) -> TracedDecision:
    """One decision with every stage's input, numbers, attempts and timing. Its owner and operators may see it."""
    row = await services_of(request).reads.decision(decision_id)
    settings = services_of(request).settings
    if row is None or not visibility.may_open(request.state.caller, row, settings):
        raise NotFound(f"no decision {quoted(decision_id, 40)}")
    return row


@router.get("/v1/timeseries")
async def timeseries(
    request: Request,
    bucket_seconds: Annotated[int, Query(ge=300, le=2_592_000)] = 3600,
    buckets: Annotated[int, Query(ge=1, le=1000)] = 24,
    since: Time = None,
    project: Word = None,
    key: Word = None,
) -> TimeSeries:
    """Calls and spend per time slot, oldest first. Slots are whole multiples of five minutes.

    The first slot has `since` in its first five minutes; the last one is that of now when it is absent.
    """
    size, scope = bucket_seconds // FIVE_MINUTES * FIVE_MINUTES, _seen(request, project, key).scope
    first = None if since is None else int(since) // FIVE_MINUTES * FIVE_MINUTES
    rows = await services_of(request).reads.timeseries(bucket_s=size, buckets=buckets, first=first, scope=scope)
    return {"bucket_seconds": size, "data": rows}


@router.get("/v1/overview")
async def overview(request: Request) -> State:
    """Pool size, classifier counts, alerts, active price overrides, cache, mode."""
    return await services_of(request).reads.overview()


@router.get("/v1/pricing")
async def pricing(request: Request) -> PriceList:
    """The catalog with list prices in USD per 1,000,000 tokens, each model tagged `routable`."""
    return {"data": await services_of(request).reads.catalog()}


@router.get("/v1/alerts")
async def alerts(request: Request, limit: Annotated[int, Query(ge=1, le=500)] = 50, before: Before = None) -> AlertList:
    """Price and quality shifts, newest first."""
    return {"data": await services_of(request).reads.alerts(limit=limit, before=before)}
