"""The live feed of one process: decisions and alerts as they happen, fanned out to whoever listens.

A slow listener never holds anything up: its queue is bounded and the oldest event gives way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """`kind` is decision, grade, alert, price, store, hosts, ... or reset; `data` the row as the read routes return it."""

    kind: str
    data: Mapping[str, Any]


class Feed:
    """Publish once, deliver to every subscriber of this process."""

    def __init__(self, depth: int = 256) -> None:
        self._depth = depth
        self.listeners: set[asyncio.Queue[Event]] = set()
        """The queues of those who are subscribed."""

    def publish(self, kind: str, data: Mapping[str, Any]) -> None:
        """Deliver without waiting. Costs nothing when nobody listens."""
        if not self.listeners:
            return
        event = Event(kind, data)
        for queue in self.listeners:
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(event)

    @contextmanager
    def subscribe(self) -> Iterator[asyncio.Queue[Event]]:
        """A queue of events for as long as the block runs."""
        queue: asyncio.Queue[Event] = asyncio.Queue(self._depth)
        self.listeners.add(queue)
        try:
            yield queue
        finally:
            self.listeners.discard(queue)
