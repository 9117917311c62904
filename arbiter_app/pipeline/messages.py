"""Reading chat messages: what the human asked last, and the system prompt. Everything else must not decide the class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from arbiter_app.pipeline.types import Json

# Tags that coding agents and chat front ends put around what a person typed: dropped with their content ...
_DROPPED = (
    "system-reminder",
    "system_reminder",
    "environment_context",
    "environment_details",
    "attached_files",
    "file_contents",
    "file_content",
    "additional_data",
    "attachment",
    "attachments",
    "user_info",
    "user_instructions",
    "context",
    "editorContext",
    "reminderInstructions",
    "repoInstructions",
    "documents",
    "tool_result",
    "function_results",
    "git_status",
    "project_layout",
    "open_and_recently_viewed_files",
    "ide_opened_file",
    "ide_selection",
    "local-command-stdout",
    "local-command-stderr",
    "command-name",
    "command-message",
    "INSTRUCTIONS",
)
# ... those that only a front end writes, whose content is the ask itself ...
_UNWRAPPED = ("user_query", "user_message", "userRequest")
# ... and those that mean the same when nothing stands around them, though people write them in questions, too.
_UNWRAPPED_ALONE = ("task", "query", "question", "instruction")


_TAG_ENDS = (">", " ", "\n")
_RESULTS = ("tool", "function")
"""The roles that bring what a tool gave."""
MAX_CALLS = 64
"""As many calls of one answer are looked at by their ids."""
MAX_ID_CHARS = 16_000
"""Some runtimes put what a model signed into the id."""


def content_text(content: object) -> str:
    """The text of a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text")
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def latest_ask(messages: list[Json]) -> str:
    """The latest human message as plain text, without the wrappers that agents put around it.

    A message that is nothing but wrappers was not written by a human; an earlier one counts then, if there is one.
    """
    wrapped = ""
    for message in reversed(messages):
        if message.get("role") == "user":
            text = content_text(message.get("content"))
            ask = _bare(text)
            if ask:
                return ask
            wrapped = wrapped or text.strip()
    return wrapped


def open_calls(messages: list[Json]) -> list[str] | None:
    """The ids of the tool calls that a tool loop goes on from; None outside of a loop.

    In a loop the results of the last calls have come, or nothing has yet. What an agent says as the user beside results,
    such as where it works, ends no loop; an answer in words does.
    """
    answered, calls = False, None
    for at, message in enumerate(reversed(messages)):
        if message.get("role") == "assistant":
            calls = message.get("tool_calls") or message.get("function_call")
            answered = answered or (at == 0 and bool(calls))
            break
        content = message.get("content")
        answered = answered or message.get("role") in _RESULTS or (isinstance(content, list) and _has_result(content))
    if not answered:
        return None
    return ids_of(calls) if isinstance(calls, list) else []


def offered(payload: Json) -> tuple[Any, Any]:
    """The tools that a request offers, and what it says of calling them (`tool_choice`).

    `functions` and `function_call`, as these were before, are given in the form of today.
    """
    tools, functions, choice = payload.get("tools"), payload.get("functions"), payload.get("function_call")
    if tools or not functions or not isinstance(functions, list):
        return tools, payload.get("tool_choice")
    named = {"type": "function", "function": choice} if isinstance(choice, dict) else choice
    return [{"type": "function", "function": one} for one in functions], named


def ids_of(calls: Sequence[object]) -> list[str]:
    """The ids of tool calls, those of the first ones where there are many; none that is longer than any runtime's."""
    ids = [call.get("id") for call in calls[:MAX_CALLS] if isinstance(call, dict)]
    return [one for one in ids if isinstance(one, str) and 0 < len(one) <= MAX_ID_CHARS]


def _has_result(content: list[object]) -> bool:
    """Whether a part of a content brings what a tool gave."""
    return any(isinstance(part, dict) and part.get("type") == "tool_result" for part in content)


def system_prompt(messages: list[Json]) -> str:
    """The system and developer messages, joined."""
    texts = [content_text(one.get("content")) for one in messages if one.get("role") in ("system", "developer")]
    return "\n".join(filter(None, texts))


def _bare(text: str) -> str:
    """Without wrappers: one linear pass a tag; an opening tag that is never closed stays as it is."""
    if "<" not in text:
        return text.strip()
    bare = text
    for tag in _DROPPED:
        bare = _without(bare, tag)
    bare = bare.strip()
    for tag in _UNWRAPPED:
        bare = _inside(bare, tag) or bare
    for tag in _UNWRAPPED_ALONE:
        if bare.startswith(f"<{tag}>") and bare.endswith(f"</{tag}>"):
            bare = _inside(bare, tag) or bare
    return bare


def _without(text: str, tag: str) -> str:
    opening, closing = f"<{tag}", f"</{tag}>"
    kept, position = [], 0
    at = text.find(opening)
    while at >= 0:
        if text[at + len(opening) : at + len(opening) + 1] not in _TAG_ENDS:
            at = text.find(opening, at + 1)
            continue
        end = text.find(closing, at)
        if end < 0:
            break
        kept.append(text[position:at])
        position = end + len(closing)
        at = text.find(opening, position)
    return "".join((*kept, text[position:])) if kept or position else text


def _inside(text: str, tag: str) -> str:
    start = text.rfind(f"<{tag}>")
    end = text.find(f"</{tag}>", start)
    return text[start + len(tag) + 2 : end].strip() if 0 <= start < end else ""
