"""The services of this process as the pages see them: opened once by the server, found here by the handlers."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from starlette.types import ASGIApp

from arbiter_app.settings import Settings


@dataclass(frozen=True, slots=True)
class Opened:
    """What a running process consists of: the service object, the gateway and the sign-in route."""

    arbiter: Any
    gateway: ASGIApp
    session: ASGIApp


_opened: Opened | None = None


def current() -> Any:
    """The running service object. Raises RuntimeError outside of a running server."""
    if _opened is None:
        raise RuntimeError("the services are not open: start Arbiter with `python -m arbiter_app serve`")
    return _opened.arbiter


def drain() -> None:
    """A stop signal has come: the gateway answers 503 from now on, running requests go on."""
    if _opened is not None:
        _opened.arbiter.draining = True


@contextlib.asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Opened]:
    """Start the services, and stop them at the end."""
    global _opened
    from arbiter_app.services.arbiter import Arbiter

    arbiter = await Arbiter.start(settings)
    try:
        _opened = Opened(arbiter, gateway=_nothing, session=_nothing)
        yield _opened
    finally:
        _opened = None
        await arbiter.close()


async def _nothing(scope: Any, receive: Any, send: Any) -> None:
    from starlette.responses import PlainTextResponse

    await PlainTextResponse("not here yet", 404)(scope, receive, send)
