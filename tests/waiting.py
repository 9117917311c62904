"""Waiting for what has to become true, by looking again and again."""

from __future__ import annotations

import time
from collections.abc import Callable

PATIENCE_S = 60.0
"""For what is no promise about time: how long a busy machine may take, for anything. A promise about time is told with its own."""
BUSY = 10.0
"""How many times as long as on a machine of its own something may take here, where other tests run meanwhile, and not only tests."""
FAR_S = 600.0
"""Further away than anybody waits, for time-outs and deadlines of the product that must not be what ends a test."""
PATIENT = {
    "ARBITER_CLASSIFY_TIMEOUT_S": str(PATIENCE_S),
    "ARBITER_CONNECT_TIMEOUT_S": str(PATIENCE_S),
    "ARBITER_QUEUE_WAIT_S": str(PATIENCE_S),
}
"""Settings of an Arbiter that no busy machine has answer otherwise than an idle one."""
LOOK_S = 0.01


def until(condition: Callable[[], object], within_s: float = PATIENCE_S) -> None:
    """Return once the condition holds; fail after `within_s`."""
    end = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {within_s:g} s"
        time.sleep(LOOK_S)


def soon(condition: Callable[[], object], promised_s: float = 1.0) -> None:
    """Return once the condition holds, which is promised within so many seconds on a machine of its own; fail after `BUSY` times as long."""
    until(condition, promised_s * BUSY)
