"""Any figure of ours as a table: the same numbers for people who read tables, and as CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Table = tuple[list[str], list[list[str]]]


def table(figure: Mapping[str, Any]) -> Table:
    """Head and rows of a figure. Series over one axis become columns; points and heat cells become rows."""
    data = [trace for trace in figure.get("data") or [] if trace.get("hoverinfo") != "skip"]
    if not data:
        return [], []
    if data[0].get("mode") == "markers+text":
        return _heat(data[0])
    if data[0].get("error_y"):
        return _points(data[0])
    if isinstance(next(iter(data[0].get("y") or []), None), str):
        return _lanes(data)
    return _series(data, (figure["layout"].get("meta") or {}).get("calls") or [])


def _series(data: Sequence[Mapping[str, Any]], calls: Sequence[int]) -> Table:
    if calls:
        data = [*data, {"name": "calls", "x": data[0]["x"], "y": calls}]
    x = sorted({point for trace in data for point in trace["x"]})
    values = [dict(zip(trace["x"], trace["y"], strict=False)) for trace in data]
    head = ["time (UTC)", *[str(trace.get("name") or "value") for trace in data]]
    return head, [[str(point), *[_cell(column.get(point)) for column in values]] for point in x]


def _points(trace: Mapping[str, Any]) -> Table:
    spread = trace["error_y"]
    rows = [
        [text.replace("<br>", ", "), _cell(y), _cell(y - minus), _cell(y + plus), _cell(x)]
        for text, x, y, plus, minus in zip(
            trace["text"], trace["x"], trace["y"], spread["array"], spread["arrayminus"], strict=True
        )
    ]
    return ["model", "quality", "low (95 %)", "high (95 %)", "USD a call"], rows


def _heat(trace: Mapping[str, Any]) -> Table:
    rows = [
        [bucket, model, _cell(quality), _cell(n), "chosen" if chosen else ""]
        for bucket, (model, quality, n, chosen) in zip(trace["y"], trace["customdata"], strict=True)
    ]
    return ["task", "model", "quality", "n", "current choice"], rows


def _lanes(data: Sequence[Mapping[str, Any]]) -> Table:
    rows = [[x, y, str(trace["name"])] for trace in data for x, y in zip(trace["x"], trace["y"], strict=True)]
    return ["time (UTC)", "model", "mode"], sorted(rows, reverse=True)


def _cell(value: Any) -> str:
    return "" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value)
