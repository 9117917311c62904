"""What a reasoning model thought aloud before it answered: no part of the answer that is checked."""

from __future__ import annotations

import re

from arbiter_app.pipeline.types import Json

_TAGS = ("think", "thinking", "thought", "reasoning", "seed:think")
_MARKS = {
    **{f"<{tag}>": f"</{tag}>" for tag in _TAGS},
    "[think]": "[/think]",
    "\u25c1think\u25b7": "\u25c1/think\u25b7",
}
_OPENING = re.compile(rf"\s*(?ai:({'|'.join(map(re.escape, _MARKS))}))")
_CLOSING = {opens: re.compile(re.escape(closes), re.IGNORECASE | re.ASCII) for opens, closes in _MARKS.items()}
_LEFT_OPEN = re.compile(r"</(?:think|thinking|seed:think)>\s*|\u25c1/think\u25b7\s*")
"""Where a thought ends whose beginning stands in the prompt: templates of models put it there."""
_NO_THOUGHT = ("{", "[", "<", "`", '"', "|")
_FINAL = "<|channel|>final<|message|>"
_TEXT = frozenset({"role", "content", "name"})


def without_thoughts(text: str) -> str:
    """An answer without the blocks of thought that it begins with; nothing is left of one that is never closed."""
    if text.lstrip().startswith("<|") and _FINAL in text:
        return text[text.rindex(_FINAL) + len(_FINAL) :].removesuffix("<|return|>").removesuffix("<|end|>")
    at = 0
    while (opening := _OPENING.match(text, at)) is not None:
        closing = _CLOSING[opening[1].lower()].search(text, opening.end())
        if closing is None:
            return ""
        at = closing.end()
    if at or ("/think" not in text and "/seed:think" not in text):
        return text[at:]
    return _after_open_thought(text)


def _after_open_thought(text: str) -> str:
    """What follows a thought that ends and does not begin; the whole text where that is only quoted."""
    end = _LEFT_OPEN.search(text)
    if end is None or text[end.start() - 1 : end.start()] in ("`", '"', "'"):
        return text
    before = text[: end.start()].strip()
    return text if before.startswith(_NO_THOUGHT) or "<think" in before else text[end.end() :]


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
