"""Does a full store cost throughput? `python -m tests.bench.million STORE`, STORE made by `tests.bench.seed_store`.

One Arbiter over FILE and one over a store that has learned the same but holds no decision answer in turns, from the same
runtime; prints the medians, the ratio of the paired rounds, and what each read route takes on the full one. STORE grows by
what is sent. With `--reads` only the read routes are timed; then STORE may be a postgresql:// URL.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sqlite3
import tempfile
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import orjson
import uvloop

from arbiter_app.store import open_store
from tests.bench.__main__ import CORES, module, place
from tests.bench.load import send
from tests.served import OPERATOR, Served, free_port, served

WARM = 300
DAY = 86_400
READS = (
    *(
        "report",
        "report?days=1",
        "report?days=30",
        "report?days=365",
        "overview",
        "policy",
        "alerts",
        "models",
        "pricing",
    ),
    *("timeseries", "timeseries?bucket_seconds=900&buckets=96", "timeseries?bucket_seconds=86400&buckets=90"),
    *("timeseries?bucket_seconds=43200&buckets=60", "timeseries?bucket_seconds=3600&buckets=1000"),
    *("recent", "recent?limit=500", "recent?limit=500&before=500000", "recent?task=math&mode=holdout"),
    *("recent?model=gpt-4.1", "recent?mode=escalate", "recent?status=failed", "recent?status=failed&task=open"),
    *("recent?task=math&model=gpt-4.1&mode=pinned&status=failed", "recent?model=nobody&task=code"),
    *("recent?until={month_ago}", "recent?task=code&since={month_ago}&until={after_that}", "key", "what-if"),
    *("recent?sort=slowest", "recent?sort=most_saved&task=code", "recent?request_id=nobody", "recent?key=arb_00000001"),
    *("recent?tag=nobody", "recent?user=nobody", "recent?project=default&limit=500", "decisions/{newest}"),
    *("report?days=30&key=arb_00000001", "report?days=30&project=default", "timeseries?project=default&buckets=500"),
    *("spend-change", "spend-change?hours=168", "spend-change?hours=720", "spend-change?hours=720&key=arb_00000001"),
    *("spend", "spend?by=key,model", "spend?by=project&bucket_seconds=86400", "spend?by=key,model&since={month_ago}"),
    *("spend.csv", "spend.csv?timezone=Asia/Kolkata", "what-if?days=30", "hosts", "budgets", "projects", "keys"),
    *("audit", "people", "notifications", "calibrations", "contents", "pool/models"),
    *("/export/decisions.csv?task=code", "/export/decisions.json"),
)
"""Under /v1/, but those that begin with a slash; of exports the first piece."""
FIRST_PIECE = 65_536


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.million", description=__doc__)
    parser.add_argument("store")
    parser.add_argument("--reads", action="store_true", help="time the read routes only")
    parser.add_argument("--n", type=int, default=3000, help="requests a round")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--concurrency", type=int, default=16)
    given = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runtime = free_port()
        place(stack.enter_context(module("tests.bench.runtime", str(runtime))).pid, CORES[1:])
        place(os.getpid(), CORES[1:])
        live = {"GATEWAY_API_KEY": "bench", "BTL_BASE_URL": f"http://127.0.0.1:{runtime}/v1"}
        live |= {"ARBITER_LOG_LEVEL": "error", "ARBITER_JUDGE_SAMPLE": "0", "ARBITER_PUBLIC_READS": "1"}
        place_of = given.store if "://" in given.store else str(Path(given.store).resolve())
        stores = {"full": place_of} | ({} if given.reads else {"empty": str(directory / "empty" / "arbiter.db")})
        gateways = {}
        for name, file in stores.items():
            (directory / name).mkdir(exist_ok=True)
            if name == "empty":
                _teach(Path(file), Path(place_of))
            gateways[name] = stack.enter_context(served(directory / name, **live, ARBITER_DB=file))
        for one in gateways.values():
            place(one.process.pid, CORES[:1])
        if not given.reads:
            _compare(gateways, given.n, given.rounds, given.concurrency)
        _read(gateways["full"])


def _teach(empty: Path, full: Path) -> None:
    """A store without decisions that knows as much of the models as the full one."""
    open_store(str(empty)).close()
    with contextlib.closing(sqlite3.connect(empty)) as connection:
        connection.execute("ATTACH ? AS seeded", (str(full),))
        for name in ("statistic", "policy_state"):
            connection.execute(f"INSERT INTO {name} SELECT * FROM seeded.{name}")
        connection.commit()


def _compare(gateways: dict[str, Served], n: int, rounds: int, concurrency: int) -> None:
    rates: dict[str, list[float]] = {name: [] for name in gateways}
    for one in gateways.values():
        _rate(one, WARM, concurrency)
    for number in range(rounds):
        for name in sorted(gateways, reverse=bool(number % 2)):
            rates[name].append(_rate(gateways[name], n, concurrency))
    pairs = [full / empty for full, empty in zip(rates["full"], rates["empty"], strict=True)]
    for name, found in rates.items():
        print(f"{name:<6} {median(found):7.0f} requests/s, rounds {[round(one) for one in found]}")
    print(f"full store: {median(pairs):.3f} times the empty one's throughput, pairs {[round(one, 3) for one in pairs]}")


def _rate(one: Served, n: int, concurrency: int) -> float:
    run, took_s = uvloop.run(send(_port(one), OPERATOR, n=n, concurrency=concurrency, stream=False))
    if run.failed:
        raise SystemExit(f"{run.failed} of {n} requests failed")
    return n / took_s


def _read(one: Served) -> None:
    month_ago = time.time() - 30 * DAY
    newest = orjson.loads(_get(one, "/v1/recent?limit=1"))["data"][0]["id"]
    for route in READS:
        path = route.format(month_ago=month_ago, after_that=month_ago + DAY, newest=newest)
        took = []
        for _ in range(7):
            started = time.perf_counter()
            _get(one, path if path.startswith("/") else f"/v1/{path}")
            took.append((time.perf_counter() - started) * 1000)
        took.sort()
        print(f"{route:<60} {took[3]:7.1f} ms  worst {took[-1]:7.1f} ms", flush=True)


def _get(one: Served, path: str) -> bytes:
    request = urllib.request.Request(f"{one.url}{path}", headers={"authorization": f"Bearer {OPERATOR}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        read: bytes = answer.read(FIRST_PIECE) if path.startswith("/export") else answer.read()
        return read


def _port(one: Served) -> int:
    return int(one.url.rpartition(":")[2])


if __name__ == "__main__":
    main()
