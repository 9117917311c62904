"""What providers charge for an answer that goes before others or in a hurry: so many times the list price, at most."""

from __future__ import annotations

TIMES = {"priority": 2.0, "fast": 2.0}
"""By `service_tier`, as it is asked for and as answers state it (OpenAI: 1.7 to 2 times)."""
FAST_TIMES = 6.0
"""For `speed: fast` of Anthropic's Messages."""


def times(tier: object, *, fast: bool) -> float:
    """How many times the list price an answer costs at most, by its service tier and whether it was made in a hurry."""
    dearer = TIMES.get(tier, 1.0) if isinstance(tier, str) else 1.0
    return dearer * FAST_TIMES if fast else dearer
