"""What several charts are made of: colours, layout, time axes, ticks in USD, marks of shifts, the legend."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from arbiter_app.moments import moment
from arbiter_app.services.rows.alerts import AlertRow
from arbiter_app.services.rows.reports import TimeSlot
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.views import task_of

Figure = dict[str, Any]

ACCENT, GREY, HARM, WARN = "#0f8472", "#8a8780", "#d0483a", "#b3762a"
MARGIN = {"l": 8, "r": 12, "t": 12, "b": 8}
MOST_MARKS = 4
MARK_PX = 15
"""Height of the words of a mark; they have a row each above the plot."""
NAME_CHARS = 26
MINUTE_MS, DAY_MS = 60_000, 86_400_000
UTC: Figure = {
    "type": "date",
    "showgrid": False,
    "title": {"text": "time, UTC"},
    "tickangle": 0,
    "tickformatstops": [
        {"dtickrange": [None, MINUTE_MS - 1], "value": "%H:%M:%S\n%-d %b"},
        {"dtickrange": [MINUTE_MS, DAY_MS - 1], "value": "%H:%M\n%-d %b"},
        {"dtickrange": [DAY_MS, None], "value": "%-d %b\n%Y"},
    ],
}
ORDER = {name: place for place, name in enumerate(TASKS)}
LEARNING = ("explore", "holdout")
"""Modes of calls that were chosen to learn something."""


def ordered(buckets: Iterable[str]) -> list[str]:
    """Buckets in the order of the tasks."""
    return sorted(buckets, key=lambda name: (ORDER.get(task_of(name), len(ORDER)), name))


def layout(**more: Any) -> Figure:
    base: Figure = {"margin": dict(MARGIN), "autosize": True, "showlegend": False, "hovermode": "x unified"}
    return base | more


def iso(ts: float) -> str:
    return moment(ts, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def legend(figure: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name and colour of what a figure's bars and dots stand for; lines have a sign of their own."""
    shown = [trace for trace in figure["data"] if trace["type"] == "bar" or trace["mode"] == "markers"]
    return [{"name": str(trace["name"]), "colour": str(trace["marker"]["color"])} for trace in shown]


def whole_slot(bucket_s: float) -> Figure:
    """A value that belongs to a whole bucket stands in its middle, though it is named by its beginning."""
    return {"xperiod": bucket_s * 1000, "xperiodalignment": "middle"}


def calls_of(rows: Sequence[TimeSlot]) -> Figure:
    """The sample behind each bucket, for the table of a figure."""
    return {"calls": [row["calls"] for row in rows]}


def time_range(rows: Sequence[TimeSlot], bucket_s: float) -> list[str] | None:
    """From the first bucket, and a little room for the axis, to the end of the last: marks do not stretch it."""
    if not rows:
        return None
    first, last = rows[0]["ts"], rows[-1]["ts"] + bucket_s
    return [iso(first - 0.035 * (last - first)), iso(last)]


def shift_marks(alerts: Sequence[AlertRow], within: list[str] | None) -> Figure:
    """Lines where a price or a quality moved, and dashed ones where traffic then went, each with its words.

    `within` is the range of the axis. Words stand above the plot in rows of their own, at the side of their line where there is more room.
    """
    if not within:
        return {"shapes": [], "annotations": []}
    first, last = within
    inside = [one for one in _moments(alerts) if first <= one["x"] <= last][-MOST_MARKS:]
    middle = iso((seconds_of(first) + seconds_of(last)) / 2)
    return {
        "margin": MARGIN | {"t": MARGIN["t"] + MARK_PX * len(inside)},
        "shapes": [
            {
                "type": "line",
                "x0": one["x"],
                "x1": one["x"],
                "yref": "paper",
                "y0": 0,
                "y1": 1,
                "line": {"color": one["colour"], "width": 1, "dash": one["dash"]},
            }
            for one in inside
        ],
        "annotations": [
            {
                "x": one["x"],
                "y": 1,
                "yref": "paper",
                "yanchor": "bottom",
                "yshift": MARK_PX * (len(inside) - 1 - place),
                "text": one["text"],
                "showarrow": False,
                "xanchor": "left" if one["x"] < middle else "right",
                "xshift": 4 if one["x"] < middle else -4,
                "font": {"size": 11, "color": one["colour"]},
            }
            for place, one in enumerate(inside)
        ],
    }


def _moments(alerts: Sequence[AlertRow]) -> list[dict[str, str]]:
    """What the alerts tell, oldest first: what moved, and where its traffic went once that had settled."""
    found = []
    for one in alerts:
        colour = HARM if one["direction"] == "up" else ACCENT
        told = f"{shortened(one['model'])} {one['moved']}"
        found.append({"x": iso(one["ts"]), "text": told, "colour": colour, "dash": "solid"})
        settled, went = one["settled"], one["outcome"] or {}
        if settled and went.get("served_after") not in (None, went.get("served_before")):
            told = f"{one['bucket'] or 'traffic'} → {shortened(str(went['served_after']))}"
            found.append({"x": iso(settled), "text": told, "colour": ACCENT, "dash": "dot"})
    return sorted(found, key=lambda one: one["x"])


def shortened(model: str) -> str:
    return model if len(model) <= NAME_CHARS else model[: NAME_CHARS - 1].rstrip("-.") + "…"


def seconds_of(iso: str) -> float:
    return dt.datetime.fromisoformat(iso).timestamp()


def span(seconds: float) -> str:
    """A bucket length in words: `minute`, `5 minutes`, `hour`, `day`."""
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = round(seconds / size)
            return name if number == 1 else f"{number} {name}s"
    return f"{seconds:g} seconds"


def power_ticks(values: Sequence[float]) -> Figure:
    """Ticks of a log axis in USD at powers of ten."""
    found = [one for one in values if one and one > 0]
    if not found:
        return {}
    powers = range(math.floor(math.log10(min(found))), math.ceil(math.log10(max(found))) + 1)
    return {"tickmode": "array", "tickvals": [10.0**p for p in powers], "ticktext": [usd_tick(10.0**p) for p in powers]}


def linear_ticks(top: float) -> Figure:
    """Four or five round ticks from zero to `top` USD, each with the digits it needs."""
    if top <= 0:
        return {}
    step = 10.0 ** math.floor(math.log10(top / 4))
    step *= next(one for one in (1, 2, 2.5, 5, 10) if step * one >= top / 4.5)
    values = [step * place for place in range(math.ceil(top / step) + 1)]
    return {"tickmode": "array", "tickvals": values, "ticktext": [usd_tick(one) for one in values]}


def usd_tick(usd: float) -> str:
    if usd == 0:
        return "0"
    return f"${usd:.12f}".rstrip("0").rstrip(".")
