"""The composition root: the one place that makes services and hands each what it uses.

`start` opens everything that one process needs to route; `Services.close` ends it. Doors (the API, the pages, the worker pool)
take from `Services` what they serve; no service knows it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

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
from arbiter_app.pipeline.types import ChatRequest, Model
from arbiter_app.runtime import cost as meter
from arbiter_app.runtime.client import HttpRuntime
from arbiter_app.runtime.embeddings import HttpEmbeddings
from arbiter_app.runtime.sandbox import SANDBOX_KEY, SandboxServer, start_sandbox
from arbiter_app.runtime.sse import StreamAssembler
from arbiter_app.services.actions import Actions
from arbiter_app.services.admission import Admission
from arbiter_app.services.alerting import Alerting
from arbiter_app.services.alerts import Alerts
from arbiter_app.services.broadcast import Broadcast
from arbiter_app.services.calibrating import Caller
from arbiter_app.services.calibration import Calibrations
from arbiter_app.services.catalog_holder import CatalogHolder, facts_of
from arbiter_app.services.feed import Feed
from arbiter_app.services.judging import Judging
from arbiter_app.services.keys import Keys
from arbiter_app.services.memory import Memory
from arbiter_app.services.pool import Pool
from arbiter_app.services.reads import Reads, shown
from arbiter_app.services.replica_sync import ReplicaSync
from arbiter_app.services.requests import RequestService
from arbiter_app.services.status import Status
from arbiter_app.services.telemetry import Telemetry
from arbiter_app.services.upkeep import Background, Upkeep
from arbiter_app.services.what_if import WhatIf
from arbiter_app.settings import Settings
from arbiter_app.store import Store, notes, open_store
from arbiter_app.store.neighbours import Neighbours
from arbiter_app.tracing import Tracing, open_tracing

log = logging.getLogger("arbiter")

CLASSIFIER_ROOM, JUDGE_ROOM = 1_024, 2_048
"""Tokens of their answers: one word, one number, and what a model may think before it says so."""
SessionKey = Callable[[str], str | None]


@dataclass(slots=True, kw_only=True)
class Services:
    """What one process is made of. `first_key` is the operator's key that was made at the first start, to be shown once."""

    settings: Settings
    runtime_url: str
    store: Store
    runtime: HttpRuntime
    embeddings: HttpEmbeddings | None
    sandbox: SandboxServer | None
    tracing: Tracing | None
    catalog_holder: CatalogHolder
    policy: brain.Policy
    health: Health
    limits: Limits
    standing: Standing
    prices: PriceOverrides
    holdout: Holdout
    cache: ResponseCache | None
    classifier: Classifier
    estimates: LearnedEstimates
    router: Router
    learner: Learner
    judging: Judging
    requests: RequestService
    keys: Keys
    reads: Reads
    what_if: WhatIf
    actions: Actions
    calibrations: Calibrations
    alerting: Alerting
    alerts: Alerts
    pool: Pool
    replicas: ReplicaSync
    upkeep: Upkeep
    background: Background
    broadcast: Broadcast
    feed: Feed
    metrics: Metrics
    telemetry: Telemetry
    memory: Memory
    status: Status
    neighbours: Neighbours | None = None
    first_key: str | None = None

    @property
    def catalog(self) -> Catalog:
        """The catalog in force."""
        return self.catalog_holder.now

    async def close(self) -> None:
        """Finish what was begun (judges get a short while), then let go of store, runtime and sandbox."""
        self.requests.draining = True
        await self.background.close()
        await self.calibrations.close()
        await self.judging.close()
        await self.runtime.aclose()
        if self.embeddings is not None:
            await self.embeddings.aclose()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        await asyncio.to_thread(self.store.close)
        if self.neighbours is not None:
            self.neighbours.close()
        if self.sandbox is not None:
            await asyncio.to_thread(self.sandbox.stop)


