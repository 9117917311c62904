"""Budgets on the key page: the visitor's own, and for operators everybody's."""

from __future__ import annotations

from typing import Any

import reflex as rx

from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.services.budgets import MOST_SUBJECT_CHARS, SCOPES
from arbiter_app.services.periods import PERIODS
from arbiter_app.web import container, views
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.typed import Listed, event, listed
from arbiter_app.web.views import View


class KeyBudgets(rx.State):
    """What the key page shows of budgets. `sure` is the one whose removal was asked once."""

    own: Listed[View] = listed()
    every: Listed[View] = listed()
    error: rx.Field[str] = rx.field("")
    sure: rx.Field[str] = rx.field("")

    @event
    async def load(self) -> None:
        """Show them."""
        who = await authz.current_caller(self)
        self.error, self.sure = "", ""
        await self._show(who)

    @event
    async def put(self, form: dict[str, Any]) -> None:
        """Set a budget; for operators."""
        who = await authz.current_caller(self)
        if who.role is not Role.OPERATOR or not isinstance(form, dict):
            return
        services = container.current().services
        scope = arguments.choice(form.get("scope"), SCOPES, "")
        subject = arguments.text(form.get("subject"), MOST_SUBJECT_CHARS)
        self.error, self.sure = "", ""
        try:
            subject = await services.key_admin.subject_of(scope, subject)
            await services.budgets.put(
                who,
                scope=scope,
                subject=subject,
                period=arguments.choice(form.get("period"), PERIODS, ""),
                limit_usd=arguments.text(form.get("limit"), 40),
                timezone=await services.key_admin.timezone_of(scope, subject),
            )
        except ArbiterError as error:
            self.error = str(error)
        await self._show(who)

    @event
    async def drop(self, budget_id: str) -> None:
        """Remove a budget, which is asked twice; for operators."""
        who = await authz.current_caller(self)
        if who.role is not Role.OPERATOR:
            return
        picked, self.error = arguments.text(budget_id, 40), ""
        if self.sure != picked:
            self.sure = picked
            return
        self.sure = ""
        try:
            await container.current().services.budgets.drop(who, picked)
        except ArbiterError as error:
            self.error = str(error)
        await self._show(who)

    async def _show(self, who: Caller) -> None:
        services = container.current().services
        caller = services.keys.caller(who.key_id) if who.key_id else None
        own = [] if caller is None else await services.budgets.listing(caller)
        every = await services.budgets.listing() if who.role is Role.OPERATOR else []
        projects = {one["id"]: one["name"] for one in await services.key_admin.projects()} if own or every else {}
        self.own = [views.budget_row(row, projects) for row in own]
        self.every = [views.budget_row(row, projects) for row in every]
