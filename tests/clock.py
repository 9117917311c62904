"""What something costs, in a test process that has other things to do, on a machine that has, too."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

PIECE_S, PAUSE_S = 0.01, 0.1


def least_cpu_s(work: Callable[[], object], times: int = 3) -> float:
    """The least CPU time that this thread takes for it. What is slow is slow every time; a collector's run is not."""
    took_s = []
    for _ in range(times):
        started = time.thread_time()
        work()
        took_s.append(time.thread_time() - started)
    return min(took_s)


class Stopwatch:
    """The seconds that its block takes, and how long the machine, busy as it is meanwhile, may take for what is promised in seconds."""

    def __init__(self) -> None:
        self.took_s = 0.0
        self._wall_s = self._cpu_s = 0.0
        self._done = threading.Event()
        self._sampling = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> Stopwatch:
        self._sampling.start()
        self._began = time.perf_counter()
        return self

    def __exit__(self, *_: object) -> None:
        self.took_s = time.perf_counter() - self._began
        self._done.set()
        self._sampling.join()

    @property
    def slowness(self) -> float:
        """How many times its CPU time a thread takes for a piece of work here: about 1 on a machine of its own."""
        return max(1.0, self._wall_s / self._cpu_s)

    def allowed_s(self, promised_s: float) -> float:
        """The promise itself on a machine of its own; on a busy one, where several processes wait for each other, twice what it is slower."""
        return promised_s * (2 * self.slowness - 1)

    def _sample(self) -> None:
        while True:
            wall, cpu = time.perf_counter(), time.thread_time()
            while time.thread_time() - cpu < PIECE_S:
                pass
            self._wall_s += time.perf_counter() - wall
            self._cpu_s += time.thread_time() - cpu
            if self._done.wait(PAUSE_S):
                return
