"""Finding decisions: filters live in the URL, pages are keyset cursors, one decision has its own page."""

from __future__ import annotations

import time
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import orjson
import reflex as rx

from arbiter_app.api import visibility
from arbiter_app.moments import moment
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.plain import is_digits
from arbiter_app.pipeline.types import Caller, Mode
from arbiter_app.store.decisions import ORDERS, Filter
from arbiter_app.web import container, decision_views, spend_table, views
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.typed import Keyed, Listed, event, keyed, listed
from arbiter_app.web.views import View

MODES = tuple(mode.value for mode in Mode)
AGES = {"": 0.0, "15m": 900.0, "1h": 3_600.0, "24h": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0}
PAGE = 50
LABELS = {name: words for name, words in spend_table.LABELS.items() if name != "model"}
"""Whose decisions they are: for whoever has signed in."""
EXPORTED = ("task", "model", "mode", "status", "age", "since", "until", *LABELS)
"""Filters that a download takes."""
STATUSES = ("ok", "failed", "aborted")
FILTERS = ("task", "model", "mode", "status", "age", "sort", "request", "since", "until", *LABELS)


class Activity(rx.State):
    """One page of decisions under the filters of the URL."""

    closed: rx.Field[str] = rx.field("")
    task: rx.Field[str] = rx.field("")
    model: rx.Field[str] = rx.field("")
    mode: rx.Field[str] = rx.field("")
    status: rx.Field[str] = rx.field("")
    age: rx.Field[str] = rx.field("")
    sort: rx.Field[str] = rx.field("")
    request: rx.Field[str] = rx.field("")
    since: rx.Field[str] = rx.field("")
    until: rx.Field[str] = rx.field("")
    project: rx.Field[str] = rx.field("")
    key: rx.Field[str] = rx.field("")
    tag: rx.Field[str] = rx.field("")
    user: rx.Field[str] = rx.field("")
    runtime: rx.Field[str] = rx.field("")
    chips: Listed[View] = listed()
    """What it is narrowed to beside what the selects show."""
    before: rx.Field[str] = rx.field("")
    rows: Listed[View] = listed()
    models: Listed[str] = listed()
    projects: Listed[View] = listed()
    older: rx.Field[str] = rx.field("")
    query: rx.Field[str] = rx.field("")
    narrowed: rx.Field[str] = rx.field("")
    loaded: rx.Field[str] = rx.field("")

    @event
    async def load(self) -> None:
        """Read the filters from the URL and show their page."""
        who = await authz.current_caller(self)
        if not authz.may_read(who):
            self.closed = "yes"
            return
        self.closed = ""
        self._take(dict(self.router.url.query_parameters))
        reads = container.current().services.reads
        self.models = [row["id"] for row in reads.pricing()]
        mine = await container.current().services.key_admin.projects(who) if who.key_id else []
        self.projects = [{"id": one["id"], "name": one["name"]} for one in mine]
        try:
            narrowed = self._filter(who)
        except ArbiterError:  # a key or project that is not theirs
            self.rows, self.older, self.chips, self.loaded, self.narrowed = [], "", [], "yes", "yes"
            return
        picked = len(mine) > 1 and self.project in {one["id"] for one in mine}  # the select says so
        told = [one for one in LABELS if not (picked and one == "project")]
        named = [{"name": one, "label": LABELS[one], "value": getattr(self, one)} for one in told]
        named.append({"name": "since", "label": "time", "value": _days(self.since, self.until)})
        self.chips = [one for one in named if one["value"]]
        if self.sort:
            rows = await reads.ranked(narrowed, self.sort, limit=PAGE)
        else:
            rows = await reads.recent(narrowed, limit=PAGE + 1, before=int(self.before) if self.before else None)
        self.rows = views.views(rows[:PAGE])
        self.older = self._url(before=self.rows[-1]["seq"]) if len(rows) > PAGE else ""
        self.query = urlencode({name: value for name, value in self._filters().items() if name in EXPORTED})
        self.narrowed, self.loaded = "yes" if self._filters() else "", "yes"

    def _filter(self, who: Caller) -> Filter:
        """What the URL asks for of what this visitor may see. Raises NotFound and Unauthorized."""
        named = dict.fromkeys(LABELS) if not who.key_id else {name: getattr(self, name) or None for name in LABELS}
        settings = container.current().settings
        seen = visibility.narrowed("decisions", who, settings, project=named["project"], key=named["key"])
        return Filter(
            task=self.task or None,
            model=self.model or None,
            mode=self.mode or None,
            status=self.status or None,
            since=float(self.since) if self.since else time.time() - AGES[self.age] if self.age else None,
            until=float(self.until) if self.until else None,
            key_id=seen.key_id,
            project_id=seen.project_id,
            runtime=named["runtime"],
            end_user=named["user"],
            tag=named["tag"],
            request_id=self.request if self.request and who.key_id else None,
        )

    @event
    async def narrow(self, name: str, value: str) -> Any:
        """Set one filter; the URL changes and the page follows it."""
        await authz.current_caller(self)
        if name in FILTERS and isinstance(value, str):
            more = {"until": ""} if name == "since" else {"since": "", "until": ""} if name == "age" else {}
            self._take({**self._filters(), name: value, "before": "", **more})
        return rx.redirect(self._url(), replace=True)

    @event
    async def find(self, form: dict[str, Any]) -> Any:
        """Open the decision with this id, or show those of the request with it."""
        who = await authz.current_caller(self)
        sought = arguments.text(form.get("sought"), 200) if isinstance(form, dict) else ""
        row = await container.current().services.reads.decision(sought) if sought.startswith("d_") else None
        if row is not None and authz.may_open(who, row):
            return rx.redirect(f"/app/decision/{sought}")
        self._take({**self._filters(), "request": sought})
        return rx.redirect(self._url(), replace=True)

    @event
    async def clear(self) -> Any:
        """Drop every filter."""
        await authz.current_caller(self)
        self._take({})
        return rx.redirect(self._url(), replace=True)

    def _take(self, given: dict[str, Any]) -> None:
        self.task = arguments.choice(given.get("task"), TASKS, "")
        self.model = arguments.text(given.get("model"), 80)
        self.mode = arguments.choice(given.get("mode"), MODES, "")
        self.status = arguments.choice(given.get("status"), STATUSES, "")
        self.age = arguments.choice(given.get("age"), AGES, "")
        self.sort = arguments.choice(given.get("sort"), ORDERS, "")
        self.request = arguments.text(given.get("request"), 200)
        for name in LABELS:
            setattr(self, name, arguments.text(given.get(name), 200))
        for name in ("since", "until"):
            at = arguments.text(given.get(name), 12)
            setattr(self, name, at if is_digits(at) else "")
        before = arguments.text(given.get("before"), 20)
        self.before = before if is_digits(before) else ""

    def _filters(self) -> dict[str, str]:
        return {name: value for name in FILTERS if (value := getattr(self, name))}

    def _url(self, **more: str) -> str:
        query = urlencode({**self._filters(), **more})
        return "/app/activity" + (f"?{query}" if query else "")


