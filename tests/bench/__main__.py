"""`make bench`: Arbiter, everything on, beside a bare pass-through, alternating in the same run; medians and ratios.

The gateway has core 0 for itself where there are two; runtime and callers share the other. CPU is that of the gateway's
process, read from /proc, and does not depend on how fast the callers are. What a gateway adds is told against the same
calls made of the runtime itself. `--only WORDS` measures the cases with these words in their names; `--before TREE` also the
product of another checkout.
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
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import monotonic, sleep

import httpx
import uvloop

from tests.bench.load import send
from tests.served import OPERATOR, ROOT, TLS, free_port, served

CORES = sorted(os.sched_getaffinity(0))
START_S = 20.0
WARM = 200
EVENTS = 63
SLOW_S = 0.05
KEYLESS = dict.fromkeys(("operator", "minted", "budget"), OPERATOR)
"""For whom keys mean nothing."""


@dataclass(frozen=True, slots=True)
class Case:
    """How requests are sent: so many at once, streamed or not, to a runtime that takes so long, and by whom."""

    name: str
    concurrency: int
    stream: bool = False
    runtime_s: float = 0.0
    caller: str = "operator"


CASES = (
    Case("plain, 16 at once", 16),
    Case("plain, 64 at once", 64),
    Case("streamed, 16 at once", 16, stream=True),
    Case("plain, one at a time", 1),
    Case("streamed, one at a time", 1, stream=True),
    Case("plain, 16 at once, minted key", 16, caller="minted"),
    Case("plain, 64 at once, minted key", 64, caller="minted"),
    Case("plain, one at a time, minted key", 1, caller="minted"),
    Case("plain, 16 at once, minted key with a budget", 16, caller="budget"),
    Case("plain, 64 at once, minted key with a budget", 64, caller="budget"),
    Case("plain, 64 at once, runtime of 50 ms", 64, runtime_s=SLOW_S),
)


@dataclass(frozen=True, slots=True)
class Gateway:
    """Something to measure."""

    name: str
    port: int
    pid: int
    keys: Mapping[str, str]
    """By who calls."""


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
    parser.add_argument("--before", type=Path, help="a checkout of the product to compare with")
    given = parser.parse_args()
    place(os.getpid(), CORES[1:])
    cases = [case for case in CASES if given.only in case.name]
    for runtime_s in sorted({case.runtime_s for case in cases}):
        with ExitStack() as stack:
            gateways = _started(stack, runtime_s, given.before)
            for case in cases:
                if case.runtime_s == runtime_s:
                    _show(case, _measured(gateways, given.n, given.rounds, case))


def _started(stack: ExitStack, runtime_s: float, before: Path | None) -> tuple[Gateway, ...]:
    """Arbiter, the one of another checkout, the pass-through, and the runtime in front of which they stand."""
    runtime_port, port = free_port(), free_port()
    runtime = stack.enter_context(module("tests.bench.runtime", str(runtime_port), str(runtime_s)))
    place(runtime.pid, CORES[1:])
    url = f"http://127.0.0.1:{runtime_port}/v1"
    bare = stack.enter_context(module("tests.bench.passthrough", str(port), url))
    _until_ready(port)
    place(bare.pid, CORES[:1])
    trees = {"arbiter": ROOT, **({} if before is None else {"before": before.resolve()})}
    return (
        *[_arbiter(stack, name, tree, url) for name, tree in trees.items()],
        Gateway("pass-through", port, bare.pid, KEYLESS),
        Gateway("runtime", runtime_port, runtime.pid, KEYLESS),
    )


def _arbiter(stack: ExitStack, name: str, tree: Path, runtime: str) -> Gateway:
    """The product of a checkout, with a key of each kind."""
    directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    live = {"GATEWAY_API_KEY": "bench", "BTL_BASE_URL": runtime, "ARBITER_LOG_LEVEL": "error"}
    endless = {"ARBITER_LIMIT_6H": "1000000000", "ARBITER_LIMIT_WEEK": "1000000000"}
    one = stack.enter_context(served(directory, root=tree, **live, **endless))
    place(one.process.pid, CORES[:1])
    with httpx.Client(base_url=one.url, headers={"authorization": f"Bearer {OPERATOR}"}, verify=TLS) as client:
        minted, budget = [client.post("/v1/keys", json={}).raise_for_status().json() for _ in range(2)]
        limit = {"scope": "key", "subject": budget["key"]["key_id"], "period": "all", "limit_usd": 1e6}
        client.post("/v1/budgets", json=limit).raise_for_status()
    keys = {"operator": OPERATOR, "minted": minted["api_key"], "budget": budget["api_key"]}
    return Gateway(name, int(one.url.rpartition(":")[2]), one.process.pid, keys)


def _measured(gateways: tuple[Gateway, ...], n: int, rounds: int, case: Case) -> dict[str, list[Figures]]:
    """The alternating rounds, by gateway."""
    runs: dict[str, list[Figures]] = {gateway.name: [] for gateway in gateways}
    for gateway in gateways:
        _one(gateway, WARM, case)
    for at in range(rounds):
        for gateway in gateways if at % 2 else reversed(gateways):  # who comes first has it harder
            runs[gateway.name].append(_one(gateway, n, case))
    return runs


def _one(gateway: Gateway, n: int, case: Case) -> Figures:
    before, key = cpu_us(gateway.pid), gateway.keys[case.caller]
    run, took_s = uvloop.run(send(gateway.port, key, n=n, concurrency=case.concurrency, stream=case.stream))
    if run.failed:
        raise SystemExit(f"{gateway.name}: {run.failed} of {n} requests failed")
    cuts = quantiles(run.latencies_ms, n=100)
    return Figures(n / took_s, (cpu_us(gateway.pid) - before) / n, cuts[49], cuts[94], cuts[98], median(run.first_ms))


def _medians(figures: list[Figures]) -> Figures:
    return Figures(*(median(getattr(one, name) for one in figures) for name in Figures.__slots__))


def _show(case: Case, runs: dict[str, list[Figures]]) -> None:
    """The medians; compared with what was before are the two of each round."""
    figures = {name: _medians(rounds) for name, rounds in runs.items()}
    print(case.name)
    for name, one in figures.items():
        print(
            f"  {name:<13} {one.rate:7.0f}/s  {one.cpu_us:6.0f} us CPU  p50 {one.p50_ms:6.2f} ms  p95 {one.p95_ms:6.2f} ms"
            f"  p99 {one.p99_ms:6.2f} ms  first byte {one.first_ms:6.2f} ms"
        )
    arbiter, bare, runtime = figures["arbiter"], figures["pass-through"], figures["runtime"]
    if pairs := list(zip(runs["arbiter"], runs.get("before", ()), strict=False)):
        cpu, rate = (
            median(now.cpu_us / was.cpu_us for now, was in pairs),
            median(now.rate / was.rate for now, was in pairs),
        )
        print(f"  CPU a request: {cpu:.3f} times that before; {rate:.3f} times the requests a second")
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
