"""The model catalog: who could serve, at which list price, with which window and capabilities.

Read from a TOML file (`catalog.toml` in the package, or `ARBITER_CATALOG`), validated at start, refreshed from the
runtime's `GET /v1/models` where that states prices or windows. Adding a model is a line there, not code.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from arbiter_app.pipeline.types import Json, Model, Task

PACKAGED = Path(__file__).with_name("catalog.toml")
_KEYS = {"input", "output", "cached", "context", "vision", "tools", "json_schema", "routable", "prior"}
_CAPABILITIES = ("vision", "tools", "json_schema", "routable")


class CatalogError(ValueError):
    """The catalog file cannot be used; the message names the model and the key."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The pool by model id, and who plays which part. Immutable: a refresh makes a new one."""

    models: Mapping[str, Model]
    baseline: str
    classifier: str
    judge: str
    pool: tuple[Model, ...] = field(init=False)
    """The models that may be routed to, in catalog order."""
    names: tuple[str, ...] = field(init=False)
    """Their ids."""
    least_window: int = field(init=False)
    """The tokens that every one of them is known to hold; 0 where one's window is not known, or there is none."""

    def __post_init__(self) -> None:
        """Work out the pool."""
        pool = tuple(model for model in self.models.values() if model.routable)
        object.__setattr__(self, "pool", pool)
        object.__setattr__(self, "names", tuple(model.id for model in pool))
        object.__setattr__(self, "least_window", min((model.context_tokens or 0 for model in pool), default=0))

    def routable(self, model_id: str, on: bool) -> Catalog:
        """The same catalog with one model's routable switch set. Raises KeyError for an unknown model."""
        changed = replace(self.models[model_id], routable=on)
        return replace(self, models={**self.models, model_id: changed})

    def refreshed(self, listing: Iterable[Json]) -> Catalog:
        """This catalog with the prices and windows that the runtime's model list states; the rest stays."""
        stated = {str(row.get("id")): row for row in listing if isinstance(row, dict)}
        return replace(self, models={key: _restate(model, stated.get(key)) for key, model in self.models.items()})


def load_catalog(path: Path | None, *, baseline: str, baseline_context: int | None = None) -> Catalog:
    """Read and validate a catalog file. Raises CatalogError with the model and key at fault."""
    source = path or PACKAGED
    try:
        raw = tomllib.loads(source.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogError(f"{source}: {error}") from error
    tables = raw.get("models")
    if not isinstance(tables, dict) or not tables:
        raise CatalogError(f'{source}: needs at least one [models."NAME"] table')
    models = {key: _model(key, table, baseline) for key, table in tables.items()}
    if baseline not in models:
        raise CatalogError(f"the baseline model {baseline!r} is not in the catalog; add it or set BASELINE_MODEL")
    if baseline_context is not None:
        models[baseline] = replace(models[baseline], context_tokens=baseline_context)
    parts = {name: str(raw.get(name, baseline)) for name in ("classifier", "judge")}
    for name, model in parts.items():
        if model not in models:
            raise CatalogError(
                f"{source}: the {name} {model!r} is not in the catalog; add it (routable = false keeps it out)"
            )
    return Catalog(models, baseline, parts["classifier"], parts["judge"])


def _model(key: str, table: Any, baseline: str) -> Model:
    if not isinstance(table, dict) or not table.keys() <= _KEYS:
        unknown = sorted(set(table) - _KEYS) if isinstance(table, dict) else table
        raise CatalogError(f"model {key!r}: unknown keys {unknown}; known are {sorted(_KEYS)}")
    context = table.get("context")
    if context is not None and (not isinstance(context, int) or context <= 0):
        raise CatalogError(f"model {key!r}: context must be a positive whole number of tokens")
    switches = {name: _switch(key, name, table[name]) for name in _CAPABILITIES if name in table}
    return Model(
        id=key,
        input_usd=_price(key, table, "input"),
        output_usd=_price(key, table, "output"),
        cached_usd=_price(key, table, "cached") if "cached" in table else None,
        context_tokens=context,
        baseline=key == baseline,
        prior=_prior(key, table.get("prior", {})),
        **switches,
    )


def _switch(key: str, name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise CatalogError(f"model {key!r}: {name} must be true or false")
    return value


def _price(key: str, table: Mapping[str, Any], name: str) -> float:
    value = table.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise CatalogError(f"model {key!r}: {name} must be a price in USD per 1,000,000 tokens, 0 or more")
    return float(value) / 1e6


def _prior(key: str, value: Any) -> Mapping[str, float]:
    tasks = {task.value for task in Task}
    if not isinstance(value, dict) or not value.keys() <= tasks:
        raise CatalogError(f"model {key!r}: prior takes scores for {sorted(tasks)}")
    if not all(isinstance(score, int | float) and 0 <= score <= 1 for score in value.values()):
        raise CatalogError(f"model {key!r}: prior scores are in 0..1")
    return {task: float(score) for task, score in value.items()}


def _restate(model: Model, row: Json | None) -> Model:
    """Apply what one entry of `GET /v1/models` states: `pricing.{prompt,completion}` in USD per token, a window."""
    if row is None:
        return model
    stated = row.get("pricing")
    pricing: Json = stated if isinstance(stated, dict) else {}
    window = row.get("context_length") or row.get("context_window")
    return replace(
        model,
        input_usd=_stated(pricing.get("prompt", pricing.get("input")), model.input_usd),
        output_usd=_stated(pricing.get("completion", pricing.get("output")), model.output_usd),
        context_tokens=window if isinstance(window, int) and window > 0 else model.context_tokens,
    )


def _stated(value: Any, otherwise: float) -> float:
    try:
        price = float(value)
    except (TypeError, ValueError):
        return otherwise
    return price if 0 <= price < 1 else otherwise
