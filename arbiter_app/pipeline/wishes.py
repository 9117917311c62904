"""What a caller wishes beyond an answer: by a preset in the place of a model's name, by fields of its own, or by a model's name.

A field of the request goes before what its preset says, and both before what the operator's rule would do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from arbiter_app.pipeline.errors import Unprocessable
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import ChatRequest
from arbiter_app.policy import Objective, Wish

AUTO = "auto"
"""The model that stands for all of them."""


@dataclass(frozen=True, slots=True)
class Preset:
    """Wishes under one name, `auto:NAME`. None: nothing is said of it. `allow` is as `ChatRequest.allow`; units are in the names."""

    objective: Objective | None = None
    tolerance: float | None = None
    allow: tuple[str, ...] | None = None
    max_cost_usd: float | None = None
    max_latency_s: float | None = None


BUILT_IN: Mapping[str, Preset] = {
    "cheap": Preset(Objective.COST),
    "best": Preset(Objective.QUALITY),
    "fast": Preset(Objective.LATENCY),
}
"""The presets that every Arbiter has, unless its catalog says something else under the same name."""


def objective_of(field: str, value: object) -> Objective:
    """The objective that a field of a request names. Raises Unprocessable."""
    if not isinstance(value, str) or value not in Objective._value2member_map_:
        raise Unprocessable(f"{field} must be one of {', '.join(Objective)}, not {quoted(value, 40)}", param=field)
    return Objective(value)


class NamedModels(Protocol):
    """What is asked of the catalog (`catalog.Catalog`)."""

    @property
    def names(self) -> tuple[str, ...]: ...

    @property
    def presets(self) -> Mapping[str, Preset]: ...

    def resolve(self, name: str) -> str: ...


class Wishes:
    """Reads wishes. `honour_model`: a model of the pool that is named in `model` is pinned."""

    def __init__(self, catalog: Callable[[], NamedModels], *, honour_model: bool) -> None:
        self._catalog = catalog
        self._honour_model = honour_model

    def applied(self, request: ChatRequest) -> ChatRequest:
        """The request with all that it wishes filled in. Raises Unprocessable for a preset that does not exist."""
        named = request.payload.get("model")
        if isinstance(named, str) and named != AUTO:
            preset = self._preset(named)
            if preset is not None:
                request = _with(request, preset)
            elif self._honour_model and request.pin is None:
                request = self._pinned(request, named)
        if request.objective is None and request.tolerance is None:
            if request.caller.tolerance is None:
                return request
            request = replace(request, tolerance=request.caller.tolerance)
        wish = Wish(request.objective or Objective.BALANCED, request.tolerance)
        return request if wish == Wish() else replace(request, wish=wish)

    def _preset(self, named: str) -> Preset | None:
        """The preset that a model's name stands for, whatever provider a client has put before it."""
        auto, colon, name = named.rpartition("/")[2].strip().casefold().partition(":")
        if auto != AUTO or not colon:
            return None
        presets = self._catalog().presets
        if name not in presets and named not in self._catalog().names:
            known = ", ".join([AUTO, *(f"{AUTO}:{one}" for one in presets)])
            raise Unprocessable(f"model: there is no preset {quoted(named)}; known are {known}", param="model")
        return presets.get(name)

    def _pinned(self, request: ChatRequest, named: str) -> ChatRequest:
        model = self._catalog().resolve(named)
        return replace(request, pin=model) if model in self._catalog().names else request


def _with(request: ChatRequest, preset: Preset) -> ChatRequest:
    return replace(
        request,
        objective=request.objective or preset.objective,
        tolerance=preset.tolerance if request.tolerance is None else request.tolerance,
        allow=preset.allow if request.allow is None else request.allow,
        max_cost_usd=preset.max_cost_usd if request.max_cost_usd is None else request.max_cost_usd,
        max_latency_s=preset.max_latency_s if request.max_latency_s is None else request.max_latency_s,
    )
