"""What models thought and signed in a conversation: only the one that did can read it, and some refuse a request for it."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Any

from arbiter_app import exact_json

MEMBER = "reasoning_details"
"""Of a message: what its model thought, piece by piece."""
EXTRA = "extra_content"
"""Of a call: what a runtime says beside it, such as Gemini's signature."""
MADE_BY = "made_by"
"""Of one of these: the model that made it, where Arbiter knows."""
NAMES_MAKER = f'"{MADE_BY}"'
"""Stands in messages where one of these does."""
_SIGNED = frozenset(
    {
        MADE_BY,
        "encrypted_content",
        "reasoning",
        "reasoning_content",
        "reasoning_details",
        "reasoning_opaque",
        "reasoning_text",
        "signature",
        "thinking_blocks",
        "thought_signature",
        "thought_signatures",
    }
)
"""Members of an answer, and of its parts and calls, as the dialects name them."""
_THOUGHTS = frozenset({"thinking", "redacted_thinking", "reasoning"})
"""Types of whole parts."""
_WORK = frozenset({"arguments", "input"})
"""What a tool is called with: it may be named like anything."""
_LEVELS = 8
"""As deep in a message is looked."""


def readable(history: list[Any], is_foreign: Callable[[str], bool]) -> list[Any]:
    """Messages or items in their callers' own dialect without thoughts whose signature is foreign; nor messages that are nothing else."""
    kept = []
    for item in history:
        content = item.get("content") if isinstance(item, dict) else None
        if isinstance(content, list):
            bare = [block for block in content if not _is_signed_by(block, is_foreign)]
            if content and not bare:
                continue
            item = {**item, "content": bare}
        if not _is_signed_by(item, is_foreign):
            kept.append(item)
    return kept


def _is_signed_by(block: Any, is_foreign: Callable[[str], bool]) -> bool:
    if not isinstance(block, dict) or block.get("type") not in _THOUGHTS:
        return False
    marks = (block.get(name) for name in ("signature", "data", "encrypted_content"))
    return any(isinstance(mark, str) and is_foreign(mark) for mark in marks)


def unsigned(messages: str) -> bytes | None:
    """Messages (their JSON) without what models thought and signed, all else as it was written; None where nothing of that
    is in them.

    An answer that was nothing but thoughts goes, too.
    """
    try:
        given = exact_json.exact(messages.encode())
        if not isinstance(given, list):
            return None
        kept = [bare for one in given if (bare := _message(one)) is not None]
        return exact_json.dumps(kept) if kept != given else None
    except ValueError:
        return None  # nested beyond what can be written again


def signed_by(models: Set[str], messages: str) -> tuple[bytes, bool] | None:
    """Messages (their JSON) with what one of these models is known to have signed, and without what others are; whether there was any of
    others. None where nothing is known.
    """
    if NAMES_MAKER not in messages:
        return None
    given = exact_json.exact(messages.encode())
    made = [_signed_by(models, one) for one in given]
    return exact_json.dumps([one for one, _ in made]), any(others for _, others in made)


def _signed_by(models: Set[str], message: dict[str, Any]) -> tuple[dict[str, Any], bool]:
    bare, others = dict(message), False
    details, calls = message.get(MEMBER), message.get("tool_calls")
    if isinstance(details, list):
        own = [_unnamed(one) for one in details if _is_of(models, one)]
        others = len(own) < len(details)
        del bare[MEMBER]
        if own:
            bare[MEMBER] = own
    if isinstance(calls, list):
        others = others or not all(_is_of(models, one) for one in calls)
        bare["tool_calls"] = [_unnamed(one) if _is_of(models, one) else _unnamed(one, EXTRA) for one in calls]
    return bare, others


def _is_of(models: Set[str], one: Any) -> bool:
    made_by = one.get(MADE_BY) if isinstance(one, dict) else None
    return made_by is None or (isinstance(made_by, str) and made_by in models)


def _unnamed(one: Any, *without: str) -> Any:
    if not isinstance(one, dict) or MADE_BY not in one:
        return one
    return {name: value for name, value in one.items() if name != MADE_BY and name not in without}


def _message(message: dict[str, Any]) -> dict[str, Any] | None:
    if message.get("type") == "reasoning":  # an item of its own
        return None
    if message.get("role") != "assistant":
        return message
    bare: dict[str, Any] = _bare(message, _LEVELS)
    says_something = bare == message or any(name in bare for name in ("content", "tool_calls", "function_call"))
    return bare if says_something else None


def _bare(value: Any, levels: int) -> Any:
    """A value without signed members and parts, and without what is empty by that."""
    if not value or not levels or not isinstance(value, dict | list):
        return value
    if isinstance(value, list):
        parts = [one for one in value if not (isinstance(one, dict) and one.get("type") in _THOUGHTS)]
        return [_bare(one, levels - 1) for one in parts]
    left = {}
    for name, inner in value.items():
        bare = inner if name in _WORK else _bare(inner, levels - 1)
        if name not in _SIGNED and (bare or not inner):
            left[name] = bare
    return left
