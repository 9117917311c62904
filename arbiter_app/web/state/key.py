"""The visitor's own key, and for operators everybody's."""

from __future__ import annotations

from typing import Any

import reflex as rx

from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.plain import MAX_EMAIL_CHARS, is_email
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.store import StoreError
from arbiter_app.web import container, views
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.state.account import Account, sign_in_here
from arbiter_app.web.state.attempts import emptied
from arbiter_app.web.typed import Keyed, Listed, event, keyed, listed
from arbiter_app.web.views import View

MOST_KEYS = 100
STATUSES = ("paused", "active", "revoked")


class Key(rx.State):
    """What the key page shows. `minted` is a new key, shown once."""

    info: Keyed[View] = keyed(dict)
    keys: Listed[View] = listed()
    minted: rx.Field[str] = rx.field("")
    error: rx.Field[str] = rx.field("")
    at: rx.Field[str] = rx.field("")
    """Where that went wrong: `keys` for those of everybody, else the own one."""
    sure: rx.Field[str] = rx.field("")
    search: rx.Field[str] = rx.field("")
    project: rx.Field[str] = rx.field("")
    projects: Listed[View] = listed()
    found: rx.Field[str] = rx.field("")
    """How many of all keys are shown, in words."""

    @event
    async def load(self) -> None:
        """Show usage and, to operators, every key."""
        who = await authz.current_caller(self)
        self.minted, self.error, self.sure = "", "", ""
        await self._show(who)

    @event
    async def sign_in(self, form: dict[str, Any]) -> Any:
        """Sign in with a key."""
        await authz.current_caller(self)
        api_key = arguments.text(form.get("api_key")) if isinstance(form, dict) else ""
        try:
            container.current().services.sessions.attempt(authz.address(self))
        except ArbiterError as error:
            self.error = str(error)
            return None
        caller = await container.current().services.keys.identify(api_key) if api_key else None
        if caller is None:
            self.error = "This key is unknown, malformed or revoked. Keys begin with arb_."
            return None
        try:
            entered = await sign_in_here(await self.get_state(Account), caller)
        except StoreError as error:
            self.error = f"Nobody can sign in at the moment: {error}."
            return None
        await self._show(caller)
        return entered

    @event
    async def change(self, status: str) -> None:
        """Pause, resume or revoke the own key; revoking is asked twice."""
        who = await authz.current_caller(self)
        self.at = ""
        if who.role is not Role.ANONYMOUS:
            await self._change(who, who.key_id, arguments.choice(status, STATUSES, ""))

    @event
    async def change_other(self, key_id: str, status: str) -> None:
        """Pause, resume or revoke any key; for operators."""
        who = await authz.current_caller(self)
        self.at = "keys"
        if who.role is Role.OPERATOR:
            await self._change(who, arguments.text(key_id, 60), arguments.choice(status, STATUSES, ""))

    @event
    async def keep(self) -> None:
        """Do not revoke after all."""
        await authz.current_caller(self)
        self.sure = ""

    @event
    async def mint(self, form: dict[str, Any]) -> Any:
        """Make a caller's key; for operators."""
        who = await authz.current_caller(self)
        if who.role is not Role.OPERATOR:
            return None
        email = arguments.text(form.get("email"), MAX_EMAIL_CHARS + 1) if isinstance(form, dict) else ""
        self.minted, self.error, self.at = "", "", "keys"
        if not is_email(email):
            self.error = "An e-mail address is needed, like ada@example.com."
            return None
        self.minted = (await container.current().services.keys.mint("caller", email, "made by an operator", who)).secret
        await self._show(who)
        return emptied("new-key")

    @event
    async def find(self, text: str) -> None:
        """Show the keys whose id, name or address has this; for operators."""
        who = await authz.current_caller(self)
        self.search = arguments.text(text, 100)
        await self._show(who)

    @event
    async def choose(self, project: str) -> None:
        """Show the keys of one project, or of all; for operators."""
        who = await authz.current_caller(self)
        self.project = arguments.text(project, 60)
        await self._show(who)

    async def _change(self, who: Caller, key_id: str, status: str) -> None:
        if not status:
            return
        if status == "revoked" and self.sure != key_id:
            self.sure = key_id
            return
        self.sure, self.error = "", ""
        try:
            await container.current().services.keys.set_status(who, key_id, status)
        except ArbiterError as error:
            self.error = str(error)
        who = await authz.current_caller(self)
        account = await self.get_state(Account)
        await account._belongs_to(who)
        account._show(who)
        await self._show(who)

    async def _show(self, who: Caller) -> None:
        keys = container.current().services.keys
        caller = keys.caller(who.key_id) if who.key_id else None
        self.info = {} if caller is None else views.usage(await keys.info(caller))
        self.keys = await self._rows() if who.role is Role.OPERATOR else []

    async def _rows(self) -> list[View]:
        admin = container.current().services.key_admin
        names, rows = {one["id"]: one["name"] for one in await admin.projects()}, await admin.listing()
        self.projects = [{"id": one, "name": name} for one, name in names.items()]
        mine = [one for one in rows if self.project in ("", one["project_id"])]
        fits = views.keys_with(mine, self.search)
        shown = fits[:MOST_KEYS]
        self.found = f"{len(shown):,} of {len(rows):,}"
        return [views.key_row(one, names) for one in shown]
