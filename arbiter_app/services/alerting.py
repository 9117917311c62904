"""Following alerts up: each is completed with what came of it, from the decisions, so that a restart loses nothing.

Models that joined or left the pool are alerts, too; the pool that was last noted is in the store.
"""

from __future__ import annotations

import asyncio
import logging
import time
from itertools import groupby

from arbiter_app.pipeline.deployments import Deployments
from arbiter_app.pipeline.health import Health
from arbiter_app.pipeline.ports import Refused
from arbiter_app.pipeline.standing import Standing
from arbiter_app.pipeline.types import Json
from arbiter_app.services import alert_outcome
from arbiter_app.services.alerts import Alerts
from arbiter_app.services.catalog_holder import CatalogHolder
from arbiter_app.services.feed import Feed
from arbiter_app.store import Store, StoreError, alerts
from arbiter_app.store.decisions import Filter

log = logging.getLogger("arbiter.alerting")

EVERY_S = 1.0
LAPSE_S = 7 * 86_400.0


class Alerting:
    """Alerts, followed until traffic has settled."""

    def __init__(
        self,
        *,
        store: Store,
        catalog: CatalogHolder,
        health: Health,
        deployments: Deployments,
        standing: Standing,
        alerts: Alerts,
        feed: Feed,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._health = health
        self._deployments = deployments
        self._standing = standing
        self._alerts = alerts
        self._feed = feed
        self._pool: frozenset[str] | None = None
        self._noted = False
        self._refused: frozenset[tuple[str, Refused]] = frozenset()
        self._open = True

    async def run(self) -> None:
        """Follow for as long as the process runs; of several hosts on one store, one does."""
        while True:
            try:
                if self._store.leads:
                    await self.look()
            except StoreError as error:
                log.warning("alerts are followed later: %s", error)
            await asyncio.sleep(EVERY_S)

    async def look(self) -> None:
        """Follow up whatever is open or expected; what waits for a database that refuses may hold an alert."""
        await self.note_pool()
        await self.note_standing()
        if self._store.ledger.degraded:
            self._alerts.expect()
        if self._open or self._alerts.expected:
            self._open = await self.follow() > 0

    async def note_pool(self) -> None:
        """Raise an alert for each model that joined or left the pool since it was last noted, by whichever process.

        A model that the runtime says it does not serve has left. Who has, is kept for the next start.
        """
        health, gone = self._health, self._health.gone()
        pool, known = self._present(), self._pool
        if self._noted and pool == known:
            return
        now = time.time()
        kept = {
            model: {**rest, "at": now} for model, rest in health.snapshot(time.monotonic()).items() if model in gone
        }

        raised = await self._store.writer.call(lambda c: alerts.note_pool(c, pool, now, kept, known=known))
        self._pool, self._noted = pool, True
        if raised:
            self._alerts.raised(raised)

    def forget(self) -> None:
        """The store has forgotten its alerts and who is in the pool; whoever rests as gone has to be forgotten before (operator reset)."""
        self._pool, self._noted = self._present(), False
        self._refused = frozenset()  # what lasts is said again

    def _present(self) -> frozenset[str]:
        return frozenset(self._catalog.now.names) - self._deployments.gone()

    async def note_standing(self) -> None:
        """Raise an alert when the runtime refuses its key, or says that its account is out of credit; once each time."""
        refused = dict(self._standing.refused)
        new = [(str(key[1]), *refused[key]) for key in refused if key not in self._refused]
        if new:
            now = time.time()
            raised = await self._store.writer.call(
                lambda connection: [
                    alerts.refused_alert(connection, kind, model, said, now) for kind, model, said in new
                ]
            )
            self._alerts.raised(raised)
        self._refused = frozenset(refused)

    async def follow(self) -> int:
        """Bring every open alert up to date; returns how many stay open."""
        left = 0
        alike = groupby(await self._store.read(alerts.open_ones), lambda alert: (alert["task"], alert["ts"]))
        for (task, ts), group in alike:
            before, after = await self._around(task, ts)
            for alert in group:
                left += await self._follow(alert, before, after)
        return left

    async def _follow(self, alert: Json, before: list[Json], after: list[Json]) -> bool:
        """Bring one up to date; whether it stays open."""
        earlier, later = alert_outcome.concerned(alert, before), alert_outcome.concerned(alert, after)
        seen = alert_outcome.outcome(alert, earlier, later)
        settled = seen.pop("settled")
        if settled is None and abs(time.time() - alert["ts"]) > LAPSE_S:
            settled = time.time()
        if (settled, seen) != (alert["settled"], alert["outcome"]):
            await self._keep(alert["id"], seen, settled)
            self._feed.publish("alert", {**alert, "outcome": seen, "settled": settled})
        return settled is None

    async def _keep(self, alert_id: int, seen: Json, settled: float | None) -> None:
        await self._store.writer.call(lambda connection: alerts.follow(connection, alert_id, seen, settled))

    async def _around(self, task: str, ts: float) -> tuple[list[Json], list[Json]]:
        """The decisions before and after a time, newest first. Models that join or leave together share them."""
        store = self._store
        before = await store.page(Filter(task=task or None, until=ts), limit=3 * alert_outcome.BEFORE)
        after = await store.page(Filter(task=task or None, since=ts), limit=2 * alert_outcome.MOST)
        return before, after
