"""What every policy does the same way: keep additive statistics, fold observations in, and report them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from arbiter_app.policy.licence import licence_of
from arbiter_app.policy.outlook import BucketOutlook
from arbiter_app.policy.price import unit_price
from arbiter_app.policy.segments import SegmentNews
from arbiter_app.policy.statistics import ModelStats, Rows, StatsTable
from arbiter_app.policy.types import (
    UNLISTED,
    Candidate,
    Differing,
    Learned,
    ModelFacts,
    Observation,
    PolicySettings,
    PolicySnapshot,
    Segment,
)


class BasePolicy:
    """A thin holder of the statistics table. Deciding is left to pure functions over it."""

    def __init__(self, facts: Mapping[str, ModelFacts], baseline: str, settings: PolicySettings) -> None:
        self._facts = facts
        self._baseline = baseline
        self._settings = settings
        self._table = StatsTable()
        self._version = 0

    def snapshot(self) -> PolicySnapshot:
        """All that choices follow from now, as a copy."""
        rows = [(bucket, model, replace(stats)) for bucket, model, stats in self._table.rows()]
        return PolicySnapshot(self._version, tuple(sorted(rows, key=lambda row: row[:2])), self._state())

    def _state(self) -> Mapping[str, bytes]:
        """What choices follow from besides the statistics, as a store keeps it."""
        return {}

    def know(self, facts: Mapping[str, ModelFacts], baseline: str) -> None:
        """The pool changed: other models, prices, or another baseline. What was learned stays."""
        self._version += 1
        self._facts, self._baseline = facts, baseline

    def grade(self, observation: Observation) -> Learned:
        """A grade that came after the call was recorded."""
        if observation.quality is None:
            return Learned()
        delta = graded(observation.quality, observation.quality_weight)
        return Learned((self._fold(observation.bucket, observation.model, delta),))

    def vote(
        self, bucket: str, model: str, up: bool, withdrawn: bool = False, segments: Sequence[Segment] = ()
    ) -> Learned:
        """A human's thumb on an answer to a request of these segments, or taking one back."""
        sign = -1.0 if withdrawn else 1.0
        return Learned((self._fold(bucket, model, ModelStats(votes=sign, votes_sum=sign if up else 0.0)),))

    def load(self, rows: Rows, state: Mapping[str, bytes]) -> None:
        """Start from stored statistics."""
        self.forget()
        self._table.add(rows)

    def merge(self, rows: Rows) -> None:
        """Add what other processes learned."""
        self._version += 1
        self._table.add(rows)

    def moved(self, kind: str, bucket: str, model: str) -> None:
        """Another process has noticed a shift (`price` or `quality`), and its deltas come: nothing to notice again."""

    def segment_news(self) -> SegmentNews:
        """What was learned of segments here since the last time, for other processes; nothing where they are not looked at."""
        return []

    def hear_segments(self, news: SegmentNews) -> None:
        """Add what another process has learned of segments."""

    def forget(self) -> None:
        """Drop everything learned."""
        self._version += 1
        self._table.clear()

    def buckets(self) -> list[str]:
        """The buckets with any statistics."""
        return self._table.buckets()

    def rows(self) -> list[tuple[str, str, ModelStats]]:
        """The statistics as absolute rows."""
        return self._table.rows()

    def expected_cost_usd(self, bucket: str, model: str, tokens_in: int, tokens_out: int) -> float | None:
        """Mean charge of a call in this bucket; None before the first."""
        return self._table.known(bucket, model).mean_cost_usd

    def price_level(self, bucket: str, model: str) -> float | None:
        """Mean charge of calls in this bucket relative to the list price; None before the first, and where there is no list price."""
        return self._table.known(bucket, model).mean_unit if self._facts.get(model, UNLISTED).listed else None

    def expected_latency_ms(self, bucket: str, model: str) -> float | None:
        """Mean latency of a call in this bucket; None before the first."""
        return self._table.known(bucket, model).mean_latency_ms

    def baseline_cost_usd(self, bucket: str, tokens_in: int) -> float | None:
        """What the baseline would charge, from its own measured calls in this bucket; None while it has none."""
        known = self._table.known(bucket, self._baseline)
        mean = known.mean_cost_usd
        facts = self._facts.get(self._baseline, UNLISTED)
        if mean is None or not tokens_in or known.tokens_in <= 0:
            return mean
        level = known.mean_unit if known.mean_unit is not None else 1.0
        extra_tokens = tokens_in - known.tokens_in / known.cost_n
        return max(0.0, mean + extra_tokens * facts.input_usd_per_token * level)

    def learning(self) -> dict[str, float]:
        """What exploring took so far: the calls for answers, the trials among them, the calls beside answers, and dollars."""
        total = self._table.total
        return {
            "calls": total.calls - total.shadow_n,
            "explore_calls": total.explore_n - total.shadow_n,
            "shadow_calls": total.shadow_n,
            "explore_usd": total.explore_usd,
        }

    def graded(self, bucket: str, model: str) -> float:
        """The weight of a model's grades in a bucket."""
        return self._table.known(bucket, model).graded

    def learning_left_usd(self, bucket: str) -> float:
        """What may be spent on learning now, USD; without end where there is no bound."""
        return math.inf

    def outlook(self) -> list[BucketOutlook]:
        """What is expected to be saved in each bucket, from what is believed now; nothing where nothing is believed."""
        return []

    def segments(self, models: Sequence[str]) -> list[Differing]:
        """The parts of buckets that differ from one another, for these models; none where they are not looked at."""
        return []

    def licensed(self, bucket: str, segments: Sequence[Segment] = ()) -> frozenset[str]:
        """The models that have a licence to serve requests of these segments here (see `licence`), the baseline among them."""
        tolerance = self._settings.quality_tolerance
        rows = self._table.bucket(bucket).items()
        return frozenset({self._baseline, *(model for model, known in rows if licence_of(known, tolerance).granted)})

    def _fold(self, bucket: str, model: str, delta: ModelStats) -> tuple[str, str, ModelStats]:
        """Add to the sums of a model in a bucket; returns what is to be added to those of a store."""
        self._version += 1
        self._table.fold(bucket, model, delta)
        return bucket, model, delta

    def _rows(self, bucket: str, rated: Sequence[Candidate], best: str | None) -> list[dict[str, Any]]:
        tolerance = self._settings.quality_tolerance
        rows = [table_row(self._table.known(bucket, one.model), one, one.model == best, tolerance) for one in rated]
        for row in rows:
            row["licensed"] = row["licensed"] or row["model"] == self._baseline
        return rows


