"""Every chart's numbers as a table and as CSV, for exactly what the tab shows."""

from __future__ import annotations

from typing import Any

import reflex as rx

from arbiter_app.pipeline.types import Caller
from arbiter_app.web import door, topics
from arbiter_app.web.charts.figures import Figure
from arbiter_app.web.charts.table import as_csv, table
from arbiter_app.web.state import guard
from arbiter_app.web.state.demo import Demo
from arbiter_app.web.state.models import Models
from arbiter_app.web.state.overview import Overview
from arbiter_app.web.typed import Listed, event, listed

MOST_ROWS = 400
NAMES = {
    "spend": "Spend",
    "scatter": "Cost and quality",
    "learning": "Exploration",
    "heat": "Task and model",
    "prices": "Prices",
    "latency": "Latency",
    "models-learning": "Exploration",
    "timeline": "Timeline",
}


class Chart(rx.State):
    """The open table view, if any."""

    title: rx.Field[str] = rx.field("")
    head: Listed[str] = listed()
    rows: Listed[list[str]] = listed()

    @event
    async def show(self, name: str) -> None:
        """Open the table of a chart."""
        who = await guard.seat(self)
        name = guard.choice(name, NAMES, "")
        if not name or not guard.may_read(who):
            return
        self.head, rows = table(await self._figure(who, name))
        self.rows, self.title = rows[:MOST_ROWS], NAMES[name]

    @event
    async def close(self) -> None:
        """Close the table view."""
        await guard.seat(self)
        self.title, self.head, self.rows = "", [], []

    @event
    async def save(self, name: str) -> Any:
        """Download the table of a chart as CSV."""
        who = await guard.seat(self)
        name = guard.choice(name, NAMES, "")
        if not name or not guard.may_read(who):
            return None
        head, rows = table(await self._figure(who, name))
        return rx.download(data=as_csv(head, rows), filename=f"arbiter-{name}.csv")

    async def _figure(self, who: Caller, name: str) -> Figure:
        if name in ("spend", "scatter", "learning"):
            overview = await self.get_state(Overview)
            shown = await self._room(("summary", guard.scope(who) or topics.ALL, overview.span))
            figure: Figure = shown["scatters"][overview.scatter_task] if name == "scatter" else shown[name]
            return figure
        if name == "timeline":
            await self.get_state(Demo)
            figure = (await self._room(("demo",)))["timeline"]
            return figure
        models = await self.get_state(Models)
        figure = (await self._room(("models", models.span)))[name.removeprefix("models-")]
        return figure

    async def _room(self, room: tuple[str, ...]) -> dict[str, Any]:
        return await door.parts().live.look(room)
