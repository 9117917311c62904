"""The panels of the pool: the catalog with its layers, the form, what is new here, the price list as a file, who changed what."""

from __future__ import annotations

import reflex as rx

from arbiter_app.pipeline.types import IN_WORDS, Capability
from arbiter_app.web.components import atoms, data
from arbiter_app.web.state.models import Models
from arbiter_app.web.state.pool import PoolPanel
from arbiter_app.web.typed import Record, either

HOW = {
    "catalog": (
        "Three layers: the catalog's file; what the runtime lists, which comes before it; and what operators said here, which comes "
        "before both until it is taken back. The column *from* says which one a price is of; point at it for the others. *Also at*: how hard it is to "
        "think where that is a candidate of its own, at the same price a token and with the same health."
    ),
    "offers": (
        "What the runtimes list and is not in the pool. The price is that of the list, or of the price list that comes with Arbiter; "
        "unknown ones count as dear as the dearest of the catalog."
    ),
    "acts": "Administrative acts are kept for good: who did what, and what it was before.",
}


def catalog() -> rx.Component:
    """Every model with its prices, and for operators the form."""
    add = rx.cond(PoolPanel.may == "yes", atoms.button("Add a model", on_click=PoolPanel.edit(""), kind="mini"))
    return atoms.panel(
        "Catalog",
        rx.foreach(Models.notes, lambda line: rx.el.p(line, class_name="note warn")),
        rx.cond(PoolPanel.done != "", rx.el.p(PoolPanel.done, class_name="note stays", role="status")),
        rx.cond(
            (PoolPanel.error != "") & (PoolPanel.draft["title"] == ""),
            rx.el.p(PoolPanel.error, class_name="note bad stays", role="alert"),
        ),
        rx.cond(PoolPanel.draft["title"] != "", _form()),
        atoms.region(
            rx.el.table(
                data.heads("model", "#input", "#output", "#context, tokens-", "can-", "from-", "state", ""),
                rx.el.tbody(rx.foreach(PoolPanel.rows, _line)),
                class_name="feed long names",
            ),
            class_name="scroll",
            aria_label="The catalog",
        ),
        explain=HOW["catalog"],
        note="list prices, USD per 1,000,000 tokens",
        tools=(add,),
    )


def _line(row: Record) -> rx.Component:
    on = row["routable"] == "yes"
    switch = atoms.button(
        either(on, "Disable", "Enable"), on_click=PoolPanel.set_routable(row["id"], ~on), kind="mini hide"
    )
    state = rx.cond(on, rx.el.span("routable", class_name="tag good"), rx.el.span("out of the pool", class_name="tag"))
    return rx.el.tr(
        rx.el.td(
            row["id"],
            rx.cond(row["variants"] != "", rx.el.small("also at ", row["variants"], class_name="why-thin")),
            class_name="m",
            title=row["id"],
        ),
        rx.el.td(row["input"], class_name="n"),
        rx.el.td(row["output"], class_name="n"),
        rx.el.td(row["context"], class_name="n hide"),
        rx.el.td(row["can"], class_name="hide soft"),
        rx.el.td(row["from"], class_name="hide soft", title=row["from_title"]),
        rx.el.td(
            rx.cond(
                row["retired"] != "",
                rx.el.span("retired", class_name="tag"),
                rx.cond(
                    row["state"] == "not listed",
                    rx.el.span("not listed", class_name="tag"),
                    rx.cond(row["baseline"] != "", rx.el.span("baseline", class_name="tag"), state),
                ),
            ),
            rx.cond(row["state"] == "new", rx.el.span("new", class_name="tag")),
            rx.cond(row["edited"] != "", rx.el.span(row["edited"], class_name="tag hide")),
        ),
        rx.el.td(
            rx.cond(
                PoolPanel.may == "yes",
                rx.fragment(
                    rx.cond((row["retired"] == "") & (row["state"] != "not listed"), switch),
                    atoms.button(
                        rx.fragment("Edit", rx.el.span(" ", row["id"], class_name="sr")),
                        on_click=PoolPanel.edit(row["id"]),
                        kind="mini",
                    ),
                ),
            ),
            class_name="n",
        ),
        key=row["id"],
    )


