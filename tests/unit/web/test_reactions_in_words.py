"""What reactions weigh, as the models page says it: nothing before any was compared."""

from __future__ import annotations

from arbiter_app.services.rows.reports import ReactionTrust
from arbiter_app.web.calibrations import reactions


def row(seen_in: str, task: str, n: int, weight: float) -> ReactionTrust:
    return {"seen_in": seen_in, "task": task, "n": n, "agreement": 0.9, "weight": weight}


def test_reactions_are_told_where_they_were_compared() -> None:
    assert list(reactions([])) == []
    rows = [row("words", "math", 1_200, 0.3), row("words", "open", 8, 0.104), row("tools", "code", 40, 0.05)]
    assert list(reactions(rows)) == [
        "What tools give to the next turn weighs 0.05 in code (40 compared).",
        "What people say next weighs 0.30 in math (1,200 compared), 0.10 in open (8 compared).",
    ]
