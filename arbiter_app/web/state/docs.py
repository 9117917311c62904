"""Searching the documentation."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web import docs
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.typed import Listed, event, listed


class Docs(rx.State):
    """The search box of the documentation and what it found."""

    query: rx.Field[str] = rx.field("")
    hits: Listed[dict[str, str]] = listed()

    @event
    async def search(self, query: str) -> None:
        """Find sections."""
        await authz.current_caller(self)
        self.query = arguments.text(query, 100)
        self.hits = docs.search(self.query)
