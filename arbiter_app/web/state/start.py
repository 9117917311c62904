"""Onboarding: from nothing to a first routed call, which turns the last step green by itself."""

from __future__ import annotations

from typing import Any

import reflex as rx

from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.plain import MAX_EMAIL_CHARS
from arbiter_app.pipeline.types import Role
from arbiter_app.pool import telling
from arbiter_app.store import StoreError
from arbiter_app.web import container, snippets
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.state.account import Account, sign_in_here
from arbiter_app.web.typed import Keyed, Listed, event, keyed, listed
from arbiter_app.web.views import View

STEPS = 5


class Start(rx.State):
    """Where the visitor is. `secret` is the new key, shown once; `arrived` the first call made with it."""

    step: rx.Field[int] = rx.field(0)
    secret: rx.Field[str] = rx.field("")
    error: rx.Field[str] = rx.field("")
    client: rx.Field[str] = rx.field("python")
    codes: Keyed[View] = keyed(dict)
    arrived: Keyed[View] = keyed(dict)
    has_key: rx.Field[str] = rx.field("")
    notes: Listed[str] = listed()
    first: rx.Field[str] = rx.field("")
    _on_the_way: list[int] = []
    """Steps whose addresses the browser was sent to and has not told of yet, oldest first."""

    @event
    async def load(self) -> None:
        """Begin, or go on."""
        who = await authz.current_caller(self)
        self.notes = list(telling.replaced(container.current().services.catalog))
        asked = dict(self.router.url.query_parameters)
        self.first = "yes" if asked.get("first") == "1" else ""
        self._arrive(int(arguments.number(asked.get("step"), 1, STEPS) or 1) - 1)
        self.has_key = "" if who.role is Role.ANONYMOUS else "yes"
        self._fill()
        if who.key_id:
            await self._listen(who.key_id)

    @event
    async def go(self, step: int) -> Any:
        """Go to a step, which has an address of its own: the browser's Back leads to the one before."""
        await authz.current_caller(self)
        place = arguments.number(step, 0, STEPS - 1)
        return self._lead(int(place) if place is not None else self.step)

    @event
    async def move(self, by: int) -> Any:
        """One step on or back, from where the server knows the visitor to be."""
        await authz.current_caller(self)
        known = by in (1, -1) and not isinstance(by, bool)
        return self._lead(min(STEPS - 1, max(0, self.step + by)) if known else self.step)

    def _lead(self, step: int) -> Any:
        """Show a step, and have the browser follow with the address."""
        if step != self.step:
            self.step, self._on_the_way = step, [*self._on_the_way, step]
        return rx.redirect(f"/start?step={step + 1}")

    def _arrive(self, step: int) -> None:
        """The browser is at the address of a step: where it was not sent there, that is where the visitor wants to be. Where it was,
        the visitor may have gone on meanwhile."""
        if step in self._on_the_way:
            self._on_the_way = self._on_the_way[self._on_the_way.index(step) + 1 :]
        else:
            self.step, self._on_the_way = step, []

    @event
    async def set_client(self, name: str) -> None:
        """Show another client's code."""
        await authz.current_caller(self)
        self.client = arguments.choice(name, snippets.FIRST_CALL, "python")

    @event
    async def mint(self, form: dict[str, Any]) -> Any:
        """Make a key for an e-mail address and sign in with it."""
        await authz.current_caller(self)
        current = container.current()
        if not current.settings.signup_open:
            self.error = "Sign-up is closed here. Ask the operator for a key, then sign in with it."
            return None
        try:
            email = arguments.text(form.get("email"), MAX_EMAIL_CHARS + 1) if isinstance(form, dict) else ""
            secret = await current.services.keys.register(email, authz.address(self))
            caller = await current.services.keys.identify(secret)
            if caller is None:
                self.error = "The new key could not be read back; try again."
                return None
            step, client = self.step, self.client
            entered = await sign_in_here(await self.get_state(Account), caller)
        except (ArbiterError, StoreError) as error:
            self.error = str(error)
            return None
        self.step, self.client, self.secret, self.has_key = step, client, secret, "yes"
        self._fill()
        await self._listen(caller.key_id)
        return entered

    async def _listen(self, key_id: str) -> None:
        await container.current().live.watch(self.router.session.session_id, ("arrival", key_id))

    def _fill(self) -> None:
        self.codes = snippets.snippets(authz.origin(self), self.secret or snippets.PLACEHOLDER)


class Integration(rx.State):
    """Code for every client with this host filled in."""

    codes: Keyed[View] = keyed(dict)

    @event
    async def load(self) -> None:
        """Fill in the host."""
        await authz.current_caller(self)
        self.codes = snippets.snippets(authz.origin(self))
