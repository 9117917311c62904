"""Every figure of the web app."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from arbiter_app.services.rows import AlertRow, DecisionRow, KnownModel, PricePoint, TimeSlot
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.theme import SERIES
from arbiter_app.web.views import money, sample, task_of

Figure = dict[str, Any]

ACCENT, GREY, HARM, WARN = "#0f8472", "#8a8780", "#d0483a", "#b3762a"
_MARGIN = {"l": 8, "r": 12, "t": 12, "b": 8}
MAX_SERIES = 5
TIMELINE_S = 120.0
MOST_MARKS = 4
MOST_MODELS, FOLD_CHARS = 16, 12
FRAME, DARK_FROM = "#e3a92f", 0.9
"""Of the heat map: the frame of the current choice, and the quality from which a square is dark enough for white text."""
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


def ordered(buckets: Iterable[str]) -> list[str]:
    """Buckets in the order of the tasks."""
    return sorted(buckets, key=lambda name: (ORDER.get(task_of(name), len(ORDER)), name))


def _explored(row: TimeSlot) -> float | None:
    """The share of a slot's calls that were chosen to learn something."""
    return sum(row["modes"].get(mode, 0) for mode in LEARNING) / row["calls"] if row["calls"] else None


def _layout(**more: Any) -> Figure:
    base: Figure = {"margin": dict(_MARGIN), "autosize": True, "showlegend": False, "hovermode": "x unified"}
    return base | more


def _iso(ts: float) -> str:
    return dt.datetime.fromtimestamp(ts, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def spend(rows: Sequence[TimeSlot], alerts: Sequence[AlertRow], *, bucket_s: float, baseline: str) -> Figure:
    """Spend per time bucket by model, stacked, against what the baseline model would have cost; shifts are marked."""
    totals: dict[str, float] = defaultdict(float)
    for row in rows:
        for model, usd in row["models"].items():
            totals[model] += usd
    top = sorted((name for name in totals if totals[name] > 0), key=lambda name: -totals[name])
    most = MAX_SERIES if len(top) > MAX_SERIES + 1 else MAX_SERIES + 1
    shown, rest = top[:most], set(top[most:])
    x, whole = [_iso(row["ts"]) for row in rows], _whole(bucket_s)
    bars = [
        _bar(name, x, [row["models"].get(name, 0) for row in rows], SERIES[place], whole)
        for place, name in enumerate(shown)
    ]
    if rest:
        values = [sum(v for k, v in row["models"].items() if k in rest) for row in rows]
        bars.append(_bar(f"{len(rest)} others", x, values, GREY, whole))
    # A slot in which nothing was compared has no baseline, rather than one equal to the spend.
    baselines = [row["baseline"] if row["measured_calls"] else None for row in rows]
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "marker": {"size": 4, "color": GREY},
        "connectgaps": False,
        "name": f"{baseline} for everything",
        "x": x,
        "y": baselines,
        "customdata": [money(one) for one in baselines],
        "line": {"color": GREY, "width": 1.5, "dash": "dot"},
        "hovertemplate": "%{customdata}",
        **whole,
    }
    top_usd = max([one or 0 for one in baselines] + [row["spend"] for row in rows], default=0)
    layout = _layout(
        barmode="stack",
        bargap=0.25,
        yaxis={"rangemode": "tozero", "title": {"text": f"USD per {span(bucket_s)}"}, **_linear(top_usd)},
        xaxis={**UTC, "range": (within := _range(rows, bucket_s))},
        meta=_calls(rows),
    )
    return {"data": [*bars, line], "layout": layout | _marks(alerts, within)}


def legend(figure: Mapping[str, Any]) -> list[dict[str, str]]:
    """Name and colour of what a figure's bars and dots stand for; lines have a sign of their own."""
    shown = [trace for trace in figure["data"] if trace["type"] == "bar" or trace["mode"] == "markers"]
    return [{"name": str(trace["name"]), "colour": str(trace["marker"]["color"])} for trace in shown]


def _whole(bucket_s: float) -> Figure:
    """A value that belongs to a whole bucket stands in its middle, though it is named by its beginning."""
    return {"xperiod": bucket_s * 1000, "xperiodalignment": "middle"}


def _calls(rows: Sequence[TimeSlot]) -> Figure:
    """The sample behind each bucket, for the table of a figure."""
    return {"calls": [row["calls"] for row in rows]}


def _range(rows: Sequence[TimeSlot], bucket_s: float) -> list[str] | None:
    """From the first bucket, and a little room for the axis, to the end of the last: marks do not stretch it."""
    if not rows:
        return None
    first, last = rows[0]["ts"], rows[-1]["ts"] + bucket_s
    return [_iso(first - 0.035 * (last - first)), _iso(last)]


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


