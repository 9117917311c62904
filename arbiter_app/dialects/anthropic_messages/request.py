"""A request in Anthropic's words as a chat request: read here, and then by the door of the chat route."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from arbiter_app import exact_json
from arbiter_app.dialects import openai_chat
from arbiter_app.dialects.anthropic_messages import typed
from arbiter_app.dialects.anthropic_messages.content import (
    cached,
    chat_messages,
    listed,
    system_messages,
    text_of,
    with_own_ids,
    wrong,
)
from arbiter_app.dialects.anthropic_messages.thinking import settled
from arbiter_app.dialects.anthropic_messages.turns import mark_end
from arbiter_app.dialects.history import odd_ids
from arbiter_app.dialects.reasoning import MESSAGES, native_of
from arbiter_app.dialects.strict_json import History, load_members
from arbiter_app.dialects.translation import Dropped, exactly
from arbiter_app.pipeline.effort import Setting, budget_of
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import Caller, ChatRequest, Json

MAX_USER_CHARS = 64
"""Runtimes refuse a longer `user`; Claude Code's has twice as many. A hash of it tells users apart as well."""
EFFORTS = {"low": "low", "medium": "medium", "high": None, "xhigh": "high", "max": "high"}
"""`output_config.effort` as `reasoning_effort`. High is what is done where nothing is said, so that nothing is said of it: models
that do not think refuse the field."""
BUDGETS = ((2_048, "low"), (8_192, "medium"))
"""Tokens of thinking up to which an effort is asked for; beyond, it is high."""
CHOICES = {"auto": "auto", "any": "required", "none": "none"}
_NUMBERS = ("temperature", "top_p")
_PASSED = ("model", "stream", *_NUMBERS)
_SCHEMAS = ("tools", "output_config", "output_format")
"""Members with schemas, in which any number may stand; those and `_NUMBERS` go on as they were written."""
_KNOWN = (
    *_PASSED,
    "messages",
    "system",
    "max_tokens",
    "stop_sequences",
    "metadata",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "output_format",
    "cache_control",
)
_MEANT = {
    "compaction": "asks for a summary in place of an answer",
    "thread": "goes on from, or is to be kept as, what a provider keeps of a conversation",
    "mcp_servers": "names servers that a provider asks for its model",
    "inference_geo": "confines where the answer is made",
    "billing_policy": "has the answer paid for by another account at its provider",
}
"""Members that a request means something else without, and what each does: only a runtime of Messages can serve it."""
_MEANS_NOTHING: tuple[Any, ...] = ([], {}, "global", {"type": "billing_policy", "bill_to": "self"})
"""Values of these that ask for what is the case anyway."""
_TOOL = ("type", "name", "description", "input_schema", "strict", "cache_control")


def parse(body: bytes, caller: Caller, request_id: str) -> ChatRequest:
    """One Messages request. Raises BadRequest for what is none, Unprocessable for a wrong `arbiter_*` field."""
    dropped = Dropped()
    written, given, history = load_members(body, "messages", typed.history)
    made = translated(given, dropped, history)
    if dropped.rounded:
        made["messages"] = _all_messages(exactly(given, written, ("messages",)), Dropped())

    def exact() -> Json:
        said = _members(exactly(given, written, _SCHEMAS), Dropped())
        numbers = {name: exact_json.Written(written[name]) for name in _NUMBERS if name in made}
        return {**said, **numbers, "messages": made["messages"]}

    native = native_of(
        MESSAGES,
        written,
        "messages",
        settle=settled,
        passes=("anthropic-beta",),
        signed=history is None or history.signed,
    )
    if odd_ids(made["messages"]):
        native = native.with_history(with_own_ids(exact_json.exact(native.members["messages"].encode())))
    return openai_chat.translated(
        made,
        caller,
        request_id,
        len(body),
        exactly=exact,
        dropped=dropped.names,
        setting=_setting(given),
        show_thoughts=_shows_thoughts(given.get("thinking")),
        native=native,
        untranslatable=dropped.untranslatable,
        **({"max_tokens": 0} if made.get("max_tokens") == 0 else {}),
    )


def _setting(given: Json) -> Setting | None:
    """How hard its caller wants a model to think, where it says so; of an effort and a budget, the effort."""
    config, thinking = given.get("output_config"), given.get("thinking")
    effort = config.get("effort") if isinstance(config, dict) else None
    if isinstance(effort, str):
        return Setting(effort)
    return None if thinking is None else budget_of(thinking)


def translated(given: Json, dropped: Dropped, history: History | None = None) -> Json:
    """The chat request that a Messages request means, of which the history may have been read already. Raises BadRequest."""
    own = [name for name in given if name.startswith("arbiter_")]
    dropped.rest(given, (*_KNOWN, *own))
    for name, why in _MEANT.items():
        if given.get(name) is not None and given[name] not in _MEANS_NOTHING:
            dropped.cannot(wrong(name, f"{why}, which no model that may serve this can do"))
    return {**_members(given, dropped), "messages": _all_messages(given, dropped, history)}


def _all_messages(given: Json, dropped: Dropped, history: History | None = None) -> list[Json]:
    made = system_messages(given.get("system"), dropped)
    if history is None:
        made += chat_messages(given.get("messages"), dropped)
    else:
        made += history.messages
        dropped.all(history.dropped)
    if mark := cached(given):
        mark_end(made, mark)
    return made


