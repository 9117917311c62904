"""The policy's words about a decision in those of whoever reads it: each with the number behind it."""

from __future__ import annotations

import re

from arbiter_app.web.formats import charge

_BOUND = re.compile(r"^bound (-?[\d.]+) under (-?[\d.]+)")
_REASON = re.compile(r"least expected loss: quality ([\d.]+) \(at least (-?[\d.]+)\) for a bar of (-?[\d.]+), ")
"""What older decisions say, which are kept as they were written."""
EXPECTED = "not graded here yet: expected from its price and its other tasks"
"""Where the belief in a model comes from that has no grade in a bucket."""


def why_not(said: str, cost: float | None, chosen: str, paid: float | None) -> str:
    """Why a candidate was not chosen. `cost` is what its call was expected to cost in USD, `paid` that of the `chosen` one's."""
    first, semicolon, rest = said.partition("; ")
    bound = _BOUND.match(first)
    if bound:
        words = f"could be as low as {float(bound[1]):.2f}; the limit here is {float(bound[2]):.2f}"
    elif first == "dearer":
        more = None if cost is None or paid is None else cost - paid
        words = "dearer" if more is None or more <= 0 else f"{charge(more)} dearer than {chosen}{_times(cost, paid)}"
    elif first == "not its turn":
        words = f"as good as known, but this call tried {chosen}"
    else:
        words = first
    return (
        words
        + semicolon
        + rest.replace("of it for the lost cache", "of its cost for the prompt cache that would be lost")
    )


def reason(said: str) -> str:
    """Why the chosen one was chosen."""
    return _REASON.sub(r"best value: quality \1, could be as low as \2; good enough is \3; ", said)


def _times(cost: float | None, paid: float | None) -> str:
    return "" if not cost or not paid else f" (×{cost / paid:.1f})"
