"""A simulated model at work for a coding agent: it reads a file, edits it, runs a command, and reports, by the tools that it is offered.

The order is read off the human's last words, such as "Change beta to gamma in notes.txt, run `cat notes.txt`, and report". How far it has
come tell the results that have come since. Who is to judge an agent wants it to go on: here every model does the work rightly, and
thinks before each step; what it thinks it signs, and refuses what another has signed, as providers do.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import Any

import orjson

from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.sandbox.refusal import SandboxRefusal
from arbiter_app.runtime.sandbox.tasks import text_of

SIGNED_FORMAT = "anthropic-messages"
READ_CHARS = 4_000
SAID_CHARS = 400
_FILE = re.compile(r"(?<![\w/.-])((?:[\w.-]+/)*[\w-]+\.[A-Za-z]{1,6})\b")
_CHANGE = re.compile(
    r"\b(?:change|replace|rename|correct|turn)\s+[`'\"]?(?P<old>[^`'\"\n]{1,80}?)[`'\"]?\s+(?:to|with|by|into)\s+[`'\"]?(?P<new>[\w.-]{1,80})",
    re.IGNORECASE,
)
_COMMAND = re.compile(r"\brun\s+`(?P<command>[^`\n]{1,200})`", re.IGNORECASE)
_WRAPPED = re.compile(r"<([A-Za-z][\w-]{0,40})(?: [^<>]{0,200})?>.*?</\1>", re.DOTALL)
_READ = re.compile(r"^(?:read|read_file|view|open_file|view_file)$", re.IGNORECASE)
_EDIT = re.compile(r"^(?:edit|edit_file|str_replace|replace_in_file|str_replace_editor|editor)$", re.IGNORECASE)
_SHELL = re.compile(
    r"^(?:bash|shell|exec_command|run_commands?|run_terminal_cmd|execute_command|local_shell|terminal)$", re.IGNORECASE
)
_PATHS, _OLD = (
    ("file_path", "filePath", "filepath", "path", "file"),
    ("old_string", "oldString", "old_str", "old_text", "old"),
)
_NEW, _COMMANDS = ("new_string", "newString", "new_str", "new_text", "new"), ("command", "cmd", "script", "commands")


@dataclass(frozen=True, slots=True)
class Step:
    """What a model does next: it calls a tool, or says something, after a thought."""

    thought: str
    text: str = ""
    tool: str = ""
    given: Json | None = None


@dataclass(frozen=True, slots=True)
class _Order:
    """What a human asked for; `at` is the position of the message."""

    at: int
    file: str
    old: str
    new: str
    command: str


def next_step(payload: Json) -> Step | None:
    """The next step of an agent's work; None where no agent asks: without its tools, or where another choice of tool is made."""
    tools = {name: one for tool in payload.get("tools") or () if (name := _name(one := tool.get("function")))}
    shell = next((name for name in tools if _SHELL.match(name)), "")
    if payload.get("tool_choice") not in (None, "auto") or not shell:
        return None
    messages = payload["messages"]
    order = _order(messages)
    if order is None:
        return _talk(messages)
    steps = _steps(order, tools, shell)
    results = [text_of(one.get("content")) for one in messages[order.at + 1 :] if one.get("role") == "tool"]
    if len(results) < len(steps):
        return steps[len(results)]
    last = results[-1][-SAID_CHARS:].strip()
    did = f"changed {order.old} to {order.new} in {order.file}" if order.new else f"looked at {order.file}"
    return Step("It is done.", f"I {did}. The last command said:\n\n{last}")


def signature(model: str, thought: str) -> str:
    """What a model signs a thought with."""
    return hashlib.blake2b(f"{model}\0{thought}".encode(errors="replace"), digest_size=24).hexdigest()


def signed(model: str, thought: str) -> list[Json]:
    """A thought with its signature, as it stands in a message."""
    made = {"type": "reasoning.text", "text": thought, "signature": signature(model, thought)}
    return [{**made, "format": SIGNED_FORMAT, "index": 0}]


