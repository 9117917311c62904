"""Activity: find any decision; and the page of one decision."""

from __future__ import annotations

import reflex as rx

from arbiter_app.store.decisions import ORDERS, RANKED
from arbiter_app.web.components import atoms, contents, data
from arbiter_app.web.components.frame import link, shell
from arbiter_app.web.pages.overview import closed, no_calls
from arbiter_app.web.state.activity import MODES, Activity, DecisionPage
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.typed import Record, Records, either

BESIDE = (
    "Once the caller's answer had gone, these models were asked the same, so that the next choice knows more. The caller neither "
    "waited nor got another answer for it. What they charged counts against the saving."
)


def page() -> rx.Component:
    """The page of many."""
    return shell(
        "activity", "Activity", rx.cond(Activity.closed == "yes", closed(), rx.fragment(_table(), contents.search()))
    )


def _table() -> rx.Component:
    return atoms.panel(
        "Decisions",
        _filters(),
        rx.cond(
            Activity.rows.length() > 0,
            _rows(),
            rx.cond(Activity.loaded == "yes", _none(), rx.el.div(class_name="hold")),
        ),
        rx.el.footer(
            rx.cond(
                Activity.before != "",
                atoms.button("Newest", on_click=Activity.narrow("task", Activity.task), kind="mini"),
            ),
            rx.cond(Activity.older != "", link("Older", to=Activity.older, class_name="btn mini")),
            rx.cond(
                Activity.sort != "",
                rx.el.span(f"the first 50 of the newest {RANKED:,} that match", class_name="tiny mute"),
            ),
            class_name="row toolbar",
        ),
        note="50 a page",
        tools=(
            rx.el.a(
                "csv",
                href="/export/decisions.csv?" + Activity.query,
                download=True,
                class_name="btn mini ghost",
                reload_document=True,
            ),
            rx.el.a(
                "json",
                href="/export/decisions.json?" + Activity.query,
                download=True,
                class_name="btn mini ghost",
                reload_document=True,
            ),
        ),
    )


def _filters() -> rx.Component:
    ages = [
        ("", "any time"),
        ("15m", "last 15 min"),
        ("1h", "last hour"),
        ("24h", "last day"),
        ("7d", "last week"),
        ("30d", "last 30 days"),
    ]
    model = rx.el.select(
        rx.el.option("all models", value=""),
        rx.foreach(Activity.models, lambda name: rx.el.option(name, value=name)),
        value=Activity.model,
        on_change=lambda value: Activity.narrow("model", value),
        class_name="input mini",
        aria_label="Model",
    )
    tasks = [("", "all tasks"), *((one, one) for one in TASKS)]
    modes = [("", "all modes"), *((one, one) for one in MODES)]
    statuses = [("", "all outcomes"), ("ok", "answered"), ("failed", "failed or refused"), ("aborted", "aborted")]
    orders = [("", "newest first"), *((one, f"{one} first".replace("_", " ")) for one in ORDERS)]
    find = rx.el.form(
        rx.el.input(
            name="sought",
            placeholder="decision or request id",
            aria_label="Decision or request id",
            default_value=Activity.request,
            class_name="input mini num",
            spell_check=False,
            max_length=200,
        ),
        atoms.button("Find", type="submit", kind="mini"),
        on_submit=Activity.find,
        class_name="row find",
    )
    return rx.el.div(
        find,
        atoms.chips(Activity.chips, lambda name: Activity.narrow(name, "")),
        atoms.project_picker(
            Activity.projects, Activity.project, lambda value: Activity.narrow("project", value), "all projects"
        ),
        atoms.choice(orders, Activity.sort, lambda value: Activity.narrow("sort", value), "Order"),
        atoms.choice(tasks, Activity.task, lambda value: Activity.narrow("task", value), "Task"),
        model,
        atoms.choice(modes, Activity.mode, lambda value: Activity.narrow("mode", value), "Mode"),
        atoms.choice(statuses, Activity.status, lambda value: Activity.narrow("status", value), "Outcome"),
        atoms.choice(ages, Activity.age, lambda value: Activity.narrow("age", value), "Time"),
        rx.cond(Activity.narrowed != "", atoms.button("Clear", on_click=Activity.clear, kind="mini ghost")),
        class_name="row wrap toolbar filters",
        role="search",
        aria_label="Filters",
    )


