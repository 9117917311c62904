"""The model catalog: who could serve, at which list price, with which window and capabilities.

Read from a TOML file (`catalog.toml` in the package, or `ARBITER_CATALOG`), validated at start. Where the runtime lists its
models, the pool is what it lists (`pool/`). Adding a model is a line there, not code. So is a runtime, and a model's
deployments: which runtimes have it. A model that names none has one, on the runtime of the settings.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from arbiter_app.pipeline.effort import EFFORTS, USUAL_EFFORT, Setting
from arbiter_app.pipeline.plain import is_plain
from arbiter_app.pipeline.types import DEFAULT_RUNTIME, ROUTED, Capability, Deployment, Json, Model, Task, capabilities
from arbiter_app.pipeline.wishes import BUILT_IN, Preset
from arbiter_app.pool import listing
from arbiter_app.pool import parts as parts_of
from arbiter_app.pool.edits import NO_EDITS, Edits, merged
from arbiter_app.pool.listing import Report
from arbiter_app.pool.names import FORMS, folded
from arbiter_app.pool.presets import presets_of
from arbiter_app.pool.price_list import lookup
from arbiter_app.pool.rates import SPECIAL
from arbiter_app.pool.variants import beside, deployed, ids_of, settings_of
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


class CatalogError(ValueError):
    """The catalog file cannot be used; the message names the model and the key."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """The pool by model id, and who plays which part. Immutable: a refresh makes a new one.

    `declared` is the catalog as the file has it; every list of the runtime is held against that, so that a fact which is
    no longer stated falls back. `edits` are what operators say of models beside the file (see `edited`). `deployments` are those of the
    models that name them, the cheapest first; such a model has the price of its cheapest listed one (`at` gives every model's).
    """

    models: Mapping[str, Model]
    baseline: str
    classifier: str
    judge: str
    aliases: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    runtimes: Mapping[str, RuntimeConfig] = field(default_factory=dict)
    """Beside the one of the settings, by name."""
    deployments: Mapping[str, tuple[Deployment, ...]] = field(default_factory=dict)
    declared: Catalog | None = None
    edits: Edits = field(default_factory=lambda: NO_EDITS)
    declare: Callable[[Edits], Catalog] | None = field(default=None, repr=False, compare=False)
    """The catalog as the file has it under other edits."""
    report: Report | None = None
    """What became of the runtime's list; None before the first one."""
    doubts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What was set aside of the lists of named runtimes, in sentences, by runtime."""
    presets: Mapping[str, Preset] = field(default_factory=lambda: BUILT_IN)
    """Wishes that callers may name in the place of a model, `auto:NAME`."""
    variants: Mapping[str, Model] = field(init=False)
    """The models at other settings, by id (`pool.variants`)."""
    pool: tuple[Model, ...] = field(init=False)
    """The models that may be routed to, in catalog order, each with its variants behind it."""
    names: tuple[str, ...] = field(init=False)
    """Their ids."""
    least_window: int = field(init=False)
    """The tokens that every one of them is known to hold; 0 where one's window is not known, or there is none."""
    _at: Mapping[str, tuple[Deployment, ...]] = field(init=False, repr=False, compare=False)
    _ids: Mapping[str, str] = field(init=False, repr=False, compare=False)
    _stand_ins: tuple[Model, ...] = field(init=False, repr=False, compare=False)
    """The two cheapest that may take a part, so that one is another than whoever is to be replaced."""

    def __post_init__(self) -> None:
        """Work out the pool, where its models are, and by which names they go."""
        models = {**self.models}
        for key, several in self.deployments.items():
            models[key] = listing.together(models[key], several)
        object.__setattr__(self, "models", models)
        plain = {key: (Deployment(key, DEFAULT_RUNTIME, model),) for key, model in models.items()}
        variants = beside(models)
        sold = {**plain, **self.deployments}
        sold.update((key, deployed(one, sold[one.base])) for key, one in variants.items())
        object.__setattr__(self, "variants", variants)
        object.__setattr__(self, "_at", sold)
        able = tuple(model for model in self.models.values() if model.routable and model.listed)
        pool = tuple(one for model in able for one in (model, *self.variants_of(model))) if variants else able
        object.__setattr__(self, "pool", pool)
        object.__setattr__(self, "names", tuple(model.id for model in pool))
        object.__setattr__(self, "least_window", min((model.context_tokens or 0 for model in pool), default=0))
        names = {key: tuple(at.model.sent for at in several) for key, several in self.deployments.items()}
        aliases = {**names, **{key: (*also, *names.get(key, ())) for key, also in self.aliases.items()}}
        object.__setattr__(self, "_ids", listing.index(self.models, aliases))
        object.__setattr__(self, "_stand_ins", parts_of.cheapest_first(able)[:2])

    def model(self, model_id: str) -> Model:
        """A model by id; one that is not there any more has no price that anybody knows."""
        found = self.models.get(model_id) or self.variants.get(model_id)
        return found if found is not None else Model(model_id, 0.0, 0.0, None, listed=False, price_from="unknown")

    def variants_of(self, model: Model) -> tuple[Model, ...]:
        """A model at its other settings."""
        return tuple(self.variants[key] for key in ids_of(model.id, model.variants) if key in self.variants)

    def with_variants(self, ids: frozenset[str]) -> frozenset[str]:
        """These models and their variants."""
        return ids.union(key for key, one in self.variants.items() if one.base in ids) if self.variants else ids

    def at(self, model_id: str) -> tuple[Deployment, ...]:
        """The deployments of a model, the cheapest first; there is always one."""
        return self._at.get(model_id) or (Deployment(model_id, DEFAULT_RUNTIME, self.model(model_id)),)

    def askable(self, model_id: str) -> tuple[Model, ...]:
        """A model that takes a part, and who may stand in for it: the cheapest other of the pool."""
        return (self.model(model_id), *[model for model in self._stand_ins if model.id != model_id][:1])

    def resolve(self, name: str) -> str:
        """The id of the model that a name stands for: its id, an alias, the runtime's name for it; with a setting behind it, of that
        variant. Else the name itself."""
        if name in self.models or name in self.variants:
            return name
        found = next((self._ids[key] for form in FORMS if (key := form(name)) in self._ids), "")
        if not found and self.variants:
            model, _, setting = name.rpartition(":")
            variant = f"{self.resolve(model)}:{folded(setting)}" if model else ""
            found = variant if variant in self.variants else ""
        return found or name

    def edited(self, edits: Edits) -> Catalog:
        """The catalog under other edits, as it is before any list is read again: that has to be done next, where there was one.

        Raises CatalogError where the edits break a rule of the file.
        """
        origin = self.declared or self
        if origin.declare is None:
            raise CatalogError("this catalog was not read from a file, and cannot be edited")
        after = origin.declare(edits)
        if self.report is None:
            return after
        gone = {key: model for key, model in self.models.items() if key not in after.models}
        return replace(after, models={**after.models, **gone}, declared=after, report=self.report, doubts=self.doubts)

    def refreshed(
        self, rows: Iterable[Json], *, most: int = 64, join: Sequence[str] = ("*",), keep: Set[str] = frozenset()
    ) -> Catalog:
        """The catalog after the runtime's list was read; the same where that names no chat model.

        At most `most` models are routed to. `join`: patterns of names beyond the catalog that may join. `keep`: models
        that do not leave, as the list may be incomplete.
        """
        origin = self.declared or self
        before, default = {**self.models}, {key: _on(several) for key, several in self.deployments.items()}
        before.update((key, at.model) for key, at in default.items() if at is not None)
        built = listing.build(
            rows,
            {
                key: at.model if (at := _on(origin.at(key))) is not None else model
                for key, model in origin.models.items()
            },
            origin.aliases,
            before if self.report is not None else {},
            dearest=dearest(origin),
            most=most,
            join=join,
            keep=keep,
            apart=frozenset(self.deployments),
        )
        if built is None:
            return self
        restated = {key: replace(at, model=built.models[key]) for key, at in default.items() if at is not None}
        deployments = {
            key: _cheapest_first(restated[key] if at.runtime == DEFAULT_RUNTIME else at for at in several)
            for key, several in self.deployments.items()
        }
        return self._with(built.models, deployments, built.report)

    def relisted(self, runtime: str, rows: Iterable[Json], *, keep: Set[str] = frozenset()) -> Catalog:
        """The catalog after the list of a named runtime was read; the same where that names no chat model.

        Only what the catalog has there is looked at. `keep`: keys of deployments that do not leave.
        """
        origin = self.declared or self
        declared = {
            at.model.id: at for several in origin.deployments.values() for at in several if at.runtime == runtime
        }
        stated, doubts = listing.restate(rows, {key: at.model for key, at in declared.items()}, origin.aliases)
        if stated is None:
            return self
        deployments = {
            key: _cheapest_first(
                replace(at, model=stated[key])
                if at.runtime == runtime and (stated[key].listed or at.key not in keep)
                else at
                for at in several
            )
            for key, several in self.deployments.items()
        }
        doubted = {**self.doubts, runtime: tuple(doubts)}
        if self.report is None:  # who takes which part is worked out once the default runtime's list has been read
            return replace(self, deployments=deployments, declared=origin, doubts=doubted)
        return replace(self._with(self.models, deployments, self.report), doubts=doubted)

    def _with(
        self, models: Mapping[str, Model], deployments: Mapping[str, tuple[Deployment, ...]], report: Report
    ) -> Catalog:
        """These models and deployments, with the parts given to models that are listed."""
        origin = self.declared or self
        models = {key: listing.together(model, deployments.get(key, ())) for key, model in models.items()}
        here = [model for model in models.values() if model.listed]
        able = [model for model in here if model.routable] or here
        wanted = {"baseline": origin.baseline, "classifier": origin.classifier, "judge": origin.judge}
        parts = dict(wanted)
        for part, model_id in wanted.items():
            if not models[model_id].listed and able:
                usual = parts_of.typical_usd(origin.models[model_id])
                found = parts_of.strongest(able, usual) if part == "baseline" else parts_of.cheapest_first(able)[0]
                parts[part] = found.id
        models = {key: replace(model, baseline=key == parts["baseline"]) for key, model in models.items()}
        replaced = {part: (wanted[part], now) for part, now in parts.items() if now != wanted[part]}
        return replace(
            self,
            models=models,
            deployments=deployments,
            baseline=parts["baseline"],
            classifier=parts["classifier"],
            judge=parts["judge"],
            declared=origin,
            report=replace(report, replaced=replaced),
        )

    def loses(self, after: Catalog) -> bool:
        """Whether more than half of the pool would be gone after: a model is then believed to be gone when the next list lacks it, too."""
        return self.report is not None and 2 * len(set(self.names) & set(after.names)) < len(self.names)


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


def _on(several: Iterable[Deployment], runtime: str = DEFAULT_RUNTIME) -> Deployment | None:
    """The one of these deployments that is on a runtime, if there is one."""
    return next((at for at in several if at.runtime == runtime), None)


def _cheapest_first(several: Iterable[Deployment]) -> tuple[Deployment, ...]:
    return tuple(sorted(several, key=lambda at: (not at.model.priced, parts_of.typical_usd(at.model))))


def dearest(catalog: Catalog) -> Known:
    """The cautious price of a model whose own is not known: that of the dearest in the catalog."""
    known = [model for model in catalog.models.values() if model.priced]
    return Known(
        max((model.input_usd for model in known), default=0.0), max((model.output_usd for model in known), default=0.0)
    )


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
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
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
        if _on(found, runtime) is not None:
            raise CatalogError(f"model {model.id!r}: two deployments on the runtime {runtime}; name the runtime twice")
        if not isinstance(name, str) or (name and not _is_name(name)):
            raise CatalogError(f"model {model.id!r}: model is the name that the runtime {runtime} has for it")
        key = model.id if (len(tables) == 1 and runtime == DEFAULT_RUNTIME) else f"{model.id}@{runtime}"
        found.append(Deployment(key, runtime, replace(_priced(model, table), name=name)))
    return _cheapest_first(found)


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
        if folded(key) in ROUTED:
            raise CatalogError(
                f"model {key!r}: by this name callers leave the choice to Arbiter; give it another, and keep this one as the `model` of"
                " a deployment"
            )
        if (other := owners.setdefault(folded(key), key)) != key:
            raise CatalogError(f"model {key!r}: so the model {other!r} is called, too; names differ in more than case")
    for key, several in aliases.items():
        for alias in several:
            if folded(alias) in ROUTED:
                raise CatalogError(f"model {key!r}: by the alias {alias!r} callers leave the choice to Arbiter")
            if (other := owners.setdefault(folded(alias), key)) != key:
                raise CatalogError(
                    f"model {key!r}: the alias {alias!r} is a name of the model {other!r}; a name stands for one model"
                )


def _aliases(key: str, table: Mapping[str, Any]) -> tuple[str, ...]:
    stated = table["aliases"]
    if not isinstance(stated, list) or not all(isinstance(one, str) and one for one in stated):
        raise CatalogError(f"model {key!r}: aliases must be a list of names")
    return tuple(stated)
