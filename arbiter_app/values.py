"""Values that are made in each request: frozen to the type checker, plain where they run.

Python makes a frozen dataclass by a call of `object.__setattr__` for each of its fields: of the hundred and sixty that a request has, a
twentieth of all its CPU time. So the type checker is who sees that nobody changes one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

__all__ = ["value"]

if TYPE_CHECKING:
    from dataclasses import dataclass as value
else:

    def value(*, frozen: bool, slots: bool) -> Any:
        """A dataclass that is compared and hashed as a frozen one, and made as one that is not."""
        return dataclass(slots=slots, unsafe_hash=frozen)
