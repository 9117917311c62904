"""Spend over time by model, against the baseline."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from arbiter_app.services.rows.alerts import AlertRow
from arbiter_app.services.rows.reports import TimeSlot
from arbiter_app.web.charts.chart import ChartSpec, SummaryData
from arbiter_app.web.charts.parts import (
    GREY,
    UTC,
    Figure,
    calls_of,
    iso,
    layout,
    linear_ticks,
    shift_marks,
    span,
    time_range,
    whole_slot,
)
from arbiter_app.web.formats import money
from arbiter_app.web.theme import SERIES

MAX_SERIES = 5
LEAST_SLOTS = 6
LEARNT = SERIES[MAX_SERIES + 1]
"""Colour of what was asked beside answers: no model's."""


def spend(
    rows: Sequence[TimeSlot],
    alerts: Sequence[AlertRow],
    *,
    bucket_s: float,
    baseline: str,
    before: Sequence[TimeSlot] = (),
) -> Figure:
    """Spend per time bucket by model, and on learning, stacked, against what the baseline model would have cost, and what the same time
    `before` has cost; shifts are marked."""
    then = [row["spend"] for row in before]
    rows = rows if any(then) else _since_the_first(rows)
    totals: dict[str, float] = defaultdict(float)
    for row in rows:
        for model, usd in row["models"].items():
            totals[model] += usd
    top = sorted((name for name in totals if totals[name] > 0), key=lambda name: -totals[name])
    most = MAX_SERIES if len(top) > MAX_SERIES + 1 else MAX_SERIES + 1
    shown, rest = top[:most], set(top[most:])
    x, whole = [iso(row["ts"]) for row in rows], whole_slot(bucket_s)
    bars = [
        _bar(name, x, [row["models"].get(name, 0) for row in rows], SERIES[place], whole)
        for place, name in enumerate(shown)
    ]
    if rest:
        values = [sum(v for k, v in row["models"].items() if k in rest) for row in rows]
        bars.append(_bar(f"{len(rest)} others", x, values, GREY, whole))
    if any(row["learning"] for row in rows):
        bars.append(_bar("asked beside, to learn", x, [row["learning"] for row in rows], LEARNT, whole))
    # A slot in which nothing was compared has no baseline, rather than one equal to the spend.
    baselines = [row["baseline"] if row["measured_calls"] else None for row in rows]
    alone = sum(one is not None for one in baselines) == 1
    line = {
        "type": "scatter",
        "mode": "markers+text" if alone else "lines+markers",
        "text": ["one point so far" if alone and one is not None else "" for one in baselines],
        "textposition": "middle left",
        "marker": {"size": 8 if alone else 4, "color": GREY},
        "connectgaps": False,
        "name": f"{baseline} for everything",
        "x": x,
        "y": baselines,
        "customdata": [money(one) for one in baselines],
        "line": {"color": GREY, "width": 1.5, "dash": "dot"},
        "hovertemplate": "%{customdata}",
        **whole,
    }
    lines = [line, _before(x, then, whole)] if any(then) else [line]
    top_usd = max([one or 0 for one in baselines] + [row["spend"] for row in rows] + then, default=0)
    drawn = layout(
        barmode="stack",
        bargap=0.25,
        yaxis={"rangemode": "tozero", "title": {"text": f"USD per {span(bucket_s)}"}, **linear_ticks(top_usd)},
        xaxis={**UTC, "range": (within := time_range(rows, bucket_s))},
        meta=calls_of(rows),
    )
    return {"data": [*bars, *lines], "layout": drawn | shift_marks(alerts, within)}


def _since_the_first(rows: Sequence[TimeSlot]) -> Sequence[TimeSlot]:
    """The slots from the one before the first call on, LEAST_SLOTS of them at least: the range fits what there is."""
    first = next((at for at, row in enumerate(rows) if row["calls"]), 0)
    return rows[max(0, min(first - 1, len(rows) - LEAST_SLOTS)) :]


def _before(x: list[str], then: list[float], whole: Figure) -> Figure:
    return {
        "type": "scatter",
        "mode": "lines",
        "name": "the same time before",
        "x": x,
        "y": then,
        "customdata": [money(one) for one in then],
        "line": {"color": GREY, "width": 1.5, "shape": "hvh"},
        "hovertemplate": "%{customdata}",
        **whole,
    }


def _bar(name: str, x: list[str], y: list[float], colour: str, whole: Figure) -> Figure:
    return {
        "type": "bar",
        "name": name,
        "x": x,
        "y": y,
        "marker": {"color": colour, "line": {"width": 0}},
        "customdata": [money(one) for one in y],
        "hovertemplate": "%{customdata}",
        **whole,
    }


CHARTS = (
    ChartSpec(
        "spend",
        "Spend",
        SummaryData,
        lambda data: spend(
            data.series, data.alerts, bucket_s=data.bucket_s, baseline=data.baseline, before=data.before
        ),
    ),
)
