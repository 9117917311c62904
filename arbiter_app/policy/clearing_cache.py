"""A memory of what was worked out lately, bounded."""

from __future__ import annotations

from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


class ClearingCache(dict[K, V]):
    """What was worked out lately, at most `most` of it: it is forgotten all at once, so that looking up costs what a dict does."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: K, value: V) -> V:
        """Remember, and give it back."""
        if len(self) >= self._most:
            self.clear()
        self[key] = value
        return value
