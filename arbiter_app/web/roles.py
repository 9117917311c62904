"""Who may do what on the pages: one line a handler, as `api.roles` has one a route. What is not listed is denied.

Rules: `anybody`; `signed in` whoever has a key or is a person; `operator`; `demo` operators, and callers in sandbox mode; `project
member` and `project owner` operators, and people with at least that role in some project (in which, the services look at). Handlers that
only show things show what `api.visibility` says.
"""

from __future__ import annotations

from arbiter_app.api.roles import IN_PROJECTS
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.services.project_roles import is_operator, may_somewhere

_ANYBODY, _SIGNED_IN, _OPERATOR, _DEMO = "anybody", "signed in", "operator", "demo"
_MEMBER, _OWNER = "project member", "project owner"

EVENTS: dict[str, dict[str, str]] = {
    "Account": {"enter": _ANYBODY, "sign_out": _ANYBODY},
    "Activity": dict.fromkeys(("load", "narrow", "find", "clear"), _ANYBODY),
    "DecisionPage": {"load": _ANYBODY},
    "DecisionContent": {"load": _ANYBODY, "show": _OPERATOR, "again": _OPERATOR, "remove": _OPERATOR},
    "ContentSearch": {"load": _ANYBODY, "search": _OPERATOR, "more": _OPERATOR},
    "ProjectContents": {"load": _ANYBODY, "find": _OPERATOR, "save": _OPERATOR},
    "Calibrate": {"load": _ANYBODY, "estimate": _OPERATOR, "start": _OPERATOR, "cancel": _OPERATOR},
    "Chart": dict.fromkeys(("show", "close", "save", "open"), _ANYBODY),
    "Demo": {"load": _ANYBODY, "set_option": _ANYBODY}
    | dict.fromkeys(("apply", "clear", "seed", "shift", "start", "stop"), _DEMO),
    "Docs": {"search": _ANYBODY},
    "HostsPage": {"load": _ANYBODY},
    "Key": {
        "load": _ANYBODY,
        "sign_in": _ANYBODY,
        "keep": _ANYBODY,
        "change": _SIGNED_IN,
        "change_other": _OPERATOR,
        "mint": _OPERATOR,
        "find": _OPERATOR,
        "choose": _OPERATOR,
    },
    "KeyBudgets": {"load": _ANYBODY, "find": _ANYBODY, "put": _OWNER, "drop": _OWNER},
    "Models": dict.fromkeys(("load", "set_tolerance", "set_without", "set_span", "between", "set_task"), _ANYBODY),
    "Notify": {"load": _ANYBODY, "set_channel": _ANYBODY, "set_list": _ANYBODY}
    | dict.fromkeys(("add", "edit", "leave", "test", "mute", "remove", "again", "drop"), _OPERATOR),
    "Overview": dict.fromkeys(("load", "set_span", "between", "set_task", "set_scatter_task", "pick"), _ANYBODY),
    "Playground": dict.fromkeys(
        ("load", "set_prompt", "example", "set_budget", "set_latency", "set_model", "stop"), _ANYBODY
    )
    | {"send": _ANYBODY, "thumb": _ANYBODY},
    "PoolPanel": {"load": _ANYBODY}
    | dict.fromkeys(("edit", "leave", "save", "add", "set_routable", "retire", "bring_back", "take_back"), _OPERATOR)
    | dict.fromkeys(("start_trial", "look_at_file", "apply_file"), _OPERATOR),
    "Spent": dict.fromkeys(("load", "pick", "between"), _ANYBODY),
    "Start": dict.fromkeys(("load", "go", "move", "set_client", "mint"), _ANYBODY),
    "Integration": {"load": _ANYBODY},
    "Team": dict.fromkeys(("load", "choose", "find", "find_project", "find_person"), _ANYBODY)
    | {"make_project": _OPERATOR, "set_disabled": _OPERATOR}
    | dict.fromkeys(("invite", "withdraw", "set_role", "set_budget", "drop_budget"), _OWNER)
    | dict.fromkeys(("make_key", "set_key", "rotate_key", "set_objective"), _MEMBER),
}
"""State class -> handler -> rule."""


def allows(rule: str | None, who: Caller, *, sandbox: bool) -> bool:
    """Whether somebody may do what has this rule; None is the rule of what is not listed."""
    if rule == _ANYBODY or is_operator(who):
        return rule is not None
    if rule == _SIGNED_IN:
        return who.role is not Role.ANONYMOUS
    if rule == _DEMO:
        return sandbox and who.role is Role.CALLER
    least = IN_PROJECTS.get(rule or "")
    return least is not None and may_somewhere(who, least)
