"""Messages between the page process and a worker: JSON lines over a socket pair, `[kind, ...]`.

From a worker: `ready`; `change`, something in memory that all processes share; `event`, for the live feed; `metrics`, the
answer to being asked. To a worker: `change`; `watched`, whether anybody follows the feed; `metrics`, the question.
The end of the socket is the end of the other process.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import orjson

LONGEST_BYTES = 16_000_000
BEHIND_BYTES = 4_000_000


class Link:
    """One end of the socket pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Link:
        """A link over a connected socket."""
        return cls(*await asyncio.open_connection(sock=end, limit=LONGEST_BYTES))

    @property
    def behind(self) -> bool:
        """Whether the other side does not keep up, so that what may be lost should be."""
        return self._writer.transport.get_write_buffer_size() > BEHIND_BYTES

    def send(self, *message: Any) -> None:
        """Send without waiting; to a process that has ended, nothing."""
        if not self._writer.is_closing():
            self._writer.write(orjson.dumps(message, default=str) + b"\n")

    async def messages(self) -> AsyncIterator[list[Any]]:
        """What the other side says, until it ends."""
        try:
            while line := await self._reader.readline():
                yield orjson.loads(line)
        except (ConnectionError, asyncio.IncompleteReadError, orjson.JSONDecodeError):
            return  # killed in the middle of a line

    def close(self) -> None:
        """End the link."""
        self._writer.close()
