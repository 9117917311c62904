"""The authority check that every handler begins with, and what the visitor may then see."""

from __future__ import annotations

import reflex as rx

from arbiter_app.api import visibility
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.services.rows.decisions import TracedDecision
from arbiter_app.store.fair_executor import visitor
from arbiter_app.web import container

VISITOR = Caller(key_id="", role=Role.ANONYMOUS)


async def current_caller(state: rx.State) -> Caller:
    """Who sits at this tab, from the server's own records; a visitor when nobody has signed in."""
    session, headers = state.router.session, state.router.headers
    who = await container.current().tabs.caller_of(session.session_id, headers.cookie) or VISITOR
    visitor.set(who.key_id or address(state))
    return who


def may_read(who: Caller) -> bool:
    """Whether reports and feeds are open to this visitor at all."""
    return visibility.sight("decisions", who, container.current().settings) is not visibility.Sight.NOTHING


def scope(who: Caller) -> str | None:
    """Whose decisions are shown: None for everybody's, else a key's or a project's scope. Call `may_read` first."""
    return visibility.scope("decisions", who, container.current().settings)


def may_open(who: Caller, row: TracedDecision | None) -> bool:
    """Whether there is such a decision and it is this visitor's to see whole."""
    return row is not None and visibility.may_open(who, row, container.current().settings)


def address(state: rx.State) -> str:
    """The address this tab's socket comes from."""
    return str(state.router.session.client_ip)


def origin(state: rx.State) -> str:
    """The address this tab reached us under, for showing it back to the same tab."""
    headers = state.router.headers
    return headers.origin or f"http://{headers.host}"
