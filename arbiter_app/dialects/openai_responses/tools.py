"""Tools as a chat knows them, functions alone: under which name each goes out, and what a call of that name means here.

A custom tool becomes a function of one string; the tools of a namespace become functions with its name before theirs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import orjson

from arbiter_app.dialects.openai_responses.refusals import mistyped, text_of, unsupported, wrong
from arbiter_app.dialects.translation import Dropped
from arbiter_app.pipeline.errors import BadRequest
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import Json

INPUT = "input"
"""The only parameter of a function that stands for a custom tool."""
FREE_TEXT: Json = {
    "type": "object",
    "properties": {INPUT: {"type": "string"}},
    "required": [INPUT],
    "additionalProperties": False,
}
OWN = ("function", "custom", "namespace")
"""Types of tools that a caller runs, and of groups of these."""
OFFERED = ("web_search", "tool_search")
"""How the types of hosted tools begin that are no more than an offer: beside tools of the caller's own the answer is as good without."""
MAX_NAME_CHARS = 64
"""Runtimes refuse functions with longer names, or with other characters than these."""
_UNFIT = re.compile(r"[^a-zA-Z0-9_-]")
CHOICES = ("auto", "none", "required")
_FUNCTION = ("type", "name", "description", "parameters", "strict")
_CUSTOM = ("type", "name", "description", "format")


class Tool(NamedTuple):
    """A tool of the caller's own: `kind` is function or custom, `namespace` empty where it has none."""

    kind: str
    name: str
    namespace: str
    given: Json

    @property
    def function(self) -> str:
        """Its name in a chat."""
        return function_name(self.name, self.namespace)


def function_name(name: str, namespace: object) -> str:
    """The name in a chat of a tool, of a namespace or of none. A joined one is made fit, and shortened where it would be too long."""
    if not isinstance(namespace, str) or not namespace:
        return name
    joined = f"{namespace}__{name}"
    fit = _UNFIT.sub("_", joined)
    if len(fit) <= MAX_NAME_CHARS:
        return fit
    mark = hashlib.blake2b(joined.encode(), digest_size=4).hexdigest()
    return f"{fit[: MAX_NAME_CHARS - len(mark) - 1]}_{mark}"


def own_tools(tools: object) -> Iterator[Tool]:
    """The tools of a request that the caller runs itself, where they are in order."""
    for tool in tools if isinstance(tools, list) else ():
        if not isinstance(tool, dict):
            continue
        if tool.get("type") == "namespace":
            named = str(tool.get("name") or "")
            yield from (Tool(one.kind, one.name, named, one.given) for one in own_tools(tool.get("tools")))
        elif tool.get("type") in ("function", "custom"):
            inner = tool.get("function")
            given = {**inner, "type": "function"} if isinstance(inner, dict) and "name" not in tool else tool
            if isinstance(given.get("name"), str):
                yield Tool(tool["type"], given["name"], "", given)


def chat_tools(given: Json, dropped: Dropped) -> Json:
    """`tools`, `tool_choice` and `parallel_tool_calls` of the chat request; none of them without a tool."""
    tools, hosted = given.get("tools"), []
    if tools is not None:
        for where, tool in _checked(tools, "tools"):
            if tool.get("type") not in OWN:
                hosted.append((where, tool.get("type")))
    own = list(own_tools(tools))
    for where, named in hosted:
        if not own or not (isinstance(named, str) and named.startswith(OFFERED)):
            dropped.cannot(_hosted(named, where))
        dropped.add(f"tools.{named}")
    choice, only = _choice(given.get("tool_choice"), [named for _, named in hosted], dropped)
    made = [_chat_tool(tool, dropped) for tool in own if only is None or tool.function in only]
    if not made:
        return {}
    parallel = given.get("parallel_tool_calls")
    if parallel is not None and not isinstance(parallel, bool):
        raise mistyped("parallel_tool_calls", "true or false", parallel)
    return {
        "tools": made,
        **({"tool_choice": choice} if choice is not None else {}),
        **({"parallel_tool_calls": parallel} if parallel is not None else {}),
    }


def offers_hosted(tools: object) -> bool:
    """Whether a request offers tools that a provider runs."""
    return isinstance(tools, list) and any(isinstance(tool, dict) and tool.get("type") not in OWN for tool in tools)


