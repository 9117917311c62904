"""The demo: change a model's price, send a paced workload, watch Arbiter notice and move."""

from __future__ import annotations

from typing import Any

import reflex as rx

from arbiter_app.web import door
from arbiter_app.web.state import guard

View = dict[str, str]
Figure = dict[str, Any]


class Demo(rx.State):
    """What the demo page shows."""

    closed: str = ""
    timeline: Figure = {}
    alerts: list[View] = []
    chosen: list[View] = []
    any_calls: str = ""

    @rx.event
    async def load(self) -> None:
        """Show the timeline, and from now on whatever happens."""
        who = await guard.seat(self)
        if not guard.may_read(who):
            self.closed = "yes"
            return
        self.closed = ""
        for name, value in (await door.parts().live.watch(self.router.session.session_id, ("demo",))).items():
            setattr(self, name, value)