def _days(since: str, until: str) -> str:
    """A range of time in words, by the clock of the settings' time zone."""
    zone = ZoneInfo(container.current().settings.time_zone)
    ends = [f"{moment(int(at), zone):%-d %b %H:%M}" if at else "" for at in (since, until)]
    return " to ".join(one for one in ends if one)


class DecisionPage(rx.State):
    """One decision, whole."""

    missing: rx.Field[str] = rx.field("")
    row: Keyed[View] = keyed(dict)
    facts: Listed[View] = listed()
    money: Listed[View] = listed()
    asked: Listed[View] = listed()
    shadows: Listed[View] = listed()
    stages: Listed[View] = listed()
    candidates: Listed[View] = listed()
    raw: rx.Field[str] = rx.field("")

    @event
    async def load(self) -> None:
        """Show the decision that the URL names."""
        who = await authz.current_caller(self)
        self.missing = ""
        wanted = arguments.text(str(self.router.url.path).rstrip("/").rpartition("/")[2], 40)
        row = await container.current().services.reads.decision(wanted)
        if row is None or not authz.may_open(who, row):
            self._empty()
            return
        self.row, self.facts = views.feed_row(row), decision_views.facts(row)
        self.shadows = decision_views.shadows(row)
        self.money, self.asked = decision_views.charges(row), decision_views.asked(row)
        self.stages, self.candidates = decision_views.trace(row), decision_views.candidates(row)
        self.raw = orjson.dumps(row, option=orjson.OPT_INDENT_2).decode()

    def _empty(self) -> None:
        self.reset()  # type: ignore[no-untyped-call]
        self.missing = "yes"
