"""Keeping the pool to what the runtime lists: read before the first request is routed, and now and then afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Set

from arbiter_app.catalog import Catalog
from arbiter_app.notices import claims
from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.pipeline.types import Json
from arbiter_app.policy import Policy
from arbiter_app.pool.telling import lines
from arbiter_app.runtime.client import HttpRuntime
from arbiter_app.services.catalog_holder import CatalogHolder, facts_of
from arbiter_app.services.status import Status
from arbiter_app.settings import Settings

log = logging.getLogger("arbiter.pool")

FIRST_S = 3.0
"""How long the start waits for the first list; without it the catalog is the pool until one comes."""
SOON_S = 2.0
"""After this time a list that failed is asked for again (later ones after twice as long), and a doubtful one is confirmed."""
ANSWERED = (400, 403, 404, 405, 410, 501)
"""Statuses of a runtime that is there, and has no list for us."""


class Pool:
    """Replaces the catalog in force, and tells the policy."""

    def __init__(
        self, *, settings: Settings, runtime: HttpRuntime, catalog: CatalogHolder, policy: Policy, status: Status
    ) -> None:
        self._settings = settings
        self._runtime = runtime
        self._catalog = catalog
        self._policy = policy
        self._status = status
        self._doubted: frozenset[str] = frozenset()
        self._doubts: frozenset[str] = frozenset()
        self._wait_s = 0.0

    async def first(self) -> None:
        """Read the list, with a bound on the time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.read(), FIRST_S)

    async def follow(self) -> None:
        """Read it again and again, for as long as the process runs."""
        while True:
            await asyncio.sleep(self._wait_s)
            await self.read()

    async def read(self) -> None:
        """Read the list once, and take it over; one that is empty or fails changes nothing."""
        every_s = self._settings.catalog_refresh_s
        failed_s, self._wait_s = self._wait_s, min(every_s, SOON_S)
        try:
            rows = await self._runtime.models()
        except RuntimeFault as fault:
            self._wait_s = min(every_s, max(SOON_S, 2 * failed_s))
            if fault.status in ANSWERED:
                self._status.runtime_seen_at = time.time()
            log.warning("the runtime's model list cannot be read, the pool stays as it is: %s", fault.message)
            return
        self._status.runtime_seen_at = time.time()
        after = await self._held_against(rows, keep=frozenset(() if rows.whole else self._catalog.now.names))
        self._wait_s = every_s
        if after is self._catalog.now:
            log.warning("the runtime's model list names no model that chats; the pool stays as it is")
            return
        gone = frozenset(self._catalog.now.names) - frozenset(after.names)
        self._doubted = gone - self._doubted if self._catalog.now.loses(after) else frozenset()
        if self._doubted:
            self._wait_s = min(every_s, SOON_S)
            log.warning(
                "the runtime's list lacks %d of %d models; they go when the next one lacks them, too",
                len(self._doubted),
                len(self._catalog.now.names),
            )
            after = await self._held_against(rows, keep=self._doubted)
        self._take(after)

    async def _held_against(self, rows: list[Json], *, keep: Set[str]) -> Catalog:
        while True:
            before = self._catalog.now
            after = await listed(self._runtime, before, rows, self._settings, keep=keep)
            if self._catalog.now is before:  # an operator may switch models meanwhile
                return after

    def _take(self, after: Catalog) -> None:
        before, self._catalog.now = self._catalog.now, after
        if facts_of(before) != facts_of(after) or before.baseline != after.baseline:
            self._policy.know(facts_of(after), after.baseline)
        report = after.report
        if report is None:
            return
        for doubt in sorted(frozenset(report.doubts) - self._doubts):
            claims.count("model_facts", f"of the runtime's model list, {doubt}")
        self._doubts = frozenset(report.doubts)
        if before.report is None or (before.names, before.report.replaced) != (after.names, report.replaced):
            for line in lines(after):
                log.info("%s", line)


async def listed(
    runtime: HttpRuntime, catalog: Catalog, rows: list[Json], settings: Settings, *, keep: Set[str] = frozenset()
) -> Catalog:
    """The catalog after these rows of the runtime's list, worked out beside the event loop.

    Where prices are missing, they are asked of the route by which a LiteLLM proxy tells them; others have none.
    """

    async def refreshed(given: list[Json]) -> Catalog:
        return await asyncio.to_thread(catalog.refreshed, given, most=settings.pool_max, join=settings.joins, keep=keep)

    after = await refreshed(rows)
    if after.report is None or not after.report.unpriced:
        return after
    with contextlib.suppress(RuntimeFault):
        details = {str(row.get("model_name")): row for row in await runtime.details()}
        if details:
            after = await refreshed([{**details.get(str(row.get("id")), {}), **row} for row in rows])
    return after
