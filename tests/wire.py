"""Raw bytes to an Arbiter in a process of its own, and what it answers."""

from __future__ import annotations

import contextlib
import socket

from tests.served import Served
from tests.waiting import PATIENCE_S


def connected(to: Served, *, own: str = "127.0.0.1") -> socket.socket:
    """A connection, from an address of this machine."""
    address = ("127.0.0.1", int(to.url.rpartition(":")[2]))
    return socket.create_connection(address, timeout=PATIENCE_S, source_address=(own, 0))


def heard(connection: socket.socket) -> bytes:
    """All that comes until the other side closes."""
    parts = []
    with contextlib.suppress(ConnectionError):
        while part := connection.recv(65_536):
            parts.append(part)
    return b"".join(parts)


def told(to: Served, sent: bytes) -> bytes:
    """What is answered to some bytes until the connection is closed."""
    with connected(to) as connection:
        with contextlib.suppress(ConnectionError):
            connection.sendall(sent)
        return heard(connection)


def status_of(raw: bytes) -> int:
    """The status of an answer."""
    return int(raw.split(b" ", 2)[1])
