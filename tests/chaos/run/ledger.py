"""What all callers and strangers together were given: answers to be found on record, statuses, waits, and leaked secrets."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Got:
    """A whole answer: the id of its decision, what it cost in pico-dollars by Arbiter's word, and the runtime's id for it."""

    decision: str
    pico: int | None
    runtime: str
    once: bool
    """One call of the runtime and no more: its charge is the answer's."""


@dataclass(slots=True)
class Ledger:
    """Filled by whoever talks to Arbiter. `secrets` are bytes that nobody may be given."""

    secrets: tuple[bytes, ...]
    answered: list[Got] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    wrong: Counter[str] = field(default_factory=Counter)
    """Answers of status 500, with the request, and other things that must not be."""
    leaks: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0
    longest_what: str = ""

    def seen(self, what: str, status: int, data: bytes) -> None:
        """An answer of this status, or a part of it, came to `what`."""
        self.statuses[status] += 1
        if status == 500:
            self.wrong[f"500 to {what}: {data[:200]!r}"] += 1
        if any(secret in data for secret in self.secrets):
            self.leaks[f"{what} {status}"] += 1

    def took(self, what: str, seconds: float) -> None:
        """How long a caller waited for the end of an answer."""
        if seconds > self.longest_s:
            self.longest_s, self.longest_what = seconds, what
