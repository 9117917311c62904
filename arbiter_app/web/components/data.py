"""Parts that show decisions: the feed, the trace of six stages, the candidates, shifts; and charts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import reflex as rx
from reflex.event import EventCallback
from reflex.vars import ObjectVar
from reflex_components_plotly.plotly import PlotlyBasic

from arbiter_app.web.charts.parts import Figure
from arbiter_app.web.components import atoms
from arbiter_app.web.components.frame import link
from arbiter_app.web.components.icons import icon
from arbiter_app.web.state.chart import TITLES, Chart
from arbiter_app.web.theme import DARK, LIGHT, template
from arbiter_app.web.typed import Record, Records, Text, either


def heads(*names: str) -> rx.Component:
    """A table head. A name with a leading `#` is numeric, with an `@` a time of the visitor's clock, with a trailing `-` hidden on phones."""
    return rx.el.thead(rx.el.tr(*[_head(name) for name in names]))


def _head(name: str) -> rx.Component:
    cls = " ".join(part for part in ("n" if name.startswith("#") else "", "hide" if name.endswith("-") else "") if part)
    zone = [", ", atoms.zone()] if "@" in name else []
    return rx.el.th(name.strip("#@-"), *zone, class_name=cls, scope="col")


def feed(rows: Records, picked: rx.Var[str], on_pick: EventCallback[str]) -> rx.Component:
    """Decisions, newest first. A row opens its trace by click or by its button, with the keyboard too.

    A row of the table belongs to a place, not to a decision: texts change where they stand, and nothing on the page
    moves while decisions flow. What has just come is marked.
    """

    def line(row: Record, place: rx.Var[int]) -> rx.Component:
        return rx.el.tr(
            rx.el.td(
                rx.cond(row["fresh"] == "yes", rx.el.i(class_name="fresh", key=row["id"])),
                rx.el.button(
                    atoms.task_badge(row["task"]),
                    rx.el.span(", open this decision", class_name="sr"),
                    class_name="rowlink",
                    type="button",
                ),
            ),
            rx.el.td(row["model"], class_name="m", title=row["model"]),
            rx.el.td(atoms.mode_chip(row["mode"])),
            rx.el.td(atoms.quality(row["width"], row["quality"]), class_name="hide"),
            rx.el.td(row["cost"], class_name="n", title=row["state"]),
            rx.el.td(row["saved"], class_name="n hide"),
            rx.el.td(row["ms"], class_name="n hide"),
            rx.el.td(atoms.clock(row["ts"]), class_name="n hide"),
            class_name=either(row["id"] == picked, "pick on", "pick"),
            on_click=on_pick(row["id"]),
            key=place,
        )

    return rx.el.div(
        rx.el.table(
            heads("task", "model", "mode", "quality-", "#cost", "#saved-", "#ms-", "#@time-"),
            rx.el.tbody(rx.foreach(rows, line)),
            class_name="feed steady",
        ),
        class_name="scroll",
    )


def trace(stages: Records, candidates: Records) -> rx.Component:
    """The six stages as a vertical story: what went in, the numbers, the time; the candidates under Route."""

    def stage(one: Record) -> rx.Component:
        return rx.el.li(
            rx.el.span(class_name="dot"),
            rx.el.div(
                rx.el.b(one["name"]),
                rx.el.p(one["text"]),
                class_name="body",
            ),
            rx.el.span(one["ms"], class_name="ms"),
            rx.cond((one["name"] == "Route") & (candidates.length() > 0), candidate_table(candidates)),
            class_name=rx.Var.create("stage ") + one["kind"],
            key=one["name"],
        )

    spans = rx.el.div(
        rx.foreach(stages, lambda one: rx.el.i(style={"width": one["width"]}, title=one["name"] + " " + one["ms"])),
        class_name="spans",
        aria_hidden="true",
        title="where the time went, stage by stage",
    )
    return rx.el.div(spans, rx.el.ol(rx.foreach(stages, stage), class_name="trace"))


def stages_ahead(text: str) -> rx.Component:
    """The six stages before anything was routed: what each of them will tell."""
    told = (
        ("Classify", "which kind of prompt it is, and the rule that said so"),
        ("Filter", "which models drop out, and the gate each met"),
        ("Route", "every candidate with quality, interval, cost, and why not"),
        ("Call", "who answered, failovers, tokens, the exact charge"),
        ("Grade", "how good the answer was, and how that is known"),
        ("Learn", "what the next decision knows that this one did not"),
    )
    steps = [
        rx.el.li(
            rx.el.span(class_name="dot"),
            rx.el.div(rx.el.b(name), rx.el.p(what), class_name="body"),
            class_name="stage wait",
        )
        for name, what in told
    ]
    return rx.el.div(
        rx.el.p(text, class_name="small mute"), rx.el.ol(*steps, class_name="trace"), class_name="stack pad"
    )


def candidate_table(rows: Records) -> rx.Component:
    """Every model that was weighed, with quality and interval, cost, and why it was not chosen."""

    def line(one: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(
                rx.el.div(one["model"], class_name="whole", title=one["model"]),
                rx.el.small(one["why"], class_name="narrow-why"),
                class_name="m",
            ),
            rx.el.td(one["quality"], class_name="n"),
            rx.el.td(one["n"], class_name="n hide"),
            rx.el.td(one["cost"], class_name="n"),
            rx.el.td(one["why"], class_name="w"),
            class_name=one["kind"],
            key=one["model"],
        )

    return atoms.region(
        rx.el.table(heads("candidate", "#quality", "#n-", "#cost", "why not"), rx.el.tbody(rx.foreach(rows, line))),
        class_name="cand",
        aria_label="Candidates",
    )


