"""What several processes on one store keep equal: statistics through the store, what is only in memory by telling.

Statistics are read inside the writer's own transaction, so that the snapshot holds exactly what this process had queued
before it asked, and what every other process has committed. What memory lacks of it is added; nothing counts twice.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from arbiter_app.metrics import Snapshot
from arbiter_app.policy import FIELDS, ModelStats
from arbiter_app.store import StoreError

if TYPE_CHECKING:
    from arbiter_app.services.arbiter import Arbiter

log = logging.getLogger("arbiter.sharing")

FOLLOW_S = 0.4
ROUNDING = 1e-9
"""Sums of floats differ in their last digits by the order in which they were added up."""

Known = Mapping[tuple[str, str], ModelStats]


class Sharing:
    """One process's side of it. `tell` sends a change to the others; alone, it goes nowhere."""

    def __init__(self, arbiter: Arbiter) -> None:
        self._arbiter = arbiter
        self.tell: Callable[[str, Any], None] = lambda kind, data: None
        self.process = "0" if arbiter.settings.workers else ""
        """The name of this process among those that share; empty where there is only one."""
        self.others: Callable[[], Awaitable[dict[str, Snapshot]]] = _nobody
        self._hurry = asyncio.Event()
        self.epoch = 0
        """Counts how often everything was forgotten, so that what was asked before is not added afterwards."""
        arbiter.keys.changed = lambda: self.tell("keys", None)
        arbiter.keys.signed_up = lambda address, email: self.tell("signup", [address, email])
        arbiter.health.told = lambda model, rest: self.tell("rest", [model, rest])
        arbiter.standing.changed = lambda refused: self.tell("standing", refused)

    async def follow(self) -> None:
        """Keep the policy up with what other processes teach, for as long as the process runs."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), FOLLOW_S)
            self._hurry.clear()
            try:
                await self.catch_up()
            except StoreError as error:
                log.info("what others learned comes later: %s", error)

    async def catch_up(self) -> None:
        """Add what other processes have taught since, if anything."""
        policy, epoch = self._arbiter.policy, self.epoch
        known = {(bucket, model): replace(stats) for bucket, model, stats in policy.rows()}
        stored = await self._arbiter.store.taught_elsewhere()
        if stored is None or self.epoch != epoch:
            return
        policy.merge(missing(known, stored))
        await self._arbiter.judging.learn_trust()

    def state(self) -> list[tuple[str, Any]]:
        """The changes that bring a new process up to date."""
        arbiter = self._arbiter
        prices = [("price", [model, times]) for model, times in arbiter.prices.active().items()]
        pool = [("routable", [model, on]) for model, on in arbiter.catalog.switches.items()]
        now = time.monotonic()
        return [*prices, *pool, *[("rest", [model, rest]) for model, rest in arbiter.health.snapshot(now).items()]]

    def hear(self, kind: str, data: Any) -> None:
        """Do what another process has done."""
        arbiter = self._arbiter
        if kind == "price":
            arbiter.prices.set(*data)
        elif kind == "rest":
            model, rest = data
            arbiter.health.hear(model, rest, time.monotonic())
        elif kind == "standing":
            arbiter.standing.hear(data)
        elif kind == "routable":
            arbiter.catalog = arbiter.catalog.routable(*data)
        elif kind == "alerted":
            arbiter.alerting.raised()
            for shift in data:
                arbiter.policy.moved(*shift)
            self._hurry.set()
        elif kind == "signup":
            arbiter.keys.count_sign_up(*data)
        elif kind == "keys":
            arbiter.keys_changed.set()
        elif kind == "reset":
            arbiter.forget()


async def _nobody() -> dict[str, Snapshot]:
    """The metrics of the other processes where there are none."""
    return {}


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
