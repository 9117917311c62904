"""Who spent it: groups of a range of days beside as many days before; everything is in the URL."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode

import reflex as rx

from arbiter_app.api import visibility
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import Caller
from arbiter_app.store.attribution import Whose
from arbiter_app.web import container, ranges, spend_table, views
from arbiter_app.web.ranges import Days
from arbiter_app.web.spend_table import LABELS
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.typed import Keyed, Listed, event, keyed, listed
from arbiter_app.web.views import View

SHOWN = 100
BLANK: View = dict.fromkeys(("spend", "calls", "before", "change", "failed", "tokens"), "")
SAVED: View = {
    "label": "Saved, measured",
    "value": "–",
    "sub": "known of keys and projects, not of what is chosen",
    "explain": "",
}
"""What stands for the saving where no report tells it: of a tag, an end user, a model or a runtime."""


class Spent(rx.State):
    """What the page of spend shows. Dates are `2026-11-30`, by the clock of the settings' time zone."""

    closed: rx.Field[str] = rx.field("")
    by: rx.Field[str] = rx.field("project")
    first: rx.Field[str] = rx.field("")
    last: rx.Field[str] = rx.field("")
    project: rx.Field[str] = rx.field("")
    key: rx.Field[str] = rx.field("")
    tag: rx.Field[str] = rx.field("")
    user: rx.Field[str] = rx.field("")
    model: rx.Field[str] = rx.field("")
    runtime: rx.Field[str] = rx.field("")
    words: rx.Field[str] = rx.field("")
    zone: rx.Field[str] = rx.field("")
    error: rx.Field[str] = rx.field("")
    loaded: rx.Field[str] = rx.field("")
    rows: Listed[View] = listed()
    total: Keyed[View] = keyed(lambda: dict(BLANK))
    saved: Keyed[View] = keyed(lambda: dict(SAVED))
    chips: Listed[View] = listed()
    presets: Listed[View] = listed()
    projects: Listed[View] = listed()
    decisions: rx.Field[str] = rx.field("/app/activity")
    csv: rx.Field[str] = rx.field("")
    report: rx.Field[str] = rx.field("")
    """Where the saving of these days is as JSON; empty where none is told."""

    @event
    async def load(self) -> None:
        """Read what the URL asks for and show it; for whoever has signed in."""
        who = await authz.current_caller(self)
        self.closed = "" if who.key_id else "yes"
        if self.closed:
            return
        self._take(dict(self.router.url.query_parameters))
        services, settings = container.current().services, container.current().settings
        self.zone = settings.time_zone
        asked = ranges.days_of(self.first, self.last, self.zone, time.time())
        self.first, self.last, self.words = str(asked.first), str(asked.last), asked.words
        self.presets = ranges.presets(self.zone, time.time(), asked)
        self.projects = [{"id": one["id"], "name": one["name"]} for one in await services.key_admin.projects(who)]
        self.error = ""
        try:
            await self._show(who, asked)
        except ArbiterError as error:
            self.error, self.rows, self.total, self.saved = str(error), [], dict(BLANK), dict(SAVED)
        self.loaded = "yes"

    @event
    async def pick(self, name: str, value: str) -> Any:
        """Change one thing that is asked for; the URL changes, and the page follows it."""
        await authz.current_caller(self)
        if name in ("by", *LABELS) and isinstance(value, str):
            self._take({**self._asked(), name: value})
        return rx.redirect(self._url(), replace=True)

    @event
    async def between(self, first: str, last: str) -> Any:
        """Look at other days; an empty date leaves that end as it is."""
        await authz.current_caller(self)
        self._take({**self._asked(), "from": first or self.first, "to": last or self.last})
        return rx.redirect(self._url(), replace=True)

    async def _show(self, who: Caller, asked: Days) -> None:
        seen = visibility.narrowed(
            "sums", who, container.current().settings, project=self.project or None, key=self.key or None
        )
        projects = None if seen.project_id is None else (seen.project_id,)
        named = {name: getattr(self, name) or None for name in ("tag", "user", "model", "runtime")}
        whose = Whose(projects, seen.key_id, named["tag"], named["user"], named["model"], named["runtime"])
        (first, end), (before, _) = asked.times, asked.before.times
        spend = container.current().services.spend
        now = await spend.ask((self.by,), whose, since=first, until=end - 1, limit=SHOWN)
        past = await spend.ask((self.by,), whose, since=before, until=first - 1, limit=SHOWN)
        narrowed = {name: getattr(self, name) for name in LABELS}
        self.rows = spend_table.rows(now, past, self.by, asked.times, narrowed)
        self.total = spend_table.headline(now, past, (asked.last - asked.first).days + 1)
        await self._show_saving(seen, asked)
        self.chips = [
            {"name": name, "label": LABELS[name], "value": value} for name, value in narrowed.items() if value
        ]
        self.decisions = spend_table.activity(narrowed, asked.times)
        month = {"month": f"{asked.last:%Y-%m}", "timezone": self.zone, "by": self.by}
        self.csv = "/v1/spend.csv?" + urlencode(month | {name: value for name, value in narrowed.items() if value})

    async def _show_saving(self, seen: visibility.Seen, asked: Days) -> None:
        """The measured saving of these days, by the report that is to be had as JSON."""
        self.saved, self.report = dict(SAVED), ""
        if any(getattr(self, name) for name in LABELS if name not in ("project", "key")) or None not in (
            seen.project_id,
            seen.key_id,
        ):
            return
        first, end = asked.times
        told = await container.current().services.reads.report(since=first, until=end - 1, scope=seen.scope)
        self.saved = views.headline(told)
        whose = {name: value for name, value in (("project", self.project), ("key", self.key)) if value}
        self.report = "/v1/report?" + urlencode({"since": first, "until": end - 1, **whose})

    def _take(self, given: dict[str, Any]) -> None:
        self.by = arguments.choice(given.get("by"), LABELS, "project")
        self.first, self.last = arguments.text(given.get("from"), 10), arguments.text(given.get("to"), 10)
        for name in LABELS:
            setattr(self, name, arguments.text(given.get(name), 200))

    def _asked(self) -> dict[str, str]:
        named = {name: value for name in LABELS if (value := getattr(self, name))}
        return {"by": self.by, "from": self.first, "to": self.last, **named}

    def _url(self) -> str:
        return "/app/spend?" + urlencode(self._asked())
