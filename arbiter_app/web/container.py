"""The services of the running process as the pages see them: built once by the server, found here by the handlers."""

from __future__ import annotations

import contextlib
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
from arbiter_app.web.openid import OpenIdSignIn
from arbiter_app.web.session import SessionRoute
from arbiter_app.web.tabs import SignedInTabs


@dataclass(slots=True)
class Container:
    """What the pages work with. `live` needs the socket server and is set once that exists."""

    settings: Settings
    services: Services
    gateway: Gateway
    session_route: SessionRoute
    export: ASGIApp
    live: Live
    tabs: SignedInTabs
    workload: Workload
    present: Callable[[str], bool]


_container: Container | None = None


def current() -> Container:
    """The running one. Raises RuntimeError outside of a running server."""
    if _container is None:
        raise RuntimeError("the services are not open: start Arbiter with `python -m arbiter_app serve`")
    return _container


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Container]:
    """Start the services, and stop them at the end."""
    services = await bootstrap.start(settings)
    try:
        async with built(settings, services, Gateway(services)) as made:
            yield made
    finally:
        await services.close()


@contextlib.asynccontextmanager
async def built(settings: Settings, services: Services, gateway: Gateway) -> AsyncIterator[Container]:
    """Make one over open services, and let the handlers find them."""
    global _container
    live = Live(services.feed, _NoSockets(), {})
    workload = Workload(services.requests)
    openid = OpenIdSignIn(settings, services.people)
    route = SessionRoute(services.sessions, services.keys, services.people, openid)
    export = Export(services)
    _container = Container(
        settings=settings,
        services=services,
        gateway=gateway,
        session_route=route,
        export=export,
        live=live,
        tabs=SignedInTabs(services.sessions, services.keys),
        workload=workload,
        present=lambda token: True,
    )
    try:
        yield _container
    finally:
        workload.stop()
        _container = None


class _NoSockets:
    """Stands for the socket server while there is none: nobody can watch."""

    async def join(self, sid: str, channel: str) -> None:
        return None

    async def leave(self, sid: str, prefix: str) -> None:
        return None

    def occupied(self, channel: str) -> bool:
        return False

    async def send(self, channel: str, state: str, variables: dict[str, Any]) -> None:
        return None

    def present(self, token: str) -> bool:
        return False

    def connected(self, sid: str) -> bool:
        return False

    async def reload(self, sid: str) -> None:
        return None
