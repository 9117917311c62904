"""The demo: make the favourite eight times dearer and watch the traffic leave it."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.components import atoms, data
from arbiter_app.web.components.frame import link, shell
from arbiter_app.web.pages.overview import closed
from arbiter_app.web.state.demo import MULTIPLIERS, RATES, TOTALS, Demo
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.typed import Record


def page() -> rx.Component:
    """The page."""
    body = rx.fragment(
        rx.el.div(_scenario(), _controls(), class_name="two even fill"),
        _timeline(),
        rx.el.div(_alerts(), _choices(), class_name="two even"),
    )
    return shell("demo", "Demo", rx.cond(Demo.closed == "yes", closed(), body))


def _gate(*actions: rx.Component) -> rx.Component:
    return rx.cond(
        Demo.may == "no",
        rx.el.div(
            link("Get a key to press the buttons", to="/start", class_name="btn primary"),
            rx.el.span("Anybody may watch.", class_name="small mute"),
            class_name="row wrap",
        ),
        rx.el.div(*actions, class_name="row wrap"),
    )


def _busy() -> rx.Var[bool]:
    return Demo.progress["running"] == "yes"


def _scenario() -> rx.Component:
    steps = rx.el.ol(
        rx.el.li(
            rx.el.b("Let it find a favourite."),
            " 120 sums in six seconds, more if it needs them. Arbiter tries models, grades each answer by computing it, "
            "and settles on one that is cheaper than the baseline.",
        ),
        rx.el.li(
            rx.el.b("Make the favourite 8 times dearer."),
            " Its charges rise from one call to the next; nobody tells Arbiter. 150 more sums follow.",
        ),
        rx.el.li(
            rx.el.b("Watch."), " The shift is alerted below, its price is learned anew, and sums move to another model."
        ),
        class_name="prose small tight",
    )
    return atoms.panel(
        "The arbitrage moment",
        rx.el.div(
            steps,
            _gate(
                atoms.button("1  Find a favourite", on_click=Demo.seed, kind="primary", disabled=_busy()),
                atoms.button("2  Make it 8× dearer", on_click=Demo.shift, kind="primary", disabled=_busy()),
                rx.cond(_busy(), atoms.button("Stop", on_click=Demo.stop, kind="danger")),
            ),
            _progress(),
            class_name="stack pad",
        ),
        note="a known scenario, two clicks",
    )


def _progress() -> rx.Component:
    return rx.el.div(
        rx.cond(
            Demo.progress["any"] == "yes",
            rx.el.div(
                atoms.meter(Demo.progress["width"], "progress of the workload"),
                rx.el.span(Demo.progress["text"], class_name="num small mute"),
                class_name="stack tight",
            ),
        ),
        rx.cond(Demo.error != "", rx.el.p(Demo.error, class_name="error", role="alert")),
        class_name="progress",
        role="status",
    )


def _controls() -> rx.Component:
    price = rx.el.div(
        _select("Model", [rx.foreach(Demo.models, lambda one: rx.el.option(one, value=one))], Demo.model, "model"),
        _select("Price", [rx.el.option(f"×{one}", value=one) for one in MULTIPLIERS], Demo.multiplier, "multiplier"),
        atoms.button("Apply", on_click=Demo.apply, disabled=Demo.may == "no"),
        class_name="row end wrap",
    )
    work = rx.el.div(
        _select("Prompts", [rx.el.option(one, value=one) for one in TOTALS], Demo.total, "total"),
        _select("A second", [rx.el.option(one, value=one) for one in RATES], Demo.rate, "rate"),
        _select(
            "Task",
            [rx.el.option("every task", value=""), *[rx.el.option(one, value=one) for one in TASKS]],
            Demo.task,
            "task",
        ),
        rx.cond(
            _busy(),
            atoms.button("Stop", on_click=Demo.stop, kind="danger"),
            atoms.button("Send", on_click=Demo.start, disabled=Demo.may == "no"),
        ),
        class_name="row end wrap",
    )
    active = rx.el.ul(
        rx.foreach(
            Demo.overrides,
            lambda one: rx.el.li(
                rx.el.span(one["model"], class_name="num small"),
                rx.el.span(one["times"], class_name="tag warn"),
                atoms.button("Clear", on_click=Demo.clear(one["model"]), kind="mini push"),
                class_name="row",
            ),
        ),
        class_name="stack tight",
    )
    return atoms.panel(
        "By hand",
        rx.el.div(
            price,
            rx.cond(
                Demo.overrides.length() > 0,
                active,
                rx.el.p("No price is changed. A free model stays free at any factor.", class_name="small mute"),
            ),
            rx.el.hr(class_name="rule"),
            work,
            class_name="stack pad",
        ),
        note="prices are scaled in memory; a restart forgets them",
    )


def _select(label: str, options: list[rx.Component], value: rx.Var[str], name: str) -> rx.Component:
    control = rx.el.select(
        *options, value=value, on_change=lambda picked: Demo.set_option(name, picked), class_name="input"
    )
    return atoms.field(label, control)


def _timeline() -> rx.Component:
    return atoms.panel(
        "Timeline",
        rx.cond(
            Demo.any_calls == "yes",
            rx.fragment(
                rx.el.div(
                    data.chart(
                        Demo.charts["timeline"], "timeline", "Which model answered each decision, over time", 380
                    ),
                    class_name="pad",
                ),
                rx.el.div(
                    data.mark("k-dot", "exploited"),
                    data.mark("k-try", "explored"),
                    data.mark("k-moved", "a shift is alerted"),
                    data.mark("k-went", "traffic has settled elsewhere"),
                    class_name="legend",
                ),
            ),
            atoms.empty(
                "Nothing has happened yet", "Press the first button; every decision becomes a dot in its model's lane."
            ),
        ),
        explain=(
            "The newest decisions of the last two minutes, each in the lane of the model that answered. Nothing "
            "here is scripted: the lines are drawn when the alert was raised, and when its traffic had settled on"
            " one model."
        ),
        note="each dot a decision, in the lane of its model, live",
        tools=data.chart_tools("timeline"),
    )


def _alerts() -> rx.Component:
    return atoms.panel(
        "Shifts",
        rx.cond(
            Demo.alerts.length() > 0,
            data.shifts(Demo.alerts),
            atoms.empty("Nothing has moved", "When a price or a quality moves, it is said here within a few calls."),
        ),
        note="what moved and what Arbiter did",
    )


def _choices() -> rx.Component:
    def line(row: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(atoms.task_badge(row["task"])),
            rx.el.td(row["model"], class_name="m", title=row["model"]),
            rx.el.td(row["n"], class_name="n"),
            rx.el.td(row["cost"], class_name="n"),
        )

    return atoms.panel(
        "Current choice",
        rx.cond(
            Demo.chosen.length() > 0,
            rx.el.table(
                data.heads("task", "model", "#n", "#cost a call"),
                rx.el.tbody(rx.foreach(Demo.chosen, line)),
                class_name="feed long",
            ),
            atoms.empty("No choice yet", "The model that would be exploited now, per task."),
        ),
        note="who would answer now",
    )
