"""The page of an unknown address."""

from __future__ import annotations

import reflex as rx

from arbiter_app.web.components import atoms
from arbiter_app.web.components.frame import link, site


def page() -> rx.Component:
    """The page."""
    return site(
        rx.el.div(
            rx.el.h1("404"),
            atoms.empty(
                "There is nothing at this address",
                "It may have moved, or the link is mistyped.",
                rx.el.div(
                    link("Open the app", to="/app", class_name="btn primary"),
                    link("Documentation", to="/docs", class_name="btn"),
                    class_name="row",
                ),
            ),
            class_name="wide missing",
        )
    )
