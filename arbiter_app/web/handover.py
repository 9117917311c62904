"""Nothing is left in a tab for whoever comes after.

A tab's state outlives its socket: it is found again by the tab's token. So whose it is stands beside it, and before any
event (also the one with which a tab that comes back asks for all of its state) what belongs to somebody else is cleared.
"""

from __future__ import annotations

import reflex as rx
from reflex.event import Event
from reflex.middleware.middleware import Middleware
from reflex.state import BaseState

from arbiter_app.web.state import authz
from arbiter_app.web.state.account import Account


class Handover(Middleware):
    """Before each event: state that was made for another visitor than the one who is there now is cleared."""

    async def preprocess(self, app: rx.App, state: BaseState, event: Event) -> None:
        """Look whose state it is."""
        account = await state.get_state(Account)
        await account._belongs_to(await authz.current_caller(account))
