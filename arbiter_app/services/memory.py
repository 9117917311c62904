"""Everything learned and remembered in memory, to be forgotten at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence


class Memory:
    """What parts keep in memory. `generation` counts how often all of it was forgotten."""

    def __init__(self, forgets: Sequence[Callable[[], None]]) -> None:
        self.generation = 0
        self._forgets = forgets

    def forget(self) -> None:
        """Drop everything (the store is reset by its own method)."""
        self.generation += 1
        for forget in self._forgets:
            forget()
