"""The catalog in force, replaced as a whole by whoever learns that it has changed: the runtime's list, or an operator."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from arbiter_app import policy as brain
from arbiter_app.catalog import Catalog


class CatalogHolder:
    """`now` is the catalog in force; whoever needs several facts of one catalog reads it once."""

    def __init__(self, catalog: Catalog) -> None:
        self.now = catalog


def facts_of(catalog: Catalog, serving: Mapping[str, str] = MappingProxyType({})) -> dict[str, brain.ModelFacts]:
    """What the policy may know of a catalog's models. `serving`: by model, the deployment whose price it has at the moment."""
    sold = {
        model: next((at.model for at in catalog.at(model) if at.key == key), catalog.model(model))
        for model, key in serving.items()
    }
    return {
        model.id: brain.ModelFacts(
            input_usd_per_token=sold.get(model.id, model).input_usd,
            output_usd_per_token=sold.get(model.id, model).output_usd,
            prior=model.prior,
            coarse_request_usd=None,
        )
        for model in catalog.models.values()
        if model.listed or not model.joined
    }
