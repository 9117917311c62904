"""The one service object behind the three doors (API, pages, command line), and the one place that wires it up."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from arbiter_app import policy as brain
from arbiter_app.catalog import Catalog, catalog_of
from arbiter_app.metrics import Metrics
from arbiter_app.notices import claims
from arbiter_app.pipeline.ask import Asker
from arbiter_app.pipeline.cache import Keys as CacheKeys
from arbiter_app.pipeline.cache import ResponseCache, keys_of
from arbiter_app.pipeline.call import Calls
from arbiter_app.pipeline.cascade import Cascade
from arbiter_app.pipeline.classify import Classifier, parse_task
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.estimates import LearnedEstimates
from arbiter_app.pipeline.health import Health
from arbiter_app.pipeline.holdout import Holdout
from arbiter_app.pipeline.judge import Judge, parse_judgement
from arbiter_app.pipeline.kept import KeptAnswers
from arbiter_app.pipeline.learn import Learner
from arbiter_app.pipeline.lifecycle import Lifecycle
from arbiter_app.pipeline.limits import Limits
from arbiter_app.pipeline.meaning import MeaningIndex
from arbiter_app.pipeline.prices import PriceOverrides
from arbiter_app.pipeline.record import Recorder
from arbiter_app.pipeline.route import CONVERSATIONS, Router
from arbiter_app.pipeline.standing import Standing
from arbiter_app.pipeline.tokens import TokenRatios
from arbiter_app.pipeline.types import ChatRequest, Mode, Model
from arbiter_app.runtime import cost as meter
from arbiter_app.runtime.client import HttpRuntime
from arbiter_app.runtime.embeddings import HttpEmbeddings
from arbiter_app.runtime.sandbox import SANDBOX_KEY, SandboxServer, start_sandbox
from arbiter_app.runtime.sse import StreamAssembler
from arbiter_app.services.actions import Actions
from arbiter_app.services.admission import Admission
from arbiter_app.services.alerting import Alerting
from arbiter_app.services.calibrating import Caller
from arbiter_app.services.calibration import Calibrations
from arbiter_app.services.feed import Feed
from arbiter_app.services.judging import Judging
from arbiter_app.services.keys import Keys
from arbiter_app.services.pool import Pool
from arbiter_app.services.reads import Reads, shown
from arbiter_app.services.requests import RequestService
from arbiter_app.services.sharing import FOLLOW_S, Sharing
from arbiter_app.services.what_if import WhatIf
from arbiter_app.settings import Settings
from arbiter_app.store import Store, StoreError, notes, open_store
from arbiter_app.store.neighbours import Neighbours
from arbiter_app.tracing import open_tracing

log = logging.getLogger("arbiter")

HOLDOUT_READ_S = 10.0
STORE_LOOK_S = 0.25
CLASSIFIER_ROOM, JUDGE_ROOM = 1_024, 2_048
"""Tokens of their answers: one word, one number, and what a model may think before it says so."""


class Arbiter:
    """Everything one process needs to route: built by `start`, ended by `close`.

    Public parts: `settings`, `catalog`, `policy`, `store`, `runtime`, `lifecycle`, `health`, `prices`, `feed`,
    `cache`, `judging`, `keys`, `reads`, `actions`.
    """

    def __init__(
        self,
        settings: Settings,
        store: Store,
        catalog: Catalog,
        *,
        runtime_url: str,
        sandbox: SandboxServer | None = None,
    ) -> None:
        self.settings = settings
        self.store = store
        self.sandbox = sandbox
        self.runtime_url = runtime_url
        self.catalog = catalog
        self.started_at = time.monotonic()
        self.not_ready = ""
        self.neighbour = ""
        self.first_key: str | None = None
        self.runtime_seen_at: float | None = None
        self.prices = PriceOverrides()
        self.holdout = Holdout(settings.routing.holdout_share, settings.routing.holdout_usd_per_day)
        self.feed = Feed()
        self.metrics = Metrics()
        self.tracing = open_tracing(settings.otlp_endpoint, runtime_url, content=settings.otlp_content)
        self.health = Health(
            first_s=settings.quarantine_s,
            max_s=settings.quarantine_max_s,
            gone_s=settings.gone_s,
            gone_max_s=settings.gone_max_s,
        )
        self.limits = Limits()
        self.standing = Standing()
        self.cache = _cache(settings)
        self.embeddings = _embeddings(settings)
        self.meaning = _meaning(settings, self.embeddings)
        self.kept = KeptAnswers(self.cache, self.meaning, _cache_keys(settings))
        self.ratios = TokenRatios()
        self.runtime = _runtime(settings, runtime_url)
        self.policy = brain.build(
            settings.policy, catalog=_facts(catalog), baseline=catalog.baseline, settings=settings.routing
        )
        self.learner = Learner(
            self.policy,
            store.ledger,
            now=time.time,
            trust=lambda bucket: self.judging.trust(bucket),
            publish=self._publish,
            alerted=self.alerted,
        )
        self.judges = self._asker(
            "judge",
            lambda: self.catalog.judge,
            settings.judge_timeout_s,
            JUDGE_ROOM,
            lambda text: parse_judgement(text) is not None,
        )
        self.classifiers = self._asker(
            "classifier",
            lambda: self.catalog.classifier,
            settings.classify_timeout_s,
            CLASSIFIER_ROOM,
            lambda text: parse_task(text) is not None,
        )
        self.judging = Judging(
            Judge(self.judges.ask),
            self.learner,
            feed=self.feed,
            sample=settings.judge_sample,
            check=settings.judge_check,
            check_usd_per_day=settings.judge_check_usd_per_day,
            name=lambda: self.judges.model,
            read=store.agreement,
            rng=random.Random(),
            graded=lambda decision: self.kept.keep(decision),
        )
        self.classifier = Classifier(
            self.classifiers.ask,
            timeout_s=settings.classify_timeout_s,
        )
        self.lifecycle = self._lifecycle()
        self.keys = Keys(store, settings)
        self.requests = RequestService(
            self.lifecycle,
            self.keys,
            self.metrics,
            Admission(settings.max_concurrency, settings.max_queue, settings.queue_wait_s),
            # The runtime has `request_timeout_s`; as long again for a caller to read. Who reads slower gives up its place.
            longest_s=2 * settings.request_timeout_s,
        )
        self.keys_changed = asyncio.Event()
        """Another process says that it changed keys."""
        self.what_if = WhatIf(self)
        self.reads = Reads(self)
        self.actions = Actions(self)
        self.calibrations = Calibrations(self)
        self.alerting = Alerting(self)
        self.sharing = Sharing(self)
        self.pool = Pool(self)
        self._neighbours: Neighbours | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    @classmethod
    async def start(cls, settings: Settings, *, worker_of: str = "") -> Arbiter:
        """Open the store (migrating it), start the sandbox when there is no key, load what was learned.

        `worker_of`: the runtime's URL, as told by the process that this one is a gateway worker of; that has the sandbox,
        and does the housekeeping.
        """
        catalog = catalog_of(settings)
        store = open_store(settings.db, durability=settings.durability)
        sandbox = _sandbox(settings, catalog) if settings.sandbox and not worker_of else None
        url = worker_of or (sandbox.url if sandbox is not None else settings.base_url)
        arbiter = cls(settings, store, catalog, runtime_url=url, sandbox=sandbox)
        for note in () if worker_of else settings.repaired:
            log.warning("%s", note)
        await arbiter.pool.first()
        rows, state = await store.load_policy()
        arbiter.policy.load(rows, state)
        arbiter.router.conversations.recall(await store.conversations(CONVERSATIONS))
        for model, rest in notes.gone_models(state.get(notes.GONE), time.time()).items():
            arbiter.health.hear(model, rest, time.monotonic())
        await arbiter.judging.learn_trust()
        minted = await arbiter.keys.ensure_operator()
        if minted is not None:
            arbiter.first_key = minted.secret
        arbiter._background(arbiter.pool.follow())
        if not worker_of:
            arbiter._background(arbiter._keep_house())
            arbiter._background(arbiter.alerting.run())
        arbiter._background(arbiter._follow_keys())
        if store.path is not None and not worker_of:
            arbiter._neighbours = Neighbours(store.path)
        alone = arbiter._neighbours is not None and arbiter._neighbours.other() is None
        await store.seal(anew=alone)
        arbiter._background(arbiter._follow_store())
        if settings.workers:
            arbiter._background(arbiter.sharing.follow())
        if arbiter.holdout.share > 0:
            await arbiter.read_holdout()
            arbiter._background(arbiter._follow_holdout())
        return arbiter

    async def close(self) -> None:
        """Finish what was begun (judges get a short while), then let go of store, runtime and sandbox."""
        self.requests.draining = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.calibrations.close()
        await self.judging.close()
        await self.runtime.aclose()
        if self.embeddings is not None:
            await self.embeddings.aclose()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        await asyncio.to_thread(self.store.close)
        if self._neighbours is not None:
            self._neighbours.close()
        if self.sandbox is not None:
            await asyncio.to_thread(self.sandbox.stop)

    def quarantined(self) -> dict[str, dict[str, object]]:
        """The models that rest after a failure."""
        return self.health.snapshot(time.monotonic())

    def facts(self) -> dict[str, brain.ModelFacts]:
        """What the policy may know of the catalog's models."""
        return _facts(self.catalog)

    def facts_of(self, catalog: Catalog) -> dict[str, brain.ModelFacts]:
        """The same of another catalog."""
        return _facts(catalog)

    def forget(self) -> None:
        """Drop everything learned and remembered in memory (the store is reset by its own method)."""
        self.sharing.epoch += 1
        self.policy.forget()
        self.health.forget()
        self.limits.forget()
        self.prices.clear()
        self.holdout.forget()
        self.what_if.forget()
        self.judging.forget()
        for memory in (self.cache, self.meaning):
            if memory is not None:
                memory.forget()

    def _lifecycle(self) -> Lifecycle:
        settings = self.settings
        calls = Calls(
            self.runtime,
            self.health,
            meter,
            model_of=self._part,
            multiplier_of=self.prices.multiplier_of,
            learned_usd=lambda bucket, model: self.policy.expected_cost_usd(bucket, model, 0, 0),
            max_attempts=settings.max_attempts,
            limits=self.limits,
            standing=self.standing,
            set_aside=claims.count,
        )
        estimates = LearnedEstimates(lambda: self.catalog, self.policy, self.ratios, self.health, self.limits)
        self.caller = Caller(
            classifier=self.classifier,
            estimates=estimates,
            calls=calls,
            learner=self.learner,
            judge=lambda: self.judging.judge,
            timeout_s=settings.request_timeout_s,
        )
        self.router = Router(
            self.policy,
            baseline=lambda: self.catalog.baseline,
            holdout=self.holdout,
            rng=random.Random(),
            now=time.time,
        )
        return Lifecycle(
            classifier=self.classifier,
            estimates=estimates,
            router=self.router,
            calls=calls,
            cascade=Cascade(calls, self.router, settings.cascade_below if settings.cascade else -1.0),
            recorder=Recorder(self.learner),
            kept=self.kept,
            assembler=StreamAssembler,
            judge=self.judging.follow,
            wants_judge=self.judging.wants,
            timeout_s=settings.request_timeout_s,
        )

    def _asker(
        self, kind: str, model: Callable[[], str], timeout_s: float, room: int, understood: Callable[[str], bool]
    ) -> Asker:
        return Asker(
            self.runtime,
            meter,
            lambda: self.catalog.askable(model()),
            self.prices.multiplier_of,
            kind=kind,
            timeout_s=timeout_s,
            room=room,
            charged=lambda asked, cost: self.metrics.charged(kind, asked, cost),
            understood=understood,
        )

    def _part(self, model_id: str) -> Model:
        """A model of the catalog by id."""
        return self.catalog.model(model_id)

    def _publish(self, decision: Decision) -> None:
        self.metrics.seen(decision)
        if self.tracing is not None:
            self.tracing.seen(decision)
        if self.feed.listeners:
            self.feed.publish("decision", shown(decision.row()))

    def alerted(self, alerts: list[dict[str, Any]]) -> None:
        """Tell the log and whoever listens of new alerts, and follow them up."""
        self.alerting.raised()
        self.sharing.tell("alerted", [[alert["kind"], alert["bucket"], alert["model"]] for alert in alerts])
        for alert in alerts:
            log.warning("%s shift of %s: %s", alert["kind"], alert["model"], alert["reason"])
            self.feed.publish("alert", alert)

    def _background(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("a background task ended", exc_info=task.exception())

    async def _follow_keys(self) -> None:
        """Bring in keys that another process or the command line changed."""
        said = ""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.keys_changed.wait(), FOLLOW_S)
            self.keys_changed.clear()
            try:
                await self.keys.follow()
                said = ""
            except StoreError as error:
                if str(error) != said:
                    said = str(error)
                    log.warning("the keys are as they were a while ago: %s", error)

    async def _follow_store(self) -> None:
        """Tell open pages when the store stops taking writes, and when it takes them again; look for other Arbiters."""
        told = ""
        while True:
            self._look_for_neighbours()
            await asyncio.sleep(STORE_LOOK_S)
            await self.store.look()
            if self.store.ledger.degraded != told:
                told = self.store.ledger.degraded
                self.feed.publish("store", {"degraded": told})

    def _look_for_neighbours(self) -> None:
        """Say that another Arbiter serves from the same file: the records stay right, but the two learn apart."""
        other = None if self._neighbours is None else self._neighbours.other()
        before, self.neighbour = (
            self.neighbour,
            ""
            if other is None
            else (
                f"another Arbiter (process {other}) serves from the same database: the two learn and count apart; "
                "for more processes set ARBITER_WORKERS"
            ),
        )
        if self.neighbour and self.neighbour != before:
            log.warning("%s", self.neighbour)

    async def read_holdout(self) -> None:
        """Bring in what every process has spent on the holdout today."""
        now = time.time()
        rows = await self.store.day_totals(("mode",), now)
        self.holdout.known(now, sum(row["cost_pico"] for row in rows if row["mode"] == Mode.HOLDOUT))

    async def _follow_holdout(self) -> None:
        """Keep to the day's budget together with the other processes."""
        while True:
            await asyncio.sleep(HOLDOUT_READ_S)
            try:
                await self.read_holdout()
            except StoreError as error:
                log.warning("what the holdout cost today is as it was a while ago: %s", error)

    async def _keep_house(self) -> None:
        """Retention and roll-up compaction, in small steps, once an hour."""
        while True:
            await asyncio.sleep(3600)
            try:
                await self.store.retain(
                    now=time.time(),
                    keep_decisions=self.settings.keep_decisions,
                    keep_trace_days=self.settings.keep_trace_days,
                )
            except StoreError as error:
                log.warning("what is too old stays for another hour: %s", error)


