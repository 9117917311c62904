"""The pool, for operators: models added, edited, retired; the price list as a file; a trial of a new model."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field

from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.pipeline.errors import Unprocessable
from arbiter_app.services.rows.calibrations import CalibrationView
from arbiter_app.services.rows.models import EditedModel, PoolModels, PriceFileAnswer

router = APIRouter(tags=["pool"], route_class=Guarded)
Usd = Annotated[float | None, Field(description="USD per 1,000,000 tokens")]


class EditedFacts(BaseModel):
    """What an operator says of a model: the catalog's keys, under the catalog's rules. Null takes back what was said before."""

    model_config = ConfigDict(strict=True, extra="forbid")
    input: Usd = None
    output: Usd = None
    cached: Usd = None
    cache_write: Usd = None
    cache_write_1h: Usd = None
    input_audio: Usd = None
    cached_audio: Usd = None
    output_audio: Usd = None
    input_image: Usd = None
    output_image: Usd = None
    reasoning: Usd = None
    context: int | None = Field(None, description="tokens")
    vision: bool | None = None
    audio: bool | None = None
    video: bool | None = None
    tools: bool | None = None
    json_schema: bool | None = None
    routable: bool | None = None
    prior: dict[str, Any] | None = None
    aliases: list[str] | None = None
    deployments: list[dict[str, Any]] | None = None
    effort: str | None = Field(None, description="how hard it thinks by itself")
    variants: list[str | int] | None = Field(
        None, description="efforts, or tokens of thinking, at which it is a candidate, too"
    )


class NewModel(EditedFacts):
    """A model to be put into the pool. What is not said of it is believed of the runtime's list, or the price list."""

    id: str


class ModelChanges(EditedFacts):
    """What is to change; `retired: false` brings a model back."""

    retired: bool | None = None


class PriceFileBody(BaseModel):
    """A price list in TOML or CSV. Without `apply` it is only said what would change."""

    model_config = ConfigDict(strict=True, extra="forbid")
    text: str
    apply: bool = False


class TrialBody(BaseModel):
    """How much a trial may cost in all."""

    model_config = ConfigDict(strict=True, extra="forbid")
    max_usd: float | None = Field(None, description="the cap in USD; 1 when absent")


@router.get("/v1/pool/models")
async def models(request: Request) -> PoolModels:
    """The pool, each fact with the layer it came from; `new` is what the runtimes list and is not in it."""
    return await services_of(request).pool_report.models()


@router.post("/v1/pool/models")
async def add(request: Request, body: NewModel) -> EditedModel:
    """Put a model into the pool."""
    table = body.model_dump(exclude_unset=True, exclude={"id"}, exclude_none=True)
    await services_of(request).model_edits.add(request.state.caller, body.id, table)
    return await _one(request, body.id)


@router.patch("/v1/pool/models/{model:path}")
async def edit(request: Request, model: str, body: ModelChanges) -> EditedModel:
    """Change what is said of a model; what is not named stays."""
    changes = body.model_dump(exclude_unset=True)
    if not changes:
        raise Unprocessable("name at least one key to change")
    await services_of(request).model_edits.edit(request.state.caller, model, changes)
    return await _one(request, model)


@router.delete("/v1/pool/models/{model:path}")
async def retire(request: Request, model: str) -> EditedModel:
    """Route to a model no more."""
    await services_of(request).model_edits.retire(request.state.caller, model)
    return await _one(request, model)


@router.post("/v1/pool/models/{model:path}/trial")
async def trial(request: Request, model: str, body: TrialBody) -> CalibrationView:
    """Run a fixed set of prompts on one model, within a cap: a calibration of that model alone."""
    services = services_of(request)
    return await services.calibrations.trial(services.model_edits.known(model), max_usd=body.max_usd)


@router.get("/v1/pool/prices.toml")
async def prices_toml(request: Request) -> Response:
    """The price list as TOML, with the keys of the catalog."""
    return _file(services_of(request).pool_report.toml(), "toml", "application/toml")


@router.get("/v1/pool/prices.csv")
async def prices_csv(request: Request) -> Response:
    """The same as CSV."""
    return _file(services_of(request).pool_report.csv(), "csv", "text/csv; charset=utf-8")


@router.post("/v1/pool/prices")
async def take_prices(request: Request, body: PriceFileBody) -> PriceFileAnswer:
    """What a price list would change, key by key; with `apply` it is changed, all of it or nothing."""
    return await services_of(request).pool_report.take_file(request.state.caller, body.text, apply=body.apply)


async def _one(request: Request, model: str) -> EditedModel:
    services = services_of(request)
    wanted = services.model_edits.known(model)
    return next(row for row in (await services.pool_report.models())["data"] if row["id"] == wanted)


def _file(text: str, kind: str, media_type: str) -> Response:
    headers = {"Content-Disposition": f'attachment; filename="arbiter-prices.{kind}"', "Cache-Control": "no-store"}
    return Response(text, media_type=media_type, headers=headers)
