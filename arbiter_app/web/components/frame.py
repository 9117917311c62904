"""The frames around every page: the app's shell with navigation, and the plain frame of landing and docs."""

from __future__ import annotations

from typing import Any

import reflex as rx
from reflex_components_core.core.banner import has_connection_errors
from reflex_components_core.react_router.dom import ReactRouterLink

from arbiter_app import __version__
from arbiter_app.web.components.icons import icon
from arbiter_app.web.state.account import Account
from arbiter_app.web.typed import Text

NAV = (
    ("overview", "Overview", "/app"),
    ("playground", "Playground", "/app/playground"),
    ("activity", "Activity", "/app/activity"),
    ("spend", "Spend", "/app/spend"),
    ("models", "Models", "/app/models"),
    ("notifications", "Notifications", "/app/notifications"),
    ("hosts", "Hosts", "/app/hosts"),
    ("team", "Team", "/app/team"),
    ("key", "Key", "/app/key"),
    ("integration", "Integration", "/app/integration"),
    ("demo", "Demo", "/demo"),
    ("docs", "Docs", "/docs"),
)


def link(*children: rx.Component | Text, to: Text, **props: Any) -> rx.Component:
    """A link inside the app: no page load, the socket stays."""
    return ReactRouterLink.create(*children, to=to, **props)


def shell(active: str, title: str, *body: rx.Component, tools: rx.Component | None = None) -> rx.Component:
    """An app page: navigation, header with title, sandbox label, live mark and theme switch, then `body`."""
    return rx.el.div(
        rx.el.a("Skip to content", href="#content", class_name="skip"),
        rx.el.nav(
            link(brand_mark(), rx.el.span("Arbiter"), to="/", class_name="brand", aria_label="Arbiter, start page"),
            *[_nav(key, name, to, active) for key, name, to in NAV],
            _identity(),
            class_name="side",
            aria_label="Sections",
        ),
        rx.el.div(
            rx.el.header(
                rx.el.h1(title),
                sandbox_label(),
                live_mark(),
                rx.el.div(
                    tools if tools is not None else rx.fragment(),
                    commands(),
                    theme_switch(),
                    class_name="row push wrap",
                ),
                class_name="head",
            ),
            rx.el.main(*body, class_name="main", id="content", tab_index=-1),
        ),
        announcer(),
        class_name="shell",
    )


def site(*body: rx.Component, active: str = "") -> rx.Component:
    """A page outside the app (landing, onboarding, docs): one line of navigation, then `body`."""
    return rx.el.div(
        rx.el.a("Skip to content", href="#content", class_name="skip"),
        rx.el.header(
            rx.el.nav(
                link(brand_mark(), rx.el.span("Arbiter"), to="/", class_name="brand", aria_label="Arbiter, start page"),
                sandbox_label(),
                rx.el.div(
                    link("Docs", to="/docs", class_name="nav hide-s"),
                    link("Demo", to="/demo", class_name="nav hide-s"),
                    theme_switch(),
                    link("Open app", to="/app", class_name="btn"),
                    class_name="row gap push",
                ),
                class_name="top",
                aria_label="Site",
            ),
        ),
        rx.el.main(*body, id="content", tab_index=-1),
        announcer(),
    )


def brand_mark() -> rx.Component:
    """The logo."""
    return rx.el.img(src="/logo.svg", alt="", width="24", height="24")


def sandbox_label() -> rx.Component:
    """Says on every page that models are simulated, as long as they are."""
    return rx.cond(
        Account.sandbox == "yes",
        rx.el.span("sandbox: simulated models", class_name="tag warn", role="note"),
    )


def live_mark() -> rx.Component:
    """Shows that pushes arrive; gives way to the banner when the connection is lost."""
    return rx.cond(
        has_connection_errors,
        rx.el.span("offline", class_name="tag bad"),
        rx.el.span(rx.el.i(), "live", class_name="live"),
    )


def theme_switch() -> rx.Component:
    """Light or dark; until it is used the system decides."""
    return rx.el.button(
        rx.el.span(icon("moon"), class_name="only-light"),
        rx.el.span(icon("sun"), class_name="only-dark"),
        on_click=rx.toggle_color_mode,
        class_name="icon-btn",
        aria_label="Switch between light and dark",
        type="button",
    )


def commands() -> rx.Component:
    """Opens the command palette, as Ctrl and K do. The work is done by arbiter.js."""
    return rx.el.button(
        "Ctrl K",
        custom_attrs={"data-palette": "yes"},
        class_name="btn mini ghost hide-s palette-btn",
        aria_label="Commands, Ctrl K",
        type="button",
    )


def connection_banner() -> rx.Component:
    """Shown on every page while the server cannot be reached; goes away by itself."""
    return rx.el.div(
        rx.cond(
            has_connection_errors,
            rx.el.div("Connection lost. Figures stand still; trying again.", class_name="banner"),
        ),
        role="status",
    )


def paused_banner() -> rx.Component:
    """Shown on every page while the database refuses writes, with why; goes away by itself."""
    return rx.el.div(
        rx.cond(
            Account.paused != "",
            rx.el.div("Learning is paused, answers go on: ", Account.paused, class_name="banner"),
        ),
        role="status",
    )


def announcer() -> rx.Component:
    """Where scripts say short things to screen readers."""
    return rx.el.div(id="announce", role="status", aria_live="polite", class_name="sr")


def _nav(key: str, name: str, to: str, active: str) -> rx.Component:
    current = {"aria_current": "page"} if key == active else {}
    return link(icon(key), name, to=to, class_name="nav on" if key == active else "nav", **current)


def _identity() -> rx.Component:
    return rx.el.div(
        rx.cond(
            Account.role == "anonymous",
            link("Sign in with a key", to="/app/key", class_name="link"),
            rx.el.span(
                Account.role,
                " · ",
                rx.cond(Account.email != "", Account.email, rx.el.span(Account.hint, class_name="num")),
                title=Account.hint,
                class_name="anywhere",
            ),
        ),
        rx.el.span(f"Arbiter {__version__}"),
        class_name="foot",
    )
