"""The playground: route one prompt and understand why."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.ask import MAX_PROMPT
from arbiter_app.web.components import atoms, data
from arbiter_app.web.components.frame import link, shell
from arbiter_app.web.components.icons import icon
from arbiter_app.web.state.account import Account
from arbiter_app.web.state.playground import BUDGETS, Playground
from arbiter_app.web.tasks import TASKS
from arbiter_app.web.typed import either

LATENCIES = [("", "no ceiling"), ("1", "1 s"), ("2", "2 s"), ("5", "5 s"), ("15", "15 s")]


def page() -> rx.Component:
    """The page."""
    return shell(
        "playground",
        "Playground",
        rx.el.div(
            rx.el.div(_ask(), _answer(), class_name="stack"),
            rx.el.div(_trace(), class_name="stack"),
            class_name="two even",
        ),
    )


def _ask() -> rx.Component:
    examples = [
        rx.el.button(atoms.task_badge(task), on_click=Playground.example(task), class_name="btn mini", type="button")
        for task in TASKS
    ]
    form = rx.el.form(
        rx.el.div(rx.el.span("Try", class_name="small mute"), *examples, class_name="row wrap"),
        atoms.field(
            "Prompt",
            rx.el.textarea(
                default_value=Playground.prompt,
                key=Playground.written.to_string(),
                on_change=Playground.set_prompt.debounce(200),
                name="prompt",
                rows="4",
                max_length=MAX_PROMPT,
                class_name="input",
                placeholder="Ask anything",
            ),
            rx.cond(
                Playground.full == "yes",
                rx.el.span(
                    f"Full: nothing beyond {MAX_PROMPT:,} characters is in it. The API takes more.", class_name="warn"
                ),
                f"at most {MAX_PROMPT:,} characters",
            ),
        ),
        rx.el.div(_budget(), _latency(), class_name="pair"),
        _model(),
        rx.cond((Playground.needs_key != "yes") | Playground.fits.contains("task"), _fits()),
        _send(),
        on_submit=Playground.send,
        class_name="stack pad",
    )
    return atoms.panel("Prompt", form, note="routed by the same code as the API")


def _budget() -> rx.Component:
    return atoms.field(
        "Cost ceiling",
        rx.el.input(
            type="range",
            min="0",
            max=str(len(BUDGETS) - 1),
            step="1",
            default_value=str(len(BUDGETS) - 1),
            on_change=Playground.set_budget.debounce(80),
            aria_label="Cost ceiling",
            custom_attrs={"aria-valuetext": Playground.fits["ceiling"]},
        ),
        rx.el.span(Playground.fits["ceiling"], class_name="num"),
    )


def _latency() -> rx.Component:
    return atoms.field(
        "Latency ceiling",
        rx.el.select(
            *[rx.el.option(name, value=value) for value, name in LATENCIES],
            value=Playground.latency,
            on_change=Playground.set_latency,
            class_name="input",
        ),
        "models that were not timed yet pass",
    )


def _model() -> rx.Component:
    return atoms.field(
        "Model",
        rx.el.select(
            rx.foreach(Playground.presets, lambda name: rx.el.option(name, value=name)),
            value=Playground.model,
            on_change=Playground.set_model,
            class_name="input",
        ),
        "what a client names in the place of a model: auto, or a wish",
    )


def _fits() -> rx.Component:
    fits = Playground.fits
    dropped = rx.el.details(
        rx.el.summary(Playground.dropped.length(), " left out, and why", class_name="small link"),
        rx.el.ul(
            rx.foreach(
                Playground.dropped,
                lambda one: rx.el.li(rx.el.span(one["model"], class_name="num"), " · ", one["why"], class_name="soft"),
            ),
            class_name="small plain",
        ),
    )
    return rx.el.div(
        rx.el.div(
            atoms.task_badge(fits["task"]),
            rx.el.span(fits["difficulty"], class_name="small soft"),
            rx.el.span(fits["rule"], class_name="small mute clip"),
            rx.el.span(fits["tokens"], class_name="small mute push num nowrap"),
            class_name="row",
        ),
        atoms.meter(fits["width"], "share of models that fit"),
        rx.el.div(
            rx.el.span(fits["count"], class_name="small strong", id="fit-count"),
            rx.el.span(fits["note"], class_name="small warn"),
            class_name="row wrap",
        ),
        rx.cond(
            fits.contains("model"),
            rx.el.div(
                rx.el.span("Would go to ", rx.el.span(fits["model"], class_name="num strong"), class_name="small"),
                rx.el.span(fits["expected"], class_name="small soft num"),
                rx.el.span(fits["why"], class_name="small mute"),
                class_name="row wrap",
                id="foretold",
            ),
        ),
        rx.cond(Playground.dropped.length() > 0, dropped),
        class_name="sunk stack tight",
        role="status",
        aria_label="Before sending",
    )


def _send() -> rx.Component:
    stop = atoms.button("Stop", on_click=Playground.stop, kind="danger")
    send = rx.el.button("Route it", type="submit", class_name="btn primary")
    sign_in = rx.el.div(
        rx.cond(Account.signup == "yes", link("Get a key", to="/start", class_name="btn primary")),
        link("Sign in with a key", to="/app/key", class_name="btn"),
        rx.el.span("Routing needs a key, so that limits are yours.", class_name="small mute"),
        class_name="row wrap",
    )
    return rx.el.div(
        rx.cond(Playground.needs_key == "yes", sign_in, rx.cond(Playground.busy, stop, send)), class_name="row"
    )


def _answer() -> rx.Component:
    result = Playground.result
    facts = rx.el.div(
        _fact("model", rx.el.span(result["model"], class_name="num"), atoms.mode_chip(result["mode"])),
        _fact("quality", atoms.quality(result["width"], result["quality"])),
        _fact(
            "cost", rx.el.span(result["cost"], class_name="num"), rx.el.span(result["state"], class_name="tiny mute")
        ),
        _fact("saved", rx.el.span(result["saved"], class_name="num"), rx.el.span("estimate", class_name="tiny mute")),
        _fact(
            "time",
            rx.el.span(result["ms"], " ms", class_name="num"),
            rx.el.span(result["first"], class_name="tiny mute"),
        ),
        class_name="facts",
    )
    body = rx.el.div(
        atoms.region(
            Playground.answer,
            class_name=either(Playground.busy, "answer busy", "answer"),
            id="answer",
            aria_label="Answer",
            aria_busy=Playground.busy,
        ),
        class_name="pad",
    )
    return atoms.panel(
        "Answer",
        rx.cond(
            Playground.error != "",
            rx.el.div(rx.el.div(Playground.error, class_name="note bad", role="alert"), class_name="pad"),
        ),
        rx.cond(
            (Playground.answer != "") | Playground.busy,
            body,
            rx.cond(
                Playground.error == "",
                atoms.empty("Nothing asked yet", "The answer streams in here, with what it cost and what it saved."),
            ),
        ),
        rx.cond(result.contains("id"), facts),
        tools=(rx.cond(result.contains("id"), _thumbs()),),
    )


def _fact(name: str, *value: rx.Component) -> rx.Component:
    return rx.el.div(rx.el.span(name, class_name="tiny mute"), rx.el.span(*value, class_name="row"))


def _thumbs() -> rx.Component:
    def thumb(rating: str, label: str) -> rx.Component:
        return rx.el.button(
            icon(rating),
            on_click=Playground.thumb(rating),
            class_name=either(Playground.vote == rating, "icon-btn good", "icon-btn"),
            aria_label=label,
            aria_pressed=either(Playground.vote == rating, "true", "false"),
            type="button",
        )

    return rx.el.div(thumb("up", "Good answer"), thumb("down", "Bad answer"), class_name="row", role="group")


def _trace() -> rx.Component:
    return atoms.panel(
        "Why",
        rx.cond(
            Playground.stages.length() > 0,
            rx.el.div(data.trace(Playground.stages, Playground.candidates), class_name="pad"),
            data.stages_ahead("Route a prompt; each stage says here what it saw and what it took."),
        ),
        note=rx.el.span(Playground.result["id"], class_name="num"),
        tools=(
            rx.cond(
                Playground.result.contains("id"),
                link("Open", to="/app/decision/" + Playground.result["id"], class_name="btn mini ghost"),
            ),
        ),
        cls="tall-cand",
    )
