"""What was refused at the door, and what strangers stated that was set aside: counted per kind, said in the log seldom.

Both are of the process: the connection that strikes a bound knows no service. `metrics.py` shows the counts.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable

SAY_AGAIN_S = 60.0
"""A kind is said in the log at most once in this time, with how often it came since: strangers choose how often it does."""


class Notices:
    """Counts by kind; the kinds are a short list that the callers spell out, never text of a stranger."""

    def __init__(self, logger: str, *, now: Callable[[], float] = time.monotonic) -> None:
        self.counts: Counter[str] = Counter()
        self.logger = logger
        self._log = logging.getLogger(logger)
        self._now = now
        self._said: dict[str, tuple[float, int]] = {}

    def count(self, kind: str, message: str) -> None:
        """Count one of `kind`; `message` (free of secrets) goes to the log unless the kind was said a moment ago."""
        self.counts[kind] += 1
        said_at, counted = self._said.get(kind, (float("-inf"), 0))
        now = self._now()
        if now - said_at >= SAY_AGAIN_S:
            times = self.counts[kind] - counted
            self._said[kind] = (now, self.counts[kind])
            self._log.warning("%s%s", message, f" ({times} times since this was last said)" if times > 1 else "")


bounds = Notices("arbiter.bounds")
"""Bounds of the table in `bounds.py` that struck."""
frames = Notices("arbiter.sockets")
"""Frames and handshakes of sockets that fit no handler."""
claims = Notices("arbiter.claims")
"""Statements of a runtime or a caller that were set aside as implausible."""
