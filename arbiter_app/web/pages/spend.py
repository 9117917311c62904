"""Spend: who spent it, in which days, beside as many days before; each figure leads to its decisions."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.components import atoms, data
from arbiter_app.web.components.frame import link, shell
from arbiter_app.web.spend_table import LABELS
from arbiter_app.web.state.spent import Spent
from arbiter_app.web.typed import Record, either

HOW = (
    "What models charged for answers, with what judges and models asked beside answers cost. A call with several tags counts for each, so "
    "that sums by tag may come to more than the total. Days are those of the time zone in the settings."
)


def page() -> rx.Component:
    """The page."""
    return shell(
        "spend", "Spend", rx.cond(Spent.closed == "yes", _closed(), rx.fragment(_range(), _total(), _groups()))
    )


def _closed() -> rx.Component:
    return atoms.panel(
        "Spend",
        atoms.empty(
            "Who spent it",
            "Sign in to see what your key, or your projects, spend.",
            link("Sign in with a key", to="/app/key", class_name="btn"),
        ),
    )


def _range() -> rx.Component:
    def preset(one: Record) -> rx.Component:
        chosen = one["on"] != ""
        return rx.el.button(
            one["name"],
            on_click=Spent.between(one["first"], one["last"]),
            class_name=either(chosen, "on", ""),
            aria_pressed=either(chosen, "true", "false"),
            type="button",
        )

    return rx.el.div(
        rx.el.div(rx.foreach(Spent.presets, preset), class_name="seg", role="group", aria_label="Range"),
        atoms.days(Spent),
        atoms.project_picker(
            Spent.projects, Spent.project, lambda value: Spent.pick("project", value), "all my projects"
        ),
        atoms.chips(Spent.chips, lambda name: Spent.pick(name, "")),
        class_name="row wrap toolbar",
        role="search",
        aria_label="Range and filters",
    )


def _total() -> rx.Component:
    total, saved = Spent.total, Spent.saved
    spend = rx.fragment(Spent.words, ", days of ", Spent.zone)
    proven = rx.el.div(
        rx.el.div(saved["label"], rx.cond(saved["explain"] != "", atoms.how(saved["explain"])), class_name="label"),
        rx.el.span(saved["value"], class_name="value"),
        rx.el.span(saved["sub"], class_name="sub"),
        rx.cond(
            Spent.report != "",
            rx.el.span(
                _report(),
                " · ",
                link("how it is measured", to="/docs/strategies#measure-the-saving", class_name="link"),
                class_name="sub",
            ),
        ),
        class_name="fig saved",
    )
    return rx.el.div(
        rx.cond(Spent.error != "", rx.el.p(Spent.error, class_name="error pad", role="alert")),
        rx.el.div(
            atoms.figure("Spend", total["spend"], spend, HOW, "hero"),
            proven,
            atoms.figure("Change", total["change"], total["before"]),
            atoms.figure("Calls", total["calls"], rx.fragment(total["failed"], " failed")),
            atoms.figure("Tokens", total["tokens"], "prompts and answers"),
            class_name="strip spent",
        ),
    )


def _report() -> rx.Component:
    return rx.el.a("report as json", href=Spent.report, download="report.json", reload_document=True, class_name="link")


def _groups() -> rx.Component:
    def line(row: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(
                link(row["name"], to=row["to"], title=row["id"]),
                atoms.meter(row["width"], row["share"]),
                class_name="m",
            ),
            rx.el.td(row["spend"], class_name="n"),
            rx.el.td(row["share"], class_name="n hide"),
            rx.el.td(row["before"], class_name="n hide"),
            rx.el.td(row["change"], class_name=rx.Var.create("n ") + row["kind"]),
            rx.el.td(row["calls"], class_name="n hide"),
            rx.el.td(row["tokens"], class_name="n hide"),
            key=row["id"],
        )

    table = rx.el.div(
        rx.el.table(
            data.heads("who", "#spend", "#share-", "#before-", "#change", "#calls-", "#tokens-"),
            rx.el.tbody(rx.foreach(Spent.rows, line)),
            class_name="feed long",
        ),
        class_name="scroll",
    )
    empty = atoms.empty("Nothing was spent", "There are no calls in these days that you may see.")
    return atoms.panel(
        "Who spent it",
        rx.cond(Spent.rows.length() > 0, table, rx.cond(Spent.loaded == "yes", empty, rx.el.div(class_name="hold"))),
        note=rx.el.span("days of ", Spent.zone),
        explain=HOW,
        tools=(
            atoms.choice(
                [(name, f"by {words}") for name, words in LABELS.items()],
                Spent.by,
                lambda value: Spent.pick("by", value),
                "Sum by",
            ),
            link("decisions", to=Spent.decisions, class_name="btn mini ghost"),
            rx.el.a("month as csv", href=Spent.csv, download=True, reload_document=True, class_name="btn mini ghost"),
        ),
    )
