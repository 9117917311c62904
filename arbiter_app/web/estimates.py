"""Estimates as rows for the pages: a dot and its 95 % interval on an axis that all rows share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from arbiter_app.web.views import NOTHING, View, count, money, percent_css, score

Row = Mapping[str, Any]
Span = tuple[float, float]

THOUSAND = 1_000
WHISKERS = [f"{name}_{part}" for name in ("cost", "quality") for part in ("left", "width", "at", "range")]
NO_LINE = dict.fromkeys(("why", "ours", *WHISKERS), "") | dict.fromkeys(("cost", "quality", "worth"), NOTHING)
BLANK = dict.fromkeys(("asked", "refused", "cost", "cost_sub", "quality", "quality_sub", "sub", "now", "models"), "")


def placebos(lines: Sequence[Row], baseline: str) -> list[View]:
    """The routing first, then what it must beat, on one axis of money and one of quality."""
    known = [line for line in lines if line["cost"] is not None]
    if not known:
        return []
    money_axis, quality_axis = (0.0, _most(known, "cost")), (_least(known, "quality"), 1.0)
    return [_placebo(line, baseline, money_axis, quality_axis) for line in lines]


def _placebo(line: Row, baseline: str, money_axis: Span, quality_axis: Span) -> View:
    name, note = {
        "as_routed": ("Arbiter", "as it routed"),
        "always_best": (f"Always {baseline}", "the baseline for everything"),
        "always_cheapest": ("Always the cheapest", "by list price, of those tried"),
    }.get(line["name"], ("Dealt at random", "the same models, at the same cost"))
    if line["refused"] is not None:
        return {**NO_LINE, "name": name, "note": "not enough answers yet", "why": str(line["refused"])}
    return {
        **NO_LINE,
        "name": name,
        "note": note,
        "ours": "yes" if line["name"] == "as_routed" else "",
        "cost": money(line["cost"] * THOUSAND),
        "quality": score(line["quality"]),
        "worth": count(line["effective_sample_size"]),
        **_whisker("cost", line, money_axis),
        **_whisker("quality", line, quality_axis),
    }


def what_if(told: Row, tolerance: float, without: str) -> View:
    """The answer to a question, in figures and one sentence."""
    asked = f"tolerance {tolerance:.2f}" + (f", without {without}" if without else "")
    if told["refused"] is not None:
        return {**BLANK, "asked": asked, "refused": str(told["refused"])}
    now = told["as_routed"]
    models = [f"{one['model']} {one['share']:.0%}" for one in told["models"] if one["share"] >= 0.005]
    return {
        **BLANK,
        "asked": asked,
        "cost": money(told["cost"] * THOUSAND),
        "cost_sub": _between(told, "cost"),
        "quality": score(told["quality"]),
        "quality_sub": _between(told, "quality"),
        "sub": f"worth {count(told['effective_sample_size'])} plain decisions of {count(told['calls'])}",
        "now": f"as routed it was {money(now['cost'] * THOUSAND)} and {score(now['quality'])}"
        if now["cost"] is not None
        else "",
        "models": ", ".join(models),
    }


def _between(told: Row, name: str) -> str:
    low, high = told[f"{name}_interval"]
    if name == "cost":
        return f"{money(low * THOUSAND)} to {money(high * THOUSAND)}"
    return f"{score(low)} to {score(high)}"


def _whisker(name: str, line: Row, axis: Span) -> View:
    low, high = (_on(axis, value) for value in line[f"{name}_interval"])
    return {
        f"{name}_left": percent_css(low),
        f"{name}_width": percent_css(max(0.0, high - low)),
        f"{name}_at": percent_css(_on(axis, line[name])),
        f"{name}_range": _between(line, name),
    }


def _on(axis: Span, value: float) -> float:
    least, most = axis
    return min(1.0, max(0.0, (value - least) / (most - least))) if most > least else 0.0


def _most(lines: Sequence[Row], name: str) -> float:
    return max(float(line[f"{name}_interval"][1]) for line in lines) * 1.02


def _least(lines: Sequence[Row], name: str) -> float:
    """The lower end of an axis that ends at 1: a whole tenth under every interval."""
    lowest = min(float(line[f"{name}_interval"][0]) for line in lines)
    return max(0.0, int(lowest * 10) / 10)
