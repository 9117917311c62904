"""The names of live channels: a topic with its arguments; whose traffic it shows, and which range of time."""

from __future__ import annotations

import time

from arbiter_app.services.reads import Reads

ALL = "*"
RANGES: dict[str, tuple[float, int]] = {
    "1h": (3_600, 12),
    "24h": (86_400, 24),
    "7d": (7 * 86_400, 28),
    "30d": (30 * 86_400, 30),
}


def key_of(part: str) -> str | None:
    """The key a channel is restricted to, or None for everybody's traffic."""
    return None if part == ALL else part


async def fitting_span(reads: Reads, key_id: str | None) -> str:
    """The range a first visit shows: a day, or an hour while there is nothing older."""
    day, hour = [await reads.report(since=time.time() - RANGES[name][0], scope=key_id) for name in ("24h", "1h")]
    return "1h" if hour["calls"] == day["calls"] else "24h"
