"""Who is told of what, and what became of the messages. For operators."""

from __future__ import annotations

from typing import Any

import reflex as rx

from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.services.notification_events import EventKind
from arbiter_app.web import container
from arbiter_app.web.notifications import CHANNELS, USUAL
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.state.attempts import tried
from arbiter_app.web.typed import Listed, event, listed
from arbiter_app.web.views import View

LISTS = ("all", "waiting", "dead", "sent")
MAX_ADDRESS = 2_001
HOURS = 24.0 * 366


class Notify(rx.State):
    """What the page of notifications shows. `secret` is a webhook's signing secret, shown once; `sure` the rule about to be deleted."""

    may: rx.Field[str] = rx.field("")
    channel: rx.Field[str] = rx.field("slack")
    list_name: rx.Field[str] = rx.field("all")
    rules: Listed[View] = listed()
    rows: Listed[View] = listed()
    error: rx.Field[str] = rx.field("")
    secret: rx.Field[str] = rx.field("")
    sure: rx.Field[str] = rx.field("")
    editing: rx.Field[str] = rx.field("")
    """The rule that is changed; empty while a new one is made. Its channel is `was`."""
    was: rx.Field[str] = rx.field("")
    name: rx.Field[str] = rx.field("")
    percent: rx.Field[str] = rx.field("5")
    ticked: Listed[str] = rx.field(default_factory=lambda: list(USUAL))  # type: ignore[assignment]

    @event
    async def load(self) -> None:
        """Show the rules and the messages, and from now on what becomes of them."""
        who = await authz.current_caller(self)
        self.error, self.secret, self.sure = "", "", ""
        self._blank()
        self.may = "yes" if who.role is Role.OPERATOR else "no"
        await self._watch(who)

    @event
    async def set_channel(self, value: str) -> None:
        """Say what an address of this channel looks like."""
        await authz.current_caller(self)
        self.channel = arguments.choice(value, CHANNELS, "slack")

    @event
    async def set_list(self, value: str) -> None:
        """Show all messages, or those in one state."""
        who = await authz.current_caller(self)
        self.list_name = arguments.choice(value, LISTS, "all")
        await self._watch(who)

    @event
    async def add(self, form: dict[str, Any]) -> None:
        """Make a rule, or change the one that is edited; an empty address leaves that as it is."""
        who = await authz.current_caller(self)
        if who.role is not Role.OPERATOR or not isinstance(form, dict):
            return
        percent = arguments.number(form.get("error_percent"), 0.1, 100.0)
        rules, address = (
            container.current().services.notification_rules,
            arguments.text(form.get("address"), MAX_ADDRESS),
        )
        told: dict[str, Any] = {
            "name": arguments.text(form.get("name"), 81),
            "events": [kind for kind in EventKind if form.get(kind)],
            "error_share": None if percent is None else percent / 100,
        }
        self.secret = ""
        if self.editing:
            made = await tried(
                self, rules.change(who, self.editing, channel=self.channel, address=address or None, **told)
            )
        else:
            made = await tried(self, rules.add(who, channel=self.channel, address=address, **told))
        if made is not None:
            self.secret = str(made.get("signing_secret") or "")
            self._blank()
        await self._watch(who)

    @event
    async def edit(self, rule_id: str) -> None:
        """Put a rule into the form, to be changed."""
        who = await authz.current_caller(self)
        picked = arguments.text(rule_id, 60)
        if who.role is not Role.OPERATOR:
            return
        rows = await container.current().services.notification_rules.listing()
        rule = next((one for one in rows if one["id"] == picked), None)
        if rule is not None:
            self.editing, self.channel, self.error, self.secret = picked, rule["channel"], "", ""
            self.was = rule["channel"]
            self.name, self.percent = rule["name"], f"{100 * rule['error_share']:g}"
            self.ticked = list(rule["events"])

    @event
    async def leave(self) -> None:
        """Change nothing after all."""
        await authz.current_caller(self)
        self._blank()

    def _blank(self) -> None:
        self.editing, self.was, self.name, self.percent, self.ticked = "", "", "", "5", list(USUAL)

    @event
    async def test(self, rule_id: str) -> None:
        """Send a test message."""
        who = await authz.current_caller(self)
        if who.role is Role.OPERATOR:
            await tried(self, container.current().services.notifications.test(arguments.text(rule_id, 60)))
            await self._watch(who)

    @event
    async def mute(self, rule_id: str, hours: Any) -> None:
        """Tell a rule nothing for some hours; 0 ends that."""
        who = await authz.current_caller(self)
        found = arguments.number(hours, 0.0, HOURS)
        if who.role is Role.OPERATOR and found is not None:
            rules = container.current().services.notification_rules
            await tried(self, rules.mute(who, arguments.text(rule_id, 60), found))
            await self._watch(who)

    @event
    async def remove(self, rule_id: str) -> None:
        """Delete a rule; asked twice."""
        who = await authz.current_caller(self)
        rule_id = arguments.text(rule_id, 60)
        if who.role is not Role.OPERATOR:
            return
        if self.sure != rule_id:
            self.sure = rule_id
            return
        self.sure = ""
        await tried(self, container.current().services.notification_rules.remove(who, rule_id))
        await self._watch(who)

    @event
    async def again(self, message_id: str) -> None:
        """Send a dead letter again."""
        who = await authz.current_caller(self)
        if who.role is Role.OPERATOR:
            await tried(self, container.current().services.notifications.again(arguments.text(message_id, 80)))
            await self._watch(who)

    @event
    async def drop(self, message_id: str) -> None:
        """Delete a message."""
        who = await authz.current_caller(self)
        if who.role is Role.OPERATOR:
            await tried(self, container.current().services.notifications.drop(arguments.text(message_id, 80)))
            await self._watch(who)

    async def _watch(self, who: Caller) -> None:
        """Show what there is now, to operators alone, and follow it."""
        if who.role is not Role.OPERATOR:
            self.rules, self.rows = [], []
            return
        channel = ("notifications", self.list_name)
        await container.current().live.watch(self.router.session.session_id, channel)
        for name, value in (await container.current().live.fresh(channel)).items():
            setattr(self, name, value)
