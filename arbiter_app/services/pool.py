"""Keeping the pool to what the runtimes list: read before the first request is routed, and now and then afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass

from arbiter_app.catalog import Catalog
from arbiter_app.notices import claims
from arbiter_app.pipeline.deployments import Deployments
from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.pipeline.types import DEFAULT_RUNTIME, Json
from arbiter_app.policy import Policy
from arbiter_app.pool.telling import deployed, lines
from arbiter_app.runtime.claims.facts import Rows
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
"""Statuses of a runtime that is there, and has no list for us ..."""
NO_LIST = (404, 405, 410, 501)
"""... or none for anybody."""


@dataclass(slots=True)
class _Reading:
    """How the list of one runtime is read: the wait until the next time, what the last one lacked, and what was said of it."""

    wait_s: float = 0.0
    doubted: frozenset[str] = frozenset()
    told: tuple[str, ...] = ()


class Pool:
    """Replaces the catalog in force, and tells the policy."""

    def __init__(
        self,
        *,
        settings: Settings,
        runtimes: Mapping[str, HttpRuntime],
        catalog: CatalogHolder,
        deployments: Deployments,
        policy: Policy,
        status: Status,
    ) -> None:
        self._settings = settings
        self._runtimes = runtimes
        self._catalog = catalog
        self._deployments = deployments
        self._policy = policy
        self._status = status
        self._doubts: frozenset[tuple[str, str]] = frozenset()
        self._readings = {name: _Reading() for name in runtimes}

    async def first(self) -> None:
        """Read the lists, with a bound on the time."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*map(self.read, self._runtimes)), FIRST_S)

    async def follow(self) -> None:
        """Read them again and again, for as long as the process runs."""
        await asyncio.gather(*map(self._follow, self._runtimes))

    async def _follow(self, runtime: str) -> None:
        while True:
            await asyncio.sleep(self._readings[runtime].wait_s)
            await self.read(runtime)

    async def read(self, runtime: str = DEFAULT_RUNTIME) -> None:
        """Read the list of a runtime once, and take it over; one that is empty or fails changes nothing."""
        every_s, reading, named = self._settings.catalog_refresh_s, self._readings[runtime], _named(runtime)
        failed_s, reading.wait_s = reading.wait_s, min(every_s, SOON_S)
        try:
            rows = await self._runtimes[runtime].models()
        except RuntimeFault as fault:
            reading.wait_s = min(every_s, max(SOON_S, 2 * failed_s))
            if fault.status in ANSWERED:
                self._status.runtime_seen_at = time.time()
            log.warning("%s's model list cannot be read, the pool stays as it is: %s", named, fault.message)
            return
        self._status.runtime_seen_at = time.time()
        after = await self._held_against(runtime, rows, frozenset(() if rows.whole else self._there(runtime)))
        reading.wait_s = every_s
        if after is self._catalog.now:
            log.warning("%s's model list names no model that chats; the pool stays as it is", named)
            return
        there, gone = self._there(runtime), self._there(runtime) - self._there(runtime, after)
        reading.doubted = gone - reading.doubted if self._loses(runtime, after) else frozenset()
        if reading.doubted:
            reading.wait_s = min(every_s, SOON_S)
            log.warning(
                "%s's list lacks %d of %d models; they go when the next one lacks them, too",
                named,
                len(reading.doubted),
                len(there),
            )
            after = await self._held_against(runtime, rows, reading.doubted)
        self._take(after)
        said = tuple(deployed(after, runtime)) if runtime != DEFAULT_RUNTIME else ()
        if said != reading.told:
            reading.told = said
            for line in said:
                log.info("%s", line)

    def _there(self, runtime: str, catalog: Catalog | None = None) -> frozenset[str]:
        """What a runtime's list may take away: models of the default one, by id; deployments on others, by key."""
        catalog = catalog or self._catalog.now
        if runtime == DEFAULT_RUNTIME:
            return frozenset(catalog.names)
        several = [at for found in catalog.deployments.values() for at in found]
        return frozenset(at.key for at in several if at.runtime == runtime and at.model.listed)

    def _loses(self, runtime: str, after: Catalog) -> bool:
        """Whether more than half would be gone after, which is believed when it is said twice."""
        if runtime == DEFAULT_RUNTIME:
            return self._catalog.now.loses(after)
        there = self._there(runtime)
        return 2 * len(there & self._there(runtime, after)) < len(there)

    async def _held_against(self, runtime: str, rows: Rows, keep: Set[str]) -> Catalog:
        while True:
            before = self._catalog.now
            if runtime == DEFAULT_RUNTIME:
                after = await listed(self._runtimes[runtime], before, rows, self._settings, keep=keep)
            else:
                after = await asyncio.to_thread(before.relisted, runtime, rows, keep=keep)
            if self._catalog.now is before:  # an operator may switch models meanwhile
                return after

    def _take(self, after: Catalog) -> None:
        before, self._catalog.now = self._catalog.now, after
        facts = facts_of(after, self._deployments.serving)
        if facts_of(before, self._deployments.serving) != facts or before.baseline != after.baseline:
            self._policy.know(facts, after.baseline)
        report = after.report
        if report is None:
            return
        said = {(runtime, doubt) for runtime, doubts in after.doubts.items() for doubt in doubts}
        doubts = frozenset({(DEFAULT_RUNTIME, doubt) for doubt in report.doubts} | said)
        for runtime, doubt in sorted(doubts - self._doubts):
            claims.count("model_facts", f"of {_named(runtime)}'s model list, {doubt}")
        self._doubts = doubts
        if before.report is None or (before.names, before.report.replaced) != (after.names, report.replaced):
            for line in lines(after):
                log.info("%s", line)


def _named(runtime: str) -> str:
    return "the runtime" if runtime == DEFAULT_RUNTIME else f"the runtime {runtime}"


async def listed(
    runtime: HttpRuntime, catalog: Catalog, rows: list[Json], settings: Settings, *, keep: Set[str] = frozenset()
) -> Catalog:
    """The catalog after these rows of the default runtime's list, worked out beside the event loop.

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
