"""Demo price overrides: a multiplier per model that scales the reported cost, in memory only, gone at restart."""

from __future__ import annotations


class PriceOverrides:
    """Multiplier by model; 1 means no override."""

    def __init__(self) -> None:
        self._multipliers: dict[str, float] = {}

    def multiplier_of(self, model: str) -> float:
        """How the reported cost of this model is scaled at the moment."""
        return self._multipliers.get(model, 1.0)

    def set(self, model: str, multiplier: float) -> None:
        """Scale a model's reported cost from now on; 1 clears."""
        if multiplier == 1.0:
            self._multipliers.pop(model, None)
        else:
            self._multipliers[model] = multiplier

    def active(self) -> dict[str, float]:
        """The overrides in force."""
        return dict(self._multipliers)

    def forget(self) -> None:
        """Drop every override."""
        self._multipliers.clear()
