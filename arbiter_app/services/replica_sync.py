"""What several processes on one store keep equal: statistics through the store, segments and what is only in memory by telling.

Statistics are read inside the writer's own transaction, so that the snapshot holds exactly what this process had queued
before it asked, and what every other process has committed. What memory lacks of it is added; nothing counts twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from arbiter_app.pipeline.health import Health
from arbiter_app.pipeline.prices import PriceOverrides
from arbiter_app.pipeline.standing import Standing
from arbiter_app.policy import FIELDS, ModelStats, Policy
from arbiter_app.services.alerts import Alerts
from arbiter_app.services.budgets import Budgets
from arbiter_app.services.judging import Judging
from arbiter_app.services.keys import Keys
from arbiter_app.services.memory import Memory
from arbiter_app.services.model_edits import ModelEdits
from arbiter_app.services.people import People
from arbiter_app.services.sessions import Sessions
from arbiter_app.services.upkeep import FOLLOW_S
from arbiter_app.store import Store, StoreError

log = logging.getLogger("arbiter.sharing")

ROUNDING = 1e-9
"""Sums of floats differ in their last digits by the order in which they were added up."""

Known = Mapping[tuple[str, str], ModelStats]


class ReplicaSync:
    """One process's side of it: what it sends goes out by `Broadcast`."""

    def __init__(
        self,
        *,
        store: Store,
        model_edits: ModelEdits,
        policy: Policy,
        judging: Judging,
        prices: PriceOverrides,
        health: Health,
        standing: Standing,
        alerts: Alerts,
        keys: Keys,
        sessions: Sessions,
        people: People,
        budgets: Budgets,
        memory: Memory,
        send: Callable[[str, Any], None],
    ) -> None:
        self._store = store
        self._send = send
        self._model_edits = model_edits
        self._policy = policy
        self._judging = judging
        self._prices = prices
        self._health = health
        self._standing = standing
        self._alerts = alerts
        self._keys = keys
        self._sessions = sessions
        self._people = people
        self._budgets = budgets
        self._memory = memory
        self._hurry = asyncio.Event()
        self._catching_up = asyncio.Lock()
        self._generation = memory.generation
        self._caught_up_at: float | None = None

    def age_s(self) -> float:
        """How long ago what other processes taught was taken in, seconds; 0 where nobody is followed."""
        return 0.0 if self._caught_up_at is None else time.monotonic() - self._caught_up_at

    async def follow(self) -> None:
        """Keep the policy up with what other processes teach, for as long as the process runs."""
        self._caught_up_at, said = time.monotonic(), ""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), FOLLOW_S)
            self._hurry.clear()
            self.tell()
            try:
                await self.catch_up()
                self._caught_up_at = time.monotonic()
            except StoreError as error:
                if str(error) != said:
                    log.info("what others learned comes later: %s", error)
                said = str(error)
            else:
                said = ""

    def tell(self) -> None:
        """Tell the others what was learned of segments here."""
        news = self._policy.segment_news()
        if news:
            self._send("segments", news)

    async def catch_up(self) -> None:
        """Add what other processes have taught since, if anything; after memory was forgotten, all that is stored.

        One at a time: two that read the same would both add it.
        """
        async with self._catching_up:
            policy, generation = self._policy, self._memory.generation
            known = {(bucket, model): replace(stats) for bucket, model, stats in policy.rows()}
            stored = await self._store.taught_elsewhere(anew=generation != self._generation)
            if self._memory.generation != generation:
                return
            self._generation = generation
            if stored is None:
                return
            policy.merge(missing(known, stored))
            await self._judging.learn_trust()

    def state(self) -> list[tuple[str, Any]]:
        """The changes that bring a new process up to date."""
        now = time.monotonic()
        return [*self.dated(), *[("rest", [model, rest]) for model, rest in self._health.snapshot(now).items()]]

    def dated(self) -> list[tuple[str, Any]]:
        """Those of the changes that have a time, and so do no harm where something later is known."""
        return [("price", change) for change in self._prices.told()]

    def receive(self, kind: str, data: Any) -> None:
        """Do what another process has done."""
        if kind == "price":
            self._prices.hear(*data)
        elif kind == "rest":
            model, rest = data
            self._health.hear(model, rest, time.monotonic())
        elif kind == "standing":
            self._standing.hear(data)
        elif kind == "models":
            self._model_edits.stale.set()
        elif kind == "alerted":
            self._alerts.expect()
            for shift in data:
                self._policy.moved(*shift)
            self._hurry.set()
        elif kind == "segments":
            self._policy.hear_segments(data)
        elif kind == "signup":
            self._keys.count_sign_up(*data)
        elif kind == "keys":
            self._keys.stale.set()
        elif kind == "sessions":
            self._sessions.stale.set()
        elif kind == "people":
            self._people.stale.set()
        elif kind == "budgets":
            self._budgets.stale.set()
        elif kind == "reset":
            self._memory.forget()


def missing(known: Known, stored: Iterable[tuple[str, str, ModelStats]]) -> list[tuple[str, str, ModelStats]]:
    """What has to be added to `known` to make it `stored`, which is everything there is."""
    found = {(bucket, model): stats for bucket, model, stats in stored}
    nothing = ModelStats()
    deltas = []
    for bucket, model in {**known, **found}:
        delta = _difference(found.get((bucket, model), nothing), known.get((bucket, model), nothing))
        if delta:
            deltas.append((bucket, model, ModelStats(**delta)))
    return deltas


def _difference(new: ModelStats, old: ModelStats) -> dict[str, float]:
    pairs = {name: (getattr(new, name), getattr(old, name)) for name in FIELDS}
    return {name: a - b for name, (a, b) in pairs.items() if abs(a - b) > ROUNDING * abs(a)}
