"""Cost against quality of the models of one task."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from arbiter_app.services.rows.policy import KnownModel
from arbiter_app.web.charts.parts import ACCENT, GREY, Figure, layout, shortened, usd_tick
from arbiter_app.web.formats import money, sample


def cost_quality(rows: Sequence[KnownModel], *, tolerance: float, baseline: str) -> Figure:
    """Models of one bucket: cost a call (log) against quality with its 95 % interval, Pareto front, tolerance band.

    Free models stand at the left edge, on a tenth of the smallest price.
    """
    known = [point for row in rows if (point := _point(row)) is not None]
    if not known:
        return {"data": [], "layout": layout()}
    paid = [point.cost for point in known if point.cost > 0]
    free = min(paid) / 10 if paid else 1e-6
    points = [(max(point.cost, free), point) for point in known]
    best = max(point.quality for point in known)
    band = {
        "type": "rect",
        "xref": "paper",
        "x0": 0,
        "x1": 1,
        "y0": best - tolerance,
        "y1": best,
        "fillcolor": ACCENT,
        "opacity": 0.09,
        "line": {"width": 0},
        "layer": "below",
    }
    low, high = min(x for x, _ in points), max(x for x, _ in points)
    ticks = _log_ticks(low, high, low == free)
    drawn = layout(
        hovermode="closest",
        xaxis={"type": "log", "title": {"text": "USD a call (log)"}, **ticks},
        yaxis={"title": {"text": "quality, 0 to 1"}, "tickformat": ".2f", "range": _around(known, best - tolerance)},
        shapes=[band],
        annotations=_names(points, baseline),
    )
    return {"data": [_front(points), _points(points)], "layout": drawn}


@dataclass(frozen=True, slots=True)
class Point:
    """A model of which cost (USD a call) and quality are known, with the interval of its quality."""

    model: str
    cost: float
    quality: float
    low: float
    high: float
    n: float
    chosen: bool


def _point(row: KnownModel) -> Point | None:
    cost, quality = row["avg_cost"], row["quality"]
    if cost is None or quality is None:
        return None
    low, high = row["low"] or quality, row["high"] or quality
    return Point(row["model"], cost, quality, low, high, row["n"], row["chosen"])


def _around(known: Sequence[Point], band: float) -> list[float]:
    """A range that holds every interval and the band, with room for a name above."""
    low = min(band, *(point.low for point in known))
    high = max(point.high for point in known)
    return [low - 0.08 * (high - low), high + 0.16 * (high - low)]


def _points(points: Sequence[tuple[float, Point]]) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [x for x, _ in points],
        "y": [point.quality for _, point in points],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [max(0, point.high - point.quality) for _, point in points],
            "arrayminus": [max(0, point.quality - point.low) for _, point in points],
            "thickness": 1.2,
            "width": 0,
            "color": GREY,
        },
        "marker": {
            "size": [13 if point.chosen else 8 for _, point in points],
            "color": [ACCENT if point.chosen else GREY for _, point in points],
            "line": {"width": 0},
        },
        "text": [f"{point.model}<br>n {sample(point.n)}" for _, point in points],
        "customdata": [money(point.cost) for _, point in points],
        "meta": [{"model": point.model} for _, point in points],
        "hovertemplate": "%{text}<br>quality %{y:.2f}<br>%{customdata} a call<extra></extra>",
    }


def _front(points: Sequence[tuple[float, Point]]) -> Figure:
    line: list[tuple[float, float]] = []
    for x, point in sorted(points, key=lambda one: (one[0], -one[1].quality)):
        if not line or point.quality > line[-1][1]:
            line.append((x, point.quality))
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x for x, _ in line],
        "y": [y for _, y in line],
        "line": {"color": ACCENT, "width": 1.2},
        "hoverinfo": "skip",
    }


def _names(points: Sequence[tuple[float, Point]], baseline: str) -> list[Figure]:
    """The current choice, the baseline and the best by name: above their intervals, and each on the side that has room.

    Of names that would lie over each other only the more important is written; pointing at a dot names any.
    """
    best = max(points, key=lambda one: one[1].quality)[1].model
    told = [(x, point) for x, point in points if point.chosen or point.model in (baseline, best)]
    told.sort(key=lambda one: (not one[1].chosen, one[1].model != baseline))
    low, high = math.log10(min(x for x, _ in points)), math.log10(max(x for x, _ in points))
    width, notes = max(high - low, 0.1), []
    taken: list[tuple[float, float]] = []
    for x, point in told:
        place = (math.log10(x) - low) / width
        side = "left" if place < 0.3 else "right" if place > 0.7 else "center"
        length = len(shortened(point.model)) * 0.018
        start = place - {"left": 0, "right": length, "center": length / 2}[side]
        if any(start < end and begin < start + length for begin, end in taken):
            continue
        taken.append((start, start + length))
        notes.append(_name(x, point, side))
    return notes


def _name(x: float, point: Point, side: str) -> Figure:
    name = shortened(point.model)
    return {
        "x": math.log10(x),
        "y": point.high,
        "text": f"<b>{name}</b>" if point.chosen else name,
        "showarrow": False,
        "xanchor": side,
        "yshift": 11,
        "font": {"size": 11, "color": ACCENT} if point.chosen else {"size": 11},
    }


def _log_ticks(low: float, high: float, has_free: bool) -> Figure:
    """Powers of ten in range, and 2 and 5 times them where those are few; the free models' place called `free`."""
    least = low * 2 if has_free else low
    powers = range(math.floor(math.log10(least)), math.floor(math.log10(high)) + 1)
    every = [(step * 10.0**power, step) for power in powers for step in (1, 2, 5)]
    inside = [one for one in every if least <= one[0] <= high]
    whole = [one for one in inside if one[1] == 1]
    values = [value for value, _ in (whole if len(whole) > 1 else inside)]
    free, name = ([low], ["free"]) if has_free else ([], [])
    return {"tickmode": "array", "tickvals": [*free, *values], "ticktext": [*name, *map(usd_tick, values)]}