def _form() -> rx.Component:
    draft = PoolPanel.draft

    def number(name: str, label: str, hint: str, first: rx.Var[bool] | bool = False) -> rx.Component:
        entry = rx.el.input(
            name=name,
            type="number",
            min="0",
            step="any",
            default_value=draft[name],
            class_name="input",
            auto_focus=first,
        )
        return atoms.field(label, entry, hint)

    name = rx.el.input(
        name="id", class_name="input num", required=True, spell_check=False, max_length=200, auto_focus=True
    )
    able = [
        rx.el.label(
            rx.el.input(type="checkbox", name=str(one), default_checked=draft[one] == "yes"),
            " ",
            IN_WORDS[one],
            class_name="check",
        )
        for one in Capability
    ]
    fields = rx.el.div(
        number("input", "Input price", "USD per 1,000,000 tokens", draft["new"] == ""),
        number("output", "Output price", "empty: of the list, or the price list"),
        number("cached", "Cached input price", "optional"),
        number("context", "Context window", "tokens; optional"),
        class_name="row end wrap",
    )
    return rx.el.div(
        rx.el.h3(draft["title"]),
        rx.el.form(
            rx.cond(
                draft["new"] != "",
                atoms.field(
                    "Name of the model", name, "as the runtime calls it; it is routed to once the runtime lists it"
                ),
            ),
            rx.cond(
                draft["placed"] != "",
                rx.el.p(
                    "It is on several runtimes: prices here are those where a runtime has none of its own.",
                    class_name="small mute",
                ),
            ),
            fields,
            rx.el.fieldset(rx.el.legend("It can take", class_name="small mute"), *able, class_name="row wrap"),
            rx.cond(PoolPanel.error != "", rx.el.p(PoolPanel.error, class_name="error", role="alert")),
            rx.el.div(
                atoms.button(either(draft["new"] != "", "Add it", "Save"), kind="primary", type="submit"),
                atoms.button("Cancel", on_click=PoolPanel.leave),
                rx.cond(draft["edited"] != "", atoms.button("Take edits back", on_click=PoolPanel.take_back)),
                rx.cond(
                    draft["new"] == "",
                    rx.cond(
                        draft["retired"] != "",
                        atoms.button("Bring back", on_click=PoolPanel.bring_back),
                        atoms.button("Retire", on_click=PoolPanel.retire, kind="danger"),
                    ),
                ),
                class_name="row wrap",
            ),
            on_submit=PoolPanel.save,
            class_name="stack",
        ),
        rx.cond(draft["trial"] != "", _trial()),
        class_name="pad stack sunk-form",
        key=draft["title"],
    )


def _trial() -> rx.Component:
    cap = rx.el.input(
        name="trial_usd",
        type="number",
        min="0.0001",
        step="any",
        default_value="0.10",
        class_name="input",
        required=True,
    )
    return rx.el.form(
        rx.el.div(
            atoms.field("A trial for at most, USD", cap, "twenty checked prompts on this model alone"),
            atoms.button("Try it", type="submit"),
            class_name="row end wrap",
        ),
        on_submit=PoolPanel.start_trial,
    )


def offers() -> rx.Component:
    """What the runtimes list and is not in the pool."""

    def line(row: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(row["id"], class_name="m", title=row["id"]),
            rx.el.td(row["input"], class_name="n"),
            rx.el.td(row["output"], class_name="n"),
            rx.el.td(row["context"], class_name="n hide"),
            rx.el.td(row["can"], class_name="hide soft"),
            rx.el.td(row["source"], class_name="hide soft"),
            rx.el.td(row["runtime"], class_name="hide soft"),
            rx.el.td(
                atoms.button(
                    rx.fragment("Add", rx.el.span(" ", row["id"], class_name="sr")),
                    on_click=PoolPanel.add(row["id"]),
                    kind="mini",
                ),
                class_name="n",
            ),
            key=row["id"],
        )

    table = atoms.region(
        rx.el.table(
            data.heads("model", "#input", "#output", "#context, tokens-", "can-", "price from-", "runtime-", ""),
            rx.el.tbody(rx.foreach(PoolPanel.offers, line)),
            class_name="feed long names",
        ),
        class_name="scroll high",
        aria_label="Models that the runtimes offer",
    )
    return rx.cond(
        (PoolPanel.may == "yes") & (PoolPanel.offers.length() > 0),
        atoms.panel("New models", table, explain=HOW["offers"], note="listed by a runtime, not in the pool"),
    )


