"""Reading chat messages: what the human asked last, and the system prompt. Everything else must not decide the class."""

from __future__ import annotations

from arbiter_app.pipeline.types import Json

# Tags that coding agents and chat front ends put around what a person typed: dropped with their content ...
_DROPPED = (
    "system-reminder",
    "system_reminder",
    "environment_context",
    "environment_details",
    "attached_files",
    "file_contents",
    "additional_data",
    "user_info",
    "user_instructions",
    "context",
    "documents",
    "tool_result",
    "function_results",
    "git_status",
)
# ... and those whose content is the ask itself.
_UNWRAPPED = ("user_query", "user_message", "task", "query", "question", "instruction")


def content_text(content: object) -> str:
    """The text of a message's content: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = (part.get("text") for part in content if isinstance(part, dict) and part.get("type") == "text")
        return "\n".join(part for part in parts if isinstance(part, str))
    return ""


def latest_ask(messages: list[Json]) -> str:
    """The latest human message as plain text, without the wrappers that agents put around it."""
    for message in reversed(messages):
        if message.get("role") == "user":
            ask = unwrap(content_text(message.get("content")))
            if ask:
                return ask
    return ""


def system_prompt(messages: list[Json]) -> str:
    """The system and developer messages, joined."""
    texts = (content_text(one.get("content")) for one in messages if one.get("role") in ("system", "developer"))
    return "\n".join(text for text in texts if text)


def unwrap(text: str) -> str:
    """Strip wrappers: one linear pass a tag; an opening tag that is never closed stays as it is."""
    if "<" not in text:
        return text.strip()
    bare = text
    for tag in _DROPPED:
        bare = _without(bare, tag)
    for tag in _UNWRAPPED:
        inner = _inside(bare, tag)
        if inner:
            return inner
    return bare.strip() or text.strip()


def _without(text: str, tag: str) -> str:
    opening, closing = f"<{tag}", f"</{tag}>"
    at = text.find(opening)
    if at < 0:
        return text
    kept, position = [], 0
    while at >= 0:
        end = text.find(closing, at)
        if end < 0:
            break
        kept.append(text[position:at])
        position = end + len(closing)
        at = text.find(opening, position)
    kept.append(text[position:])
    return "".join(kept)


def _inside(text: str, tag: str) -> str:
    start = text.rfind(f"<{tag}>")
    end = text.find(f"</{tag}>", start)
    return text[start + len(tag) + 2 : end].strip() if 0 <= start < end else ""
