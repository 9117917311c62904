"""`python -m arbiter_app serve`: one process, one port, with pages, socket and gateway; and gateway workers if set.

SIGTERM, Ctrl-C or a terminal that closes: new work is refused, running requests get `ARBITER_DRAIN_S` seconds, then end with an error, and
everything closes. A second signal ends the process at once.
"""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.types import ASGIApp, Receive, Scope, Send

from arbiter_app.imports import importing
from arbiter_app.server import Server, config_of, raise_file_limit
from arbiter_app.settings import Settings
from arbiter_app.store import StoreError
from arbiter_app.trusted_host import TrustedHost
from arbiter_app.web import build, container
from arbiter_app.web.dispatcher import Dispatcher
from arbiter_app.workers.worker_pool import WorkerPool, listen

if TYPE_CHECKING:
    from arbiter_app.api.gateway import Gateway

log = logging.getLogger("arbiter")

HELP = "restore a backup with `python -m arbiter_app restore FILE`, or set ARBITER_DB to another place"
FALLBACK = Path(__file__).parent / "web" / "fallback.html"
PING_EVERY, PONG_WITHIN = timedelta(seconds=4), timedelta(seconds=20)
"""How a tab's socket is looked after: whatever waits for one that has closed ends with the next ping; a page whose server
is gone without a word says so after both."""
Announce = Callable[[int, str | None], None]


class Application:
    """The ASGI application of the whole product: opens the services, then Reflex, then answers."""

    def __init__(self, settings: Settings, *, with_pages: bool, listening: socket.socket | None) -> None:
        self._settings = settings
        self._with_pages = with_pages
        self._dispatcher: Dispatcher | None = None
        self._gateway: Gateway | None = None
        self._workers: WorkerPool | None = None
        self._listening = listening
        self.first_key: str | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Lifespan, or one request."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif self._dispatcher is not None:
            await self._dispatcher(scope, receive, send)

    @property
    def in_work(self) -> bool:
        """Whether a request of the gateway runs."""
        return self._gateway is not None and self._gateway.in_work

    def stop(self, at_once: bool) -> None:
        """A stop signal has come: the gateways answer 503 from now on, running requests go on for a while."""
        if self._workers is not None:
            self._workers.stop(at_once)
        if self._gateway is not None:
            self._gateway.drain(at_once=at_once)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with contextlib.AsyncExitStack() as stack:
            try:
                await self._open(stack)
            except StoreError as error:  # the file opens, but not all that is to be read in it can be
                await send({"type": "lifespan.startup.failed", "message": f"arbiter: {error}; {HELP}"})
                return
            except Exception as error:
                # Uvicorn prints the message and ends; nothing has been opened that the stack does not close.
                log.exception("Arbiter cannot start")
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    async def _open(self, stack: contextlib.AsyncExitStack) -> None:
        opened = await stack.enter_async_context(container.opened(self._settings))
        self.first_key = opened.services.first_key
        self._gateway = opened.gateway
        if self._listening is not None:
            self._workers = await stack.enter_async_context(WorkerPool(opened.services, self._listening))
        events, pages = await self._pages(stack)
        self._dispatcher = Dispatcher(
            gateway=opened.gateway,
            pages=pages,
            session=opened.session_route,
            export=opened.export,
            socket=events,
            knocks=opened.session_route.knocks if self._settings.auth_header else None,
        )

    async def _pages(self, stack: contextlib.AsyncExitStack) -> tuple[ASGIApp | None, ASGIApp]:
        from arbiter_app.web import files

        if not self._with_pages:
            return None, files.fallback(FALLBACK)
        reflex_app = _load_reflex(
            self._settings.max_socket_message_bytes
        )  # in this context: Reflex keeps its registry in a context variable
        await stack.enter_async_context(_lifespan_of(reflex_app))
        return reflex_app, files.pages(build.STATIC, build.WEB / "routes.json")


def _load_reflex(message_bytes: int) -> Any:
    """Reflex's ASGI application for pages that are already built."""
    from reflex_base import constants
    from reflex_base.environment import environment

    environment.REFLEX_ENV_MODE.set(constants.Env.PROD)
    environment.REFLEX_SKIP_COMPILE.set(True)
    environment.REFLEX_SOCKET_MAX_HTTP_BUFFER_SIZE.set(message_bytes)
    environment.REFLEX_SOCKET_INTERVAL.set(PING_EVERY)
    environment.REFLEX_SOCKET_TIMEOUT.set(PONG_WITHIN)
    with importing():
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
    raise_file_limit()
    listening = listen(settings.host, settings.workers_port) if settings.workers else None
    application = Application(settings, with_pages=with_pages, listening=listening)
    server = Server(
        config_of(settings, TrustedHost(application, settings)),
        on_ready=lambda port: announce(port, application.first_key),
        on_stop=application.stop,
        in_work=lambda: application.in_work,
        drain_s=settings.drain_s,
    )
    server.run()
    return 0 if server.started else 3
