"""Models as operators want them, while Arbiter serves: added, edited, retired, brought back. Durable, on record, and the same in
every process within a second or two."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from arbiter_app.catalog import Catalog, CatalogError
from arbiter_app.pipeline.errors import NotFound, Unprocessable
from arbiter_app.pipeline.plain import quoted
from arbiter_app.pipeline.types import DEFAULT_RUNTIME, Caller, Json, Model
from arbiter_app.pool.edits import Edits, ModelEdit
from arbiter_app.services import audit
from arbiter_app.services.broadcast import Broadcast
from arbiter_app.services.catalog_holder import CatalogHolder
from arbiter_app.services.feed import Feed
from arbiter_app.services.pool import Pool
from arbiter_app.store import Store, StoreError, model_edits

log = logging.getLogger("arbiter.pool")

FOLLOW_S = 1.0
"""How often it is looked whether another process has edited a model, beside being told."""
MOST_EDITED = 2_000
"""Models that may be edited, in all: a larger list is a mistake."""
TRIES = 8
"""Times that an edit is begun anew because another process was faster."""


class ModelEdits:
    """The edits in force; authority has been checked by the door."""

    def __init__(self, *, store: Store, catalog: CatalogHolder, pool: Pool, broadcast: Broadcast, feed: Feed) -> None:
        self._store = store
        self._catalog = catalog
        self._pool = pool
        self._broadcast = broadcast
        self._feed = feed
        self._version: model_edits.Version = ()
        self._lock = asyncio.Lock()
        self.stale = asyncio.Event()
        """Set when another process says that it edited models."""

    async def load(self) -> None:
        """Take over what was edited, if it is not known yet. What the catalog's file no longer allows is left out, and said."""
        async with self._lock:
            await self._load()

    async def follow(self) -> None:
        """Bring in what other processes edit, for as long as this one runs."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stale.wait(), FOLLOW_S)
            self.stale.clear()
            try:
                if await self._store.read(model_edits.version) != self._version:
                    await self.load()
            except StoreError as error:
                log.warning("the models are as they were edited a while ago: %s", error)

    async def add(self, caller: Caller, model: str, table: Mapping[str, Any]) -> None:
        """Put a model into the pool that is not in the catalog. Of what `table` does not say, the runtime's list or the price
        list is believed. Raises Unprocessable."""
        catalog = self._catalog.now
        known = catalog.models.get(model)
        if known is not None and (known.listed or model in catalog.edits or not known.joined):
            raise Unprocessable(f"there is a model {quoted(model)} already; edit it, or bring it back", param="id")
        found = next(((at, one) for at, one in self._pool.offers() if one.id == model), None)
        place = {} if found is None else _place(*found)
        await self.change(caller, {model: {**place, **table, "added": True, "retired": False}}, "model.add")

    async def edit(self, caller: Caller, model: str, changes: Mapping[str, Any]) -> None:
        """Set keys of one model; None takes back what was said of one. Raises NotFound, Unprocessable."""
        await self.change(caller, {self.known(model): changes}, "model.edit")

    async def retire(self, caller: Caller, model: str) -> None:
        """Route to it no more. It stays known, for its decisions, and can be brought back."""
        await self.change(caller, {self.known(model): {"retired": True}}, "model.retire")

    async def change(self, caller: Caller, changes: Mapping[str, Mapping[str, Any]], action: str) -> None:
        """Set keys of several models: all of it or nothing, with an entry of the audit log for each. Raises Unprocessable where
        a rule of the catalog would be broken."""
        async with self._lock:
            for _ in range(TRIES):
                await self._load()
                before = self._catalog.now.edits
                after = _changed(before, changes)
                await self._check(after)
                said = {model: after[model].as_json() if model in after else {} for model in changes}
                acts = [
                    audit.entry(caller, action, model, before=_told(before, model), after=_told(after, model))
                    for model in changes
                    if before.get(model) != after.get(model)
                ]
                if not acts:
                    return
                version = await self._write(said, acts)
                if version is not None:
                    await self._take(after, version)
                    self._broadcast.send("models", None)
                    return
        raise Unprocessable("other edits of models went on all the time; try again")

    async def check(self, changes: Mapping[str, Mapping[str, Any]]) -> None:
        """Raises Unprocessable where these changes could not be made now."""
        await self._check(_changed(self._catalog.now.edits, changes))

    def known(self, model: str) -> str:
        """The id of a model by any of its names. Raises NotFound."""
        found = self._catalog.now.resolve(model)
        if found not in self._catalog.now.models:
            raise NotFound(f"no model {quoted(model)}; see GET /v1/pool/models")
        return found

    async def _check(self, after: Edits) -> None:
        """Raises Unprocessable where these edits cannot be."""
        if len(after) > MOST_EDITED:
            raise Unprocessable(f"at most {MOST_EDITED:,} models can be edited")
        try:
            catalog = await asyncio.to_thread(self._catalog.now.edited, after)
        except CatalogError as error:
            raise Unprocessable(str(error), param="model") from error
        parts = {"baseline": catalog.baseline, "classifier": catalog.classifier, "judge": catalog.judge}
        for part, model in parts.items():
            if model in after and after[model].retired:
                raise Unprocessable(
                    f"{quoted(model)} is the {part}: give that part to another model first", param="model"
                )

    async def _write(self, said: Mapping[str, Json], acts: Sequence[Json]) -> model_edits.Version | None:
        known, now = self._version, time.time()
        return await self._store.writer.call(lambda c: model_edits.write(c, said, acts, now, known))

    async def _load(self) -> None:
        version, rows = await self._store.read(model_edits.every)
        if version == self._version:
            return
        stored = {model: edit for model, body in rows.items() if (edit := NO_EDIT.changed(body))}
        await self._take(await asyncio.to_thread(_usable, self._catalog.now, stored), version)

    async def _take(self, edits: Edits, version: model_edits.Version) -> None:
        self._version = version
        if dict(self._catalog.now.edits) != dict(edits):
            await self._pool.edit(edits)
            self._feed.publish("models", {"ts": time.time()})


NO_EDIT = ModelEdit()


def _usable(catalog: Catalog, stored: Edits) -> Edits:
    """The edits that the catalog's file allows, which may have been changed since."""
    with contextlib.suppress(CatalogError):
        catalog.edited(stored)
        return stored
    edits: dict[str, ModelEdit] = {}
    for model, edit in stored.items():
        try:
            catalog.edited({**edits, model: edit})
        except CatalogError as error:
            log.warning("what was edited of the model %s is left out: %s", quoted(model), error)
        else:
            edits[model] = edit
    return edits


def _changed(before: Edits, changes: Mapping[str, Mapping[str, Any]]) -> dict[str, ModelEdit]:
    after = dict(before)
    for model, said in changes.items():
        edit = before.get(model, NO_EDIT).changed(said)
        after.pop(model, None)
        if edit:
            after[model] = edit
    return after


def _told(edits: Edits, model: str) -> Json | None:
    return edits[model].as_json() if model in edits else None


def _place(runtime: str, offer: Model) -> Json:
    """Where an offered model is, where its id does not say so."""
    if runtime == DEFAULT_RUNTIME and offer.sent == offer.id:
        return {}
    return {"deployments": [{"runtime": runtime, "model": offer.sent}]}
