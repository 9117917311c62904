"""The catalog's TOML file (`catalog.toml` in the package, or `ARBITER_CATALOG`), validated at start.

Adding a model is a line there, not code. So is a runtime, and a model's deployments: which runtimes have it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from arbiter_app.catalog import Catalog, CatalogError, by_price, dearest, on_runtime
from arbiter_app.pipeline.effort import EFFORTS, USUAL_EFFORT, Setting
from arbiter_app.pipeline.plain import is_plain
from arbiter_app.pipeline.types import DEFAULT_RUNTIME, Capability, Deployment, Model, Task, capabilities, leaves_choice
from arbiter_app.pipeline.wishes import BUILT_IN, Preset
from arbiter_app.pool import listing
from arbiter_app.pool.edits import NO_EDITS, Edits, merged
from arbiter_app.pool.names import FORMS, folded
from arbiter_app.pool.presets import presets_of
from arbiter_app.pool.price_list import lookup
from arbiter_app.pool.rates import SPECIAL
from arbiter_app.pool.variants import ids_of, settings_of
from arbiter_app.runtime.claims.facts import Known
from arbiter_app.runtime.config import RuntimeConfig, runtime_of
from arbiter_app.settings import Settings

PACKAGED = Path(__file__).with_name("catalog.toml")
_SPECIAL = frozenset(SPECIAL) - {"cached"}
_KEYS = _SPECIAL | {
    "input",
    "output",
    "cached",
    "context",
    *Capability,
    "routable",
    "prior",
    "aliases",
    "deployments",
    "variants",
    "effort",
}
_DEPLOYMENT_KEYS = _SPECIAL | {"runtime", "model", "input", "output", "cached", "context"}
MAX_NAME_CHARS = 200
_SWITCHES = (*Capability, "routable")


def catalog_of(settings: Settings, edits: Edits = NO_EDITS) -> Catalog:
    """The catalog as the settings want it, under edits. Raises CatalogError."""
    catalog = load_catalog(
        settings.catalog,
        baseline=settings.baseline_model,
        baseline_context=settings.baseline_context,
        classifier=settings.classifier_model,
        judge=settings.judge_model,
        open_pool=not settings.sandbox,
        edits=edits,
    )
    if catalog.runtimes and settings.sandbox:
        raise CatalogError(
            f"the catalog names {_named(catalog.runtimes)}, but without GATEWAY_API_KEY the sandbox answers;"
            " set it, with BTL_BASE_URL, to the runtime that is to be the default one"
        )
    return catalog


def _named(runtimes: Iterable[str]) -> str:
    return f"the runtimes {', '.join(sorted(runtimes))}"


def load_catalog(
    path: Path | None,
    *,
    baseline: str,
    baseline_context: int | None = None,
    classifier: str = "",
    judge: str = "",
    open_pool: bool = False,
    edits: Edits = NO_EDITS,
) -> Catalog:
    """Read and validate a catalog file. Raises CatalogError with the model and key at fault.

    `classifier` and `judge` stand in for those of the file. `open_pool`: a part may be given to a model that the file does
    not know, because the runtime may list it.
    """
    source = path or PACKAGED
    asked = {"baseline": baseline, "classifier": classifier, "judge": judge}
    return _declared(_read(source), source, asked, baseline_context, open_pool, edits)


def _declared(
    raw: Mapping[str, Any],
    source: Path,
    asked: Mapping[str, str],
    baseline_context: int | None,
    open_pool: bool,
    edits: Edits,
) -> Catalog:
    """The catalog of a file's tables, with edits laid over them."""
    tables, runtimes = merged(raw["models"], edits), _runtimes(raw.get("runtimes", {}))
    models = {key: _model(key, table) for key, table in tables.items() if key in raw["models"]}
    cautious = dearest(Catalog(models, "", "", ""))
    for key, edit in edits.items():
        if key not in models:
            models[key] = _added(key, tables[key], models, cautious)
        fixed = frozenset(edit.table)
        source_of = "operator" if fixed & listing.PRICES else models[key].price_from
        on = models[key].routable and not edit.retired
        models[key] = replace(models[key], fixed=fixed, price_from=source_of, routable=on)
    aliases = {key: _aliases(key, table) for key, table in tables.items() if "aliases" in table}
    variants = [name for key, model in models.items() for name in ids_of(key, model.variants)]
    for name in {*variants} & tables.keys():
        raise CatalogError(f"model {name!r}: so a variant of another model is called; rename the model")
    _distinct([*tables, *variants], aliases)
    known_as = listing.index(models, aliases)
    parts = {}
    for part, wanted in asked.items():
        name = wanted or str(raw.get(part, asked["baseline"]))
        found = _id_of(name, models, known_as)
        if not found and open_pool:
            found = name
            models[name] = _unlisted(name, cautious)
        if not found:
            raise CatalogError(_missing(source, part, name))
        parts[part] = found
    models[parts["baseline"]] = replace(models[parts["baseline"]], baseline=True)
    if baseline_context is not None:
        models[parts["baseline"]] = replace(models[parts["baseline"]], context_tokens=baseline_context)
    deployments = _all_deployments(models, tables, runtimes)
    presets = {**BUILT_IN, **_presets(raw.get("presets", {}), lambda name: _id_of(name, models, known_as))}
    return Catalog(
        models,
        parts["baseline"],
        parts["classifier"],
        parts["judge"],
        aliases,
        runtimes,
        deployments,
        presets=presets,
        edits=edits,
        declare=partial(_declared, raw, source, asked, baseline_context, open_pool),
    )


