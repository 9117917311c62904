"""The overview: is it worth it, and what is happening now."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.components import atoms, budgets, data
from arbiter_app.web.components.frame import link, shell
from arbiter_app.web.state.overview import Overview
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.typed import Record, either

SPANS = [("1h", "1 h"), ("24h", "24 h"), ("7d", "7 d"), ("30d", "30 d")]
EXPLAIN = {
    "calls": (
        "Requests routed in this time range, cached answers included. Failed: no model answered, after "
        "failover. Aborted: the caller went away."
    ),
    "spend": (
        "Exact sum of every charge: answers, classifier, judge, failed and losing calls, and models asked beside "
        "answers to learn. Settled: the runtime stated the charge itself."
    ),
    "learning": (
        "What trying other models cost, mostly asked beside answers that callers got from another: as a share of what the "
        "baseline would have charged for everything. The policy keeps it under its cap, and the saving is net of it."
    ),
    "quality": (
        "Mean graded quality of what was served, minus that of the best known model for the same kind of prompt."
    ),
}
HOW = {
    "placebos": (
        "What the same requests would have cost, and how good their answers would have been, under other "
        "rules: each decision that was made counts for those like it that were not, by the probability with "
        "which it was made."
    ),
    "spend": (
        "Exact charges of all answers in a bucket, stacked by the model that gave them, and of models asked beside them. The dotted line prices "
        "the same calls at what the baseline was measured to cost. The table has the number of calls."
    ),
    "changed": (
        "The calls of this time are priced at the means of the time before, of ever narrower groups: all calls, their key, their kind "
        "of prompt, their model, and how long they are. What each step adds is a cause, so that the causes add up to the change."
    ),
    "scatter": (
        "Each dot is a model in this task: mean charge of its calls, mean grade of its answers, and the 95 % "
        "interval of that mean. The line joins the models that none beats in both. n is the number of grades."
    ),
    "learning": (
        "What models cost that were asked beside answers, to learn, as a share of what the baseline would have charged; and, "
        "where trials serve callers, such calls as a share of all. The table has the number of calls."
    ),
    "classifier": (
        "What named the task of each request: a rule, the same prompt seen before, or a model asked because "
        "rules were unsure."
    ),
}


def page() -> rx.Component:
    """The page."""
    tools = atoms.time_range(SPANS, Overview)
    return shell("overview", "Overview", rx.cond(Overview.closed == "yes", closed(), _open()), tools=tools)


def closed() -> rx.Component:
    """What visitors see where reads are not public."""
    return rx.el.section(
        atoms.empty(
            "Reports are private here",
            "This instance shows figures to signed-in callers only.",
            link("Sign in with a key", to="/app/key", class_name="btn primary"),
        ),
        class_name="panel",
    )


def _open() -> rx.Component:
    return rx.fragment(
        _strip(),
        _placebos(),
        rx.el.div(_spend(), _scatter(), class_name="two fill"),
        rx.cond(Overview.change["said"] != "", _changed()),
        rx.el.div(
            rx.el.div(_feed(), _learning(), _classifier(), class_name="stack"),
            rx.el.div(budgets.glance(), _decision(), _shifts(), class_name="stack"),
            class_name="two",
        ),
    )


def _strip() -> rx.Component:
    head, figures = Overview.headline, Overview.figures
    interval = rx.el.div(
        rx.el.s(style={"left": "50%"}),
        rx.el.i(style={"left": head["left"], "width": head["width"]}),
        rx.cond((Overview.any_calls != "") & (head["at"] != ""), rx.el.u(style={"left": head["at"]})),
        class_name="ci",
        role="img",
        aria_label="95 % interval on an axis from minus 100 % to plus 100 %; the thin line is zero",
    )
    hero = rx.el.div(
        rx.el.div(
            head["label"],
            rx.cond(Overview.period != "", rx.fragment(", ", Overview.period)),
            atoms.how(head["explain"]),
            class_name="label",
        ),
        rx.el.span(head["value"], class_name=either(head["kind"] == "proven", "value", "value words")),
        interval,
        rx.el.span(head["sub"], class_name="sub"),
        rx.cond(
            Overview.apart["said"] != "",
            link(Overview.apart["said"], to=Overview.apart["to"], class_name="link tiny"),
        ),
        class_name=rx.Var.create("fig hero ") + head["kind"],
    )
    rest = [
        atoms.figure("Calls", figures["calls"], figures["calls_sub"], EXPLAIN["calls"]),
        atoms.figure("Spend", figures["spend"], figures["spend_sub"], EXPLAIN["spend"]),
        atoms.figure("Spent on learning", figures["learning"], figures["learning_sub"], EXPLAIN["learning"]),
        atoms.figure("Quality against best", figures["quality"], figures["quality_sub"], EXPLAIN["quality"]),
    ]
    return rx.el.section(hero, *rest, class_name="strip", aria_label="Figures")


def _placebos() -> rx.Component:
    def line(one: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(
                rx.el.span(one["name"], class_name="strong"),
                " ",
                rx.el.span(one["note"], class_name="mute hide"),
                rx.cond(one["why"] != "", rx.el.small(one["why"], class_name="why-thin")),
            ),
            rx.el.td(one["cost"], class_name="n", title=one["cost_range"]),
            rx.el.td(_spread(one, "cost"), class_name="hide"),
            rx.el.td(one["quality"], class_name="n", title=one["quality_range"]),
            rx.el.td(_spread(one, "quality"), class_name="hide"),
            rx.el.td(one["worth"], class_name="n hide"),
            class_name=either(one["ours"] != "", "win", ""),
            key=one["name"],
        )

    table = rx.el.table(
        data.heads("routing", "#cost of 1,000 calls", "95 %-", "#quality", "95 %-", "#effective calls-"),
        rx.el.tbody(rx.foreach(Overview.placebos, line)),
        class_name="placebo",
    )
    waiting = rx.cond(
        Overview.any_calls != "",
        rx.el.p("Needs one graded answer of each model that served, for each kind of prompt.", class_name="pad mute"),
    )
    return atoms.panel(
        "Against simple strategies",
        rx.el.div(rx.cond(Overview.placebos.length() > 0, table, waiting), class_name="scroll placebo-hold"),
        explain=HOW["placebos"],
        note="the same traffic, estimated; line and bar: mean and 95 % interval",
        tools=(link("How", to="/docs/strategies", class_name="btn mini ghost"),),
    )


def _spread(one: Record, name: str) -> rx.Component:
    """The interval of a line, where it has one."""
    left, width, at = (one[f"{name}_{part}"] for part in ("left", "width", "at"))
    return rx.cond(at != "", atoms.whisker(left, width, at))


def _spend() -> rx.Component:
    return atoms.panel(
        "Spend",
        rx.cond(
            Overview.any_calls != "no",
            rx.fragment(
                rx.el.div(
                    data.chart(
                        Overview.charts["spend"], "spend", "Spend over time by model, against the baseline", 276
                    ),
                    class_name="pad",
                ),
                data.legend(
                    Overview.spend_legend,
                    data.mark("k-base", "the baseline for everything"),
                    data.mark("k-before", "the same time before"),
                ),
            ),
            no_calls(),
        ),
        explain=HOW["spend"],
        note="USD, by model, against the baseline for everything",
        tools=data.chart_tools("spend", Overview.behind),
    )


def _changed() -> rx.Component:
    def cause(one: Record) -> rx.Component:
        return rx.el.tr(rx.el.td(one["name"]), rx.el.td(one["change"], class_name="n strong"), key=one["name"])

    def who(one: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(one["kind"], class_name="mute"),
            rx.el.td(link(one["name"], to=one["to"]), class_name="m", title=one["name"]),
            rx.el.td(one["before"], class_name="n hide"),
            rx.el.td(one["after"], class_name="n"),
            rx.el.td(one["change"], class_name="n strong"),
            key=one["kind"] + one["name"],
        )

    change = Overview.change
    said = rx.el.div(
        rx.el.p(
            rx.el.span(change["said"], class_name=rx.Var.create("num strong ") + change["kind"]),
            " ",
            rx.el.span(change["sub"], class_name="soft small"),
            class_name="pad",
        ),
        rx.el.table(data.heads("because of", "#change"), rx.el.tbody(rx.foreach(Overview.causes, cause))),
    )
    whose = rx.el.table(
        data.heads("by", "name", "#before-", "#now", "#change"),
        rx.el.tbody(rx.foreach(Overview.groups, who)),
        class_name="feed long names",
    )
    return atoms.panel(
        "What changed",
        rx.el.div(said, rx.el.div(whose, class_name="scroll"), class_name="two even"),
        explain=HOW["changed"],
        note="spend in this time range, beside the same time before",
    )


def _scatter() -> rx.Component:
    sample = Overview.samples[Overview.scatter_task]
    drawing = rx.el.div(
        data.chart(Overview.scatters[Overview.scatter_task], "scatter", "Cost a call against quality, per model", 276),
        class_name="pad",
    )
    marks = rx.el.div(
        data.mark("k-dot", "current choice"),
        data.mark("k-line", "Pareto front"),
        data.mark("k-band", "within tolerance of the best"),
        data.mark("k-bar", "95 % interval"),
        rx.el.span(sample, class_name="num"),
        class_name="legend",
    )
    return atoms.panel(
        "Cost and quality",
        rx.cond(
            (Overview.any_calls != "") & (sample == ""),
            atoms.empty(
                "No grades yet",
                "Each model stands here with its cost and quality once answers of this kind were graded.",
            ),
            rx.fragment(drawing, marks),
        ),
        explain=HOW["scatter"],
        tools=(
            atoms.choice([(one, one) for one in TASKS], Overview.scatter_task, Overview.set_scatter_task, "Task"),
            *data.chart_tools("scatter", rx.Var.create("/app/activity?task=") + Overview.scatter_task),
        ),
    )


def _feed() -> rx.Component:
    tasks = [("", "all tasks"), *((one, one) for one in TASKS)]
    return atoms.panel(
        "Decisions",
        rx.cond(
            Overview.rows.length() > 0,
            data.feed(Overview.rows, Overview.picked["id"], Overview.pick),
            rx.cond(Overview.any_calls == "no", no_calls(), rx.el.div(class_name="hold feed-hold")),
        ),
        note="newest first, pushed",
        tools=(
            atoms.choice(tasks, Overview.task, Overview.set_task, "Task"),
            link("All activity", to="/app/activity", class_name="btn mini ghost"),
        ),
    )


def no_calls() -> rx.Component:
    """What a panel shows before the first call."""
    return atoms.empty(
        "No calls yet",
        "Route a first prompt, or let the demo send some; it appears here at once.",
        rx.el.div(
            link("Open the playground", to="/app/playground", class_name="btn primary"),
            link("Run the demo", to="/demo", class_name="btn"),
            class_name="row",
        ),
    )


def _decision() -> rx.Component:
    return atoms.panel(
        "Decision",
        rx.cond(
            Overview.stages.length() > 0,
            rx.el.div(data.trace(Overview.stages, Overview.candidates), class_name="pad"),
            rx.cond(
                Overview.any_calls == "no",
                data.stages_ahead("Choose a decision in the feed; each stage says here what it saw and what it took."),
                rx.cond(
                    Overview.closed_trace == "yes",
                    atoms.empty(
                        "Its story is not public",
                        "What a decision saw and took is for the key that asked, and for operators.",
                        link("Sign in with a key", to="/app/key", class_name="btn"),
                    ),
                    rx.el.div(class_name="hold trace-hold"),
                ),
            ),
        ),
        note=rx.el.span(Overview.picked["id"], class_name="num"),
        tools=(
            rx.cond(
                Overview.stages.length() > 0,
                link("Open", to="/app/decision/" + Overview.picked["id"], class_name="btn mini ghost"),
            ),
        ),
    )


def _shifts() -> rx.Component:
    return atoms.panel(
        "Shifts",
        rx.cond(
            Overview.alerts.length() > 0,
            data.shifts(Overview.alerts),
            rx.cond(
                Overview.any_calls != "",
                atoms.empty(
                    "Nothing has moved", "Price and quality shifts show here, with what Arbiter did about them."
                ),
                rx.el.div(class_name="hold shift-hold"),
            ),
        ),
        note="what moved and what Arbiter did",
    )


def _learning() -> rx.Component:
    return atoms.panel(
        "Exploration",
        rx.el.div(
            data.chart(Overview.charts["learning"], "learning", "Share spent on learning over time", 150),
            class_name="pad",
        ),
        explain=HOW["learning"],
        note="share spent on learning; dashed: the cap",
        tools=data.chart_tools("learning", Overview.behind),
    )


def _classifier() -> rx.Component:
    def line(one: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(one["name"]),
            rx.el.td(atoms.meter(one["width"], "share"), style={"width": "46%"}),
            rx.el.td(one["n"], class_name="n"),
            rx.el.td(one["share"], class_name="n"),
        )

    return atoms.panel(
        "Classifier",
        rx.cond(
            Overview.any_calls == "no",
            rx.el.p("Nothing was classified yet.", class_name="small mute pad"),
            rx.el.table(rx.el.tbody(rx.foreach(Overview.classifier, line))),
        ),
        explain=HOW["classifier"],
        note="how tasks were recognised",
    )
