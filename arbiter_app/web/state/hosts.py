"""The hosts that serve from one database. For operators."""

from __future__ import annotations

import reflex as rx

from arbiter_app.pipeline.types import Role
from arbiter_app.web import container
from arbiter_app.web.state import authz
from arbiter_app.web.typed import Keyed, Listed, event, keyed, listed
from arbiter_app.web.views import View

CHANNEL = ("hosts",)


def _nothing() -> View:
    return dict.fromkeys(("name", "connections", "full", "trouble"), "")


class HostsPage(rx.State):
    """What the page of hosts shows."""

    may: rx.Field[str] = rx.field("")
    rows: Listed[View] = listed()
    standbys: Listed[View] = listed()
    database: Keyed[View] = keyed(_nothing)

    @event
    async def load(self) -> None:
        """Show every host, and from now on how each is."""
        who = await authz.current_caller(self)
        self.may = "yes" if who.role is Role.OPERATOR else "no"
        if who.role is not Role.OPERATOR:
            self.rows, self.standbys, self.database = [], [], _nothing()
            return
        for name, value in (await container.current().live.watch(self.router.session.session_id, CHANNEL)).items():
            setattr(self, name, value)
