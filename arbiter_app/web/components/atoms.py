"""The small parts: panels, figures with their explanation, badges, bars, fields, code with a copy button."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import reflex as rx
from reflex.event import EventCallback

from arbiter_app.web.typed import Record, Records, Text, either

Part = rx.Component | Text
Pick = EventCallback[str] | Callable[[rx.Var[str]], EventCallback[()]]
"""What follows when something is chosen, from its value."""


def panel(
    title: Text, *body: Part, note: Part = "", explain: str = "", tools: tuple[rx.Component, ...] = (), cls: str = ""
) -> rx.Component:
    """A bordered section with a heading, how its numbers are computed, a quiet note beside it, and tools at the right."""
    return rx.el.section(
        rx.el.header(
            rx.el.h2(title),
            how(explain) if explain else rx.fragment(),
            rx.el.em(note) if note is not None and not (isinstance(note, str) and not note) else rx.fragment(),
            rx.el.div(*tools, class_name="tools") if tools else rx.fragment(),
        ),
        *body,
        class_name=f"panel {cls}".strip(),
    )


def how(text: Text, label: str = "How is this computed?") -> rx.Component:
    """A small disclosure that explains a number. Works by keyboard, closes with Escape."""
    return rx.el.details(
        rx.el.summary("?", aria_label=label),
        rx.el.div(text, class_name="tip"),
        class_name="how",
    )


def figure(label: Text, value: Text, sub: Part = "", explain: Text = "", cls: str = "") -> rx.Component:
    """One number with its unit, what it is, and how it is computed. Its height never changes with the value."""
    return rx.el.div(
        rx.el.div(
            label, how(explain) if not isinstance(explain, str) or explain else rx.fragment(), class_name="label"
        ),
        rx.el.span(value, class_name="value"),
        rx.el.span(sub, class_name="sub"),
        class_name=f"fig {cls}".strip(),
    )


def task_badge(task: Text) -> rx.Component:
    """A task by its name and hue."""
    return rx.el.span(task, class_name=_joined("task t-", task))


def mode_chip(mode: Text) -> rx.Component:
    """Why the serving model was chosen, as a chip; colour only where it is out of the ordinary."""
    return rx.el.span(mode, class_name=_joined("mode m-", mode))


def quality(width: Text, value: Text) -> rx.Component:
    """Quality 0..1 on the one scale used everywhere. `width` is a percentage; empty means not judged."""
    return rx.cond(
        width != "",
        rx.el.span(
            rx.el.span(rx.el.i(style={"width": width}), class_name="bar"),
            rx.el.span(value, class_name="num"),
            class_name="q",
        ),
        rx.el.span(value, class_name="mute"),
    )


def whisker(left: Text, width: Text, at: Text) -> rx.Component:
    """A 95 % interval with its mean, on a 0..1 scale; all three are percentages."""
    return rx.el.span(
        rx.el.i(style={"left": left, "width": width}),
        rx.el.u(style={"left": at}),
        class_name="whisker",
        aria_hidden="true",
    )


def segmented(
    options: list[tuple[str, str]], chosen: rx.Var[str], on_pick: EventCallback[str], label: str
) -> rx.Component:
    """A row of exclusive choices. `options` are (value, name)."""
    return rx.el.div(
        *[
            rx.el.button(
                name,
                on_click=on_pick(value),
                class_name=either(chosen == value, "on", ""),
                aria_pressed=either(chosen == value, "true", "false"),
                type="button",
            )
            for value, name in options
        ],
        class_name="seg",
        role="group",
        aria_label=label,
    )


def days(ends: Any) -> rx.Component:
    """The first and the last day of a range, each with a calendar: of a state with `first`, `last` and `between`."""

    def day(label: str, value: rx.Var[str], first: bool) -> rx.Component:
        return rx.el.input(
            type="date",
            value=value,
            on_change=lambda new: ends.between(new, "") if first else ends.between("", new),
            class_name="input mini num",
            aria_label=label,
        )

    return rx.el.div(day("First day", ends.first, True), day("Last day", ends.last, False), class_name="row ends")


def time_range(spans: list[tuple[str, str]], ends: Any) -> rx.Component:
    """Times up to now, or days: of a state with `span`, `set_span`, and what `days` needs."""
    return rx.el.div(segmented(spans, ends.span, ends.set_span, "Time range"), days(ends), class_name="row wrap")


def chips(rows: Records, drop: Callable[[rx.Var[str]], Any]) -> rx.Component:
    """Filters that are set, by `label` and `value`; `drop` takes the `name` of one away."""

    def chip(one: Record) -> rx.Component:
        cross = rx.el.button(
            "×", on_click=drop(one["name"]), class_name="chip-x", type="button", aria_label="Drop this filter"
        )
        return rx.el.span(one["label"], " ", rx.el.b(one["value"]), cross, class_name="tag")

    return rx.foreach(rows, chip)


def project_picker(projects: Records, chosen: rx.Var[str], on_pick: Pick, everything: str) -> rx.Component:
    """A small select of projects, by `id` and `name`; `everything` is none of them. Nothing where there is but one."""
    select = rx.el.select(
        rx.el.option(everything, value=""),
        rx.foreach(projects, lambda one: rx.el.option(one["name"], value=one["id"])),
        value=chosen,
        on_change=on_pick,
        class_name="input mini",
        aria_label="Project",
    )
    return rx.cond(projects.length() > 1, select)


def choice(options: list[tuple[str, str]], chosen: rx.Var[str], on_pick: Pick, label: str) -> rx.Component:
    """A small select with an invisible label."""
    return rx.el.select(
        *[rx.el.option(name, value=value) for value, name in options],
        value=chosen,
        on_change=on_pick,
        class_name="input mini",
        aria_label=label,
    )


def field(label: str, control: rx.Component, hint: Part = "", of: Text = "") -> rx.Component:
    """A labelled form control with a hint under it, which is its description and not part of its name.

    Where a page has the same field for several things, `of` is the id of the thing.
    """
    name = "f-" + "-".join(label.lower().split())
    own, hinted = (
        (name, f"{name}-hint")
        if isinstance(of, str) and not of
        else (_joined(f"{name}-", of), _joined(f"{name}-hint-", of))
    )
    cast(Any, control).id = own
    if getattr(control, "name", "") is None:  # without one, forms would send it by its id, which Reflex gives up
        cast(Any, control).name = name
    described = rx.el.small(hint, id=hinted) if not isinstance(hint, str) or hint else rx.fragment()
    return rx.el.div(rx.el.label(label, html_for=own), control, described, class_name="field")


def button(text: Part, *, on_click: Any = None, kind: str = "", **props: Any) -> rx.Component:
    """A push button. `kind`: primary, danger, ghost, mini, big (several may be given)."""
    if on_click is not None:
        props["on_click"] = on_click
    return rx.el.button(text, class_name=f"btn {kind}".strip(), **({"type": "button"} | props))


def region(*parts: Any, aria_label: str, **props: Any) -> rx.Component:
    """What may scroll by itself: named, and reached by the keyboard."""
    return rx.el.div(*parts, tab_index=0, role="region", aria_label=aria_label, **props)


def search(label: str, placeholder: str, on_change: Any, **props: Any) -> rx.Component:
    """Looks for rows of a list while somebody types."""
    return rx.el.input(
        placeholder=placeholder, on_change=on_change, class_name="input mini", aria_label=label, type="search", **props
    )


def copy_button(text: Text = "", label: str = "Copy") -> rx.Component:
    """Copies `text`, or the code block it stands in when empty. The work is done by arbiter.js."""
    return rx.el.button(custom_attrs={"data-copy": text}, class_name="copy", type="button", aria_label=label)


def code(text: Text, caption: str = "") -> rx.Component:
    """A code block with a copy button; `text` is shown as it is."""
    bar = rx.el.div(caption, copy_button(text), class_name="cap") if caption else copy_button(text)
    return rx.el.div(bar, rx.el.pre(rx.el.code(text), tab_index=0), class_name="code")


def empty(title: Text, text: Part, *actions: rx.Component) -> rx.Component:
    """What a panel shows while it has nothing: what will be here, and the next step."""
    return rx.el.div(rx.el.strong(title), rx.el.p(text), *actions, class_name="empty")


def meter(width: Text, label: Text, hot: rx.Var[bool] | bool = False) -> rx.Component:
    """A bar from empty to full; `width` is a percentage."""
    return rx.el.div(
        rx.el.i(style={"width": width}),
        class_name=either(hot, "meter hot", "meter"),
        role="img",
        aria_label=label,
    )


def clock(seconds: rx.Var[str]) -> rx.Var[str]:
    """A unix time (seconds, as text or number) as the visitor's own wall clock."""
    script = f"(({seconds!s}) ? new Date(Number({seconds!s}) * 1000).toTimeString().slice(0, 8) : '')"
    return rx.Var(script, _var_type=str, _var_data=seconds._get_all_var_data())


def day_clock(seconds: rx.Var[str]) -> rx.Var[str]:
    """A unix time as day and time of the visitor's own clock: `23 Nov 17:04:11`."""
    day = "toLocaleDateString('en-GB', {day: 'numeric', month: 'short'})"
    script = f"(({seconds!s}) ? (d => d.{day} + ' ' + d.toTimeString().slice(0, 8))(new Date(Number({seconds!s}) * 1000)) : '')"
    return rx.Var(script, _var_type=str, _var_data=seconds._get_all_var_data())


def zone() -> rx.Var[str]:
    """The time zone of the visitor's own clock: `UTC`, `CET`, `GMT+5:30`."""
    script = "new Date().toLocaleTimeString('en-GB', {timeZoneName: 'short'}).split(' ').slice(1).join(' ')"
    return rx.Var(script, _var_type=str)


def _joined(prefix: str, name: Text) -> Text:
    return prefix + name if isinstance(name, str) else rx.Var.create(prefix) + name.to(str)
