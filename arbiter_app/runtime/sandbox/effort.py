"""What thinking does for the simulated models: how many mistakes it leaves, and how many tokens it takes. Nothing here is a measurement.

Each effort takes about twice the tokens of the one before, and twice as many again on hard work. It leaves a share of a model's mistakes,
in mathematics all of that, in code nearly, of facts and prose hardly less than all (`HELPS`). So what is worth its money differs
from task to task: a small model that thinks may beat a large one that does not, and thinking everywhere is a waste.
"""

from __future__ import annotations

from dataclasses import dataclass

from arbiter_app.pipeline.effort import budget_of
from arbiter_app.pipeline.types import Json, Task
from arbiter_app.runtime.sandbox.skills import Skill

UNTHINKING = ("none", "minimal")
"""Efforts at which a model answers at once, as it does where none is asked for."""
HARD_TIMES = 2.0
"""How many times as long a model thinks about what is hard."""
_BUDGETS = ((2_048, "low"), (8_192, "medium"))
"""Tokens of thinking up to which a budget is that effort; beyond, it is high."""


@dataclass(frozen=True, slots=True)
class EffortCurve:
    """One effort: the share of a model's mistakes that it leaves where thinking helps most, and the tokens that are thought on easy work."""

    left: float
    tokens: int


CURVES = {
    "low": EffortCurve(0.55, 50),
    "medium": EffortCurve(0.28, 110),
    "high": EffortCurve(0.12, 230),
    "xhigh": EffortCurve(0.10, 480),
    "max": EffortCurve(0.10, 480),
}
"""By effort; one that is not known is as high."""
HELPS = {Task.MATH: 1.0, Task.CODE: 0.9, Task.STRUCTURED: 0.3, Task.FACTUAL: 0.1, Task.OPEN: 0.0}
"""The power to which the share is taken: 1 is all of it, 0 none."""


def effort_of(payload: Json, skill: Skill) -> str:
    """How hard a model thinks about a chat request: as that says (an effort, or the one that a budget is about), else as it does by itself."""
    effort = payload.get("reasoning_effort")
    if effort is not None:
        return str(effort)
    thinking = payload.get("thinking")
    return skill.effort if thinking is None else effort_of_budget(budget_of(thinking).budget_tokens)


def effort_of_budget(tokens: int) -> str:
    """The effort that a budget of thinking is about."""
    return next((effort for most, effort in _BUDGETS if tokens <= most), "high") if tokens else "none"


def curve_of(effort: str) -> EffortCurve | None:
    """What an effort does; None where a model answers at once."""
    return None if effort in UNTHINKING else CURVES.get(effort, CURVES["high"])


def quality_at(skill: Skill, task: Task, hard: bool, effort: str) -> float:
    """Expected quality of a model's answer at an effort, 0 to 1."""
    plain, curve = skill.quality(task, hard), curve_of(effort)
    return plain if curve is None else 1.0 - (1.0 - plain) * curve.left ** HELPS.get(task, HELPS[Task.OPEN])


def thought_tokens(hard: bool, effort: str) -> int:
    """Tokens that are thought before an answer."""
    curve = curve_of(effort)
    return 0 if curve is None else round(curve.tokens * (HARD_TIMES if hard else 1.0))
