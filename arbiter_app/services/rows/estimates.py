"""What other settings, and careless routing, would have cost and scored."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from typing_extensions import TypedDict

Interval = Annotated[list[float], Field(min_length=2, max_length=2, description="95 % interval: its two ends")]


class Estimated(TypedDict):
    """Cost a call in USD and quality, with their intervals; null where there is no estimate."""

    cost: float | None
    cost_interval: Interval | None
    quality: float | None
    quality_interval: Interval | None


class PlaceboLine(Estimated):
    """One rule of routing on the traffic that was seen."""

    name: str
    calls: int
    covered: float
    effective_sample_size: float | None
    refused: str | None


class Placebos(TypedDict):
    """The routing, and what it must beat."""

    calls: int
    lines: list[PlaceboLine]


class RoutedEstimate(Estimated):
    """The same calls as they were routed."""

    effective_sample_size: float | None


class ModelShare(TypedDict):
    """The share of the calls that a model would get."""

    model: str
    share: float


class WhatIfEstimate(Estimated):
    """Another rule on the same traffic; `refused` says why there is no estimate."""

    policy: str
    calls: int
    covered: float
    refused: str | None
    effective_sample_size: float | None
    as_routed: RoutedEstimate
    models: list[ModelShare]


class WhatIfAnswer(WhatIfEstimate):
    """What was asked, and the answer."""

    tolerance: float
    without: list[str]
    days: float | None
