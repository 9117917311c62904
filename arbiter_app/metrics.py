"""Prometheus metrics. Counters live in the process; gauges are read when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from arbiter_app import __version__
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import PICO_PER_USD, Cost, Task

if TYPE_CHECKING:
    from arbiter_app.api.admission import Admission
    from arbiter_app.services.arbiter import Arbiter

Snapshot = list[list[Any]]
"""The metrics of one process as plain values: name, help, type, and samples of name, labels and value."""

METRICS = {
    "arbiter_requests_total": "requests by task, model, mode and status",
    "arbiter_refused_total": "chat requests that ended in an error, by its code",
    "arbiter_request_seconds": "whole request as the caller sees it, seconds",
    "arbiter_overhead_seconds": "time spent in Arbiter itself, seconds",
    "arbiter_upstream_errors_total": "failed calls of the runtime by model and status",
    "arbiter_cost_usd_total": "charges in USD by model and kind: answer, classifier or judge",
    "arbiter_saved_usd": "estimated saving in USD, spent less than the baseline (may fall)",
    "arbiter_quarantined": "1 while a model rests after a failure",
    "arbiter_running": "requests in work",
    "arbiter_queue_depth": "requests waiting for a place",
    "arbiter_store_pending": "writes waiting for the next commit",
    "arbiter_store_commits_total": "commits of the writer",
    "arbiter_store_write_seconds_total": "time spent writing, seconds",
    "arbiter_store_degraded": "1 while the database refuses writes; learning is paused then",
    "arbiter_store_lost_total": "records lost because the database refused for too long",
    "arbiter_judgements_pending": "judgements under way",
    "arbiter_judge_agreement": "share of answers on which judge and truth are on one side of 0.5, by whom it is compared with",
    "arbiter_judge_weight": "what one judged grade weighs against an objective one, by task",
    "arbiter_tasks": "tasks of the event loop, this request's own among them",
    "arbiter_build_info": "version, always 1",
}
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The metrics of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = self._counter("arbiter_requests_total", ("task", "model", "mode", "status"))
        self.refusals = self._counter("arbiter_refused_total", ("code",))
        self.errors = self._counter("arbiter_upstream_errors_total", ("model", "status"))
        self.cost = self._counter("arbiter_cost_usd_total", ("model", "kind"))
        self.seconds = self._histogram("arbiter_request_seconds")
        self.overhead = self._histogram("arbiter_overhead_seconds")
        self.gauges = {name: self._gauge(name) for name in _GAUGES}
        self.quarantined = self._gauge("arbiter_quarantined", ("model",))
        self.agreement = self._gauge("arbiter_judge_agreement", ("against",))
        self.trust = self._gauge("arbiter_judge_weight", ("task",))
        self.saved = self.gauges["arbiter_saved_usd"]
        self._gauge("arbiter_build_info", ("version",)).labels(__version__).set(1)

    def seen(self, decision: Decision) -> None:
        """Count one finished request."""
        task = decision.classification.task.value if decision.classification else ""
        self.requests[task, decision.model, decision.mode.value, decision.status].inc()
        self.seconds.observe(decision.timing.total_ms / 1000)
        self.overhead.observe(decision.timing.overhead_ms / 1000)
        for attempt in decision.attempts:
            if attempt.error:
                self.errors[attempt.model, str(attempt.status)].inc()
            self.charged("answer", attempt.model, attempt.cost)
        if decision.saved_pico is not None:
            self.saved.inc(decision.saved_pico / PICO_PER_USD)

    def charged(self, kind: str, model: str, cost: Cost) -> None:
        """Count a charge, where it is known."""
        if cost.pico:
            self.cost[model, kind].inc(cost.pico / PICO_PER_USD)

    def refused(self, error: ArbiterError) -> None:
        """Count a chat request that ended in an error."""
        self.refusals[(error.code,)].inc()

    def _counter(self, name: str, labels: tuple[str, ...]) -> _Counters:
        return _Counters(Counter(name.removesuffix("_total"), METRICS[name], labels, registry=self.registry))

    def _gauge(self, name: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, METRICS[name], labels, registry=self.registry)

    def _histogram(self, name: str) -> Histogram:
        return Histogram(name, METRICS[name], registry=self.registry, buckets=_SECONDS)


class _Counters(dict[tuple[str, ...], Counter]):
    """The counters of one metric by the values of its labels. Finding one by `labels` takes ten times as long."""

    def __init__(self, metric: Counter) -> None:
        super().__init__()
        self._metric = metric

    def __missing__(self, labels: tuple[str, ...]) -> Counter:
        found = self[labels] = self._metric.labels(*labels)
        return found


_GAUGES = (
    "arbiter_saved_usd",
    "arbiter_running",
    "arbiter_queue_depth",
    "arbiter_store_pending",
    "arbiter_store_commits_total",
    "arbiter_store_write_seconds_total",
    "arbiter_store_degraded",
    "arbiter_store_lost_total",
    "arbiter_judgements_pending",
    "arbiter_tasks",
)


def snapshot(arbiter: Arbiter, admission: Admission) -> Snapshot:
    """The metrics of this process as they are now."""
    metrics, writer = arbiter.metrics, arbiter.store.writer
    now = {
        "arbiter_running": admission.running,
        "arbiter_queue_depth": admission.waiting,
        "arbiter_store_pending": writer.pending,
        "arbiter_store_commits_total": writer.commits,
        "arbiter_store_write_seconds_total": writer.write_s,
        "arbiter_store_degraded": int(bool(writer.degraded)),
        "arbiter_store_lost_total": writer.lost,
        "arbiter_judgements_pending": arbiter.judging.pending,
        "arbiter_tasks": len(asyncio.all_tasks()),
    }
    for name, value in now.items():
        metrics.gauges[name].set(value)
    for against in ("objective", "people"):
        told = arbiter.judging.told()[against]
        if told is not None:
            metrics.agreement.labels(against).set(told["agreement"])
    for task in Task:
        metrics.trust.labels(task.value).set(arbiter.judging.trust(task.value).weight)
    metrics.quarantined.clear()
    for model in arbiter.quarantined():
        metrics.quarantined.labels(model).set(1)
    return [
        [one.name, one.documentation, one.type, [[sample.name, sample.labels, sample.value] for sample in one.samples]]
        for one in metrics.registry.collect()
    ]


def exposition(processes: Mapping[str, Snapshot]) -> bytes:
    """The text that Prometheus scrapes; each sample says whose it is by the label `process`, unless that is empty."""
    registry = CollectorRegistry()
    registry.register(_Processes(processes))
    return generate_latest(registry)


class _Processes(Collector):
    """Puts the samples of several processes under one name."""

    def __init__(self, processes: Mapping[str, Snapshot]) -> None:
        self._processes = processes

    def collect(self) -> Iterator[Metric]:
        found: dict[str, Metric] = {}
        for process, metrics in self._processes.items():
            own = {"process": process} if process else {}
            for name, text, kind, samples in metrics:
                metric = found.setdefault(name, Metric(name, text, kind))
                for sample, labels, value in samples:
                    metric.add_sample(sample, {**labels, **own}, value)
        yield from found.values()
