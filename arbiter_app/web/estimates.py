"""Estimates as rows for the pages: a dot and its 95 % interval on an axis that all rows share."""

from __future__ import annotations

from collections.abc import Sequence

from arbiter_app.services.rows.estimates import PlaceboLine, WhatIfAnswer
from arbiter_app.web.formats import NOTHING, alike, count, money, percent_css, score
from arbiter_app.web.views import View

Span = tuple[float, float]

THOUSAND = 1_000
WHISKERS = [f"{name}_{part}" for name in ("cost", "quality") for part in ("left", "width", "at", "range")]
NO_LINE = dict.fromkeys(("why", "ours", *WHISKERS), "") | dict.fromkeys(("cost", "quality", "worth"), NOTHING)
BLANK = dict.fromkeys(("asked", "refused", "cost", "cost_sub", "quality", "quality_sub", "sub", "now", "models"), "")


def placebos(lines: Sequence[PlaceboLine], baseline: str) -> list[View]:
    """The routing first, then what it must beat, on one axis of money and one of quality."""
    costs = [line["cost_interval"] for line in lines if line["cost_interval"] is not None]
    qualities = [line["quality_interval"] for line in lines if line["quality_interval"] is not None]
    if not costs or not qualities:
        return []
    # Quality ends at 1, and begins a whole tenth under every interval.
    least = max(0.0, int(min(low for low, _ in qualities) * 10) / 10)
    money_axis, quality_axis = (0.0, max(high for _, high in costs) * 1.02), (least, 1.0)
    shown = [_placebo(line, baseline, money_axis, quality_axis) for line in lines]
    written = alike([None if line["cost"] is None else line["cost"] * THOUSAND for line in lines])
    return [one | {"cost": cost} if one["cost_at"] else one for one, cost in zip(shown, written, strict=True)]


def _placebo(line: PlaceboLine, baseline: str, money_axis: Span, quality_axis: Span) -> View:
    name, note = {
        "as_routed": ("Arbiter", "as it routed"),
        "always_best": (f"Always {baseline}", "the baseline for everything"),
        "always_cheapest": ("Always the cheapest", "by list price, of those tried"),
    }.get(line["name"], ("Random", "the same models, at the same cost"))
    cost, quality = line["cost"], line["quality"]
    costs, qualities = line["cost_interval"], line["quality_interval"]
    if cost is None or quality is None or costs is None or qualities is None:
        return {**NO_LINE, "name": name, "note": "no figure yet", "why": line["refused"] or ""}
    return {
        **NO_LINE,
        "name": name,
        "note": note,
        "ours": "yes" if line["name"] == "as_routed" else "",
        "cost": money(cost * THOUSAND),
        "cost_range": _costs(costs),
        "quality": score(quality),
        "quality_range": _scores(qualities),
        "worth": count(line["effective_sample_size"]),
        **_whisker("cost", cost, costs, money_axis),
        **_whisker("quality", quality, qualities, quality_axis),
    }


def what_if(told: WhatIfAnswer, tolerance: float, without: str) -> View:
    """The answer to a question, in figures and one sentence."""
    asked = f"tolerance {tolerance:.2f}" + (f", without {without}" if without else "")
    cost, now = told["cost"], told["as_routed"]
    if told["refused"] is not None or cost is None:
        return {**BLANK, "asked": asked, "refused": told["refused"] or ""}
    models = [f"{one['model']} {one['share']:.0%}" for one in told["models"] if one["share"] >= 0.005]
    return {
        **BLANK,
        "asked": asked,
        "cost": money(cost * THOUSAND),
        "cost_sub": _costs(told["cost_interval"]),
        "quality": score(told["quality"]),
        "quality_sub": _scores(told["quality_interval"]),
        "sub": f"worth {count(told['effective_sample_size'])} plain decisions of {count(told['calls'])}",
        "now": f"as routed it was {money(now['cost'] * THOUSAND)} and {score(now['quality'])}"
        if now["cost"] is not None
        else "",
        "models": ", ".join(models),
    }


def _costs(interval: Sequence[float] | None) -> str:
    """Both ends of a cost of 1,000 calls."""
    return "" if interval is None else f"{money(interval[0] * THOUSAND)} to {money(interval[1] * THOUSAND)}"


def _scores(interval: Sequence[float] | None) -> str:
    """Both ends of a quality."""
    return "" if interval is None else f"{score(interval[0])} to {score(interval[1])}"


def _whisker(name: str, value: float, interval: Sequence[float], axis: Span) -> View:
    low, high = (_on(axis, end) for end in interval)
    return {
        f"{name}_left": percent_css(low),
        f"{name}_width": percent_css(max(0.0, high - low)),
        f"{name}_at": percent_css(_on(axis, value)),
    }


def _on(axis: Span, value: float) -> float:
    least, most = axis
    return min(1.0, max(0.0, (value - least) / (most - least))) if most > least else 0.0
