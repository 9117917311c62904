"""Live channels as rooms of the socket server that Reflex runs, and a state delta that is encoded once for all tabs in one."""

from __future__ import annotations

import asyncio
from typing import Any

import reflex as rx
from engineio.packet import MESSAGE, Packet
from reflex.app import EventNamespace
from reflex_base.constants.state import FIELD_MARKER
from socketio.packet import EVENT

AT_A_TIME = 4


class SocketAdapter:
    """Implements `live.Sockets` over the running Reflex application."""

    def __init__(self, app: rx.App) -> None:
        self._app = app

    @property
    def _server(self) -> Any:
        return self._app.sio

    @property
    def _events(self) -> EventNamespace:
        found = self._app.event_namespace
        assert found is not None, "an application with state has a namespace"
        return found

    @property
    def _namespace(self) -> str:
        return str(self._events.namespace)

    async def join(self, sid: str, room: str) -> None:
        """Put a socket into a room. A socket that went while the room was loading is ignored."""
        if self._server.manager.is_connected(sid, self._namespace):
            await self._server.enter_room(sid, room, namespace=self._namespace)

    async def leave(self, sid: str, prefix: str) -> None:
        """Take a socket out of its rooms whose name begins so (its own private room stays)."""
        for room in self._server.rooms(sid, namespace=self._namespace):
            if room != sid and room.startswith(prefix):
                await self._server.leave_room(sid, room, namespace=self._namespace)

    def occupied(self, room: str) -> bool:
        """Whether any open socket is in the room."""
        return bool(self._server.manager.rooms.get(self._namespace, {}).get(room))

    async def send(self, room: str, state: str, variables: dict[str, Any]) -> None:
        """Set variables of a state class in every tab of the room: encoded once, sent a few tabs at a time.

        `emit` would hand all tabs to the event loop at once, and requests being routed would wait behind them.
        """
        sio = self._server
        update = {"delta": {state: {name + FIELD_MARKER: value for name, value in variables.items()}}, "events": []}
        message = sio.packet_class(EVENT, namespace=self._namespace, data=["event", update]).encode()
        parts = [Packet(MESSAGE, part) for part in (message if isinstance(message, list) else [message])]
        for place, (_, tab) in enumerate(list(sio.manager.get_participants(self._namespace, room))):
            for part in parts:
                await sio._send_eio_packet(tab, part)
            if place % AT_A_TIME == AT_A_TIME - 1:
                await asyncio.sleep(0)

    async def reload(self, sid: str) -> None:
        """Let a tab load its page anew: what it shows belongs to nobody who is there now."""
        reload = {"name": "_call_script", "payload": {"javascript_code": "location.reload()"}}
        await self._server.emit("event", {"delta": {}, "events": [reload]}, to=sid, namespace=self._namespace)

    def connected(self, sid: str) -> bool:
        """Whether this socket is open."""
        return bool(self._server.manager.is_connected(sid, self._namespace))

    def present(self, token: str) -> bool:
        """Whether the tab with this client token is connected."""
        return token in self._events.token_to_sid
