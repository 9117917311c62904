"""What a call of a runtime costs in CPU by transport: the product's own beside aiohttp's session, in turns, in one run.

    python -m tests.bench.transports [--concurrency 16] [--n 3000] [--rounds 5] [--runtime-s 0.0]

Both ask `tests.bench.runtime`, which has a core of its own where there are two, and read whole answers and streams of 63 events
to their end. Printed are medians: CPU microseconds a request of this process, requests a second, and the ratio to the own
transport's, which is the median of the ratios of the rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from statistics import median

import aiohttp
import httpx
import orjson
import uvloop

from arbiter_app.runtime.transport import PooledTransport, Timeouts, origin_of
from tests.bench.__main__ import CORES, module, place
from tests.served import free_port

PROMPT = {"model": "gpt-4o", "max_tokens": 128, "messages": [{"role": "user", "content": "Calculate 37 * 24"}]}
DEADLINE_S = 600.0
START_S = 20.0
Call = Callable[[bytes], Awaitable[int]]
"""Asks for an answer, reads it to its end, and says how many bytes it had."""


@asynccontextmanager
async def own(url: str) -> AsyncIterator[Call]:
    """The product's transport, with the bounds on time that the product gives it."""
    transport, target, end = PooledTransport(), httpx.URL(url), time.monotonic() + DEADLINE_S
    origin, timeouts = origin_of(target), Timeouts(10.0, 60.0, 60.0)
    head = b"POST %b HTTP/1.1\r\nhost: %b\r\ncontent-type: application/json\r\n" % (target.raw_path, target.netloc)

    async def call(payload: bytes) -> int:
        data = b"%bcontent-length: %d\r\n\r\n%b" % (head, len(payload), payload)
        answer = await transport.ask(origin, data, timeouts, end)
        size = 0
        async for piece in answer.body:
            size += len(piece)
        return size

    yield call
    await transport.aclose()


@asynccontextmanager
async def with_aiohttp(url: str) -> AsyncIterator[Call]:
    """An aiohttp session with the same bounds."""
    timeout = aiohttp.ClientTimeout(total=DEADLINE_S, connect=10.0, sock_read=60.0)
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(timeout=timeout, connector=connector, auto_decompress=False) as session:

        async def call(payload: bytes) -> int:
            async with session.post(url, data=payload, headers={"content-type": "application/json"}) as answer:
                size = 0
                async for piece in answer.content.iter_any():
                    size += len(piece)
                return size

        yield call


TRANSPORTS = {"own": own, "aiohttp": with_aiohttp}


async def measure(name: str, url: str, payload: bytes, n: int, concurrency: int) -> tuple[float, float]:
    """CPU and wall seconds of `n` calls by so many callers, after a short warm-up."""
    async with TRANSPORTS[name](url) as call:

        async def caller(times: int) -> None:
            for _ in range(times):
                if not await call(payload):
                    raise SystemExit(f"{name}: an answer was empty")

        await asyncio.gather(*(caller(10) for _ in range(concurrency)))
        cpu, wall = time.process_time(), time.perf_counter()
        await asyncio.gather(*(caller(n // concurrency) for _ in range(concurrency)))
        return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    """Print a line for each transport, plain and streamed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.transports", description=__doc__)
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--n", type=int, default=3000, help="requests a run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--runtime-s", type=float, default=0.0, help="seconds that the runtime takes")
    given = parser.parse_args()
    port = free_port()
    with module("tests.bench.runtime", str(port), str(given.runtime_s)) as runtime:
        _wait_until_open(port)
        place(runtime.pid, CORES[1:])
        place(os.getpid(), CORES[:1])
        for kind, stream in (("plain", False), ("streamed", True)):
            _compare(kind, f"http://127.0.0.1:{port}/v1/chat/completions", {**PROMPT, "stream": stream}, given)


def _wait_until_open(port: int) -> None:
    until = time.monotonic() + START_S
    while time.monotonic() < until:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.02)
    raise SystemExit("the runtime did not start")


def _compare(kind: str, url: str, body: dict[str, object], given: argparse.Namespace) -> None:
    payload, n = orjson.dumps(body), given.n // given.concurrency * given.concurrency
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in TRANSPORTS}
    for _ in range(given.rounds):
        for name, got in runs.items():
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                got.append(runner.run(measure(name, url, payload, n, given.concurrency)))
    print(f"{kind}, {given.concurrency} at once")
    for name, got in runs.items():
        cpu_us, rate = median(cpu for cpu, _ in got) / n * 1e6, n / median(wall for _, wall in got)
        ratio = median(cpu / base for (cpu, _), (base, _) in zip(got, runs["own"], strict=True))
        print(f"  {name:<8} {cpu_us:5.0f} us CPU a request  {rate:6.0f}/s  {ratio:.2f} times the own")


if __name__ == "__main__":
    main()
