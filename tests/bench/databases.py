"""A file against a PostgreSQL server: the same gateway on one core, the same workload, in turns, with strict durability.

`python -m tests.bench.databases [PAIRS] [REQUESTS]`: requests a second over each, and the ratio of each pair. The server and
the callers share the other core.
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
        ratios = []
        for at in range(pairs):
            server.sql(f"CREATE DATABASE pair_{at}")
            file, postgres = _rate("", requests), _rate(server.url(f"pair_{at}"), requests)
            ratios.append(postgres / file)
            print(f"{file:6.0f} a second over a file, {postgres:6.0f} over PostgreSQL: {ratios[-1]:.3f}", flush=True)
        print(f"median of {pairs} pairs: {statistics.median(ratios):.3f}")
    finally:
        server.remove()


def _rate(where: str, requests: int) -> float:
    """Requests a second of a fresh gateway."""
    asks = workload(requests, 7, 0.3)
    with tempfile.TemporaryDirectory() as folder:
        settings = SETTINGS | ({"ARBITER_DB": where} if where else {})
        with served(Path(folder), **settings) as one:
            for task in os.listdir(f"/proc/{one.process.pid}/task"):
                os.sched_setaffinity(int(task), {0})
            client = Client(one.url, OPERATOR)
            with ThreadPoolExecutor(CALLERS) as callers:
                list(callers.map(lambda ask: client.chat(ask.body), asks[:100]))
                started = time.perf_counter()
                answers = list(callers.map(lambda ask: client.chat(ask.body), asks[100:]))
                took_s = time.perf_counter() - started
            client.close()
            assert all(answer.status == 200 for answer in answers)
    return (requests - 100) / took_s


if __name__ == "__main__":
    main(sys.argv[1:])
