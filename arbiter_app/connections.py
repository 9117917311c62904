"""Who is connected: so many in all and of one address. Who rests gives way to who comes; who has an answer in work stays.

The bound in all leaves descriptors for the runtime's connections and the database: without one left, nothing would be answered
at all, and the operating system would say so to nobody.
"""

from __future__ import annotations

import resource
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from arbiter_app.addresses import group_of
from arbiter_app.notices import bounds
from arbiter_app.settings import Settings

MOST = 16_384
"""Connections when nothing is set and descriptors abound; each takes some 10 KB."""
OWN_DESCRIPTORS = 128
"""For database, log, listening sockets and workers; beside one for each request in work."""


class ClientConnection(Protocol):
    """What is asked of a connection."""

    @property
    def silent(self) -> bool:
        """No request has come on it yet."""

    @property
    def resting(self) -> bool:
        """No answer is in work on it."""

    def give_way(self) -> None:
        """Close it for another."""


@dataclass(frozen=True, slots=True)
class ConnectionRefusal:
    """An answer that a connection gets before any application sees its request; it is closed then."""

    bound: str
    status: int
    code: str
    message: str


def most_connections(settings: Settings) -> int:
    """The bound in all: what is set, but never more than the descriptors allow."""
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    kept = min(descriptors // 2, settings.max_concurrency + OWN_DESCRIPTORS)
    allowed = descriptors - kept if descriptors != resource.RLIM_INFINITY else MOST
    return max(1, min(allowed, settings.max_connections or MOST))


class ConnectionLimiter:
    """The connections of one process, with the settings that bound them."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._sockets: Counter[str] = Counter()
        self._of: defaultdict[str, dict[ClientConnection, None]] = defaultdict(dict)
        self._address: dict[ClientConnection, str] = {}
        self._trusted = ProxyHeadersMiddleware(_nothing, list(settings.trusted_proxies)).trusted_hosts

    @cached_property
    def most(self) -> int:
        """Connections in all; known once the process has raised its file limit."""
        return most_connections(self.settings)

    def __len__(self) -> int:
        return len(self._address)

    def enter(self, connection: ClientConnection, host: str) -> ConnectionRefusal | None:
        """Note a new connection from `host`. When there are too many, one that rests is closed, or this one is refused."""
        address = group_of(host)
        most = self.settings.max_connections_per_address
        refusal = None
        if len(self._of[address]) >= most and host not in self._trusted:
            refusal = self._strike("address_connections", "ARBITER_MAX_CONNECTIONS_PER_ADDRESS", most, address)
        elif len(self._address) >= self.most:
            fullest = max(self._of, key=lambda one: len(self._of[one]))
            refusal = self._strike("connections", "ARBITER_MAX_CONNECTIONS", self.most, fullest)
        self._of[address][connection] = None
        self._address[connection] = address
        return refusal

    def leave(self, connection: ClientConnection) -> None:
        """Forget a connection, if it is known."""
        address = self._address.pop(connection, None)
        if address is not None:
            del self._of[address][connection]
            if not self._of[address]:
                del self._of[address]

    def refuse_socket(self, host: str) -> ConnectionRefusal | None:
        """The refusal of one more socket from `host`, if there are too many."""
        settings, of_address = self.settings, self._sockets[group_of(host)]
        if self._sockets.total() >= settings.max_sockets:
            bound, most, setting = "sockets", settings.max_sockets, "ARBITER_MAX_SOCKETS"
        elif of_address >= settings.max_sockets_per_address and host not in self._trusted:
            bound, most, setting = (
                "address_sockets",
                settings.max_sockets_per_address,
                "ARBITER_MAX_SOCKETS_PER_ADDRESS",
            )
        else:
            return None
        message = f"more than {most:,} sockets ({setting}); try again in a moment"
        return ConnectionRefusal(bound, 503, "too_many_sockets", message)

    def open_socket(self, socket: ClientConnection, host: str) -> None:
        """Note a connection that has become a socket; it never gives way."""
        self._sockets[group_of(host)] += 1
        self.enter(socket, host)

    def close_socket(self, socket: ClientConnection, host: str) -> None:
        """Forget one."""
        self._sockets[group_of(host)] -= 1
        self._sockets += Counter()  # without those of whom none is left
        self.leave(socket)

    def _strike(self, bound: str, setting: str, most: int, address: str) -> ConnectionRefusal | None:
        """Let a connection of `address` give way; the refusal if none can."""
        message = f"more than {most:,} connections ({setting})"
        bounds.count(bound, message)
        ours = self._of[address]
        one = next((one for one in ours if one.silent), None) or next((one for one in ours if one.resting), None)
        if one is None:
            return ConnectionRefusal("", 503, "too_many_connections", f"{message}; try again in a moment")
        self.leave(one)
        one.give_way()
        return None


async def _nothing(*_: object) -> None:
    """No application: only the list of trusted addresses is wanted."""
