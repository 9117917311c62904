"""Which model answered each decision, over the last minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arbiter_app.services.rows.alerts import AlertRow
from arbiter_app.services.rows.decisions import DecisionRow
from arbiter_app.web.charts.chart import ChartSpec, TimelineData
from arbiter_app.web.charts.parts import ACCENT, HARM, LEARNING, UTC, WARN, Figure, iso, layout, seconds_of, shift_marks

TIMELINE_S = 120.0


def choices(rows: Sequence[DecisionRow], alerts: Sequence[AlertRow], dearer: Mapping[str, float]) -> Figure:
    """The demo's timeline: each decision as a dot in the lane of its model; shifts marked, changed prices named."""
    newest = rows[0]["ts"] if rows else 0.0
    rows = [row for row in rows if row["ts"] > newest - TIMELINE_S and row["model"]]
    lanes = list(dict.fromkeys(row["model"] for row in rows))[::-1]
    dots = [
        {
            "type": "scatter",
            "mode": "markers",
            "name": name,
            "x": [iso(row["ts"]) for row in own],
            "y": [row["model"] for row in own],
            "marker": {"color": colour, "size": size, "symbol": symbol},
            "hovertemplate": "%{y}<extra>" + name + "</extra>",
        }
        for name, colour, size, symbol, own in (
            ("exploit", ACCENT, 7, "circle", [r for r in rows if r["mode"] not in LEARNING]),
            ("explore", WARN, 9, "diamond-open", [r for r in rows if r["mode"] in LEARNING]),
        )
    ]
    x = sorted(point for one in dots for point in one["x"])
    drawn = layout(
        hovermode="closest",
        xaxis=dict(UTC),
        yaxis={
            "type": "category",
            "categoryorder": "array",
            "categoryarray": lanes,
            "showticklabels": False,
            "range": [-0.5, len(lanes) - 0.2],
        },
    ) | shift_marks(alerts, [x[0], iso(seconds_of(x[-1]) + 1)] if x else None)
    drawn["annotations"] = [*drawn["annotations"], *(_lane(name, dearer.get(name)) for name in lanes)]
    return {"data": dots, "layout": drawn}


def _lane(model: str, times: float | None) -> Figure:
    """A lane's name over its line, so that it takes no width from the dots."""
    return {
        "xref": "paper",
        "x": 0,
        "y": model,
        "xanchor": "left",
        "yshift": 13,
        "text": f"<b>{model} ×{times:g}</b>" if times else model,
        "showarrow": False,
        "font": {"size": 11, "color": HARM} if times else {"size": 11},
    }


CHARTS = (ChartSpec("timeline", "Timeline", TimelineData, lambda data: choices(data.rows, data.alerts, data.dearer)),)
