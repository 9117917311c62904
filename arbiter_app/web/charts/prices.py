"""What a thousand tokens cost, decision by decision."""

from __future__ import annotations

from collections.abc import Sequence

from arbiter_app.services.rows.alerts import AlertRow
from arbiter_app.services.rows.models import PricePoint
from arbiter_app.web.charts.chart import ChartSpec, LearnedData
from arbiter_app.web.charts.parts import UTC, Figure, iso, layout, power_ticks, shift_marks
from arbiter_app.web.formats import money
from arbiter_app.web.theme import SERIES


def prices(rows: Sequence[PricePoint], alerts: Sequence[AlertRow], *, models: Sequence[str]) -> Figure:
    """What a thousand tokens of each model cost, decision by decision, in USD on a log axis, with shifts marked."""
    lines: list[Figure] = []
    for place, model in enumerate(models[: len(SERIES)]):
        own = [(row["ts"], cost) for row in rows if row["model"] == model and (cost := row["cost"] or 0) > 0]
        if own:
            lines.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": model,
                    "x": [iso(ts) for ts, _ in own],
                    "y": [cost for _, cost in own],
                    "marker": {"size": 5, "color": SERIES[place], "opacity": 0.75},
                    "customdata": [money(cost) for _, cost in own],
                    "hovertemplate": "%{customdata}",
                }
            )
    x = sorted(point for line in lines for point in line["x"])
    drawn = layout(
        xaxis=dict(UTC),
        yaxis={
            "type": "log",
            "title": {"text": "USD a 1,000 tokens (log)"},
            **power_ticks([y for line in lines for y in line["y"]]),
        },
    )
    return {"data": lines, "layout": drawn | shift_marks(alerts, [x[0], x[-1]] if x else None)}


CHARTS = (
    ChartSpec("prices", "Prices", LearnedData, lambda data: prices(data.prices, data.alerts, models=data.busiest)),
)
