"""`make bench`: Arbiter, everything on, beside a bare pass-through, alternating in the same run; medians and ratios.

The gateway has core 0 for itself where there are two; runtime and callers share the other. CPU is that of the gateway's
process, read from /proc, and does not depend on how fast the callers are.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, sleep

import uvloop

from tests.bench.load import send
from tests.served import OPERATOR, ROOT, free_port, served

CASES = {"plain, 16 at once": (16, False), "plain, 64 at once": (64, False), "streamed, 16 at once": (16, True)}
TICK_US = 1e6 / os.sysconf("SC_CLK_TCK")
CORES = sorted(os.sched_getaffinity(0))
START_S = 20.0
WARM = 200


@dataclass(frozen=True, slots=True)
class Gateway:
    """Something to measure."""

    name: str
    port: int
    pid: int


@dataclass(frozen=True, slots=True)
class Figures:
    """One run: requests a second, CPU microseconds a request, latencies in milliseconds."""

    rate: float
    cpu_us: float
    p50_ms: float
    p99_ms: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--n", type=int, default=3000, help="requests a run")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runtime = free_port()
        place(stack.enter_context(module("tests.bench.runtime", str(runtime))).pid, CORES[1:])
        place(os.getpid(), CORES[1:])
        url = f"http://127.0.0.1:{runtime}/v1"
        live = {"GATEWAY_API_KEY": "bench", "BTL_BASE_URL": url, "ARBITER_LOG_LEVEL": "error"}
        arbiter = stack.enter_context(served(directory, **live))
        port = free_port()
        bare = stack.enter_context(module("tests.bench.passthrough", str(port), url))
        _until_ready(port)
        gateways = (
            Gateway("arbiter", int(arbiter.url.rpartition(":")[2]), arbiter.process.pid),
            Gateway("pass-through", port, bare.pid),
        )
        for gateway in gateways:
            place(gateway.pid, CORES[:1])
        for case, (concurrency, stream) in CASES.items():
            _show(case, _measured(gateways, given.n, given.rounds, concurrency, stream))


def _measured(gateways: tuple[Gateway, ...], n: int, rounds: int, concurrency: int, stream: bool) -> dict[str, Figures]:
    """The medians of the alternating rounds, by gateway."""
    runs: dict[str, list[Figures]] = {gateway.name: [] for gateway in gateways}
    for gateway in gateways:
        _one(gateway, WARM, concurrency, stream)
    for _ in range(rounds):
        for gateway in gateways:
            runs[gateway.name].append(_one(gateway, n, concurrency, stream))
    return {name: _medians(figures) for name, figures in runs.items()}


def _one(gateway: Gateway, n: int, concurrency: int, stream: bool) -> Figures:
    before = cpu_us(gateway.pid)
    run, took_s = uvloop.run(send(gateway.port, OPERATOR, n=n, concurrency=concurrency, stream=stream))
    if run.failed:
        raise SystemExit(f"{gateway.name}: {run.failed} of {n} requests failed")
    cuts = quantiles(run.latencies_ms, n=100)
    return Figures(n / took_s, (cpu_us(gateway.pid) - before) / n, cuts[49], cuts[98])


def _medians(figures: list[Figures]) -> Figures:
    def of(pick: Callable[[Figures], float]) -> float:
        return median(pick(one) for one in figures)

    return Figures(of(lambda o: o.rate), of(lambda o: o.cpu_us), of(lambda o: o.p50_ms), of(lambda o: o.p99_ms))


def _show(case: str, figures: dict[str, Figures]) -> None:
    print(case)
    for name, one in figures.items():
        print(
            f"  {name:<13} {one.rate:7.0f}/s  {one.cpu_us:6.0f} us CPU  p50 {one.p50_ms:6.2f} ms  p99 {one.p99_ms:6.2f} ms"
        )
    arbiter, bare = figures["arbiter"], figures["pass-through"]
    print(f"  CPU a request: {arbiter.cpu_us / bare.cpu_us:.2f} times the pass-through's", flush=True)


def cpu_us(pid: int) -> float:
    """User and system time of a process with all its threads, in microseconds."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_US


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
