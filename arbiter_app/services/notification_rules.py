"""Rules of who is told of what, and how: made and changed by operators. The address and a webhook's signing secret are stored
encrypted where there is a key (ARBITER_CONTENT_KEYS), and never shown again once they are saved.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson

from arbiter_app.channels import AddressError, ChannelKind, Sender
from arbiter_app.channels.addresses import shown
from arbiter_app.channels.by_webhook import new_secret
from arbiter_app.pipeline.errors import NotFound, Unprocessable
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import Caller, Json
from arbiter_app.services import audit
from arbiter_app.services.encryption import Encryption
from arbiter_app.services.notification_events import HOUR_S, EventKind
from arbiter_app.services.rows.alerts import MadeNotificationRule, NotificationRuleRow
from arbiter_app.store import Store, notification_rules

MAX_NAME = 80
ERROR_SHARE = 0.05
MOST_HOURS = 24.0 * 366


@dataclass(frozen=True, slots=True)
class ChannelSecrets:
    """What opens a channel: its address, and what a webhook is signed with."""

    address: str
    signing: Sequence[str]


class NotificationRules:
    """The rules of one store."""

    def __init__(
        self, store: Store, encryption: Encryption, sender: Sender, *, now: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._encryption = encryption
        self._sender = sender
        self._now = now

    async def listing(self) -> list[NotificationRuleRow]:
        """Every rule, oldest first, without what opens its channel."""
        return [_shown(row) for row in await self._store.read(notification_rules.all_of)]

    async def one(self, rule_id: str) -> NotificationRuleRow:
        """One rule. Raises NotFound."""
        return _shown(await self._row(rule_id))

    async def add(
        self,
        caller: Caller,
        *,
        name: str,
        channel: str,
        address: str,
        events: Sequence[str],
        error_share: float | None = None,
    ) -> MadeNotificationRule:
        """Make a rule; a webhook's signing secret is in the answer, this once. Raises Unprocessable."""
        kind, address = _channel(channel), address.strip()
        await self._check(kind, address)
        now = self._now()
        row: dict[str, Any] = {"id": f"rule_{secrets.token_hex(8)}", "channel": kind, "muted_until": 0.0, "held": 0}
        row |= {"created": now, "changed": now, "name": _name(name), "events": _events(events)}
        row |= {
            "error_share": _share(ERROR_SHARE if error_share is None else error_share),
            "shown": shown(kind, address),
        }
        signing = new_secret() if kind is ChannelKind.WEBHOOK else ""
        row |= self._sealed(row["id"], ChannelSecrets(address, [signing] if signing else []))
        entry = audit.entry(caller, "notification_rule.add", row["id"], after=_audited(row))
        if not await self._store.writer.call(partial(notification_rules.add, row=row, entry=entry)):
            raise Unprocessable(f"there are {notification_rules.MOST} rules; delete one first")
        return {**_shown(row), "signing_secret": signing or None}

    async def change(
        self,
        caller: Caller,
        rule_id: str,
        *,
        name: str | None = None,
        events: Sequence[str] | None = None,
        error_share: float | None = None,
        channel: str | None = None,
        address: str | None = None,
    ) -> MadeNotificationRule:
        """Change what is given. A webhook keeps its signing secret; what becomes one has a new one in the answer, this once. Raises
        NotFound, Unprocessable."""
        row = await self._row(rule_id)
        values: dict[str, Any] = {"changed": self._now()}
        if name is not None:
            values["name"] = _name(name)
        if events is not None:
            values["events"] = _events(events)
        if error_share is not None:
            values["error_share"] = _share(error_share)
        kind, secret = row["channel"] if channel is None else _channel(channel), ""
        if kind != row["channel"] and address is None:
            raise Unprocessable("another channel has another address: give it, too", param="address")
        if address is not None:
            kind, address = ChannelKind(kind), address.strip()
            await self._check(kind, address)
            signing: Sequence[str] = ()
            if kind is ChannelKind.WEBHOOK:
                secret = "" if row["channel"] == kind else new_secret()
                signing = [secret] if secret else self.opened(row).signing
            values |= self._sealed(rule_id, ChannelSecrets(address, signing))
            values |= {"channel": kind, "shown": shown(kind, address)}
        return {**await self._change(caller, row, values), "signing_secret": secret or None}

    async def mute(self, caller: Caller, rule_id: str, hours: float) -> NotificationRuleRow:
        """Hold back what is for a rule for some hours; 0 ends it. Raises NotFound, Unprocessable."""
        if not 0 <= hours <= MOST_HOURS:
            raise Unprocessable(f"hours is from 0 to {MOST_HOURS:g}", param="hours")
        now, row = self._now(), await self._row(rule_id)
        return await self._change(caller, row, {"muted_until": now + hours * HOUR_S if hours else 0.0, "changed": now})

    async def remove(self, caller: Caller, rule_id: str) -> None:
        """Delete a rule with its messages. Raises NotFound."""
        before = _audited(await self._row(rule_id))
        entry = audit.entry(caller, "notification_rule.remove", rule_id, before=before)
        if not await self._store.writer.call(partial(notification_rules.remove, rule_id=rule_id, entry=entry)):
            raise _missing(rule_id)

    def opened(self, row: Mapping[str, Any]) -> ChannelSecrets:
        """What opens the channel of a stored rule. Raises `encryption.Unreadable`."""
        told = orjson.loads(self._encryption.read(_place(row["id"]), row["encrypted"], row["secrets"]))
        return ChannelSecrets(told["address"], told["signing"])

    def _sealed(self, rule_id: str, opens: ChannelSecrets) -> dict[str, Any]:
        told = orjson.dumps({"address": opens.address, "signing": list(opens.signing)})
        encrypted, body = self._encryption.write(_place(rule_id), told)
        return {"encrypted": encrypted, "secrets": body}

    async def _check(self, kind: ChannelKind, address: str) -> None:
        try:
            await self._sender.check(kind, address)
        except AddressError as error:
            raise Unprocessable(str(error), param="address") from None

    async def _row(self, rule_id: str) -> dict[str, Any]:
        row = await self._store.read(notification_rules.one, rule_id)
        if row is None:
            raise _missing(rule_id)
        return row

    async def _change(self, caller: Caller, row: Mapping[str, Any], values: Mapping[str, Any]) -> NotificationRuleRow:
        rule_id, after = row["id"], _audited({**row, **values})
        entry = audit.entry(caller, "notification_rule.change", rule_id, before=_audited(row), after=after)
        work = partial(notification_rules.change, rule_id=rule_id, values=values, entry=entry)
        if not await self._store.writer.call(work):
            raise _missing(rule_id)
        return await self.one(rule_id)