def arguments_of(text: str) -> str:
    """The arguments of the function that stands for a custom tool, whose input this is."""
    return orjson.dumps({INPUT: text}).decode()


def input_of(arguments: str) -> str:
    """The input of a custom tool in the arguments of a call; they themselves, where a model wrote it there as it is."""
    try:
        given = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    text = given.get(INPUT) if isinstance(given, dict) else None
    return text if isinstance(text, str) else arguments


def _checked(tools: Any, where: str) -> Iterator[tuple[str, Json]]:
    """The tools of a list, those of namespaces among them. Raises BadRequest for what is none."""
    if not isinstance(tools, list):
        raise mistyped(where, "a list of tools", tools)
    for at, tool in enumerate(tools):
        here = f"{where}[{at}]"
        if not isinstance(tool, dict):
            raise mistyped(here, "an object", tool)
        of_chat = tool.get("function") if tool.get("type") == "function" and "name" not in tool else None
        given = of_chat if isinstance(of_chat, dict) else tool
        if tool.get("type") in OWN:
            if not text_of(given.get("name"), f"{here}.name"):
                raise wrong(f"{here}.name", "must not be empty")
            if given.get("parameters") is not None and not isinstance(given["parameters"], dict):
                raise mistyped(f"{here}.parameters", "a JSON schema", given["parameters"])
            if given.get("description") is not None:
                text_of(given["description"], f"{here}.description")
        yield here, tool
        if tool.get("type") == "namespace":
            yield from _checked(tool.get("tools"), f"{here}.tools")


def _hosted(named: object, where: str) -> BadRequest:
    return unsupported(
        where,
        f"{quoted(named, 60)} is a tool that OpenAI's own servers run, and no model that may serve this has it; leave it out, "
        "or offer a tool of the type function that does the same",
    )


def _choice(choice: Any, hosted: list[object], dropped: Dropped) -> tuple[Any, set[str] | None]:
    """`tool_choice` of the chat request, and the names that it confines the tools to, None where it does not."""
    if choice is None or choice in CHOICES:
        return choice, None
    if not isinstance(choice, dict):
        raise wrong("tool_choice", f"must be one of {', '.join(CHOICES)}, or an object")
    named = choice.get("type")
    if named in ("function", "custom"):
        inner = choice.get("function")
        name = choice.get("name", inner.get("name") if isinstance(inner, dict) else None)
        function = function_name(text_of(name, "tool_choice.name"), choice.get("namespace"))
        return {"type": "function", "function": {"name": function}}, None
    if named == "allowed_tools":
        tools = choice.get("tools")
        if not isinstance(tools, list) or choice.get("mode", "auto") not in CHOICES:
            raise wrong("tool_choice", "allowed_tools needs a list of tools and a mode")
        allowed = [tool for tool in tools if isinstance(tool, dict) and isinstance(tool.get("name"), str)]
        return choice.get("mode", "auto"), {function_name(tool["name"], tool.get("namespace")) for tool in allowed}
    if named not in hosted:
        raise unsupported(
            "tool_choice",
            f"{quoted(named, 60)} is no choice that a chat knows; name a function, or say auto, none or required",
        )
    dropped.cannot(_hosted(named, "tool_choice"))
    return None, None


def _chat_tool(tool: Tool, dropped: Dropped) -> Json:
    given = tool.given
    function: Json = {"name": tool.function}
    description = given.get("description") or ""
    if tool.kind == "custom":
        dropped.rest(given, _CUSTOM, "tools.")
        description += _grammar(given.get("format"))
        function["parameters"] = FREE_TEXT
    else:
        dropped.rest(given, _FUNCTION, "tools.")
        if given.get("parameters") is not None:
            function["parameters"] = given["parameters"]
        if given.get("strict") is True:
            function["strict"] = True
    if description:
        function["description"] = description
    return {"type": "function", "function": function}


def _grammar(form: object) -> str:
    """What a model is told of the grammar of a custom tool's input, which nobody holds it to."""
    if not isinstance(form, dict) or form.get("type") != "grammar" or not isinstance(form.get("definition"), str):
        return ""
    return f"\n\nThe input must follow this grammar ({form.get('syntax')}):\n{form['definition']}"
