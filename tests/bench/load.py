"""A load generator over raw connections: each sends its next request when its last answer is complete."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count

import httptools
import uvloop

_NUMBERS = count()


@dataclass(slots=True)
class Run:
    """What one run has measured so far; `left` requests are still to be sent. First bytes are those of bodies."""

    left: int
    open: int
    done: asyncio.Event = field(default_factory=asyncio.Event)
    latencies_ms: list[float] = field(default_factory=list)
    first_ms: list[float] = field(default_factory=list)
    failed: int = 0


def request_of(key: str, *, stream: bool) -> bytes:
    """One request as bytes, whose answer can be graded. Every system prompt is another, so that no cache answers it."""
    system = {"role": "system", "content": f"You are the helpful assistant number {next(_NUMBERS)}."}
    messages = [system, {"role": "user", "content": "Calculate 37 * 24"}]
    return posted(
        "/v1/chat/completions", key, {"model": "auto", "messages": messages, "stream": stream, "max_tokens": 128}
    )


def posted(path: str, key: str, asked: dict[str, object]) -> bytes:
    """A request as bytes, as compact as official clients write it."""
    body = json.dumps(asked, separators=(",", ":")).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {key}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


class Caller(asyncio.Protocol):
    """One connection of a run."""

    def __init__(self, run: Run, ask: Callable[[], bytes]) -> None:
        self._run, self._ask = run, ask

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.open -= 1
        if self._run.open == 0:
            self._run.done.set()

    def on_body(self, _body: bytes) -> None:
        if not self._begun:
            self._begun = True
            self._run.first_ms.append((time.perf_counter() - self._started) * 1000)

    def on_message_complete(self) -> None:
        self._run.latencies_ms.append((time.perf_counter() - self._started) * 1000)
        self._run.failed += self._parser.get_status_code() != 200
        self._next()

    def _next(self) -> None:
        if self._run.left == 0:
            self._transport.close()
            return
        self._run.left -= 1
        self._begun = False
        self._parser = httptools.HttpResponseParser(self)
        self._started = time.perf_counter()
        self._transport.write(self._ask())


async def send(port: int, key: str, *, n: int, concurrency: int, stream: bool) -> tuple[Run, float]:
    """Send `n` chat requests over `concurrency` connections; returns the run and the seconds it took."""
    return await send_each(port, partial(request_of, key, stream=stream), n=n, concurrency=concurrency)


async def send_each(port: int, ask: Callable[[], bytes], *, n: int, concurrency: int) -> tuple[Run, float]:
    """The same with requests that `ask` makes, one each time."""
    run = Run(n, concurrency)
    started = time.perf_counter()
    loop = asyncio.get_running_loop()
    for _ in range(concurrency):
        await loop.create_connection(lambda: Caller(run, ask), "127.0.0.1", port)
    await run.done.wait()
    return run, time.perf_counter() - started


def main() -> None:
    """`python -m tests.bench.load PORT KEY N CONCURRENCY [stream]`: the same from a process of its own."""
    port, key, n, concurrency, *stream = sys.argv[1:]
    run, _ = uvloop.run(send(int(port), key, n=int(n), concurrency=int(concurrency), stream=bool(stream)))
    if run.failed:
        raise SystemExit(f"{run.failed} of {n} requests failed")


if __name__ == "__main__":
    main()
