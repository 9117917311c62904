"""Uvicorn's HTTP protocol, with what it writes in one step of the event loop sent to the socket in one piece.

Uvicorn writes the head of an answer and its body one after the other, and each is a system call (with TCP_NODELAY: a packet
of its own); on a loopback that costs as much as classifying a request.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Corked:
    """A transport that gathers what is written until the event loop has run what is ready; everything else is passed on."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []

    def write(self, data: bytes) -> None:
        """Write with what else is written in this step."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        """Close once everything has been written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held = self._held
        if held:
            self._held = []
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class CorkedProtocol(HttpToolsProtocol):
    """HTTP/1.1 over a corked transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller has connected."""
        super().connection_made(cast(asyncio.Transport, Corked(transport, self.loop)))
