"""Budgets on the key page: the visitor's own, and for operators everybody's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import reflex as rx

from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import Caller, ProjectRole
from arbiter_app.services.budgets import MOST_SUBJECT_CHARS, SCOPES
from arbiter_app.services.periods import PERIODS
from arbiter_app.services.project_roles import may_somewhere
from arbiter_app.services.rows.spending import BudgetRow
from arbiter_app.web import container, views
from arbiter_app.web.finding import found
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.state.attempts import emptied
from arbiter_app.web.typed import Listed, event, listed
from arbiter_app.web.views import View

MOST_AT_A_GLANCE = 6
"""Budgets on the overview."""


class KeyBudgets(rx.State):
    """What the key page shows of budgets. `sure` is the one whose removal was asked once."""

    own: Listed[View] = listed()
    every: Listed[View] = listed()
    """Those with the words `sought`, the one that was set last first, then the fullest; `shown` says how many."""
    sought: rx.Field[str] = rx.field("")
    shown: rx.Field[str] = rx.field("")
    last: rx.Field[str] = rx.field("")
    fullest: Listed[View] = listed()
    """The first few of all, or else of the own ones, and how many that is, in words."""
    fullest_shown: rx.Field[str] = rx.field("")
    may: rx.Field[str] = rx.field("")
    """Whether the visitor may set any."""
    error: rx.Field[str] = rx.field("")
    sure: rx.Field[str] = rx.field("")

    @event
    async def load(self) -> None:
        """Show them."""
        who = await authz.current_caller(self)
        self.error, self.sure, self.sought, self.last = "", "", "", ""
        await self._show(who)

    @event
    async def find(self, text: str) -> None:
        """Look for budgets by what they are of."""
        who = await authz.current_caller(self)
        self.sought = arguments.text(text, 100)
        await self._show(who)

    @event
    async def put(self, form: dict[str, Any]) -> Any:
        """Set a budget; for operators, and owners of projects."""
        who = await authz.current_caller(self)
        services = container.current().services
        if not isinstance(form, dict):
            return None
        scope = arguments.choice(form.get("scope"), SCOPES, "")
        subject = arguments.text(form.get("subject"), MOST_SUBJECT_CHARS)
        self.error, self.sure = "", ""
        if not services.key_admin.may_limit(who, scope, subject):
            self.error = "Owners set budgets of their projects, and of keys in them." if self.may else ""
            return None
        try:
            subject = await services.key_admin.subject_of(scope, subject)
            row = await services.budgets.put(
                who,
                scope=scope,
                subject=subject,
                period=arguments.choice(form.get("period"), PERIODS, ""),
                limit_usd=arguments.text(form.get("limit"), 40),
                timezone=await services.key_admin.timezone_of(scope, subject),
            )
            self.last = row["id"]
        except ArbiterError as error:
            self.error = str(error)
        await self._show(who)
        return None if self.error else emptied("new-budget")

    @event
    async def drop(self, budget_id: str) -> None:
        """Remove a budget, which is asked twice; for operators, and owners of projects."""
        who = await authz.current_caller(self)
        services, picked = container.current().services, arguments.text(budget_id, 40)
        if not services.key_admin.may_drop(who, await services.budgets.listing(), picked):
            return
        self.error = ""
        if self.sure != picked:
            self.sure = picked
            return
        self.sure = ""
        try:
            await services.budgets.drop(who, picked)
        except ArbiterError as error:
            self.error = str(error)
        await self._show(who)

    async def _show(self, who: Caller) -> None:
        services = container.current().services
        caller = services.keys.caller(who.key_id) if who.key_id else None
        own = [] if caller is None else await services.budgets.listing(caller)
        sees = may_somewhere(who, ProjectRole.VIEWER)
        every = await services.key_admin.budgets_seen(who, await services.budgets.listing()) if sees else []
        self.may = "yes" if may_somewhere(who, ProjectRole.OWNER) else ""
        names = await services.key_admin.names() if own or every else {}
        self.own = [views.budget_row(row, names) for row in _fullest_first(own)]
        seen = [views.budget_row(row, names) for row in _fullest_first(every)]
        newest_first = sorted(seen, key=lambda row: row["id"] != self.last)
        self.every, self.shown = found(newest_first, self.sought, "scope", "subject", "named")
        seen = seen or self.own
        self.fullest = seen[:MOST_AT_A_GLANCE]
        self.fullest_shown = f"the {MOST_AT_A_GLANCE} fullest of {len(seen)}" if len(seen) > MOST_AT_A_GLANCE else ""


def _fullest_first(rows: Sequence[BudgetRow]) -> list[BudgetRow]:
    """The budgets of which the largest share is spent or reserved come first."""
    return sorted(rows, key=lambda row: -views.taken(row))
