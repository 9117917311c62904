"""What has been learned: models per task, heat map, prices, latency, the catalog."""

from __future__ import annotations

from typing import Any

import reflex as rx

from arbiter_app.pipeline.types import Caller
from arbiter_app.pool import telling
from arbiter_app.services.project_roles import is_operator
from arbiter_app.web import container, estimates, views
from arbiter_app.web.charts.chart import LearnedData, blank
from arbiter_app.web.charts.parts import Figure
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.state.ranged import Ranged
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.typed import Keyed, Listed, event, keyed, listed
from arbiter_app.web.views import View


class Models(Ranged, rx.State):
    """What the models page shows; the range is that of its charts."""

    PAGE = "/app/models"
    task: rx.Field[str] = rx.field("")
    closed: rx.Field[str] = rx.field("")
    rows: Listed[View] = listed()
    charts: Keyed[dict[str, Figure]] = keyed(lambda: blank(LearnedData))
    prices_legend: Listed[View] = listed()
    catalog: Listed[str] = listed()
    deployments: Listed[View] = listed()
    notes: Listed[str] = listed()
    segments: Listed[View] = listed()
    any_calls: rx.Field[str] = rx.field("")
    any_rows: rx.Field[str] = rx.field("")
    any_prices: rx.Field[str] = rx.field("")
    judge: rx.Field[str] = rx.field("")
    tolerance: rx.Field[str] = rx.field("")
    without: rx.Field[str] = rx.field("")
    answer: Keyed[View] = keyed(lambda: dict(estimates.BLANK))

    @event
    async def load(self) -> None:
        """Show everything, and from now on whatever changes."""
        who = await authz.current_caller(self)
        if not authz.may_read(who):
            self.closed = "yes"
            return
        self.closed = ""
        await self._read_range(None)
        await self._list()
        found = container.current().services.reads.segments() if is_operator(who) else []
        self.segments = [views.segment_row(row) for row in found]
        await self._watch()
        self.tolerance = self.tolerance or f"{container.current().settings.routing.quality_tolerance:g}"
        await self._ask(who)

    @event
    async def set_tolerance(self, value: Any) -> None:
        """Ask what another tolerance would have done."""
        who = await authz.current_caller(self)
        found = arguments.number(value, 0.0, 1.0)
        if authz.may_read(who) and found is not None:
            self.tolerance = f"{found:g}"
            await self._ask(who)

    @event
    async def set_without(self, value: str) -> None:
        """Ask what would have been without a model."""
        who = await authz.current_caller(self)
        if authz.may_read(who):
            self.without = arguments.choice(value, set(self.catalog), "")
            await self._ask(who)

    @event
    async def set_task(self, value: str) -> None:
        """Show one task in the table."""
        await authz.current_caller(self)
        self.task = arguments.choice(value, TASKS, "")

    async def _ask(self, who: Caller) -> None:
        tolerance, without = float(self.tolerance), (self.without,) if self.without else ()
        what_if = container.current().services.what_if
        told = await what_if.ask(tolerance=tolerance, without=without, days=None, scope=authz.scope(who))
        self.answer = estimates.what_if(told, tolerance, self.without)

    async def _list(self) -> None:
        self.notes = list(telling.replaced(container.current().services.catalog))
        rows = await container.current().services.reads.catalog()
        self.catalog = [row["id"] for row in rows]
        self.deployments = [views.deployment_row(row["id"], at) for row in rows for at in row.get("deployments", [])]

    async def _watch(self) -> None:
        shown = await container.current().live.watch(self.router.session.session_id, ("models", self.span))
        for name, value in shown.items():
            setattr(self, name, value)
