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
from functools import partial
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


class _Member:
    """One worker: its process while there is one, and what it said last."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: asyncio.subprocess.Process | None = None
        self.link: Link | None = None
        self.ready = False
        self.told: asyncio.Future[Snapshot] | None = None


class Crew:
    """An asynchronous context: the workers run inside of it. `complete` is set once all of them have been ready."""

    def __init__(self, arbiter: Services, listening: socket.socket) -> None:
        self._arbiter = arbiter
        self._listening = listening
        self._members = [_Member(number) for number in range(1, arbiter.settings.workers + 1)]
        self._tasks: list[asyncio.Task[None]] = []
        self._watched = False
        self._stopping = False
        self.complete = asyncio.Event()

    async def __aenter__(self) -> Crew:
        self._arbiter.status.not_ready = "the gateway workers are starting"
        self._arbiter.broadcast.join(partial(self._pass_on, None), self.metrics)
        jobs = [self._keep(member) for member in self._members]
        self._tasks = [asyncio.create_task(job) for job in (*jobs, self._tell_if_watched())]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop(at_once=False)
        running = [one.process for one in self._members if one.process is not None]
        patience_s = self._arbiter.settings.drain_s + CLOSING_S
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
        for member in self._members:
            if member.process is not None and (at_once or not already):
                _signal(member.process, at_once=at_once)

    async def metrics(self) -> dict[str, Snapshot]:
        """Those of every worker that answers in time, by its number."""
        asked = {str(one.number): self._ask(one) for one in self._members if one.ready}
        if asked:
            await asyncio.wait(asked.values(), timeout=METRICS_S)
        return {number: future.result() for number, future in asked.items() if future.done()}

    def _ask(self, member: _Member) -> asyncio.Future[Snapshot]:
        """A worker's metrics; askers at the same time share the answer."""
        if member.told is None or member.told.done():
            member.told = asyncio.get_running_loop().create_future()
        if member.link is not None:
            member.link.send("metrics")
        return member.told

    async def _keep(self, member: _Member) -> None:
        """Have this worker running; one that ends is replaced at once, one that cannot start after a growing rest."""
        rest_s = 0.0
        while not self._stopping:
            began = time.monotonic()
            code = await self._run(member)
            if self._stopping:
                return
            lived_s = time.monotonic() - began
            rest_s = 0.0 if lived_s > SETTLED_S else min(LONGEST_REST_S, 2 * rest_s + 0.1)
            log.error("gateway worker %s ended with %s after %.1f s and is replaced", member.number, code, lived_s)
            await asyncio.sleep(rest_s)

    async def _run(self, member: _Member) -> int:
        """One life of a worker; its exit code."""
        ours, theirs = socket.socketpair()
        with theirs:
            words = [str(self._listening.fileno()), str(theirs.fileno()), str(member.number), self._arbiter.runtime_url]
            member.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "arbiter_app.workers.worker",
                *words,
                pass_fds=(self._listening.fileno(), theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # the terminal's Ctrl-C is for the page process, which passes it on
            )
        if self._stopping:
            _signal(member.process, at_once=True)
        member.link = await Link.over(ours)
        try:
            async for kind, *data in member.link.messages():
                self._hear(member, kind, data)
        finally:
            member.ready = False
            member.link.close()
            member.link = None
        return await member.process.wait()

    def _hear(self, member: _Member, kind: str, data: list[Any]) -> None:
        if kind == "event":
            self._arbiter.feed.publish(*data)
        elif kind == "change":
            self._arbiter.replicas.receive(*data)
            self._pass_on(member, *data)
        elif kind == "metrics" and member.told is not None and not member.told.done():
            member.told.set_result(data[0])
        elif kind == "ready":
            self._welcome(member)

    def _welcome(self, member: _Member) -> None:
        member.ready = True
        if member.link is not None:
            for kind, data in self._arbiter.replicas.state():
                member.link.send("change", kind, data)
            member.link.send("watched", self._watched)
        if all(one.ready for one in self._members):
            self._arbiter.status.not_ready = ""
            self.complete.set()

    def _pass_on(self, origin: _Member | None, kind: str, data: Any) -> None:
        """Tell every worker but the one it came from."""
        for member in self._members:
            if member is not origin and member.link is not None:
                member.link.send("change", kind, data)

    async def _tell_if_watched(self) -> None:
        """Workers send what happens only while somebody follows the feed."""
        while True:
            watched = self._arbiter.feed.listeners > 0
            if watched != self._watched:
                self._watched = watched
                for member in self._members:
                    if member.link is not None:
                        member.link.send("watched", watched)
            await asyncio.sleep(TICK_S)


def _signal(process: asyncio.subprocess.Process, *, at_once: bool) -> None:
    with contextlib.suppress(ProcessLookupError):
        if at_once:
            process.kill()
        else:
            process.terminate()
