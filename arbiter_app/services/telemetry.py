"""The metrics of one process, as they are now."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from arbiter_app.metrics import Metrics, Snapshot
from arbiter_app.pipeline.health import Health
from arbiter_app.pipeline.types import PICO_PER_USD, Task
from arbiter_app.services.exchanges import Exchanges
from arbiter_app.services.judging import Judging
from arbiter_app.services.requests import RequestService
from arbiter_app.services.rows.policy import LicenceRow
from arbiter_app.services.shadows import Shadows
from arbiter_app.store import Store


class Telemetry:
    """Brings the gauges up to date and reads everything."""

    def __init__(
        self,
        metrics: Metrics,
        requests: RequestService,
        store: Store,
        judging: Judging,
        shadows: Shadows,
        health: Health,
        exchanges: Exchanges,
        licences: Callable[[], list[LicenceRow]],
        learned_age: Callable[[], float],
    ) -> None:
        self._metrics = metrics
        self._requests = requests
        self._store = store
        self._judging = judging
        self._shadows = shadows
        self._health = health
        self._exchanges = exchanges
        self._licences = licences
        self._learned_age = learned_age

    def snapshot(self) -> Snapshot:
        """Every metric with its samples."""
        metrics, writer = self._metrics, self._store.writer
        now = {
            "arbiter_saved_usd": metrics.saved_pico / PICO_PER_USD,
            "arbiter_running": self._requests.admission.running,
            "arbiter_queue_depth": self._requests.admission.waiting,
            "arbiter_store_pending": writer.pending,
            "arbiter_store_commits_total": writer.commits,
            "arbiter_store_write_seconds_total": writer.write_s,
            "arbiter_store_degraded": int(bool(writer.degraded)),
            "arbiter_store_lost_total": writer.lost,
            "arbiter_contents_kept_total": self._exchanges.kept,
            "arbiter_contents_dropped_total": self._exchanges.dropped,
            "arbiter_judgements_pending": self._judging.pending,
            "arbiter_shadow_pending": self._shadows.pending,
            "arbiter_learned_age_seconds": self._learned_age(),
            "arbiter_tasks": len(asyncio.all_tasks()),
        }
        if (journal := self._store.journal) is not None:
            now["arbiter_journal_entries"] = journal.waiting
            now["arbiter_journal_bytes"] = journal.size
            now["arbiter_journal_max_bytes"] = journal.most_bytes
            now["arbiter_journal_refuses"] = int(bool(journal.refuses))
        for name, value in now.items():
            metrics.gauges[name].set(value)
        for against in ("objective", "people"):
            told = self._judging.told()[against]
            if told is not None:
                metrics.agreement.labels(against).set(told["agreement"])
        for task in Task:
            metrics.trust.labels(task.value).set(self._judging.trust(task.value).weight)
        metrics.quarantined.clear()
        for model in self._health.snapshot(time.monotonic()):
            metrics.quarantined.labels(model).set(1)
        metrics.licensed.clear()
        for row in self._licences():
            metrics.licensed.labels(row["bucket"], row["model"]).set(int(row["licensed"]))
        return [
            [
                one.name,
                one.documentation,
                one.type,
                [[sample.name, sample.labels, sample.value] for sample in one.samples],
            ]
            for one in metrics.registry.collect()
        ]
