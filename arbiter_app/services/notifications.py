"""Telling operators: events come in, messages for every rule that wants them go to the store, and from there to their channels.

`tell` never waits and never raises: it may be called wherever something happens, by any process. Messages are sent at least
once, by whichever process claims them first (`services.delivering`).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from arbiter_app.channels import Severity
from arbiter_app.pipeline.errors import NotFound, Unprocessable
from arbiter_app.pipeline.plain import quoted
from arbiter_app.services.feed import Feed
from arbiter_app.services.notification_events import QUIET_S, TEST, NotificationEvent
from arbiter_app.services.rows.alerts import NotificationRow
from arbiter_app.store import Store, notification_rules, notifications

log = logging.getLogger("arbiter.notifications")

PER_HOUR = 30
"""Messages that a rule has in an hour at most; what is more is held back, and counted in the next one."""
REMEMBERED = 2_000
"""Events that were told lately: telling one of them again costs nothing."""
MAX_TITLE, MAX_TEXT, MAX_HTML = 200, 20_000, 200_000


class Notifications:
    """The messages of one store. `news` is set when there may be something to send."""

    def __init__(self, store: Store, feed: Feed, *, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._feed = feed
        self._now = now
        self._told: OrderedDict[str, None] = OrderedDict()
        self.news = asyncio.Event()

    def tell(self, event: NotificationEvent) -> None:
        """Queue an event for every rule that wants it, once per rule. Never waits, never raises; call it on the event loop.

        While the database refuses writes, it is queued in memory as records are.
        """
        if event.once in self._told:
            return
        self._told[event.once] = None
        while len(self._told) > REMEMBERED:
            self._told.popitem(last=False)
        work = partial(self.queue, event=event, made=self._now())
        self._store.writer.call(work, keep=True).add_done_callback(self._added)

    def queue(self, connection: Any, event: NotificationEvent, made: float) -> list[str]:
        """Queue an event that happened at `made`, inside a transaction of the writer; the rules that are told."""
        body = {
            "title": event.title[:MAX_TITLE],
            "text": event.text[:MAX_TEXT],
            "html": event.html[:MAX_HTML],
            "severity": event.severity,
            "data": dict(event.data),
        }
        row = {"id": f"msg_{secrets.token_hex(12)}", "kind": str(event.kind), "made": made, "body": body}
        row |= {"subject": event.subject[:MAX_TITLE], "once": event.once[:500]}
        quiet_s = QUIET_S.get(event.kind, 0.0)
        return notifications.add(connection, row, share=event.share, quiet_s=quiet_s, per_hour=PER_HOUR)

    async def test(self, rule_id: str) -> str:
        """Queue a test message for a rule, muted or not; its id. Raises NotFound."""
        rule = await self._store.read(notification_rules.one, rule_id)
        if rule is None:
            raise NotFound(f"no rule {quoted(rule_id)}; see GET /v1/notifications/rules")
        body = {"title": "A test from Arbiter", "html": "", "severity": Severity.INFO, "data": {}}
        body["text"] = f"The rule “{rule['name']}” works: this is where its messages arrive."
        row = {"id": f"msg_{secrets.token_hex(12)}", "kind": TEST, "subject": rule["name"], "made": self._now()}
        row |= {"once": secrets.token_hex(12), "body": body}
        await self._store.writer.call(partial(notifications.put, rule={**rule, "held": 0}, row=row))
        self.changed()
        return f"{row['id']}_{rule_id[-6:]}"

    async def listing(self, *, state: str | None, limit: int, before: int | None = None) -> list[NotificationRow]:
        """Messages newest first; `state` is waiting, sent or dead. Raises Unprocessable."""
        if state is not None and state not in notifications.STATES:
            raise Unprocessable(f"state is one of {', '.join(notifications.STATES)}", param="state")
        states = notifications.STATES if state is None else (state,)
        rows = await self._store.read(notifications.page, states=states, limit=limit, before=before)
        return [shown(row) for row in rows]

    async def one(self, message_id: str) -> NotificationRow:
        """One message. Raises NotFound."""
        row = await self._store.read(notifications.one, message_id)
        if row is None:
            raise _missing(message_id)
        return shown(row)

    async def again(self, message_id: str) -> NotificationRow:
        """Try a dead or waiting message at once, and from the beginning where that fails. Raises NotFound."""
        work = partial(notifications.again, message_id=message_id, now=self._now())
        if not await self._store.writer.call(work):
            raise _missing(message_id)
        self.changed()
        return await self.one(message_id)

    async def drop(self, message_id: str) -> None:
        """Delete a message. Raises NotFound."""
        if not await self._store.writer.call(partial(notifications.drop, message_id=message_id)):
            raise _missing(message_id)
        self._feed.publish("notification", {})

    def _added(self, queued: asyncio.Future[list[str]]) -> None:
        if queued.cancelled():
            return
        if (error := queued.exception()) is not None:
            log.warning("an event is told to nobody: %s", error)
        elif queued.result() != []:
            self.changed()

    def changed(self) -> None:
        """There may be something new to send, or to show."""
        self.news.set()
        self._feed.publish("notification", {})


def shown(row: dict[str, Any]) -> NotificationRow:
    """A stored message as it is shown."""
    body = row["body"]
    return {
        "seq": row["seq"],
        "id": row["id"],
        "rule_id": row["rule_id"],
        "kind": row["kind"],
        "subject": row["subject"],
        "state": row["state"],
        "title": body["title"],
        "text": body["text"],
        "made": row["made"],
        "due": row["due"] if row["state"] == notifications.WAITING else None,
        "attempts": row["attempts"],
        "said": row["said"],
        "ended": row["ended"],
        "held": body["held"],
    }


def _missing(message_id: str) -> NotFound:
    return NotFound(f"no message {quoted(message_id)} that could be; see GET /v1/notifications")
