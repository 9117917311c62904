"""The authority check that every handler begins with, and checks of arguments: a browser can send anything."""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

import reflex as rx

from arbiter_app.api import visibility
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.services.rows import TracedDecision
from arbiter_app.store.turns import visitor
from arbiter_app.web import door

VISITOR = Caller(key_id="", role=Role.ANONYMOUS)


async def seat(state: rx.State) -> Caller:
    """Who sits at this tab, from the server's own records; a visitor when nobody has signed in."""
    session, headers = state.router.session, state.router.headers
    who = await door.parts().seats.taken(session.session_id, headers.cookie) or VISITOR
    visitor.set(who.key_id or address(state))
    return who


def may_read(who: Caller) -> bool:
    """Whether reports and feeds are open to this visitor at all."""
    return visibility.sight("decisions", who, door.parts().settings) is not visibility.Sight.NOTHING


def scope(who: Caller) -> str | None:
    """Whose decisions may be seen: None for everybody's, else one key id. Call `may_read` first."""
    return visibility.scope("decisions", who, door.parts().settings)


def may_open(who: Caller, row: TracedDecision | None) -> bool:
    """Whether there is such a decision and it is this visitor's to see whole."""
    return row is not None and visibility.may_open(who, row["key_id"], door.parts().settings)


def text(value: Any, most: int = 200) -> str:
    """A short string, or empty when it is anything else."""
    return value.strip()[:most] if isinstance(value, str) else ""


def choice(value: Any, allowed: Collection[str], default: str) -> str:
    """One of the allowed words, or the default."""
    return value if isinstance(value, str) and value in allowed else default


def number(value: Any, low: float, high: float) -> float | None:
    """A finite number within bounds, also from text; None otherwise."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and low <= found <= high else None


def first(value: Any) -> Any:
    """The single value of a slider, which sends a list."""
    return value[0] if isinstance(value, list) and value else value


def address(state: rx.State) -> str:
    """The address this tab's socket comes from."""
    return str(state.router.session.client_ip)


def origin(state: rx.State) -> str:
    """The address this tab reached us under, for showing it back to the same tab."""
    headers = state.router.headers
    return headers.origin or f"http://{headers.host}"