async def start(settings: Settings, *, worker_of: str = "", session_key: SessionKey = lambda cookies: None) -> Services:
    """Open the store (migrating it), start the sandbox when there is no key, load what was learned, and begin the upkeep.

    `worker_of`: the runtime's URL, as told by the process that this one is a gateway worker of; that has the sandbox, and does
    the housekeeping. `session_key` gives the key id behind a Cookie header.
    """
    catalog = catalog_of(settings)
    store = open_store(settings.db, durability=settings.durability)
    sandbox = None
    if settings.sandbox and not worker_of:
        sandbox = start_sandbox(catalog, latency=settings.sandbox_latency, seed=settings.sandbox_seed)
    url = worker_of or (sandbox.url if sandbox is not None else settings.base_url)
    services = build(settings, store, catalog, runtime_url=url, sandbox=sandbox, session_key=session_key)
    for note in () if worker_of else settings.repaired:
        log.warning("%s", note)
    await services.pool.first()
    await _recall(services)
    minted = await services.keys.ensure_operator()
    services.first_key = minted.secret if minted is not None else None
    if store.path is not None and not worker_of:
        services.neighbours = Neighbours(store.path)
    alone = services.neighbours is not None and services.neighbours.other() is None
    await store.seal(anew=alone)
    await _begin_upkeep(services, worker=bool(worker_of))
    return services


async def _recall(services: Services) -> None:
    """Load what was learned and has to outlive a restart."""
    rows, state = await services.store.load_policy()
    services.policy.load(rows, state)
    services.router.conversations.recall(await services.store.conversations(CONVERSATIONS))
    for model, rest in notes.gone_models(state.get(notes.GONE), time.time()).items():
        services.health.hear(model, rest, time.monotonic())
    await services.judging.learn_trust()


async def _begin_upkeep(services: Services, *, worker: bool) -> None:
    upkeep, run = services.upkeep, services.background.run
    run(services.pool.follow())
    if not worker:
        run(upkeep.drop_what_is_old())
        run(services.alerting.run())
    run(upkeep.follow_keys())
    run(upkeep.follow_store(services.neighbours))
    if services.settings.workers:
        run(services.replicas.follow())
    if services.holdout.share > 0:
        await upkeep.read_holdout()
        run(upkeep.follow_holdout())


