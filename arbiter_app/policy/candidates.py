"""The models in the order of the arrays, and which of them may serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf
from types import MappingProxyType

import numpy as np

from arbiter_app.policy.posterior import Array


@dataclass(frozen=True, slots=True)
class CandidateMask:
    """Places of the models that may serve; `barred` [K] is infinite for all others and else 0, to be added to losses."""

    places: tuple[int, ...]
    barred: Array

    def without(self, places: set[int]) -> CandidateMask:
        """The same without some, unless none would be left."""
        left = tuple([at for at in self.places if at not in places])
        return candidate_mask(left, len(self.barred)) if left and len(left) < len(self.places) else self


def candidate_mask(places: tuple[int, ...], size: int) -> CandidateMask:
    """From places in a pool of some size."""
    barred = np.full(size, inf)
    barred[list(places)] = 0.0
    return CandidateMask(places, barred)


class ModelIndex:
    """The models in the order of the arrays, and the baseline's place among them. `variant_of` names the model of a variant."""

    def __init__(
        self, models: Sequence[str], baseline: str, variant_of: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.models = tuple(sorted(models))
        self.index = {model: at for at, model in enumerate(self.models)}
        self.base = self.index[baseline]
        self.of = [self.index.get(variant_of.get(model, model), at) for at, model in enumerate(self.models)]
        """By place: that of the model at its own setting."""
        self.kin = tuple([at for at, other in enumerate(self.of) if other == one] for one in self.of)
        """By place: the places of the same model at all of its settings."""

    def eligible(self, models: Sequence[str]) -> CandidateMask:
        """The places of these models."""
        return candidate_mask(tuple([self.index[model] for model in models]), len(self.models))
