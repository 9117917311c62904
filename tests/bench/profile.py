"""Where a microsecond goes: `python -m tests.bench.profile [--stream]`. One gateway under load, CPU a request by stage.

The gateway runs in this process, as it is served, and the runtime and the callers in others. The kernel's clocks tell what
each thread has used; the event loop's share is divided by samples of its stack, taken as its CPU time goes by: a sample
belongs to the innermost function whose module stands for a stage. `--functions N` names the N functions with most samples.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import threading
import time
from collections import Counter
from types import FrameType

from tests.bench.__main__ import CORES, place
from tests.bench.in_process import serve_for
from tests.served import OPERATOR, ROOT

STAGES = {
    "uvicorn/": "server",
    "arbiter_app/serve.py": "server",
    "arbiter_app/server.py": "server",
    "arbiter_app/web/": "server",
    "arbiter_app/api/": "door",
    "arbiter_app/services/keys.py": "door",
    "arbiter_app/store/keys.py": "door",
    "arbiter_app/pipeline/messages.py": "door",
    "arbiter_app/pipeline/cache.py": "cache",
    "arbiter_app/pipeline/classify.py": "classify",
    "arbiter_app/pipeline/rules.py": "classify",
    "arbiter_app/pipeline/filter.py": "filter",
    "arbiter_app/pipeline/estimates.py": "filter",
    "arbiter_app/pipeline/tokens.py": "filter",
    "arbiter_app/pipeline/route.py": "route",
    "arbiter_app/pipeline/holdout.py": "route",
    "arbiter_app/policy/": "policy",
    "arbiter_app/pipeline/call.py": "call",
    "arbiter_app/pipeline/health.py": "call",
    "arbiter_app/pipeline/relay.py": "call",
    "arbiter_app/runtime/": "call",
    "arbiter_app/pipeline/grade.py": "grade",
    "arbiter_app/pipeline/learn.py": "learn",
    "arbiter_app/store/": "learn",
    "arbiter_app/pipeline/decision.py": "record",
    "arbiter_app/metrics.py": "metrics",
    "arbiter_app/services/judging.py": "judge",
    "arbiter_app/pipeline/judge.py": "judge",
    "arbiter_app/pipeline/ask.py": "judge",
    "arbiter_app/pipeline/lifecycle.py": "lifecycle",
}
"""Modules by what they do for a request; the first whose path begins so."""
EVERY_S = 0.001
WARM = 500


class Samples:
    """Counts the stacks of the event loop's thread. `start` it on that thread."""

    def __init__(self) -> None:
        self.by_stage: Counter[str] = Counter()
        self.by_function: Counter[str] = Counter()

    def start(self) -> None:
        """From now on."""
        signal.signal(signal.SIGPROF, self._take)
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)

    def stop(self) -> None:
        """Until now."""
        signal.setitimer(signal.ITIMER_PROF, 0)

    def _take(self, _number: int, frame: FrameType | None) -> None:
        if frame is not None:
            self.by_function[f"{_module(frame)}:{frame.f_code.co_qualname}"] += 1
        self.by_stage[_stage(frame)] += 1


def _stage(frame: FrameType | None) -> str:
    while frame is not None:
        module_path = _module(frame)
        for prefix, stage in STAGES.items():
            if module_path.startswith(prefix):
                return stage
        frame = frame.f_back
    return "event loop"


def _module(frame: FrameType) -> str:
    path = frame.f_code.co_filename
    return path.rpartition("/site-packages/")[2].removeprefix(f"{ROOT}/")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profile", description=__doc__)
    parser.add_argument("--n", type=int, default=6000, help="requests")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--functions", type=int, default=0)
    given = parser.parse_args()
    serve_for(lambda port: _profiled(port, given))


async def _profiled(port: int, given: argparse.Namespace) -> None:
    await _load(port, WARM, given)
    samples, before = Samples(), _thread_cpu_us()
    samples.start()
    started = time.perf_counter()
    await _load(port, given.n, given)
    took_s = time.perf_counter() - started
    samples.stop()
    used = {name: cpu - before.get(name, 0.0) for name, cpu in _thread_cpu_us().items()}
    _show(samples, {name: cpu / given.n for name, cpu in used.items()}, given, took_s)


async def _load(port: int, n: int, given: argparse.Namespace) -> None:
    words = [str(port), OPERATOR, str(n), str(given.concurrency), *(["stream"] if given.stream else [])]
    callers = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.bench.load", *words, cwd=ROOT)
    place(callers.pid, CORES[1:])
    if await callers.wait() != 0:
        raise SystemExit("the callers failed")


def _show(samples: Samples, used: dict[str, float], given: argparse.Namespace, took_s: float) -> None:
    loop_us, seen = used.pop("MainThread"), samples.by_stage.total()
    kind = "streamed" if given.stream else "plain"
    print(f"{kind}, {given.concurrency} at once: {given.n / took_s:.0f}/s while profiled")
    print(f"{loop_us + sum(used.values()):6.0f} us CPU a request")
    print(f"{loop_us:6.0f}   event loop's thread, {seen} samples")
    for stage, count in samples.by_stage.most_common():
        print(f"{loop_us * count / seen:6.0f}     {stage}")
    for name, cpu in sorted(used.items(), key=lambda one: -one[1]):
        if cpu >= 1:
            print(f"{cpu:6.0f}   {name}")
    for name, count in samples.by_function.most_common(given.functions):
        print(f"{loop_us * count / seen:6.1f} us  {name}")


def _thread_cpu_us() -> dict[str, float]:
    """What each thread of this process has used, in microseconds."""
    clocks = {one.name: time.pthread_getcpuclockid(one.ident) for one in threading.enumerate() if one.ident}
    return {name: time.clock_gettime(clock) * 1e6 for name, clock in clocks.items()}


if __name__ == "__main__":
    main()
