"""What a reasoning model thought aloud before it answered: no part of the answer that is checked."""

from __future__ import annotations

import re

from arbiter_app.pipeline.types import Json

_TAGS = ("think", "thinking", "thought", "reasoning", "seed:think")
_OPENING = re.compile(rf"\s*<(?ai:({'|'.join(_TAGS)}))>")
_CLOSING = {tag: re.compile(f"</{tag}>", re.IGNORECASE | re.ASCII) for tag in _TAGS}
_FINAL = "<|channel|>final<|message|>"
_TEXT = frozenset({"role", "content", "name"})


def without_thoughts(text: str) -> str:
    """An answer without the blocks of thought that it begins with; nothing is left of one that is never closed."""
    if text.lstrip().startswith("<|") and _FINAL in text:
        return text[text.rindex(_FINAL) + len(_FINAL) :].removesuffix("<|return|>").removesuffix("<|end|>")
    at = 0
    while (opening := _OPENING.match(text, at)) is not None:
        closing = _CLOSING[opening.group(1).lower()].search(text, opening.end())
        if closing is None:
            return ""
        at = closing.end()
    return text[at:]


def says_more(body: Json) -> bool:
    """Whether an answer holds anything beside text: images, audio, reasoning, a refusal, calls, or parts of another kind."""
    choices = body.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        message = choice.get("message") if isinstance(choice, dict) else None
        if isinstance(message, dict) and (
            isinstance(message.get("content"), list) or any(value for key, value in message.items() if key not in _TEXT)
        ):
            return True
    return False
