"""A file against a PostgreSQL server: the same gateway on one core, the same workload, in turns, with strict durability.

`python -m tests.bench.databases [PAIRS] [REQUESTS]`: requests a second over each, what one takes of the gateway's CPU, and the
ratio of each pair. The server and the callers share the other core. Where others use the machine, too, look at the CPU: that is what a
core of its own would be shared by.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from arbiter_app.bench.client import Client
from arbiter_app.bench.workload import workload
from tests.postgres import PostgresServer
from tests.served import OPERATOR, served

CALLERS = 16
SETTINGS = {"ARBITER_CACHE": "0", "ARBITER_JUDGE_SAMPLE": "0"}


def main(words: list[str]) -> None:
    """Print a line for each pair, and the median of their ratios."""
    pairs, requests = int(words[0]) if words else 5, int(words[1]) if words[1:] else 1_500
    server = PostgresServer(synced=True)
    try:
        server.start()
        rates, cpus = [], []
        for at in range(pairs):
            server.sql(f"CREATE DATABASE pair_{at}")
            (file, file_us), (postgres, postgres_us) = _rate("", requests), _rate(server.url(f"pair_{at}"), requests)
            rates.append(postgres / file)
            cpus.append(file_us / postgres_us)
            print(
                f"{file:6.0f} a second over a file, {postgres:6.0f} over PostgreSQL: {rates[-1]:.3f}; "
                f"CPU {file_us:5.0f} us, {postgres_us:5.0f} us: {cpus[-1]:.3f}",
                flush=True,
            )
        print(f"median of {pairs} pairs: {statistics.median(rates):.3f}, by CPU {statistics.median(cpus):.3f}")
    finally:
        server.remove()


def _rate(where: str, requests: int) -> tuple[float, float]:
    """Requests a second of a fresh gateway, and microseconds of its CPU for each."""
    asks = workload(requests, 7, 0.3)
    with tempfile.TemporaryDirectory() as folder:
        settings = SETTINGS | ({"ARBITER_DB": where} if where else {})
        with served(Path(folder), **settings) as one:
            for task in os.listdir(f"/proc/{one.process.pid}/task"):
                os.sched_setaffinity(int(task), {0})
            client = Client(one.url, OPERATOR)
            with ThreadPoolExecutor(CALLERS) as callers:
                list(callers.map(lambda ask: client.chat(ask.body), asks[:100]))
                started, used_s = time.perf_counter(), _cpu_s(one.process.pid)
                answers = list(callers.map(lambda ask: client.chat(ask.body), asks[100:]))
                took_s, used_s = time.perf_counter() - started, _cpu_s(one.process.pid) - used_s
            client.close()
            assert all(answer.status == 200 for answer in answers)
    return (requests - 100) / took_s, used_s / (requests - 100) * 1e6


def _cpu_s(pid: int) -> float:
    """Seconds of CPU that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main(sys.argv[1:])
