"""The quality of every model in every task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from arbiter_app.services.rows.policy import KnownModel
from arbiter_app.web.charts.chart import ChartSpec, LearnedData
from arbiter_app.web.charts.drill import of_cell
from arbiter_app.web.charts.parts import GREY, Figure, layout, ordered
from arbiter_app.web.formats import sample

MOST_MODELS, FOLD_CHARS = 16, 12
FRAME, DARK_FROM = "#e3a92f", 0.9
"""The frame of the current choice, and the quality from which a square is dark enough for white text."""


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
    tried = {(name, model) for name, model, *_ in graded}
    blank = [place for place in places if place not in tried]
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
        "meta": [of_cell(name, model) for name, model, *_ in graded],
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
    drawn = layout(
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
    return {"data": [trace, untried], "layout": drawn}


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


CHARTS = (ChartSpec("heat", "Task and model", LearnedData, lambda data: heat(data.known, pool=data.pool)),)
