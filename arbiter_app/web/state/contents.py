"""Kept contents on the pages, for owners of projects and operators: of one decision, those with some words in them, and for how long projects keep them."""

from __future__ import annotations

from typing import Any

import reflex as rx

from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.messages import content_text
from arbiter_app.pipeline.types import Caller, Json, ProjectRole, Role
from arbiter_app.services.exchanges import MOST_QUERY_CHARS, Wanted
from arbiter_app.services.project_roles import may_somewhere
from arbiter_app.services.redaction import MOST_CHARS, MOST_RULES
from arbiter_app.services.rows.contents import SecondAnswer
from arbiter_app.store import StoreError
from arbiter_app.web import container, views
from arbiter_app.web.finding import found
from arbiter_app.web.formats import amount, share
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.state.attempts import tried
from arbiter_app.web.typed import Listed, background, event, listed
from arbiter_app.web.views import View

FOUND = 20
MOST_FORMS = 10
"""Projects whose form is shown at once."""
MOST_TURNS, MOST_TURN_CHARS = 100, 20_000
"""Of a conversation, its last turns are shown, each up to so many characters; the API gives all of it."""


class DecisionContent(rx.State):
    """The content of the decision that the URL names. `asked` says that it is on the page; `others` are the answers of other models."""

    there: rx.Field[str] = rx.field("")
    asked: rx.Field[str] = rx.field("")
    turns: Listed[View] = listed()
    answer: rx.Field[str] = rx.field("")
    others: Listed[View] = listed()
    models: Listed[str] = listed()
    busy: rx.Field[bool] = rx.field(False)
    sure: rx.Field[str] = rx.field("")
    error: rx.Field[str] = rx.field("")

    @event
    async def load(self) -> None:
        """See whether there is any to show."""
        who = await authz.current_caller(self)
        self.reset()  # type: ignore[no-untyped-call]
        if _owns(who) and await container.current().services.exchanges.has(who, self._id()):
            self.there = "yes"
            self.models = [row["id"] for row in container.current().services.reads.pricing() if row["routable"]]

    @event
    async def show(self) -> None:
        """Show it, which is noted in the audit log."""
        who = await authz.current_caller(self)
        if not _owns(who):
            return
        kept = await tried(self, container.current().services.exchanges.content(who, self._id()))
        if kept is None:
            return
        messages = [one for one in kept["request"].get("messages", ()) if isinstance(one, dict)]
        self.turns = [_turn(one) for one in messages[-MOST_TURNS:]]
        self.answer, self.asked = _words(kept["answer"]), "yes"

    @background
    async def again(self, form: dict[str, Any]) -> None:
        """Ask another model the same."""
        who = await authz.current_caller(self)
        async with self:
            model = arguments.choice(form.get("model"), self.models, "") if isinstance(form, dict) else ""
            decision_id = self._id()
            if not _owns(who) or self.busy or not model:
                return
            self.busy, self.error = True, ""
        answer, problem = await _second(who, decision_id, model)
        async with self:
            if not await self._is_wanted(who, decision_id):
                return
            self.busy, self.error = False, problem
            if answer is not None:
                self.others = [*self.others, _other(answer)]

    @event
    async def remove(self) -> None:
        """Delete it before its time, which is asked twice."""
        who = await authz.current_caller(self)
        if not _owns(who):
            return
        decision_id = self._id()
        if self.sure != decision_id:
            self.sure = decision_id
            return
        try:
            await container.current().services.exchanges.delete(who, decision_id)
        except (ArbiterError, StoreError) as error:
            self.error = str(error)
            return
        self.reset()  # type: ignore[no-untyped-call]

    def _id(self) -> str:
        return arguments.text(str(self.router.url.path).rstrip("/").rpartition("/")[2], 40)

    async def _is_wanted(self, who: Caller, decision_id: str) -> bool:
        """Whether whoever asked still looks at that decision."""
        return self._id() == decision_id and (await authz.current_caller(self)).key_id == who.key_id


