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
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from arbiter_app import policy as brain
from arbiter_app.catalog import Catalog
from arbiter_app.catalog_file import catalog_of
from arbiter_app.channels import Sender
from arbiter_app.dialects.openai_chat.upstream import CHAT
from arbiter_app.dialects.wires import WIRES
from arbiter_app.metrics import Metrics
from arbiter_app.notices import claims
from arbiter_app.pipeline.ask import MOST_ROOM, Asker
from arbiter_app.pipeline.budget_gate import BudgetGate
from arbiter_app.pipeline.cache import CacheKeys, ResponseCache, keys_of
from arbiter_app.pipeline.cached_answers import CachedAnswers
from arbiter_app.pipeline.call import Calls
from arbiter_app.pipeline.cascade import Cascade
from arbiter_app.pipeline.ceilings import Ceilings
from arbiter_app.pipeline.classify import Classifier, parse_task
from arbiter_app.pipeline.decision import Decision
from arbiter_app.pipeline.deployments import Deployments
from arbiter_app.pipeline.estimates import LearnedEstimates
from arbiter_app.pipeline.health import Health
from arbiter_app.pipeline.holdout import Holdout
from arbiter_app.pipeline.judge import Judge, parse_judgement, parse_judgements
from arbiter_app.pipeline.learn import Learner
from arbiter_app.pipeline.lifecycle import Lifecycle
from arbiter_app.pipeline.limits import LearnedLimits
from arbiter_app.pipeline.meaning import MeaningIndex
from arbiter_app.pipeline.preview import Preview
from arbiter_app.pipeline.prices import PriceOverrides
from arbiter_app.pipeline.record import Recorder
from arbiter_app.pipeline.route import CONVERSATIONS, Router
from arbiter_app.pipeline.standing import Standing
from arbiter_app.pipeline.tokens import TokenRatios
from arbiter_app.pipeline.types import DEFAULT_RUNTIME, PICO_PER_USD, ChatRequest, Mode
from arbiter_app.pipeline.wishes import Wishes
from arbiter_app.pool.rates import rates_of
from arbiter_app.runtime import cost as meter
from arbiter_app.runtime.assembler import StreamAssembler
from arbiter_app.runtime.client import HttpRuntime
from arbiter_app.runtime.clients import client_of
from arbiter_app.runtime.embeddings import HttpEmbeddings
from arbiter_app.runtime.sandbox import SANDBOX_KEY, SandboxServer, start_sandbox
from arbiter_app.services.actions import Actions
from arbiter_app.services.admission import Admission
from arbiter_app.services.alerting import Alerting
from arbiter_app.services.alerts import Alerts
from arbiter_app.services.audit import Audit
from arbiter_app.services.broadcast import Broadcast
from arbiter_app.services.budgets import Budgets
from arbiter_app.services.calibration import Calibrations
from arbiter_app.services.catalog_holder import CatalogHolder, facts_of
from arbiter_app.services.contents import Contents
from arbiter_app.services.delivering import Delivering, Place
from arbiter_app.services.embedding import Embeddings
from arbiter_app.services.encryption import Encryption
from arbiter_app.services.exchanges import Exchanges
from arbiter_app.services.feed import Feed
from arbiter_app.services.fleet import Fleet
from arbiter_app.services.hosts import Hosts
from arbiter_app.services.judging import Judging
from arbiter_app.services.key_admin import KeyAdmin
from arbiter_app.services.keys import Keys
from arbiter_app.services.memory import Memory
from arbiter_app.services.model_edits import ModelEdits
from arbiter_app.services.notification_rules import NotificationRules
from arbiter_app.services.notifications import Notifications
from arbiter_app.services.people import People
from arbiter_app.services.pool import Pool
from arbiter_app.services.pool_report import PoolReport
from arbiter_app.services.prompt_runner import PromptRunner
from arbiter_app.services.reacting import Reacting
from arbiter_app.services.reads import Reads, shown
from arbiter_app.services.replica_sync import ReplicaSync
from arbiter_app.services.requests import RequestService
from arbiter_app.services.sessions import Sessions
from arbiter_app.services.shadows import Shadows
from arbiter_app.services.spend import Spend
from arbiter_app.services.spend_change import SpendChanges
from arbiter_app.services.status import Status
from arbiter_app.services.telemetry import Telemetry
from arbiter_app.services.upkeep import Background, Upkeep
from arbiter_app.services.watching import Watching
from arbiter_app.services.what_if import WhatIf
from arbiter_app.settings import Settings, SettingsError
from arbiter_app.store import Store, alerts, open_store
from arbiter_app.store.neighbours import Neighbours
from arbiter_app.tracing import open_tracing

