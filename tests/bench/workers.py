"""`python -m tests.bench.workers`: the throughput of two gateway workers against that of one, alternating.

Every worker has a core of its own. The runtime answers after 20 ms and costs next to nothing; it and the callers, of whom there
are enough to keep everybody busy, take what time is left. Where there are no more cores than workers, that is part of theirs, so
CPU a request is printed as well: what cores could serve.
"""

from __future__ import annotations

import argparse
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
        runtime = free_port()
        stack.enter_context(module("tests.bench.runtime", str(runtime), str(RUNTIME_S)))
        live = {
            "GATEWAY_API_KEY": "bench",
            "BTL_BASE_URL": f"http://127.0.0.1:{runtime}/v1",
            "ARBITER_LOG_LEVEL": "error",
        }
        crews: dict[int, tuple[int, list[int]]] = {}
        for workers in (1, 2):
            port = free_port()
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            settings = {"ARBITER_WORKERS": str(workers), "ARBITER_GATEWAY_PORT": str(port)}
            one = stack.enter_context(served(directory, **settings, **live))
            crews[workers] = port, workers_of(one)
            for pid, core in zip(crews[workers][1], CORES, strict=False):
                place(pid, [core])
            uvloop.run(send(port, OPERATOR, n=WARM, concurrency=CONCURRENCY, stream=False))
        runs: dict[int, list[tuple[float, float]]] = {workers: [] for workers in crews}
        for _ in range(given.rounds):
            for workers, (port, pids) in crews.items():
                runs[workers].append(_one(port, pids, given.n))
        rates = {workers: median(rate for rate, _ in found) for workers, found in runs.items()}
        for workers, found in runs.items():
            cpu = median(used for _, used in found)
            print(f"{workers} of them: {rates[workers]:6.0f}/s, {cpu:5.0f} us CPU of the workers a request")
        print(f"throughput of two: {rates[2] / rates[1]:.2f} times one's")


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
