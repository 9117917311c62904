"""Budgets in dollars: set, read and removed by operators."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.pipeline.errors import Forbidden, NotFound
from arbiter_app.pipeline.plain import quoted
from arbiter_app.services.rows.removals import Removed
from arbiter_app.services.rows.spending import BudgetList, BudgetRow

router = APIRouter(tags=["budgets"], route_class=Guarded)


class BudgetBody(BaseModel):
    """A limit in dollars. Another one of the same subject and period is replaced; what was spent of it counts."""

    model_config = ConfigDict(strict=True, extra="forbid")
    scope: str = Field(description="`key`, `project` or `tag`")
    subject: str = Field(description="the id of the key or the project, or the tag")
    period: str = Field(description="`day`, `week`, `month`, or `all` for one that never renews")
    limit_usd: float | str = Field(description="the hard limit in USD; as a string it is exact")
    soft: float | None = Field(
        None, description="share of the limit from which on routing is thriftier; 0.5 when absent"
    )
    timezone: str | None = Field(None, description="IANA name by which periods begin; that of the project when absent")


@router.get("/v1/budgets")
async def listing(request: Request) -> BudgetList:
    """Every budget with what is spent, reserved and left of it; for people those of their projects and the keys in them."""
    services = services_of(request)
    rows = await services.budgets.listing()
    return {"data": await services.key_admin.budgets_seen(request.state.caller, rows)}


@router.post("/v1/budgets")
async def put(request: Request, body: BudgetBody) -> BudgetRow:
    """Set a budget; it holds from the next request on."""
    services = services_of(request)
    if not services.key_admin.may_limit(request.state.caller, body.scope, body.subject):
        raise Forbidden("owners set budgets of their projects, and of keys in them; operators set any")
    subject = await services.key_admin.subject_of(body.scope, body.subject)
    return await services.budgets.put(
        request.state.caller,
        scope=body.scope,
        subject=subject,
        period=body.period,
        limit_usd=body.limit_usd,
        soft=body.soft,
        timezone=body.timezone or await services.key_admin.timezone_of(body.scope, subject),
    )


@router.delete("/v1/budgets/{budget_id}")
async def drop(request: Request, budget_id: str) -> Removed:
    """Remove a budget: nothing is limited by it any more."""
    services = services_of(request)
    if not services.key_admin.may_drop(request.state.caller, await services.budgets.listing(), budget_id):
        raise NotFound(f"no budget {quoted(budget_id, 40)}")
    await services.budgets.drop(request.state.caller, budget_id)
    return {"status": "removed"}