def check_signed(model: str, messages: list[Json]) -> None:
    """Raises SandboxRefusal for thoughts that this model has not signed."""
    for message in messages:
        details = message.get("reasoning_details")
        for one in details if isinstance(details, list) else ():
            text, mark = one.get("text"), one.get("signature")
            if mark and mark != signature(model, str(text)):
                raise SandboxRefusal(400, "Invalid `signature` in `thinking` block", "invalid_request_error")


def _steps(order: _Order, tools: dict[str, Json], shell: str) -> list[Step]:
    read = next((name for name in tools if _READ.match(name)), "")
    edit = next((name for name in tools if _EDIT.match(name)), "")
    steps = [
        _filled("First I look at it.", tools, read, (_PATHS, order.file))
        or _command("First I look at it.", tools, shell, f"cat {order.file}")
    ]
    if order.new:
        change = (_PATHS, order.file), (_OLD, order.old), (_NEW, order.new)
        old, new = (re.sub(r"([/&\\])", r"\\\1", text) for text in (order.old, order.new))
        steps.append(
            _filled("Now I change it.", tools, edit, *change)
            or _command("Now I change it.", tools, shell, f"sed -i 's/{old}/{new}/' {order.file}")
        )
    steps.append(_command("And now I check it.", tools, shell, order.command or f"cat {order.file}"))
    return steps


def _filled(thought: str, tools: dict[str, Json], name: str, *values: tuple[tuple[str, ...], str]) -> Step | None:
    """A call of a tool with these values, each under the first of its names that the tool knows; None where it does not know one."""
    if not name:
        return None
    known = _properties(tools[name])
    given: Json = {}
    for names, value in values:
        key = next((one for one in names if one in known), "")
        if not key:
            return None
        given[key] = value
    return Step(thought, tool=name, given=given)


def _command(thought: str, tools: dict[str, Json], shell: str, command: str) -> Step:
    known = _properties(tools[shell])
    key = next((one for one in _COMMANDS if one in known), "command")
    several = [command] if key == "commands" else ["bash", "-lc", command]
    value: Any = several if known.get(key, {}).get("type") == "array" or key == "commands" else command
    said = {"description": "Run a command"} if "description" in known else {}
    return Step(thought, tool=shell, given={key: value, **said})


def _order(messages: list[Json]) -> _Order | None:
    """What the human's last words ask for; None where they ask for no work on a file."""
    for at in range(len(messages) - 1, -1, -1):
        words = _words(messages[at]) if messages[at].get("role") == "user" else ""
        if not words:
            continue
        change, command = _CHANGE.search(words), _COMMAND.search(words)
        file = _FILE.search(words)
        if file is None:
            return None
        old, new = (change["old"], change["new"].rstrip(".")) if change is not None else ("", "")
        return _Order(at, file[1], old, new, command["command"] if command is not None else "")
    return None


def _talk(messages: list[Json]) -> Step:
    words = next((said for one in reversed(messages) if one.get("role") == "user" and (said := _words(one))), "")
    did = next(
        (
            text_of(one.get("content"))
            for one in reversed(messages)
            if one.get("role") == "assistant" and one.get("content")
        ),
        "",
    )
    return Step(
        "Nothing is to be done.",
        f"You said: {words[:100]}. " + (f"Before that: {did[:SAID_CHARS]}" if did else "Name a file."),
    )


def _words(message: Json) -> str:
    """What a human wrote in a message: its last text, without what agents wrap around and before it."""
    content = message.get("content")
    parts = (
        [one for one in content if isinstance(one, dict) and one.get("type") == "text"]
        if isinstance(content, list)
        else []
    )
    text = str(parts[-1].get("text", "")) if parts else text_of(content)
    return _WRAPPED.sub(" ", text[-READ_CHARS:]).strip()


def _name(function: Any) -> str:
    return str(function.get("name") or "") if isinstance(function, dict) else ""


def _properties(function: Json) -> Json:
    found = (function.get("parameters") or {}).get("properties")
    return found if isinstance(found, dict) else {}


def arguments(step: Step) -> str:
    """What a tool is called with."""
    return orjson.dumps(step.given or {}).decode()
