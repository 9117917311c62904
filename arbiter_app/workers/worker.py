"""One gateway worker, in a process that the page process has started.

It serves `/v1`, `/health`, `/readyz` and `/metrics`, and ends with the process that started it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Sequence
from functools import partial

from starlette.types import Receive, Scope, Send

from arbiter_app import bootstrap, doctor, logs
from arbiter_app.allocator import return_large_blocks
from arbiter_app.api.gateway import Gateway
from arbiter_app.bootstrap import Services
from arbiter_app.server import Server, config_of, raise_file_limit
from arbiter_app.settings import Settings, load_settings
from arbiter_app.trusted_host import TrustedHost
from arbiter_app.workers.link import Link

log = logging.getLogger("arbiter.workers")

ORPHANED = 4


class Worker:
    """The ASGI application of a worker, and its end of the link."""

    def __init__(self, settings: Settings, link: socket.socket, number: str, runtime: str) -> None:
        self._settings = settings
        self._socket = link
        self._runtime = runtime
        self._gateway: Gateway | None = None
        self._link: Link | None = None
        self._number = number
        self._watched = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lifespan, or one request."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._gateway is not None:
            await self._gateway(scope, receive, send)

    def ready(self, port: int) -> None:
        """Requests are accepted."""
        if self._link is not None:
            self._link.send("ready")

    @property
    def in_work(self) -> bool:
        """Whether a request runs."""
        return self._gateway is not None and self._gateway.in_work

    def stop(self, at_once: bool) -> None:
        """A signal has come."""
        if self._gateway is not None:
            self._gateway.drain(at_once=at_once)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        self._link = await Link.over(self._socket)
        services = await bootstrap.start(self._settings, worker_of=self._runtime)
        self._gateway = Gateway(services)
        services.broadcast.join(partial(self._send, "change"), process=self._number)
        jobs = (self._listen(services, self._gateway, self._link), self._publish(services))
        tasks = [asyncio.create_task(job) for job in jobs]
        await send({"type": "lifespan.startup.complete"})
        await receive()
        for task in tasks:
            task.cancel()
        await services.close()
        self._link.close()
        await send({"type": "lifespan.shutdown.complete"})

    def _send(self, *message: object) -> None:
        if self._link is not None:
            self._link.send(*message)

    async def _listen(self, services: Services, gateway: Gateway, link: Link) -> None:
        async for kind, *data in link.messages():
            if kind == "change":
                services.replicas.receive(*data)
            elif kind == "watched":
                (self._watched.set if data[0] else self._watched.clear)()
            elif kind == "metrics":
                link.send("metrics", services.telemetry.snapshot())
        os._exit(
            ORPHANED
        )  # whoever started it is gone: nobody is left to hear of an orderly end, and the port is wanted

    async def _publish(self, services: Services) -> None:
        """Send what happens to the process of the pages, while somebody watches there."""
        while True:
            await self._watched.wait()
            with services.feed.subscribe() as events:
                while self._watched.is_set():
                    with contextlib.suppress(TimeoutError):
                        event = await asyncio.wait_for(events.get(), 1.0)
                        if self._link is not None and not self._link.behind:
                            self._link.send("event", event.kind, event.data)


def main(words: Sequence[str]) -> int:
    """Serve until told to stop; the exit code."""
    return_large_blocks()  # before the first thread has a heap
    listening, link, number, runtime = words
    settings = load_settings()
    logs.set_up(settings.log_level, content=settings.log_content, secrets=doctor.secrets_of(settings), limits=settings)
    raise_file_limit()
    worker = Worker(settings, socket.socket(fileno=int(link)), number, runtime)
    server = Server(
        config_of(settings, TrustedHost(worker, settings)),
        on_ready=worker.ready,
        on_stop=worker.stop,
        in_work=lambda: worker.in_work,
        drain_s=settings.drain_s,
    )
    server.run(sockets=[socket.socket(fileno=int(listening))])
    log.info("gateway worker %s has ended", number)
    return 0 if server.started else 3
