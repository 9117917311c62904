"""Demo price overrides: a multiplier per model that scales the reported cost, in memory only, gone at restart.

Each change has its time, also one that clears: processes that were apart tell each other all of them, and the latest holds.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

LATER_S = 1e-6
"""How much later than the one before a change is at least, whatever clocks say."""
Change = tuple[str, float, float]
"""Model, multiplier (1: none), and when that was set, unix seconds."""


class PriceOverrides:
    """Multiplier by model; 1 means no override."""

    def __init__(self) -> None:
        self._changes: dict[str, tuple[float, float]] = {}

    def multiplier_of(self, model: str) -> float:
        """How the reported cost of this model is scaled at the moment."""
        change = self._changes.get(model)
        return 1.0 if change is None else change[0]

    def set(self, model: str, multiplier: float) -> Change:
        """Scale a model's reported cost from now on; 1 clears. The change, for other processes."""
        _, before = self._changes.get(model, (1.0, 0.0))
        at = max(time.time(), before + LATER_S)
        self._changes[model] = multiplier, at
        return model, multiplier, at

    def hear(self, model: str, multiplier: float, at: float) -> None:
        """Do as another process did, unless something later is known."""
        if at > self._changes.get(model, (1.0, 0.0))[1]:
            self._changes[model] = float(multiplier), float(at)

    def told(self) -> Iterable[Change]:
        """The last change of every model that ever had one."""
        return [(model, *change) for model, change in self._changes.items()]

    def active(self) -> dict[str, float]:
        """The overrides in force."""
        return {model: multiplier for model, (multiplier, _) in self._changes.items() if multiplier != 1.0}

    def forget(self) -> None:
        """Drop every override."""
        for model in self.active():
            self.set(model, 1.0)
