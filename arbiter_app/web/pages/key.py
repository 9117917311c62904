"""The key page: sign in, use against limits, pause, resume, revoke; for operators everybody's keys."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.components import atoms, budgets, contents, data
from arbiter_app.web.components.frame import link, shell
from arbiter_app.web.components.keys import status_buttons
from arbiter_app.web.state.account import Account
from arbiter_app.web.state.key import Key
from arbiter_app.web.state.key_budgets import KeyBudgets
from arbiter_app.web.typed import Record, either


def page() -> rx.Component:
    """The page."""
    return shell("key", "Key", rx.cond(Account.role == "anonymous", _sign_in(), _signed_in()))


def _sign_in() -> rx.Component:
    form = rx.el.form(
        atoms.field(
            "API key",
            rx.el.input(
                name="api_key",
                type="password",
                auto_complete="off",
                placeholder="arb_…",
                class_name="input",
                required=True,
            ),
            "It is checked here and not stored in the browser; a session cookie stands for it.",
        ),
        rx.cond(Key.error != "", rx.el.p(Key.error, class_name="error", role="alert")),
        rx.el.div(
            rx.el.button("Sign in", type="submit", class_name="btn primary"),
            rx.cond(
                Account.openid == "yes",
                rx.el.a(
                    "Sign in with your organisation", href="/session/openid", reload_document=True, class_name="btn"
                ),
            ),
            rx.cond(Account.signup == "yes", link("Get a key", to="/start", class_name="btn")),
            class_name="row wrap",
        ),
        on_submit=Key.sign_in,
        class_name="stack pad",
    )
    return rx.el.div(atoms.panel("Sign in", form, note="with a key of this Arbiter"), class_name="slim")


def _signed_in() -> rx.Component:
    return rx.fragment(
        rx.el.div(_own(), _use(), class_name="two even"),
        budgets.own(),
        rx.cond((Account.role == "operator") | (KeyBudgets.may != ""), budgets.every()),
        rx.cond(Account.role == "operator", rx.fragment(_everybody(), contents.of_projects())),
    )


def _own() -> rx.Component:
    info = Key.info
    rows = rx.el.table(
        rx.el.tbody(
            _pair("id", rx.el.span(info["key_id"], class_name="num")),
            _pair("role", info["role"]),
            _pair("e-mail", either(info["email"] != "", info["email"], "none")),
            _pair("status", _status(info["status"])),
        ),
        class_name="pairs",
    )
    pause = rx.cond(
        info["status"] == "paused",
        atoms.button("Resume", on_click=Key.change("active"), kind="primary"),
        atoms.button("Pause", on_click=Key.change("paused")),
    )
    revoke = rx.cond(
        Key.sure == info["key_id"],
        rx.el.span(
            rx.el.span("Revoking is for ever.", class_name="small bad"),
            atoms.button("Revoke it", on_click=Key.change("revoked"), kind="danger"),
            atoms.button("Keep it", on_click=Key.keep),
            class_name="row wrap",
        ),
        atoms.button("Revoke", on_click=Key.change("revoked"), kind="danger"),
    )
    return atoms.panel(
        "Your key",
        rows,
        _failed(Key.at == ""),
        rx.cond(
            info["fixed"] == "yes",
            rx.el.p(
                "This key comes from ARBITER_API_KEYS; change it there and start again.", class_name="small mute pad"
            ),
        ),
        rx.el.div(
            rx.cond(info["fixed"] == "yes", rx.fragment(), rx.fragment(pause, revoke)),
            atoms.button("Sign out", on_click=Account.sign_out, kind="ghost push"),
            class_name="row wrap pad",
        ),
    )


def _failed(here: rx.Var[bool]) -> rx.Component:
    return rx.cond(here & (Key.error != ""), rx.el.p(Key.error, class_name="error pad", role="alert"))


def _pair(name: str, value: rx.Component | rx.Var[str]) -> rx.Component:
    return rx.el.tr(rx.el.th(name, scope="row"), rx.el.td(value, class_name="wrap"))


def _status(status: rx.Var[str]) -> rx.Component:
    return rx.el.span(
        status,
        class_name=rx.match(status, ("active", "tag good"), ("paused", "tag warn"), ("revoked", "tag bad"), "tag"),
    )


def _use() -> rx.Component:
    info = Key.info

    def window(name: str, key: str) -> rx.Component:
        return rx.el.div(
            rx.el.div(
                rx.el.span(name, class_name="small"),
                rx.el.span(info[f"used_{key}"], class_name="num small push"),
                class_name="row",
            ),
            rx.cond(
                info[f"limited_{key}"] != "",
                atoms.meter(info[f"width_{key}"], f"use in {name}", info[f"hot_{key}"] == "yes"),
            ),
            class_name="stack tight",
        )

    return atoms.panel(
        "Use",
        rx.el.div(
            window("6 hours", "6h"),
            window("a week", "week"),
            rx.el.p(
                "Routed requests count, reads do not. Over a limit the API answers 429 with Retry-After.",
                class_name="small mute",
            ),
            class_name="stack pad",
        ),
        note="routed requests against limits",
    )


def _everybody() -> rx.Component:
    def line(row: Record) -> rx.Component:
        pause, revoke = status_buttons(row, Key.sure, lambda status: Key.change_other(row["id"], status))
        return rx.el.tr(
            rx.el.td(row["id"], class_name="m"),
            rx.el.td(link(row["email"], to=row["to"]), class_name="m narrow", title=row["email"]),
            rx.el.td(row["role"], class_name="hide"),
            rx.el.td(_status(row["status"])),
            rx.el.td(row["project"], class_name="m narrow hide", title=row["project"]),
            rx.el.td(either(row["used"] != "", atoms.day_clock(row["used"]), "never"), class_name="n hide"),
            rx.el.td(atoms.day_clock(row["ts"]), class_name="n hide"),
            rx.el.td(rx.cond(row["status"] != "revoked", rx.el.span(pause, revoke, class_name="row wrap"))),
        )

    mint = rx.el.form(
        rx.el.input(
            name="email",
            type="email",
            placeholder="ada@example.com",
            class_name="input mini",
            aria_label="E-mail",
            required=True,
        ),
        rx.el.button("Create key", type="submit", class_name="btn mini"),
        on_submit=Key.mint,
        reset_on_submit=False,
        id="new-key",
        class_name="row",
    )
    search = atoms.search("Search keys", "name, address or id", Key.find.debounce(200), default_value=Key.search)
    narrow = rx.el.div(
        search,
        atoms.project_picker(Key.projects, Key.project, Key.choose, "all projects"),
        rx.el.span(Key.found, class_name="small mute push num"),
        class_name="row wrap toolbar",
        role="search",
        aria_label="Which keys",
    )
    shown = rx.el.div(
        rx.el.p("The new key, shown this once:", class_name="small"),
        atoms.code(Key.minted),
        class_name="stack tight pad",
        role="status",
    )
    return atoms.panel(
        "All keys",
        rx.cond(Key.minted != "", shown),
        _failed(Key.at == "keys"),
        narrow,
        rx.cond(
            Key.keys.length() == 0,
            atoms.empty("No such keys", "Create one above, or let people sign up."),
            rx.el.div(
                rx.el.table(
                    data.heads("id", "whose", "role-", "status", "project-", "#@last used-", "#@created-", ""),
                    rx.el.tbody(rx.foreach(Key.keys, line)),
                    class_name="feed long names",
                ),
                class_name="scroll",
            ),
        ),
        note="minted keys; those of ARBITER_API_KEYS are not listed",
        tools=(mint,),
    )
