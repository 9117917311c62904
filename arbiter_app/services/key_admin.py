"""What operators do with keys and projects: make, change, rotate. Each act is in the audit log, in its own transaction."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from arbiter_app.pipeline.errors import Forbidden, NotFound, Unprocessable
from arbiter_app.pipeline.plain import is_email, quoted
from arbiter_app.pipeline.types import Caller, Json, ProjectRole, Role
from arbiter_app.services import redaction
from arbiter_app.services.audit import entry
from arbiter_app.services.keys import Keys
from arbiter_app.services.people import name_of
from arbiter_app.services.periods import zone_of
from arbiter_app.services.project_roles import is_operator, may, require
from arbiter_app.services.projects import known_project
from arbiter_app.services.rows.keys import KeyEntry, MintedEntry, ProjectRow
from arbiter_app.services.rows.spending import BudgetRow
from arbiter_app.store import Store, keys, projects
from arbiter_app.store.keys import DEFAULT_PROJECT, PREFIX, StoredKey, digest_of, public_id, well_formed

LONGEST_HOURS = 24.0 * 366
"""Of keeping contents."""
OVERLAP_S = 86_400.0
"""For how long a key that was rotated stays good, where nobody says."""
LONGEST_OVERLAP_S = 90 * 86_400.0
MOST_MODELS = 500
CHANGEABLE = ("label", "email", "project_id", "expires", "models", "tolerance")
"""Fields of a key that operators change."""


class KeyAdmin:
    """Over the keys of this process, which tells the others. `keeps`: contents can be kept, for there is a key to
    encrypt them. `projects_changed` is waited for once a project has."""

    def __init__(
        self, store: Store, known: Keys, *, keeps: bool, projects_changed: Callable[[], Awaitable[None]]
    ) -> None:
        self._store = store
        self._keys = known
        self._keeps = keeps
        self._projects_changed = projects_changed

    async def listing(self, by: Caller | None = None) -> list[KeyEntry]:
        """Every stored key, or those of the projects in which somebody has a role; with when it was used last."""
        used = await self._store.read(keys.last_used)
        rows = [row for row in self._keys.listing() if by is None or may(by, row["project_id"], ProjectRole.VIEWER)]
        return [{**row, "last_used": used.get(row["key_id"])} for row in rows]

    async def make(self, by: Caller, role: str, given: Mapping[str, Any]) -> MintedEntry:
        """A new key; a member's is under the own address. Raises Unprocessable, NotFound and Forbidden."""
        if role not in (Role.CALLER, Role.OPERATOR):
            raise Unprocessable(f"role {quoted(role, 40)} is unknown; known are caller, operator", param="role")
        if not is_operator(by):
            given = {"project_id": by.project, **given}
            require(by, given["project_id"], ProjectRole.MEMBER)
            if role != Role.CALLER:
                raise Forbidden("operator keys are made by operators")
            if not may(by, given["project_id"], ProjectRole.OWNER):
                given = {**given, "email": by.email}
        fields = {"label": "", "email": "", **await self._checked(given)}
        act = entry(by, "key.make", "", after={"role": role, **fields})
        now = time.time()
        minted = await self._store.writer.call(lambda c: keys.mint(c, role=role, now=now, act=act, **fields))
        self._keys.changed({digest_of(minted.secret): minted.key})
        return {"api_key": minted.secret, "key": await self._entry(minted.key.id)}

    async def change(self, by: Caller, key_id: str, given: Mapping[str, Any]) -> KeyEntry:
        """Change fields of a key: owners those of their projects' keys, members their own's. Raises NotFound, Forbidden, Unprocessable."""
        known, fields = self._managed(by, key_id), await self._checked(given)
        if not is_operator(by) and fields.get("project_id", known.project_id) != known.project_id:
            raise Forbidden("keys are moved between projects by operators")
        if set(fields) - {"label"} and not may(by, known.project_id, ProjectRole.OWNER):
            raise Forbidden("a member names the own keys; the rest is changed by an owner of the project")
        before = {name: asdict(known)[name] for name in fields}
        act, now = entry(by, "key.change", key_id, before=before, after=fields), time.time()
        if fields and not await self._store.writer.call(lambda c: keys.change(c, key_id, fields, now, act)):
            raise NotFound(f"no key {quoted(key_id)} that can be changed")
        self._keys.changed(await self._store.keys(key_id=key_id))
        return await self._entry(key_id)

    async def rotate(self, by: Caller, key_id: str, overlap_s: float | None = None) -> MintedEntry:
        """A new key with the rights, budgets and limits of one, which stays good for the overlap. Raises NotFound and Forbidden."""
        known, lasts_s = self._managed(by, key_id), OVERLAP_S if overlap_s is None else overlap_s
        if not 0 <= lasts_s <= LONGEST_OVERLAP_S:
            raise Unprocessable(f"overlap_s must be between 0 and {LONGEST_OVERLAP_S:,.0f}", param="overlap_s")
        act, now = entry(by, "key.rotate", known.id, after={"overlap_s": lasts_s}), time.time()
        minted = await self._store.writer.call(lambda c: keys.rotate(c, key_id, lasts_s, now, act))
        if minted is None:
            raise NotFound(f"no key {quoted(key_id)} that can be rotated")
        self._keys.changed({digest_of(minted.secret): minted.key, **await self._store.keys(key_id=key_id)})
        return {"api_key": minted.secret, "key": await self._entry(minted.key.id)}

    async def set_status(self, by: Caller, key_id: str, status: str) -> None:
        """Pause, resume (`active`) or revoke a key. Raises NotFound and Forbidden."""
        self._managed(by, key_id)
        await self._keys.set_status(by, key_id, status)

    def may_limit(self, by: Caller, scope: str, subject: str) -> bool:
        """Whether somebody may set and see budgets of a key or project: owners of it, and operators, who may those of tags, too."""
        if is_operator(by):
            return True
        project = subject if scope == "project" else self._project_of(subject) if scope == "key" else None
        return project is not None and may(by, project, ProjectRole.OWNER)

    def may_drop(self, by: Caller, rows: Sequence[BudgetRow], budget_id: str) -> bool:
        """Whether one of these budgets has that id, and somebody may remove it."""
        return any(row["id"] == budget_id and self.may_limit(by, row["scope"], row["subject"]) for row in rows)

    async def subject_of(self, scope: str, subject: str) -> str:
        """What a budget is of, as it is kept: the public id of a key, or of the first of its line, also where the whole key is given; a
        project's id, also by its name; or a tag. Raises Unprocessable for what is not there, and for a tag that is a key."""
        said = subject.strip()
        if scope == "key":
            key_id = public_id(said) if said.startswith(PREFIX) else said
            known = self._keys.caller(key_id)
            if known is None:
                raise Unprocessable(f"no key {quoted(key_id, 40)}; see GET /v1/keys", param="subject")
            return known.line
        if scope == "project":
            try:
                return (await known_project(self._store, said, by_name=True)).id
            except NotFound as error:
                raise Unprocessable(error.message, param="subject") from None
        if well_formed(said):
            raise Unprocessable("this tag is a key; a budget of a key has the scope key", param="subject")
        return said

    async def budgets_seen(self, by: Caller, rows: Sequence[BudgetRow]) -> list[BudgetRow]:
        """Those of these budgets that somebody sees: operators all, people those of their projects and the keys in them."""
        if is_operator(by):
            return list(rows)
        seen = {("key", row["key_id"]) for row in await self.listing(by)}
        seen |= {("project", row["id"]) for row in await self.projects(by)}
        return [row for row in rows if (row["scope"], row["subject"]) in seen]

    def _project_of(self, key_id: str) -> str | None:
        return next((row["project_id"] for row in self._keys.listing() if row["key_id"] == key_id), None)

    def _managed(self, by: Caller, key_id: str) -> StoredKey:
        """A key that somebody may change: an operator any, owners those of their projects, members their own."""
        known = self._keys.stored(key_id)
        if is_operator(by) or by.key_id == key_id or may(by, known.project_id, ProjectRole.OWNER):
            return known
        own = known.email.lower() == by.email.lower() != ""
        if own and known.role != Role.OPERATOR and may(by, known.project_id, ProjectRole.MEMBER):
            return known
        if may(by, known.project_id, ProjectRole.VIEWER):
            raise Forbidden("this needs the role owner in the project of the key, or that it is your own")
        raise NotFound(f"no key {quoted(key_id)} that can be changed")

    async def projects(self, by: Caller | None = None) -> list[ProjectRow]:
        """Every project, or those in which somebody has a role; with how many keys it has, those that were revoked not counted."""
        rows = self._keys.listing()
        return [
            {
                "id": one.id,
                "name": one.name,
                "timezone": one.timezone,
                "created": one.created,
                "keys": sum(row["project_id"] == one.id and row["status"] != "revoked" for row in rows),
                "content_hours": one.content_hours,
                "redact": list(one.redact),
            }
            for one in await self._store.read(projects.everyone)
            if by is None or may(by, one.id, ProjectRole.VIEWER)
        ]

    async def names(self) -> dict[str, str]:
        """The names of projects and keys by their ids."""
        return {one.id: one.name for one in await self._store.read(projects.everyone)} | self.key_names()

    def key_names(self) -> dict[str, str]:
        """What keys are called, by their ids: their name, and whose they are."""
        return {
            row["key_id"]: " · ".join(one for one in (row["label"], row["email"]) if one)
            for row in self._keys.listing()
        }

    async def make_project(self, by: Caller, name: str, timezone: str = "UTC") -> ProjectRow:
        """A new project. Raises Unprocessable."""
        named = name_of("name", name)
        zone_of(timezone)
        act, now = entry(by, "project.make", named, after={"timezone": timezone}), time.time()
        project_id = await self._store.writer.call(lambda c: projects.make(c, named, timezone, now, act))
        if project_id is None:
            raise Unprocessable(f"there is a project {quoted(named)} already", param="name")
        return next(one for one in await self.projects() if one["id"] == project_id)

    async def change_project(self, by: Caller, project_id: str, given: Mapping[str, Any]) -> ProjectRow:
        """Change fields of a project: its name, clock, and what is kept of its contents, which operators alone say.

        Raises NotFound, Forbidden and Unprocessable.
        """
        require(by, project_id, ProjectRole.OWNER)
        if set(given) & {"content_hours", "redact"} and not is_operator(by):
            raise Forbidden("what is kept of contents is for operators to say")
        known, fields = await known_project(self._store, project_id), self._project_fields(given)
        before = {name: getattr(known, name) for name in fields}
        act, now = entry(by, "project.change", project_id, before=before, after=fields), time.time()
        if fields and not await self._store.writer.call(lambda c: projects.change(c, project_id, fields, now, act)):
            raise Unprocessable(f"there is a project {quoted(fields['name'])} already", param="name")
        await self._projects_changed()
        return next(one for one in await self.projects() if one["id"] == project_id)

    def _project_fields(self, given: Mapping[str, Any]) -> Json:
        """The fields of a project that are given, once they make sense. Raises Unprocessable."""
        fields = {name: value for name, value in given.items() if value is not None}
        if "name" in fields:
            fields["name"] = name_of("name", fields["name"])
        if "timezone" in fields:
            zone_of(fields["timezone"])
        if "redact" in fields:
            fields["redact"] = redaction.checked(fields["redact"])
        hours = fields.get("content_hours", 0)
        if not 0 <= hours <= LONGEST_HOURS:
            raise Unprocessable(f"content_hours must be between 0 and {LONGEST_HOURS:,.0f}", param="content_hours")
        if hours > 0 and not self._keeps:
            why = "contents are kept encrypted or not at all: set ARBITER_CONTENT_KEYS first"
            raise Unprocessable(why, param="content_hours")
        return fields

    async def timezone_of(self, scope: str, subject: str) -> str:
        """The time zone of a project, or of that of a key; UTC for tags and for what is not known."""
        wanted = subject if scope == "project" else DEFAULT_PROJECT
        if scope == "key":
            wanted = next((row["project_id"] for row in self._keys.listing() if row["key_id"] == subject), wanted)
        known = await self._store.read(projects.one, wanted)
        return "UTC" if known is None else known.timezone

    async def _entry(self, key_id: str) -> KeyEntry:
        return next(row for row in await self.listing() if row["key_id"] == key_id)

    async def _checked(self, given: Mapping[str, Any]) -> Json:
        """The fields of a key that are given, once they make sense. Raises Unprocessable."""
        fields = {name: given[name] for name in CHANGEABLE if name in given}
        if fields.get("label"):
            fields["label"] = name_of("label", fields["label"])
        if fields.get("email") and not is_email(fields["email"].strip()):
            raise Unprocessable(f"{quoted(fields['email'])} is not an e-mail address", param="email")
        tolerance, expires = fields.get("tolerance"), fields.get("expires")
        if tolerance is not None and not 0 <= tolerance <= 1:
            raise Unprocessable("tolerance is a share between 0 and 1", param="tolerance")
        if expires is not None and not time.time() < expires < 1e11:
            raise Unprocessable("expires must be in the future, in unix seconds", param="expires")
        if "project_id" in fields:
            await known_project(self._store, fields["project_id"])
        if fields.get("models") is not None:
            fields["models"] = _models(fields["models"])
        return fields


def _models(names: Sequence[str]) -> tuple[str, ...]:
    if not 0 < len(names) <= MOST_MODELS or any(not 0 < len(name) <= 200 for name in names):
        raise Unprocessable(f"models must name 1 to {MOST_MODELS} models, or be null for all", param="models")
    return tuple(dict.fromkeys(names))
