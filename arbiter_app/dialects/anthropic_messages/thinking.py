"""How hard a model of Messages is to think: its members, from an effort or a budget, as far as the request leaves it a choice."""

from __future__ import annotations

import re
from collections.abc import Mapping

import orjson

from arbiter_app.pipeline.effort import LEAST_BUDGET, Setting
from arbiter_app.pipeline.native import goes_on_unthought
from arbiter_app.pipeline.types import Json

BUDGETS = {"minimal": 1_024, "low": 2_048, "medium": 8_192, "high": 16_384, "xhigh": 24_576, "max": 24_576}
"""Tokens of thinking that an effort is, where it is asked for in tokens."""
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_ADAPTIVE = (4, 6)
"""Claude's version from which a model decides itself how long it thinks ..."""
UNSAMPLED = (4, 7)
"""... and from which it refuses `temperature` and its like."""
NEWEST = (99, 0)
_CLAUDE = re.compile(r"claude-(?:[a-z]+-)*(\d{1,2})(?!\d)(?:[-.](\d{1,2})(?!\d))?")
_SAMPLING = ("temperature", "top_p", "top_k")


def version_of(model: object) -> tuple[int, int] | None:
    """Which Claude a model is: its version, the newest where its name says none; None for no Claude."""
    name = model.lower() if isinstance(model, str) else ""
    if "claude" not in name:
        return None
    found = _CLAUDE.search(name)
    return (int(found[1]), int(found[2] or 0)) if found is not None else NEWEST


def thinking(model: object, effort: object, most: int, *, forced: bool, unthought: bool) -> Json | None:
    """The members for an effort, where the answer may have `most` tokens; None where it cannot be asked for: of a word that is none, of
    a call that is `forced` by the request, after calls that were `unthought`, or where there is no room."""
    if type(effort) is not str or effort not in BUDGETS:
        return None
    version = version_of(model)
    if version is not None and version >= _ADAPTIVE:
        level = "high" if effort == "xhigh" and version < UNSAMPLED else _EFFORTS[effort]
        config: Json = {"output_config": {"effort": level}}
        return config if forced else {"thinking": {"type": "adaptive", "display": "summarized"}, **config}
    budget = min(BUDGETS[effort], most - 1)
    if forced or budget < LEAST_BUDGET or unthought:
        return None
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def settled(members: Mapping[str, str], setting: Setting, model: str) -> dict[str, str]:
    """The members of a request in this dialect (each as JSON) with a setting that its caller left open; a model that thinks takes no
    temperature and its like. Themselves where it cannot be asked for."""
    if not setting.thinks:
        return {**members, "thinking": '{"type":"disabled"}'}
    kind = orjson.loads(members.get("tool_choice", "null"))
    history = orjson.loads(members["messages"])
    unthought = isinstance(history, list) and goes_on_unthought(history)
    forced = isinstance(kind, dict) and kind.get("type") in ("any", "tool")
    most = orjson.loads(members.get("max_tokens", "0"))
    if setting.effort:
        made = thinking(model, setting.effort, most, forced=forced, unthought=unthought)
    elif forced or unthought or setting.budget_tokens >= most:
        made = None
    else:
        made = {"thinking": {"type": "enabled", "budget_tokens": setting.budget_tokens}}
    if made is None:
        return dict(members)
    kept = {name: text for name, text in members.items() if "thinking" not in made or name not in _SAMPLING}
    if "output_config" in made:
        made["output_config"] = {**orjson.loads(members.get("output_config", "{}")), **made["output_config"]}
    return {**kept, **{name: orjson.dumps(value).decode() for name, value in made.items()}}
