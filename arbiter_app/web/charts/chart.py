"""Which charts there are: each file here names its own in `CHARTS`, and what data they are drawn from."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from arbiter_app.services.rows.alerts import AlertRow
from arbiter_app.services.rows.decisions import DecisionRow
from arbiter_app.services.rows.models import PricePoint
from arbiter_app.services.rows.policy import KnownModel
from arbiter_app.services.rows.reports import TimeSlot
from arbiter_app.web.charts.parts import Figure


@dataclass(frozen=True, slots=True)
class SummaryData:
    """What charts of the overview are drawn from, per slot of `bucket_s` seconds, and as many slots `before`; `cap` is the share that trials
    may have."""

    topic: ClassVar[str] = "summary"
    series: Sequence[TimeSlot]
    before: Sequence[TimeSlot]
    alerts: Sequence[AlertRow]
    bucket_s: float
    baseline: str
    cap: float | None


@dataclass(frozen=True, slots=True)
class LearnedData:
    """What charts of the models page are drawn from; `known` is by bucket, `busiest` orders models by their grades."""

    topic: ClassVar[str] = "models"
    series: Sequence[TimeSlot]
    alerts: Sequence[AlertRow]
    bucket_s: float
    cap: float | None
    known: Mapping[str, Sequence[KnownModel]]
    pool: Sequence[str]
    prices: Sequence[PricePoint]
    busiest: Sequence[str]


@dataclass(frozen=True, slots=True)
class TimelineData:
    """What charts of the demo are drawn from; `dearer` is by how much prices are changed now."""

    topic: ClassVar[str] = "demo"
    rows: Sequence[DecisionRow]
    alerts: Sequence[AlertRow]
    dearer: Mapping[str, float]


D = TypeVar("D", SummaryData, LearnedData, TimelineData)


@dataclass(frozen=True, slots=True)
class ChartSpec(Generic[D]):
    """A chart: its name in addresses and files, its title, of what it is drawn, and how. It is drawn for the page of that topic."""

    name: str
    title: str
    of: type[D]
    draw: Callable[[D], Figure]


@functools.cache
def charts() -> dict[str, ChartSpec[Any]]:
    """Every chart of this folder, by name."""
    folder = importlib.import_module(__package__)
    files = [importlib.import_module(f"{__package__}.{one.name}") for one in pkgutil.iter_modules(folder.__path__)]
    return {one.name: one for file in files for one in getattr(file, "CHARTS", ())}


def drawn(data: SummaryData | LearnedData | TimelineData) -> dict[str, Figure]:
    """The figures that are drawn from this, by name."""
    return {name: one.draw(data) for name, one in charts().items() if one.of is type(data)}


def blank(of: type[SummaryData | LearnedData | TimelineData]) -> dict[str, Figure]:
    """The same before there are data."""
    return {name: {} for name, one in charts().items() if one.of is of}
