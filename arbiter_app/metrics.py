"""Prometheus metrics. Counters live in the process as plain numbers that only the event loop moves; gauges are read when
they are asked for."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from arbiter_app import __version__, notices
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import PICO_PER_USD, Cost

Snapshot = list[list[Any]]
"""The metrics of one process as plain values: name, help, type, and samples of name, labels and value."""

METRICS = {
    "arbiter_requests_total": "requests by task, model, mode and status",
    "arbiter_refused_total": "chat requests that ended in an error, by its code",
    "arbiter_request_seconds": "whole request as the caller sees it, seconds",
    "arbiter_overhead_seconds": "time spent in Arbiter itself, seconds",
    "arbiter_upstream_errors_total": "failed calls of the runtime by model and status",
    "arbiter_cost_usd_total": "charges in USD by model and kind: answer, classifier, judge or learning",
    "arbiter_shadow_total": "models asked beside answers, by model and status",
    "arbiter_shadow_dropped_total": "models that were to be asked beside answers and were not, by the reason",
    "arbiter_reactions_total": "what the next turn said of an answer, by kind and by how it was used",
    "arbiter_shadow_pending": "models that are being asked beside answers",
    "arbiter_saved_usd": "estimated saving in USD, spent less than the baseline (may fall)",
    "arbiter_quarantined": "1 while a model rests after a failure",
    "arbiter_running": "requests in work",
    "arbiter_queue_depth": "requests waiting for a place",
    "arbiter_store_pending": "writes waiting for the next commit",
    "arbiter_store_commits_total": "commits of the writer",
    "arbiter_store_write_seconds_total": "time spent writing, seconds",
    "arbiter_store_degraded": "1 while the database refuses writes; learning is paused then",
    "arbiter_store_lost_total": "records lost because the database refused for too long",
    "arbiter_contents_kept_total": "answers whose contents were kept for their projects",
    "arbiter_contents_dropped_total": "answers whose contents were to be kept and were not: too large, too many, or trouble",
    "arbiter_journal_entries": "entries that wait in the journal for the database",
    "arbiter_journal_bytes": "bytes that the journal takes",
    "arbiter_journal_max_bytes": "bytes that it may take at most",
    "arbiter_journal_refuses": "1 while the journal takes nothing more",
    "arbiter_judgements_pending": "judgements under way",
    "arbiter_judge_agreement": "share of answers on which judge and truth are on one side of 0.5, by whom it is compared with",
    "arbiter_judge_weight": "what one judged grade weighs against an objective one, by task",
    "arbiter_licensed": "1 while a model has a licence to serve, 0 while it was compared and has none, by bucket and model",
    "arbiter_bound_struck_total": "times a bound at the door struck, by bound",
    "arbiter_claims_set_aside_total": "statements of a runtime or caller that were set aside as implausible, by kind",
    "arbiter_learned_age_seconds": "time since what other processes learned was last taken in, seconds; 0 where there are none",
    "arbiter_tasks": "tasks of the event loop, this request's own among them",
    "arbiter_build_info": "version of Arbiter and name of the host, always 1",
}
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The metrics of one process."""

    def __init__(self, host: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.requests = self._counter("arbiter_requests_total", ("task", "model", "mode", "status"))
        self.refusals = self._counter("arbiter_refused_total", ("code",))
        self.errors = self._counter("arbiter_upstream_errors_total", ("model", "status"))
        self.cost = self._counter("arbiter_cost_usd_total", ("model", "kind"))
        self.shadows = self._counter("arbiter_shadow_total", ("model", "status"))
        self.reactions = self._counter("arbiter_reactions_total", ("kind", "used"))
        self.shadows_dropped = self._counter("arbiter_shadow_dropped_total", ("reason",))
        self.registry.register(_Noticed("arbiter_bound_struck_total", "bound", notices.bounds))
        self.registry.register(_Noticed("arbiter_claims_set_aside_total", "kind", notices.claims))
        self.seconds = self._histogram("arbiter_request_seconds")
        self.overhead = self._histogram("arbiter_overhead_seconds")
        self.gauges = {name: self._gauge(name) for name in _GAUGES}
        self.quarantined = self._gauge("arbiter_quarantined", ("model",))
        self.agreement = self._gauge("arbiter_judge_agreement", ("against",))
        self.trust = self._gauge("arbiter_judge_weight", ("task",))
        self.licensed = self._gauge("arbiter_licensed", ("bucket", "model"))
        self.saved_pico = 0
        self._gauge("arbiter_build_info", ("version", "host")).labels(__version__, host).set(1)

    def seen(self, decision: Decision) -> None:
        """Count one finished request."""
        task = str(decision.classification.task) if decision.classification else ""
        self.requests.add(task, decision.model, str(decision.mode), decision.status)
        self.seconds.observe(decision.timing.total_ms / 1000)
        self.overhead.observe(decision.timing.overhead_ms / 1000)
        for attempt in decision.attempts:
            if attempt.error:
                self.errors.add(attempt.model, str(attempt.status))
            self.charged("answer", attempt.model, attempt.cost)
        self.saved_pico += decision.saved_pico or 0

    def shadow(self, asked: Decision) -> None:
        """Count one model that was asked beside an answer, and its charge."""
        self.shadows.add(asked.model, asked.status)
        for attempt in asked.attempts:
            if attempt.error:
                self.errors.add(attempt.model, str(attempt.status))
            self.charged("learning", attempt.model, attempt.cost)
            self.saved_pico -= attempt.cost.pico or 0

    def charged(self, kind: str, model: str, cost: Cost) -> None:
        """Count a charge, where it is known."""
        if cost.pico:
            self.cost.add(model, kind, amount=cost.pico / PICO_PER_USD)

    def refused(self, error: ArbiterError) -> None:
        """Count a chat request that ended in an error."""
        self.refusals.add(error.code)

    def _counter(self, name: str, labels: tuple[str, ...]) -> _Counts:
        found = _Counts(name, labels)
        self.registry.register(found)
        return found

    def _gauge(self, name: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(name, METRICS[name], labels, registry=self.registry)

    def _histogram(self, name: str) -> _Durations:
        found = _Durations(name)
        self.registry.register(found)
        return found


class _Counts(Collector):
    """The sums of one counter by the values of its labels. (A client library's counter takes a lock for each addition.)"""

    def __init__(self, name: str, labels: tuple[str, ...]) -> None:
        self._name, self._labels = name, labels
        self._sums: defaultdict[tuple[str, ...], float] = defaultdict(float)

    def add(self, *labels: str, amount: float = 1.0) -> None:
        """Move the counter with these values of its labels."""
        self._sums[labels] += amount

    def collect(self) -> Iterator[Metric]:
        metric = CounterMetricFamily(self._name, METRICS[self._name], labels=self._labels)
        for labels, value in self._sums.items():
            metric.add_metric(labels, value)
        yield metric


class _Noticed(Collector):
    """The notices of the process, by kind."""

    def __init__(self, name: str, label: str, noticed: notices.Notices) -> None:
        self._name, self._label, self._noticed = name, label, noticed

    def collect(self) -> Iterator[Metric]:
        metric = CounterMetricFamily(self._name, METRICS[self._name], labels=(self._label,))
        for kind, times in self._noticed.counts.items():
            metric.add_metric((kind,), times)
        yield metric


class _Durations(Collector):
    """A histogram of seconds."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._counts, self._sum = [0] * (len(_SECONDS) + 1), 0.0

    def observe(self, seconds: float) -> None:
        """Count one in."""
        self._counts[bisect_left(_SECONDS, seconds)] += 1
        self._sum += seconds

    def collect(self) -> Iterator[Metric]:
        ends = [*map(floatToGoString, _SECONDS), "+Inf"]
        buckets = list(zip(ends, accumulate(self._counts), strict=True))
        yield HistogramMetricFamily(self._name, METRICS[self._name], buckets=buckets, sum_value=self._sum)


_GAUGES = (
    "arbiter_saved_usd",
    "arbiter_running",
    "arbiter_queue_depth",
    "arbiter_store_pending",
    "arbiter_store_commits_total",
    "arbiter_store_write_seconds_total",
    "arbiter_store_degraded",
    "arbiter_store_lost_total",
    "arbiter_contents_kept_total",
    "arbiter_contents_dropped_total",
    "arbiter_journal_entries",
    "arbiter_journal_bytes",
    "arbiter_journal_max_bytes",
    "arbiter_journal_refuses",
    "arbiter_judgements_pending",
    "arbiter_shadow_pending",
    "arbiter_learned_age_seconds",
    "arbiter_tasks",
)


def total(snapshot: Snapshot, sample: str) -> float:
    """The sum of the samples of this name, whatever their labels."""
    return float(sum(value for _, _, _, samples in snapshot for name, _, value in samples if name == sample))


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
