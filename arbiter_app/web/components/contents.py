"""Kept contents: the panel of one decision with answers side by side, the search, and what projects keep."""

from __future__ import annotations

import reflex as rx

from arbiter_app.services.exchanges import MOST_QUERY_CHARS
from arbiter_app.services.redaction import RULES
from arbiter_app.web.components import atoms, data
from arbiter_app.web.components.frame import link
from arbiter_app.web.state.contents import ContentSearch, DecisionContent, ProjectContents
from arbiter_app.web.typed import Record, either

HOW = (
    "This project keeps what is asked and answered for some hours, encrypted, without what its rules take out. Its owners and operators see it; "
    "that you looked is in the audit log."
)
SEARCH = "Every word has to be in the question or the answer. Contents are decrypted to be searched, newest first, 5,000 at a time."
PROJECTS = (
    "Off by default. Contents are encrypted with ARBITER_CONTENT_KEYS, seen by owners of the project and operators, and deleted on time; fewer "
    "hours hold for what is kept already. A caller's store: false is respected."
)


def of_decision() -> rx.Component:
    """What was asked and answered, where that is kept, and what other models answer to the same."""
    state = DecisionContent
    offer = rx.el.div(
        rx.el.p("It is kept by its project. Looking at it is noted in the audit log.", class_name="small"),
        atoms.button("Show it", on_click=state.show, kind="primary"),
        class_name="row wrap pad",
    )
    panel = atoms.panel(
        "Content",
        rx.cond(state.error != "", rx.el.p(state.error, class_name="error pad", role="alert")),
        rx.cond(state.asked == "yes", rx.fragment(_conversation(), _answers()), offer),
        explain=HOW,
        tools=(
            atoms.button(
                either(state.sure != "", "Really delete", "Delete content"), on_click=state.remove, kind="mini danger"
            ),
        ),
    )
    return rx.cond(state.there == "yes", panel)


def _conversation() -> rx.Component:
    def turn(one: Record) -> rx.Component:
        return rx.el.div(rx.el.span(one["role"], class_name="tag"), rx.el.p(one["text"], class_name="answer"))

    return atoms.region(
        rx.foreach(DecisionContent.turns, turn),
        class_name="stack pad",
        aria_label="The request",
    )


def _answers() -> rx.Component:
    state = DecisionContent

    def other(one: Record) -> rx.Component:
        return rx.el.article(
            rx.el.header(
                link(one["model"], to="/app/decision/" + one["id"], class_name="num strong"),
                rx.el.span(one["cost"], " · ", one["quality"], " · ", one["ms"], class_name="small mute push"),
                class_name="row wrap",
            ),
            rx.el.p(one["text"], class_name="answer"),
            key=one["id"],
        )

    first = rx.el.article(
        rx.el.header(rx.el.span("the answer that its caller got", class_name="small strong"), class_name="row"),
        rx.el.p(state.answer, class_name="answer"),
    )
    ask = rx.el.form(
        rx.el.select(
            rx.foreach(state.models, lambda name: rx.el.option(name, value=name)),
            name="model",
            class_name="input",
            aria_label="Another model",
        ),
        atoms.button(
            either(state.busy, "Asking…", "Ask it the same"), type="submit", kind="primary", disabled=state.busy
        ),
        rx.el.span("as a call of your own key", class_name="tiny mute"),
        on_submit=state.again,
        class_name="row wrap pad",
    )
    return rx.fragment(
        rx.el.div(first, rx.foreach(state.others, other), class_name="beside pad", aria_label="Answers side by side"),
        ask,
    )


def search() -> rx.Component:
    """Find decisions by words of what was asked or answered."""
    state = ContentSearch

    def hit(row: Record) -> rx.Component:
        to = "/app/decision/" + row["id"]
        return rx.el.tr(
            rx.el.td(atoms.day_clock(row["ts"]), class_name="n l hide"),
            rx.el.td(rx.cond(row["task"] != "", atoms.task_badge(row["task"]))),
            rx.el.td(link(row["excerpt"], to=to), class_name="w"),
            rx.el.td(row["model"], class_name="m hide"),
            rx.el.td(row["quality"], class_name="n hide"),
            key=row["id"],
        )

    table = rx.el.div(
        rx.el.table(
            data.heads("@time-", "task", "where the words stand", "model-", "#quality-"),
            rx.el.tbody(rx.foreach(state.hits, hit)),
            class_name="feed long",
        ),
        class_name="scroll",
    )
    form = rx.el.form(
        rx.el.input(
            name="words",
            placeholder="words of a prompt or an answer",
            aria_label="Words of a prompt or an answer",
            class_name="input",
            max_length=MOST_QUERY_CHARS,
        ),
        atoms.button("Search", type="submit"),
        on_submit=state.search,
        class_name="row find pad",
        role="search",
    )
    panel = atoms.panel(
        "Search contents",
        form,
        rx.cond(state.error != "", rx.el.p(state.error, class_name="error pad", role="alert")),
        rx.cond(state.hits.length() > 0, table),
        rx.cond(
            state.said != "",
            rx.el.footer(
                rx.el.span(state.said, class_name="tiny mute", role="status"),
                rx.cond(state.before != "", atoms.button("Search on", on_click=state.more, kind="mini")),
                class_name="row toolbar",
            ),
        ),
        explain=SEARCH,
        note="of projects that keep them",
        tools=(
            rx.el.a(
                "jsonl",
                href="/v1/contents.jsonl",
                download=True,
                class_name="btn mini ghost",
                reload_document=True,
            ),
        ),
    )
    return rx.cond(state.may == "yes", panel)


def of_projects() -> rx.Component:
    """For how long each project keeps contents, and what is taken out of them before."""
    state = ProjectContents

    def one(row: Record) -> rx.Component:
        return rx.el.form(
            rx.el.input(type="hidden", name="project", value=row["id"]),
            rx.el.span(row["name"], class_name="strong", min_width="120px"),
            atoms.field(
                "Hours",
                rx.el.input(
                    name="hours",
                    type="number",
                    min=0,
                    step="any",
                    default_value=row["hours"],
                    class_name="input num",
                    aria_label="Hours of " + row["name"],
                ),
                of=row["id"],
            ),
            atoms.field(
                "Taken out",
                rx.el.textarea(
                    name="redact",
                    rows="2",
                    default_value=row["redact"],
                    class_name="input num",
                    spell_check=False,
                    aria_label="Taken out of " + row["name"],
                    min_width="min(100%, 420px)",
                ),
                of=row["id"],
            ),
            atoms.button("Save", type="submit"),
            on_submit=state.save,
            key=row["id"] + row["hours"] + row["redact"],
            class_name="row wrap pad",
        )

    body = rx.cond(
        state.can == "yes",
        rx.fragment(
            rx.el.p(
                f"One rule a line: {', '.join(RULES)}, or a regular expression. Keys and passwords go in any case.",
                class_name="small mute pad",
            ),
            rx.foreach(state.rows, one),
        ),
        atoms.empty("No contents are kept", "Set ARBITER_CONTENT_KEYS first: they are encrypted or not kept at all."),
    )
    return atoms.panel(
        "Kept contents",
        rx.cond(state.done != "", rx.el.p(state.done, class_name="note", role="status")),
        rx.cond(state.error != "", rx.el.p(state.error, class_name="error pad", role="alert")),
        body,
        explain=PROJECTS,
        note=either(state.can == "yes", state.found + " projects", "by project"),
        tools=(
            rx.cond(
                state.can == "yes",
                atoms.search("Search projects", "project", state.find.debounce(200), default_value=state.search),
            ),
        ),
    )
