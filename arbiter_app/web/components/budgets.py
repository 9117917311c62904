"""Budgets as they are shown: a bar for each of the visitor's own, and for operators a table of all with a form to set one."""

from __future__ import annotations

import reflex as rx

from arbiter_app.services.budgets import SCOPES
from arbiter_app.services.periods import PERIODS
from arbiter_app.web.components import atoms, data
from arbiter_app.web.components.frame import link
from arbiter_app.web.state.key_budgets import KeyBudgets
from arbiter_app.web.typed import Record, either

HOW = (
    "What calls in work may still cost at their dearest is reserved until they end. Spent and reserved never exceed the limit; "
    "what would is refused with 402. From half of the limit on, routing is thriftier the more the money is ahead of the time."
)


def own() -> rx.Component:
    """The visitor's own budgets; nothing where there are none."""

    def one(row: Record) -> rx.Component:
        return rx.el.div(
            rx.el.div(
                rx.el.span(row["what"], class_name="small whole"),
                rx.el.span(row["spent_of"], class_name="num small push", white_space="nowrap"),
                class_name="row",
            ),
            atoms.meter(row["width"], row["label"], row["hot"] == "yes"),
            rx.el.div(
                rx.el.span(row["left"], class_name="small"),
                rx.el.span(_renewal(row), class_name="small mute push"),
                class_name="row",
            ),
            counted(row),
            class_name="stack tight",
        )

    body = rx.el.div(rx.foreach(KeyBudgets.own, one), class_name="stack pad")
    panel = atoms.panel("Budgets", body, note="of this key and its project", explain=HOW)
    return rx.cond(KeyBudgets.own.length() > 0, panel)


def glance() -> rx.Component:
    """The fullest budgets of what somebody sees, or else their own, in bars; nothing where there are none."""

    def one(row: Record) -> rx.Component:
        return rx.el.div(
            rx.el.div(
                rx.el.span(row["scope"], " ", rx.el.b(row["subject"]), class_name="small whole", title=row["named"]),
                rx.el.span(row["spent_of"], " ", row["length"], class_name="num small push", white_space="nowrap"),
                class_name="row",
            ),
            atoms.meter(row["width"], row["label"], row["hot"] == "yes"),
            class_name="stack tight",
        )

    body = rx.el.div(rx.foreach(KeyBudgets.fullest, one), class_name="stack pad")
    more = link("all budgets", to="/app/key", class_name="btn mini ghost")
    panel = atoms.panel("Budgets", body, note=KeyBudgets.fullest_shown, explain=HOW, tools=(more,))
    return rx.cond(KeyBudgets.fullest.length() > 0, panel)


def every() -> rx.Component:
    """All budgets that the visitor may set."""

    def line(row: Record) -> rx.Component:
        remove = atoms.button(
            either(KeyBudgets.sure == row["id"], "Really remove", "Remove"),
            on_click=KeyBudgets.drop(row["id"]),
            kind="mini danger",
        )
        return rx.el.tr(
            rx.el.td(
                rx.el.span(row["scope"], class_name="tag"), " ", row["subject"], class_name="m", title=row["named"]
            ),
            rx.el.td(row["period"], class_name="hide"),
            rx.el.td(
                rx.el.span(row["spent_of"], class_name="num"),
                atoms.meter(row["width"], row["label"], row["hot"] == "yes"),
                counted(row),
                class_name="n",
            ),
            rx.el.td(row["left_usd"], class_name="n hide"),
            rx.el.td(either(row["renews"] != "", atoms.day_clock(row["renews"]), "never"), class_name="n hide"),
            rx.el.td(remove),
        )

    table = rx.el.div(
        rx.el.table(
            data.heads("of", "per-", "#spent", "#left-", "#@renews-", ""),
            rx.el.tbody(rx.foreach(KeyBudgets.every, line)),
            class_name="feed long",
        ),
        class_name="scroll",
    )
    return atoms.panel(
        "All budgets",
        _form(),
        rx.cond(KeyBudgets.error != "", rx.el.p(KeyBudgets.error, class_name="error pad", role="alert")),
        rx.cond(
            KeyBudgets.every.length() == 0,
            rx.cond(
                KeyBudgets.sought != "",
                atoms.empty("No such budget", "None is of something with all of these words."),
                atoms.empty("No budgets", "Set one above: dollars for a key, a project or a tag."),
            ),
            table,
        ),
        note=KeyBudgets.shown,
        tools=(
            atoms.search(
                "Search budgets",
                "key, project or tag",
                KeyBudgets.find.debounce(200),
                default_value=KeyBudgets.sought,
            ),
        ),
        explain=HOW,
    )


def _form() -> rx.Component:
    scopes = rx.el.select(*[rx.el.option(one, value=one) for one in SCOPES], name="scope", class_name="input")
    periods = rx.el.select(
        *[rx.el.option(one, value=one) for one in PERIODS], name="period", default_value="month", class_name="input"
    )
    subject = rx.el.input(name="subject", placeholder="arb_1a2b3c4d", class_name="input", required=True)
    limit = rx.el.input(
        name="limit", placeholder="200", input_mode="decimal", auto_complete="off", class_name="input", required=True
    )
    return rx.el.form(
        atoms.field("For a", scopes),
        atoms.field("Its id or name", subject),
        atoms.field("Dollars", limit),
        atoms.field("Each", periods),
        rx.el.button("Set", type="submit", class_name="btn primary"),
        on_submit=KeyBudgets.put,
        reset_on_submit=False,
        id="new-budget",
        class_name="row end wrap pad",
    )


def counted(row: Record) -> rx.Component:
    """What of a budget had been spent before it was set."""
    return rx.cond(row["counted"] != "", rx.el.small(row["counted"], class_name="why-thin"))


def _renewal(row: Record) -> rx.Component:
    return rx.cond(
        row["renews"] != "", rx.el.span("renews ", atoms.day_clock(row["renews"])), rx.el.span("never renews")
    )
