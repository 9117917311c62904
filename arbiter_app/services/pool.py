"""Keeping the pool to what the runtimes list: read before the first request is routed, and now and then afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass

from arbiter_app.catalog import Catalog, dearest
from arbiter_app.notices import claims
from arbiter_app.pipeline.deployments import Deployments
from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.pipeline.types import DEFAULT_RUNTIME, Model
from arbiter_app.policy import Policy
from arbiter_app.pool import listing
from arbiter_app.pool.edits import Edits
from arbiter_app.pool.telling import deployed, lines
from arbiter_app.runtime.claims.facts import Rows, name_of
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


OFFERS = 500
"""Rows of a list that are remembered beyond those of the pool: what a runtime offers, and nobody has added."""


@dataclass(slots=True)
class _Reading:
    """How the list of one runtime is read: the wait until the next time, what the last one lacked, and what was said of it."""

    wait_s: float = 0.0
    doubted: frozenset[str] = frozenset()
    told: tuple[str, ...] = ()
    rows: Rows | None = None
    """What is remembered of the last list that was read."""


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
        after, rows = await self._held_against(runtime, rows, frozenset(() if rows.whole else self._there(runtime)))
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
            after, rows = await self._held_against(runtime, rows, reading.doubted)
        reading.rows = await asyncio.to_thread(_remembered, rows, self._names_on(runtime, after))
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

    async def edit(self, edits: Edits) -> None:
        """Take other edits over, as if every list that was read had been read under them. Raises CatalogError."""
        while True:
            before = self._catalog.now
            after = await asyncio.to_thread(self._under, before, edits)
            if self._catalog.now is before:  # a list may be taken over meanwhile
                self._take(after)
                return

    def _under(self, before: Catalog, edits: Edits) -> Catalog:
        after = before.edited(edits)
        said = {model for model in {*before.edits, *edits} if before.edits.get(model) != edits.get(model)}
        for runtime, reading in self._readings.items():
            if reading.rows is None:
                continue
            if runtime == DEFAULT_RUNTIME:
                settings, keep = self._settings, frozenset(before.names) - said
                after = after.refreshed(reading.rows, most=settings.pool_max, join=settings.joins, keep=keep)
            else:
                after = after.relisted(runtime, reading.rows, keep=self._there(runtime, before))
        return after

    def offers(self) -> list[tuple[str, Model]]:
        """What the runtimes list and nobody has added, by runtime: the default one's first, each model once."""
        catalog, found = self._catalog.now, dict[str, tuple[str, Model]]()
        for runtime, reading in self._readings.items():
            for model in listing.offered(
                reading.rows or (), self._names_on(runtime, catalog), catalog.models, dearest(catalog)
            ):
                if runtime == DEFAULT_RUNTIME or catalog.resolve(model.sent) not in catalog.models:
                    found.setdefault(model.id, (runtime, model))
        return list(found.values())

    def _names_on(self, runtime: str, catalog: Catalog) -> frozenset[str]:
        """By which names a runtime has the models of the catalog that are listed."""
        several = [at for model in catalog.models for at in catalog.at(model)]
        return frozenset(at.model.sent for at in several if at.runtime == runtime and at.model.listed)

    async def _held_against(self, runtime: str, rows: Rows, keep: Set[str]) -> tuple[Catalog, Rows]:
        while True:
            before, found = self._catalog.now, rows
            if runtime == DEFAULT_RUNTIME:
                after, found = await listed(self._runtimes[runtime], before, rows, self._settings, keep=keep)
            else:
                after = await asyncio.to_thread(before.relisted, runtime, rows, keep=keep)
            if self._catalog.now is before:  # an operator may edit models meanwhile
                return after, found

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


def _remembered(rows: Rows, known: Set[str]) -> Rows:
    """The rows of a list that are about models of the catalog, and the first of the others."""
    found, others = Rows(), 0
    for row in rows:
        mine = name_of(row) in known
        others += not mine
        if mine or others <= OFFERS:
            found.append(row)
    return found


async def listed(
    runtime: HttpRuntime, catalog: Catalog, rows: Rows, settings: Settings, *, keep: Set[str] = frozenset()
) -> tuple[Catalog, Rows]:
    """The catalog after these rows of the default runtime's list, worked out beside the event loop, and the rows as they were then.

    Where prices are missing, they are asked of the route by which a LiteLLM proxy tells them; others have none.
    """

    async def refreshed(given: Rows) -> Catalog:
        return await asyncio.to_thread(catalog.refreshed, given, most=settings.pool_max, join=settings.joins, keep=keep)

    after = await refreshed(rows)
    if after.report is None or not after.report.unpriced:
        return after, rows
    with contextlib.suppress(RuntimeFault):
        details = {str(row.get("model_name")): row for row in await runtime.details()}
        if details:
            rows = Rows({**details.get(str(row.get("id")), {}), **row} for row in rows)
            after = await refreshed(rows)
    return after, rows
