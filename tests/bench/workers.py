"""`python -m tests.bench.workers`: the throughput of two gateway workers against that of one, alternating.

The runtime answers after 20 ms and costs next to nothing; there are callers enough to keep everybody busy. On two cores, two
workers have none beside them, and callers and runtime take a part of theirs. One worker is measured both ways: with a core for
itself and one for the others, and with everything on one core, which is what twice as many cores are to be compared with.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import uvloop

from tests.bench.__main__ import CORES, cpu_us, module, place
from tests.bench.load import send
from tests.served import OPERATOR, Served, free_port, served

RUNTIME_S = 0.02
CONCURRENCY = 256
WARM = 400


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.workers", description=__doc__)
    parser.add_argument("--n", type=int, default=4000, help="requests a run")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with ExitStack() as stack:
        port = free_port()
        runtime = stack.enter_context(module("tests.bench.runtime", str(port), str(RUNTIME_S)))
        live = {"GATEWAY_API_KEY": "bench", "BTL_BASE_URL": f"http://127.0.0.1:{port}/v1", "ARBITER_LOG_LEVEL": "error"}
        crews = {workers: _crew(stack, workers, live) for workers in (1, 2)}
        cases = {
            "1 worker, a core for the others": (1, CORES[1:]),
            "1 worker, all on one core": (1, CORES[:1]),
            "2 workers, all on two cores": (2, CORES[:2]),
        }
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in cases}
        for _ in range(given.rounds):
            for name, (workers, cores) in cases.items():
                place(os.getpid(), cores)
                place(runtime.pid, cores)
                runs[name].append(_one(*crews[workers], given.n))
        rates = [median(rate for rate, _ in found) for found in runs.values()]
        for rate, (name, found) in zip(rates, runs.items(), strict=True):
            cpu = median(used for _, used in found)
            print(f"{name:<32} {rate:6.0f}/s, {cpu:5.0f} us CPU of the workers a request")
        print(
            f"two: {rates[2] / rates[0]:.2f} times one with a core for the others, {rates[2] / rates[1]:.2f} times one core"
        )


def _crew(stack: ExitStack, workers: int, live: dict[str, str]) -> tuple[int, list[int]]:
    """Port and processes of gateway workers that have a core each."""
    port, directory = free_port(), Path(stack.enter_context(tempfile.TemporaryDirectory()))
    settings = {"ARBITER_WORKERS": str(workers), "ARBITER_GATEWAY_PORT": str(port)}
    pids = workers_of(stack.enter_context(served(directory, **settings, **live)))
    for pid, core in zip(pids, CORES, strict=False):
        place(pid, [core])
    uvloop.run(send(port, OPERATOR, n=WARM, concurrency=CONCURRENCY, stream=False))
    return port, pids


def _one(port: int, pids: list[int], n: int) -> tuple[float, float]:
    before = sum(map(cpu_us, pids))
    run, took_s = uvloop.run(send(port, OPERATOR, n=n, concurrency=CONCURRENCY, stream=False))
    if run.failed:
        raise SystemExit(f"{run.failed} of {n} requests failed")
    return n / took_s, (sum(map(cpu_us, pids)) - before) / n


def workers_of(one: Served) -> list[int]:
    """The processes of the gateway workers."""
    pid = one.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b".worker\0" in Path(f"/proc/{child}/cmdline").read_bytes()]


if __name__ == "__main__":
    main()
