"""What has been learned: models per task, heat map, prices, latency, the catalog."""

from __future__ import annotations

from typing import Any

import reflex as rx

from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.pool import telling
from arbiter_app.web import door, estimates, ranges, views
from arbiter_app.web.charts.parts import Figure
from arbiter_app.web.state import guard
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.typed import Keyed, Listed, event, keyed, listed
from arbiter_app.web.views import View


class Models(rx.State):
    """What the models page shows."""

    span: rx.Field[str] = rx.field("")
    may: rx.Field[str] = rx.field("")
    error: rx.Field[str] = rx.field("")
    task: rx.Field[str] = rx.field("")
    closed: rx.Field[str] = rx.field("")
    rows: Listed[View] = listed()
    heat: Keyed[Figure] = keyed(dict)
    prices: Keyed[Figure] = keyed(dict)
    prices_legend: Listed[View] = listed()
    latency: Keyed[Figure] = keyed(dict)
    learning: Keyed[Figure] = keyed(dict)
    catalog: Listed[View] = listed()
    notes: Listed[str] = listed()
    any_rows: rx.Field[str] = rx.field("")
    any_prices: rx.Field[str] = rx.field("")
    judge: rx.Field[str] = rx.field("")
    tolerance: rx.Field[str] = rx.field("")
    without: rx.Field[str] = rx.field("")
    answer: Keyed[View] = keyed(lambda: dict(estimates.BLANK))

    @event
    async def load(self) -> None:
        """Show everything, and from now on whatever changes."""
        who = await guard.seat(self)
        if not guard.may_read(who):
            self.closed = "yes"
            return
        self.closed = ""
        self.may = "yes" if who.role is Role.OPERATOR else "no"
        self.span = self.span or await ranges.fitting_span(door.parts().arbiter.reads, None)
        await self._list()
        await self._watch()
        self.tolerance = self.tolerance or f"{door.parts().settings.routing.quality_tolerance:g}"
        await self._ask(who)

    @event
    async def set_tolerance(self, value: Any) -> None:
        """Ask what another tolerance would have done."""
        who = await guard.seat(self)
        found = guard.number(value, 0.0, 1.0)
        if guard.may_read(who) and found is not None:
            self.tolerance = f"{found:g}"
            await self._ask(who)

    @event
    async def set_without(self, value: str) -> None:
        """Ask what would have been without a model."""
        who = await guard.seat(self)
        if guard.may_read(who):
            self.without = guard.choice(value, {row["id"] for row in self.catalog}, "")
            await self._ask(who)

    @event
    async def set_span(self, value: str) -> None:
        """Change the time range of the charts."""
        who = await guard.seat(self)
        if guard.may_read(who):
            self.span = guard.choice(value, ranges.RANGES, "24h")
            await self._watch()

    @event
    async def set_task(self, value: str) -> None:
        """Show one task in the table."""
        await guard.seat(self)
        self.task = guard.choice(value, TASKS, "")

    @event
    async def set_routable(self, model: str, on: bool) -> None:
        """Take a model into the pool or out of it; for operators."""
        who = await guard.seat(self)
        if who.role is not Role.OPERATOR or not isinstance(on, bool):
            return
        try:
            door.parts().arbiter.actions.set_routable(guard.text(model, 80), on)
        except ArbiterError as error:
            self.error = str(error)
        await self._list()

    async def _ask(self, who: Caller) -> None:
        tolerance, without = float(self.tolerance), (self.without,) if self.without else ()
        what_if = door.parts().arbiter.what_if
        told = await what_if.ask(tolerance=tolerance, without=without, days=None, key_id=guard.scope(who))
        self.answer = estimates.what_if(told, tolerance, self.without)

    async def _list(self) -> None:
        self.notes = list(telling.replaced(door.parts().arbiter.catalog))
        self.catalog = [views.catalog_row(row) for row in door.parts().arbiter.reads.pricing()]

    async def _watch(self) -> None:
        shown = await door.parts().live.watch(self.router.session.session_id, ("models", self.span))
        for name, value in shown.items():
            setattr(self, name, value)
