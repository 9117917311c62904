"""Who is told of what, and what became of the messages. For operators."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import Before, Word, services_of
from arbiter_app.services.rows.alerts import (
    MadeNotificationRule,
    NotificationList,
    NotificationRow,
    NotificationRuleList,
    NotificationRuleRow,
)
from arbiter_app.services.rows.removals import RemovedAnswer

router = APIRouter(tags=["notifications"], route_class=Guarded)


class NotificationRuleBody(BaseModel):
    """A new rule."""

    model_config = ConfigDict(strict=True, extra="forbid")
    name: str
    channel: str = Field(description="slack, teams, email, pagerduty or webhook")
    address: str = Field(
        description="a webhook's URL, `mailtos://user:password@host:587?from=...&to=...`, or PagerDuty's integration key; not shown again"
    )
    events: list[str] = Field(description="the kinds of events", max_length=50)
    error_share: float | None = Field(
        None, description="share of failed requests from which error_rate is told; 0.05 when absent"
    )


class NotificationRuleChange(BaseModel):
    """What changes; what is absent stays."""

    model_config = ConfigDict(strict=True, extra="forbid")
    name: str | None = None
    channel: str | None = Field(None, description="another one needs its address, too")
    address: str | None = None
    events: list[str] | None = Field(None, max_length=50)
    error_share: float | None = None


class MuteBody(BaseModel):
    """For how long."""

    model_config = ConfigDict(strict=True, extra="forbid")
    hours: float = Field(description="0 ends it")


@router.get("/v1/notifications")
async def listing(
    request: Request,
    state: Word = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    before: Before = None,
) -> NotificationList:
    """Messages, newest first; `state` waiting, sent or dead (the dead-letter list)."""
    rows = await services_of(request).notifications.listing(state=state, limit=limit, before=before)
    return {"data": rows, "next": rows[-1]["seq"] if len(rows) == limit else None}


@router.get("/v1/notifications/rules")
async def rules(request: Request) -> NotificationRuleList:
    """Every rule, without what opens its channel."""
    return {"data": await services_of(request).notification_rules.listing()}


@router.post("/v1/notifications/rules")
async def add(request: Request, body: NotificationRuleBody) -> MadeNotificationRule:
    """Make a rule. A webhook's signing secret (Standard Webhooks) is in this answer only."""
    return await services_of(request).notification_rules.add(request.state.caller, **body.model_dump())


@router.post("/v1/notifications/rules/{rule_id}")
async def change(request: Request, rule_id: str, body: NotificationRuleChange) -> MadeNotificationRule:
    """Change a rule."""
    return await services_of(request).notification_rules.change(request.state.caller, rule_id, **body.model_dump())


@router.delete("/v1/notifications/rules/{rule_id}")
async def remove(request: Request, rule_id: str) -> RemovedAnswer:
    """Delete a rule with its messages."""
    await services_of(request).notification_rules.remove(request.state.caller, rule_id)
    return {"id": rule_id, "deleted": True}


@router.post("/v1/notifications/rules/{rule_id}/mute")
async def mute(request: Request, rule_id: str, body: MuteBody) -> NotificationRuleRow:
    """Hold back what is for a rule for some hours."""
    return await services_of(request).notification_rules.mute(request.state.caller, rule_id, body.hours)


@router.post("/v1/notifications/rules/{rule_id}/test")
async def test(request: Request, rule_id: str) -> NotificationRow:
    """Send a test message, muted or not. It is tried once; what came of it is in the list of messages."""
    queue = services_of(request).notifications
    return await queue.one(await queue.test(rule_id))


@router.post("/v1/notifications/{notification_id}/retry")
async def retry(request: Request, notification_id: str) -> NotificationRow:
    """Send a dead or waiting message again, at once."""
    return await services_of(request).notifications.again(notification_id)


@router.delete("/v1/notifications/{notification_id}")
async def drop(request: Request, notification_id: str) -> RemovedAnswer:
    """Delete a message."""
    await services_of(request).notifications.drop(notification_id)
    return {"id": notification_id, "deleted": True}
