"""Fenced blocks of an answer, found in one pass over its lines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

MAX_FENCES = 128
_INFO = re.compile(r"[ \t]*([\w+#.-]{0,40})")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block, with the language its fence names in lower case (empty when it names none)."""

    language: str
    code: str


def fenced_blocks(answer: str) -> list[Block]:
    """The first blocks that hold anything; a fence that is never closed is no block."""
    fences = list(islice(_fences(answer), MAX_FENCES))
    blocks = []
    for opening, closing in zip(fences[::2], fences[1::2], strict=False):
        start = answer.find("\n", opening) + 1
        info = _INFO.match(answer, opening + 3)
        code = answer[start : answer.rfind("\n", 0, closing) + 1]
        if code.strip() and info is not None:
            blocks.append(Block(info.group(1).lower(), code))
    return blocks


def _fences(answer: str) -> Iterator[int]:
    """Where fences stand: three backticks at the start of a line, indented at most a little."""
    at = answer.find("```")
    while at >= 0:
        line = answer.rfind("\n", max(0, at - 9), at) + 1
        if (line > 0 or at <= 8) and not answer[line:at].strip(" \t"):
            yield at
        next_line = answer.find("\n", at)
        at = answer.find("```", next_line) if next_line >= 0 else -1
