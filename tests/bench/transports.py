"""What a call of the runtime costs in CPU by transport: httpx's default, httpx-aiohttp's, and the product's own.

    python tests/bench/transports.py --url http://127.0.0.1:9000/v1 [--conc 16] [--n 3000] [--rounds 3]

`--url` is a runtime that is never the bottleneck (or the sandbox: `python -m arbiter_app.runtime.sandbox --latency 0`).
The transports alternate within each round; printed are medians: CPU microseconds a request of this process, requests a
second, and the ratio of CPU to the product's own transport. Every transport is called directly, as the product does.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time
from collections.abc import Callable

import httpx
import orjson
import uvloop
from httpx_aiohttp import AiohttpTransport

from arbiter_app.runtime.client import HttpRuntime
from arbiter_app.runtime.transport import PooledTransport

ASK = {"model": "gpt-4o", "max_tokens": 128, "messages": [{"role": "user", "content": "Calculate 37 * 24"}]}
LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=256)
TRANSPORTS: dict[str, Callable[[], httpx.AsyncBaseTransport]] = {
    "own": PooledTransport,
    "httpx-aiohttp": lambda: AiohttpTransport(limits=LIMITS),
    "httpx default": lambda: httpx.AsyncHTTPTransport(limits=LIMITS),
}


async def measure(
    url: str, transport: httpx.AsyncBaseTransport, conc: int, n: int, stream: bool
) -> tuple[float, float]:
    """CPU seconds and wall seconds of `n` calls by `conc` callers, after a short warm-up."""
    runtime = HttpRuntime(url, "bench", transport=transport)
    payload = orjson.dumps({**ASK, "stream": True} if stream else ASK)
    deadline = asyncio.get_running_loop().time() + 600

    async def caller(times: int) -> None:
        for _ in range(times):
            if not stream:
                await runtime.complete(payload, deadline=deadline)
                continue
            answer = await runtime.stream(payload, deadline=deadline)
            while await answer.together():
                pass
            await answer.aclose()

    await asyncio.gather(*(caller(10) for _ in range(conc)))
    cpu, wall = time.process_time(), time.perf_counter()
    await asyncio.gather(*(caller(n // conc) for _ in range(conc)))
    took = time.process_time() - cpu, time.perf_counter() - wall
    await runtime.aclose()
    return took


def main() -> None:
    """Print a line for each transport, plain and streamed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--conc", type=int, default=16)
    parser.add_argument("--n", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    for stream in (False, True):
        runs: dict[str, list[tuple[float, float]]] = {name: [] for name in TRANSPORTS}
        for _ in range(given.rounds):
            for name, make in TRANSPORTS.items():
                with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                    runs[name].append(runner.run(measure(given.url, make(), given.conc, given.n, stream)))
        cpu = {name: statistics.median(one for one, _ in got) / given.n * 1e6 for name, got in runs.items()}
        for name, got in runs.items():
            rps = given.n / statistics.median(wall for _, wall in got)
            kind = "stream" if stream else "plain"
            print(f"{kind:7}{name:15}{cpu[name]:8.0f} us CPU {rps:8.0f} /s   {cpu[name] / cpu['own']:5.2f} x own")


if __name__ == "__main__":
    main()
