"""What is done to a key of a list, the same on every page that has one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import reflex as rx

from arbiter_app.web.components import atoms
from arbiter_app.web.typed import Record, either


def status_buttons(row: Record, sure: rx.Var[str], change: Callable[[str], Any]) -> tuple[rx.Component, rx.Component]:
    """Pause or resume, and revoke. `change` makes the event of a status; `sure` is the key whose revoking was asked once."""
    pause = rx.cond(
        row["status"] == "paused",
        atoms.button("Resume", on_click=change("active"), kind="mini"),
        atoms.button("Pause", on_click=change("paused"), kind="mini"),
    )
    asked = either(sure == row["id"], "Really revoke", "Revoke")
    return pause, atoms.button(asked, on_click=change("revoked"), kind="mini danger")