def _marks(alerts: Sequence[AlertRow], within: list[str] | None) -> Figure:
    """Lines where a price or a quality moved, and dashed ones where traffic then went, each with its words.

    `within` is the range of the axis. Words stand at the side of their line where there is more room, one below the other.
    """
    if not within:
        return {"shapes": [], "annotations": []}
    first, last = within
    inside = [one for one in _moments(alerts) if first <= one["x"] <= last][-MOST_MARKS:]
    middle = _iso((_seconds(first) + _seconds(last)) / 2)
    return {
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
                "y": 1 - 0.09 * place,
                "yref": "paper",
                "yanchor": "top",
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
        told = f"{_short(one['model'])} {one['moved']}"
        found.append({"x": _iso(one["ts"]), "text": told, "colour": colour, "dash": "solid"})
        settled, went = one["settled"], one["outcome"] or {}
        if settled and went.get("served_after") not in (None, went.get("served_before")):
            told = f"{one['bucket'] or 'traffic'} → {_short(str(went['served_after']))}"
            found.append({"x": _iso(settled), "text": told, "colour": ACCENT, "dash": "dot"})
    return sorted(found, key=lambda one: one["x"])


def _short(model: str) -> str:
    return model if len(model) <= NAME_CHARS else model[: NAME_CHARS - 1].rstrip("-.") + "…"


def _seconds(iso: str) -> float:
    return dt.datetime.fromisoformat(iso).timestamp()


def span(seconds: float) -> str:
    """A bucket length in words: `minute`, `5 minutes`, `hour`, `day`."""
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = round(seconds / size)
            return name if number == 1 else f"{number} {name}s"
    return f"{seconds:g} seconds"


def cost_quality(rows: Sequence[KnownModel], *, tolerance: float, baseline: str) -> Figure:
    """Models of one bucket: cost a call (log) against quality with its 95 % interval, Pareto front, tolerance band.

    Free models stand at the left edge, on a tenth of the smallest price.
    """
    known = [point for row in rows if (point := _point(row)) is not None]
    if not known:
        return {"data": [], "layout": _layout()}
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
    layout = _layout(
        hovermode="closest",
        xaxis={"type": "log", "title": {"text": "USD a call (log)"}, **ticks},
        yaxis={"title": {"text": "quality, 0 to 1"}, "tickformat": ".2f", "range": _around(known, best - tolerance)},
        shapes=[band],
        annotations=_names(points, baseline),
    )
    return {"data": [_front(points), _points(points)], "layout": layout}


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
        length = len(_short(point.model)) * 0.018
        start = place - {"left": 0, "right": length, "center": length / 2}[side]
        if any(start < end and begin < start + length for begin, end in taken):
            continue
        taken.append((start, start + length))
        notes.append(_name(x, point, side))
    return notes


def _name(x: float, point: Point, side: str) -> Figure:
    name = _short(point.model)
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
    return {"tickmode": "array", "tickvals": [*free, *values], "ticktext": [*name, *map(_tick, values)]}


def _powers(values: Sequence[float]) -> Figure:
    """Ticks of a log axis in USD at powers of ten."""
    found = [one for one in values if one and one > 0]
    if not found:
        return {}
    powers = range(math.floor(math.log10(min(found))), math.ceil(math.log10(max(found))) + 1)
    return {"tickmode": "array", "tickvals": [10.0**p for p in powers], "ticktext": [_tick(10.0**p) for p in powers]}


def _linear(top: float) -> Figure:
    """Four or five round ticks from zero to `top` USD, each with the digits it needs."""
    if top <= 0:
        return {}
    step = 10.0 ** math.floor(math.log10(top / 4))
    step *= next(one for one in (1, 2, 2.5, 5, 10) if step * one >= top / 4.5)
    values = [step * place for place in range(math.ceil(top / step) + 1)]
    return {"tickmode": "array", "tickvals": values, "ticktext": [_tick(one) for one in values]}


def _tick(usd: float) -> str:
    if usd == 0:
        return "0"
    if usd >= 0.9e-3:
        return f"${usd:.6f}".rstrip("0").rstrip(".")
    return f"${usd * 1e6:.3g} µ" if usd >= 0.9e-6 else f"${usd * 1e9:.3g} n"


def latency(rows: Sequence[TimeSlot], *, bucket_s: float) -> Figure:
    """Median and 95th percentile of the time to the whole answer, per bucket."""
    x = [_iso(row["ts"]) for row in rows]
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
            **_whole(bucket_s),
        }
        for name, colour, y in (
            ("median", ACCENT, [row["p50_ms"] for row in rows]),
            ("95th percentile", WARN, [row["p95_ms"] for row in rows]),
        )
    ]
    layout = _layout(
        yaxis={"title": {"text": "ms to the whole answer"}, "rangemode": "tozero"},
        xaxis={**UTC, "range": _range(rows, bucket_s)},
        meta=_calls(rows),
    )
    return {"data": lines, "layout": layout}


def exploration(rows: Sequence[TimeSlot], *, cap: float | None, bucket_s: float) -> Figure:
    """Share of calls spent on learning per bucket, against its cap."""
    x = [_iso(row["ts"]) for row in rows]
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
        **_whole(bucket_s),
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
    layout = _layout(
        yaxis={"title": {"text": "share of calls"}, "tickformat": ".0%", "rangemode": "tozero"},
        xaxis={**UTC, "range": _range(rows, bucket_s)},
        meta=_calls(rows),
        shapes=[line] if cap is not None else [],
    )
    return {"data": [area], "layout": layout}


