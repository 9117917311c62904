"""Notifications: who is told of what, by which channel; and what became of every message."""

from __future__ import annotations

from typing import cast

import reflex as rx

from arbiter_app.web.components import atoms, data
from arbiter_app.web.components.frame import link, shell
from arbiter_app.web.notifications import ADDRESSES, CHANNELS, CHOICES
from arbiter_app.web.state.notify import Notify
from arbiter_app.web.typed import Record, either

HOW = (
    "A message is tried again after 5 s, 1 min, 5 min, 30 min, 2 h and 5 h. After seven tries it is a dead letter, which can be sent again. "
    "A rule has 30 messages an hour at most; the next one says how many were held back."
)
LISTS = [("all", "all"), ("waiting", "waiting"), ("dead", "dead letters"), ("sent", "sent")]
MUTES = (("1", "1 h"), ("8", "8 h"), ("24", "1 day"), ("168", "1 week"))


def page() -> rx.Component:
    """The page."""
    body = rx.fragment(rx.el.div(_rules(), _new(), class_name="two even"), _messages())
    unknown = rx.el.div(class_name="hold")
    closed = rx.cond(Notify.may == "no", _closed(), unknown)
    return shell("notifications", "Notifications", rx.cond(Notify.may == "yes", body, closed))


def _closed() -> rx.Component:
    return atoms.panel(
        "Notifications",
        atoms.empty(
            "For operators",
            "Rules that tell people of price shifts, errors and budgets are made here, with an operator's key.",
            link("Sign in with a key", to="/app/key", class_name="btn"),
        ),
    )


def _rules() -> rx.Component:
    def card(row: Record) -> rx.Component:
        mute = rx.el.span(
            rx.el.span("mute for", class_name="small mute"),
            *[atoms.button(name, on_click=Notify.mute(row["id"], hours), kind="mini") for hours, name in MUTES],
            class_name="row wrap",
            role="group",
            aria_label="Mute",
        )
        muted = rx.el.span(
            rx.el.span("muted until ", atoms.day_clock(row["muted"]), class_name="tag warn"),
            atoms.button("Unmute", on_click=Notify.mute(row["id"], "0"), kind="mini"),
            class_name="row wrap",
        )
        return rx.el.li(
            rx.el.div(
                rx.el.strong(row["name"]),
                rx.el.span(row["channel"], class_name="tag"),
                rx.cond(row["held"] != "", rx.el.span(row["held"], class_name="tag warn")),
                class_name="row wrap",
            ),
            rx.el.p(row["address"], class_name="num small mute anywhere", title=row["safe"]),
            rx.el.p(row["events"], class_name="small soft"),
            rx.el.div(
                atoms.button("Test", on_click=Notify.test(row["id"]), kind="mini primary"),
                atoms.button("Edit", on_click=Notify.edit(row["id"]), kind="mini"),
                rx.cond(row["muted"] != "", muted, mute),
                atoms.button(
                    either(Notify.sure == row["id"], "Really delete", "Delete"),
                    on_click=Notify.remove(row["id"]),
                    kind="mini danger push",
                ),
                class_name="row wrap",
            ),
            class_name="rule-card",
            key=row["id"],
        )

    return atoms.panel(
        "Rules",
        rx.cond(
            Notify.rules.length() > 0,
            rx.el.ul(rx.foreach(Notify.rules, card)),
            atoms.empty("Nobody is told yet", "Make a rule: which events, and where they go. Then press Test."),
        ),
        note="who is told of what",
        tools=(link("How", to="/docs/operations", class_name="btn mini ghost"),),
    )


