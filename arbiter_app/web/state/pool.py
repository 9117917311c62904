"""The pool on the models page: models added, edited, retired; offers; the price list; who changed what."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import reflex as rx

from arbiter_app.catalog_file import MAX_NAME_CHARS
from arbiter_app.pipeline.errors import ArbiterError
from arbiter_app.pipeline.types import Caller, Capability, Json, Role
from arbiter_app.store import StoreError
from arbiter_app.web import container, pool_views, views
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.state.calibrate import CAPS, Calibrate
from arbiter_app.web.typed import Keyed, Listed, event, keyed, listed
from arbiter_app.web.views import View

MOST_CHARS = 400_000
ACTS = 12
PRICES = ("input", "output", "cached")


class PoolPanel(rx.State):
    """What the panels of the pool show. `draft` is the model in the form, `file` the price list that is looked at."""

    may: rx.Field[str] = rx.field("")
    error: rx.Field[str] = rx.field("")
    done: rx.Field[str] = rx.field("")
    rows: Listed[View] = listed()
    offers: Listed[View] = listed()
    acts: Listed[View] = listed()
    draft: Keyed[View] = keyed(lambda: dict(pool_views.BLANK))
    changes: Listed[View] = listed()
    looked: rx.Field[str] = rx.field("")
    file_error: rx.Field[str] = rx.field("")
    file: rx.Field[str] = rx.field("")

    @event
    async def load(self) -> None:
        """Show the pool to whoever may read, and to operators what they can do with it."""
        who = await authz.current_caller(self)
        self.may = "yes" if who.role is Role.OPERATOR else ""
        if authz.may_read(who):
            await self._show()

    @event
    async def edit(self, model: str) -> None:
        """Open the form on a model; empty for a new one."""
        who = await authz.current_caller(self)
        self.error = self.done = ""
        if who.role is not Role.OPERATOR:
            return
        wanted = arguments.text(model, MAX_NAME_CHARS)
        said = await container.current().services.pool_report.models()
        found = next((row for row in said["data"] if row["id"] == wanted), None)
        blank = {**pool_views.BLANK, "new": "yes", "title": "Add a model", "tools": "yes", "json_schema": "yes"}
        self.draft = blank if found is None else pool_views.draft_of(found)

    @event
    async def leave(self) -> None:
        """Close the form."""
        await authz.current_caller(self)
        self.draft, self.error = dict(pool_views.BLANK), ""

    @event
    async def save(self, form: dict[str, Any]) -> None:
        """Do what the form says: only what differs from what is known is said."""
        who = await authz.current_caller(self)
        if who.role is not Role.OPERATOR or not isinstance(form, dict):
            return
        said, wrong = _said(form, self.draft)
        edits = container.current().services.model_edits
        model = self.draft["id"] or arguments.text(form.get("id"), MAX_NAME_CHARS)
        if wrong or not model:
            self.error = wrong or "The model needs a name: the one that the runtime has for it."
        elif self.draft["new"]:
            await self._tried(edits.add(who, model, said), f"{model} is in the catalog.")
        elif said:
            await self._tried(edits.edit(who, model, said), f"{model} is changed.")
        else:
            self.error = "Nothing was changed."

    @event
    async def add(self, model: str) -> None:
        """Put in what a runtime offers, as it offers it."""
        who = await authz.current_caller(self)
        name = arguments.text(model, MAX_NAME_CHARS)
        await self._do(
            who, lambda: container.current().services.model_edits.add(who, name, {}), f"{name} is in the pool."
        )

    @event
    async def set_routable(self, model: str, on: bool) -> None:
        """Take a model into the pool or out of it."""
        who = await authz.current_caller(self)
        name = arguments.text(model, MAX_NAME_CHARS)
        said = f"{name} is {'in' if on is True else 'out of'} the pool."
        await self._do(
            who, lambda: container.current().services.model_edits.edit(who, name, {"routable": on is True}), said
        )

    @event
    async def retire(self) -> None:
        """Retire the model in the form."""
        who = await authz.current_caller(self)
        name = self.draft["id"]
        await self._do(who, lambda: container.current().services.model_edits.retire(who, name), f"{name} is retired.")

    @event
    async def bring_back(self) -> None:
        """Bring the model in the form back."""
        who = await authz.current_caller(self)
        name = self.draft["id"]
        await self._do(
            who,
            lambda: container.current().services.model_edits.edit(who, name, {"retired": False}),
            f"{name} is back.",
        )

    @event
    async def take_back(self) -> None:
        """Take back everything that was edited of the model in the form."""
        who = await authz.current_caller(self)
        name = self.draft["id"]
        edit = container.current().services.catalog.edits.get(name)
        said: Json = dict.fromkeys(edit.table if edit is not None else ())
        await self._do(
            who, lambda: container.current().services.model_edits.edit(who, name, said), f"{name} is as it was."
        )

    @event
    async def start_trial(self, form: dict[str, Any]) -> Any:
        """Run the trial's prompts on the model in the form, within a cap."""
        who = await authz.current_caller(self)
        if who.role is not Role.OPERATOR or not isinstance(form, dict):
            return None
        cap, name = arguments.number(form.get("trial_usd"), *CAPS), self.draft["id"]
        if cap is None:
            self.error = f"The cap must be an amount in USD from {CAPS[0]:g} to {CAPS[1]:g}."
            return None
        started = container.current().services.calibrations.trial(name, max_usd=cap)
        await self._tried(started, f"The trial of {name} runs; the panel Calibrate shows how far it is.")
        return Calibrate.load if not self.error else None

    @event
    async def look_at_file(self, form: dict[str, Any]) -> None:
        """Say what a price list would change."""
        who = await authz.current_caller(self)
        text = form.get("prices") if isinstance(form, dict) else None
        self.changes, self.looked, self.file_error, self.file = [], "", "", ""
        if who.role is not Role.OPERATOR:
            return
        if not isinstance(text, str) or len(text) > MOST_CHARS:
            self.file_error = "These are too many characters for the page; send the file to POST /v1/pool/prices."
            return
        await self._take_file(who, text, apply=False)

    @event
    async def apply_file(self) -> None:
        """Change what was shown."""
        who = await authz.current_caller(self)
        if who.role is Role.OPERATOR and self.file:
            await self._take_file(who, self.file, apply=True)
            await self._show()

    async def _take_file(self, who: Caller, text: str, *, apply: bool) -> None:
        try:
            said = await container.current().services.pool_report.take_file(who, text, apply=apply)
        except (ArbiterError, StoreError) as error:
            self.file_error = str(error)
            return
        n, models = len(said["changes"]), said["models"]
        counted = "nothing changes" if not n else f"{n} {'change' if n == 1 else 'changes'}"
        self.looked = f"{counted}, applied" if said["applied"] else f"{models} models named: {counted}"
        self.changes = [] if apply else [pool_views.change(one) for one in said["changes"]]
        self.file = "" if apply or not n else text

    async def _do(self, who: Caller, work: Callable[[], Awaitable[Any]], said: str) -> None:
        if who.role is Role.OPERATOR:
            await self._tried(work(), said)

    async def _tried(self, work: Awaitable[Any], said: str) -> None:
        self.error = self.done = ""
        try:
            await work
        except (ArbiterError, StoreError) as error:
            self.error = str(error)
            return
        self.draft, self.done = dict(pool_views.BLANK), said
        await self._show()

    async def _show(self) -> None:
        services = container.current().services
        said = await services.pool_report.models()
        self.rows = [{**views.catalog_row(row), **pool_views.layers(row)} for row in said["data"]]
        if self.may == "yes":
            self.offers = [pool_views.offer(row) for row in said["new"]]
            names = {one["id"]: one["name"] for one in await services.key_admin.projects()}
            self.acts = [pool_views.act(row, names) for row in await services.audit.newest(limit=ACTS)]


def _said(form: Mapping[str, Any], draft: View) -> tuple[Json, str]:
    """What the form says that the model is not yet, by the catalog's keys; and what is wrong with it, in a sentence."""
    said: Json = {}
    for name in (*PRICES, "context"):
        text = arguments.text(form.get(name), 40)
        if text == draft[name]:
            continue
        value = None if not text else arguments.number(text, 0, 1e9)
        if text and value is None:
            return {}, f"{name} must be a number, 0 or more."
        said[name] = int(value) if name == "context" and value is not None else value
    for one in Capability:
        on = form.get(str(one)) in ("on", True, "true")
        if on != (draft[one] == "yes"):
            said[str(one)] = on
    return said, ""
