"""Which deployment of a model serves: the cheapest that is healthy, then the next, before another model is asked.

Prompt caches live at a provider: a conversation stays with the deployment that served it while that costs no more than the cheapest would
without the cache, and a tool loop in any case, for what was thought and signed is read by its provider alone.

What is learned of an answer's quality belongs to the model; price, latency, health and limits belong to the deployment. The
policy sees a model at the price of the deployment that would serve now. A model with one deployment costs one look-up.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence, Set

import orjson

from arbiter_app.catalog import Catalog
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.health import Health
from arbiter_app.pipeline.limits import LearnedLimits
from arbiter_app.pipeline.types import ChatRequest, Completion, Deployment, Model

NEWEST_SHARE = 0.2
"""What the newest call counts for in a deployment's mean latency."""


class Deployments:
    """Chooses among the deployments of the catalog in force. `moved` hears that a model would be served from elsewhere now.

    `dialect_of` tells what a runtime speaks, `cached_usd` what a cached token costs of a model as it is sold there.
    `serving` has, by model, the key of the deployment that would serve where that is not the cheapest.
    """

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        health: Health,
        limits: LearnedLimits,
        *,
        moved: Callable[[], None],
        dialect_of: Callable[[str], str],
        cached_usd: Callable[[Model], float],
    ) -> None:
        self._catalog = catalog
        self._health = health
        self._limits = limits
        self._moved = moved
        self._dialect_of = dialect_of
        self._cached_usd = cached_usd
        self._latency_ms: dict[tuple[str, str], float] = {}
        """By deployment and model: a variant takes its own time."""
        self.serving: Mapping[str, str] = {}

    def order(self, decision: Decision, models: Sequence[str]) -> Iterator[Deployment]:
        """Whom to ask for these models, in their order. Where there is one model alone, its resting deployments come last."""
        catalog, alone = self._catalog(), len(models) == 1
        for model in models:
            several = self._speaking(catalog.at(model), decision.request)
            yield from several if len(several) == 1 else self._able(several, decision, alone)

    def speaks(self, model: str, request: ChatRequest) -> bool:
        """Whether a model has a deployment whose runtime speaks the caller's dialect."""
        native = request.native
        return native is not None and any(
            self._dialect_of(at.runtime) == native.dialect for at in self._catalog().at(model)
        )

    def askable(self, model: str) -> Sequence[Deployment]:
        """Whom to ask for a model that takes a part, and then for who may stand in for it."""
        catalog = self._catalog()
        return [at for one in catalog.askable(model) for at in self._able(catalog.at(one.id))]

    def resting(self, now: float) -> frozenset[str]:
        """The models that rest on each of their runtimes."""
        resting, catalog = self._health.resting(now), self._catalog()
        if not catalog.deployments or not (resting or self.serving):
            return catalog.with_variants(resting) if catalog.variants and resting else resting
        away, serving = _plain(resting, catalog), dict[str, str]()
        for model, several in catalog.deployments.items():
            here = _listed(several)
            able = next((at for at in here if at.key not in resting), None)
            if able is None:
                away.add(model)
            elif able is not here[0]:
                serving[model] = able.key
        if serving != self.serving:
            self.serving = serving
            self._moved()
        return catalog.with_variants(frozenset(away))

    def first(self, model: str) -> Deployment:
        """The deployment that would be asked for a model, as far as was noted."""
        catalog = self._catalog()
        here, key = _listed(catalog.at(model)), self.serving.get(catalog.model(model).base)
        return next((at for at in here if at.key == key), here[0])

    def gone(self) -> frozenset[str]:
        """The models that none of their runtimes serves, as these have said."""
        return self._all(self._health.gone())

    def lacking(self, written: Mapping[str, str], now: float) -> Mapping[str, str]:
        """The models of which every deployment refused what this request has in a field, and the field."""
        lacks, catalog = self._limits.lacking(written, now), self._catalog()
        found = (
            {model: lacks[_listed(catalog.at(model))[0].key] for model in self._all(lacks.keys())} if lacks else lacks
        )
        if not catalog.variants or not self._limits.known:
            return found
        refused = {key: field for key, one in catalog.variants.items() if (field := self._refuses(one, now))}
        return {**found, **refused}

    def _refuses(self, variant: Model, now: float) -> str:
        """The member by which a variant is asked for, where every deployment refused it; else nothing."""
        lacks = self._limits.lacking(said_of(variant), now)
        here = [lacks.get(at.key, "") for at in _listed(self._catalog().at(variant.id))] if lacks else [""]
        return here[0] if all(here) else ""

    def fitted(self, models: Sequence[Model], now: float) -> Sequence[Model]:
        """These models with the windows that were learned."""
        return self._limits.applied(models, self._catalog().at, now)

    def priced(self, done: Completion) -> bool:
        """Whether an answer of one of several deployments came from the one whose price is the model's now."""
        return done.deployment == self.first(done.model).key

    def timed(self, done: Completion) -> None:
        """Note how long one of several deployments took."""
        key = done.deployment, done.model
        before = self._latency_ms.get(key, done.latency_ms)
        self._latency_ms[key] = before + NEWEST_SHARE * (done.latency_ms - before)

    def latency_ms(self, model: str) -> float | None:
        """The mean latency of the deployment that would serve a model; None where the model's own is to be taken."""
        return self._latency_ms.get((self.first(model).key, model))

    def forget(self) -> None:
        """Start anew (operator reset)."""
        self._latency_ms.clear()

    def _all(self, keys: Set[str]) -> frozenset[str]:
        """The models all of whose deployments are among these keys."""
        catalog = self._catalog()
        if not catalog.deployments or not keys:
            return catalog.with_variants(frozenset(keys))
        several = catalog.deployments.items()
        return catalog.with_variants(
            frozenset(
                _plain(keys, catalog)
                | {model for model, found in several if all(at.key in keys for at in _listed(found))}
            )
        )

    def _speaking(self, several: Sequence[Deployment], request: ChatRequest) -> Sequence[Deployment]:
        """Those that can serve what the caller asks: only those of its dialect where it cannot be translated."""
        if request.untranslatable is None or request.native is None:
            return several
        return [at for at in several if self._dialect_of(at.runtime) == request.native.dialect]

    def _able(
        self, several: Sequence[Deployment], decision: Decision | None = None, alone: bool = False
    ) -> Sequence[Deployment]:
        """Those that do not rest, the cheapest first, but those last that would refuse; where all rest, those not gone."""
        now, here = time.monotonic(), _listed(several)
        able = [at for at in here if not self._health.quarantined(at.key, now)]
        if alone or not able:
            gone = self._health.gone()
            tired = [at for at in here if at not in able]
            able += [at for at in tired if at.key not in gone] or ([] if able else tired)
        if decision is None or len(able) < 2:
            return able
        able = self._warm_first(able, decision)
        lacking = self._limits.lacking(decision.request.written, now) if self._limits.known else ()
        needed = decision.eligible.tokens_needed if decision.eligible is not None else 0
        return sorted(able, key=lambda at: (at.key in lacking, self._too_small(at, needed, now)))

    def _warm_first(self, able: list[Deployment], decision: Decision) -> list[Deployment]:
        """The same with the one first that served the conversation last, where leaving it would save nothing."""
        warm = decision.warm
        last = next((at for at in able if at.key == warm.deployment), None) if warm is not None else None
        if warm is None or last is None or last is able[0]:
            return able
        told = decision.ask.tokens_out if decision.ask is not None else 0
        estimated = decision.eligible.prompt_tokens if decision.eligible is not None else 0
        prompt = round(estimated * warm.per_estimated)
        cached = min(warm.tokens, prompt)
        stays = _usd(last.model, prompt, told) - cached * (last.model.input_usd - self._cached_usd(last.model))
        if not warm.in_loop and stays > _usd(able[0].model, prompt, told):
            return able
        return [last, *(at for at in able if at is not last)]

    def _too_small(self, at: Deployment, needed: int, now: float) -> bool:
        window = self._limits.window_of(at, now)
        return window is not None and window < needed


def said_of(variant: Model) -> dict[str, str]:
    """The members by which a chat asks for a variant, each as JSON."""
    members = variant.setting.members if variant.setting is not None else {}
    return {name: orjson.dumps(value).decode() for name, value in members.items()}


def _usd(model: Model, prompt: int, told: int) -> float:
    """What a call costs at plain prices."""
    return model.input_usd * prompt + model.output_usd * told


def _plain(keys: Set[str], catalog: Catalog) -> set[str]:
    """Those of these keys that are the ids of models with one deployment."""
    return {key for key in keys if key in catalog.models and key not in catalog.deployments}


def _listed(several: Sequence[Deployment]) -> Sequence[Deployment]:
    """Those that their runtimes list; all where none does."""
    return several if len(several) == 1 else [at for at in several if at.model.listed] or several
