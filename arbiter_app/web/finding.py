"""Long lists on pages: those that fit what is looked for, the first of them, and how many there are."""

from __future__ import annotations

from collections.abc import Sequence

from arbiter_app.web.views import View

SHOWN = 25
"""Rows of a list at once; more are found by looking for them."""


def found(rows: Sequence[View], sought: str, *names: str, most: int = SHOWN) -> tuple[list[View], str]:
    """The first rows that have `sought` in one of these members, whatever the case; and how many fit, in words."""
    words = sought.lower().split()
    fits = [row for row in rows if all(any(word in row[name].lower() for name in names) for word in words)]
    told = f"{len(fits):,} of {len(rows):,}"
    return fits[:most], f"the first {most} of {len(fits):,}" if len(fits) > most else told
