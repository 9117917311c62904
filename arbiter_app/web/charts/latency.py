"""Latency over time."""

from __future__ import annotations

from collections.abc import Sequence

from arbiter_app.services.rows.reports import TimeSlot
from arbiter_app.web.charts.chart import ChartSpec, LearnedData
from arbiter_app.web.charts.parts import ACCENT, UTC, WARN, Figure, calls_of, iso, layout, time_range, whole_slot


def latency(rows: Sequence[TimeSlot], *, bucket_s: float) -> Figure:
    """Median and 95th percentile of the time to the whole answer, per bucket."""
    x = [iso(row["ts"]) for row in rows]
    lines = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": x,
            "y": y,
            "marker": {"size": 4},
            "line": {"color": colour, "width": 1.8},
            "connectgaps": False,
            "text": [f"{row.get('calls') or 0:,} calls" for row in rows],
            "hovertemplate": "%{y:,.0f} ms, %{text}",
            **whole_slot(bucket_s),
        }
        for name, colour, y in (
            ("median", ACCENT, [row["p50_ms"] for row in rows]),
            ("95th percentile", WARN, [row["p95_ms"] for row in rows]),
        )
    ]
    drawn = layout(
        yaxis={"title": {"text": "ms to the whole answer"}, "rangemode": "tozero"},
        xaxis={**UTC, "range": time_range(rows, bucket_s)},
        meta=calls_of(rows),
    )
    return {"data": lines, "layout": drawn}


CHARTS = (ChartSpec("latency", "Latency", LearnedData, lambda data: latency(data.series, bucket_s=data.bucket_s)),)
