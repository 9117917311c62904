"""Runs the simulated runtime on a loopback port, in a thread of its own with its own event loop."""

from __future__ import annotations

import socket
import threading
import time

import uvicorn

from arbiter_app.catalog import Catalog
from arbiter_app.runtime.sandbox.app import SandboxApp
from arbiter_app.runtime.sandbox.world import World

START_S = 10.0
KEY = "sandbox"


class SandboxServer:
    """A running sandbox: `url` is its OpenAI base URL, `world` may be scripted directly within the same process."""

    def __init__(self, world: World, port: int = 0) -> None:
        self.world = world
        self.key = KEY
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        config = uvicorn.Config(
            SandboxApp(world),
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            timeout_graceful_shutdown=1,
            timeout_keep_alive=60,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([self._socket],), name="sandbox", daemon=True)

    def start(self) -> SandboxServer:
        """Start serving; returns once requests are accepted."""
        self._thread.start()
        end = time.monotonic() + START_S
        while not self._server.started:
            if not self._thread.is_alive() or time.monotonic() > end:
                raise RuntimeError("the sandbox runtime did not start")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """End it and wait until it is gone."""
        self._server.should_exit = True
        self._server.force_exit = True
        self._thread.join(timeout=5)
        self._socket.close()


def start_sandbox(catalog: Catalog, *, latency: float = 1.0, seed: int = 7, port: int = 0) -> SandboxServer:
    """A started sandbox over this catalog."""
    return SandboxServer(World(catalog, seed=seed, latency=latency), port).start()
