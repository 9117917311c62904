"""The landing page: one sentence, and this instance's own numbers as its proof."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.components import atoms, data
from arbiter_app.web.components.frame import link, site
from arbiter_app.web.state.overview import Overview
from arbiter_app.web.state.start import Integration
from arbiter_app.web.typed import either

STEPS = (
    ("1", "Point", "Change the base address of a client or a coding agent. Keep everything else."),
    ("2", "Route", "Each prompt goes to the cheapest model that is known to answer its kind well."),
    ("3", "Prove", "Answers are checked, prices are watched, and what was saved is measured with its interval."),
)


def page() -> rx.Component:
    """The page."""
    return site(rx.el.div(_hero(), _proof(), _steps(), _feed(), _foot(), class_name="wide"))


def _hero() -> rx.Component:
    return rx.el.section(
        rx.el.h1("The cheapest model that still gets it right."),
        rx.el.p(
            "Arbiter is a self-hosted router in front of your models. It speaks as OpenAI and Anthropic do, decides per prompt, "
            "checks every answer it can, learns from the result, and shows you why."
        ),
        rx.el.div(
            link("Make a first call", to="/start", class_name="btn primary big"),
            link("Open the app", to="/app", class_name="btn big"),
            link("Read the docs", to="/docs", class_name="btn ghost big"),
            class_name="row wrap",
        ),
        class_name="hero-t",
    )


def _proof() -> rx.Component:
    head, figures = Overview.headline, Overview.figures
    hero = rx.el.div(
        rx.el.div(head["label"], atoms.how(head["explain"]), class_name="label"),
        rx.el.span(head["value"], class_name=either(head["kind"] == "proven", "value", "value words")),
        rx.el.span(head["sub"], class_name="sub two-lines"),
        class_name=rx.Var.create("fig hero ") + head["kind"],
    )
    return rx.cond(
        Overview.closed == "yes",
        rx.fragment(),
        rx.el.section(
            hero,
            atoms.figure(
                "Calls", figures["calls"], "routed here", "Requests routed by this instance in the time range."
            ),
            atoms.figure(
                "Spend", figures["spend"], figures["spend_sub"], "Exact sum of every charge, learning included."
            ),
            atoms.figure("Models", figures["models"], "in the pool", "Models that may be chosen at the moment."),
            atoms.figure("Task types", figures["tasks"], "learned apart", "Kinds of prompt that traffic was seen for."),
            class_name="strip",
            aria_label="This instance's own numbers",
        ),
    )


def _steps() -> rx.Component:
    return rx.el.section(
        rx.el.h2("One line changes"),
        rx.el.div(
            *[
                rx.el.div(rx.el.span(number, class_name="num big-n"), rx.el.h3(name), rx.el.p(text, class_name="soft"))
                for number, name, text in STEPS
            ],
            class_name="three",
        ),
        atoms.code(Integration.codes["line"], "Python, the openai package"),
        class_name="section stack",
    )


def _feed() -> rx.Component:
    return rx.cond(
        Overview.rows.length() > 0,
        rx.el.section(
            rx.el.h2("Happening now"),
            rx.el.p("Decisions of this instance as they are made. Pick one to see its six stages.", class_name="soft"),
            rx.el.div(
                atoms.panel(
                    "Decisions",
                    data.feed(Overview.rows, Overview.picked["id"], Overview.pick),
                    note="newest first, pushed",
                ),
                atoms.panel(
                    "Why",
                    rx.el.div(data.trace(Overview.stages, Overview.candidates), class_name="pad"),
                    note=rx.el.span(Overview.picked["id"], class_name="num"),
                ),
                class_name="two",
            ),
            class_name="section stack",
        ),
    )


def _foot() -> rx.Component:
    return rx.el.footer(
        rx.el.span("Arbiter"),
        link("Documentation", to="/docs"),
        link("Demo", to="/demo"),
        rx.el.a("API reference", href="/v1/reference", reload_document=True),
        rx.el.a("Health", href="/health", reload_document=True),
        class_name="foot-bar",
    )