def _new() -> rx.Component:
    address, about = _by_channel(0), _by_channel(1)
    ticks = [
        rx.el.label(
            rx.el.input(type="checkbox", name=kind, default_checked=Notify.ticked.contains(kind)),
            words,
            class_name="tick",
        )
        for kind, words in CHOICES
    ]
    form = rx.el.form(
        rx.el.div(
            atoms.field(
                "Name",
                rx.el.input(
                    name="name",
                    class_name="input",
                    placeholder="on call",
                    default_value=Notify.name,
                    required=True,
                    max_length=80,
                ),
            ),
            atoms.field(
                "Channel",
                rx.el.select(
                    *[rx.el.option(name, value=kind) for kind, name in CHANNELS.items()],
                    value=Notify.channel,
                    on_change=Notify.set_channel,
                    class_name="input",
                ),
            ),
            class_name="row end wrap",
        ),
        atoms.field(
            "Address",
            rx.el.input(
                name="address",
                class_name="input num",
                placeholder=either(Notify.was == Notify.channel, "as it is", address),
                required=Notify.was != Notify.channel,
                auto_complete="off",
                spell_check=False,
                max_length=2000,
            ),
            about,
        ),
        rx.el.fieldset(rx.el.legend("Tell when"), *ticks, class_name="ticks"),
        atoms.field(
            "Error rate from",
            rx.el.input(
                name="error_percent",
                type="number",
                min="0.1",
                max="100",
                step="any",
                default_value=Notify.percent,
                class_name="input",
            ),
            "per cent of the requests of 15 minutes",
        ),
        rx.cond(Notify.error != "", rx.el.p(Notify.error, class_name="error", role="alert")),
        rx.el.div(
            atoms.button(either(Notify.editing != "", "Save rule", "Create rule"), kind="primary", type="submit"),
            rx.cond(Notify.editing != "", atoms.button("Leave it", on_click=Notify.leave)),
            class_name="row",
        ),
        on_submit=Notify.add,
        reset_on_submit=False,
        class_name="stack pad",
        key=rx.Var.create("rule-") + Notify.editing,
    )
    secret = rx.el.div(
        rx.el.p("The signing secret of the webhook, shown this once:", class_name="small"),
        atoms.code(Notify.secret),
        class_name="stack tight pad",
        role="status",
    )
    return atoms.panel(
        either(Notify.editing != "", "Change the rule", "New rule"),
        rx.cond(Notify.secret != "", secret),
        form,
        note="the address is not shown again once it is saved",
    )


def _by_channel(at: int) -> rx.Var[str]:
    """What ADDRESSES says of the chosen channel."""
    words = [(kind, told[at]) for kind, told in ADDRESSES.items()]
    return cast(rx.Var[str], rx.match(Notify.channel, *words, ""))


def _messages() -> rx.Component:
    def line(row: Record) -> rx.Component:
        state = rx.el.span(
            row["state"],
            class_name=rx.match(
                row["state"], ("sent", "tag good"), ("dead", "tag bad"), ("retrying", "tag warn"), "tag"
            ),
        )
        buttons = rx.el.span(
            atoms.button("Send again", on_click=Notify.again(row["id"]), kind="mini"),
            atoms.button("Delete", on_click=Notify.drop(row["id"]), kind="mini ghost"),
            class_name="row buttons",
        )
        why = rx.el.div(
            row["said"],
            rx.cond(row["due"] != "", rx.el.span("; next try ", atoms.clock(row["due"]))),
            class_name="small bad",
        )
        return rx.el.tr(
            rx.el.td(atoms.day_clock(row["ts"]), class_name="num hide"),
            rx.el.td(
                rx.el.div(row["title"], class_name="strong"),
                rx.el.div(row["kind"], " · ", row["rule"], class_name="small mute"),
                rx.cond(row["said"] != "", why),
                rx.cond((row["state"] == "dead") | (row["state"] == "retrying"), buttons),
                class_name="wrap",
            ),
            rx.el.td(row["tries"], class_name="n hide"),
            rx.el.td(state),
            key=row["id"],
        )

    table = atoms.region(
        rx.el.table(
            data.heads("@when-", "message", "#tries-", "state"),
            rx.el.tbody(rx.foreach(Notify.rows, line)),
            class_name="feed long",
        ),
        class_name="scroll high",
        aria_label="Messages",
    )
    return atoms.panel(
        "Messages",
        rx.cond(
            Notify.rows.length() > 0,
            table,
            atoms.empty("No messages", "What is sent stands here, with what became of it."),
        ),
        explain=HOW,
        note="the newest first",
        tools=(atoms.segmented(LISTS, Notify.list_name, Notify.set_list, "Which messages"),),
    )
