"""Tool calls: is the function one of the declared, do the arguments parse, do they satisfy the declared schema?"""

from __future__ import annotations

from typing import Any

import orjson

from arbiter_app.pipeline.graders.schema import BUDGET_S, schema_fault
from arbiter_app.pipeline.types import Grade, Json

MAX_CALLS = 16
MAX_ARGUMENT_CHARS = 50_000


def grade_tool_calls(calls: list[Json], tools: Any, *, must_call: str = "") -> Grade:
    """The share of calls that are valid; the reason names the first fault. `must_call`: the tool the caller demands."""
    if must_call and all(_name(call) != must_call for call in calls):
        return Grade(0.1, f"{must_call[:60]} was required and not called")
    declared = _declared(tools)
    checked = calls[:MAX_CALLS]
    faults = [_fault(call, declared, BUDGET_S / len(checked)) for call in checked]
    known = [fault for fault in faults if fault is not None]
    if not known:
        return Grade(None, "the tool's schema cannot be checked within bounds", "none")
    bad = [fault for fault in known if fault]
    if not bad:
        return Grade(1.0, f"{len(known)} tool call{'s' if len(known) > 1 else ''} with valid arguments")
    return Grade(round(1 - len(bad) / len(known), 3), bad[0])


def _name(call: Json) -> Any:
    function = call.get("function")
    return function.get("name") if isinstance(function, dict) else None


def _declared(tools: Any) -> dict[str, Any]:
    declared = {}
    for tool in tools if isinstance(tools, list) else ():
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict) and isinstance(function.get("name"), str):
            declared[function["name"]] = function.get("parameters")
    return declared


def _fault(call: Json, declared: dict[str, Any], budget_s: float) -> str | None:
    function = call.get("function")
    if not isinstance(function, dict):
        return "a tool call without a function"
    name, arguments = function.get("name"), function.get("arguments")
    if not isinstance(name, str) or name not in declared:
        return f"calls {str(name)[:60]!r}, which is not a declared tool"
    if isinstance(arguments, str) and len(arguments) > MAX_ARGUMENT_CHARS:
        return None
    try:
        parsed = orjson.loads(arguments) if isinstance(arguments, str) and arguments.strip() else {}
    except orjson.JSONDecodeError:
        return f"the arguments of {name} are not valid JSON"
    if not isinstance(parsed, dict):
        return f"the arguments of {name} are not an object"
    schema = declared[name]
    if schema is None:
        return ""
    fault = schema_fault(parsed, schema, budget_s=budget_s)
    return None if fault is None else f"arguments of {name}: {fault}" if fault else ""