def build(
    settings: Settings,
    store: Store,
    catalog: Catalog,
    *,
    runtime_url: str,
    sandbox: SandboxServer | None,
    session_key: SessionKey,
) -> Services:
    """Make every service and hand it what it uses; nothing is opened that the store, the runtime and tracing do not open."""
    holder, feed, metrics, memory, status = CatalogHolder(catalog), Feed(), Metrics(), Memory(), Status()
    broadcast = Broadcast("0" if settings.workers else "")
    alerts = Alerts(feed, broadcast)
    tracing = open_tracing(settings.otlp_endpoint, runtime_url, content=settings.otlp_content)
    health = Health(
        first_s=settings.quarantine_s,
        max_s=settings.quarantine_max_s,
        gone_s=settings.gone_s,
        gone_max_s=settings.gone_max_s,
        send=broadcast.send,
    )
    limits, standing, prices, ratios = Limits(), Standing(broadcast.send), PriceOverrides(), TokenRatios()
    holdout = Holdout(settings.routing.holdout_share, settings.routing.holdout_usd_per_day)
    runtime, embeddings = _runtime(settings, runtime_url), _embeddings(settings)
    cache, meaning = _cache(settings), _meaning(settings, embeddings)
    kept = KeptAnswers(cache, meaning, _cache_keys(settings))
    policy = brain.build(
        settings.policy, catalog=facts_of(catalog), baseline=catalog.baseline, settings=settings.routing
    )

    def model_of(model_id: str) -> Model:
        return holder.now.model(model_id)

    def publish(decision: Decision) -> None:
        metrics.seen(decision)
        if tracing is not None:
            tracing.seen(decision)
        if feed.listeners:
            feed.publish("decision", shown(decision.row()))

    def asker(
        kind: str, model: Callable[[], str], timeout_s: float, room: int, understood: Callable[[str], bool]
    ) -> Asker:
        return Asker(
            runtime,
            meter,
            lambda: holder.now.askable(model()),
            prices.multiplier_of,
            kind=kind,
            timeout_s=timeout_s,
            room=room,
            charged=lambda asked, cost: metrics.charged(kind, asked, cost),
            understood=understood,
        )

    learner = Learner(
        policy,
        store.ledger,
        now=time.time,
        trust=lambda bucket: judging.trust(bucket),
        publish=publish,
        alerted=alerts.raised,
    )
    judges = asker(
        "judge",
        lambda: holder.now.judge,
        settings.judge_timeout_s,
        JUDGE_ROOM,
        lambda text: parse_judgement(text) is not None,
    )
    classifiers = asker(
        "classifier",
        lambda: holder.now.classifier,
        settings.classify_timeout_s,
        CLASSIFIER_ROOM,
        lambda text: parse_task(text) is not None,
    )
    judging = Judging(
        Judge(judges.ask),
        learner,
        feed=feed,
        sample=settings.judge_sample,
        check=settings.judge_check,
        check_usd_per_day=settings.judge_check_usd_per_day,
        name=lambda: judges.model,
        read=store.agreement,
        rng=random.Random(),
        graded=kept.keep,
    )
    classifier = Classifier(classifiers.ask, timeout_s=settings.classify_timeout_s)
    calls = Calls(
        runtime,
        health,
        meter,
        model_of=model_of,
        multiplier_of=prices.multiplier_of,
        learned_usd=lambda bucket, model: policy.expected_cost_usd(bucket, model, 0, 0),
        max_attempts=settings.max_attempts,
        limits=limits,
        standing=standing,
        set_aside=claims.count,
    )
    estimates = LearnedEstimates(lambda: holder.now, policy, ratios, health, limits)
    router = Router(policy, baseline=lambda: holder.now.baseline, holdout=holdout, rng=random.Random(), now=time.time)
    lifecycle = Lifecycle(
        classifier=classifier,
        estimates=estimates,
        router=router,
        calls=calls,
        cascade=Cascade(calls, router, settings.cascade_below if settings.cascade else -1.0),
        recorder=Recorder(learner),
        kept=kept,
        assembler=StreamAssembler,
        judge=judging.follow,
        wants_judge=judging.wants,
        timeout_s=settings.request_timeout_s,
    )
    keys = Keys(store, settings, send=broadcast.send, session_key=session_key)
    requests = RequestService(
        lifecycle,
        keys,
        metrics,
        Admission(settings.max_concurrency, settings.max_queue, settings.queue_wait_s),
        # The runtime has `request_timeout_s`; as long again for a caller to read. Who reads slower gives up its place.
        longest_s=2 * settings.request_timeout_s,
    )
    what_if = WhatIf(store=store, catalog=holder, policy=policy, routing=settings.routing)
    caller = Caller(
        classifier=classifier,
        estimates=estimates,
        calls=calls,
        learner=learner,
        judge=lambda: judging.judge,
        timeout_s=settings.request_timeout_s,
    )
    memory.keep(policy.forget, health.forget, limits.forget, prices.clear, holdout.forget, what_if.forget)
    memory.keep(judging.forget, *[part.forget for part in (cache, meaning) if part is not None])
    return Services(
        settings=settings,
        runtime_url=runtime_url,
        store=store,
        runtime=runtime,
        embeddings=embeddings,
        sandbox=sandbox,
        tracing=tracing,
        catalog_holder=holder,
        policy=policy,
        health=health,
        limits=limits,
        standing=standing,
        prices=prices,
        holdout=holdout,
        cache=cache,
        classifier=classifier,
        estimates=estimates,
        router=router,
        learner=learner,
        judging=judging,
        requests=requests,
        keys=keys,
        reads=Reads(
            settings=settings,
            store=store,
            catalog=holder,
            policy=policy,
            health=health,
            prices=prices,
            cache=cache,
            judging=judging,
            askers=(classifiers, judges),
        ),
        what_if=what_if,
        actions=Actions(
            store=store,
            catalog=holder,
            prices=prices,
            learner=learner,
            judging=judging,
            memory=memory,
            feed=feed,
            broadcast=broadcast,
        ),
        calibrations=Calibrations(
            store=store, catalog=holder, prices=prices, policy=policy, learner=learner, caller=caller, feed=feed
        ),
        alerting=Alerting(store=store, catalog=holder, health=health, standing=standing, alerts=alerts, feed=feed),
        alerts=alerts,
        pool=Pool(settings=settings, runtime=runtime, catalog=holder, policy=policy, status=status),
        replicas=ReplicaSync(
            store=store,
            catalog=holder,
            policy=policy,
            judging=judging,
            prices=prices,
            health=health,
            standing=standing,
            alerts=alerts,
            keys=keys,
            memory=memory,
        ),
        upkeep=Upkeep(settings, store, keys, holdout, feed, status),
        background=Background(),
        broadcast=broadcast,
        feed=feed,
        metrics=metrics,
        telemetry=Telemetry(metrics, requests, store, judging, health),
        memory=memory,
        status=status,
    )


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