if TYPE_CHECKING:
    from arbiter_app.store.valkey import ValkeyAnswers

log = logging.getLogger("arbiter")

CLASSIFIER_ROOM, JUDGE_ROOM = 1_024, 2_048
"""Tokens of their answers: one word, one number, and what a model may think before it says so."""
QUESTION_CHARS = 5_000
"""Characters of Arbiter's own words around what it asks a model about, and of an ask that is classified."""
RESERVED_S = 10.0
"""Seconds that a reservation outlives the longest request: what is written late while the store is busy."""


class Services:
    """Every service of one process, made when it is first asked for, and handed what it uses.

    `first_key` is the operator's key that was made at the first start, to be shown once.
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
        self.runtime_url = runtime_url
        self.sandbox = sandbox
        self.catalog_holder = CatalogHolder(catalog)
        self.runtime = _runtime(settings, runtime_url)
        self.runtimes = {DEFAULT_RUNTIME: self.runtime} | {
            name: client_of(config, settings, self.runtime.budget) for name, config in catalog.runtimes.items()
        }
        self.embeddings = _embeddings(settings)
        self.tracing = open_tracing(
            settings.otlp_endpoint,
            {DEFAULT_RUNTIME: runtime_url} | {name: one.base_url for name, one in catalog.runtimes.items()},
            content=settings.otlp_content,
        )
        self.sender = Sender(settings.environment)
        self.feed, self.status, self.background = Feed(), Status(), Background()
        self.metrics = Metrics(settings.known_as)
        self.broadcast = Broadcast("0" if settings.workers else "")
        self.alerts = Alerts(self.feed, self.broadcast)
        self.audit = Audit(store)
        self.sessions = Sessions(
            store,
            per_key=settings.sessions_per_key,
            attempts_per_minute=settings.signins_per_minute,
            send=self.broadcast.send,
        )
        self.people = People(store, send=self.broadcast.send)
        self.keys = Keys(store, settings, send=self.broadcast.send, sessions=self.sessions, people=self.people)
        self.key_admin = KeyAdmin(
            store, self.keys, keeps=bool(settings.content_keys), projects_changed=lambda: self.exchanges.follow()
        )
        self.budgets = Budgets(
            store,
            lasts_s=2 * settings.request_timeout_s + RESERVED_S,
            send=self.broadcast.send,
            tell=lambda event: self.notifications.tell(event),
        )
        self.health = Health(
            first_s=settings.quarantine_s,
            max_s=settings.quarantine_max_s,
            gone_s=settings.gone_s,
            gone_max_s=settings.gone_max_s,
            send=self.broadcast.send,
        )
        self.standing = Standing(self.broadcast.send)
        self.limits, self.prices, self.ratios = LearnedLimits(), PriceOverrides(), TokenRatios()
        self.deployments = Deployments(
            lambda: self.catalog_holder.now,
            self.health,
            self.limits,
            moved=self._know_prices,
            dialect_of=lambda name: self.runtimes[name].dialect,
            cached_usd=lambda model: float(rates_of(model).cached) / PICO_PER_USD,
        )
        self.holdout = Holdout(settings.routing.holdout_share, settings.routing.holdout_usd_per_day)
        self.policy = brain.build(
            settings.policy, catalog=facts_of(catalog), baseline=catalog.baseline, settings=settings.routing
        )
        self.cache = _cache(settings)
        self.shared = _shared(settings)
        self.meaning = _meaning(settings, self.embeddings)
        self.kept = CachedAnswers(self.cache, self.meaning, _cache_keys(settings), self.shared)
        self.neighbours: Neighbours | None = None
        self.first_key: str | None = None

    @property
    def catalog(self) -> Catalog:
        """The catalog in force."""
        return self.catalog_holder.now

    # What answers

    @cached_property
    def classifiers(self) -> Asker:
        """Asks the classifier model, or who stands in for it."""
        timeout_s = self.settings.classify_timeout_s
        return self._asker(
            "classifier", lambda: self.catalog_holder.now.classifier, timeout_s, CLASSIFIER_ROOM, _names_a_task
        )

    @cached_property
    def classifier(self) -> Classifier:
        """Stage 1."""
        return Classifier(self.classifiers.ask, timeout_s=self.settings.classify_timeout_s)

    @cached_property
    def estimates(self) -> LearnedEstimates:
        """Stage 2, and what baseline and tokens are reckoned at."""
        return LearnedEstimates(
            lambda: self.catalog_holder.now, self.policy, self.ratios, self.deployments, self.limits
        )

    @cached_property
    def ceilings(self) -> Ceilings:
        """What calls may cost at most."""
        return Ceilings(meter, self.ratios, multiplier_of=self.prices.multiplier_of, level_of=self.policy.price_level)

    @cached_property
    def budget_gate(self) -> BudgetGate:
        """Which models fit into what budgets leave."""
        return BudgetGate(
            self.budgets,
            self.ceilings,
            at=lambda model: self.catalog_holder.now.at(model),
            question=lambda: (self.classifiers.dearest, QUESTION_CHARS, MOST_ROOM),
        )

    @cached_property
    def router(self) -> Router:
        """Stage 3."""
        return Router(
            self.policy,
            baseline=lambda: self.catalog_holder.now.baseline,
            holdout=self.holdout,
            licensed_only=self.settings.routing.serve is brain.Serve.LICENSED,
            trials=(lambda request: self.shadows.trials(request)) if self.settings.shadow else None,
            base_of=lambda model: self.catalog_holder.now.model(model).base,
            rng=random.Random(),
            now=time.time,
        )

    @cached_property
    def calls(self) -> Calls:
        """Stage 4."""
        return Calls(
            self.runtimes,
            self.deployments,
            self.health,
            meter,
            multiplier_of=self.prices.multiplier_of,
            learned_usd=lambda bucket, model: self.policy.expected_cost_usd(bucket, model, 0, 0),
            max_attempts=self.settings.max_attempts,
            limits=self.limits,
            ceilings=self.ceilings,
            standing=self.standing,
            set_aside=claims.count,
            signer=lambda key_id, mark: self.router.conversations.signed.model_of(key_id, (mark,)),
        )

    @cached_property
    def learner(self) -> Learner:
        """Stage 6."""
        return Learner(
            self.policy,
            self.store.ledger,
            now=time.time,
            trust=lambda bucket: self.judging.trust(bucket),
            publish=self._publish,
            alerted=self.alerts.raised,
            priced=self.deployments.priced,
            baseline=lambda: self.catalog_holder.now.baseline,
        )

    @cached_property
    def lifecycle(self) -> Lifecycle:
        """The six stages."""
        settings = self.settings
        return Lifecycle(
            wishes=self.wishes,
            classifier=self.classifier,
            estimates=self.estimates,
            budgets=self.budget_gate,
            router=self.router,
            calls=self.calls,
            cascade=Cascade(self.calls, self.router, settings.cascade_below if settings.cascade else -1.0),
            recorder=Recorder(self.learner),
            kept=self.kept,
            assembler=StreamAssembler,
            keep=self.exchanges.keep,
            beside=self.shadows.take,
            judge=self.judging.follow,
            wants_judge=self.judging.wants,
            react=self.reacting.follow,
            timeout_s=settings.request_timeout_s,
        )

    @cached_property
    def encryption(self) -> Encryption:
        """Of what is kept for others, and of what opens channels."""
        return Encryption(self.settings.content_keys)

    @cached_property
    def contents(self) -> Contents:
        """Responses that are kept."""
        settings = self.settings
        return Contents(
            self.store,
            self.encryption,
            hours=settings.keep_content_hours,
            most_bytes=settings.max_body_bytes,
        )

    @cached_property
    def exchanges(self) -> Exchanges:
        """What was asked and answered, for the projects that keep it."""
        most_bytes = self.settings.max_body_bytes
        return Exchanges(self.store, self.encryption, lambda: self.requests, self.audit, most_bytes=most_bytes)

    @cached_property
    def wishes(self) -> Wishes:
        """What callers wish."""
        return Wishes(lambda: self.catalog, honour_model=self.settings.honour_model)

    @cached_property
    def preview(self) -> Preview:
        """How a request would be served."""
        timeout_s = self.settings.request_timeout_s
        return Preview(self.wishes, self.classifier, self.estimates, self.router, self.budget_gate, timeout_s)

    @cached_property
    def embedding(self) -> Embeddings:
        """Embeddings of the models that callers name."""
        return Embeddings(
            self.runtimes,
            meter,
            self.lifecycle.recorder,
            self.standing,
            self.budgets,
            self.ceilings,
            catalog=lambda: self.catalog,
            multiplier_of=self.prices.multiplier_of,
            timeout_s=self.settings.request_timeout_s,
        )

    @cached_property
    def requests(self) -> RequestService:
        """The one way in."""
        settings = self.settings
        admission = Admission(settings.max_concurrency, settings.max_queue, settings.queue_wait_s)
        # The runtime has `request_timeout_s`; as long again for a caller to read. Who reads slower gives up its place.
        longest_s = 2 * settings.request_timeout_s
        return RequestService(self.lifecycle, self.keys, self.metrics, admission, longest_s=longest_s)

    # What learns beside the answers

    @cached_property
    def judges(self) -> Asker:
        """Asks the judge's model, or who stands in for it."""
        timeout_s = self.settings.judge_timeout_s
        return self._asker("judge", lambda: self.catalog_holder.now.judge, timeout_s, JUDGE_ROOM, _gives_a_score)

    @cached_property
    def judging(self) -> Judging:
        """Grades answers that have no objective check."""
        settings = self.settings
        return Judging(
            Judge(self.judges.ask),
            self.learner,
            feed=self.feed,
            sample=settings.judge_sample,
            check=settings.judge_check,
            check_usd_per_day=settings.judge_check_usd_per_day,
            name=lambda: self.judges.model,
            read=self.store.agreement,
            rng=random.Random(),
            graded=self.kept.keep,
            spending=self.budgets,
            price=lambda chars: self.ceilings.question_pico(QUESTION_CHARS + chars, MOST_ROOM, self.judges.dearest),
            sets_bar=self._sets_bar,
        )

    @cached_property
    def reacting(self) -> Reacting:
        """Learns from what happens next."""
        return Reacting(
            self.learner,
            self.metrics,
            on=self.settings.reactions,
            known=lambda: self.judging.known,
            take_in=self.judging.take_in,
            trust=lambda bucket: self.judging.trust(bucket),
        )

    @cached_property
    def shadows(self) -> Shadows:
        """Asks models beside answers."""
        settings = self.settings
        return Shadows(
            at_once=settings.shadow_concurrency,
            per_s=settings.shadow_per_s,
            timeout_s=settings.request_timeout_s,
            policy=self.policy,
            calls=self.calls,
            estimates=self.estimates,
            learner=self.learner,
            judging=self.judging,
            spending=self.budgets,
            metrics=self.metrics,
            way=lambda: self.requests,
        )

    @cached_property
    def calibrations(self) -> Calibrations:
        """An operator's prompts on every model."""
        runner = PromptRunner(
            requests=self.requests,
            classifier=self.classifier,
            estimates=self.estimates,
            calls=self.calls,
            learner=self.learner,
            judge=lambda: self.judging.judge,
            timeout_s=self.settings.request_timeout_s,
        )
        return Calibrations(
            store=self.store,
            catalog=self.catalog_holder,
            prices=self.prices,
            policy=self.policy,
            learner=self.learner,
            runner=runner,
            feed=self.feed,
        )

    @cached_property
    def alerting(self) -> Alerting:
        """Follows alerts up."""
        return Alerting(
            store=self.store,
            catalog=self.catalog_holder,
            health=self.health,
            deployments=self.deployments,
            standing=self.standing,
            alerts=self.alerts,
            feed=self.feed,
        )

    @cached_property
    def notifications(self) -> Notifications:
        """Takes events for operators."""
        return Notifications(self.store, self.feed)

    @cached_property
    def notification_rules(self) -> NotificationRules:
        """Who is told of what."""
        return NotificationRules(self.store, self.encryption, self.sender)

    @cached_property
    def delivering(self) -> Delivering:
        """Sends what operators are told."""
        settings = self.settings
        place = Place(settings.known_as, settings.public_url, settings.time_zone)
        return Delivering(self.store, self.notification_rules, self.notifications, self.sender, self.feed, place)

    @cached_property
    def watching(self) -> Watching:
        """Looks for what operators want to be told of."""
        return Watching(
            store=self.store,
            health=self.health,
            reads=self.reads,
            queue=self.notifications,
            spending=self.budgets,
            zone=ZoneInfo(self.settings.time_zone),
        )

    @cached_property
    def pool(self) -> Pool:
        """Keeps the catalog to what the runtimes list."""
        return Pool(
            settings=self.settings,
            runtimes=self.runtimes,
            catalog=self.catalog_holder,
            deployments=self.deployments,
            policy=self.policy,
            status=self.status,
        )

    @cached_property
    def model_edits(self) -> ModelEdits:
        """What operators say of models."""
        return ModelEdits(
            store=self.store,
            catalog=self.catalog_holder,
            pool=self.pool,
            broadcast=self.broadcast,
            feed=self.feed,
        )

    @cached_property
    def memory(self) -> Memory:
        """What a reset forgets."""
        learned = (
            self.policy,
            self.health,
            self.limits,
            self.deployments,
            self.holdout,
            self.what_if,
            self.judging,
            self.reacting,
            self.shadows,
            self.alerting,
        )
        kept = [part for part in (self.cache, self.meaning, self.shared) if part is not None]
        return Memory([part.forget for part in (*learned, self.prices, *kept, self.calibrations)])

    @cached_property
    def replicas(self) -> ReplicaSync:
        """Keeps this process equal to the others."""
        return ReplicaSync(
            store=self.store,
            model_edits=self.model_edits,
            policy=self.policy,
            judging=self.judging,
            prices=self.prices,
            health=self.health,
            standing=self.standing,
            alerts=self.alerts,
            keys=self.keys,
            sessions=self.sessions,
            people=self.people,
            budgets=self.budgets,
            memory=self.memory,
            send=self.broadcast.send,
        )

    @cached_property
    def hosts(self) -> Hosts:
        """Other machines on the same database."""
        return Hosts(self.store, self.broadcast, self.replicas)

    @cached_property
    def upkeep(self) -> Upkeep:
        """What goes on beside the requests."""
        return Upkeep(
            self.settings,
            self.store,
            self.keys,
            self.sessions,
            self.people,
            self.budgets,
            self.holdout,
            self.feed,
            self.status,
            contents=self.contents,
            exchanges=self.exchanges,
        )

    # What people see and do

    @cached_property
    def reads(self) -> Reads:
        """Reports."""
        return Reads(
            settings=self.settings,
            store=self.store,
            catalog=self.catalog_holder,
            policy=self.policy,
            health=self.health,
            deployments=self.deployments,
            prices=self.prices,
            cache=self.cache,
            judging=self.judging,
            reacting=self.reacting,
            askers=(self.classifiers, self.judges),
        )

    @cached_property
    def pool_report(self) -> PoolReport:
        """The pool as operators see it."""
        return PoolReport(reads=self.reads, catalog=self.catalog_holder, pool=self.pool, edits=self.model_edits)

    @cached_property
    def spend(self) -> Spend:
        """Who spent it."""
        return Spend(self.store, self.key_admin)

    @cached_property
    def spend_changes(self) -> SpendChanges:
        """A period beside the one before."""
        return SpendChanges(self.store)

    @cached_property
    def what_if(self) -> WhatIf:
        """Other settings on the traffic that was seen."""
        return WhatIf(store=self.store, catalog=self.catalog_holder, policy=self.policy, routing=self.settings.routing)

    @cached_property
    def actions(self) -> Actions:
        """Votes, prices, reset."""
        return Actions(
            store=self.store,
            catalog=self.catalog_holder,
            prices=self.prices,
            learner=self.learner,
            judging=self.judging,
            memory=self.memory,
            replicas=self.replicas,
            feed=self.feed,
            broadcast=self.broadcast,
            audit=self.audit,
        )

    @cached_property
    def telemetry(self) -> Telemetry:
        """Metrics."""
        return Telemetry(
            self.metrics,
            self.requests,
            self.store,
            self.judging,
            self.shadows,
            self.health,
            self.exchanges,
            self.reads.licences,
            self.replicas.age_s,
        )

    @cached_property
    def fleet(self) -> Fleet:
        """How every host is."""
        return Fleet(self.settings, self.store, self.requests, self.telemetry, broadcast=self.broadcast, feed=self.feed)

    async def close(self) -> None:
        """Finish what was begun (judges get a short while), then let go of store, runtime and sandbox."""
        self.requests.draining = True
        await self.background.close()
        await self.calibrations.close()
        await self.shadows.close()
        await self.exchanges.close()
        await self.judging.close()
        await self.sender.close()
        for runtime in self.runtimes.values():
            await runtime.aclose()
        if self.embeddings is not None:
            await self.embeddings.aclose()
        if self.shared is not None:
            await self.shared.close()
        await self.fleet.leave()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        await asyncio.to_thread(self.store.close)
        if self.neighbours is not None:
            self.neighbours.close()
        if self.sandbox is not None:
            await asyncio.to_thread(self.sandbox.stop)

    def _know_prices(self) -> None:
        """Tell the policy at which prices the models would be served now."""
        self.policy.know(facts_of(self.catalog, self.deployments.serving), self.catalog.baseline)

    def _sets_bar(self, decision: Decision) -> bool:
        """Whether this is one of the first answers of the baseline in its bucket, which set the bar."""
        few = self.policy.graded(decision.bucket, decision.model) < self.settings.routing.baseline_first
        return few and decision.model == self.catalog.baseline and decision.mode is Mode.EXPLOIT

    def _publish(self, decision: Decision) -> None:
        self.metrics.seen(decision)
        if self.tracing is not None:
            self.tracing.seen(decision)
        if self.feed.listeners:
            self.feed.publish("decision", shown(decision.row()))

    def _asker(
        self, kind: str, model: Callable[[], str], timeout_s: float, room: int, understood: Callable[[str], bool]
    ) -> Asker:
        return Asker(
            self.runtimes,
            meter,
            lambda: self.deployments.askable(model()),
            self.prices.multiplier_of,
            kind=kind,
            timeout_s=timeout_s,
            room=room,
            charged=lambda asked, cost: self.metrics.charged(kind, asked, cost),
            understood=understood,
        )


