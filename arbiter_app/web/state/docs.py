"""Searching the documentation."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web import docs
from arbiter_app.web.state import guard


class Docs(rx.State):
    """The search box of the documentation and what it found."""

    query: str = ""
    hits: list[dict[str, str]] = []

    @rx.event
    async def search(self, query: str) -> None:
        """Find sections."""
        await guard.seat(self)
        self.query = guard.text(query, 100)
        self.hits = docs.search(self.query)
