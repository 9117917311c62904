"""The range of time that a page shows, as its URL says it."""

from __future__ import annotations

import time
from typing import Any, ClassVar

import reflex as rx

from arbiter_app.web import container, ranges
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.typed import event


class Ranged(rx.State, mixin=True):
    """What pages with a range have in common, see `ranges`. `first` and `last` are the days that it touches, `behind` is where its
    decisions are."""

    PAGE: ClassVar[str] = ""
    span: rx.Field[str] = rx.field("")
    first: rx.Field[str] = rx.field("")
    last: rx.Field[str] = rx.field("")
    behind: rx.Field[str] = rx.field("/app/activity")
    period: rx.Field[str] = rx.field("")
    """The range in words."""

    @event
    async def set_span(self, value: str) -> Any:
        """Change the range; the URL changes, and the page follows it."""
        await authz.current_caller(self)
        return self._at(arguments.choice(value, ranges.RANGES, "24h"))

    @event
    async def between(self, first: str, last: str) -> Any:
        """Look at days; an empty date leaves that end as it is."""
        await authz.current_caller(self)
        ends = arguments.text(first, 10) or self.first, arguments.text(last, 10) or self.last
        return self._at(ranges.days_of(*ends, container.current().settings.time_zone, time.time()).span)

    def _at(self, span: str) -> Any:
        return rx.redirect(f"{self.PAGE}?range={span}", replace=True)

    async def _read_range(self, scope: str | None) -> None:
        """The range that the URL names, or else the one before, or one that fits what there is in this scope."""
        zone, asked = container.current().settings.time_zone, dict(self.router.url.query_parameters).get("range")
        self.span = ranges.span_of(arguments.text(asked, 30), zone, time.time()) or self.span
        self.span = self.span or await ranges.fitting_span(container.current().services.reads, scope)
        shown = ranges.days_shown(self.span, zone, time.time())
        self.first, self.last = str(shown.first), str(shown.last)
        self.period = ranges.in_words(self.span, zone, time.time())
        self.behind = ranges.decisions({}, self.span, zone, time.time())
