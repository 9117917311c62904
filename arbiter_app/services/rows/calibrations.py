"""Calibrations: every model asked the same prompts."""

from __future__ import annotations

from typing_extensions import TypedDict


class CalibrationHead(TypedDict):
    """A calibration, its money and its state."""

    id: str
    created: float
    changed: float
    max_usd: float
    estimate_usd: float
    state: str
    note: str


class CalibrationCell(TypedDict):
    """What a calibration found of a model for one kind of prompt."""

    bucket: str
    model: str
    n: int
    graded: int
    judged: int
    quality: float | None
    mean_cost: float | None


class CalibrationView(CalibrationHead):
    """A calibration with its progress and table."""

    prompts: int
    models: int
    total: int
    done: int
    failed: int
    failures: list[str]
    spent_usd: float
    table: list[CalibrationCell]


class CalibrationList(TypedDict):
    """The newest calibrations."""

    data: list[CalibrationHead]
