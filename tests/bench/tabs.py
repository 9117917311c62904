"""What open tabs cost: `python -m tests.bench.tabs [--tabs 50] [--rate 100] [--rounds 5] [--seconds 6]`.

An Arbiter over a runtime that answers at once gets requests at a fixed pace, in turns with no tab and with tabs that watch
the overview. Prints the routing's own time (`overhead_ms` of each answer) and the caller's whole time, medians of the
paired rounds, and what the process used. A tab here is its socket: it says what a page says when it opens, and reads on.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles

import aiohttp
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from tests.bench.__main__ import CORES, cpu_us, module, place
from tests.served import ROOT, free_port
from tests.web.conftest import OPERATOR, start_site, stop_site

OPENING = "reflex___state____state.hydrate_and_load"
FILLED = '"is_hydrated_rx_state_":true'
NAMESPACE = "/_event"
TOGETHER = 5
CONNECTIONS = 32
READ_S = 60.0


@dataclass(frozen=True, slots=True)
class Round:
    """One round: 95th percentiles in milliseconds, and the share of one core that the process used."""

    routing_ms: float
    whole_ms: float
    cores: float


class Tab:
    """The socket of one open page."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.pushes = 0
        self.filled = asyncio.Event()
        self._pushed = asyncio.Condition()

    async def more_than(self, pushes: int) -> None:
        """Wait until more than so many messages have come."""
        async with self._pushed:
            await asyncio.wait_for(self._pushed.wait_for(lambda: self.pushes > pushes), READ_S)

    async def read(self) -> None:
        """Count what is pushed; answer the server's pings, as a browser does."""
        async for frame in self._socket:
            text = str(frame)
            if text == "2":
                await self._socket.send("3")
            elif text.startswith("42"):
                async with self._pushed:
                    self.pushes += 1
                    self._pushed.notify_all()
                if FILLED in text:
                    self.filled.set()


@asynccontextmanager
async def tab(url: str, path: str = "/app") -> AsyncIterator[Tab]:
    """A page that is open for as long as the block runs, with everything on it shown."""
    address = f"{url.replace('http', 'ws', 1)}/_event/?token={uuid.uuid4()}&EIO=4&transport=websocket"
    async with connect(address, compression=None, max_size=None, ping_interval=None, open_timeout=READ_S) as socket:
        await socket.recv()
        where = {"pathname": path, "asPath": path}
        opening = {"event": {"name": OPENING, "payload": {"hashes": []}, "router_data": where}}
        await socket.send(f"40{NAMESPACE},{json.dumps(opening)}")
        page = Tab(socket)
        reading = asyncio.create_task(page.read())
        try:
            await asyncio.wait_for(page.filled.wait(), READ_S)
            yield page
        finally:
            reading.cancel()


@asynccontextmanager
async def tabs(url: str, n: int) -> AsyncIterator[list[Tab]]:
    """So many open pages; a few open at a time."""
    gate = asyncio.Semaphore(TOGETHER)
    async with AsyncExitStack() as stack:

        async def one() -> Tab:
            async with gate:
                return await stack.enter_async_context(tab(url))

        yield list(await asyncio.gather(*(one() for _ in range(n))))


async def hold(url: str, n: int) -> None:
    """Keep pages open until the standard input ends; says so once all are."""
    async with tabs(url, n) as pages:
        print("open", flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
        print(sum(page.pushes for page in pages), flush=True)


@contextmanager
def held(url: str, n: int) -> Iterator[Callable[[], int]]:
    """The same in a process of their own, so that they do not slow what measures. Calling what it gives ends them."""
    words = [sys.executable, "-m", "tests.bench.tabs", "--hold", url, "--tabs", str(n)]
    with subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None and process.stdout is not None
        place(process.pid, CORES[1:])
        if process.stdout.readline() != "open\n":
            raise SystemExit("the tabs did not open")
        told = process.stdout

        def end() -> int:
            process.stdin.close()  # type: ignore[union-attr]
            return int(told.readline())

        yield end


async def paced(url: str, *, per_s: float, seconds: float) -> tuple[list[float], list[float]]:
    """Send requests at a fixed pace, whatever becomes of those before; the routing's and the whole milliseconds of each."""
    routing, whole = [], []
    limit = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with aiohttp.ClientSession(url, connector=limit, headers={"authorization": f"Bearer {OPERATOR}"}) as session:

        async def one(number: int, started: float) -> None:
            ask = f"What is the capital of place {number} of {time.time_ns()}?"
            body = {"messages": [{"role": "user", "content": ask}]}
            async with session.post("/v1/chat/completions", json=body) as answer:
                answer.raise_for_status()
                routing.append((await answer.json())["arbiter"]["overhead_ms"])
            whole.append((time.perf_counter() - started) * 1000)

        loop, sent = asyncio.get_running_loop(), []
        began = loop.time()
        for number in range(int(per_s * seconds)):
            await asyncio.sleep(max(0.0, began + number / per_s - loop.time()))
            sent.append(asyncio.create_task(one(number, time.perf_counter())))
        await asyncio.gather(*sent)
    return routing, whole


def measured(url: str, pid: int, *, per_s: float, seconds: float) -> Round:
    """One round."""
    before, began = cpu_us(pid), time.perf_counter()
    routing, whole = uvloop.run(paced(url, per_s=per_s, seconds=seconds))
    cores = (cpu_us(pid) - before) / 1e6 / (time.perf_counter() - began)
    return Round(quantiles(routing, n=20)[18], quantiles(whole, n=20)[18], cores)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.tabs", description=__doc__)
    parser.add_argument("--tabs", type=int, default=50)
    parser.add_argument("--rate", type=float, default=100.0, help="requests a second")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of a round")
    parser.add_argument("--hold", metavar="URL", help="only keep tabs open there, until the standard input ends")
    given = parser.parse_args()
    if given.hold:
        uvloop.run(hold(given.hold, given.tabs))
        return
    pace = {"per_s": given.rate, "seconds": given.seconds}
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        runtime = free_port()
        place(stack.enter_context(module("tests.bench.runtime", str(runtime))).pid, CORES[1:])
        place(os.getpid(), CORES[1:])
        live = {"GATEWAY_API_KEY": "bench", "BTL_BASE_URL": f"http://127.0.0.1:{runtime}/v1"}
        site = start_site(directory, **live, ARBITER_LOG_LEVEL="warning", ARBITER_PUBLIC_READS="true")
        stack.callback(stop_site, site)
        place(site.process.pid, CORES[:1])
        measured(site.url, site.process.pid, **pace)
        pairs: list[tuple[Round, Round]] = []
        for _ in range(given.rounds):
            alone = measured(site.url, site.process.pid, **pace)
            with held(site.url, given.tabs) as end:
                pairs.append((alone, measured(site.url, site.process.pid, **pace)))
                pushes = end()
                if pushes < given.tabs * given.seconds:
                    raise SystemExit(f"{pushes} pushes: the tabs did not watch")
            print(f"  alone {alone}\n  {given.tabs} tabs {pairs[-1][1]}, {pushes} pushes", flush=True)
    _show(pairs, given.tabs)


def _show(pairs: list[tuple[Round, Round]], n: int) -> None:
    for name in Round.__slots__:
        alone, watched = ([getattr(pair[at], name) for pair in pairs] for at in (0, 1))
        ratio = median(b / a for a, b in zip(alone, watched, strict=True))
        print(f"{name:<11} alone {median(alone):6.2f}  {n} tabs {median(watched):6.2f}  paired ratio {ratio:.2f}")


if __name__ == "__main__":
    main()
