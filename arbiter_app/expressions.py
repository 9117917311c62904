"""Regular expressions that somebody else wrote: what they take to be made is bounded, and so is what they take to be looked for.

`regex` can be told to give up after a time, which `re` cannot. It writes out what is repeated a stated number of times, so that twenty
characters (`((a{1000}){1000}){1000}`) would take all memory there is: how large an expression is written out is counted first.
"""

from __future__ import annotations

import re

import regex

MOST_PARTS = 10_000
"""Of an expression, written out; each takes some 270 bytes."""
_TOKEN = re.compile(
    r"(?P<flags>\(\?[\w-]*?(?:x|V1)[\w-]*[:)])|(?P<comment>\(\?#[^)]*\))|(?P<times>\{(?P<least>\d*)(?:,(?P<most>\d*))?\})"
    r"|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.",
    re.DOTALL,
)


class Unfit(ValueError):
    """An expression that cannot be taken; the message says why."""


def compiled(text: str) -> regex.Pattern[str]:
    """The expression. Raises Unfit for what is none, and for what is too large when it is written out."""
    if _parts(text) > MOST_PARTS:
        raise Unfit(f"what it repeats has more than {MOST_PARTS:,} parts when it is written out; repeat fewer times")
    try:
        return regex.compile(text)
    except (regex.error, RecursionError, OverflowError, MemoryError) as error:
        raise Unfit(str(error) or "it is nested too deep") from None


def _parts(text: str) -> int:
    """How many parts it has, written out: at least that, at most a few more."""
    groups, last = [0], 0
    for token in _TOKEN.finditer(text):
        if token["flags"]:
            raise Unfit("its flags x and V1 are not taken")
        if token["times"] and (token["least"] or token["most"]):
            times = max(_number(token["least"]), _number(token["most"]))
            groups[-1] += last * (times - 1)
            last *= times
        elif token[0] == "(":
            groups.append(0)
        elif token[0] == ")":
            last = groups.pop() + 1
            groups = groups or [0]
            groups[-1] += last
        elif not token["comment"] and token[0] not in "*+?|^$":
            last = 1
            groups[-1] += 1
        if groups[-1] > MOST_PARTS:
            break
    return sum(groups)


def _number(digits: str | None) -> int:
    return min(int((digits or "1").lstrip("0")[:9] or "0"), MOST_PARTS + 1)
