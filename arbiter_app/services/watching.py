"""Looking for what operators want to be told of: alerts, models that rest, errors, the saving, and digests when they are due.

What was looked at last is in the store (`store.notifications.seen`), noted in the transaction that queues the messages: of several
processes one queues each, and a restart neither forgets nor repeats.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from datetime import time as clock
from functools import partial
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo

from arbiter_app.channels import Severity
from arbiter_app.moments import moment
from arbiter_app.pipeline.errors import OF_THE_SERVICE
from arbiter_app.pipeline.health import Health
from arbiter_app.services import alert_outcome, digest
from arbiter_app.services.budgets import Budgets, spent_event
from arbiter_app.services.notification_events import HOUR_S, EventKind, NotificationEvent
from arbiter_app.services.notifications import Notifications
from arbiter_app.services.reads import Reads
from arbiter_app.store import Store, StoreError, alerts, notification_rules, notifications
from arbiter_app.store.decisions import Filter

log = logging.getLogger("arbiter.notifications")

LOOK_S, SUMS_S = 2.0, 30.0
"""How often it is looked for alerts and resting models, and for what has to be summed up."""
FAILURES = 3
"""So often in a row a model failed before anybody is told that it rests: the first rest is some seconds."""
ERRORS_S, ERRORS_LEAST = 900.0, 20
FAILED_LOOKED_AT = 50_000
DAY_S = 86_400.0
SAVING_DAYS = 7
DIGEST_HOUR = 8
MONDAY = 0
LEAST_SPENT = 0.5
BUDGETS = frozenset({EventKind.BUDGET_50, EventKind.BUDGET_80, EventKind.BUDGET_100})
ALERT_KINDS: Mapping[str, EventKind] = {
    "price": EventKind.PRICE_SHIFT,
    "charge": EventKind.PRICE_SHIFT,
    "quality": EventKind.QUALITY_SHIFT,
    "new": EventKind.POOL_CHANGE,
    "gone": EventKind.POOL_CHANGE,
    "out_of_credit": EventKind.RUNTIME_REFUSAL,
    "key": EventKind.RUNTIME_REFUSAL,
}


class Watching:
    """The looks of one process. Digests are made at DIGEST_HOUR in `zone`. While there is no rule, nothing is looked at."""

    def __init__(
        self,
        *,
        store: Store,
        health: Health,
        reads: Reads,
        queue: Notifications,
        spending: Budgets,
        zone: ZoneInfo,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._health = health
        self._reads = reads
        self._queue = queue
        self._spending = spending
        self._zone = zone
        self._now = now
        self._rested: frozenset[str] = frozenset()
        self._first = True
        self._summed = float("-inf")

    async def run(self) -> None:
        """Look for as long as the process runs."""
        while True:
            try:
                await self.look()
            except StoreError as error:
                log.warning("it is looked for news later: %s", error)
            await asyncio.sleep(LOOK_S)

    async def look(self) -> None:
        """One look at everything that is due and that a rule wants to hear of."""
        self._look_at_rests()
        rules = await self._store.read(notification_rules.all_of)
        wanted = {kind for rule in rules for kind in rule["events"]}
        if not wanted:
            return
        await self._look_at_alerts()
        if abs(self._now() - self._summed) >= SUMS_S:
            self._summed = self._now()
            if wanted & BUDGETS:
                await self._look_at_budgets()
            if EventKind.ERROR_RATE in wanted:
                await self._look_at_errors({rule["error_share"] for rule in rules})
            if EventKind.SAVING_UNPROVEN in wanted:
                await self._look_at_saving()
            for kind in (EventKind.DIGEST_DAILY, EventKind.DIGEST_WEEKLY):
                if kind in wanted:
                    await self._make_digest(kind)

    async def _look_at_alerts(self) -> None:
        newest = await self._store.alerts(limit=1)
        seen = await self._store.read(notifications.seen)
        last = newest[0]["id"] if newest else 0
        if seen is None or seen.get("alert") != last:
            await self._queue_all(partial(_new_alerts, last=last), alert_event)

    def _look_at_rests(self) -> None:
        """Tell of models that began to rest; those that the runtime did not serve before a restart are known."""
        resting = self._health.snapshot(time.monotonic())
        rested = frozenset(
            model for model, rest in resting.items() if rest["gone"] or int(str(rest["failures"])) >= FAILURES
        )
        for model in sorted(rested - self._rested):
            if not (self._first and resting[model]["gone"]):
                self._queue.tell(rest_event(model, resting[model], self._now()))
        self._rested, self._first = rested, False

    async def _look_at_budgets(self) -> None:
        for row in await self._spending.listing():
            share = row["spent_usd"] / row["limit_usd"] if row["limit_usd"] > 0 else 0.0
            if share >= LEAST_SPENT:
                self._queue.tell(spent_event(row, share=share))

    async def _look_at_errors(self, shares: set[float]) -> None:
        now = self._now()
        rows = await self._store.totals(("mode",), since=now - ERRORS_S)
        calls, failed = sum(row["calls"] for row in rows), sum(row["failed"] for row in rows)
        if calls < ERRORS_LEAST or failed < min(shares) * calls:
            return
        failed = await self._store.in_turn(partial(self._failed, now - ERRORS_S))
        for share in sorted(shares):
            if failed >= share * calls:
                self._queue.tell(error_event(int(calls), failed, share, now))

    def _failed(self, since: float) -> int:
        """How many requests failed by no fault of their callers; of very many the newest are looked at."""
        rows = islice(self._store.stretch(Filter(status="failed", since=since)), FAILED_LOOKED_AT)
        return sum(row["error_code"] in OF_THE_SERVICE for row in rows)

    async def _look_at_saving(self) -> None:
        now = self._now()
        report = await self._reads.report(since=now - SAVING_DAYS * DAY_S)
        seen = await self._store.read(notifications.seen) or {}
        if seen.get("proven") == report["proven"]:
            return
        events = [saving_event(report, now)] if seen.get("proven") else []
        await self._queue_all(
            partial(_changed, name="proven", value=report["proven"], then=events), lambda event: event
        )

    async def _make_digest(self, kind: EventKind) -> None:
        """Queue the digest that is due, unless it was made, or none was looked for before."""
        due = last_due(kind, self._now(), self._zone)
        seen = await self._store.read(notifications.seen) or {}
        if seen.get(kind) == due.timestamp():
            return
        events = []
        if kind in seen:
            since = (due - timedelta(days=1 if kind is EventKind.DIGEST_DAILY else 7)).timestamp()
            report = await self._reads.report(since=since)
            moved = [row for row in await self._reads.alerts(limit=200) if row["ts"] >= since]
            text, html, figures = digest.digest(report, moved, since=since, until=self._now(), zone=self._zone)
            name = "Daily" if kind is EventKind.DIGEST_DAILY else "Weekly"
            title = f"{name} digest: {digest.usd(report['actual_spend'])} spent, {digest.usd(report['saved'])} saved"
            once = f"{kind}:{due:%Y-%m-%d}"
            events = [NotificationEvent(kind, "", once, title, text, Severity.INFO, html, figures)]
        work = partial(_changed, name=str(kind), value=due.timestamp(), then=events)
        await self._queue_all(work, lambda event: event, at=due.timestamp())

    async def _queue_all(
        self, find: Callable[..., Sequence[Any]], told: Callable[[Any], NotificationEvent], at: float | None = None
    ) -> None:
        """Find what is new and queue it, in one transaction; `at` is when it happened, now when absent."""

        def work(connection: Any) -> None:
            for found in find(connection):
                event = told(found)
                made = at if at is not None else found["ts"] if isinstance(found, dict) else self._now()
                self._queue.queue(connection, event, made)

        await self._store.writer.call(work)
        self._queue.changed()


def last_due(kind: EventKind, now: float, zone: ZoneInfo) -> datetime:
    """When a digest was last due: at DIGEST_HOUR of today or the day before, of the weekly one of a Monday."""
    local = moment(now, zone)
    day = local.date() if local.hour >= DIGEST_HOUR else local.date() - timedelta(days=1)
    if kind is EventKind.DIGEST_WEEKLY:
        day -= timedelta(days=(day.weekday() - MONDAY) % 7)
    return datetime.combine(day, clock(DIGEST_HOUR), zone)


def rest_event(model: str, rest: Mapping[str, object], now: float) -> NotificationEvent:
    """A model began to rest."""
    failures = f"It failed {rest['failures']} times in a row"
    why = "The runtime says that it does not serve it" if rest["gone"] else failures
    return NotificationEvent(
        kind=EventKind.QUARANTINE,
        subject=model,
        once=f"{EventKind.QUARANTINE}:{model}:{int(now // 60)}",
        title=f"{model} is quarantined",
        text=f"{why}: {str(rest['reason'])[:300]}. It rests, and others answer.",
        data={"failures": rest["failures"], "reason": str(rest["reason"])[:300], "gone": rest["gone"]},
    )


def error_event(calls: int, failed: int, share: float, now: float) -> NotificationEvent:
    """Many requests failed; rules with an `error_share` of `share` or less are told."""
    return NotificationEvent(
        kind=EventKind.ERROR_RATE,
        subject="all requests",
        once=f"{EventKind.ERROR_RATE}:{share:g}:{int(now // HOUR_S)}",
        title=f"{100 * failed / calls:.0f} % of the requests fail",
        text=f"{failed:,} of {calls:,} requests of the last 15 minutes failed.",
        severity=Severity.CRITICAL,
        data={"calls": calls, "failed": failed, "share": failed / calls},
        share=share,
    )


def saving_event(report: Mapping[str, Any], now: float) -> NotificationEvent:
    """The saving was proven, and is no longer."""
    interval = report["interval_usd"]
    known = (
        "too little was measured"
        if interval is None
        else f"the 95 % interval is {digest.usd(interval[0])} to {digest.usd(interval[1])}"
    )
    return NotificationEvent(
        kind=EventKind.SAVING_UNPROVEN,
        subject="saving",
        once=f"{EventKind.SAVING_UNPROVEN}:{int(now)}",
        title="The saving is no longer proven",
        text=f"Of the last {SAVING_DAYS} days, {digest.usd(report['saved'])} are estimated as saved; {known}.",
        data={"saved": report["saved"], "interval_usd": interval, "days": SAVING_DAYS},
    )


def alert_event(alert: Mapping[str, Any]) -> NotificationEvent:
    """An alert of the list of alerts."""
    moved, _ = alert_outcome.told(alert)
    kind = ALERT_KINDS.get(alert["kind"], EventKind.POOL_CHANGE)
    where = f" for {alert['bucket']}" if alert["bucket"] else ""
    return NotificationEvent(
        kind=kind,
        subject=f"{alert['model']}{where}",
        once=f"alert:{alert['kind']}:{alert['model']}:{alert['bucket']}:{alert['ts']:.3f}",
        title=f"{alert['model']}{where}: {moved}",
        text=str(alert["reason"]) or moved,
        severity=Severity.INFO if kind is EventKind.POOL_CHANGE else Severity.WARNING,
        data={name: alert[name] for name in ("task", "bucket", "model", "old_unit", "new_unit", "direction")},
    )


def _new_alerts(connection: Any, last: int) -> list[dict[str, Any]]:
    """The alerts after the one that was seen last, which this notes."""
    seen = (notifications.seen(connection) or {}).get("alert", 0)
    notifications.note_seen(connection, {"alert": last})
    return [alert for alert in alerts.after(connection, seen) if alert["id"] <= last]


def _changed(connection: Any, name: str, value: Any, then: Sequence[NotificationEvent]) -> Sequence[NotificationEvent]:
    """Note a change, and what is told of it; nothing where another process has noted it."""
    if (notifications.seen(connection) or {}).get(name) == value:
        return []
    notifications.note_seen(connection, {name: value})
    return then
