"""Rooms of Reflex's socket server, and a state delta that is encoded once for all tabs of a room."""

from __future__ import annotations

from typing import Any

from reflex_base.constants.state import FIELD_MARKER


class SocketWire:
    """Implements `live.Wire` over the running Reflex application."""

    def __init__(self, app: Any) -> None:
        self._app = app

    @property
    def _namespace(self) -> str:
        return str(self._app.event_namespace.namespace)

    async def join(self, sid: str, room: str) -> None:
        """Put a socket into a room. A socket that has just gone is ignored."""
        try:
            await self._app.sio.enter_room(sid, room, namespace=self._namespace)
        except ValueError:
            return

    async def leave(self, sid: str, prefix: str) -> None:
        """Take a socket out of its rooms whose name begins so (its own private room stays)."""
        for room in self._app.sio.rooms(sid, namespace=self._namespace):
            if room != sid and room.startswith(prefix):
                await self._app.sio.leave_room(sid, room, namespace=self._namespace)

    def occupied(self, room: str) -> bool:
        """Whether any open socket is in the room."""
        return bool(self._app.sio.manager.rooms.get(self._namespace, {}).get(room))

    async def send(self, room: str, state: str, variables: dict[str, Any]) -> None:
        """Set variables of a state class in every tab of the room."""
        delta = {state: {name + FIELD_MARKER: value for name, value in variables.items()}}
        await self._app.event_namespace.emit("event", {"delta": delta, "events": []}, room=room)

    def present(self, token: str) -> bool:
        """Whether the tab with this client token is connected."""
        return token in self._app.event_namespace.token_to_sid