def _members(given: Json, dropped: Dropped) -> Json:
    """All but what was said."""
    made: Json = {name: given[name] for name in _PASSED if given.get(name) is not None}
    made |= {name: value for name, value in given.items() if name.startswith("arbiter_")}
    for name, write in _MEMBERS.items():
        if given.get(name) is not None:
            made |= write(given[name], name, dropped)
    if not made.get("tools"):
        made.pop("tool_choice", None)
        made.pop("parallel_tool_calls", None)
    for name in _NUMBERS:
        if name in made and type(made[name]) not in (int, float):
            raise wrong(name, "must be a number")
    return made


def _max_tokens(value: Any, where: str, dropped: Dropped) -> Json:
    if type(value) is not int or value < 0:
        raise wrong(where, "must be a whole number, 0 or more")
    if value == 0:
        why = "0 fills the prompt cache of a runtime of Messages and asks for no answer, which no model that may serve this can do"
        dropped.cannot(wrong(where, why))
    return {"max_tokens": value}


def _stop(value: Any, where: str, _: Dropped) -> Json:
    if not isinstance(value, list) or not all(type(one) is str for one in value):
        raise wrong(where, "must be a list of strings")
    return {"stop": value} if value else {}


def _metadata(value: Any, where: str, dropped: Dropped) -> Json:
    if not isinstance(value, dict):
        raise wrong(where, "must be an object")
    dropped.rest(value, ("user_id",), f"{where}.")
    user = value.get("user_id")
    if user is None:
        return {}
    text = text_of(user, f"{where}.user_id")
    short = len(text) <= MAX_USER_CHARS
    return {"user": text if short else hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=32).hexdigest()}


def _tools(value: Any, where: str, dropped: Dropped) -> Json:
    tools = [_tool(one, f"{where}.{at}", dropped) for at, one in enumerate(listed(value, where))]
    own = [tool for tool in tools if tool is not None]
    return {"tools": own} if own else {}


def _tool(tool: Json, where: str, dropped: Dropped) -> Json | None:
    """A tool of the caller's own; None for one that Anthropic defines."""
    kind = tool.get("type")
    if kind not in (None, "custom"):
        why = f"{quoted(kind, 60)} is a tool of Anthropic's, and no model that may serve this has it"
        dropped.cannot(wrong(f"{where}.type", f"{why}; describe it with an input_schema"))
        return None
    name, schema = text_of(tool.get("name"), f"{where}.name"), tool.get("input_schema")
    if not name:
        raise wrong(f"{where}.name", "must not be empty")
    if not isinstance(schema, dict):
        raise wrong(f"{where}.input_schema", "must be an object")
    dropped.rest(tool, _TOOL, "tools.")
    function: Json = {"name": name, "parameters": schema}
    if tool.get("description") is not None:
        function["description"] = text_of(tool["description"], f"{where}.description")
    if tool.get("strict") is not None:
        function["strict"] = tool["strict"]
    return {"type": "function", "function": function, **cached(tool, where)}


def _tool_choice(value: Any, where: str, _: Dropped) -> Json:
    if not isinstance(value, dict):
        raise wrong(where, "must be an object")
    kind = value.get("type")
    if kind == "tool":
        choice: Any = {"type": "function", "function": {"name": text_of(value.get("name"), f"{where}.name")}}
    elif type(kind) is str and kind in CHOICES:
        choice = CHOICES[kind]
    else:
        raise wrong(f"{where}.type", f"must be auto, any, tool or none, not {quoted(kind, 40)}")
    one = value.get("disable_parallel_tool_use") is True
    return {"tool_choice": choice, **({"parallel_tool_calls": False} if one else {})}


def _thinking(value: Any, where: str, _: Dropped) -> Json:
    if not isinstance(value, dict):
        raise wrong(where, "must be an object")
    kind = text_of(value.get("type"), f"{where}.type")
    if kind != "enabled":
        return {}
    budget = value.get("budget_tokens")
    if type(budget) is not int or budget < 0:
        raise wrong(f"{where}.budget_tokens", "must be a whole number")
    return {"reasoning_effort": next((effort for most, effort in BUDGETS if budget <= most), "high")}


def _output_config(value: Any, where: str, dropped: Dropped) -> Json:
    if not isinstance(value, dict):
        raise wrong(where, "must be an object")
    dropped.rest(value, ("effort", "format"), f"{where}.")
    made: Json = {}
    effort = value.get("effort")
    if effort is not None:
        if type(effort) is not str or effort not in EFFORTS:
            raise wrong(f"{where}.effort", f"must be one of {', '.join(EFFORTS)}, not {quoted(effort, 40)}")
        made |= {"reasoning_effort": EFFORTS[effort]} if EFFORTS[effort] else {}
    if value.get("format") is not None:
        made |= _format(value["format"], f"{where}.format", dropped)
    return made


def _format(value: Any, where: str, _: Dropped) -> Json:
    if not isinstance(value, dict) or value.get("type") != "json_schema" or not isinstance(value.get("schema"), dict):
        raise wrong(where, "must be an object with the type json_schema and a schema")
    asked = {"name": "answer", "schema": value["schema"], "strict": True}
    return {"response_format": {"type": "json_schema", "json_schema": asked}}


_MEMBERS: dict[str, Callable[[Any, str, Dropped], Json]] = {
    "max_tokens": _max_tokens,
    "stop_sequences": _stop,
    "metadata": _metadata,
    "tools": _tools,
    "tool_choice": _tool_choice,
    "thinking": _thinking,
    "output_config": _output_config,
    "output_format": _format,
}


def _shows_thoughts(thinking: Any) -> bool:
    """Whether the caller takes blocks of thinking: those who never asked for any read the first block as the answer."""
    asked = isinstance(thinking, dict) and thinking.get("type") != "disabled"
    return asked and thinking.get("display") != "omitted"
