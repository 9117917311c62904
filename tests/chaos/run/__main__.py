"""`make chaos`, or `python -m tests.chaos.run`: everything goes wrong at once, seeded; then what was promised is looked at.

A real Arbiter serves callers and strangers over a runtime that lies and dies, in six phases (`phases.py`); afterwards an honest
phase is held against the runtime's invoice, and the table of invariants is printed. Exit code 1 when one is broken.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import uvloop

from arbiter_app.server import raise_file_limit
from tests.chaos.run import invariants
from tests.chaos.run.ledger import Ledger
from tests.chaos.run.phases import PHASES, RECOVERED_S, Run
from tests.chaos.run.runtime import Runtime
from tests.chaos.run.system import System, soon
from tests.served import OPERATOR, free_port

DISK = "size=512m"
CLOSING_S, STILL_S = 8.0, 1.0
FLAT_WITHIN, FLAT_SOON_WITHIN, LONG_S = 0.10, 0.50, 300.0
"""How much more may be held afterwards: in a run of less than `LONG_S` caches are still filling."""


def main() -> int:
    """Parse the command line, run, and print; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.run", description=__doc__)
    parser.add_argument("--seconds", type=float, default=600, help="how long all phases take together")
    parser.add_argument("--seed", type=int, default=None, help="for the same again; drawn when absent")
    parser.add_argument("--phases", default="", help=f"only these, comma-separated: {', '.join(PHASES)}")
    given = parser.parse_args()
    seed = secrets.randbelow(10**6) if given.seed is None else given.seed
    wanted = [name.strip() for name in given.phases.split(",")] if given.phases else list(PHASES)
    raise_file_limit()
    table = uvloop.run(chaos(given.seconds, seed, wanted))
    table.show()
    print(f"seed {seed}: {table.broken} broken of {len(table.lines)}", flush=True)
    return 1 if table.broken else 0


async def chaos(seconds: float, seed: int, wanted: list[str]) -> invariants.Table:
    """All phases and checks; the table of what was found."""
    table = invariants.Table()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        own_disk = stack.enter_context(_small_disk(directory))
        key = f"rk-{secrets.token_hex(12)}"
        ledger = Ledger((key.encode(), OPERATOR.encode()))
        runtime = Runtime(free_port(), key, seed)
        system = System(directory, runtime.url, key)
        stack.callback(system.close)
        within = FLAT_WITHIN if seconds >= LONG_S else FLAT_SOON_WITHIN
        run = Run(system, runtime, ledger, table, seed=seed, own_disk=own_disk, within=within)
        await runtime.up()
        async with run.callers:
            for name in wanted:
                phase, share = PHASES[name]
                started = time.monotonic()
                await phase(run, seconds * share)
                took_s = time.monotonic() - started
                print(f"{name}: {took_s:.0f} s, {len(ledger.answered)} answers so far", file=sys.stderr, flush=True)
            report = await _closing(run, seconds)
        await runtime.down()
        invariants.records(table, system, ledger, report, runtime.invoice)
        invariants.secrets(table, system, ledger)
        invariants.conduct(table, system, ledger)
        told = runtime.told.total() - runtime.told["honest"]
        table.add(
            "what it went through",
            f"{system.lives} lives, {system.kills} kills, {told} lies of {len(runtime.told)} kinds",
            kept=True,
        )
        _keep_log(system.log)
    return table


async def _closing(run: Run, seconds: float) -> tuple[int, int]:
    """Honest calls only: what the report has more afterwards is what the runtime has charged. Gives the report."""
    await run.system.begin()
    await run.expect("serves at the end", run.serves, RECOVERED_S)
    before = await _settled(run)
    charged = sum(run.runtime.invoice.values())
    await run.quiet(min(CLOSING_S, seconds))
    after = await _settled(run)
    charged = sum(run.runtime.invoice.values()) - charged
    more = after[1] - before[1]
    run.table.add("an honest stretch costs what was invoiced", f"{more} for {charged}", kept=more == charged)
    await run.system.end()
    return after


async def _settled(run: Run) -> tuple[int, int]:
    """The report once it and the invoice stay as they are: judgements have come in."""
    last, charged = (-1, -1), -1

    async def stays() -> bool:
        nonlocal last, charged
        await asyncio.sleep(STILL_S)
        status, text = await run.system.ask("/v1/report")
        before = last, charged
        last = invariants.report_of(text) if status == 200 else (-1, -1)
        charged = sum(run.runtime.invoice.values())
        return status == 200 and (last, charged) == before

    await soon(stays, RECOVERED_S)
    return last


@contextmanager
def _small_disk(directory: Path) -> Iterator[bool]:
    """A small disk of its own at `directory`, where one can be mounted."""
    words = ["mount", "-t", "tmpfs", "-o", DISK, "tmpfs", str(directory)]
    mounted = os.geteuid() == 0 and subprocess.run(words, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(directory)], check=False)


def _keep_log(log: Path) -> None:
    """A copy of the log, for whoever looks for the cause of what broke."""
    kept = Path(tempfile.gettempdir()) / "arbiter-chaos.log"
    kept.write_bytes(log.read_bytes())
    print(f"log: {kept}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
