"""The catalog in force, replaced as a whole by whoever learns that it has changed: the runtime's list, or an operator."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from arbiter_app import policy as brain
from arbiter_app.catalog import Catalog
from arbiter_app.pipeline.types import PICO_PER_USD
from arbiter_app.pool.rates import rates_of


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
            input_usd_per_token=sold.get(model.base, model).input_usd,
            output_usd_per_token=sold.get(model.base, model).output_usd,
            prior=model.prior,
            coarse_request_usd=None,
            cached_usd_per_token=float(rates_of(sold.get(model.base, model)).cached) / PICO_PER_USD,
            variant_of=model.variant_of,
            output_scale=model.output_scale,
        )
        for model in (*catalog.models.values(), *catalog.variants.values())
        if model.listed or not model.joined
    }
