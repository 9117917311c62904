"""What a reasoning model thought aloud before it answered: no part of the answer that is checked."""

from __future__ import annotations

import re

from arbiter_app.pipeline.types import Json

_OPENING = re.compile(r"\s*<(think|thinking|thought|reasoning|seed:think)>", re.IGNORECASE)
_FINAL = "<|channel|>final<|message|>"
_TEXT = frozenset({"role", "content", "name"})


def without_thoughts(text: str) -> str:
    """An answer without the blocks of thought that it begins with; nothing is left of one that is never closed."""
    if text.lstrip().startswith("<|") and _FINAL in text:
        return text[text.rindex(_FINAL) + len(_FINAL) :].removesuffix("<|return|>").removesuffix("<|end|>")
    while (opening := _OPENING.match(text)) is not None:
        closing = f"</{opening.group(1).lower()}>"
        end = text.lower().find(closing, opening.end())
        text = text[end + len(closing) :] if end >= 0 else ""
    return text


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