def _all_deployments(
    models: Mapping[str, Model], tables: Mapping[str, Any], runtimes: Mapping[str, RuntimeConfig]
) -> dict[str, tuple[Deployment, ...]]:
    """Those of every model that names them."""
    deployments = {
        key: _deployments(models[key], table["deployments"], runtimes)
        for key, table in tables.items()
        if "deployments" in table
    }
    for several in deployments.values():
        for at in several:
            if at.key in models and at.key != at.model.id:
                raise CatalogError(
                    f"model {at.key!r}: so the deployment of {at.model.id!r} is called; rename the model"
                )
    return deployments


def _added(key: str, table: Any, models: Mapping[str, Model], cautious: Known) -> Model:
    """A model that is not in the file: what an operator says of it, else what is known of such a model, else cautious prices."""
    if any(part in ("", ".", "..") for part in key.split("/")):
        raise CatalogError(
            f"model {key!r}: its name is a part of paths, in which clients read ., .. and // as something else"
        )
    known = listing.known_of(key, models)
    priced = {name for name in ("input", "output") if name in table}
    if len(priced) == 1 and known.input_usd is None:
        raise CatalogError(f"model {key!r}: give input and output, as no price of it is known")
    sees = {} if Capability.VISION in table else {Capability.VISION: bool(listing.SEES.search(key))}
    stated = _model(key, {"input": 0, "output": 0, **sees, **table})
    usual = known if known.input_usd is not None else cautious
    return replace(
        stated,
        joined=True,
        input_usd=stated.input_usd if "input" in priced else usual.input_usd or 0.0,
        output_usd=stated.output_usd if "output" in priced else usual.output_usd or 0.0,
        context_tokens=stated.context_tokens or known.context_tokens,
        price_from="library" if known.input_usd is not None else "unknown",
    )


