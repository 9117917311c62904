"""What people do besides routing: vote, override a price, reset. One implementation for API, pages and command line."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress

from arbiter_app.pipeline.errors import NotFound, Unprocessable
from arbiter_app.pipeline.learn import Learner
from arbiter_app.pipeline.prices import PriceOverrides
from arbiter_app.pipeline.types import Caller, Json, Mode, Role, Task
from arbiter_app.policy import Segment
from arbiter_app.services.audit import Audit
from arbiter_app.services.broadcast import Broadcast
from arbiter_app.services.catalog_holder import CatalogHolder
from arbiter_app.services.feed import Feed
from arbiter_app.services.judging import Judging
from arbiter_app.services.memory import Memory
from arbiter_app.services.replica_sync import ReplicaSync
from arbiter_app.services.rows.decisions import VoteAnswer
from arbiter_app.services.rows.models import PriceAnswer
from arbiter_app.services.rows.removals import ResetAnswer
from arbiter_app.store import Store, StoreError

RATINGS = {"up": True, "down": False}
UNROUTED = (Mode.PINNED, Mode.CALIBRATE)
"""Modes in which a person chose the model."""
MULTIPLIERS = (0.01, 1_000.0)


class Actions:
    """Authority has been checked by the door."""

    def __init__(
        self,
        *,
        store: Store,
        catalog: CatalogHolder,
        prices: PriceOverrides,
        learner: Learner,
        judging: Judging,
        memory: Memory,
        replicas: ReplicaSync,
        feed: Feed,
        broadcast: Broadcast,
        audit: Audit,
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._prices = prices
        self._learner = learner
        self._judging = judging
        self._memory = memory
        self._replicas = replicas
        self._feed = feed
        self._broadcast = broadcast
        self._audit = audit

    async def vote_on_decision(self, caller: Caller, decision_id: str, rating: str) -> VoteAnswer:
        """A thumb on the caller's own decision (an operator's: on any). The same rating twice counts once.

        Where the caller chose the model it is kept for the report, and does not count for the choice: nor does more than one a
        conversation and day (see `store.feedback`).
        """
        up = _rating(rating)
        row = await self._store.decision(decision_id)
        if row is None or (caller.role is not Role.OPERATOR and row["key_id"] != caller.key_id):
            raise NotFound(f"no decision {decision_id[:40]} of yours")
        if row["status"] != "ok":
            raise Unprocessable("this request was not answered, so there is nothing to rate", param="decision_id")
        score = row["quality"] if row["quality_source"] == "judge" else None
        about = {"conversation": row["conversation"], "counted": row["mode"] not in UNROUTED}
        segments = _segments(row["trace"])
        return await self._vote(caller, row["bucket"], row["model"], up, decision_id, score, about, segments)

    async def vote_on_model(self, caller: Caller, model: str, task: str, rating: str) -> VoteAnswer:
        """An operator's thumb on a model for a task."""
        up = _rating(rating)
        model = self._known(model)
        if task.partition(":")[0] not in set(Task) or task.partition(":")[2] not in ("", "hard"):
            raise Unprocessable(f"unknown task {task[:40]!r}; known are {', '.join(Task)}", param="task")
        return await self._vote(caller, task, model, up, None)

    async def simulate_price(self, model: str, multiplier: float) -> PriceAnswer:
        """Scale a model's reported cost in memory; 1 clears."""
        model = self._known(model)
        low, high = MULTIPLIERS
        if not math.isfinite(multiplier) or not low <= multiplier <= high:
            raise Unprocessable(
                f"multiplier must be between {low:g} and {high:g}, not {multiplier}", param="multiplier"
            )
        self._broadcast.send("price", self._prices.set(model, multiplier))
        told: PriceAnswer = {"model": model, "multiplier": multiplier, "active": multiplier != 1.0}
        self._feed.publish("price", {**told, "ts": time.time()})
        return told

    async def reset(self, caller: Caller) -> ResetAnswer:
        """Clear policy, feed, alerts, counters and overrides; keys, edits of models and the audit log stay."""
        await self._audit.note(caller, "store.reset", "everything learned and recorded")
        await self._store.reset()
        self._memory.forget()
        self._broadcast.send("reset", None)
        with suppress(StoreError):  # what was learned since the store was emptied is in it, and was forgotten
            await self._replicas.catch_up()
        self._feed.publish("reset", {"ts": time.time()})
        return {"status": "reset"}

    async def _vote(
        self,
        caller: Caller,
        bucket: str,
        model: str,
        up: bool,
        decision_id: str | None,
        score: float | None = None,
        about: Json | None = None,
        segments: Sequence[Segment] = (),
    ) -> VoteAnswer:
        rating = "up" if up else "down"
        row = {"ts": time.time(), "decision_id": decision_id, "key_id": caller.key_id, "bucket": bucket, "model": model}
        # A model itself is voted on by operators, once a day and task: that is a conversation of its own.
        about = about or {"conversation": f"model:{model}", "counted": True}
        owner = caller.email.casefold() or caller.key_id
        kept = {**row, **about, "rating": rating, "score": score, "owner": owner}
        before, counts = await self._store.add_feedback(kept)
        learner, judging = self._learner, self._judging
        if before is None or (before.rating, before.score, before.counted) != (rating, score, counts):
            if before is not None and before.counted:
                up_then = RATINGS[before.rating]
                pairs = judging.voted(bucket, before.score, up_then, withdrawn=True)
                await learner.vote(bucket, model, up=up_then, withdrawn=True, segments=segments, pairs=pairs)
            if counts:
                pairs = judging.voted(bucket, score, up)
                await learner.vote(bucket, model, up=up, segments=segments, pairs=pairs)
            await judging.learn_trust()
        return {"status": "recorded", "decision_id": decision_id, "task": bucket, "model": model, "rating": rating}

    def _known(self, model: str) -> str:
        """The id of a model by any of its names."""
        found = self._catalog.now.resolve(model)
        if found not in self._catalog.now.models:
            listed = ", ".join(sorted(self._catalog.now.models))
            raise Unprocessable(f"unknown model {model[:80]!r}; known are {listed}", param="model")
        return found


def _segments(trace: Json | None) -> list[Segment]:
    """The segments of its bucket that the request of a trace belongs to; none once the trace has been retired."""
    route = None if trace is None else trace.get("route")
    return [] if route is None else [(feature, value) for feature, value in route.get("segments", ())]


def _rating(rating: str) -> bool:
    if rating not in RATINGS:
        raise Unprocessable(f"rating must be up or down, not {rating[:40]!r}", param="rating")
    return RATINGS[rating]
