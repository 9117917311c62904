"""The share of calls spent on learning, over time."""

from __future__ import annotations

from collections.abc import Sequence

from arbiter_app.services.rows import TimeSlot
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


def exploration(rows: Sequence[TimeSlot], *, cap: float | None, bucket_s: float) -> Figure:
    """Share of calls spent on learning per bucket, against its cap."""
    x = [iso(row["ts"]) for row in rows]
    area = {
        "type": "scatter",
        "mode": "lines+markers",
        "marker": {"size": 4},
        "fill": "tozeroy",
        "name": "learning",
        "x": x,
        "y": [_explored(row) for row in rows],
        "line": {"color": WARN, "width": 1.4},
        "text": [f"{row.get('calls') or 0:,} calls" for row in rows],
        "hovertemplate": "%{y:.1%} of %{text}",
        **whole_slot(bucket_s),
    }
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
        yaxis={"title": {"text": "share of calls"}, "tickformat": ".0%", "rangemode": "tozero"},
        xaxis={**UTC, "range": time_range(rows, bucket_s)},
        meta=calls_of(rows),
        shapes=[line] if cap is not None else [],
    )
    return {"data": [area], "layout": drawn}


def _explored(row: TimeSlot) -> float | None:
    """The share of a slot's calls that were chosen to learn something."""
    return sum(row["modes"].get(mode, 0) for mode in LEARNING) / row["calls"] if row["calls"] else None


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
