"""What callers say of their own requests' task: believed for their answers, and within bounds for what others' choices rest on."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from arbiter_app.pipeline.rules import Verdict
from arbiter_app.pipeline.types import Caller, Role, Task

TAUGHT_A_DAY = 20
"""Answers of one caller, bucket and day that teach where nothing but the caller's word says what was asked."""
REMEMBERED = 20_000
DAY_S = 86_400.0


class TaskHints:
    """Decides whether an answer teaches whose task its caller named. An operator's word counts.

    A caller's counts in so far as the rules see no other task in the prompt, and, where they see none at all, for
    `TAUGHT_A_DAY` answers in a bucket and day, in this process.
    """

    def __init__(self, *, now: Callable[[], float] = time.time, entries: int = REMEMBERED) -> None:
        self._now = now
        self._entries = entries
        self._taught: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._day = 0.0

    def doubt(self, caller: Caller, task: Task, *, hard: bool, ruled: Verdict | None, ruled_hard: bool) -> str:
        """Why an answer under this task and difficulty teaches nothing; empty where it does, and it is counted then."""
        if caller.role is Role.OPERATOR:
            return ""
        if ruled is not None and ruled.task is not task:
            return f"the rules see {ruled.task}"
        if ruled is not None and hard == ruled_hard:
            return ""
        day = self._now() // DAY_S
        if day != self._day:
            self._day = day
            self._taught.clear()
        key = (caller.email.casefold() or caller.key_id, f"{task}:{hard}")
        taught = self._taught.pop(key, 0)
        self._taught[key] = min(taught + 1, TAUGHT_A_DAY)
        if len(self._taught) > self._entries:
            self._taught.popitem(last=False)
        return "" if taught < TAUGHT_A_DAY else f"{TAUGHT_A_DAY} answers a day are taken at a caller's word"
