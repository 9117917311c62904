"""The routing brain: which eligible model serves. Pure functions over additive statistics; clock and seed come in.

A policy is chosen by name with `build`. All of them share the `Policy` protocol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from arbiter_app.policy.bandit import ArbiterPolicy
from arbiter_app.policy.classic import ClassicPolicy
from arbiter_app.policy.outlook import BucketOutlook
from arbiter_app.policy.segments import SegmentNews
from arbiter_app.policy.statistics import FIELDS, ModelStats, Rows, from_row
from arbiter_app.policy.types import (
    REACTION,
    Beside,
    Candidate,
    Candidates,
    Differing,
    Learned,
    ModelFacts,
    Objective,
    Observation,
    PolicySettings,
    PolicySnapshot,
    RoutingAsk,
    RoutingChoice,
    Segment,
    Serve,
    Shift,
    Trials,
    Wish,
)

POLICIES: dict[str, type[ArbiterPolicy] | type[ClassicPolicy]] = {"arbiter": ArbiterPolicy, "classic": ClassicPolicy}


class Policy(Protocol):
    """What the product needs of a policy. See `classic.py` for the meaning of each method."""

    name: str

    def know(self, facts: Mapping[str, ModelFacts], baseline: str) -> None: ...

    def choose(self, ask: RoutingAsk, now: float, seed: int) -> RoutingChoice: ...

    def record(self, observation: Observation) -> Learned: ...

    def grade(self, observation: Observation) -> Learned: ...

    def vote(
        self, bucket: str, model: str, up: bool, withdrawn: bool = False, segments: Sequence[Segment] = ()
    ) -> Learned: ...

    def load(self, rows: Rows, state: Mapping[str, bytes]) -> None: ...

    def merge(self, rows: Rows) -> None: ...

    def moved(self, kind: str, bucket: str, model: str) -> None: ...

    def segment_news(self) -> SegmentNews: ...

    def hear_segments(self, news: SegmentNews) -> None: ...

    def forget(self) -> None: ...

    def snapshot(self) -> PolicySnapshot: ...

    def buckets(self) -> list[str]: ...

    def rows(self) -> list[tuple[str, str, ModelStats]]: ...

    def table(self, bucket: str, models: Sequence[str]) -> list[dict[str, Any]]: ...

    def expected_cost_usd(self, bucket: str, model: str, tokens_in: int, tokens_out: int) -> float | None: ...

    def price_level(self, bucket: str, model: str) -> float | None: ...

    def expected_latency_ms(self, bucket: str, model: str) -> float | None: ...

    def baseline_cost_usd(self, bucket: str, tokens_in: int) -> float | None: ...

    def learning(self) -> dict[str, float]: ...

    def graded(self, bucket: str, model: str) -> float: ...

    def learning_left_usd(self, bucket: str) -> float: ...

    def outlook(self) -> list[BucketOutlook]: ...

    def segments(self, models: Sequence[str]) -> list[Differing]: ...

    def licensed(self, bucket: str, segments: Sequence[Segment] = ()) -> frozenset[str]: ...


def build(name: str, *, catalog: Mapping[str, ModelFacts], baseline: str, settings: PolicySettings) -> Policy:
    """The policy of that name. Raises ValueError naming the known ones."""
    if name not in POLICIES:
        raise ValueError(f"unknown policy {name!r}; known are {', '.join(sorted(POLICIES))}")
    return POLICIES[name](catalog, baseline, settings)


__all__ = [
    "FIELDS",
    "POLICIES",
    "REACTION",
    "RoutingAsk",
    "Beside",
    "BucketOutlook",
    "Candidate",
    "Candidates",
    "Differing",
    "RoutingChoice",
    "Learned",
    "ModelFacts",
    "ModelStats",
    "Objective",
    "Observation",
    "Policy",
    "PolicySettings",
    "PolicySnapshot",
    "Rows",
    "Serve",
    "Shift",
    "Trials",
    "Wish",
    "Segment",
    "build",
    "from_row",
]
