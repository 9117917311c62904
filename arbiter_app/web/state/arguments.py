"""Checks of what a handler is called with: a browser can send anything."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any


def text(value: Any, most: int = 200) -> str:
    """A short string, or empty when it is anything else."""
    return value.strip()[:most] if isinstance(value, str) else ""


def choice(value: Any, allowed: Collection[str], default: str) -> str:
    """One of the allowed words, or the default."""
    return value if isinstance(value, str) and value in allowed else default


def number(value: Any, low: float, high: float) -> float | None:
    """A finite number within bounds, also from text; None otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and low <= found <= high else None


def first(value: Any) -> Any:
    """The single value of a slider, which sends a list."""
    return value[0] if isinstance(value, list) and value else value
