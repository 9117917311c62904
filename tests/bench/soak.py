"""`python -m tests.bench.soak`: 20,000 requests, half of them streamed, 5 % hung up; memory, open files and tasks.

The figures are those of the gateway's process: memory from /proc, tasks as its own metrics tell.
"""

from __future__ import annotations

import asyncio
import os
import re
import tempfile
import urllib.request
from contextlib import ExitStack
from pathlib import Path

import uvloop

from tests.bench.__main__ import module
from tests.bench.load import request_of, send
from tests.served import OPERATOR, Served, free_port, served

WAVE, WAVES, FIRST = 1_000, 20, 2
CONCURRENCY = 16
HUNG_UP = 0.05
MIB = 1024 * 1024


def main() -> None:
    """Send the waves, print what the process holds after each, and the growth at the end."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runtime = free_port()
        stack.enter_context(module("tests.bench.runtime", str(runtime)))
        live = {"GATEWAY_API_KEY": "soak", "BTL_BASE_URL": f"http://127.0.0.1:{runtime}/v1"}
        one = stack.enter_context(served(directory, "--no-pages", ARBITER_LOG_LEVEL="error", **live))
        held = []
        for number in range(1, WAVES + 1):
            uvloop.run(_wave(int(one.url.rpartition(":")[2])))
            held.append(memory(one.process.pid) / MIB)
            print(
                f"{number * WAVE:6} requests: {held[-1]:6.1f} MiB, {_files(one)} files, {_tasks(one)} tasks", flush=True
            )
        print(
            f"after {WAVES * WAVE:,}: {held[-1]:.1f} MiB, {held[-1] / held[FIRST - 1] - 1:+.1%} over {FIRST * WAVE:,}"
        )


async def _wave(port: int) -> None:
    gone = int(WAVE * HUNG_UP)
    for stream in (False, True):
        run, _ = await send(port, OPERATOR, n=(WAVE - gone) // 2, concurrency=CONCURRENCY, stream=stream)
        if run.failed:
            raise SystemExit(f"{run.failed} requests failed")
        for _ in range(gone // 2):
            await _hang_up(port, stream)


async def _hang_up(port: int, stream: bool) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request_of(OPERATOR, stream=stream))
    await writer.drain()
    writer.transport.abort()


def memory(pid: int) -> int:
    """Resident bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _files(one: Served) -> int:
    return len(list(Path(f"/proc/{one.process.pid}/fd").iterdir()))


def _tasks(one: Served) -> int:
    with urllib.request.urlopen(f"{one.url}/metrics") as answer:
        found = re.search(r"^arbiter_tasks (\d+)", answer.read().decode(), re.MULTILINE)
    return int(found[1]) if found else -1


if __name__ == "__main__":
    main()
