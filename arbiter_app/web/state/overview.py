"""The overview: figures, spend, feed, one decision's trace, shifts. Pushed by `live`; see `topics.py`."""

from __future__ import annotations

import time

import reflex as rx

from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.store.decisions import Filter
from arbiter_app.web import container, decision_views, ranges, spend_views, views
from arbiter_app.web.charts.chart import SummaryData, blank
from arbiter_app.web.charts.parts import Figure
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.state.ranged import Ranged
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.typed import Keyed, Listed, event, keyed, listed
from arbiter_app.web.views import View


class Overview(Ranged, rx.State):
    """What the overview shows. `closed` is set when this visitor may not read."""

    PAGE = "/app"
    task: rx.Field[str] = rx.field("")
    scatter_task: rx.Field[str] = rx.field("math")
    closed: rx.Field[str] = rx.field("")
    rows: Listed[View] = listed()
    headline: Keyed[View] = keyed(dict)
    figures: Keyed[View] = keyed(dict)
    placebos: Listed[View] = listed()
    alerts: Listed[View] = listed()
    classifier: Listed[View] = listed()
    charts: Keyed[dict[str, Figure]] = keyed(lambda: blank(SummaryData))
    spend_legend: Listed[View] = listed()
    scatters: Keyed[dict[str, Figure]] = keyed(lambda: {task: {} for task in TASKS})
    samples: Keyed[View] = keyed(dict)
    any_calls: rx.Field[str] = rx.field("")
    picked: Keyed[View] = keyed(dict)
    closed_trace: rx.Field[str] = rx.field("")
    stages: Listed[View] = listed()
    candidates: Listed[View] = listed()
    change: Keyed[View] = keyed(lambda: dict(spend_views.BLANK))
    causes: Listed[View] = listed()
    groups: Listed[View] = listed()
    apart: Keyed[View] = keyed(lambda: dict(spend_views.APART))

    @event
    async def load(self) -> None:
        """Show everything, and from now on whatever changes."""
        who = await authz.current_caller(self)
        if not authz.may_read(who):
            self.closed = "yes"
            return
        self.closed = ""
        await self._read_range(authz.scope(who))
        await self._watch(who, "feed", self.task)
        await self._watch(who, "summary", self.span)
        await self._compare(who)
        if self.rows and not self.picked:
            await self._open(who, self.rows[0]["id"])

    @event
    async def set_task(self, value: str) -> None:
        """Show only one task in the feed."""
        who = await authz.current_caller(self)
        if authz.may_read(who):
            self.task = arguments.choice(value, TASKS, "")
            await self._watch(who, "feed", self.task)

    @event
    async def set_scatter_task(self, value: str) -> None:
        """Choose the task of the cost-quality chart."""
        await authz.current_caller(self)
        self.scatter_task = arguments.choice(value, TASKS, "math")

    @event
    async def pick(self, decision_id: str) -> None:
        """Open a decision's trace beside the feed."""
        who = await authz.current_caller(self)
        if authz.may_read(who):
            await self._open(who, arguments.text(decision_id, 40))

    async def _compare(self, who: Caller) -> None:
        at = ranges.range_at(self.span, container.current().settings.time_zone, time.time())
        changes, operator = container.current().services.spend_changes, who.role is Role.OPERATOR
        told = await changes.since_before(seconds=at.seconds, until=at.until, scope=authz.scope(who), keys=operator)
        self.change, self.causes = spend_views.headline(told), spend_views.causes(told)
        self.groups = spend_views.groups(told) if self.causes else []
        reads, times = container.current().services.reads, {"since": at.since, "until": at.until}
        largest = await reads.ranked(Filter.of_scope(authz.scope(who), **times), "most_saved", limit=1)
        report = await reads.report(since=at.since, until=at.until, scope=authz.scope(who))
        self.apart = spend_views.without_largest(report, largest[0] if largest else None)

    async def _watch(self, who: Caller, topic: str, detail: str) -> None:
        channel = (topic, authz.scope(who) or ranges.ALL, detail)
        for name, value in (await container.current().live.watch(self.router.session.session_id, channel)).items():
            setattr(self, name, value)

    async def _open(self, who: Caller, decision_id: str) -> None:
        row = await container.current().services.reads.decision(decision_id)
        self.closed_trace = ""
        if row is not None and authz.may_open(who, row):
            self.picked, self.stages, self.candidates = (
                views.feed_row(row),
                decision_views.trace(row),
                decision_views.candidates(row),
            )
        elif row is not None and authz.scope(who) in (None, row["key_id"]):
            self.picked, self.stages, self.candidates = views.feed_row(row), [], []
            self.closed_trace = "yes"
