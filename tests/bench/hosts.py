"""Three gateways on one PostgreSQL behind a balancer, as on three machines: `python -m tests.bench.hosts [--n 3000]`.

Sends the workload of `bench` through the balancer, then compares what was answered with what each host says: every answer on record
once, the report the sum of the costs returned to the last digit, and what was learned the same at all three, and how soon. The exit code
is 1 where one of these is not so.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.balancer import balanced
from tests.chaos.test_hosts_share_one_database import HOSTS, Cluster, cluster
from tests.served import OPERATOR, ROOT
from tests.waiting import until

AT_WORK_S, LEARNED_S = 120.0, 20.0


def main() -> int:
    """Measure, print, and say whether all of it held."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.hosts", description=__doc__)
    parser.add_argument("--n", type=int, default=3_000, help="requests")
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as directory,
        cluster(Path(directory)) as hosts,
        balanced(hosts.ports) as url,
    ):
        bench = [sys.executable, "-m", "arbiter_app", "bench", "--n", str(given.n), "--fresh"]
        settings = {"ARBITER_PORT": url.rpartition(":")[2], "ARBITER_API_KEYS": OPERATOR, "ARBITER_DB": hosts.where}
        began = time.monotonic()
        done = subprocess.run(bench, cwd=ROOT, env={**os.environ, **settings}, check=False)
        print(f"bench through the balancer: exit code {done.returncode} after {time.monotonic() - began:.0f} s")
        until(lambda: not any(hosts.at_work(at) for at in range(HOSTS)), within_s=AT_WORK_S)
        calls = [hosts.get(at, "/v1/report")["calls"] for at in range(HOSTS)]
        print(f"calls in the report of each host: {calls}")
        alike_s = _alike(hosts)
        print(f"what was learned is {'not the same' if alike_s is None else f'the same after {alike_s:.2f} s'}")
    return int(done.returncode != 0 or set(calls) != {given.n} or alike_s is None)


def _alike(hosts: Cluster) -> float | None:
    """Seconds until all hosts have learned the same once none has work left; None where they do not."""
    began = time.monotonic()
    with contextlib.suppress(AssertionError):
        until(lambda: len({str(hosts.learned(at)) for at in range(HOSTS)}) == 1, within_s=LEARNED_S)
        return time.monotonic() - began
    return None


if __name__ == "__main__":
    sys.exit(main())
