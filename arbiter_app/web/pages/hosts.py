"""Hosts: which serve from this database, how much each has to do, and how far behind it is."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.components import atoms, data
from arbiter_app.web.components.frame import link, shell
from arbiter_app.web.state.hosts import HostsPage
from arbiter_app.web.typed import Record, either

HOW = (
    "Every host says every 5 seconds how it is; who says nothing for 15 is silent. In work: requests now, + those that wait for a place. "
    "CPU: of one core, over the last seconds. Behind: how long ago a host last took in what the others learned. Clock: how far it is ahead "
    "of the database's. What is in a journal waits on the host's disk until the database takes it."
)


def page() -> rx.Component:
    """The page."""
    body = rx.fragment(_hosts(), _database())
    unknown = rx.el.div(class_name="hold")
    closed = rx.cond(HostsPage.may == "no", _closed(), unknown)
    return shell("hosts", "Hosts", rx.cond(HostsPage.may == "yes", body, closed))


def _closed() -> rx.Component:
    return atoms.panel(
        "Hosts",
        atoms.empty(
            "For operators",
            "Which machines serve, how much each has to do and how far behind it is stands here, for an operator's key.",
            link("Sign in with a key", to="/app/key", class_name="btn"),
        ),
    )


def _hosts() -> rx.Component:
    def line(row: Record) -> rx.Component:
        state = rx.el.span(
            row["state"],
            class_name=rx.match(
                row["state"], ("serving", "tag good"), ("silent", "tag bad"), ("draining", "tag"), "tag warn"
            ),
        )
        name = rx.el.td(
            rx.el.div(
                rx.el.span(row["name"], class_name=either(row["kind"] == "host", "strong", "soft")),
                rx.cond(row["leads"] != "", rx.el.span("housekeeping", class_name="tag")),
                class_name="row wrap",
            ),
            rx.cond(row["trouble"] != "", rx.el.div(row["trouble"], class_name="small bad anywhere")),
            rx.cond(row["journal"] != "", rx.el.div(row["journal"], class_name="small warn")),
            rx.cond(row["last"] != "", rx.el.div(row["last"], class_name="small bad")),
            rx.cond(
                row["since"] != "",
                rx.el.div("up since ", atoms.day_clock(row["since"]), class_name="small mute"),
            ),
            class_name="wrap",
        )
        version = rx.el.td(
            rx.el.div(row["version"], class_name=either(row["mixed"] != "", "warn", "")),
            rx.el.div(row["schema"], class_name="small mute"),
            class_name="hide",
        )
        return rx.el.tr(
            name,
            rx.el.td(rx.cond(row["state"] != "", state)),
            version,
            rx.el.td(row["work"], class_name="n"),
            rx.el.td(row["rate"], class_name="n"),
            rx.el.td(row["cpu"], class_name="n hide"),
            rx.el.td(row["memory"], class_name="n hide"),
            rx.el.td(row["lag"], class_name=either(row["late"] != "", "n bad", "n")),
            rx.el.td(row["clock"], class_name=either(row["apart"] != "", "n bad hide", "n hide")),
            rx.el.td(row["seen"], class_name="n hide"),
            key=row["id"],
        )

    table = atoms.region(
        rx.el.table(
            data.heads(
                *("host", "state", "version-", "#in work", "#requests/s", "#CPU-", "#memory-", "#behind", "#clock-"),
                "#heard of-",
            ),
            rx.el.tbody(rx.foreach(HostsPage.rows, line)),
            class_name="names",
        ),
        class_name="scroll",
        aria_label="Hosts",
    )
    return atoms.panel(
        "Hosts",
        table,
        explain=HOW,
        note="each by its own account",
        tools=(link("Operations", to="/docs/operations", class_name="btn mini ghost"),),
    )


def _database() -> rx.Component:
    def standby(row: Record) -> rx.Component:
        return rx.el.tr(
            rx.el.td(row["name"], class_name="m"),
            rx.el.td(row["state"]),
            rx.el.td(row["lag"], class_name=either(row["late"] != "", "n bad", "n")),
            rx.el.td(row["bytes"], class_name="n hide"),
            key=row["name"],
        )

    told = HostsPage.database
    table = rx.el.table(
        data.heads("standby", "state", "#lag", "#lacks-"), rx.el.tbody(rx.foreach(HostsPage.standbys, standby))
    )
    return atoms.panel(
        "Database",
        rx.el.div(
            rx.el.p(rx.el.strong(told["name"])),
            rx.cond(
                told["connections"] != "",
                rx.el.p(told["connections"], class_name=either(told["full"] != "", "bad", "soft")),
                rx.cond(
                    told["trouble"] == "",
                    rx.el.p("A file of this host: other hosts cannot share it.", class_name="soft"),
                ),
            ),
            rx.cond(told["trouble"] != "", rx.el.p(told["trouble"], class_name="bad anywhere", role="status")),
            class_name="stack tight pad",
        ),
        rx.cond(HostsPage.standbys.length() > 0, rx.el.div(table, class_name="scroll")),
        note="that the hosts share",
    )