async def start(settings: Settings, *, worker_of: str = "") -> Services:
    """Open the store (migrating it), start the sandbox when there is no key, load what was learned, and begin the upkeep.

    `worker_of`: the runtime's URL, as told by the process that this one is a gateway worker of; that has the sandbox, and does
    the housekeeping.
    """
    catalog = catalog_of(settings)
    store = open_store(
        settings.db,
        durability=settings.durability,
        connections=settings.db_connections,
        journal=Path(settings.journal),
        journal_bytes=settings.journal_bytes,
    )
    sandbox = None
    if settings.sandbox and not worker_of:
        sandbox = start_sandbox(catalog, latency=settings.sandbox_latency, seed=settings.sandbox_seed)
    url = worker_of or (sandbox.url if sandbox is not None else settings.base_url)
    services = Services(settings, store, catalog, runtime_url=url, sandbox=sandbox)
    for note in () if worker_of else settings.repaired:
        log.warning("%s", note)
    await services.model_edits.load()
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
    for model, rest in alerts.gone_models(state.get(alerts.GONE), time.time()).items():
        services.health.hear(model, rest, time.monotonic())
    await services.judging.learn_trust()
    await services.budgets.refresh()
    await services.sessions.refresh()
    await services.people.refresh()
    await services.exchanges.follow()


