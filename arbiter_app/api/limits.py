"""A key's limits as headers of an answer, in the form that OpenAI's clients know."""

from __future__ import annotations

import math
from collections.abc import Mapping

from arbiter_app.store.usage import Window

Headers = list[tuple[bytes, bytes]]


def headers(windows: Mapping[str, Window], limits: Mapping[str, int]) -> Headers:
    """`x-ratelimit-limit-requests`, `-remaining-` and `-reset-` of the window of which least is left; none without windows."""
    if not windows:
        return []
    kind = min(windows, key=lambda one: (limits[one] - windows[one].used, -windows[one].resets_in_s))
    window, limit = windows[kind], limits[kind]
    told = {"limit": str(limit), "remaining": str(max(0, limit - window.used)), "reset": duration(window.resets_in_s)}
    return [(f"x-ratelimit-{name}-requests".encode(), value.encode()) for name, value in told.items()]


def duration(seconds: float) -> str:
    """Whole seconds as OpenAI writes them: `41s`, `6m0s`, `1h0m12s`."""
    minutes, rest = divmod(math.ceil(max(0.0, seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{rest}s" if hours else f"{minutes}m{rest}s" if minutes else f"{rest}s"
