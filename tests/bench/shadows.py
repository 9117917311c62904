"""`python -m tests.bench.shadows`: what asking others beside answers costs callers, in the sandbox at 100 requests a second.

Both Arbiters have learned the same, from one store, and go on wanting to ask the baseline beside every answer. One does, at its usual
pace; the other names whom it would ask and never gets to it: their answers come from the same models. Rounds alternate, requests
come at times that a seed draws. Then a third one begins with nothing, at the default settings: what it spent on learning, and its cap.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import shutil
import tempfile
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from statistics import median, quantiles

import uvloop

from arbiter_app.bench.client import Client
from arbiter_app.bench.workload import workload
from arbiter_app.pipeline.types import Json
from arbiter_app.policy.types import PolicySettings
from tests.bench.overload import exchange
from tests.served import OPERATOR, served

WANTED = {"ARBITER_SHADOW_WORTH": "0", "ARBITER_EXPLORE_USD_SHARE": "1", "ARBITER_JUDGE_CHECK": "0"}
NEVER = {"ARBITER_SHADOW_SHARE": "0"}
AT_ONCE = {"ARBITER_SHADOW_PER_S": "1000", "ARBITER_SANDBOX_LATENCY": "0"}
QUIET = {"ARBITER_SHADOW": "on", "ARBITER_LOG_LEVEL": "error"}


@dataclass(slots=True)
class Callers:
    """Kept connections to one Arbiter: as many as are needed at once."""

    port: int
    latencies_ms: list[float] = field(default_factory=list)
    failed: int = 0
    _free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = field(default_factory=list)

    async def send(self, bodies: list[Json], per_s: float, rng: random.Random) -> None:
        """Send these, each at its time, however long others take."""
        loop = asyncio.get_running_loop()
        at = loop.time()
        async with asyncio.TaskGroup() as group:
            for body in bodies:
                at += rng.expovariate(per_s)
                await asyncio.sleep(max(0.0, at - loop.time()))
                group.create_task(self._one(body))

    async def _one(self, body: Json) -> None:
        pair = self._free.pop() if self._free else await asyncio.open_connection("127.0.0.1", self.port)
        data = json.dumps(body).encode()
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {OPERATOR}\r\n"
        head += f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        status, _, took_ms = await exchange(*pair, head.encode() + data)
        self._free.append(pair)
        self.latencies_ms.append(took_ms)
        self.failed += status != 200


def asks(n: int, seed: int) -> list[Json]:
    """Requests that no cache answers."""
    return [{**ask.body, "arbiter_no_cache": True} for ask in workload(n, seed, 0.3)]


def p95(latencies_ms: list[float]) -> float:
    """Their 95th percentile."""
    return quantiles(latencies_ms, n=100)[94]


def port_of(url: str) -> int:
    """The port in a URL."""
    return int(url.rpartition(":")[2])


def report_of(url: str) -> Json:
    """The report of an Arbiter, its decimals exact."""
    with closing(Client(url, OPERATOR)) as client:
        return client.get("/v1/report")


async def paired(directory: Path, given: argparse.Namespace) -> None:
    """The two that have learned the same, in turns."""
    for name in ("taught", "on", "off"):
        (directory / name).mkdir()
    with served(directory / "taught", **WANTED, **AT_ONCE, **QUIET) as one:
        await Callers(port_of(one.url)).send(asks(1_000, 1), 60.0, random.Random(1))
    for name in ("on", "off"):
        shutil.copy(directory / "taught" / "arbiter.db", directory / name)
    with ExitStack() as stack:
        sides = {
            name: Callers(
                port_of(
                    stack.enter_context(
                        served(directory / name, **WANTED, **QUIET, ARBITER_SANDBOX_LATENCY="1", **more)
                    ).url
                )
            )
            for name, more in {"on": {}, "off": NEVER}.items()
        }
        before = {
            name: report_of(f"http://127.0.0.1:{side.port}")["learning_spend_exact"] for name, side in sides.items()
        }
        ratios = []
        for number in range(given.rounds):
            bodies, found = asks(round(given.per_s * given.seconds), 100 + number), {}
            for name in ("on", "off") if number % 2 else ("off", "on"):
                sides[name].latencies_ms.clear()
                await sides[name].send(bodies, given.per_s, random.Random(number))
                found[name] = p95(sides[name].latencies_ms)
            ratios.append(found["on"] / found["off"])
            print(f"round {number + 1}: p95 {found['on']:7.1f} ms with, {found['off']:7.1f} without: {ratios[-1]:.3f}")
        for name, side in sides.items():
            learned = Decimal(report_of(f"http://127.0.0.1:{side.port}")["learning_spend_exact"]) - Decimal(
                before[name]
            )
            print(f"  {name}: {side.failed} failed, ${learned:.6f} spent on what was asked beside")
    print(f"p95 with shadows on: {median(ratios):.3f} times that without (median of {len(ratios)} pairs)")


async def capped(directory: Path, given: argparse.Namespace) -> None:
    """A fresh one at the default settings."""
    (directory / "fresh").mkdir()
    with served(directory / "fresh", **QUIET, ARBITER_SANDBOX_LATENCY="1") as one:
        callers = Callers(port_of(one.url))
        await callers.send(asks(round(given.per_s * given.seconds * 2), 7), given.per_s, random.Random(7))
        report = report_of(one.url)
        settings = PolicySettings()
        requests, baseline, learning = report["calls"], float(report["baseline_spend"]), float(report["learning_spend"])
        granted = settings.shadow_start / requests * baseline
        cap = settings.explore_usd_share * (baseline + granted)
        print(
            f"fresh: {requests} requests, {callers.failed} failed, p95 {p95(callers.latencies_ms):.1f} ms; learning ${learning:.6f} "
            f"of a cap of ${cap:.6f} ({settings.explore_usd_share:.0%} of the baseline's ${baseline:.6f}, {settings.shadow_start:g} requests granted); "
            f"saved {report['saved_pct']:.1f} %, learning included"
        )
        if learning > cap:
            raise SystemExit("NOT RIGHT: learning cost more than its cap")


async def main(given: argparse.Namespace) -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as directory:
        await paired(Path(directory), given)
        await capped(Path(directory), given)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.shadows", description=__doc__)
    parser.add_argument("--per-s", type=float, default=100.0, help="requests a second")
    parser.add_argument("--seconds", type=float, default=15.0, help="length of a round")
    parser.add_argument("--rounds", type=int, default=6, help="pairs of rounds")
    uvloop.run(main(parser.parse_args()))
