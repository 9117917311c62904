"""What a prompt asks for, as the simulated models see it: rules of their own, simpler than Arbiter's and not shared
with it, so that a mistake of Arbiter's classifier shows as a worse answer instead of being agreed with."""

from __future__ import annotations

import re
from typing import Any

from arbiter_app.pipeline.types import Json, Task
from arbiter_app.runtime.sandbox.sums import find_sum

READ_CHARS = 4_000
LANGUAGES = {
    "python": "python",
    "pandas": "python",
    "django": "python",
    "javascript": "javascript",
    "node": "javascript",
    "react": "javascript",
    "typescript": "typescript",
    "golang": "go",
    "go": "go",
    "rust": "rust",
    "java": "java",
    "bash": "bash",
    "shell": "bash",
    "sql": "sql",
}
_LANGUAGE = re.compile(rf"\b({'|'.join(LANGUAGES)})\b", re.IGNORECASE)
_GO_VERB = re.compile(r"\bgo (?:to|on|for|back|out|home|and|through|with)\b", re.IGNORECASE)
_FORMAT = re.compile(
    r"\b(json|ya?ml|csv)\b(?! parser| library)|\b(?:as|in|into|a|make|draw)\s(?:a )?(?:markdown )?(table) (?:with|of|showing|that|listing|form)",
    re.IGNORECASE,
)
_CREATIVE = re.compile(
    r"\b(?:poems?|haiku|sonnet|stor(?:y|ies)|song|lyrics|essay|letter|e-?mail|blog|speech|jokes?|slogan|tweet|article|paragraph)\b",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"```|\b(?:def|class) \w+\s*[(:]|\bselect .{1,80} from |#include|console\.log|;\s*$|Traceback"
    r"|\b(?:write|implement|create|fix|debug|refactor|complete|build|optimi[sz]e|make|give me|add)\b[^.?!]{0,60}"
    r"\b(?:function|method|class|script|program|query|regex|code|algorithm|unit tests?|decorator|api|component|snippet|parser|bug)\b",
    re.IGNORECASE | re.MULTILINE,
)
_MATH = re.compile(
    r"\b(?:derivative|integral|equation|probability|percent(?:age)?|average|calculate|compute|solve for|square root|hypotenuse"
    r"|how (?:many|much)|total|sum of|product of|remainder|prime factors?)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_CHOICES = re.compile(r"^\W*A[.):]\s.+\n\W*B[.):]\s|\(A\).+\(B\)", re.MULTILINE)
_TOOLS = re.compile(r"^\s*tools:\s*[\[{]", re.IGNORECASE | re.MULTILINE)
_LISTED = re.compile(r"^\s*(?:[-*]|\d+[.)])\s", re.MULTILINE)
_ENVELOPE = "## Instruction"  # what follows says how to write the answer down, not what is asked
_FACT = re.compile(
    r"^\W*(?:who|when|where|what|which|why|how|is|are|does|did|do|was|were|can|define|explain)\b", re.IGNORECASE
)
_HARD = re.compile(
    r"\b(?:prove|proof|theorem|derive|rigorous(?:ly)?|step[- ]by[- ]step|optimi[sz]e|complexity|concurren\w+|thread-safe|distributed"
    r"|lock-free|race condition|edge cases|trade-?offs?|constraints?|requirements?|in depth|in detail|comprehensive|refactor"
    r"|architecture|dynamic programming|nested|integral|eigenvalue|matrix|induction|variance)\b",
    re.IGNORECASE,
)


def ask_of(messages: list[Json]) -> str:
    """The text of the last user message."""
    for message in reversed(messages):
        if message.get("role") == "user":
            return text_of(message.get("content"))
    return ""


def text_of(content: Any) -> str:
    """A message's content as text: a string, or the text parts of a list."""
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "\n".join(str(part.get("text", "")) for part in parts if isinstance(part, dict))


def task_of(ask: str, *, json_asked: bool = False) -> Task:
    """The kind of answer that this ask wants."""
    head = ask[:READ_CHARS].partition(_ENVELOPE)[0]
    if json_asked or format_of(head) or _TOOLS.search(head):
        return Task.STRUCTURED
    if _CODE.search(head) and not _CREATIVE.search(head[:200]):
        return Task.CODE
    if _CHOICES.search(head):
        return Task.FACTUAL
    if find_sum(head) is not None:
        return Task.MATH
    if _CREATIVE.search(head[:200]):
        return Task.OPEN
    if language_of(head) is not None:
        return Task.CODE
    if _MATH.search(head) and len(_NUMBER.findall(head)) >= 2:
        return Task.MATH
    return Task.FACTUAL if _FACT.match(head) else Task.OPEN


def is_hard(ask: str) -> bool:
    """Two of: length (counts twice when great), words that announce hard work, a list of demands, many numbers."""
    points = 2 if len(ask) > 6_000 else 1 if len(ask) > 1_500 else 0
    points += (len(_LISTED.findall(ask[:READ_CHARS])) >= 4) + (len(_NUMBER.findall(ask[:READ_CHARS])) >= 8)
    found = {match.group(0).lower() for match in _HARD.finditer(ask[:READ_CHARS])}
    return points + len(found) >= 2


def format_of(ask: str) -> str:
    """json, yaml, csv or table when the ask names one; else empty."""
    match = _FORMAT.search(ask)
    if match is None:
        return ""
    named = (match.group(1) or match.group(2)).lower()
    return "yaml" if named == "yml" else named


def language_of(ask: str) -> str | None:
    """The programming language that the ask names."""
    match = _LANGUAGE.search(_GO_VERB.sub(" ", ask))
    return LANGUAGES[match.group(1).lower()] if match else None
