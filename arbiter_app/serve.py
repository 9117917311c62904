"""`python -m arbiter_app serve`: one process, one port, with pages, socket and gateway.

SIGTERM or Ctrl-C: new work is refused, running requests get `ARBITER_DRAIN_S` seconds, then everything closes.
A second signal ends the process at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from arbiter_app.settings import Settings
from arbiter_app.web import build, door
from arbiter_app.web.front import Front

log = logging.getLogger("arbiter")

FALLBACK = Path(__file__).parent / "web" / "fallback.html"
SOCKET_MESSAGE_BYTES = 256_000
Announce = Callable[[int, str | None], None]


class Server(uvicorn.Server):
    """Uvicorn with our signals: the first begins to drain and says so at once, the second ends.

    `on_ready` gets the port once requests are accepted.
    """

    def __init__(
        self, config: uvicorn.Config, *, on_ready: Callable[[int], None], on_drain: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._on_ready = on_ready
        self._on_drain = on_drain

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, and say so."""
        await super().startup(sockets)
        if self.started:
            self._on_ready(self.servers[0].sockets[0].getsockname()[1])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle SIGTERM and SIGINT inside the event loop for as long as the server runs."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stop)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(number)

    def _stop(self) -> None:
        self.force_exit = self.should_exit
        self.should_exit = True
        self._on_drain()


class Application:
    """The ASGI application of the whole product: opens the services, then Reflex, then answers."""

    def __init__(self, settings: Settings, *, with_pages: bool) -> None:
        self._settings = settings
        self._with_pages = with_pages
        self._front: Front | None = None
        self.first_key: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lifespan, or one request."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._front is not None:
            await self._front(scope, receive, send)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with contextlib.AsyncExitStack() as stack:
            try:
                await self._open(stack)
            except Exception as error:
                # Uvicorn prints the message and ends; nothing has been opened that the stack does not close.
                log.exception("Arbiter cannot start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        opened = await stack.enter_async_context(door.opened(self._settings))
        self.first_key = opened.arbiter.first_key
        events, pages = await self._pages(stack)
        self._front = Front(
            gateway=opened.gateway, pages=pages, session=opened.session_route, export=opened.export, socket=events
        )

    async def _pages(self, stack: contextlib.AsyncExitStack) -> tuple[ASGIApp | None, ASGIApp]:
        from arbiter_app.web import files

        if not self._with_pages:
            return None, files.fallback(FALLBACK)
        reflex_app = _load_reflex()  # in this context: Reflex keeps its registry in a context variable
        await stack.enter_async_context(_lifespan_of(reflex_app))
        return reflex_app, files.pages(build.STATIC, build.WEB / "routes.json")


def _load_reflex() -> Any:
    """Reflex's ASGI application for pages that are already built."""
    from reflex_base import constants
    from reflex_base.environment import environment

    environment.REFLEX_ENV_MODE.set(constants.Env.PROD)
    environment.REFLEX_SKIP_COMPILE.set(True)
    environment.REFLEX_SOCKET_MAX_HTTP_BUFFER_SIZE.set(SOCKET_MESSAGE_BYTES)
    from arbiter_app.arbiter_app import app

    return app()


@contextlib.asynccontextmanager
async def _lifespan_of(app: Any) -> AsyncIterator[None]:
    async with app.router.lifespan_context(app):
        yield


def serve(settings: Settings, announce: Announce, *, pages: bool = True) -> int:
    """Build the pages if need be and serve until told to stop. Returns the exit code.

    `announce` gets the port, and the operator key if one was made at this start, once requests are accepted.
    """
    with_pages = pages and build.ensure_pages()
    application = Application(settings, with_pages=with_pages)
    config = uvicorn.Config(
        application,
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ws="websockets-sansio",
        ws_max_size=SOCKET_MESSAGE_BYTES,
        ws_per_message_deflate=False,
        lifespan="on",
        log_level=settings.log_level if settings.log_level in ("debug", "error") else "warning",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=max(1, round(settings.drain_s)),
        backlog=2048,
    )
    server = Server(config, on_ready=lambda port: announce(port, application.first_key), on_drain=door.drain)
    server.run()
    return 0 if server.started else 3
