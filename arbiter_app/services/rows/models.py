"""Models, their deployments and prices."""

from __future__ import annotations

from typing import Any, NotRequired

from typing_extensions import TypedDict


class DeploymentRow(TypedDict):
    """A model on one runtime: its list prices there in USD per 1,000,000 tokens, and how it fared.

    `calls`, `failed`, `latency_ms` (mean, of a whole answer) and `cost_per_thousand` (USD a thousand tokens, as charged) are of
    the newest decisions that the model answered. It rests for `resting_s` more seconds after what `reason` says. `serving`: it
    would be asked first now.
    """

    key: str
    runtime: str
    runtime_name: str
    input_per_million: float | None
    output_per_million: float | None
    price_from: str
    context: int | None
    listed: bool
    serving: bool
    calls: int
    failed: int
    latency_ms: float | None
    cost_per_thousand: float | None
    resting_s: float
    reason: str


class Abilities(TypedDict):
    """Which capabilities a model has: a field for each of `pipeline.types.Capability`."""

    vision: bool
    audio: bool
    video: bool
    tools: bool
    json_schema: bool


class CatalogModel(Abilities):
    """A model of the catalog, with list prices in USD per 1,000,000 tokens: of several deployments, of the cheapest listed. `variants` are the
    ids of the same model at other settings of how hard it is to think."""

    id: str
    input_per_million: float | None
    output_per_million: float | None
    price_from: str
    runtime_name: str
    state: str
    context: int | None
    baseline: bool
    routable: bool
    variants: list[str]


class DeployedModel(CatalogModel):
    """The same with its `deployments`, where it has several, or one on a runtime that the catalog names."""

    deployments: NotRequired[list[DeploymentRow]]


class FactSources(TypedDict):
    """Which layer each fact of a model came from: `catalog` (the file), `runtime` (its list), `operator`, `library` (the price list that
    comes with Arbiter), or `unknown`."""

    price: str
    context: str
    capabilities: str
    routable: str


class EditedModel(DeployedModel):
    """A model as operators see it: with where its facts come from, and what they said of it (`edit`, by the catalog's keys)."""

    sources: FactSources
    edit: dict[str, Any]
    retired: bool


class OfferedModel(Abilities):
    """A model that a runtime lists and nobody has added, at the price that it would have."""

    id: str
    runtime: str
    runtime_name: str
    input_per_million: float | None
    output_per_million: float | None
    price_from: str
    context: int | None


class PoolModels(TypedDict):
    """The pool, and what could join it."""

    data: list[EditedModel]
    new: list[OfferedModel]


class PriceChange(TypedDict):
    """What a price list changes of a model: a key of the catalog, before and after; null is not known. `new`: the model is not there yet."""

    model: str
    key: str
    before: Any
    after: Any
    new: bool


class PriceFileAnswer(TypedDict):
    """How many models a price list names, what it changes, and whether that was done."""

    models: int
    changes: list[PriceChange]
    applied: bool


class PriceList(TypedDict):
    """The catalog."""

    data: list[DeployedModel]


class ListedModel(TypedDict):
    """A model of OpenAI's list; of `auto` and the presets nothing more is known. `variant_of` is the model of a variant."""

    id: str
    object: str
    created: int
    owned_by: str
    routable: bool
    input_per_million: NotRequired[float | None]
    output_per_million: NotRequired[float | None]
    price_from: NotRequired[str]
    runtime_name: NotRequired[str]
    state: NotRequired[str]
    context: NotRequired[int | None]
    vision: NotRequired[bool]
    audio: NotRequired[bool]
    video: NotRequired[bool]
    tools: NotRequired[bool]
    json_schema: NotRequired[bool]
    baseline: NotRequired[bool]
    variants: NotRequired[list[str]]
    variant_of: NotRequired[str]


class ModelList(TypedDict):
    """OpenAI's list of models."""

    object: str
    data: list[ListedModel]


class PriceAnswer(TypedDict):
    """A price override."""

    model: str
    multiplier: float
    active: bool


class PricePoint(TypedDict):
    """What a thousand tokens cost in one decision, USD."""

    ts: float
    model: str
    task: str
    cost: float | None
