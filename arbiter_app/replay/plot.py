"""The cost-quality path of every policy, as one HTML file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import plotly.graph_objects as go
from plotly.subplots import make_subplots

COLOURS = ("#2a6fdb", "#d9822b", "#6b7280", "#0f9960", "#8f398f")
PANEL_PX = 300


def write_plot(target: Path, results: Sequence[Mapping[str, Any]]) -> None:
    """One panel a stream: running mean quality over running cost (relative to always-best), first seed of each policy."""
    names = list(dict.fromkeys(str(one["stream"]) for one in results))
    policies = list(dict.fromkeys(str(one["policy"]) for one in results))
    figure = make_subplots(rows=len(names), cols=1, subplot_titles=names)
    for one in results:
        if one["seed"] == 0:
            line = _line(one, policies)
            line.showlegend = one["stream"] == names[0]
            figure.add_trace(line, row=names.index(one["stream"]) + 1, col=1)
    figure.update_xaxes(title_text="cost so far / cost of always using the best model", rangemode="tozero")
    figure.update_yaxes(title_text="mean quality so far")
    figure.update_layout(height=PANEL_PX * len(names) + 100, template="plotly_white", title="Replay")
    figure.write_html(target, include_plotlyjs=True)


def _line(one: Mapping[str, Any], policies: Sequence[str]) -> go.Scatter:
    at = policies.index(one["policy"])
    shown = {"name": one["policy"], "legendgroup": one["policy"]}
    cost, quality = zip(*one["path"], strict=True)
    line = {"color": COLOURS[at % len(COLOURS)]}
    return go.Scatter(x=cost, y=quality, mode="lines+markers", line=line, marker={"size": 4}, **shown)
