"""The product in this process, as it is served, over a runtime of its own that costs next to nothing."""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from arbiter_app.serve import Application
from arbiter_app.server import Server, config_of
from arbiter_app.settings import load_settings
from tests.bench.__main__ import CORES, START_S, module, place
from tests.served import OPERATOR, free_port
from tests.waiting import until


def listens(port: int) -> bool:
    """Whether somebody does."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


More = Callable[[Path, int], dict[str, str]]
"""Settings by their names, for a directory that lasts as long as the serving does, and the runtime's port."""


def serve_for(
    work: Callable[[int], Awaitable[None]], *, runtime: str = "tests.bench.runtime", more: More = lambda *_: {}
) -> None:
    """Serve without pages on an empty store before a runtime, do `work` with the port on the same event loop, and stop."""
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        answering, port = free_port(), free_port()
        place(stack.enter_context(module(runtime, str(answering))).pid, CORES[1:])
        until(lambda: listens(answering), START_S)
        environ = {
            "ARBITER_DB": str(directory / "arbiter.db"),
            "ARBITER_PORT": str(port),
            "ARBITER_API_KEYS": OPERATOR,
            "GATEWAY_API_KEY": "bench",
            "BTL_BASE_URL": f"http://127.0.0.1:{answering}/v1",
            "ARBITER_POLICY": os.environ.get("ARBITER_POLICY", "arbiter"),
            **more(directory, answering),
        }
        settings = load_settings(environ, None)
        application = Application(settings, with_pages=False, listening=None)
        begun = asyncio.Event()
        server = Server(
            config_of(settings, application),
            on_ready=lambda _: begun.set(),
            on_stop=application.stop,
            in_work=lambda: application.in_work,
            drain_s=settings.drain_s,
        )
        if len(CORES) > 1:
            os.sched_setaffinity(0, CORES[:1])

        async def run() -> None:
            serving = asyncio.create_task(server.serve())
            await begun.wait()
            try:
                await work(port)
            finally:
                server.stop()
                await serving

        with asyncio.Runner(loop_factory=server.config.get_loop_factory()) as runner:
            runner.run(run())
