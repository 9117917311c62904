"""Calibrations: the operator's own prompts on every model, with the price first, progress, and a table."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.services.rows.calibrations import CalibrationList, CalibrationView

router = APIRouter(tags=["calibration"], route_class=Guarded)


class CalibrationBody(BaseModel):
    """Prompts to run on every model of the pool. Nothing is called before it is started."""

    model_config = ConfigDict(strict=True, extra="forbid")
    jsonl: str = Field(
        description="one JSON object a line: `prompt` or `messages`; optional `task`, `max_tokens`, and one of "
        "`reference`, `regex`, `schema`; without one the objective checks or the judge grade"
    )
    max_usd: float | None = Field(None, description="the cap in USD; 1 when absent")
    start: bool = Field(False, description="start at once")
    again: bool = Field(False, description="a new one, although the same prompts were run before")


class StartBody(BaseModel):
    """How much it may cost in all."""

    model_config = ConfigDict(strict=True, extra="forbid")
    max_usd: float | None = Field(None, description="the cap in USD; as it was when absent")


@router.post("/v1/calibrations")
async def create(request: Request, body: CalibrationBody) -> CalibrationView:
    """Take prompts in and say what they will cost; with `start` run them. The same prompts give the same calibration."""
    calibrations = services_of(request).calibrations
    made = await calibrations.create(body.jsonl, max_usd=body.max_usd, again=body.again)
    return await calibrations.start(made["id"], max_usd=body.max_usd) if body.start else made


@router.get("/v1/calibrations")
async def listing(request: Request) -> CalibrationList:
    """The newest calibrations."""
    return {"data": await services_of(request).calibrations.listing()}


@router.get("/v1/calibrations/{calibration_id}")
async def one(request: Request, calibration_id: str) -> CalibrationView:
    """Progress, money, and the table of task and model so far."""
    return await services_of(request).calibrations.view(calibration_id)


@router.post("/v1/calibrations/{calibration_id}/start")
async def start(request: Request, calibration_id: str, body: StartBody) -> CalibrationView:
    """Run it, or go on with what was cancelled, capped or interrupted: what has an outcome is not called again."""
    return await services_of(request).calibrations.start(calibration_id, max_usd=body.max_usd)


@router.post("/v1/calibrations/{calibration_id}/cancel")
async def cancel(request: Request, calibration_id: str) -> CalibrationView:
    """Begin no further call; those under way end."""
    return await services_of(request).calibrations.cancel(calibration_id)
