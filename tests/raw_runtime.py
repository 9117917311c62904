"""A runtime that writes to its connections what a test wants, when it wants: bytes, pauses, and ends of all kinds."""

from __future__ import annotations

import contextlib
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

from tests.waiting import PATIENCE_S

HEAD = b"HTTP/1.1 200 OK\r\n"
EVENTS = HEAD + b"content-type: text/event-stream\r\n"
UNTIL_CLOSED = b"connection: close\r\n\r\n"


class RawRuntime(socketserver.ThreadingTCPServer):
    """`say` is called for each request with its head, its body and where to write; the connection is closed after it.

    `gone` is set when a connection was closed by the other side while `until_gone` waited for that.
    """

    daemon_threads = allow_reuse_address = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.url = f"http://127.0.0.1:{self.server_address[1]}/v1"
        self.say: Callable[[bytes, bytes, BinaryIO], None] = lambda head, body, out: None
        self.asked = threading.Event()
        self.gone = threading.Event()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()


class _Answer(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = self.rfile.readline()
            if not line:
                return
            head += line
        length = next((int(one[15:]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:")), 0)
        body, server = self.rfile.read(length), self.server
        assert isinstance(server, RawRuntime)
        server.asked.set()
        with contextlib.suppress(OSError):
            server.say(head, body, self.wfile)
        if server.say is not silent and not getattr(server.say, "waits", False):
            return
        self.connection.settimeout(PATIENCE_S)
        with contextlib.suppress(OSError):
            while self.connection.recv(4_096):
                pass
            server.gone.set()


def silent(head: bytes, body: bytes, out: BinaryIO) -> None:
    """Says nothing, and waits until the other side closes."""


def waiting(*parts: bytes) -> Any:
    """Writes these, says no more, and waits until the other side closes."""

    def say(head: bytes, body: bytes, out: BinaryIO) -> None:
        for part in parts:
            out.write(part)

    say.waits = True  # type: ignore[attr-defined]
    return say


@contextmanager
def raw_runtime() -> Iterator[RawRuntime]:
    """One for a while."""
    with RawRuntime() as one:
        try:
            yield one
        finally:
            one.shutdown()  # else its thread goes on for ever, with the whole of a core, when a test expects an error
