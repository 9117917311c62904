"""Rooms of the real socket server: who left is in none."""

from __future__ import annotations

from types import SimpleNamespace

import socketio

from arbiter_app.web.socket_adapter import SocketAdapter
from tests.web.conftest import in_own_loop

PAGES = "/_event"


def test_a_tab_that_left_while_its_room_was_loading_is_ignored_and_leaves_no_room_behind() -> None:
    async def joined() -> list[bool]:
        server = socketio.AsyncServer(async_mode="asgi")
        adapter = SocketAdapter(SimpleNamespace(sio=server, event_namespace=SimpleNamespace(namespace=PAGES)))
        stayed, left = [await server.manager.connect(tab, PAGES) for tab in ("one", "other")]
        await server.manager.disconnect(left, PAGES)
        await adapter.join(left, "overview|day")
        nobody = "overview|day" in server.manager.rooms[PAGES]
        await adapter.join(stayed, "overview|day")
        return [nobody, adapter.occupied("overview|day")]

    assert in_own_loop(joined()) == [False, True]