def shadow_table(rows: Records) -> rx.Component:
    """The models that were asked beside an answer: quality, cost, time, and how they were graded."""

    def line(one: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(
                rx.el.div(one["model"], class_name="clip", title=one["model"]),
                rx.el.small(one["why"], class_name="narrow-why"),
                class_name="m",
            ),
            rx.el.td(one["quality"], class_name="n"),
            rx.el.td(one["cost"], class_name="n"),
            rx.el.td(one["ms"], class_name="n hide"),
            rx.el.td(one["why"], class_name="w"),
            key=one["model"],
        )

    return atoms.region(
        rx.el.table(heads("model", "#quality", "#cost", "#time-", "grade"), rx.el.tbody(rx.foreach(rows, line))),
        class_name="cand",
        aria_label="Models asked beside the answer",
    )


def shifts(rows: Records) -> rx.Component:
    """Price and quality shifts, newest first, with what Arbiter did about each."""

    def line(one: Record) -> rx.Component:
        return rx.el.li(
            rx.el.span(atoms.day_clock(one["ts"]), class_name="num"),
            rx.el.span(
                rx.el.span(one["model"], class_name="strong"),
                " ",
                rx.el.span(one["change"], class_name=either(one["harm"] == "yes", "bad", "good")),
                ". ",
                rx.el.span(one["reason"], class_name="soft"),
            ),
            rx.cond(one["task"] != "", atoms.task_badge(one["task"])),
            class_name="item",
        )

    return rx.el.ul(rx.foreach(rows, line))


def chart(
    figure: ObjectVar[Figure] | ObjectVar[Mapping[str, Any]], name: str, label: str, height: int = 260
) -> rx.Component:
    """A Plotly chart of the basic bundle in the colours of the visitor's theme; its height is reserved. What is pressed in the chart of
    this name leads to its decisions.

    The bundle is fetched once there is something to draw, after the figures and the feed have been shown.
    """
    from plotly.graph_objs import Figure
    from plotly.graph_objs.layout import Template

    theme = rx.color_mode_cond(light=rx.Var.create(template(LIGHT)), dark=rx.Var.create(template(DARK)))
    drawing = PlotlyBasic.create(
        data=figure.to(Figure),
        template=theme.to(Template),
        on_click=lambda points: Chart.open(name, points),
        config={"displayModeBar": False, "responsive": True, "scrollZoom": False},
        style={"width": "100%", "height": f"{height}px"},
    )
    return rx.el.div(
        rx.cond(figure.contains("data"), drawing),
        class_name="chart",
        style={"--h": f"{height}px"},
        role="img",
        aria_label=label,
    )


def legend(rows: Records, *more: rx.Component) -> rx.Component:
    """What the colours of a chart stand for."""
    return rx.el.div(
        rx.foreach(rows, lambda one: rx.el.span(rx.el.i(style={"--k": one["colour"]}), one["name"])),
        *more,
        class_name="legend",
    )


def mark(kind: str, text: str) -> rx.Component:
    """One entry of a legend that never changes: `kind` names its sign."""
    return rx.el.span(rx.el.i(class_name=kind), text)


def chart_tools(name: str, behind: Text = "/app/activity") -> tuple[rx.Component, ...]:
    """The buttons of a chart: the decisions `behind` it, its numbers as a table, and as a file."""
    title = TITLES[name]
    return (
        link("decisions", to=behind, class_name="btn mini ghost", aria_label=f"The decisions behind {title}"),
        atoms.button("table", on_click=Chart.show(name), kind="mini ghost", aria_label=f"Show {title} as a table"),
        atoms.button("csv", on_click=Chart.save(name), kind="mini ghost", aria_label=f"Download {title} as CSV"),
    )


def table_view() -> rx.Component:
    """The table of the chart whose `table` button was pressed, over the page."""

    def line(row: rx.Var[list[str]]) -> rx.Component:
        return rx.el.tr(rx.foreach(row.to(list[str]), lambda cell: rx.el.td(cell, class_name="num")))

    return rx.cond(
        Chart.title != "",
        rx.el.div(
            rx.el.section(
                rx.el.header(
                    rx.el.h2(Chart.title),
                    rx.el.em("the numbers behind the chart"),
                    rx.el.div(
                        rx.el.button(
                            icon("close"),
                            on_click=Chart.close,
                            class_name="icon-btn",
                            aria_label="Close the table",
                            type="button",
                            auto_focus=True,
                            custom_attrs={"data-close": ""},
                        ),
                        class_name="tools",
                    ),
                ),
                atoms.region(
                    rx.el.table(
                        rx.el.thead(rx.el.tr(rx.foreach(Chart.head, lambda name: rx.el.th(name, scope="col")))),
                        rx.el.tbody(rx.foreach(Chart.rows, line)),
                    ),
                    class_name="scroll tall",
                    aria_label="Table",
                ),
                class_name="panel dialog",
                role="dialog",
                aria_modal="true",
                aria_label=Chart.title,
            ),
            class_name="veil",
        ),
    )
