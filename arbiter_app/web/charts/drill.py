"""Which decisions are behind a point of a figure: the filters of Activity that show them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from arbiter_app.web.charts.parts import Figure, seconds_of
from arbiter_app.web.views import task_of


def behind(figure: Figure, points: Collection[Mapping[str, Any]], models: Collection[str]) -> dict[str, str]:
    """The filters for what was pressed; empty where that is no point of the figure. Several points are those of one moment."""
    found = [of_it for one in points if (of_it := _point(figure, one, models))]
    if not found:
        return {}
    return found[0] if len(points) == 1 else {name: value for name, value in found[0].items() if name != "model"}


def _point(figure: Figure, point: Mapping[str, Any], models: Collection[str]) -> dict[str, str]:
    traces, curve, at = figure.get("data") or [], point.get("curveNumber"), point.get("pointNumber")
    if not (isinstance(curve, int) and 0 <= curve < len(traces) and isinstance(at, int)):
        return {}
    trace = traces[curve]
    if not 0 <= at < len(trace["x"]):
        return {}
    if isinstance(queries := trace.get("meta"), list):
        return dict(queries[at])
    model = next((name for name in (trace.get("name"), trace["y"][at]) if name in models), None)
    return {**_times(trace, at), **({"model": str(model)} if model else {})}


def _times(trace: Mapping[str, Any], at: int) -> dict[str, str]:
    began = math.floor(seconds_of(trace["x"][at]))
    return {"since": str(began), "until": str(began + max(1, int(trace.get("xperiod", 0) / 1000)))}


def of_cell(bucket: str, model: str) -> dict[str, str]:
    """The filters for a model's answers to one kind of prompt."""
    return {"task": task_of(bucket), "model": model}
