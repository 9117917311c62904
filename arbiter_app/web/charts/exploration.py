"""The share spent on learning, over time: of the calls, where trials serve, and of the baseline's price, where they are asked beside."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from arbiter_app.services.rows.reports import TimeSlot
from arbiter_app.web.charts.chart import ChartSpec, LearnedData, SummaryData
from arbiter_app.web.charts.parts import (
    GREY,
    LEARNING,
    UTC,
    WARN,
    Figure,
    calls_of,
    iso,
    layout,
    time_range,
    whole_slot,
)
from arbiter_app.web.theme import SERIES


def exploration(rows: Sequence[TimeSlot], *, cap: float | None, bucket_s: float) -> Figure:
    """Shares spent on learning per bucket, against their cap."""
    served = _line("calls that served as trials", rows, _explored, WARN, "%{y:.1%} of %{text}", bucket_s)
    beside = _line(
        "dollars asked beside", rows, _beside, SERIES[0], "%{y:.1%} of the baseline's price, %{text}", bucket_s
    )
    shown = [one for one in (served, beside) if any(one["y"])] or [served]
    line = {
        "type": "line",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": cap,
        "y1": cap,
        "line": {"color": GREY, "dash": "dash"},
    }
    drawn = layout(
        yaxis={"title": {"text": "share"}, "tickformat": ".0%", "rangemode": "tozero"},
        xaxis={**UTC, "range": time_range(rows, bucket_s)},
        meta=calls_of(rows),
        shapes=[line] if cap is not None else [],
    )
    return {"data": shown, "layout": drawn}


def _line(
    name: str,
    rows: Sequence[TimeSlot],
    share: Callable[[TimeSlot], float | None],
    colour: str,
    said: str,
    bucket_s: float,
) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "marker": {"size": 4},
        "fill": "tozeroy",
        "name": name,
        "x": [iso(row["ts"]) for row in rows],
        "y": [share(row) for row in rows],
        "line": {"color": colour, "width": 1.4},
        "text": [f"{row.get('calls') or 0:,} calls" for row in rows],
        "hovertemplate": said,
        **whole_slot(bucket_s),
    }


def _explored(row: TimeSlot) -> float | None:
    """The share of a slot's calls that were chosen to learn something."""
    return sum(row["modes"].get(mode, 0) for mode in LEARNING) / row["calls"] if row["calls"] else None


def _beside(row: TimeSlot) -> float | None:
    """What was asked beside a slot's answers, as a share of what the baseline would have charged for these."""
    return row["learning"] / row["baseline"] if row["measured_calls"] and row["baseline"] > 0 else None


CHARTS = (
    ChartSpec(
        "learning",
        "Exploration",
        SummaryData,
        lambda data: exploration(data.series, cap=data.cap, bucket_s=data.bucket_s),
    ),
    ChartSpec(
        "models-learning",
        "Exploration",
        LearnedData,
        lambda data: exploration(data.series, cap=data.cap, bucket_s=data.bucket_s),
    ),
)