def _sandbox(settings: Settings, catalog: Catalog) -> SandboxServer:
    return start_sandbox(catalog, latency=settings.sandbox_latency, seed=settings.sandbox_seed)


def _runtime(settings: Settings, url: str) -> HttpRuntime:
    key = settings.gateway_api_key
    return HttpRuntime(
        url,
        SANDBOX_KEY if key is None else key.get_secret_value(),
        connect_timeout_s=settings.connect_timeout_s,
        first_byte_timeout_s=settings.first_byte_timeout_s,
        gap_timeout_s=settings.gap_timeout_s,
        max_answers_bytes=settings.max_answers_bytes,
    )


def _cache(settings: Settings) -> ResponseCache | None:
    if not settings.cache:
        return None
    return ResponseCache(
        entries=settings.cache_entries,
        max_bytes=settings.cache_bytes,
        ttl_s=settings.cache_ttl_s,
        min_quality=settings.cache_min_quality,
    )


def _cache_keys(settings: Settings) -> Callable[[ChatRequest], CacheKeys | None]:
    """What may be answered from the cache: who searches it by meaning wants it for all requests."""
    everybody = settings.cache_all or bool(settings.embeddings_url)
    return partial(keys_of, everybody=everybody, near=settings.cache_near)


def _embeddings(settings: Settings) -> HttpEmbeddings | None:
    if not settings.cache or not settings.embeddings_url:
        return None
    key = settings.embeddings_api_key
    return HttpEmbeddings(
        settings.embeddings_url, key.get_secret_value() if key is not None else "", settings.embeddings_model
    )


def _meaning(settings: Settings, embeddings: HttpEmbeddings | None) -> MeaningIndex | None:
    if embeddings is None:
        return None
    return MeaningIndex(embeddings.embed, threshold=settings.embeddings_threshold, entries=settings.cache_entries)


def _facts(catalog: Catalog) -> dict[str, brain.ModelFacts]:
    return {
        model.id: brain.ModelFacts(
            input_usd_per_token=model.input_usd,
            output_usd_per_token=model.output_usd,
            prior=model.prior,
            coarse_request_usd=None,
        )
        for model in catalog.models.values()
        if model.listed or not model.joined
    }
