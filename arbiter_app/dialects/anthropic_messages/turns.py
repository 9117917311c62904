"""What the turns of a conversation are as messages of a chat, once their blocks are read (`content.py`, `typed.py`)."""

from __future__ import annotations

from typing import Any

from arbiter_app.dialects.reasoning import put_back
from arbiter_app.dialects.translation import Dropped
from arbiter_app.pipeline.types import Json

BILLING = "x-anthropic-billing-header"
"""Begins a system block in which Claude Code tells its maker about itself, anew with each version: no instruction to any model, and at
the head of a prompt it would keep what follows from being found in a cache."""
FAILED = "Error: "
"""Stands before the result of a tool that failed: a chat has no field for it."""
_KEPT_OF_CACHE = ("type", "ttl")
"""Members of `cache_control` that are documented; strict runtimes refuse any other."""


def system_message(parts: list[Json], dropped: Dropped) -> list[Json]:
    """The message that the parts of a system prompt are, if any."""
    if parts and parts[0]["text"].startswith(f"{BILLING}:"):
        dropped.add(f"system.{BILLING}")
        del parts[0]
    return [{"role": "system", "content": joined(parts, "\n\n")}] if parts else []


def user_message(parts: list[Json]) -> list[Json]:
    """The message that parts of the user's are, if any."""
    if not parts:
        return []
    alone = parts[0]["text"] if len(parts) == 1 and parts[0].keys() == {"type", "text"} else parts
    return [{"role": "user", "content": alone}]


def result_message(call: str, texts: list[Json], mark: Json, *, failed: bool, more: bool = False) -> Json:
    """The message that the result of a call is: its texts, marked to be cached or not; `more` of it follows as the user's."""
    if failed:
        first = texts[0] if texts else {"type": "text", "text": ""}
        texts = [{**first, "text": FAILED + first["text"]}, *texts[1:]]
    if more:
        texts = [*texts, {"type": "text", "text": "(What else it gave is in the message after this.)"}]
    if mark:
        texts = [*texts[:-1], {**texts[-1], **mark}] if texts else []
    return {"role": "tool", "tool_call_id": call, "content": joined(texts, "\n")}


def assistant_message(parts: list[Json], calls: list[Json], signed: list[Json]) -> list[Json]:
    """The message that a turn of the assistant is; none where nothing was said and called."""
    if not parts and not calls:
        return []
    message: Json = {"role": "assistant", "content": joined(parts, "") if parts else None}
    if calls:
        message["tool_calls"] = calls
    if signed:
        put_back(message, signed)
    return [message]


def marked(mark: Json | None) -> Json:
    """The `cache_control` of a block, to be kept, as members of what becomes of the block."""
    return {} if mark is None else {"cache_control": {name: mark[name] for name in _KEPT_OF_CACHE if name in mark}}


def mark_end(made: list[Json], mark: Json) -> None:
    """Put a mark (`marked`) on the last part of a history that can be cached, where it has none."""
    for message in reversed(made):
        content = message["content"]
        parts = [{"type": "text", "text": content}] if isinstance(content, str) and content else content
        if parts:
            message["content"] = [*parts[:-1], {**mark, **parts[-1]}]
            return


def joined(parts: list[Json], between: str) -> str | list[Json]:
    """Parts as plain text where they are nothing but that, else as they are."""
    if len(parts) == 1 and len(parts[0]) == 2 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    plain = all([part["type"] == "text" and len(part) == 2 for part in parts])
    return between.join([part["text"] for part in parts]) if plain else parts


def says_anything(made: list[Json]) -> bool:
    """Whether a history has a message beside system prompts."""
    return any(one["role"] != "system" for one in made)


def strip_end(made: list[Json]) -> None:
    """Drop white space at the end of what the assistant is to go on from: runtimes refuse it."""
    if not made or made[-1]["role"] != "assistant":
        return
    message = made[-1]
    content = message["content"]
    if isinstance(content, str):
        message["content"] = content.rstrip()
    elif content and content[-1]["type"] == "text":
        content[-1] = {**content[-1], "text": content[-1]["text"].rstrip()}


def has_fractions(value: Json | list[Any]) -> bool:
    """Whether there are numbers in a value that may have been written otherwise than they are read."""
    for one in value.values() if type(value) is dict else value:
        if type(one) is float or ((type(one) is dict or type(one) is list) and has_fractions(one)):
            return True
    return False
