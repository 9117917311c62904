"""Sufficient statistics of one model in one bucket: sums only, so that deltas of several processes add up in any order.

A price shift is learned anew by adding the negative of the cost sums: resets are deltas like any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace

SIZE_FIELDS = ("sized_n", "sized_usd", "sized_sq", "size_sum", "size_sq", "size_usd")
COST_FIELDS = (
    *("tries", "cost_n", "cost_usd", "cost_sq", "unit_n", "unit_sum", "unit_sq", "tokens_in", "tokens_out"),
    *SIZE_FIELDS,
)
GRADE_FIELDS = ("graded", "quality_sum", "quality_sq", "votes", "votes_sum")
PAIR_FIELDS = ("paired", "paired_sum", "paired_sq", "beside_sum", "beside_sq", "paired_product")
GROUPS = (
    *(("calls",), GRADE_FIELDS, PAIR_FIELDS, COST_FIELDS),
    *(("latency_n", "latency_ms"), ("explore_n", "explore_usd"), ("shadow_n",)),
)
"""Sums that say something together."""
BEYOND = 1e24
"""No sum of calls is as large, of squares of tokens neither."""
Z95 = 1.959964
"""Standard deviations of a normal 95 % interval, two-sided."""
ROUNDED = 0.5
"""How far what was added and taken away again may be from what it should be, in any unit."""

UNITS_PER_USD = 2**60
"""Units in which dollars of rows are added up: whole numbers, whose total is the same in whatever order they came."""


@dataclass(slots=True)
class ModelStats:
    """Additive sums. Money in USD, latency in milliseconds, quality weighted by the reliability of its grade.

    From `sized_n` on, six are of charged calls whose prompt's length was known, in estimated tokens: calls, cost, cost squared,
    length, length squared, and length times cost. `shadow_n` of the calls were asked beside an answer. From `paired` on, six are of
    grades of prompts that the baseline answered, too, with a known grade: weight, grades, grades squared, the baseline's grades, these
    squared, and both multiplied.
    """

    calls: float = 0.0
    tries: float = 0.0
    graded: float = 0.0
    quality_sum: float = 0.0
    quality_sq: float = 0.0
    votes: float = 0.0
    votes_sum: float = 0.0
    cost_n: float = 0.0
    cost_usd: float = 0.0
    cost_sq: float = 0.0
    unit_n: float = 0.0
    unit_sum: float = 0.0
    unit_sq: float = 0.0
    tokens_in: float = 0.0
    tokens_out: float = 0.0
    latency_n: float = 0.0
    latency_ms: float = 0.0
    explore_n: float = 0.0
    explore_usd: float = 0.0
    sized_n: float = 0.0
    sized_usd: float = 0.0
    sized_sq: float = 0.0
    size_sum: float = 0.0
    size_sq: float = 0.0
    size_usd: float = 0.0
    shadow_n: float = 0.0
    paired: float = 0.0
    paired_sum: float = 0.0
    paired_sq: float = 0.0
    beside_sum: float = 0.0
    beside_sq: float = 0.0
    paired_product: float = 0.0

    def add(self, other: ModelStats) -> None:
        """Add another's sums to these."""
        _ADD(self, other)

    def as_dict(self) -> dict[str, float]:
        """The sums that are not zero, by name."""
        return {name: value for name in FIELDS if (value := getattr(self, name))}

    def cost_reset(self) -> ModelStats:
        """The delta that makes the cost be learned anew: the negative of everything known about it."""
        return ModelStats(**{name: -getattr(self, name) for name in COST_FIELDS})

    def repriced(self, usd: float | None, risen: bool) -> ModelStats:
        """The delta after which one call for `usd` is all that is known of the cost; nothing where that is None.

        Where the price has risen, `tries` starts again, too: they count the calls since (`calls` goes on). Where it has fallen,
        they are as many as the calls again: nothing has to be earned anew.
        """
        delta = self.cost_reset()
        if not risen:
            delta.tries = self.calls - self.tries
        if usd is not None:
            delta.add(ModelStats(cost_n=1.0, cost_usd=usd, cost_sq=usd * usd))
        return delta

    @property
    def mean_cost_usd(self) -> float | None:
        """Mean charge of a call, None before the first known one."""
        return self.cost_usd / self.cost_n if self.cost_n > 0.5 else None

    @property
    def mean_latency_ms(self) -> float | None:
        """Mean latency of a call, None before the first."""
        return self.latency_ms / self.latency_n if self.latency_n > 0.5 else None

    @property
    def mean_unit(self) -> float | None:
        """Mean unit price of the priced calls."""
        return self.unit_sum / self.unit_n if self.unit_n > 0.5 else None

    def quality(self, prior: float | None, prior_strength: float, vote_weight: float) -> float | None:
        """Mean quality, blended with a prior of `prior_strength` pseudo-grades and votes of `vote_weight` each."""
        weight = self.graded + vote_weight * self.votes
        total = self.quality_sum + vote_weight * self.votes_sum
        if prior is not None:
            weight, total = weight + prior_strength, total + prior_strength * prior
        return total / weight if weight > 1e-9 else None


