"""What changed since the period before, in rows: causes in words, and who, with where their decisions are."""

from __future__ import annotations

from urllib.parse import urlencode

from arbiter_app.services.rows.decisions import DecisionRow
from arbiter_app.services.rows.reports import ReportSums
from arbiter_app.services.rows.spending import SpendChangeAnswer, SpendGroup
from arbiter_app.web.formats import alike, count, money, percent
from arbiter_app.web.views import View, task_of

SHOWN = 4
LEAST_POINTS = 1.0
"""Percentage points by which one decision has to move the saving to be named."""
APART: View = {"said": "", "to": ""}
BLANK: View = dict.fromkeys(("said", "sub", "kind"), "")
WORDS = {
    "volume": ("fewer calls", "more calls"),
    "keys": ("keys with cheaper calls ask more", "keys with dearer calls ask more"),
    "tasks": ("more of cheaper kinds of prompt", "more of dearer kinds of prompt"),
    "models": ("cheaper models answer", "dearer models answer"),
    "size": ("shorter prompts and answers", "longer prompts and answers"),
    "price": ("a lower price a token", "a higher price a token"),
}


def headline(told: SpendChangeAnswer) -> View:
    """The change in one line; nothing before there were calls in both periods."""
    then, now = told["before"], told["after"]
    if not then["calls"] or not now["calls"]:
        return dict(BLANK)
    before, after, change = alike([then["spend"], now["spend"], told["change"]])
    share = f", {told['change'] / then['spend']:+.0%}".replace("-", "−") if then["spend"] else ""
    return {
        "said": f"{_sign(told['change'])}{change}{share}",
        "sub": f"{before} for {count(then['calls'])} calls in the period before, {after} for {count(now['calls'])} in this one",
        "kind": "bad" if told["change"] > 0 else "good",
    }


def without_largest(report: ReportSums, largest: DecisionRow | None) -> View:
    """The decision that saved most, and the saving without it; nothing where it makes no difference of LEAST_POINTS."""
    pct, saved = report["saved_pct"], largest["saved"] if largest is not None else None
    if largest is None or pct is None or not saved or saved <= 0 or largest["baseline"] is None:
        return dict(APART)
    left = report["baseline_spend"] - largest["baseline"]
    if left <= 0 or abs((without := 100 * (report["saved"] - saved) / left) - pct) < LEAST_POINTS:
        return dict(APART)
    return {
        "said": f"without the one decision that saved most ({money(saved)}) it would be {percent(without)}",
        "to": f"/app/decision/{largest['id']}",
    }


def causes(told: SpendChangeAnswer) -> list[View]:
    """What the change is made of, the largest part first; they add up to it."""
    found = [one for one in told["causes"] if one["change"]]
    written = alike([one["change"] for one in found])
    rows = [
        (abs(one["change"]), {"name": WORDS[one["cause"]][one["change"] > 0], "change": _sign(one["change"]) + usd})
        for one, usd in zip(found, written, strict=True)
    ]
    return [row for _, row in sorted(rows, key=lambda row: -row[0])]


def groups(told: SpendChangeAnswer) -> list[View]:
    """The tasks, models and keys that changed most, each with where its decisions are."""
    shown = [(kind, one) for kind in ("task", "model", "key") for one in _several(told, kind)[:SHOWN] if one["change"]]
    amounts = alike([usd for _, one in shown for usd in (one["before"], one["after"], one["change"])])
    return [
        {
            "kind": kind,
            "name": one["name"] or "others",
            "before": amounts[3 * at],
            "after": amounts[3 * at + 1],
            "change": _sign(one["change"]) + amounts[3 * at + 2],
            "to": _where(kind, one["name"]),
        }
        for at, (kind, one) in enumerate(shown)
    ]


def _several(told: SpendChangeAnswer, kind: str) -> list[SpendGroup]:
    return {"task": told["by_task"], "model": told["by_model"], "key": told["by_key"]}[kind]


def _where(kind: str, name: str) -> str:
    if not name:
        return "/app/activity"
    return "/app/activity?" + urlencode({kind: task_of(name) if kind == "task" else name})


def _sign(usd: float) -> str:
    return "+" if usd > 0 else ""