def _rows() -> rx.Component:
    def line(row: Record) -> rx.Component:
        to = "/app/decision/" + row["id"]
        return rx.el.tr(
            rx.el.td(
                rx.el.span(atoms.day_clock(row["ts"]), class_name="hide"),
                rx.el.span(atoms.clock(row["ts"]), class_name="only-s"),
                class_name="n l",
            ),
            rx.el.td(
                link(
                    atoms.task_badge(row["task"]),
                    rx.el.span(", open this decision", class_name="sr"),
                    to=to,
                    class_name="stretch",
                )
            ),
            rx.el.td(row["model"], rx.el.div(atoms.mode_chip(row["mode"]), class_name="only-s"), class_name="m"),
            rx.el.td(atoms.mode_chip(row["mode"]), class_name="hide"),
            rx.el.td(atoms.quality(row["width"], row["quality"]), class_name="hide"),
            rx.el.td(row["tokens"], class_name="n hide"),
            rx.el.td(row["cost"], class_name="n"),
            rx.el.td(row["saved"], class_name="n hide"),
            rx.el.td(row["ms"], class_name=either(Activity.sort == "slowest", "n", "n hide")),
            rx.el.td(row["id"], class_name="num mute hide"),
            key=row["id"],
            class_name="pick",
        )

    return rx.el.div(
        rx.el.table(
            data.heads(
                "@time", "task", "model", "mode-", "quality-", "#tokens-", "#cost", "#saved-", "#ms-", "decision-"
            ),
            rx.el.tbody(rx.foreach(Activity.rows, line)),
            class_name="feed long",
        ),
        class_name="scroll",
    )


def _none() -> rx.Component:
    """What stands for decisions where none fits the filters, or where there is none at all."""
    return rx.cond(Activity.narrowed == "", no_calls(), _none_fits())


def _none_fits() -> rx.Component:
    return atoms.empty(
        "No decision matches",
        "Widen the filters, or clear them.",
        atoms.button("Clear filters", on_click=Activity.clear),
    )


def decision() -> rx.Component:
    """The page of one."""
    return shell("activity", "Decision", rx.cond(DecisionPage.missing == "yes", _missing(), _whole()))


def _missing() -> rx.Component:
    return rx.el.section(
        atoms.empty(
            "No such decision",
            "It does not exist, its record was retired, or it belongs to a key that is not signed in here.",
            link("Back to activity", to="/app/activity", class_name="btn"),
        ),
        class_name="panel",
    )


def _whole() -> rx.Component:
    story = atoms.panel(
        "Story",
        rx.cond(
            DecisionPage.stages.length() > 0,
            rx.el.div(data.trace(DecisionPage.stages, DecisionPage.candidates), class_name="pad"),
            rx.el.div(class_name="hold"),
        ),
        note=rx.el.span(DecisionPage.row["id"], class_name="num"),
        cls="tall-cand",
    )
    beside = rx.cond(
        DecisionPage.shadows.length() > 0,
        atoms.panel(
            "Asked beside",
            rx.el.div(data.shadow_table(DecisionPage.shadows), class_name="pad"),
            explain=BESIDE,
            note="to learn; these answers are kept nowhere",
        ),
    )
    side = rx.el.div(
        atoms.panel("Money", _pairs(DecisionPage.money, note=True)),
        atoms.panel("Facts", _pairs(DecisionPage.facts)),
        rx.cond(
            DecisionPage.asked.length() > 0,
            atoms.panel(
                "Request",
                _pairs(DecisionPage.asked),
                rx.el.p(
                    "The record has no text. Prompts and answers can be kept, encrypted and for a while: ",
                    link("how", to="/docs/security#keeping-contents", class_name="link"),
                    class_name="small mute pad",
                ),
            ),
        ),
        class_name="stack",
    )
    raw = rx.el.details(
        rx.el.summary("Whole record as JSON", class_name="link small"), atoms.code(DecisionPage.raw), class_name="raw"
    )
    return rx.fragment(
        _headline(),
        rx.el.div(rx.el.div(story, contents.of_decision(), beside, raw, class_name="stack"), side, class_name="two"),
    )


def _headline() -> rx.Component:
    """The decision in one line."""
    row = DecisionPage.row

    def fact(name: str, *value: rx.Component) -> rx.Component:
        return rx.el.div(rx.el.span(name, class_name="tiny mute"), rx.el.span(*value, class_name="row"))

    return rx.el.section(
        fact("model", rx.el.span(row["model"], class_name="num strong"), atoms.mode_chip(row["mode"])),
        fact("task", atoms.task_badge(row["task"]), rx.el.span(row["difficulty"], class_name="small mute")),
        fact("quality, 0 to 1", atoms.quality(row["width"], row["quality"])),
        fact(
            "cost", rx.el.span(row["cost"], class_name="num strong"), rx.el.span(row["state"], class_name="tiny mute")
        ),
        fact("saved, estimate", rx.el.span(row["saved"], class_name="num strong")),
        fact("time", rx.el.span(row["ms"], " ms", class_name="num strong")),
        fact(
            "when",
            rx.el.span(atoms.day_clock(row["ts"]), class_name="num"),
            rx.el.span(atoms.zone(), class_name="tiny mute"),
        ),
        class_name="panel facts seven",
        aria_label="The decision in one line",
    )


def _pairs(rows: Records, note: bool = False) -> rx.Component:
    def line(one: Record) -> rx.Component:
        kept = "num nowrap" if note else "num wrap"
        cells = [rx.el.th(one["name"], scope="row"), rx.el.td(one["value"], class_name=kept)]
        if note:
            cells.append(rx.el.td(one["note"], class_name="w hide"))
        return rx.el.tr(*cells)

    return rx.el.table(rx.el.tbody(rx.foreach(rows, line)), class_name="pairs")
