"""Every chart's numbers as a table and as CSV, for exactly what the tab shows."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import reflex as rx

from arbiter_app.pipeline.types import Caller
from arbiter_app.services.csv_text import as_csv
from arbiter_app.web import container, ranges
from arbiter_app.web.charts import drill
from arbiter_app.web.charts.chart import SummaryData, charts
from arbiter_app.web.charts.parts import Figure
from arbiter_app.web.charts.table import table
from arbiter_app.web.live import Channel
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.state.models import Models
from arbiter_app.web.state.overview import Overview
from arbiter_app.web.typed import Listed, event, listed

MOST_ROWS, MOST_POINTS = 400, 50

SCATTER = "scatter"
"""The one chart of which there is a figure a task."""
TITLES = {name: one.title for name, one in charts().items()} | {SCATTER: "Cost and quality"}


class Chart(rx.State):
    """The open table view, if any."""

    title: rx.Field[str] = rx.field("")
    head: Listed[str] = listed()
    rows: Listed[list[str]] = listed()

    @event
    async def show(self, name: str) -> None:
        """Open the table of a chart."""
        who = await authz.current_caller(self)
        name = arguments.choice(name, TITLES, "")
        if not name or not authz.may_read(who):
            return
        self.head, rows = table(await self._figure(who, name))
        self.rows, self.title = rows[:MOST_ROWS], TITLES[name]

    @event
    async def close(self) -> None:
        """Close the table view; it is closed with the page that it was opened on, too."""
        await authz.current_caller(self)
        if self.title:
            self.title, self.head, self.rows = "", [], []

    @event
    async def save(self, name: str) -> Any:
        """Download the table of a chart as CSV."""
        who = await authz.current_caller(self)
        name = arguments.choice(name, TITLES, "")
        if not name or not authz.may_read(who):
            return None
        head, rows = table(await self._figure(who, name))
        return rx.download(data=as_csv(head, rows), filename=f"arbiter-{name}.csv")

    @event
    async def open(self, name: str, points: list[dict[str, Any]]) -> Any:
        """Show the decisions behind what was pressed in a chart."""
        who = await authz.current_caller(self)
        name = arguments.choice(name, TITLES, "")
        if not name or not authz.may_read(who) or not isinstance(points, list):
            return None
        pressed = [one for one in points[:MOST_POINTS] if isinstance(one, dict)]
        models = [row["id"] for row in container.current().services.reads.pricing()]
        found = drill.behind(await self._figure(who, name), pressed, models)
        if not found:
            return None
        more = {"task": (await self.get_state(Overview)).scatter_task} if name == SCATTER else {}
        return rx.redirect("/app/activity?" + urlencode({**found, **more}))

    async def _figure(self, who: Caller, name: str) -> Figure:
        topic = SummaryData.topic if name == SCATTER else charts()[name].of.topic
        shown = await container.current().live.look(await self._channel(who, topic))
        figures: dict[str, Figure] = shown["scatters" if name == SCATTER else "charts"]
        return figures[(await self.get_state(Overview)).scatter_task if name == SCATTER else name]

    async def _channel(self, who: Caller, topic: str) -> Channel:
        """The channel that this tab is in."""
        if topic == "summary":
            return topic, authz.scope(who) or ranges.ALL, (await self.get_state(Overview)).span
        return (topic, (await self.get_state(Models)).span) if topic == "models" else (topic,)