def _read(source: Path) -> dict[str, Any]:
    """The tables of a catalog file, with `models` among them."""
    try:
        raw = tomllib.loads(source.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise CatalogError(f"{source}: {error}") from error
    except RecursionError as error:
        raise CatalogError(f"{source}: nested too deeply") from error
    tables = raw.get("models")
    if not isinstance(tables, dict) or not tables:
        raise CatalogError(f'{source}: needs at least one [models."NAME"] table')
    return raw


def _id_of(name: str, models: Mapping[str, Model], known_as: Mapping[str, str]) -> str:
    """The id of the model with this name, in whatever form; empty where there is none."""
    if name in models:
        return name
    return next((known_as[key] for form in FORMS if (key := form(name)) in known_as), "")


def _unlisted(name: str, cautious: Known) -> Model:
    """A model that the runtime may list: at the price that the library knows, or the dearest of the catalog."""
    known = lookup(name)
    return Model(
        name,
        known.input_usd or cautious.input_usd or 0.0,
        known.output_usd or cautious.output_usd or 0.0,
        known.context_tokens,
        price_from="unknown" if known.input_usd is None else "library",
    )


def _missing(source: Path, part: str, name: str) -> str:
    if part == "baseline":
        return f"the baseline model {name!r} is not in the catalog; add it or set BASELINE_MODEL"
    return f"{source}: the {part} {name!r} is not in the catalog; add it (routable = false keeps it out)"


def _presets(tables: Any, id_of: Callable[[str], str]) -> dict[str, Preset]:
    try:
        return presets_of(tables, id_of)
    except ValueError as error:
        raise CatalogError(str(error)) from error


def _runtimes(tables: Any) -> dict[str, RuntimeConfig]:
    if not isinstance(tables, dict):
        raise CatalogError("runtimes are tables like [runtimes.NAME]")
    try:
        return {name: runtime_of(name, table) for name, table in tables.items()}
    except ValueError as error:
        raise CatalogError(str(error)) from error


def _deployments(model: Model, tables: Any, runtimes: Mapping[str, RuntimeConfig]) -> tuple[Deployment, ...]:
    """Where a model is, as its tables say: on which runtimes, under which names, at which prices."""
    if not isinstance(tables, list) or not tables or not all(isinstance(table, dict) for table in tables):
        raise CatalogError(f'model {model.id!r}: deployments are tables like [[models."{model.id}".deployments]]')
    found: list[Deployment] = []
    for table in tables:
        if not table.keys() <= _DEPLOYMENT_KEYS:
            unknown = sorted(table.keys() - _DEPLOYMENT_KEYS)
            raise CatalogError(
                f"model {model.id!r}: unknown keys {unknown} of a deployment; known are {sorted(map(str, _DEPLOYMENT_KEYS))}"
            )
        runtime, name = table.get("runtime", DEFAULT_RUNTIME), table.get("model", "")
        if not isinstance(runtime, str) or (runtime not in runtimes and runtime != DEFAULT_RUNTIME):
            known = ", ".join([DEFAULT_RUNTIME, *sorted(runtimes)])
            raise CatalogError(f"model {model.id!r}: there is no runtime {runtime!r}; known are {known}")
        if on_runtime(found, runtime) is not None:
            raise CatalogError(f"model {model.id!r}: two deployments on the runtime {runtime}; name the runtime twice")
        if not isinstance(name, str) or (name and not _is_name(name)):
            raise CatalogError(f"model {model.id!r}: model is the name that the runtime {runtime} has for it")
        key = model.id if (len(tables) == 1 and runtime == DEFAULT_RUNTIME) else f"{model.id}@{runtime}"
        found.append(Deployment(key, runtime, replace(_priced(model, table), name=name)))
    return by_price(found)


def _priced(model: Model, table: Mapping[str, Any]) -> Model:
    """A model at the prices and with the window of one deployment, as far as that has its own."""
    own = {name: _price(model.id, table, name) for name in ("input", "output", "cached") if name in table}
    edited = "deployments" in model.fixed
    fixed = model.fixed | table.keys() if edited else model.fixed - table.keys()
    priced = model.price_from if not own.keys() & listing.PRICES else "operator" if edited else "catalog"
    return replace(
        model,
        fixed=frozenset(fixed),
        price_from=priced,
        input_usd=own.get("input", model.input_usd),
        output_usd=own.get("output", model.output_usd),
        cached_usd=own.get("cached", None if "input" in own else model.cached_usd),
        special_usd={**({} if "input" in own else model.special_usd), **_special(model.id, table)},
        context_tokens=_context(model.id, table) if "context" in table else model.context_tokens,
    )


def _is_name(text: str) -> bool:
    return 0 < len(text) <= MAX_NAME_CHARS and bool(text.strip()) and is_plain(text)


def _model(key: str, table: Any) -> Model:
    if not _is_name(key):
        raise CatalogError(f"model {key[:60]!r}: a name is up to {MAX_NAME_CHARS} visible characters")
    if not isinstance(table, dict) or not table.keys() <= _KEYS:
        unknown = sorted(set(table) - _KEYS) if isinstance(table, dict) else table
        raise CatalogError(f"model {key!r}: unknown keys {unknown}; known are {sorted(map(str, _KEYS))}")
    context = _context(key, table)
    switches = {name: _switch(key, name, table[name]) for name in _SWITCHES if name in table}
    return Model(
        id=key,
        input_usd=_price(key, table, "input"),
        output_usd=_price(key, table, "output"),
        cached_usd=_price(key, table, "cached") if "cached" in table else None,
        special_usd=_special(key, table),
        context_tokens=context,
        prior=_prior(key, table.get("prior", {})),
        can=capabilities(switches),
        routable=switches.get("routable", True),
        variants=_variants(key, table["variants"]) if "variants" in table else (),
        effort=_effort(key, table.get("effort", USUAL_EFFORT)),
    )


def _variants(key: str, stated: Any) -> tuple[Setting, ...]:
    try:
        return settings_of(key, stated)
    except ValueError as error:
        raise CatalogError(str(error)) from error


def _effort(key: str, stated: Any) -> str:
    if isinstance(stated, str) and stated in EFFORTS:
        return stated
    raise CatalogError(f"model {key!r}: effort, how hard it thinks by itself, must be one of {', '.join(EFFORTS)}")


def _context(key: str, table: Mapping[str, Any]) -> int | None:
    context = table.get("context")
    if context is None or (isinstance(context, int) and not isinstance(context, bool) and context > 0):
        return context
    raise CatalogError(f"model {key!r}: context must be a positive whole number of tokens")


def _switch(key: str, name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise CatalogError(f"model {key!r}: {name} must be true or false")
    return value


def _price(key: str, table: Mapping[str, Any], name: str) -> float:
    value = table.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e6:
        raise CatalogError(f"model {key!r}: {name} must be a price in USD per 1,000,000 tokens, 0 or more")
    return float(value) / 1e6


def _special(key: str, table: Mapping[str, Any]) -> Mapping[str, float]:
    """What the table says of tokens of special kinds, cached ones excepted."""
    return {name: _price(key, table, name) for name in SPECIAL if name in _SPECIAL and name in table}


def _prior(key: str, value: Any) -> Mapping[str, float]:
    tasks = {task.value for task in Task}
    if not isinstance(value, dict) or not value.keys() <= tasks:
        raise CatalogError(f"model {key!r}: prior takes scores for {sorted(tasks)}")
    if not all(isinstance(score, int | float) and 0 <= score <= 1 for score in value.values()):
        raise CatalogError(f"model {key!r}: prior scores are in 0..1")
    return {task: float(score) for task, score in value.items()}


def _distinct(ids: Iterable[str], aliases: Mapping[str, Sequence[str]]) -> None:
    """Raises CatalogError for a name of two models, and for one by which callers leave the choice to Arbiter."""
    owners: dict[str, str] = {}
    for key in ids:
        if leaves_choice(key):
            raise CatalogError(
                f"model {key!r}: by this name callers leave the choice to Arbiter; give it another, and keep this one as the `model` of"
                " a deployment"
            )
        if (other := owners.setdefault(folded(key), key)) != key:
            raise CatalogError(f"model {key!r}: so the model {other!r} is called, too; names differ in more than case")
    for key, several in aliases.items():
        for alias in several:
            if leaves_choice(alias):
                raise CatalogError(f"model {key!r}: by the alias {alias!r} callers leave the choice to Arbiter")
            if (other := owners.setdefault(folded(alias), key)) != key:
                raise CatalogError(
                    f"model {key!r}: the alias {alias!r} is a name of the model {other!r}; a name stands for one model"
                )


def _aliases(key: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    stated = table["aliases"]
    if not isinstance(stated, list) or not all(isinstance(one, str) and _is_name(one) for one in stated):
        raise CatalogError(
            f"model {key!r}: aliases must be a list of names of up to {MAX_NAME_CHARS} visible characters"
        )
    return tuple(stated)
