"""Runs the simulated runtime on a loopback port, in a thread of its own with its own event loop."""

from __future__ import annotations

import errno
import socket
import threading
from collections.abc import Sequence
from typing import Any, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from arbiter_app.catalog import Catalog
from arbiter_app.runtime.sandbox.app import SandboxApp
from arbiter_app.runtime.sandbox.world import World
from arbiter_app.server import UndatedServer

START_S = 60.0
STOP_S = 5.0
KEY = "sandbox"


class _Protocol(HttpToolsProtocol):
    """Lets the application break its connection off, which ASGI has no word for."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        cast(dict[str, Any], self.scope)["extensions"] = {"abort": self.transport.abort}


LOOPBACK = ("127.0.0.1", "::1")
_ABSENT = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


def listening(port: int, addresses: Sequence[str] = LOOPBACK) -> socket.socket:
    """A socket that listens on the first of these addresses that this machine has. Raises OSError."""
    for address in addresses[:-1]:
        try:
            return _on(address, port)
        except OSError as error:
            if error.errno not in _ABSENT:
                raise
    return _on(addresses[-1], port)


def _on(address: str, port: int) -> socket.socket:
    return socket.create_server((address, port), family=socket.AF_INET6 if ":" in address else socket.AF_INET)


class _Server(UndatedServer):
    """Says when it is ready instead of being asked."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


class SandboxServer:
    """A running sandbox: `url` is its OpenAI base URL, `world` may be scripted directly within the same process."""

    def __init__(self, world: World, port: int = 0) -> None:
        self.world = world
        self.key = KEY
        self._socket = listening(port)
        host, self.port = self._socket.getsockname()[:2]
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{self.port}/v1"
        config = uvicorn.Config(
            SandboxApp(world),
            http=_Protocol,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
            timeout_keep_alive=60,
        )
        self._server = _Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="sandbox", daemon=True)

    def start(self) -> SandboxServer:
        """Start serving; returns once requests are accepted. Raises RuntimeError when that takes too long."""
        self._thread.start()
        if not self._server.ready.wait(START_S):
            raise RuntimeError("the sandbox runtime did not start")
        return self

    def stop(self) -> None:
        """End it and wait until it is gone."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=STOP_S)
        self._socket.close()


def start_sandbox(catalog: Catalog, *, latency: float = 1.0, seed: int = 7, port: int = 0) -> SandboxServer:
    """A started sandbox over this catalog. `latency` scales its waits; 0 answers at once."""
    return SandboxServer(World(catalog, seed=seed, latency=latency), port).start()
