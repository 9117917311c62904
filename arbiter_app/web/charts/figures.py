"""Every figure of the web app."""

from __future__ import annotations

import datetime as dt
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from arbiter_app.web.theme import SERIES, TASKS
from arbiter_app.web.views import money

Row = Mapping[str, Any]
Figure = dict[str, Any]

ACCENT, GREY, HARM, WARN = "#0f8472", "#8a8780", "#d0483a", "#b3762a"
HUES = {"code": "#8f63d6", "math": "#3f78d8", "structured": "#b3762a", "factual": "#16918b", "open": "#c2577f"}
_MARGIN = {"l": 8, "r": 12, "t": 12, "b": 8}
MAX_SERIES = 5
TIMELINE_S = 120.0
ORDER = {name: place for place, name in enumerate(TASKS)}


def _layout(**more: Any) -> Figure:
    base: Figure = {"margin": dict(_MARGIN), "autosize": True, "showlegend": False, "hovermode": "x unified"}
    return base | more


def _iso(ts: float) -> str:
    return dt.datetime.fromtimestamp(ts, dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def spend(rows: Sequence[Row], alerts: Sequence[Row], *, bucket_s: float, baseline: str) -> Figure:
    """Spend per time bucket by model, stacked, against what the baseline model would have cost; shifts are marked."""
    totals: dict[str, float] = defaultdict(float)
    for row in rows:
        for model, usd in (row.get("models") or {}).items():
            totals[model] += usd
    top = sorted((name for name in totals if totals[name] > 0), key=lambda name: -totals[name])
    shown, rest = top[:MAX_SERIES], set(top[MAX_SERIES:])
    x = [_iso(row["ts"]) for row in rows]
    bars = [
        _bar(name, x, [(row.get("models") or {}).get(name, 0) for row in rows], SERIES[place], bucket_s)
        for place, name in enumerate(shown)
    ]
    if rest:
        values = [sum(v for k, v in (row.get("models") or {}).items() if k in rest) for row in rows]
        bars.append(_bar(f"{len(rest)} others", x, values, GREY, bucket_s))
    line = {
        "type": "scatter",
        "mode": "lines+markers",
        "marker": {"size": 4, "color": GREY},
        "connectgaps": False,
        "name": f"{baseline} for everything",
        "x": x,
        "y": [row.get("baseline") for row in rows],
        "customdata": [money(row.get("baseline")) for row in rows],
        "line": {"color": GREY, "width": 1.5, "dash": "dot"},
        "hovertemplate": "%{customdata}",
    }
    top_usd = max([row.get("baseline") or 0 for row in rows] + [row.get("spend") or 0 for row in rows], default=0)
    layout = _layout(
        barmode="stack",
        bargap=0.25,
        yaxis={"rangemode": "tozero", "title": {"text": f"USD per {span(bucket_s)}"}, **_linear(top_usd)},
        xaxis={"type": "date", "showgrid": False, "range": _range(rows, bucket_s)},
    )
    return {"data": [*bars, line], "layout": layout | _marks(alerts, x)}


def _range(rows: Sequence[Row], bucket_s: float) -> list[str] | None:
    """From half a bucket before the first to half a bucket after the last, so that marks do not stretch the axis."""
    return [_iso(rows[0]["ts"] - bucket_s / 2), _iso(rows[-1]["ts"] + bucket_s / 2)] if rows else None


def _bar(name: str, x: list[str], y: list[float], colour: str, bucket_s: float) -> Figure:
    return {
        "type": "bar",
        "name": name,
        "x": x,
        "y": y,
        "marker": {"color": colour, "line": {"width": 0}},
        "customdata": [money(one) for one in y],
        "hovertemplate": "%{customdata}",
    }


def _marks(alerts: Sequence[Row], x: list[str]) -> Figure:
    """Vertical lines where a price or quality moved, with the model's name."""
    inside = [one for one in alerts if x and _iso(one["ts"]) >= x[0]][:4]
    shapes = [
        {
            "type": "line",
            "x0": _iso(one["ts"]),
            "x1": _iso(one["ts"]),
            "yref": "paper",
            "y0": 0,
            "y1": 1,
            "line": {"color": HARM if one.get("direction") == "up" else ACCENT, "width": 1},
        }
        for one in inside
    ]
    notes = [
        {
            "x": _iso(one["ts"]),
            "y": 1 - 0.09 * place,
            "yref": "paper",
            "text": f"{one['model']} {one.get('kind', 'price')}",
            "showarrow": False,
            "xanchor": "left",
            "xshift": 4,
            "font": {"size": 11, "color": HARM if one.get("direction") == "up" else ACCENT},
        }
        for place, one in enumerate(inside)
    ]
    return {"shapes": shapes, "annotations": notes}


def span(seconds: float) -> str:
    """A bucket length in words: `minute`, `5 minutes`, `hour`, `day`."""
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = round(seconds / size)
            return name if number == 1 else f"{number} {name}s"
    return f"{seconds:g} seconds"


def cost_quality(rows: Sequence[Row], *, tolerance: float) -> Figure:
    """Models of one bucket: cost a call (log) against quality with its 95 % interval, Pareto front, tolerance band.

    Free models stand at the left edge, on a tenth of the smallest price.
    """
    known = [row for row in rows if row.get("quality") is not None and row.get("avg_cost") is not None]
    if not known:
        return {"data": [], "layout": _layout()}
    paid = [row["avg_cost"] for row in known if row["avg_cost"] > 0]
    free = min(paid) / 10 if paid else 1e-6
    points = [(max(row["avg_cost"], free), row) for row in known]
    best = max(row["quality"] for row in known)
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
    ticks = _log_ticks(free, max(x for x, _ in points), bool(paid) and free < min(paid))
    layout = _layout(
        hovermode="closest",
        xaxis={"type": "log", "title": {"text": "USD a call (log)"}, **ticks},
        yaxis={"title": {"text": "quality, 0 to 1"}, "tickformat": ".2f"},
        shapes=[band],
        annotations=_names(points),
    )
    return {"data": [_front(points), _points(points)], "layout": layout}


def _points(points: Sequence[tuple[float, Row]]) -> Figure:
    return {
        "type": "scatter",
        "mode": "markers",
        "x": [x for x, _ in points],
        "y": [row["quality"] for _, row in points],
        "error_y": {
            "type": "data",
            "symmetric": False,
            "array": [max(0, (row.get("high") or row["quality"]) - row["quality"]) for _, row in points],
            "arrayminus": [max(0, row["quality"] - (row.get("low") or row["quality"])) for _, row in points],
            "thickness": 1.2,
            "width": 0,
            "color": GREY,
        },
        "marker": {
            "size": [13 if row.get("chosen") else 8 for _, row in points],
            "color": [ACCENT if row.get("chosen") else GREY for _, row in points],
            "line": {"width": 0},
        },
        "text": [f"{row['model']}<br>n {row.get('n', 0):,.0f}" for _, row in points],
        "customdata": [money(row["avg_cost"]) for _, row in points],
        "hovertemplate": "%{text}<br>quality %{y:.2f}<br>%{customdata} a call<extra></extra>",
    }


def _front(points: Sequence[tuple[float, Row]]) -> Figure:
    line: list[tuple[float, float]] = []
    for x, row in sorted(points, key=lambda one: (one[0], -one[1]["quality"])):
        if not line or row["quality"] > line[-1][1]:
            line.append((x, row["quality"]))
    return {
        "type": "scatter",
        "mode": "lines",
        "x": [x for x, _ in line],
        "y": [y for _, y in line],
        "line": {"color": ACCENT, "width": 1.2},
        "hoverinfo": "skip",
    }


def _names(points: Sequence[tuple[float, Row]]) -> list[Figure]:
    best = max(points, key=lambda one: one[1]["quality"])[1]["model"]
    named = [(x, row) for x, row in points if row.get("chosen") or row.get("baseline") or row["model"] == best]
    return [
        {
            "x": math.log10(x),
            "y": row.get("high") or row["quality"],
            "text": f"<b>{row['model']}</b>" if row.get("chosen") else row["model"],
            "showarrow": False,
            "yshift": 11,
            "font": {"size": 11, "color": ACCENT} if row.get("chosen") else {"size": 11},
        }
        for x, row in named
    ]


def _log_ticks(low: float, high: float, has_free: bool) -> Figure:
    """Powers of ten in range, the free models' place called `free`."""
    powers = range(math.ceil(math.log10(low) + (0.3 if has_free else 0)), math.floor(math.log10(high)) + 1)
    values = ([low] if has_free else []) + [10.0**p for p in powers]
    texts = (["free"] if has_free else []) + [_tick(10.0**p) for p in powers]
    return {"tickmode": "array", "tickvals": values, "ticktext": texts}


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


def latency(rows: Sequence[Row], *, bucket_s: float) -> Figure:
    """Median and 95th percentile of the time to the whole answer, per bucket."""
    x = [_iso(row["ts"]) for row in rows]
    lines = [
        {
            "type": "scatter",
            "mode": "lines+markers",
            "name": name,
            "x": x,
            "y": [row.get(key) for row in rows],
            "marker": {"size": 4},
            "line": {"color": colour, "width": 1.8},
            "connectgaps": False,
            "hovertemplate": "%{y:,.0f} ms",
        }
        for key, name, colour in (("p50_ms", "median", ACCENT), ("p95_ms", "95th percentile", WARN))
    ]
    layout = _layout(
        yaxis={"title": {"text": "ms to the whole answer"}, "rangemode": "tozero"},
        xaxis={"type": "date", "showgrid": False},
    )
    return {"data": lines, "layout": layout}


def exploration(rows: Sequence[Row], *, cap: float | None) -> Figure:
    """Share of calls spent on learning per bucket, against its cap."""
    x = [_iso(row["ts"]) for row in rows]
    area = {
        "type": "scatter",
        "mode": "lines+markers",
        "marker": {"size": 4},
        "fill": "tozeroy",
        "name": "learning",
        "x": x,
        "y": [row.get("explored") for row in rows],
        "line": {"color": WARN, "width": 1.4},
        "hovertemplate": "%{y:.1%}",
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
        xaxis={"type": "date", "showgrid": False},
        shapes=[line] if cap is not None else [],
    )
    return {"data": [area], "layout": layout}


def heat(buckets: Mapping[str, Sequence[Row]]) -> Figure:
    """Task against model: colour is mean quality, the square's area grows with n; the current choice has a tick."""
    names = sorted(buckets, key=lambda name: (ORDER.get(name.split(":")[0], 9), name))
    cells = {(name, row["model"]): row for name in names for row in buckets[name]}
    models = sorted({model for _, model in cells}, key=lambda model: -_known(cells, names, model))
    graded = [(name, model, cells[name, model]) for name in names for model in models if _graded(cells, name, model)]
    trace = {
        "type": "scatter",
        "mode": "markers+text",
        "x": [model for _, model, _ in graded],
        "y": [name for name, _, _ in graded],
        "text": ["✓" if row.get("chosen") else "" for _, _, row in graded],
        "textfont": {"color": "#ffffff", "size": 13},
        "customdata": [[row["quality"], row.get("n") or 0] for _, _, row in graded],
        "marker": {
            "symbol": "square",
            "size": [_side(row.get("n") or 0) for _, _, row in graded],
            "color": [row["quality"] for _, _, row in graded],
            "cmin": 0,
            "cmax": 1,
            "colorscale": [[0, "#b04a6d"], [0.5, "#d3b566"], [0.8, "#6db3a2"], [1, "#0b7566"]],
            "line": {"width": 0},
            "opacity": 1,
            "colorbar": {"thickness": 8, "outlinewidth": 0, "title": {"text": "quality"}, "tickvals": [0, 0.5, 1]},
        },
        "hovertemplate": "%{y} · %{x}<br>quality %{customdata[0]:.2f} · n %{customdata[1]:,.0f}<extra></extra>",
    }
    layout = _layout(
        hovermode="closest",
        xaxis={"type": "category", "tickangle": -32, "showgrid": False},
        yaxis={"type": "category", "categoryorder": "array", "categoryarray": names[::-1], "tickvals": names},
    )
    return {"data": [trace], "layout": layout}


def _graded(cells: Mapping[tuple[str, str], Row], bucket: str, model: str) -> bool:
    return _at(cells, bucket, model, "quality") is not None


def _side(n: float) -> float:
    """Side of a square in pixels: 14 for one graded answer, 32 from a few hundred on."""
    return min(32.0, 14.0 + 3.2 * math.log(max(1.0, n)))


def _at(cells: Mapping[tuple[str, str], Row], bucket: str, model: str, key: str) -> Any:
    row = cells.get((bucket, model))
    return row.get(key) if row else None


def _known(cells: Mapping[tuple[str, str], Row], buckets: Sequence[str], model: str) -> float:
    return sum(_at(cells, bucket, model, "n") or 0 for bucket in buckets)


def prices(rows: Sequence[Row], alerts: Sequence[Row], *, models: Sequence[str]) -> Figure:
    """What a thousand tokens of each model cost, decision by decision, in USD on a log axis, with shifts marked."""
    lines = []
    for place, model in enumerate(models[: len(SERIES)]):
        own = [row for row in rows if row["model"] == model and (row.get("cost") or 0) > 0]
        if own:
            lines.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": model,
                    "x": [_iso(row["ts"]) for row in own],
                    "y": [row["cost"] for row in own],
                    "marker": {"size": 5, "color": SERIES[place], "opacity": 0.75},
                    "customdata": [money(row["cost"]) for row in own],
                    "hovertemplate": "%{customdata}",
                }
            )
    x = sorted(point for line in lines for point in line["x"])
    layout = _layout(
        showlegend=True,
        legend={"orientation": "h", "y": -0.16},
        xaxis={"type": "date", "showgrid": False},
        yaxis={
            "type": "log",
            "title": {"text": "USD a 1,000 tokens (log)"},
            **_powers([y for line in lines for y in line["y"]]),
        },
    )
    return {"data": lines, "layout": layout | _marks(alerts, x)}


