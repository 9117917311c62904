"""How hard a model of Responses is to think: `reasoning.effort`, its only word for it."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from arbiter_app.pipeline.effort import Setting

_BUDGETS = ((2_048, "low"), (8_192, "medium"))
"""Tokens of thinking up to which an effort is asked for; beyond, it is high."""


def effort_of(setting: Setting) -> str:
    """The effort that a setting is here."""
    if setting.effort:
        return setting.effort
    return next((effort for most, effort in _BUDGETS if setting.budget_tokens <= most), "high")


def settled(members: Mapping[str, str], setting: Setting, model: str) -> dict[str, str]:
    """The members of a request (each as JSON) with a setting that its caller left open."""
    asked = orjson.loads(members.get("reasoning", "null")) or {}
    return {**members, "reasoning": orjson.dumps({**asked, "effort": effort_of(setting)}).decode()}
