"""`make bench`: Arbiter, everything on, beside a bare pass-through, alternating in the same run; medians and ratios.

The gateway has core 0 for itself where there are two; runtime and callers share the other. CPU is that of the gateway's
process, read from /proc, and does not depend on how fast the callers are. What a gateway adds is told against the same
calls made of the runtime itself. `--only WORDS` measures the cases with these words in their names.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, sleep

import uvloop

from tests.bench.load import send
from tests.served import OPERATOR, ROOT, free_port, served

CORES = sorted(os.sched_getaffinity(0))
START_S = 20.0
WARM = 200
EVENTS = 63
SLOW_S = 0.05


@dataclass(frozen=True, slots=True)
class Case:
    """How requests are sent: so many at once, streamed or not, to a runtime that takes so long."""

    name: str
    concurrency: int
    stream: bool = False
    runtime_s: float = 0.0


CASES = (
    Case("plain, 16 at once", 16),
    Case("plain, 64 at once", 64),
    Case("streamed, 16 at once", 16, stream=True),
    Case("plain, one at a time", 1),
    Case("streamed, one at a time", 1, stream=True),
    Case("plain, 64 at once, runtime of 50 ms", 64, runtime_s=SLOW_S),
)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Something to measure."""

    name: str
    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One run: requests a second, CPU microseconds a request, latencies and time to the first byte in milliseconds."""

    rate: float
    cpu_us: float
    p50_ms: float
    p95_ms: float
    p99_ms: float
    first_ms: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--n", type=int, default=3000, help="requests a run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="", help="the cases with these words in their names")
    given = parser.parse_args()
    place(os.getpid(), CORES[1:])
    cases = [case for case in CASES if given.only in case.name]
    for runtime_s in sorted({case.runtime_s for case in cases}):
        with ExitStack() as stack:
            gateways = _started(stack, runtime_s)
            for case in cases:
                if case.runtime_s == runtime_s:
                    _show(case, _measured(gateways, given.n, given.rounds, case))


def _started(stack: ExitStack, runtime_s: float) -> tuple[Gateway, ...]:
    """Arbiter, the pass-through, and the runtime in front of which both stand."""
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    runtime_port, port = free_port(), free_port()
    runtime = stack.enter_context(module("tests.bench.runtime", str(runtime_port), str(runtime_s)))
    place(runtime.pid, CORES[1:])
    url = f"http://127.0.0.1:{runtime_port}/v1"
    live = {"GATEWAY_API_KEY": "bench", "BTL_BASE_URL": url, "ARBITER_LOG_LEVEL": "error"}
    arbiter = stack.enter_context(served(directory, **live))
    bare = stack.enter_context(module("tests.bench.passthrough", str(port), url))
    _until_ready(port)
    for process in (arbiter.process, bare):
        place(process.pid, CORES[:1])
    return (
        Gateway("arbiter", int(arbiter.url.rpartition(":")[2]), arbiter.process.pid),
        Gateway("pass-through", port, bare.pid),
        Gateway("runtime", runtime_port, runtime.pid),
    )


def _measured(gateways: tuple[Gateway, ...], n: int, rounds: int, case: Case) -> dict[str, Figures]:
    """The medians of the alternating rounds, by gateway."""
    runs: dict[str, list[Figures]] = {gateway.name: [] for gateway in gateways}
    for gateway in gateways:
        _one(gateway, WARM, case)
    for _ in range(rounds):
        for gateway in gateways:
            runs[gateway.name].append(_one(gateway, n, case))
    return {name: _medians(figures) for name, figures in runs.items()}


def _one(gateway: Gateway, n: int, case: Case) -> Figures:
    before = cpu_us(gateway.pid)
    run, took_s = uvloop.run(send(gateway.port, OPERATOR, n=n, concurrency=case.concurrency, stream=case.stream))
    if run.failed:
        raise SystemExit(f"{gateway.name}: {run.failed} of {n} requests failed")
    cuts = quantiles(run.latencies_ms, n=100)
    return Figures(n / took_s, (cpu_us(gateway.pid) - before) / n, cuts[49], cuts[94], cuts[98], median(run.first_ms))


def _medians(figures: list[Figures]) -> Figures:
    return Figures(*(median(getattr(one, name) for one in figures) for name in Figures.__slots__))


def _show(case: Case, figures: dict[str, Figures]) -> None:
    print(case.name)
    for name, one in figures.items():
        print(
            f"  {name:<13} {one.rate:7.0f}/s  {one.cpu_us:6.0f} us CPU  p50 {one.p50_ms:6.2f} ms  p95 {one.p95_ms:6.2f} ms"
            f"  p99 {one.p99_ms:6.2f} ms  first byte {one.first_ms:6.2f} ms"
        )
    arbiter, bare, runtime = figures["arbiter"], figures["pass-through"], figures["runtime"]
    print(f"  CPU a request: {arbiter.cpu_us / bare.cpu_us:.2f} times the pass-through's", end="")
    print(f"; {arbiter.cpu_us / EVENTS:.1f} us an event" if case.stream else "")
    if case.concurrency == 1 or case.runtime_s:
        added = {
            "p50": arbiter.p50_ms - runtime.p50_ms,
            "p95": arbiter.p95_ms - runtime.p95_ms,
            "p99": arbiter.p99_ms - runtime.p99_ms,
            "first byte": arbiter.first_ms - runtime.first_ms,
        }
        print("  added to the runtime's own:", ", ".join(f"{name} {ms:.2f} ms" for name, ms in added.items()))
    sys.stdout.flush()


def cpu_us(pid: int) -> float:
    """User and system time of a process with all its threads, in microseconds: its clock, whose number is made as the kernel does."""
    return time.clock_gettime((~pid << 3) | 2) * 1e6


def place(pid: int, cores: list[int]) -> None:
    """Keep a process and its threads to these cores, where there is a choice."""
    for thread in Path(f"/proc/{pid}/task").iterdir() if len(CORES) > 1 else ():
        os.sched_setaffinity(int(thread.name), cores)


@contextmanager
def module(name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
    """A module of ours as a process, for as long as the block runs."""
    process = subprocess.Popen([sys.executable, "-m", name, *words], cwd=ROOT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)


def _until_ready(port: int) -> None:
    until = monotonic() + START_S
    while monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                return
        except (urllib.error.URLError, ConnectionError):
            sleep(0.02)
    raise SystemExit("the pass-through did not start")


if __name__ == "__main__":
    main()