def _shown(row: Mapping[str, Any]) -> NotificationRuleRow:
    return {
        "id": row["id"],
        "name": row["name"],
        "channel": row["channel"],
        "address": row["shown"],
        "encrypted": bool(row["encrypted"]),
        "events": sorted(row["events"]),
        "error_share": row["error_share"],
        "muted_until": row["muted_until"] or None,
        "held": row["held"],
        "created": row["created"],
        "changed": row["changed"],
    }


def _audited(row: Mapping[str, Any]) -> Json:
    """What of a rule belongs on record: nothing that opens its channel."""
    return {name: row[name] for name in ("name", "channel", "shown", "events", "error_share", "muted_until")}


def _channel(word: str) -> ChannelKind:
    if word not in set(ChannelKind):
        raise Unprocessable(f"channel is one of {', '.join(ChannelKind)}", param="channel")
    return ChannelKind(word)


def _name(name: str) -> str:
    plain = name.strip()
    if not 0 < len(plain) <= MAX_NAME or not plain.isprintable():
        raise Unprocessable(f"a name has 1 to {MAX_NAME} characters on one line", param="name")
    return plain


def _events(events: Sequence[str]) -> list[str]:
    if not events or (unknown := sorted(set(events) - set(EventKind))):
        about = f"{quoted(unknown[0])} is none; " if events and unknown else ""
        raise Unprocessable(f"{about}events are some of {', '.join(EventKind)}", param="events")
    return sorted(set(events))


def _share(share: float) -> float:
    if not 0 < share <= 1:
        raise Unprocessable("error_share is above 0 and at most 1", param="error_share")
    return share


def _place(rule_id: str) -> str:
    return f"notification rule {rule_id}"


def _missing(rule_id: str) -> NotFound:
    return NotFound(f"no rule {quoted(rule_id)}; see GET /v1/notifications/rules")