def price_list() -> rx.Component:
    """The price list out, and in with what it changes shown first; for operators."""
    text = rx.el.textarea(
        name="prices",
        rows=5,
        placeholder="model,input,output\ngpt-4o,2.5,10",
        class_name="input num",
        required=True,
        spell_check=False,
    )
    file = rx.el.input(
        type="file", accept=".toml,.csv,.txt", class_name="input", custom_attrs={"data-fills": "f-price-list"}
    )

    def line(one: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(one["model"], class_name="m", title=one["model"]),
            rx.el.td(one["key"]),
            rx.el.td(one["before"], class_name="n"),
            rx.el.td(one["after"], class_name="n strong"),
            key=one["model"] + one["key"],
        )

    shown = rx.el.div(
        rx.cond(
            PoolPanel.changes.length() > 0,
            atoms.region(
                rx.el.table(
                    data.heads("model", "what", "#now", "#then"),
                    rx.el.tbody(rx.foreach(PoolPanel.changes, line)),
                    class_name="feed long names",
                ),
                class_name="scroll high",
                aria_label="What the price list changes",
            ),
        ),
        rx.cond(PoolPanel.looked != "", rx.el.p(PoolPanel.looked, class_name="small soft", role="status")),
        rx.cond(
            PoolPanel.file != "", atoms.button("Apply these changes", on_click=PoolPanel.apply_file, kind="primary")
        ),
        class_name="stack tight",
    )
    form = rx.el.form(
        atoms.field("Price list", text, "TOML or CSV with the catalog's keys; what it does not say is not changed"),
        atoms.field("Price list from a file", file),
        rx.cond(PoolPanel.file_error != "", rx.el.p(PoolPanel.file_error, class_name="error", role="alert")),
        atoms.button("Show what changes", type="submit"),
        on_submit=PoolPanel.look_at_file,
        class_name="stack",
    )
    return rx.cond(
        PoolPanel.may == "yes",
        atoms.panel(
            "Price list",
            rx.el.div(rx.el.div(form, shown, class_name="two even"), class_name="pad"),
            note="USD per 1,000,000 tokens",
            tools=(_download("toml", "/v1/pool/prices.toml"), _download("csv", "/v1/pool/prices.csv")),
        ),
    )


def acts() -> rx.Component:
    """The newest of the audit log; for operators."""

    def line(row: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(
                rx.el.span(atoms.day_clock(row["ts"]), class_name="hide"),
                rx.el.span(atoms.clock(row["ts"]), class_name="only-s"),
                class_name="n l",
            ),
            rx.el.td(row["who"], class_name="hide"),
            rx.el.td(row["action"]),
            rx.el.td(row["subject"], class_name="m", title=row["subject"]),
            rx.el.td(row["before"], class_name="soft wraps hide", title=row["whole"]),
            rx.el.td(row["after"], class_name="wraps", title=row["whole"]),
            key=row["id"],
        )

    table = atoms.region(
        rx.el.table(
            data.heads("@time", "who-", "what", "of", "before-", "after"),
            rx.el.tbody(rx.foreach(PoolPanel.acts, line)),
            class_name="feed long names",
        ),
        class_name="scroll",
        aria_label="Audit log",
    )
    return rx.cond(
        PoolPanel.may == "yes",
        atoms.panel(
            "Audit log",
            rx.cond(
                PoolPanel.acts.length() > 0,
                table,
                atoms.empty(
                    "Nothing was changed yet", "Every administrative act stands here, with what it was before."
                ),
            ),
            explain=HOW["acts"],
            note="newest first",
            tools=(_download("csv", "/v1/audit.csv"),),
        ),
    )


def _download(kind: str, href: str) -> rx.Component:
    return rx.el.a(kind, href=href, download=True, class_name="btn mini ghost", reload_document=True)
