"""Feedback, price overrides, reset."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.pipeline.errors import Forbidden, Unprocessable
from arbiter_app.pipeline.types import Role
from arbiter_app.services.rows.decisions import VoteAnswer
from arbiter_app.services.rows.models import PriceAnswer
from arbiter_app.services.rows.removals import ResetAnswer

router = APIRouter(tags=["operations"], route_class=Guarded)


class FeedbackBody(BaseModel):
    """A thumb: on a decision of the caller's own, or (operators) on a model for a task."""

    model_config = ConfigDict(strict=True, extra="forbid")
    rating: str = Field(description="up or down")
    decision_id: str | None = None
    model: str | None = None
    task: str | None = None


class PriceBody(BaseModel):
    """A price override: the reported cost of `model` is multiplied; 1 clears."""

    model_config = ConfigDict(strict=True, extra="forbid")
    model: str
    multiplier: float


@router.post("/v1/feedback")
async def feedback(request: Request, body: FeedbackBody) -> VoteAnswer:
    """Rate a decision up or down; weighs like several grades."""
    actions, caller = services_of(request).actions, request.state.caller
    if body.decision_id is not None:
        return await actions.vote_on_decision(caller, body.decision_id, body.rating)
    if body.model is None or body.task is None:
        raise Unprocessable("send decision_id, or model and task", param="decision_id")
    if caller.role is not Role.OPERATOR:
        raise Forbidden("rating a model as such needs an operator's key; send the decision_id of your own call")
    return await actions.vote_on_model(caller, body.model, body.task, body.rating)


@router.post("/v1/simulate-price")
async def simulate_price(request: Request, body: PriceBody) -> PriceAnswer:
    """Scale a model's reported cost in memory, to see Arbiter react."""
    return await services_of(request).actions.simulate_price(body.model, body.multiplier)


@router.post("/v1/reset")
async def reset(request: Request) -> ResetAnswer:
    """Clear policy, feed, alerts, counters and overrides."""
    return await services_of(request).actions.reset(request.state.caller)
