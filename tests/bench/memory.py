"""`python -m tests.bench.memory`: 100 requests a second, alone and while others try to use the memory up.

The others, from a process of their own, all at once: 1,000 connections that say nothing, 300 with half a head or half a body,
60 downloads that nobody reads, 20 answers of 30 MB. Who is cut off comes back a second later. Prints the resident size of the
gateway before, at its largest and after, and what chat requests and `/health` took meanwhile, beside what is promised; and what
a server took that does nothing else, asked like `/health`: what attack, runtime and load take of the machine is in both.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from statistics import quantiles

import uvloop

from tests.bench.__main__ import module
from tests.bench.load import request_of, send
from tests.bench.overload import exchange
from tests.bench.soak import MIB, memory
from tests.served import OPERATOR, free_port, served

RATE, PROBE_S, LOOK_S, BACK_S, UNANSWERED_S = 100, 0.05, 0.05, 1.0, 60.0
WARM, IDLE, HALVES, DOWNLOADS, LARGE = 3_000, 1_000, 300, 60, 20
MOST_MIB, BACK_WITHIN, HEALTH_MS, CHAT_TIMES = 300, 0.10, 100, 2
HEALTH = b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n"
HALF_HEAD = b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nx-half: "
HALF_BODY = (
    b"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer %b\r\n"
    b'content-type: application/json\r\ncontent-length: 500000\r\n\r\n{"messages": ['
)
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


@dataclass(slots=True)
class Seen:
    """One stretch: latencies in milliseconds, the largest resident size in bytes, and what was not answered with 200."""

    chat: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    idle: list[float] = field(default_factory=list)
    peak: int = 0
    failed: Counter[str] = field(default_factory=Counter)


async def main(seconds: float) -> None:
    """Measure three stretches, before, during and after, and print."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runtime, idle = free_port(), free_port()
        stack.enter_context(module("tests.bench.runtime", str(runtime)))
        stack.enter_context(module("tests.bench.runtime", str(idle)))
        live = {"GATEWAY_API_KEY": "memory", "BTL_BASE_URL": f"http://127.0.0.1:{runtime}/v1"}
        one = stack.enter_context(served(directory, ARBITER_LOG_LEVEL="error", **live))
        port, pid = int(one.url.rpartition(":")[2]), one.process.pid
        for stream in (False, True):
            await send(port, OPERATOR, n=WARM // 2, concurrency=16, stream=stream)
        normal = await stretch(port, idle, pid, seconds)
        before = memory(pid)
        with module("tests.bench.memory", "--attack", str(port)):
            attacked = await stretch(port, idle, pid, seconds)
        afterwards = await stretch(port, idle, pid, seconds)
        after = memory(pid)
        for name, seen in (("before", normal), ("attacked", attacked), ("after", afterwards)):
            _tell(name, seen)
        times = _p95(attacked.chat) / _p95(normal.chat)
        grown = (attacked.peak - before) / MIB
        verdicts = (
            ("resident size over normal, MiB", grown, MOST_MIB),
            ("resident size after, over normal, %", 100 * (after / before - 1), 100 * BACK_WITHIN),
            ("/health at most, ms", max(attacked.health), HEALTH_MS),
            ("chat p95, times normal", times, CHAT_TIMES),
        )
        print(f"resident: {before / MIB:.1f} MiB before, {attacked.peak / MIB:.1f} at most, {after / MIB:.1f} after")
        for name, found, most in verdicts:
            print(f"  {name:<38} {found:8.1f}  of {most:g}: {'kept' if found <= most else 'BROKEN'}")


async def stretch(port: int, idle: int, pid: int, seconds: float) -> Seen:
    """The load for so long, with probes beside it."""
    seen, until = Seen(), time.monotonic() + seconds
    probes = _probe(port, seen, seen.health, until), _probe(idle, seen, seen.idle, until)
    await asyncio.gather(_load(port, seen, until), *probes, _look(pid, seen, until))
    return seen


async def _load(port: int, seen: Seen, until: float) -> None:
    """A request every hundredth of a second, whether the last have been answered or not; connections are used again."""
    free: list[tuple[Reader, Writer]] = []
    asked: set[asyncio.Task[None]] = set()
    started = time.monotonic()
    for number in count():
        at = started + number / RATE
        if at >= until:
            break
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        asked.add(asyncio.create_task(_ask(port, free, seen, stream=number % 3 == 0)))
    await asyncio.gather(*asked)
    for _, writer in free:
        writer.close()


async def _ask(port: int, free: list[tuple[Reader, Writer]], seen: Seen, *, stream: bool) -> None:
    started = time.perf_counter()
    try:
        reader, writer = free.pop() if free else await asyncio.open_connection("127.0.0.1", port)
        request = request_of(OPERATOR, stream=stream)
        status, _, _ = await asyncio.wait_for(exchange(reader, writer, request), UNANSWERED_S)
    except (OSError, EOFError, TimeoutError) as error:
        seen.failed[type(error).__name__] += 1
        return
    if status != 200:
        seen.failed[str(status)] += 1
    seen.chat.append((time.perf_counter() - started) * 1000)
    free.append((reader, writer))


async def _probe(port: int, seen: Seen, took: list[float], until: float) -> None:
    """`/health`, each time over a new connection, as a balancer looks."""
    while time.monotonic() < until:
        started = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.wait_for(exchange(reader, writer, HEALTH), UNANSWERED_S)
            writer.close()
        except (OSError, EOFError, TimeoutError) as error:
            seen.failed[f"/health {type(error).__name__}"] += 1
        took.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(PROBE_S)


async def _look(pid: int, seen: Seen, until: float) -> None:
    while time.monotonic() < until:
        seen.peak = max(seen.peak, memory(pid))
        await asyncio.sleep(LOOK_S)


async def attack(port: int) -> None:
    """Everything at once, until the process is ended."""
    cookie = _signed_in(port)
    ways: list[Callable[[], Awaitable[None]]] = [lambda: _hold(port, b"")] * IDLE
    ways += [lambda: _hold(port, HALF_HEAD)] * (HALVES // 2)
    ways += [lambda: _hold(port, HALF_BODY % OPERATOR.encode())] * (HALVES - HALVES // 2)
    ways += [lambda: _leave_unread(port, cookie)] * DOWNLOADS
    ways += [lambda: _take(port)] * LARGE
    await asyncio.gather(*map(_again, ways))


async def _again(way: Callable[[], Awaitable[None]]) -> None:
    while True:
        with suppress(OSError, EOFError):
            await way()
        await asyncio.sleep(BACK_S)


async def _hold(port: int, begun: bytes) -> None:
    """Say so much and no more, until cut off."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    await reader.read()
    writer.close()


async def _leave_unread(port: int, cookie: str) -> None:
    """Ask for every decision and read nothing for as long as the connection lives."""
    loop = asyncio.get_running_loop()
    with socket.socket() as one:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        one.setblocking(False)
        await loop.sock_connect(one, ("127.0.0.1", port))
        head = f"GET /export/decisions.json HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\ncookie: {cookie}\r\n\r\n"
        await loop.sock_sendall(one, head.encode())
        while True:
            await asyncio.sleep(BACK_S)
            one.send(b"")  # raises once the other side has reset the connection


async def _take(port: int) -> None:
    """Ask for 30 MB and read all of it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    message = {"role": "user", "content": "Write an essay of 30 MB, please."}
    body = json.dumps({"messages": [message]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {OPERATOR}\r\n"
    writer.write(f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body)
    while await reader.read(1 << 20):
        pass
    writer.close()


def _signed_in(port: int) -> str:
    data, headers = json.dumps({"api_key": OPERATOR}).encode(), {"content-type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}/session", data, headers)
    with urllib.request.urlopen(request) as answer:
        return str(answer.headers["set-cookie"]).partition(";")[0]


def _p95(found: list[float]) -> float:
    return quantiles(found, n=100)[94]


def _tell(name: str, seen: Seen) -> None:
    chat, health, idle = (quantiles(one, n=100) for one in (seen.chat, seen.health, seen.idle))
    failed = ", ".join(f"{times} x {why}" for why, times in seen.failed.items()) or "none"
    print(
        f"{name:<9} chat {len(seen.chat):6}  p50 {chat[49]:7.1f}  p95 {chat[94]:7.1f}  longest {max(seen.chat):8.1f} ms"
        f"   /health p95 {health[94]:7.1f}  longest {max(seen.health):8.1f} ms"
        f"   an idle server p95 {idle[94]:7.1f}  longest {max(seen.idle):8.1f} ms   failed: {failed}",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.bench.memory", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30, help="how long each of the three stretches is")
    parser.add_argument("--attack", type=int, metavar="PORT", help="only attack what serves there")
    given = parser.parse_args()
    uvloop.run(attack(given.attack) if given.attack else main(given.seconds))
