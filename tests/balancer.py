"""A TCP balancer: each connection goes to the next server that takes it, and ends with either side."""

from __future__ import annotations

import contextlib
import itertools
import selectors
import socket
import threading
from collections.abc import Iterator, Sequence

from tests.waiting import PATIENCE_S


class _Balancer:
    def __init__(self, ports: Sequence[int]) -> None:
        self._turns, self._count = itertools.cycle(ports), len(ports)
        self._choosing = threading.Lock()
        self._closing = threading.Event()
        self._threads: list[threading.Thread] = []
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=1_024)

    def accept(self) -> None:
        """Serve connections until `close`."""
        while not self._closing.is_set():
            caller, _ = self.listening.accept()
            thread = threading.Thread(target=self._relay, args=(caller,), daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """End every connection."""
        self._closing.set()
        socket.create_connection(self.listening.getsockname()).close()  # wakes `accept`
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self.listening.close()

    def _relay(self, caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError):
            server = self._server()
            if server is None:
                return
            with server, selectors.DefaultSelector() as ready:
                ready.register(caller, selectors.EVENT_READ, server)
                ready.register(server, selectors.EVENT_READ, caller)
                while not self._closing.is_set():
                    for key, _ in ready.select(0.1):
                        data = key.fileobj.recv(65_536)  # type: ignore[union-attr]
                        if not data:
                            return
                        key.data.sendall(data)

    def _server(self) -> socket.socket | None:
        for _ in range(self._count):
            with self._choosing:
                port = next(self._turns)
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", port))
        return None


@contextlib.contextmanager
def balanced(ports: Sequence[int]) -> Iterator[str]:
    """A balancer before servers on these ports; its URL."""
    balancer = _Balancer(ports)
    thread = threading.Thread(target=balancer.accept, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{balancer.listening.getsockname()[1]}"
    finally:
        balancer.close()
        thread.join(PATIENCE_S)
