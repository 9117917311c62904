"""The panel with which an operator runs own prompts on every model."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.components import atoms, data
from arbiter_app.web.components.frame import link
from arbiter_app.web.state.calibrate import Calibrate
from arbiter_app.web.typed import Record

EXAMPLE = '{"prompt": "What is the capital of Peru?", "task": "factual", "reference": "Lima"}'


def panel() -> rx.Component:
    """The panel; nothing for anybody but operators."""
    return rx.cond(
        Calibrate.may == "yes",
        atoms.panel(
            "Calibrate",
            rx.el.div(rx.el.div(_prompts(), _progress(), class_name="two even"), _table(), class_name="pad stack"),
            note="your own prompts on every model, so that routing starts well informed",
            tools=(link("How", to="/docs/strategies", class_name="btn mini ghost"),),
        ),
    )


def _prompts() -> rx.Component:
    text = rx.el.textarea(
        name="jsonl", rows=6, placeholder=EXAMPLE, class_name="input num", required=True, spell_check=False
    )
    file = rx.el.input(
        type="file", accept=".jsonl,.json,.txt", class_name="input", custom_attrs={"data-fills": "f-prompts"}
    )
    cap = rx.el.input(
        name="max_usd", type="number", min="0.0001", step="any", default_value="1", class_name="input", required=True
    )
    return rx.el.form(
        atoms.field(
            "Prompts", text, "one JSON object a line: prompt or messages; task, and reference, regex or schema"
        ),
        rx.el.div(
            atoms.field("From a file", file),
            atoms.field("At most, USD", cap),
            class_name="row end wrap",
        ),
        atoms.button("Show the price", kind="primary", type="submit"),
        rx.cond(Calibrate.error != "", rx.el.p(Calibrate.error, class_name="error", role="alert")),
        on_submit=Calibrate.estimate,
        class_name="stack",
    )


def _progress() -> rx.Component:
    shown = Calibrate.shown
    buttons = rx.el.div(
        rx.cond(shown["go"] != "", atoms.button(shown["go"], on_click=Calibrate.start, kind="primary")),
        rx.cond(shown["state"] == "running", atoms.button("Cancel", on_click=Calibrate.cancel, kind="danger")),
        class_name="row",
    )
    known = rx.el.div(
        rx.el.p(shown["price"]),
        atoms.meter(shown["width"], "progress of the calibration"),
        rx.el.p(shown["progress"], class_name="num small mute", role="status"),
        rx.cond(shown["note"] != "", rx.el.p(shown["note"], class_name="small soft")),
        buttons,
        class_name="stack tight",
    )
    return rx.cond(
        shown["id"] != "",
        known,
        atoms.empty(
            "Nothing is called before you say so", "The price comes first, then a button. About 20 prompts a task."
        ),
    )


def _table() -> rx.Component:
    def line(row: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(atoms.task_badge(row["task"])),
            rx.el.td(row["model"], class_name="m", title=row["model"]),
            rx.el.td(row["quality"], class_name="n", title=row["judged"]),
            rx.el.td(row["cost"], class_name="n"),
            rx.el.td(row["n"], class_name="n"),
            key=row["bucket"] + row["model"],
        )

    table = atoms.region(
        rx.el.table(
            data.heads("task", "model", "#quality", "#cost a call", "#n"),
            rx.el.tbody(rx.foreach(Calibrate.outcomes, line)),
            class_name="feed",
        ),
        class_name="scroll high",
        aria_label="What the calibration found",
    )
    return rx.cond(Calibrate.outcomes.length() > 0, table)