def heat(buckets: Mapping[str, Sequence[KnownModel]], *, pool: Sequence[str]) -> Figure:
    """Task against model: a square's colour is mean quality, written in it with its sample; the current choice is framed.

    Models of the pool that no grade is known of stand as hollow squares, so that one sees what was not tried.
    """
    names = ordered(buckets)
    cells = {(name, row["model"]): row for name in names for row in buckets[name]}
    known = sorted({model for _, model in cells}, key=lambda model: -_known(cells, names, model))
    models = [*known, *(model for model in pool if model not in known)][:MOST_MODELS]
    places = [(name, model) for name in names for model in models]
    graded = [
        (*place, cells[place], quality)
        for place in places
        if place in cells and cells[place]["n"] and (quality := cells[place]["quality"]) is not None
    ]
    drawn = {(name, model) for name, model, *_ in graded}
    blank = [place for place in places if place not in drawn]
    trace = {
        "type": "scatter",
        "mode": "markers+text",
        "x": [_folded(model) for _, model, *_ in graded],
        "y": [name for name, *_ in graded],
        "text": [f"{quality:.2f}<br>n {sample(row['n'])}" for *_, row, quality in graded],
        "textfont": {
            "color": ["#ffffff" if quality >= DARK_FROM else "#1a1a17" for *_, quality in graded],
            "size": 10,
        },
        "customdata": [[model, quality, sample(row["n"]), row["chosen"]] for _, model, row, quality in graded],
        "marker": {
            "symbol": "square",
            "size": 36,
            "color": [quality for *_, quality in graded],
            "cmin": 0,
            "cmax": 1,
            "colorscale": [[0, "#b04a6d"], [0.5, "#d3b566"], [0.8, "#6db3a2"], [1, "#0b7566"]],
            "line": {"width": [3 if row["chosen"] else 0 for *_, row, _ in graded], "color": FRAME},
            "opacity": 1,
        },
        "hovertemplate": "%{y} · %{customdata[0]}<br>quality %{customdata[1]:.2f}, n %{customdata[2]}<extra></extra>",
    }
    untried = {
        "type": "scatter",
        "mode": "markers",
        "x": [_folded(model) for _, model in blank],
        "y": [name for name, _ in blank],
        "marker": {"symbol": "square-open", "size": 32, "color": GREY, "opacity": 0.3, "line": {"width": 1}},
        "hoverinfo": "skip",
    }
    columns = [_folded(model) for model in models]
    layout = _layout(
        hovermode="closest",
        xaxis={
            "type": "category",
            "categoryorder": "array",
            "categoryarray": columns,
            "range": [-0.6, max(len(columns), 6) - 0.4],
            "tickangle": 0,
            "tickfont": {"size": 10},
            "showgrid": False,
            "side": "top",
        },
        yaxis={"type": "category", "categoryorder": "array", "categoryarray": names[::-1], "tickvals": names},
    )
    return {"data": [trace, untried], "layout": layout}


def _folded(model: str) -> str:
    """A model's name on lines of its own, so that many stand side by side."""
    lines = [""]
    for part in model.split("-"):
        joined = f"{lines[-1]}-{part}" if lines[-1] else part
        lines = (
            [*lines[:-1], joined]
            if len(joined) <= FOLD_CHARS or not lines[-1]
            else [*lines[:-1], f"{lines[-1]}-", part]
        )
    return "<br>".join(lines)


def _known(cells: Mapping[tuple[str, str], KnownModel], buckets: Sequence[str], model: str) -> float:
    return sum(cells[bucket, model]["n"] for bucket in buckets if (bucket, model) in cells)


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
                    "x": [_iso(ts) for ts, _ in own],
                    "y": [cost for _, cost in own],
                    "marker": {"size": 5, "color": SERIES[place], "opacity": 0.75},
                    "customdata": [money(cost) for _, cost in own],
                    "hovertemplate": "%{customdata}",
                }
            )
    x = sorted(point for line in lines for point in line["x"])
    layout = _layout(
        xaxis=dict(UTC),
        yaxis={
            "type": "log",
            "title": {"text": "USD a 1,000 tokens (log)"},
            **_powers([y for line in lines for y in line["y"]]),
        },
    )
    return {"data": lines, "layout": layout | _marks(alerts, [x[0], x[-1]] if x else None)}


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
            "x": [_iso(row["ts"]) for row in own],
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
    layout = _layout(
        hovermode="closest",
        xaxis=dict(UTC),
        yaxis={
            "type": "category",
            "categoryorder": "array",
            "categoryarray": lanes,
            "showticklabels": False,
            "range": [-0.5, len(lanes) - 0.2],
        },
    ) | _marks(alerts, [x[0], _iso(_seconds(x[-1]) + 1)] if x else None)
    layout["annotations"] = [*layout["annotations"], *(_lane(name, dearer.get(name)) for name in lanes)]
    return {"data": dots, "layout": layout}


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
