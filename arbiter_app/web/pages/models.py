"""Models: what has been learned about each, per task; prices and latency over time; the catalog."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.components import atoms, calibration, data, pool
from arbiter_app.web.components.frame import link, shell
from arbiter_app.web.pages.overview import SPANS, closed, no_calls
from arbiter_app.web.state.models import Models
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.typed import Record, either

HOW = {
    "heat": (
        "The mean grade of a model's answers to one kind of prompt, objective checks and judged grades "
        "weighed by what each is worth, with the number of grades it rests on. Framed: the model that would "
        "be chosen now."
    ),
    "known": (
        "Mean grade with its 95 % interval, mean charge and mean time of a call. Before there is a grade, "
        "what is expected of a model of its price stands there with n 0. Licensed: grades on prompts that the baseline answered, too, "
        "prove at 95 %, however often one looks, that it is worse by no more than the tolerance."
    ),
    "segments": (
        "Requests of one task that are told apart by their project, key, first tag, system prompt or tools (a digest of these two), where "
        "the grades say that models are not worth the same to them: there the choice is made for each by itself."
    ),
    "prices": (
        "The charge of each decision, divided by its tokens, so that long and short answers compare. Lines: "
        "where a shift was noticed, and where the traffic settled after it."
    ),
    "latency": (
        "From the request's arrival to the last byte of the answer, over the calls of each bucket. The table "
        "has the number of calls."
    ),
    "deployments": (
        "The cheapest runtime that is healthy is asked first; the next stands in before another model is asked. One that failed "
        "rests, then the next request tries it. Calls, latency and charges are those of the newest 200 decisions that the model "
        "answered."
    ),
}


def page() -> rx.Component:
    """The page."""
    tools = atoms.time_range(SPANS, Models)
    body = rx.fragment(
        _heat(),
        rx.el.div(_learned(), rx.el.div(_prices(), _latency(), class_name="stack"), class_name="two even"),
        rx.cond(Models.segments.length() > 0, _segments()),
        _what_if(),
        calibration.panel(),
        pool.offers(),
        pool.catalog(),
        rx.cond(Models.deployments.length() > 0, _deployments()),
        pool.price_list(),
        pool.acts(),
    )
    return shell("models", "Models", rx.cond(Models.closed == "yes", closed(), body), tools=tools)


def _heat() -> rx.Component:
    return atoms.panel(
        "Task and model",
        rx.cond(
            Models.any_rows == "yes",
            rx.fragment(
                atoms.region(
                    data.chart(Models.charts["heat"], "heat", "Mean quality per task and model", 430),
                    class_name="pad scroll wide-chart",
                    aria_label="Heat map of tasks and models",
                ),
                rx.el.p("Scroll sideways for the other models.", class_name="only-s pad tiny mute"),
                rx.el.div(
                    data.mark("k-scale", "mean quality from 0 to 1"),
                    data.mark("k-frame", "current choice"),
                    data.mark("k-hollow", "no grade yet"),
                    rx.el.span("n: graded answers"),
                    class_name="legend",
                ),
            ),
            no_calls(),
        ),
        explain=HOW["heat"],
        note="what is known of each model, per kind of prompt",
        tools=data.chart_tools("heat"),
    )


def _what_if() -> rx.Component:
    answer = Models.answer
    controls = rx.el.div(
        atoms.field(
            "Quality tolerance",
            rx.el.input(
                type="range",
                min="0",
                max="0.3",
                step="0.01",
                default_value=Models.tolerance,
                on_change=Models.set_tolerance.debounce(150),
                custom_attrs={"aria-valuetext": answer["asked"]},
            ),
            answer["asked"],
        ),
        atoms.field(
            "Without",
            rx.el.select(
                rx.el.option("no model left out", value=""),
                rx.foreach(Models.catalog, lambda name: rx.el.option(name, value=name)),
                value=Models.without,
                on_change=Models.set_without,
                class_name="input",
            ),
            "as if it had not been in the pool",
        ),
        class_name="stack",
    )
    figures = rx.el.div(
        rx.el.div(
            atoms.figure("Cost of 1,000 calls", answer["cost"], answer["cost_sub"]),
            atoms.figure("Quality", answer["quality"], answer["quality_sub"]),
            class_name="row",
        ),
        rx.el.p(answer["now"], " · ", answer["sub"], class_name="soft"),
        rx.el.p(answer["models"], class_name="mute"),
        role="status",
    )
    refused = rx.el.p(answer["refused"], class_name="soft", role="status")
    return atoms.panel(
        "What if",
        rx.el.div(
            rx.cond(
                answer["asked"] != "",
                rx.el.div(controls, rx.cond(answer["refused"] != "", refused, figures), class_name="two even"),
            ),
            class_name="pad what-if",
        ),
        note="another rule on the traffic that was seen, with 95 % intervals",
        tools=(link("How", to="/docs/strategies", class_name="btn mini ghost"),),
    )


def _learned() -> rx.Component:
    def line(row: Record) -> rx.Component:
        return rx.cond(
            (Models.task == "") | (row["task"] == Models.task),
            rx.el.tr(
                rx.el.td(
                    atoms.task_badge(row["task"]),
                    rx.cond(row["bucket"] != row["task"], rx.el.span(" hard", class_name="tiny mute")),
                ),
                rx.el.td(
                    row["model"],
                    rx.cond(row["belief"] != "", rx.el.small(row["belief"], class_name="why-thin")),
                    rx.cond(
                        row["licence"] != "",
                        rx.el.small(
                            row["licence"], class_name=either(row["licensed"] != "", "why-thin good", "why-thin")
                        ),
                    ),
                    class_name="m",
                    title=row["model"],
                ),
                rx.el.td(row["n"], class_name="n"),
                rx.el.td(
                    rx.cond(row["width"] != "", atoms.whisker(row["left"], row["width"], row["at"])), class_name="hide"
                ),
                rx.el.td(row["quality"], class_name="n", title=row["interval"]),
                rx.el.td(row["cost"], class_name="n"),
                rx.el.td(row["ms"], class_name="n hide"),
                rx.el.td(
                    rx.cond(
                        row["chosen"] != "", rx.el.span("✓", class_name="good strong", aria_label="chosen", role="img")
                    )
                ),
                class_name=either(row["chosen"] != "", "win", ""),
                key=row["bucket"] + row["model"],
            ),
        )

    table = atoms.region(
        rx.el.table(
            data.heads("task", "model", "#n", "95 % interval, 0 to 1-", "#quality", "#cost", "#ms-", ""),
            rx.el.tbody(rx.foreach(Models.rows, line)),
            class_name="feed",
        ),
        class_name="scroll high",
        aria_label="What is known per task and model",
    )
    return atoms.panel(
        "What is known",
        rx.cond(Models.any_rows == "yes", table, no_calls()),
        rx.el.footer(rx.el.span(Models.judge, class_name="small soft"), class_name="row toolbar"),
        explain=HOW["known"],
        note="n: graded answers",
        tools=(atoms.choice([("", "all tasks"), *((t, t) for t in TASKS)], Models.task, Models.set_task, "Task"),),
    )


def _segments() -> rx.Component:
    def line(row: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(
                atoms.task_badge(row["task"]),
                rx.cond(row["bucket"] != row["task"], rx.el.span(" hard", class_name="tiny mute")),
            ),
            rx.el.td(row["feature"]),
            rx.el.td(row["value"], class_name="m", title=row["value"]),
            rx.el.td(row["n"], class_name="n"),
            rx.el.td(row["model"], class_name="m", title=row["model"]),
            rx.el.td(row["quality"], class_name="n"),
            rx.el.td(row["chance"], class_name="n hide"),
            key=row["bucket"] + row["feature"] + row["value"],
        )

    heads = data.heads("task", "by", "segment", "#n", "chosen", "#quality", "#likely to differ-")
    table = atoms.region(
        rx.el.table(heads, rx.el.tbody(rx.foreach(Models.segments, line)), class_name="feed"),
        class_name="scroll",
        aria_label="Segments that differ",
    )
    return atoms.panel("Segments that differ", table, explain=HOW["segments"], note="n: graded answers")


def _prices() -> rx.Component:
    return atoms.panel(
        "Prices",
        rx.cond(
            Models.any_prices == "yes",
            rx.fragment(
                rx.el.div(
                    data.chart(Models.charts["prices"], "prices", "USD a thousand tokens per model over time", 300),
                    class_name="pad",
                ),
                data.legend(
                    Models.prices_legend,
                    data.mark("k-moved", "a shift"),
                    data.mark("k-went", "where traffic then went"),
                ),
            ),
            atoms.empty("No paid calls yet", "Each decision's measured price shows here, with every shift marked."),
        ),
        explain=HOW["prices"],
        note="measured: the newest decisions, and those around shifts",
        tools=data.chart_tools("prices", Models.behind),
    )


def _latency() -> rx.Component:
    drawing = rx.el.div(
        data.chart(Models.charts["latency"], "latency", "Median and 95th percentile latency over time", 200),
        class_name="pad",
    )
    marks = rx.el.div(
        rx.el.span(rx.el.i(style={"--k": "#0f8472"}), "median"),
        rx.el.span(rx.el.i(style={"--k": "#b3762a"}), "95th percentile"),
        class_name="legend",
    )
    return atoms.panel(
        "Latency",
        rx.cond(
            Models.any_calls == "no",
            atoms.empty("No calls yet", "How long answers take shows here, for each time range."),
            rx.fragment(drawing, marks),
        ),
        explain=HOW["latency"],
        note="ms to the whole answer",
        tools=data.chart_tools("latency", Models.behind),
    )


def _deployments() -> rx.Component:
    def line(row: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(row["id"], class_name="m", title=row["id"]),
            rx.el.td(row["runtime"], title=row["name"]),
            rx.el.td(
                rx.cond(
                    row["kind"] != "",
                    rx.el.span(row["state"], class_name="tag good"),
                    rx.cond(row["state"] != "", rx.el.span(row["state"], class_name="tag", title=row["reason"])),
                )
            ),
            rx.el.td(row["input"], class_name="n"),
            rx.el.td(row["output"], class_name="n"),
            rx.el.td(row["calls"], class_name="n"),
            rx.el.td(row["failed"], class_name="n hide"),
            rx.el.td(row["latency"], class_name="n"),
            rx.el.td(row["cost"], class_name="n"),
        )

    return atoms.panel(
        "Deployments",
        atoms.region(
            rx.el.table(
                data.heads(
                    "model",
                    "runtime",
                    "state",
                    "#input",
                    "#output",
                    "#calls",
                    "#failed-",
                    "#latency, ms",
                    "#$ a 1,000 tokens",
                ),
                rx.el.tbody(rx.foreach(Models.deployments, line)),
                class_name="feed long",
            ),
            class_name="scroll",
            aria_label="The runtimes of each model",
        ),
        explain=HOW["deployments"],
        note="the same model on several runtimes",
    )