FIELDS: tuple[str, ...] = tuple(spec.name for spec in fields(ModelStats))


def _adding() -> Callable[[ModelStats, ModelStats], None]:
    """What adds one's sums to another's, a line for each, as dataclasses write `__init__`: a loop over their names takes three times as
    long (4.8 us against 1.6), and it is done twice for each call."""
    lines = [f"    if more.{name}: into.{name} += more.{name}" for name in FIELDS]
    made: dict[str, Callable[[ModelStats, ModelStats], None]] = {}
    exec("\n".join(["def add(into, more):", *lines]), made)  # noqa: S102 - of names that stand above
    return made["add"]


_ADD = _adding()

Rows = Iterable[tuple[str, str, ModelStats]]


class StatsTable:
    """Statistics by bucket and model, created on demand. Memory grows with models x buckets, never with requests."""

    def __init__(self) -> None:
        """Empty. `total` holds the calls, those beside an answer, the trials and what they cost over all rows, and nothing else."""
        self._rows: dict[str, dict[str, ModelStats]] = {}
        self._explore_units = 0
        self.total = ModelStats()

    def bucket(self, bucket: str) -> dict[str, ModelStats]:
        """The models known in a bucket."""
        return self._rows.setdefault(bucket, {})

    def of(self, bucket: str, model: str) -> ModelStats:
        """The statistics of one model in one bucket."""
        rows = self._rows.setdefault(bucket, {})
        found = rows.get(model)
        if found is None:
            found = rows[model] = ModelStats()
        return found

    def known(self, bucket: str, model: str) -> ModelStats:
        """The same for reading: a model without statistics gives zeros, and nothing is created."""
        return self._rows.get(bucket, {}).get(model) or ModelStats()

    def buckets(self) -> list[str]:
        """The buckets with any statistics, sorted."""
        return sorted(bucket for bucket, rows in self._rows.items() if rows)

    def add(self, rows: Rows) -> None:
        """Add deltas (own or another process's)."""
        for row in rows:
            self.fold(*row)

    def fold(self, bucket: str, model: str, delta: ModelStats) -> ModelStats:
        """Add a delta; returns the statistics that it was added to."""
        found, total = self.of(bucket, model), self.total
        before = found.explore_usd
        _ADD(found, delta)
        total.calls += delta.calls
        total.explore_n += delta.explore_n
        total.shadow_n += delta.shadow_n
        if found.explore_usd != before:
            self._explore_units += _units(found.explore_usd) - _units(before)
            total.explore_usd = self._explore_units / UNITS_PER_USD
        return found

    def rows(self) -> list[tuple[str, str, ModelStats]]:
        """Everything, as absolute rows."""
        return [(bucket, model, stats) for bucket, models in self._rows.items() for model, stats in models.items()]

    def clear(self) -> None:
        """Forget everything."""
        self._rows.clear()
        self._explore_units = 0
        self.total = ModelStats()


def _units(usd: float) -> int:
    return round(usd * UNITS_PER_USD)


def from_row(values: Mapping[str, float]) -> ModelStats:
    """Statistics from named columns, as far as they are `plausible`; unknown names are ignored."""
    return plausible(ModelStats(**{name: float(values[name]) for name in FIELDS if name in values}))


def plausible(stats: ModelStats) -> ModelStats:
    """The same without sums that no calls can have added up to, group by group."""
    for group in GROUPS:
        if not all(-ROUNDED <= getattr(stats, name) < BEYOND for name in group):
            stats = replace(stats, **dict.fromkeys(group, 0.0))
    if max(stats.quality_sum, stats.quality_sq) > stats.graded + ROUNDED:
        stats = replace(stats, **dict.fromkeys(GRADE_FIELDS, 0.0))
    if max(getattr(stats, name) for name in PAIR_FIELDS[1:]) > stats.paired + ROUNDED:
        stats = replace(stats, **dict.fromkeys(PAIR_FIELDS, 0.0))
    return stats


def wilson(total: float, weight: float, z: float = Z95) -> tuple[float, float]:
    """Wilson score interval of a mean in 0..1 over `weight` observations summing to `total` (Wilson, 1927)."""
    if weight <= 0:
        return 0.0, 1.0
    mean = min(1.0, max(0.0, total / weight))
    centre = mean + z * z / (2 * weight)
    half = z * math.sqrt(mean * (1 - mean) / weight + z * z / (4 * weight * weight))
    scale = 1 + z * z / weight
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)
