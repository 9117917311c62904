"""The running process as the web app sees it: opened once by the server, found here by the handlers."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from arbiter_app import bootstrap
from arbiter_app.api.gateway import Gateway
from arbiter_app.bootstrap import Services
from arbiter_app.settings import Settings
from arbiter_app.web.ask import Workload
from arbiter_app.web.export import Export
from arbiter_app.web.live import Live
from arbiter_app.web.seats import Seats
from arbiter_app.web.session import SessionRoute, Sessions


@dataclass(slots=True)
class Parts:
    """What the pages work with. `live` needs the socket server and is set once that exists."""

    settings: Settings
    arbiter: Services
    sessions: Sessions
    gateway: Gateway
    session_route: ASGIApp
    export: ASGIApp
    live: Live
    seats: Seats
    workload: Workload
    present: Callable[[str], bool]


_parts: Parts | None = None


def parts() -> Parts:
    """The running parts. Raises RuntimeError outside of a running server."""
    if _parts is None:
        raise RuntimeError("the services are not open: start Arbiter with `python -m arbiter_app serve`")
    return _parts


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Parts]:
    """Start the services, and stop them at the end."""
    sessions = Sessions(per_key=settings.sessions_per_key, attempts_per_minute=settings.signins_per_minute)
    arbiter = await bootstrap.start(
        settings, session_key=lambda cookies: sessions.key_of("", cookies, time.monotonic())
    )
    try:
        async with furnished(settings, arbiter, Gateway(arbiter), sessions) as made:
            yield made
    finally:
        await arbiter.close()


@contextlib.asynccontextmanager
async def furnished(
    settings: Settings, arbiter: Services, gateway: Gateway, sessions: Sessions
) -> AsyncIterator[Parts]:
    """Make the parts over open services, and let the handlers find them."""
    global _parts
    live = Live(arbiter.feed, _Later(), {})
    workload = Workload(arbiter.requests)
    route = SessionRoute(sessions, arbiter.keys)
    export = Export(arbiter, sessions)
    _parts = Parts(
        settings=settings,
        arbiter=arbiter,
        sessions=sessions,
        gateway=gateway,
        session_route=route,
        export=export,
        live=live,
        seats=Seats(sessions, arbiter.keys),
        workload=workload,
        present=lambda token: True,
    )
    try:
        yield _parts
    finally:
        workload.stop()
        _parts = None


class _Later:
    """Stands for the socket server while there is none: nobody can watch."""

    async def join(self, sid: str, room: str) -> None:
        return None

    async def leave(self, sid: str, prefix: str) -> None:
        return None

    def occupied(self, room: str) -> bool:
        return False

    async def send(self, room: str, state: str, variables: dict[str, Any]) -> None:
        return None

    def present(self, token: str) -> bool:
        return False

    def connected(self, sid: str) -> bool:
        return False
