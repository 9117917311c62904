"""`python -m tests.bench.overload`: ten times as many callers as there are places, for 60 s, beside an ordinary load.

Sixteen places, a queue a quarter as long, as by default, and a runtime that takes 50 ms. Normal: as many callers as places.
Overload: ten times as many, each of whom comes back 50 ms after a refusal, which is ten times what can be served. Prints what
refusals, admitted requests, `/health` and a read took, what the process held before and after, and how soon the normal
latency was back.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import httptools
import uvloop

from tests.bench.__main__ import module
from tests.bench.load import request_of, send
from tests.bench.soak import MIB, memory
from tests.served import OPERATOR, free_port, served

PLACES, TIMES, RUNTIME_S, BACK_S = 16, 10, 0.05, 0.05
PROBE_S = 0.1


@dataclass(slots=True)
class Seen:
    """Latencies in milliseconds, by what came back."""

    admitted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    unhelpful: int = 0


class Answer:
    """One response as it comes in over a stream of its own."""

    def __init__(self) -> None:
        self.done = False
        self.waits = False
        self.parser = httptools.HttpResponseParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.waits |= name.lower() == b"retry-after"

    def on_message_complete(self) -> None:
        self.done = True


async def main(seconds: float) -> None:
    """Measure and print."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runtime = free_port()
        stack.enter_context(module("tests.bench.runtime", str(runtime), str(RUNTIME_S)))
        settings = {"ARBITER_MAX_CONCURRENCY": str(PLACES), "ARBITER_MAX_QUEUE": str(PLACES // 4)}
        live = {"GATEWAY_API_KEY": "overload", "BTL_BASE_URL": f"http://127.0.0.1:{runtime}/v1"}
        one = stack.enter_context(served(directory, ARBITER_LOG_LEVEL="error", **settings, **live))
        port, pid = int(one.url.rpartition(":")[2]), one.process.pid
        await send(port, OPERATOR, n=500, concurrency=PLACES, stream=False)
        normal_ms = await _p95(port)
        before = memory(pid)
        seen = Seen()
        until = time.monotonic() + seconds
        callers = [_call(port, seen, until) for _ in range(PLACES * TIMES)]
        probes = [_probe(port, path, found, until) for path, found in (("/health", seen.health), (REPORT, seen.read))]
        await asyncio.gather(*callers, *probes)
        ended, back_ms = time.monotonic(), await _p95(port)
        print(
            f"normal: p95 {normal_ms:.0f} ms at {PLACES} callers; overload: {PLACES * TIMES} callers for {seconds:g} s"
        )
        for name, found in (("admitted", seen.admitted), ("refused", seen.refused), ("/health", seen.health)):
            print(_line(name, found))
        print(_line("a read", seen.read))
        print(
            f"admitted p95: {_cut(seen.admitted, 95) / normal_ms:.2f} times normal; refusals without Retry-After: {seen.unhelpful}"
        )
        print(f"memory: {before / MIB:.1f} MiB before, {memory(pid) / MIB:.1f} MiB after")
        print(f"after: p95 {back_ms:.0f} ms, {time.monotonic() - ended:.1f} s after the overload ended")


REPORT = "/v1/report"


async def _p95(port: int) -> float:
    run, _ = await send(port, OPERATOR, n=400, concurrency=PLACES, stream=False)
    return _cut(run.latencies_ms, 95)


async def _call(port: int, seen: Seen, until: float) -> None:
    """One caller: asks again and again over one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        status, waits, took_ms = await exchange(reader, writer, request_of(OPERATOR, stream=False))
        if status == 200:
            seen.admitted.append(took_ms)
            continue
        seen.refused.append(took_ms)
        seen.unhelpful += not waits
        await asyncio.sleep(BACK_S)
    writer.close()


async def _probe(port: int, path: str, found: list[float], until: float) -> None:
    head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {OPERATOR}\r\n\r\n".encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while time.monotonic() < until:
        status, _, took_ms = await exchange(reader, writer, head)
        if status != 200:
            raise SystemExit(f"{path}: {status}")
        found.append(took_ms)
        await asyncio.sleep(PROBE_S)
    writer.close()


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: bytes
) -> tuple[int, bool, float]:
    """One request: its status, whether it says when to come back, and the milliseconds. Raises EOFError when cut off."""
    started, answer = time.perf_counter(), Answer()
    writer.write(request)
    while not answer.done:
        data = await reader.read(65_536)
        if not data:
            raise EOFError("the connection was closed")
        answer.parser.feed_data(data)
    return answer.parser.get_status_code(), answer.waits, (time.perf_counter() - started) * 1000


def _cut(latencies_ms: list[float], percent: int) -> float:
    return quantiles(latencies_ms, n=100)[percent - 1]


def _line(name: str, found: list[float]) -> str:
    cuts = [f"p{percent} {_cut(found, percent):6.1f} ms" for percent in (50, 95, 99)]
    return f"  {name:<9} {len(found):7}  {'  '.join(cuts)}  longest {max(found):6.1f} ms"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.overload", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    uvloop.run(main(parser.parse_args().seconds))
