"""The gateway workers as the page process sees them: started, replaced when they end, told and listened to, stopped.

All of them accept from one listening socket that belongs to the page process, so that a caller who connects while one
is being replaced is served by another.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from arbiter_app.metrics import Snapshot
from arbiter_app.workers.link import Link

if TYPE_CHECKING:
    from arbiter_app.bootstrap import Services

log = logging.getLogger("arbiter.workers")

TICK_S = 0.2
METRICS_S = 1.0
SETTLED_S = 5.0
LONGEST_REST_S = 5.0
LISTEN_S = 3.0
CLOSING_S = 5.0


def listen(host: str, port: int) -> socket.socket:
    """The listening socket of the workers. Those of a killed predecessor end at once; until then it is tried again."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    until = time.monotonic() + LISTEN_S
    while True:
        try:
            return socket.create_server((host, port), family=family, backlog=2048)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() >= until:
                why = f"{host}:{port}, where the gateway workers listen: {error.strerror}; set ARBITER_GATEWAY_PORT"
                raise OSError(error.errno, why) from error
            time.sleep(0.05)


class _WorkerHandle:
    """One worker: its process while there is one, and what it said last."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: asyncio.subprocess.Process | None = None
        self.link: Link | None = None
        self.ready = False
        self.told: asyncio.Future[Snapshot] | None = None


class WorkerPool:
    """An asynchronous context: the workers run inside of it. `complete` is set once all of them have been ready."""

    def __init__(self, services: Services, listening: socket.socket) -> None:
        self._services = services
        self._listening = listening
        self._handles = [_WorkerHandle(number) for number in range(1, services.settings.workers + 1)]
        self._tasks: list[asyncio.Task[None]] = []
        self._watched = False
        self._stopping = False
        self.complete = asyncio.Event()

    async def __aenter__(self) -> WorkerPool:
        self._services.status.not_ready = "the gateway workers are starting"
        self._services.broadcast.join(self._tell_all, self.metrics)
        jobs = [self._keep(handle) for handle in self._handles]
        self._tasks = [asyncio.create_task(job) for job in (*jobs, self._tell_if_watched())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(at_once=False)
        running = [one.process for one in self._handles if one.process is not None]
        patience_s = self._services.settings.drain_s + CLOSING_S
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await asyncio.gather(*[process.wait() for process in running])
        for process in running:
            _signal(process, at_once=True)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def stop(self, at_once: bool) -> None:
        """Let the workers drain and end, or end them."""
        already, self._stopping = self._stopping, True
        self._listening.close()
        for handle in self._handles:
            if handle.process is not None and (at_once or not already):
                _signal(handle.process, at_once=at_once)

    async def metrics(self) -> dict[str, Snapshot]:
        """Those of every worker that answers in time, by its number."""
        asked = {str(one.number): self._ask(one) for one in self._handles if one.ready}
        if asked:
            await asyncio.wait(asked.values(), timeout=METRICS_S)
        return {number: future.result() for number, future in asked.items() if future.done()}

    def _ask(self, handle: _WorkerHandle) -> asyncio.Future[Snapshot]:
        """A worker's metrics; askers at the same time share the answer."""
        if handle.told is None or handle.told.done():
            handle.told = asyncio.get_running_loop().create_future()
        if handle.link is not None:
            handle.link.send("metrics")
        return handle.told

    async def _keep(self, handle: _WorkerHandle) -> None:
        """Have this worker running; one that ends is replaced at once, one that cannot start after a growing rest."""
        rest_s = 0.0
        while not self._stopping:
            began = time.monotonic()
            code = await self._run(handle)
            if self._stopping:
                return
            lived_s = time.monotonic() - began
            rest_s = 0.0 if lived_s > SETTLED_S else min(LONGEST_REST_S, 2 * rest_s + 0.1)
            log.error("gateway worker %s ended with %s after %.1f s and is replaced", handle.number, code, lived_s)
            await asyncio.sleep(rest_s)

    async def _run(self, handle: _WorkerHandle) -> int:
        """One life of a worker; its exit code."""
        ours, theirs = socket.socketpair()
        with theirs:
            words = [
                str(self._listening.fileno()),
                str(theirs.fileno()),
                str(handle.number),
                self._services.runtime_url,
            ]
            handle.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "arbiter_app.workers",
                *words,
                pass_fds=(self._listening.fileno(), theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # the terminal's Ctrl-C is for the page process, which passes it on
            )
        if self._stopping:
            _signal(handle.process, at_once=True)
        handle.link = await Link.over(ours)
        try:
            async for kind, *data in handle.link.messages():
                self._receive(handle, kind, data)
        finally:
            handle.ready = False
            handle.link.close()
            handle.link = None
        return await handle.process.wait()

    def _receive(self, handle: _WorkerHandle, kind: str, data: list[Any]) -> None:
        if kind == "event":
            self._services.feed.publish(*data)
        elif kind == "change":
            self._services.replicas.receive(*data)
            self._pass_on(handle, *data)
            self._services.broadcast.pass_on(data[0], data[1], self._tell_all)
        elif kind == "metrics" and handle.told is not None and not handle.told.done():
            handle.told.set_result(data[0])
        elif kind == "ready":
            self._welcome(handle)

    def _welcome(self, handle: _WorkerHandle) -> None:
        handle.ready = True
        if handle.link is not None:
            for kind, data in self._services.replicas.state():
                handle.link.send("change", kind, data)
            handle.link.send("watched", self._watched)
        if all(one.ready for one in self._handles):
            self._services.status.not_ready = ""
            self.complete.set()

    def _tell_all(self, kind: str, data: Any) -> None:
        self._pass_on(None, kind, data)

    def _pass_on(self, origin: _WorkerHandle | None, kind: str, data: Any) -> None:
        """Tell every worker but the one it came from."""
        for handle in self._handles:
            if handle is not origin and handle.link is not None:
                handle.link.send("change", kind, data)

    async def _tell_if_watched(self) -> None:
        """Workers send what happens only while somebody follows the feed."""
        while True:
            watched = bool(self._services.feed.listeners)
            if watched != self._watched:
                self._watched = watched
                for handle in self._handles:
                    if handle.link is not None:
                        handle.link.send("watched", watched)
            await asyncio.sleep(TICK_S)


def _signal(process: asyncio.subprocess.Process, *, at_once: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        if at_once:
            process.kill()
        else:
            process.terminate()
