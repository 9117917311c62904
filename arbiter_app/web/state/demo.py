"""The demo: change a model's price, send a paced workload, watch Arbiter notice and move."""

from __future__ import annotations

from collections import Counter

import reflex as rx

from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import Caller, Mode, Role
from arbiter_app.services import actions
from arbiter_app.store.decisions import Filter
from arbiter_app.web import container
from arbiter_app.web.ask import Enough
from arbiter_app.web.charts.chart import TimelineData, blank
from arbiter_app.web.charts.parts import Figure
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.typed import Keyed, Listed, event, keyed, listed
from arbiter_app.web.views import View

MULTIPLIERS = ("0.25", "0.5", "2", "4", "8", "16")


class Scenario:
    """The known scenario: a task, prompts and their pace before and after, and how much dearer the favourite becomes."""

    task = "math"
    warm, warm_per_s = 120, 20.0
    after, after_per_s = 150, 15.0
    times = 8.0


NEWEST, MOST = 20, 0.8
"""Of so many newest answers to the scenario's task by whoever was believed best, the favourite has given at least this share."""
RATES = {"2": 2.0, "5": 5.0, "10": 10.0, "20": 20.0}
TOTALS = {"50": 50, "200": 200, "1000": 1_000}


class Demo(rx.State):
    """What the demo page shows."""

    closed: rx.Field[str] = rx.field("")
    may: rx.Field[str] = rx.field("")
    error: rx.Field[str] = rx.field("")
    said: rx.Field[str] = rx.field("")
    charts: Keyed[dict[str, Figure]] = keyed(lambda: blank(TimelineData))
    alerts: Listed[View] = listed()
    chosen: Listed[View] = listed()
    any_calls: rx.Field[str] = rx.field("")
    progress: Keyed[View] = keyed(dict)
    overrides: Listed[View] = listed()
    models: Listed[str] = listed()
    model: rx.Field[str] = rx.field("")
    multiplier: rx.Field[str] = rx.field("8")
    rate: rx.Field[str] = rx.field("5")
    total: rx.Field[str] = rx.field("50")
    task: rx.Field[str] = rx.field("")

    @event
    async def load(self) -> None:
        """Show the timeline, and from now on whatever happens."""
        who = await authz.current_caller(self)
        self.may = "yes" if _may(who) else "no"
        if not authz.may_read(who):
            self.closed = "yes"
            return
        self.closed = ""
        self.models = [row["id"] for row in container.current().services.reads.pricing()]
        await self._watch()
        self.model = self.model or self._favourite() or (self.models[0] if self.models else "")

    @event
    async def set_option(self, name: str, value: str) -> None:
        """Choose model, multiplier, rate, total or task of the next action."""
        await authz.current_caller(self)
        allowed = {
            "model": self.models,
            "multiplier": MULTIPLIERS,
            "rate": RATES,
            "total": TOTALS,
            "task": ("", *TASKS),
        }
        if isinstance(name, str) and name in allowed and value in list(allowed[name]):
            setattr(self, name, value)

    @event
    async def apply(self) -> None:
        """Scale the chosen model's price."""
        who = await authz.current_caller(self)
        if _may(who):
            await self._price(self.model, float(self.multiplier))

    @event
    async def clear(self, model: str) -> None:
        """Take a price override back."""
        who = await authz.current_caller(self)
        if _may(who):
            await self._price(arguments.text(model, 80), 1.0)

    @event
    async def seed(self) -> None:
        """Step one of the known scenario: a burst of sums, until Arbiter has a favourite for them."""
        who = await authz.current_caller(self)
        if _may(who):
            self._start(Scenario.warm, Scenario.warm_per_s, Scenario.task, _has_favourite)

    @event
    async def shift(self) -> None:
        """Step two: the favourite becomes eight times dearer while sums keep coming."""
        who = await authz.current_caller(self)
        if not _may(who):
            return
        favourite = await _favourite()
        if not favourite:
            self.error = "There is no favourite yet: press the first button, and wait until its prompts are through."
            return
        now = (await container.current().services.reads.overview())["active_price_overrides"].get(favourite, 1.0)
        if dearer(now) == now:
            self.error = f"{favourite} cannot become dearer here: clear its price first."
            return
        await self._price(favourite, dearer(now))
        self._start(Scenario.after, Scenario.after_per_s, Scenario.task)

    @event
    async def start(self) -> None:
        """Send a paced workload."""
        who = await authz.current_caller(self)
        if _may(who):
            self._start(TOTALS[self.total], RATES[self.rate], self.task)

    @event
    async def stop(self) -> None:
        """End the workload."""
        who = await authz.current_caller(self)
        if _may(who):
            container.current().workload.stop()
            await self._watch()
            self.progress = {**self.progress, "running": "no"}

    def _start(self, total: int, per_s: float, task: str, enough: Enough | None = None) -> None:
        begun = container.current().workload.start(total, per_s, task, enough)
        self.error = "" if begun else "A workload is already running."
        self.progress = {**self.progress, "running": "yes", "any": "yes"}

    async def _price(self, model: str, times: float) -> None:
        self.error = ""
        try:
            await container.current().services.actions.simulate_price(model, times)
        except ArbiterError as error:
            self.error = str(error)
            return
        self.said = f"{model} now costs ×{times:g}" if times != 1 else f"{model} is back at its own price"
        await self._watch()

    async def _watch(self) -> None:
        for name, value in (await container.current().live.watch(self.router.session.session_id, ("demo",))).items():
            setattr(self, name, value)

    def _favourite(self) -> str:
        return next((row["model"] for row in self.chosen if row["task"] == Scenario.task), "")


def dearer(now: float) -> float:
    """How many times its own price a model costs after the scenario's second step, where it costs `now` times that before it."""
    return min(now * Scenario.times, actions.MULTIPLIERS[1])


async def _favourite() -> str:
    """The model, other than the baseline, that is chosen for most of the scenario's prompts now; empty where none is.

    A model may answer many in a row on trial, and not be chosen after it.
    """
    services = container.current().services
    chosen = Filter(task=Scenario.task, mode=Mode.EXPLOIT, status="ok")
    newest = await services.reads.recent(chosen, limit=NEWEST)
    served = Counter(row["model"] for row in newest)
    model, n = served.most_common(1)[0] if len(newest) == NEWEST else ("", 0)
    return model if n >= MOST * NEWEST and model != services.catalog.baseline else ""


async def _has_favourite() -> bool:
    """Whether the scenario's task has settled on a model that is not the baseline."""
    return bool(await _favourite())


def _may(who: Caller) -> bool:
    """Operators always; callers while the models are simulated."""
    return who.role is Role.OPERATOR or (who.role is Role.CALLER and container.current().settings.sandbox)
