"""Arbiters on other machines that serve from the same database: what happens here is told there, and the other way round.

What was learned travels through the store; this is for what is in memory only, and so that nothing waits to be asked for.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from typing import Any

from arbiter_app.services.broadcast import Broadcast
from arbiter_app.services.replica_sync import ReplicaSync
from arbiter_app.store import Store

log = logging.getLogger("arbiter.hosts")

HELLO = "hello"
"""Said by a host that has connected, with its name: it may have missed something, and is told how things stand."""
STANDING = "standing"
"""How things stand, for the host that is named: what others know already may have changed while it was on its way."""


class Hosts:
    """This host among the others; `None` is what it does where the store is not shared."""

    def __init__(self, store: Store, broadcast: Broadcast, replicas: ReplicaSync) -> None:
        self._store = store
        self._broadcast = broadcast
        self._replicas = replicas
        self._loop: asyncio.AbstractEventLoop | None = None
        self._name = secrets.token_hex(6)

    async def join(self) -> None:
        """Tell and hear from now on, where there may be others."""
        self._loop = asyncio.get_running_loop()
        if await self._store.open_channel(self._heard, self._joined):
            self._broadcast.join(self._store.tell_hosts)

    def _joined(self) -> None:
        """Called by the channel's thread, each time that it is connected: others may have missed something, too."""
        self._store.tell_hosts(HELLO, self._name)
        self._soon(self._say_what_changed)

    def _say_what_changed(self) -> None:
        for kind, data in self._replicas.dated():
            self._store.tell_hosts(kind, data)

    def _heard(self, kind: str, data: Any) -> None:
        """Called by the channel's thread."""
        self._soon(self._receive, kind, data)

    def _soon(self, *call: Any) -> None:
        assert self._loop is not None
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(*call)

    def _receive(self, kind: str, data: Any) -> None:
        if kind == HELLO:
            self._say_how_things_stand(data)
            return
        try:
            if kind == STANDING:
                name, kind, data = data
                if name != self._name:
                    return
            self._replicas.receive(kind, data)
        except (TypeError, ValueError, KeyError, AttributeError) as error:  # another version, or somebody else's word
            log.warning("what another host said of %s cannot be used: %s", kind[:40], error)
            return
        self._broadcast.pass_on(kind, data, self._store.tell_hosts)

    def _say_how_things_stand(self, name: Any) -> None:
        for kind, data in self._replicas.state():
            self._store.tell_hosts(STANDING, [name, kind, data])
