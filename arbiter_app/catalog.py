"""The model catalog: who could serve, at which list price, with which window and capabilities. `catalog_file.py` reads it.

Where the runtime lists its models, the pool is what it lists (`pool/`). A model that names no deployments has one, on the runtime
of the settings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace

from arbiter_app.pipeline.types import DEFAULT_RUNTIME, Deployment, Json, Model
from arbiter_app.pipeline.wishes import BUILT_IN, Preset
from arbiter_app.pool import listing
from arbiter_app.pool import parts as parts_of
from arbiter_app.pool.edits import NO_EDITS, Edits
from arbiter_app.pool.listing import Report
from arbiter_app.pool.names import FORMS, folded
from arbiter_app.pool.variants import beside, deployed, ids_of
from arbiter_app.runtime.claims.facts import Known
from arbiter_app.runtime.config import RuntimeConfig


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
        before, default = {**self.models}, {key: on_runtime(several) for key, several in self.deployments.items()}
        before.update((key, at.model) for key, at in default.items() if at is not None)
        built = listing.build(
            rows,
            {
                key: at.model if (at := on_runtime(origin.at(key))) is not None else model
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
            key: by_price(restated[key] if at.runtime == DEFAULT_RUNTIME else at for at in several)
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
            key: by_price(
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


def on_runtime(several: Iterable[Deployment], runtime: str = DEFAULT_RUNTIME) -> Deployment | None:
    """The one of these deployments that is on a runtime, if there is one."""
    return next((at for at in several if at.runtime == runtime), None)


def by_price(several: Iterable[Deployment]) -> tuple[Deployment, ...]:
    """Deployments, the cheapest first; those without a known price last."""
    return tuple(sorted(several, key=lambda at: (not at.model.priced, parts_of.typical_usd(at.model))))


def dearest(catalog: Catalog) -> Known:
    """The cautious price of a model whose own is not known: that of the dearest in the catalog."""
    known = [model for model in catalog.models.values() if model.priced]
    return Known(
        max((model.input_usd for model in known), default=0.0), max((model.output_usd for model in known), default=0.0)
    )
