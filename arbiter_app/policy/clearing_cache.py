"""Values that are made for every request: frozen for the type checker, as cheap to make as any other object; and a memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar, dataclass_transform

T = TypeVar("T")
K = TypeVar("K")
V = TypeVar("V")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def value(cls: type[T]) -> type[T]:
    """A data class with slots that compares and hashes by its fields; that none is set later is checked statically.

    `dataclass(frozen=True)` checks it at run time, for which making an object takes six times as long.
    """
    return dataclass(slots=True, unsafe_hash=True)(cls)


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
