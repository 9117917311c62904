"""Sending what waits: claimed from the store, so that each message is sent by one process; tried again with growing rests.

A message that failed every try is dead: kept for operators, who may send it again. A process that dies between sending and noting
leaves its message to others once the claim has run out: it may arrive twice, with the same id.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

from arbiter_app.channels import ChannelKind, OutgoingMessage, Sender, SendResult, Severity
from arbiter_app.moments import moment
from arbiter_app.services.encryption import Unreadable
from arbiter_app.services.feed import Feed
from arbiter_app.services.notification_events import TEST, EventKind
from arbiter_app.services.notification_rules import NotificationRules
from arbiter_app.services.notifications import Notifications
from arbiter_app.store import Store, StoreError, notification_rules, notifications

log = logging.getLogger("arbiter.notifications")

RESTS_S = (5.0, 60.0, 300.0, 1_800.0, 7_200.0, 18_000.0)
"""Rests between tries, each up to a fifth longer by chance: seven tries within about eight hours."""
LONGEST_S = 86_400.0
"""A receiver that asks for more than this (`Retry-After`) is asked again after it."""
POLL_S = 2.0
"""How often it is looked for messages that another process queued, or whose rest is over."""
LEASE_S = 120.0
AT_ONCE = 8
"""Messages under way at once, of different rules: those of one rule go out one after the other."""


class Delivering:
    """Sends for as long as the process runs."""

    def __init__(
        self,
        store: Store,
        rules: NotificationRules,
        queue: Notifications,
        sender: Sender,
        feed: Feed,
        place: Place,
        *,
        rests_s: Sequence[float] = RESTS_S,
        poll_s: float = POLL_S,
        now: Callable[[], float] = time.time,
        rng: random.Random | None = None,
    ) -> None:
        self._store = store
        self._rules = rules
        self._queue = queue
        self._sender = sender
        self._feed = feed
        self._place = place
        self._rests_s = rests_s
        self._poll_s = poll_s
        self._now = now
        self._rng = random.Random() if rng is None else rng
        self._under_way: dict[str, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Send what is due, and go on doing so."""
        try:
            while True:
                self._queue.news.clear()
                try:
                    await self.send_due()
                except StoreError as error:
                    log.warning("messages are sent later: %s", error)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._queue.news.wait(), self._poll_s)
        finally:
            for task in self._under_way.values():
                task.cancel()
            await asyncio.gather(*self._under_way.values(), return_exceptions=True)

    async def send_due(self) -> int:
        """Begin to send one message of each rule that has one due, as far as there is room; how many."""
        room = AT_ONCE - len(self._under_way)
        if room <= 0 or not await self._store.read(notifications.next_due, self._now()):
            return 0
        work = partial(notifications.claim, now=self._now(), lease_s=LEASE_S, most=room, busy=list(self._under_way))
        claimed = await self._store.writer.call(work)
        for row in claimed:
            task = asyncio.create_task(self._deliver(row))
            self._under_way[row["rule_id"]] = task
            task.add_done_callback(partial(self._done, row["rule_id"]))
        return len(claimed)

    def _done(self, rule_id: str, task: asyncio.Task[None]) -> None:
        del self._under_way[rule_id]
        self._queue.news.set()
        if not task.cancelled() and task.exception() is not None:
            log.error("a message could not be sent or noted", exc_info=task.exception())

    async def _deliver(self, row: Mapping[str, Any]) -> None:
        rule = await self._store.read(notification_rules.one, row["rule_id"])
        if rule is None:
            return
        try:
            opens = self._rules.opened(rule)
            result = await self._sender.send(
                ChannelKind(rule["channel"]), opens.address, opens.signing, outgoing(row, self._place)
            )
        except Unreadable as error:
            result = SendResult(False, f"the address cannot be read: {error}")
        if not result.ok:
            log.warning("a message for the rule %s was not taken: %s", rule["id"], result.said)
        await self._store.writer.call(
            partial(notifications.settle, message_id=row["id"], values=self._after(row, result))
        )
        self._feed.publish("notification", {})

    def _after(self, row: Mapping[str, Any], result: SendResult) -> dict[str, Any]:
        """What becomes of a message after a try."""
        now, tries = self._now(), row["attempts"] + 1
        values: dict[str, Any] = {"attempts": tries, "said": result.said[:500]}
        if result.ok:
            return {**values, "state": notifications.SENT, "ended": now}
        if result.final or tries > len(self._rests_s) or row["kind"] == "test":
            return {**values, "state": notifications.DEAD, "ended": now}
        rest_s = self._rests_s[tries - 1] * (1 + 0.2 * self._rng.random())
        return {**values, "due": now + min(LONGEST_S, max(rest_s, result.retry_after_s or 0.0))}


PAGES: Mapping[str, str] = {
    **dict.fromkeys((EventKind.BUDGET_50, EventKind.BUDGET_80, EventKind.BUDGET_100), "/app/key"),
    **dict.fromkeys((EventKind.SAVING_UNPROVEN, EventKind.DIGEST_DAILY, EventKind.DIGEST_WEEKLY), "/app"),
    EventKind.ERROR_RATE: "/app/activity?status=failed",
    TEST: "/app/notifications",
}
"""Where more is to be seen of a kind of event; of the others on *Models*."""


@dataclass(frozen=True, slots=True)
class Place:
    """Who sends: the name of this host, the URL by which people open it (empty: not known), and the time zone of what they read."""

    host: str = ""
    url: str = ""
    zone: str = "UTC"

    def page(self, kind: str) -> str:
        """The URL of where more of such events is to be seen; empty where none is known."""
        return f"{self.url.rstrip('/')}{PAGES.get(kind, '/app/models')}" if self.url else ""

    def said(self, kind: str, ts: float) -> str:
        """When something happened, and where more of it is: `30 Nov 2026 12:58 UTC, https://arbiter.example.com/app/models`."""
        return f"{moment(ts, ZoneInfo(self.zone)):%-d %b %Y %H:%M %Z}, {self.page(kind) or f'Arbiter on {self.host}'}"


def outgoing(row: Mapping[str, Any], place: Place) -> OutgoingMessage:
    """A stored message as it is sent; it says how many were held back before it, when it was, and who sends it."""
    body, url = row["body"], place.page(row["kind"])
    held = body["held"]
    more = f"\n\n{held:,} more {'was' if held == 1 else 'were'} held back before this." if held else ""
    return OutgoingMessage(
        id=row["id"],
        kind=row["kind"],
        subject=row["subject"],
        ts=row["made"],
        severity=Severity(body["severity"]),
        title=body["title"],
        text=body["text"] + more,
        html=body["html"],
        where=place.said(row["kind"], row["made"]),
        data={**body["data"], "host": place.host, **({"url": url} if url else {})},
    )