def choices(rows: Sequence[Row], alerts: Sequence[Row], overrides: Sequence[Row]) -> Figure:
    """The demo's timeline: each decision as a dot in the lane of its model; shifts marked, changed prices named."""
    newest = rows[0]["ts"] if rows else 0.0
    rows = [row for row in rows if row["ts"] > newest - TIMELINE_S and row.get("model")]
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
            ("exploit", ACCENT, 7, "circle", [r for r in rows if r.get("mode") not in ("explore", "holdout")]),
            ("explore", WARN, 9, "diamond-open", [r for r in rows if r.get("mode") in ("explore", "holdout")]),
        )
    ]
    layout = _layout(
        hovermode="closest",
        showlegend=True,
        legend={"orientation": "h", "y": 1.12},
        xaxis={"type": "date", "showgrid": False},
        yaxis={"type": "category", "categoryorder": "array", "categoryarray": lanes, "title": {"text": ""}},
    )
    x = sorted(point for one in dots for point in one["x"])
    dearer = {one["model"]: one["multiplier"] for one in overrides}
    layout["yaxis"] |= {
        "tickmode": "array",
        "tickvals": lanes,
        "ticktext": [f"<b>{name} ×{dearer[name]:g}</b>" if name in dearer else name for name in lanes],
    }
    return {"data": dots, "layout": layout | _marks(alerts, x)}
