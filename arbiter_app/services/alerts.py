"""Saying that something moved: to the log, to open pages, and to the other processes."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from arbiter_app.pipeline.types import Json
from arbiter_app.services.broadcast import Broadcast
from arbiter_app.services.feed import Feed

log = logging.getLogger("arbiter")

LATE_S = 60.0
"""How long an alert is looked for: it is on record once the decision that raised it is, here or in a worker."""


class Alerts:
    """Raises alerts. `expected`: one is on record, or will be soon, and has to be followed up."""

    def __init__(self, feed: Feed, broadcast: Broadcast) -> None:
        self._feed = feed
        self._broadcast = broadcast
        self._until = 0.0

    @property
    def expected(self) -> bool:
        """Whether there may be one that nobody follows yet."""
        return time.monotonic() < self._until

    def expect(self) -> None:
        """There is an alert to follow, or there soon will be."""
        self._until = time.monotonic() + LATE_S

    def raised(self, alerts: Sequence[Json]) -> None:
        """Tell everybody of new alerts."""
        self.expect()
        self._broadcast.send("alerted", [[alert["kind"], alert["bucket"], alert["model"]] for alert in alerts])
        for alert in alerts:
            log.warning("%s shift of %s: %s", alert["kind"], alert["model"], alert["reason"])
            self._feed.publish("alert", alert)
