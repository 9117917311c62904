"""What something costs, in a test process that has other things to do."""

from __future__ import annotations

import time
from collections.abc import Callable


def least_cpu_s(work: Callable[[], object], times: int = 3) -> float:
    """The least CPU time that this thread takes for it. What is slow is slow every time; a collector's run is not."""
    took_s = []
    for _ in range(times):
        started = time.thread_time()
        work()
        took_s.append(time.thread_time() - started)
    return min(took_s)