def table_row(known: ModelStats, one: Candidate, chosen: bool, tolerance: float) -> dict[str, Any]:
    """One model of a bucket as the reports show it, with what is proven of it at this tolerance."""
    licence = licence_of(known, tolerance)
    return {
        "model": one.model,
        "n": known.graded,
        "calls": known.calls,
        "quality": one.quality,
        "low": one.low,
        "high": one.high,
        "avg_cost": known.mean_cost_usd,
        "avg_latency_ms": known.mean_latency_ms,
        "chosen": chosen,
        "licensed": licence.granted,
        "pairs": licence.pairs,
        "at_most_worse": licence.at_most_worse if licence.at_most_worse < 1 else None,
        "pairs_to_go": None,
    }


def graded(quality: float, weight: float) -> ModelStats:
    """The additive change that one grade makes."""
    return ModelStats(graded=weight, quality_sum=weight * quality, quality_sq=weight * quality * quality)


def pair_of(observation: Observation, baseline: str) -> tuple[str, ModelStats] | None:
    """The model that was compared with the baseline on the same prompt, and the additive change that the pair of grades makes; None
    where there is no pair. It weighs as much as the less reliable of the two grades."""
    beside = observation.beside
    if beside is None or beside.quality is None or observation.quality is None:
        return None
    if (observation.model == baseline) == (beside.model == baseline):
        return None
    weight, own, other, model = (
        min(observation.quality_weight, beside.weight),
        observation.quality,
        beside.quality,
        observation.model,
    )
    if model == baseline:
        own, other, model = other, own, beside.model
    return model, ModelStats(
        paired=weight,
        paired_sum=weight * own,
        paired_sq=weight * own * own,
        beside_sum=weight * other,
        beside_sq=weight * other * other,
        paired_product=weight * own * other,
    )


def delta_of(observation: Observation, facts: ModelFacts) -> ModelStats:
    """The additive change that one call makes."""
    delta = ModelStats(calls=1.0, tries=1.0)
    if observation.cost_usd is not None:
        delta.cost_n, delta.cost_usd, delta.cost_sq = 1.0, observation.cost_usd, observation.cost_usd**2
        delta.tokens_in, delta.tokens_out = float(observation.tokens_in or 0), float(observation.tokens_out or 0)
        if observation.asked_tokens > 0:
            cost, length = observation.cost_usd, observation.asked_tokens
            delta.sized_n, delta.sized_usd, delta.sized_sq = 1.0, cost, cost * cost
            delta.size_sum, delta.size_sq, delta.size_usd = length, length * length, length * cost
        unit = unit_price(facts, observation)
        if unit is not None:
            delta.unit_n, delta.unit_sum, delta.unit_sq = 1.0, unit, unit * unit
    if observation.quality is not None:
        weight = delta.graded = observation.quality_weight
        delta.quality_sum, delta.quality_sq = weight * observation.quality, weight * observation.quality**2
    if observation.latency_ms is not None:
        delta.latency_n, delta.latency_ms = 1.0, observation.latency_ms
    if observation.mode in ("explore", "shadow"):
        delta.explore_n, delta.explore_usd = 1.0, observation.cost_usd or 0.0
        delta.shadow_n = float(observation.mode == "shadow")
    return delta
