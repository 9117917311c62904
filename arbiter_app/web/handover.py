"""Nothing is left in a tab for whoever comes after.

A tab's state outlives its socket: it is found again by the tab's token. So whose it is stands beside it, and before any
event (also the one with which a tab that comes back asks for all of its state) what belongs to somebody else is cleared.
"""

from __future__ import annotations

import reflex as rx
from reflex.event import Event
from reflex.middleware.middleware import Middleware
from reflex.state import BaseState, StateUpdate
from reflex_base.constants.state import FIELD_MARKER

from arbiter_app.web import container, roles
from arbiter_app.web.state import authz
from arbiter_app.web.state.account import Account


class Handover(Middleware):
    """Before each event: state that was made for another visitor than the one who is there now is cleared, and what this one may not do
    (see `web.roles`) ends there."""

    async def preprocess(self, app: rx.App, state: BaseState, event: Event) -> StateUpdate | None:
        """Look whose state it is, and what they may do. A page hears of a refusal as of any end: else it would wait."""
        account = await state.get_state(Account)
        who = await authz.current_caller(account)
        await account._belongs_to(who)
        rule = rule_of(event.name)
        if rule is None or roles.allows(rule, who, sandbox=container.current().settings.sandbox):
            return None
        return StateUpdate(delta={account.get_full_name(): {f"paused{FIELD_MARKER}": account.paused}})


def rule_of(name: str) -> str | None:
    """The rule of an event by its full name, `denied` for a handler of ours that is not listed; None for Reflex's own."""
    path, _, handler = name.rpartition(".")
    for state in _ours():
        if state.get_full_name() == path:
            return roles.EVENTS.get(state.__name__, {}).get(handler, "denied")
    return None


def _ours() -> list[type[BaseState]]:
    """The state classes of the pages."""
    return [one for one in rx.State.get_substates() if one.__module__.startswith(__package__)]
