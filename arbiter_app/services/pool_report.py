"""The pool as operators see it: each model with the layer that each fact came from, what was edited, and what runtimes offer beyond."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import cast

from arbiter_app.catalog import Catalog
from arbiter_app.pipeline.errors import Unprocessable
from arbiter_app.pipeline.types import Caller, Json, Model
from arbiter_app.pool import price_file
from arbiter_app.pool.price_file import PriceFileError
from arbiter_app.pool.price_list import lookup
from arbiter_app.services.catalog_holder import CatalogHolder
from arbiter_app.services.csv_text import as_csv
from arbiter_app.services.model_edits import ModelEdits
from arbiter_app.services.pool import Pool
from arbiter_app.services.reads import Reads, abilities, per_million
from arbiter_app.services.rows.models import (
    EditedModel,
    FactSources,
    OfferedModel,
    PoolModels,
    PriceChange,
    PriceFileAnswer,
)


class PoolReport:
    """What is there, what could be, and both as a file."""

    def __init__(self, *, reads: Reads, catalog: CatalogHolder, pool: Pool, edits: ModelEdits) -> None:
        self._reads = reads
        self._catalog = catalog
        self._pool = pool
        self._edits = edits

    async def models(self) -> PoolModels:
        """Every model of the catalog, and what the runtimes list that is not in it."""
        catalog = self._catalog.now
        rows = [cast(EditedModel, row) for row in await self._reads.catalog() if row["id"] in catalog.models]
        for row in rows:
            edit = catalog.edits.get(row["id"])
            row["sources"] = _sources(catalog, catalog.models[row["id"]])
            row["edit"] = {} if edit is None else edit.as_json()
            row["retired"] = edit is not None and edit.retired
        return {"data": rows, "new": [_offer(*one) for one in await asyncio.to_thread(self._pool.offers)]}

    def toml(self) -> str:
        """The prices as a file that can be read in again."""
        return price_file.as_toml(self._catalog.now.models.values())

    def csv(self) -> str:
        """The same as CSV."""
        return as_csv(*price_file.as_rows(self._catalog.now.models.values()))

    async def take_file(self, caller: Caller, text: str, *, apply: bool) -> PriceFileAnswer:
        """What a price list would change; with `apply` it is changed, all of it or nothing. Raises Unprocessable."""
        try:
            tables = await asyncio.to_thread(price_file.parsed, text)
        except PriceFileError as error:
            raise Unprocessable(str(error), param="text") from error
        catalog = self._catalog.now
        named = {catalog.resolve(name): table for name, table in tables.items()}
        found = price_file.difference(catalog.models, named)
        changes: dict[str, Json] = {}
        for one in found:
            changes.setdefault(one.model, {"added": True} if one.new else {})[one.key] = one.after
        await self._edits.check(changes)
        if apply and changes:
            await self._edits.change(caller, changes, "price_list.import")
        shown: list[PriceChange] = [
            {"model": one.model, "key": one.key, "before": one.before, "after": one.after, "new": one.new}
            for one in found
        ]
        return {"models": len(named), "changes": shown, "applied": bool(apply and changes)}


def _offer(runtime: str, model: Model) -> OfferedModel:
    return {
        "id": model.id,
        "runtime": runtime,
        "runtime_name": model.sent,
        "input_per_million": per_million(model.input_usd) if model.priced else None,
        "output_per_million": per_million(model.output_usd) if model.priced else None,
        "price_from": model.price_from,
        "context": model.context_tokens,
        **abilities(model),
    }


def _sources(catalog: Catalog, model: Model) -> FactSources:
    """The layer of each fact: the catalog's file, the runtime's list, the operator, the price list (`library`), or nobody."""
    origin = (catalog.declared or catalog).models.get(model.id)
    return {
        "price": model.price_from,
        "context": _window_from(model, origin),
        "capabilities": "operator" if _edited(model, catalog.edits) else "runtime" if model.joined else "catalog",
        "routable": "operator" if "routable" in model.fixed or _retired(catalog, model.id) else "catalog",
    }


def _window_from(model: Model, origin: Model | None) -> str:
    if "context" in model.fixed:
        return "operator"
    if model.context_tokens is None:
        return "unknown"
    if origin is not None and not origin.joined and model.context_tokens == origin.context_tokens:
        return "catalog"
    return "library" if model.joined and model.context_tokens == lookup(model.id).context_tokens else "runtime"


def _edited(model: Model, edits: Mapping[str, object]) -> bool:
    return model.id in edits and any(one in model.fixed for one in abilities(model))


def _retired(catalog: Catalog, model: str) -> bool:
    return model in catalog.edits and catalog.edits[model].retired
