"""How hard a model is to think: an effort in words, or a budget of tokens for thinking. Each dialect has its own members for it.

`reasoning_effort` in chats, `reasoning.effort` in Responses; in Messages `thinking.budget_tokens`, and `output_config.effort`
of models that decide themselves how long they think.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from arbiter_app.pipeline.plain import is_digits

EFFORTS = {"none": 1.0, "minimal": 1.2, "low": 2.0, "medium": 4.0, "high": 8.0, "xhigh": 16.0, "max": 16.0}
"""The efforts that providers know, least first, and the tokens, thinking included, that an answer is expected to take against one that is
not thought (a guess for the first calls: twice from one to the next; what calls cost outweighs it soon)."""
USUAL_EFFORT = "medium"
"""What a model does by itself, where the catalog does not say (`effort`)."""
BUDGET_TOKENS = 4_096
"""A budget of thinking that is expected to take as many tokens as a medium effort."""
LEAST_BUDGET, MOST_BUDGET = 1_024, 1_000_000
"""Tokens of thinking that a budget may be: no provider takes less."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How hard a model is to think: `effort` in words, or `budget_tokens`; neither where it is said in words that no variant has."""

    effort: str = ""
    budget_tokens: int = 0

    @property
    def name(self) -> str:
        """What a variant is called by it."""
        return self.effort or str(self.budget_tokens)

    @property
    def output_scale(self) -> float:
        """How many times the tokens of an answer without thinking are expected, before there was a call."""
        if self.effort:
            return EFFORTS.get(self.effort, 1.0)
        times = EFFORTS[USUAL_EFFORT] * math.sqrt(self.budget_tokens / BUDGET_TOKENS)
        return min(max(times, EFFORTS["low"]), EFFORTS["max"])

    @property
    def thinks(self) -> bool:
        """Whether the model is to think at all."""
        return self.effort != "none"

    @property
    def members(self) -> dict[str, Any]:
        """The members of a chat request that say it."""
        if self.effort:
            return {"reasoning_effort": self.effort}
        return {"thinking": {"type": "enabled", "budget_tokens": self.budget_tokens}}


_STATED = ("thinking", "reasoning", "thinking_budget", "enable_thinking", "chat_template_kwargs")
"""Members of a chat request by which callers say how hard a model is to think, beside `reasoning_effort`, whoever they were made for."""


def stated_by(given: Mapping[str, Any]) -> Setting | None:
    """What a chat request says of it, where it says anything."""
    effort = given.get("reasoning_effort")
    if effort is not None:
        return Setting(effort if isinstance(effort, str) else "")
    if given.keys().isdisjoint(_STATED) or all(given.get(name) is None for name in _STATED):
        return None
    return budget_of(given.get("thinking"))


def budget_of(thinking: object) -> Setting:
    """The budget that is stated in `thinking`, in Anthropic's words; neither effort nor budget where none is."""
    tokens = str(thinking.get("budget_tokens")) if isinstance(thinking, dict) else ""
    return Setting(budget_tokens=int(tokens) if is_digits(tokens, 8) else 0)
