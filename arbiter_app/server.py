"""One uvicorn server with our signals and limits, the same for the process of the pages and for gateway workers."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import resource
import signal
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, cast

import uvicorn

from arbiter_app.connections import ConnectionLimiter
from arbiter_app.notices import bounds
from arbiter_app.protocol import protocols
from arbiter_app.proxy_identity import ProxyIdentity
from arbiter_app.settings import Settings

ENDING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""The signals that ask for an end: of a supervisor, of Ctrl-C, of a terminal that closes, and of containers that stop so."""
COLLECT_EVERY = (20_000, 10, 10)
"""New objects from which the youngest, the middle and all generations are searched for dead cycles."""
GOODBYE_S = 1
"""How long after the drain the last error frames may take to leave; then connections are cut."""
CUT_S = 1
"""How long what served them may take to notice."""
ACCEPTS = 8
"""Connections taken in a turn of the event loop. libuv takes one for each listening handle: with a thousand callers coming at
once, the last would wait for a thousand turns, each as long as all that is in work (`python -m tests.bench.memory`)."""


class UndatedServer(uvicorn.Server):
    """Uvicorn that also serves by a clock for which no calendar has a date: answers bear the last one that there was."""

    async def on_tick(self, counter: int) -> bool:
        """Every tenth of a second."""
        try:
            return await super().on_tick(counter)
        except (ValueError, OverflowError):
            return self.should_exit


class Server(UndatedServer):
    """Uvicorn with our signals: the first begins to drain and says so at once, the second ends.

    `on_ready` gets the port once requests are accepted; `on_stop` is told for each signal whether to end at once. While `in_work`
    says that requests run, for at most `drain_s` seconds, the port stays open, so that who comes hears why nobody serves, and a
    balancer that it is not ready: a closed port tells neither from a crash.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        on_ready: Callable[[int], None],
        on_stop: Callable[[bool], None],
        in_work: Callable[[], bool],
        drain_s: float,
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_stop = on_stop
        self._in_work = in_work
        self._drain_s = drain_s
        self._drained_at: float | None = None
        """When draining is over at the latest, by the event loop's clock; None before a signal."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        if self.started:
            await self._accept_more()
            rest_collector()
            self._on_ready(self.servers[0].sockets[0].getsockname()[1])

    async def _accept_more(self) -> None:
        """Listen with more handles on the same sockets."""
        loop, config = asyncio.get_running_loop(), self.config
        protocol: Callable[[], asyncio.Protocol] = partial(
            cast(Any, config.http_protocol_class),
            config=config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        for listening in [one for server in self.servers for one in server.sockets]:
            for _ in range(ACCEPTS - 1):
                again = socket.socket(listening.family, listening.type, listening.proto, os.dup(listening.fileno()))
                self.servers.append(await loop.create_server(protocol, sock=again, backlog=config.backlog))

    async def on_tick(self, counter: int) -> bool:
        """Every tenth of a second. Once a second: whether a connection could be accepted, for nobody says so otherwise."""
        if counter % 10 == 0 and self.started:
            try:
                os.close(os.dup(self.servers[0].sockets[0].fileno()))
            except OSError as error:
                bounds.count("descriptors", f"no connection can be accepted: {error.strerror}; raise `ulimit -n`")
        return await super().on_tick(counter) or self._drained()

    def _drained(self) -> bool:
        """Whether a drain is over; then the rest has what is left of its time."""
        if self._drained_at is None:
            return False
        left_s = self._drained_at - asyncio.get_running_loop().time()
        if left_s > 0 and self._in_work():
            return False
        self.should_exit = True
        self.config.timeout_graceful_shutdown = round(max(0.0, left_s)) + GOODBYE_S + CUT_S
        return True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End. Who neither sends nor reads after the drain is cut off, so that nothing has to be cancelled, with a traceback."""
        cutting = asyncio.get_running_loop().call_later(
            cast(int, self.config.timeout_graceful_shutdown) - CUT_S, self._cut
        )
        try:
            await super().shutdown(sockets)
        finally:
            cutting.cancel()

    def _cut(self) -> None:
        for connection in list(self.server_state.connections):
            connection.transport.abort()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle what asks for an end inside the event loop for as long as the server runs, unless it is to be ignored (`nohup`)."""
        loop = asyncio.get_running_loop()
        numbers = [one for one in ENDING if signal.getsignal(one) is not signal.SIG_IGN]
        for number in numbers:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in numbers:
                loop.remove_signal_handler(number)

    def stop(self) -> None:
        """Drain and end; asked again, end at once."""
        self.force_exit = self.should_exit = self._drained_at is not None
        self._drained_at = asyncio.get_running_loop().time() + self._drain_s
        self._on_stop(self.force_exit)


def config_of(settings: Settings, application: Any) -> uvicorn.Config:
    """How every process of Arbiter serves."""
    vouched = bool(settings.auth_header)
    return uvicorn.Config(
        ProxyIdentity(application, settings) if vouched else application,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        **protocols(ConnectionLimiter(settings)),
        ws_max_size=settings.max_socket_message_bytes,
        ws_per_message_deflate=False,
        lifespan="on",
        log_level=settings.log_level if settings.log_level in ("debug", "error") else "warning",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies) and not vouched,
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_keep_alive=cast(int, settings.idle_timeout_s),
        timeout_graceful_shutdown=round(settings.drain_s) + GOODBYE_S + CUT_S,
        backlog=2048,
    )


def raise_file_limit() -> None:
    """Let the process have as many connections open as it may: a shell's default of 1,024 files is soon used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def rest_collector() -> None:
    """Let the garbage collector pass over what exists now, and look less often.

    Almost nothing that a request leaves behind is a cycle, yet each request makes enough objects for several collections at
    the default thresholds, and a full one walks over every module and table: up to 50 ms in which nobody is answered.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_EVERY)