class ContentSearch(rx.State):
    """Words that are looked for in kept contents."""

    may: rx.Field[str] = rx.field("")
    query: rx.Field[str] = rx.field("")
    hits: Listed[View] = listed()
    said: rx.Field[str] = rx.field("")
    before: rx.Field[str] = rx.field("")
    error: rx.Field[str] = rx.field("")

    @event
    async def load(self) -> None:
        """Offer it where something is kept."""
        who = await authz.current_caller(self)
        self.reset()  # type: ignore[no-untyped-call]
        if _owns(who) and container.current().services.exchanges.keeps:
            self.may = "yes"

    @event
    async def search(self, form: dict[str, Any]) -> None:
        """Look for words, from the newest on."""
        who = await authz.current_caller(self)
        self.query = arguments.text(form.get("words"), MOST_QUERY_CHARS) if isinstance(form, dict) else ""
        self.hits, self.before, self.said = [], "", ""
        await self._search(who)

    @event
    async def more(self) -> None:
        """Look on where the search ended."""
        who = await authz.current_caller(self)
        await self._search(who)

    async def _search(self, who: Caller) -> None:
        self.error = ""
        if not _owns(who) or not self.query:
            return
        wanted, exchanges = Wanted(words=tuple(self.query.split())), container.current().services.exchanges
        found = await tried(self, exchanges.search(who, wanted, limit=FOUND, before=self.before or None))
        if found is None:
            return
        self.hits = [*self.hits, *map(views.content_hit, found["data"])][-MOST_TURNS:]
        self.before = found["next"] or ""
        n, looked = len(found["data"]), found["searched"]
        self.said = f"{n or 'nothing'} found in {looked:,} content{'' if looked == 1 else 's'}"


class ProjectContents(rx.State):
    """For how long each project keeps contents, and what is taken out of them; for operators."""

    rows: Listed[View] = listed()
    search: rx.Field[str] = rx.field("")
    found: rx.Field[str] = rx.field("")
    can: rx.Field[str] = rx.field("")
    error: rx.Field[str] = rx.field("")
    done: rx.Field[str] = rx.field("")

    @event
    async def load(self) -> None:
        """Show it."""
        who = await authz.current_caller(self)
        self.error = self.done = self.search = ""
        self.can = "yes" if container.current().settings.content_keys else ""
        await self._show(who)

    @event
    async def find(self, text: str) -> None:
        """Look for projects by name."""
        who = await authz.current_caller(self)
        if who.role is Role.OPERATOR:
            self.search = arguments.text(text, 100)
            await self._show(who)

    @event
    async def save(self, form: dict[str, Any]) -> None:
        """Change how one project keeps them."""
        who = await authz.current_caller(self)
        if who.role is not Role.OPERATOR or not isinstance(form, dict):
            return
        services = container.current().services
        project, hours = arguments.text(form.get("project"), 60), arguments.number(form.get("hours"), 0, 1e6)
        self.error = self.done = ""
        if hours is None:
            self.error = "Hours are a number; 0 keeps nothing."
            return
        given = {"content_hours": hours, "redact": _rules(form.get("redact"))}
        row = await tried(self, services.key_admin.change_project(who, project, given))
        if row is None:
            return
        kept = f"keeps contents for {hours:g} h" if hours else "keeps no contents"
        self.done = f"{row['name']} {kept}."
        await self._show(who)

    async def _show(self, who: Caller) -> None:
        projects = await container.current().services.key_admin.projects() if who.role is Role.OPERATOR else []
        rows = [
            {
                "id": one["id"],
                "name": one["name"],
                "hours": f"{one['content_hours']:g}",
                "redact": "\n".join(one["redact"]),
            }
            for one in projects
        ]
        self.rows, self.found = found(rows, self.search, "name", "id", most=MOST_FORMS)


def _owns(who: Caller) -> bool:
    """Whether contents of any project are this visitor's to see."""
    return may_somewhere(who, ProjectRole.OWNER)


async def _second(who: Caller, decision_id: str, model: str) -> tuple[SecondAnswer | None, str]:
    """What another model answers, or why not."""
    try:
        return await container.current().services.exchanges.ask_again(who, decision_id, model), ""
    except (ArbiterError, StoreError) as error:
        return None, str(error)


def _rules(given: object) -> list[str]:
    """One rule a line."""
    text = arguments.text(given, MOST_RULES * (MOST_CHARS + 2))
    return [line.strip() for line in text.splitlines() if line.strip()]


def _words(message: Json) -> str:
    """What a message says, and which tools it calls with what."""
    calls = [one.get("function") or one.get("custom") or {} for one in message.get("tool_calls") or ()]
    called = [f"{one.get('name')}({one.get('arguments') or one.get('input') or ''})" for one in calls]
    return "\n".join([*filter(None, [content_text(message.get("content"))]), *called])


def _turn(message: Json) -> View:
    text = _words(message)
    cut = f"{text[:MOST_TURN_CHARS]}…" if len(text) > MOST_TURN_CHARS else text
    return {"role": str(message.get("role", "")), "text": cut}


def _other(answer: SecondAnswer) -> View:
    quality, ms = answer["quality"], answer["latency_ms"]
    return {
        "id": answer["decision_id"],
        "model": answer["model"],
        "text": _words(answer["answer"]),
        "cost": "cost unknown" if answer["cost"] is None else amount(answer["cost"]),
        "quality": "not graded" if quality is None else share(quality, 0),
        "ms": "" if ms is None else f"{ms:,.0f} ms",
    }
