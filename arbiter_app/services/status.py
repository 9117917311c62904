"""How this process is, besides what its parts know of themselves."""

from __future__ import annotations

import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Status:
    """`started_at` is by `time.monotonic`, `runtime_seen_at` by `time.time`; the texts are empty while all is well."""

    started_at: float = field(default_factory=time.monotonic)
    not_ready: str = ""
    """Why it does not take requests yet, beside what the store says."""
    neighbour: str = ""
    """That another Arbiter serves from the same database."""
    runtime_seen_at: float | None = None
    """When the runtime answered anything at all."""
