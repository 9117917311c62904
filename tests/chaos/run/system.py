"""The Arbiter under test: started, stopped, killed, looked at; each start is a new life over the same store."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.bench.soak import memory
from tests.served import Served, free_port, start

SETTINGS = {
    "ARBITER_PUBLIC_READS": "1",
    "ARBITER_SIGNUP": "1",
    "ARBITER_LOG_LEVEL": "warning",
    "ARBITER_DRAIN_S": "3",
    "ARBITER_BODY_TIMEOUT_S": "4",
    "ARBITER_CONNECT_TIMEOUT_S": "1",
    "ARBITER_FIRST_BYTE_TIMEOUT_S": "2",
    "ARBITER_GAP_TIMEOUT_S": "2",
    "ARBITER_CLASSIFY_TIMEOUT_S": "1",
    "ARBITER_JUDGE_TIMEOUT_S": "3",
    "ARBITER_JUDGE_SAMPLE": "0.2",
    "ARBITER_QUARANTINE_S": "0.5",
    "ARBITER_QUARANTINE_MAX_S": "2",
    "ARBITER_CATALOG_REFRESH_S": "2",
    "ARBITER_CACHE_BYTES": "4000000",
    "REQUEST_TIMEOUT": "10",
}
ENDS_WITHIN_S = 20.0
HEALTH_WITHIN_S = 10.0
LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class Held:
    """What the process holds: resident bytes, open descriptors, tasks of its loop."""

    memory: int
    files: int
    tasks: int


class System:
    """`wrong` gathers what broke a promise while living: slow ends, wrong exit codes, silence on `/health`."""

    def __init__(self, directory: Path, runtime_url: str, runtime_key: str) -> None:
        self.directory = directory
        self.port, self.gateway_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.lives, self.kills = 0, 0
        self.wrong: list[str] = []
        self._live = {"GATEWAY_API_KEY": runtime_key, "BTL_BASE_URL": runtime_url}
        self._one: Served | None = None
        self._serving = False

    @property
    def pid(self) -> int:
        """The process of this life."""
        assert self._one is not None
        return self._one.process.pid

    @property
    def database(self) -> list[Path]:
        """The files of the store."""
        return sorted(self.directory.glob("arbiter.db*"))

    @property
    def log(self) -> Path:
        """What every life said on stdout and stderr."""
        return self.directory / "output.txt"

    async def begin(self, **settings: str) -> None:
        """Start, and wait until it is ready."""
        ports = {"ARBITER_PORT": str(self.port), "ARBITER_GATEWAY_PORT": str(self.gateway_port)}
        given = {**SETTINGS, **ports, **self._live, **settings}
        self._one = await asyncio.to_thread(lambda: start(self.directory, **given))
        self.lives += 1
        self._serving = True

    async def end(self) -> None:
        """SIGTERM: it has to end within its time, without complaint."""
        assert self._one is not None
        self._serving, started = False, time.monotonic()
        try:
            code = await asyncio.to_thread(self._one.stop)
        except subprocess.TimeoutExpired:
            self._one.kill()
            self.wrong.append("SIGTERM did not end it in 30 s")
            return
        took_s = time.monotonic() - started
        if code != 0 or took_s > ENDS_WITHIN_S:
            self.wrong.append(f"SIGTERM: exit code {code} after {took_s:.1f} s")

    async def kill(self) -> None:
        """SIGKILL."""
        assert self._one is not None
        self._serving = False
        self.kills += 1
        await asyncio.to_thread(self._one.kill)

    def kill_worker(self, number: int) -> None:
        """SIGKILL to one of the gateway workers; they are counted on."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()
        found = [int(pid) for pid in children if b"arbiter_app.workers" in _command(pid)]
        if found:
            self.kills += 1
            os.kill(found[number % len(found)], signal.SIGKILL)

    def close(self) -> None:
        """Leave no process behind."""
        if self._one is not None and self._one.process.poll() is None:
            self._one.kill()

    async def held(self) -> Held:
        """What it holds now."""
        _, text = await self.ask("/metrics")
        tasks = re.search(r"^arbiter_tasks(?:\{[^}]*\})? (\d+)", text, re.MULTILINE)
        files = len(os.listdir(f"/proc/{self.pid}/fd"))
        return Held(memory(self.pid), files, int(tasks[1]) if tasks else -1)

    async def ask(self, path: str) -> tuple[int, str]:
        """Status and text of a read; status 0 when nobody answers in time."""
        return await asyncio.to_thread(_get, self.url + path)

    async def ready(self) -> bool:
        """Whether it says that it is ready."""
        return (await self.ask("/readyz"))[0] == 200

    async def watch(self) -> None:
        """Ask `/health` all the time; it has to be answered until the process is told to end."""
        while True:
            status, text = await self.ask("/health")
            if status != 200 and self._serving:
                self.wrong.append(f"/health: status {status} {text[:100]}")
            await asyncio.sleep(LOOK_S)


async def soon(condition: Callable[[], Awaitable[bool]], within_s: float) -> bool:
    """Whether it becomes true in time."""
    until = time.monotonic() + within_s
    while not await condition():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(LOOK_S)
    return True


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=HEALTH_WITHIN_S) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except (OSError, EOFError, ValueError) as error:
        return 0, str(error)


def _command(pid: str) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""