async def _begin_upkeep(services: Services, *, worker: bool) -> None:
    upkeep, run = services.upkeep, services.background.run
    run(services.pool.follow())
    if not worker:
        await services.hosts.join()
        run(upkeep.drop_what_is_old())
        run(upkeep.drop_contents())
        run(services.alerting.run())
        run(services.delivering.run())
        run(services.watching.run())
        run(services.fleet.run())
    run(upkeep.follow_keys())
    run(upkeep.follow_budgets())
    run(upkeep.follow_sessions())
    run(upkeep.follow_people())
    run(upkeep.follow_projects())
    run(services.model_edits.follow())
    run(upkeep.give_memory_back())
    run(upkeep.follow_store(services.neighbours))
    if services.settings.workers or services.store.backend.shared:
        run(services.replicas.follow())
    if services.holdout.share > 0:
        await upkeep.read_holdout()
        run(upkeep.follow_holdout())


def _names_a_task(text: str) -> bool:
    return parse_task(text) is not None


def _gives_a_score(text: str) -> bool:
    return parse_judgement(text) is not None or parse_judgements(text) is not None


def _runtime(settings: Settings, url: str) -> HttpRuntime:
    key = settings.gateway_api_key
    return HttpRuntime(
        url,
        SANDBOX_KEY if key is None else key.get_secret_value(),
        wire=WIRES[settings.sandbox_dialect] if settings.sandbox else CHAT,
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


def _shared(settings: Settings) -> ValkeyAnswers | None:
    if not settings.cache or settings.valkey_url is None:
        return None
    from arbiter_app.store.valkey import (
        ValkeyAnswers,  # redis-py takes 70 ms, and OpenTelemetry with it where that is installed
    )

    try:
        url = settings.valkey_url.get_secret_value()
        return ValkeyAnswers(url, ttl_s=settings.cache_ttl_s, wait_s=settings.valkey_timeout_s)
    except ValueError as error:
        raise SettingsError(f"ARBITER_VALKEY_URL: {error}") from None


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
