"""Calibration on the models page: prompts in, price, start, progress, cancel, table. For operators."""

from __future__ import annotations

from typing import Any

import reflex as rx

from arbiter_app.pipeline.types import Role
from arbiter_app.web import calibrations, container
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.state.attempts import tried
from arbiter_app.web.typed import Keyed, Listed, event, keyed, listed
from arbiter_app.web.views import View

MOST_CHARS = 400_000
CAPS = (0.0001, 10_000.0)


class Calibrate(rx.State):
    """What the calibration panel shows."""

    may: rx.Field[str] = rx.field("")
    error: rx.Field[str] = rx.field("")
    shown: Keyed[View] = keyed(lambda: dict(calibrations.BLANK))
    outcomes: Listed[View] = listed()

    @event
    async def load(self) -> None:
        """Show the newest calibration, and from now on how far it is."""
        who = await authz.current_caller(self)
        self.may = "yes" if who.role is Role.OPERATOR else ""
        if self.may == "yes":
            newest = await container.current().services.calibrations.listing(1)
            if newest:
                await self._watch(newest[0]["id"])

    @event
    async def estimate(self, form: dict[str, Any]) -> None:
        """Take prompts in and say what they will cost."""
        who = await authz.current_caller(self)
        if who.role is not Role.OPERATOR or not isinstance(form, dict):
            return
        text, cap = form.get("jsonl"), arguments.number(form.get("max_usd"), *CAPS)
        self.error = ""
        if not isinstance(text, str) or len(text) > MOST_CHARS:
            self.error = "These are too many characters for the page; use `python -m arbiter_app calibrate FILE`."
        elif cap is None:
            self.error = f"The cap must be an amount in USD from {CAPS[0]:g} to {CAPS[1]:g}."
        else:
            made = await tried(self, container.current().services.calibrations.create(text, max_usd=cap))
            if made is not None:
                await self._watch(made["id"])

    @event
    async def start(self) -> None:
        """Run what is shown, or go on with it."""
        who = await authz.current_caller(self)
        if who.role is Role.OPERATOR and self.shown["id"]:
            await tried(self, container.current().services.calibrations.start(self.shown["id"]))
            await self._watch(self.shown["id"])

    @event
    async def cancel(self) -> None:
        """Begin no further call."""
        who = await authz.current_caller(self)
        if who.role is Role.OPERATOR and self.shown["id"]:
            await tried(self, container.current().services.calibrations.cancel(self.shown["id"]))
            await self._watch(self.shown["id"])

    async def _watch(self, calibration_id: str) -> None:
        channel = ("calibration", calibration_id)
        await container.current().live.watch(self.router.session.session_id, channel)
        said = await container.current().services.calibrations.view(calibration_id)
        self.shown, self.outcomes = calibrations.shown(said), calibrations.outcomes(said)
