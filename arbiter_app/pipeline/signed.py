"""What models thought and signed in a conversation: only the one that did can read it, and some refuse a request for it."""

from __future__ import annotations

from typing import Any

from arbiter_app import exact_json

_SIGNED = frozenset(
    {
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


def unsigned(messages: str) -> bytes | None:
    """Messages (their JSON) without what models thought and signed, all else as it was written; None where nothing of that
    is in them.

    An answer that was nothing but thoughts goes, too.
    """
    try:
        given = exact_json.exact(messages.encode())
        kept = [bare for one in given if (bare := _message(one)) is not None]
        return exact_json.dumps(kept) if kept != given else None
    except ValueError:
        return None  # nested beyond what can be written again


def _message(message: dict[str, Any]) -> dict[str, Any] | None:
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
