"""Projects, who has which role in them, people, and the links by which they come in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import reflex as rx

from arbiter_app.pipeline.plain import MAX_EMAIL_CHARS
from arbiter_app.pipeline.types import Caller, ProjectRole, Role
from arbiter_app.services.project_roles import is_operator, may, may_somewhere, role_in
from arbiter_app.services.rows.people import InvitationRow
from arbiter_app.store.rollup_math import project_scope
from arbiter_app.web import container, views
from arbiter_app.web.finding import found
from arbiter_app.web.state import arguments, authz
from arbiter_app.web.state.attempts import emptied, tried
from arbiter_app.web.typed import Listed, event, listed
from arbiter_app.web.views import View

ROLES = tuple(role.value for role in ProjectRole)
MOST_KEYS = 200
OBJECTIVES: dict[str, float | None] = {"default": None, "best quality": 0.0, "lowest cost": 1.0}
"""How far under the best a key's answers may be: as everybody's, not at all, or as far as need be."""
OWN = "own tolerance"


class Team(rx.State):
    """What the page shows: the projects of whoever is signed in, and of the chosen one members, invitations and keys.

    Of many projects those are shown that have the words `sought`; `shown` says how many. So it is with people and members, and `person`.
    `may` is what they may do there; `made` is a link or key that was just made, shown once; `sure` what is about to be taken away.
    """

    closed: rx.Field[str] = rx.field("")
    may: rx.Field[str] = rx.field("")
    project: rx.Field[str] = rx.field("")
    name: rx.Field[str] = rx.field("")
    search: rx.Field[str] = rx.field("")
    sought: rx.Field[str] = rx.field("")
    shown: rx.Field[str] = rx.field("")
    person: rx.Field[str] = rx.field("")
    people_shown: rx.Field[str] = rx.field("")
    members_shown: rx.Field[str] = rx.field("")
    projects: Listed[View] = listed()
    members: Listed[View] = listed()
    invitations: Listed[View] = listed()
    invitations_shown: rx.Field[str] = rx.field("")
    operators_invited: Listed[View] = listed()
    operators_invited_shown: rx.Field[str] = rx.field("")
    people: Listed[View] = listed()
    keys: Listed[View] = listed()
    budgets: Listed[View] = listed()
    found: rx.Field[str] = rx.field("")
    made: rx.Field[str] = rx.field("")
    made_what: rx.Field[str] = rx.field("")
    error: rx.Field[str] = rx.field("")
    at: rx.Field[str] = rx.field("")
    """The panel in which something was done last, where it may have gone wrong; `made_at` is that of what was made."""
    made_at: rx.Field[str] = rx.field("")
    sure: rx.Field[str] = rx.field("")

    @event
    async def load(self) -> None:
        """Show the projects, and the one that the URL names."""
        who = await authz.current_caller(self)
        self.made, self.error, self.sure, self.search, self.sought, self.person = "", "", "", "", "", ""
        self.project = arguments.text(dict(self.router.url.query_parameters).get("project"), 60)
        await self._show(who)

    @event
    async def choose(self, project_id: str) -> None:
        """Look at another project."""
        who = await authz.current_caller(self)
        self.project, self.made, self.error, self.sure = arguments.text(project_id, 60), "", "", ""
        await self._show(who)

    @event
    async def find(self, text: str) -> None:
        """Look for keys by id, name or address."""
        who = await authz.current_caller(self)
        self.search = arguments.text(text, 100)
        await self._show(who)

    @event
    async def find_project(self, text: str) -> None:
        """Look for projects by name or time zone."""
        who = await authz.current_caller(self)
        self.sought = arguments.text(text, 100)
        await self._show(who)

    @event
    async def find_person(self, text: str) -> None:
        """Look for people and members by name or address."""
        who = await authz.current_caller(self)
        self.person = arguments.text(text, 100)
        await self._show(who)

    @event
    async def make_project(self, form: dict[str, Any]) -> Any:
        """A new project; for operators."""
        who = await authz.current_caller(self)
        if not is_operator(who) or not isinstance(form, dict):
            return None
        self.at = "projects"
        zone = arguments.text(form.get("timezone"), 60) or "UTC"
        admin = container.current().services.key_admin
        row = await tried(self, admin.make_project(who, arguments.text(form.get("name"), 101), zone))
        self.project = row["id"] if row is not None else self.project
        await self._show(who)
        return emptied("new-project") if row is not None else None

    @event
    async def invite(self, form: dict[str, Any]) -> Any:
        """A link into the chosen project, or for operators into all of this Arbiter."""
        who = await authz.current_caller(self)
        if not isinstance(form, dict):
            return None
        role = arguments.choice(form.get("role"), (*ROLES, Role.OPERATOR.value), "")
        self.at, self.made_at, self.made = "members", "members", ""
        email, project = arguments.text(form.get("email"), MAX_EMAIL_CHARS + 1), self.project
        into = project if role in ROLES else ""
        row = await tried(self, container.current().services.people.invite(who, email, project_id=into, role=role))
        if row is not None:
            self.made, self.made_what = (
                authz.origin(self) + row["path"],
                f"The link for {row['email']}, shown this once",
            )
        await self._show(who)
        return emptied("new-member") if row is not None else None

    @event
    async def withdraw(self, invitation_id: str) -> None:
        """Let a link work no longer."""
        who = await authz.current_caller(self)
        self.at = "members"
        await tried(self, container.current().services.people.withdraw(who, arguments.text(invitation_id, 60)))
        await self._show(who)

    @event
    async def set_role(self, email: str, role: str) -> None:
        """Give somebody a role in the chosen project, or take it (`none`), which is asked twice."""
        who = await authz.current_caller(self)
        address, wanted = arguments.text(email, MAX_EMAIL_CHARS), arguments.choice(role, ROLES, "none")
        if wanted == "none" and self.sure != address:
            self.sure = address
            return
        self.sure, self.at = "", "members"
        given = None if wanted == "none" else wanted
        await tried(self, container.current().services.people.put_member(who, self.project, address, given))
        await self._show(who)

    @event
    async def set_disabled(self, person_id: str, disabled: bool) -> None:
        """Let somebody in no longer, or again; for operators."""
        who = await authz.current_caller(self)
        if is_operator(who):
            self.at, people = "people", container.current().services.people
            await tried(self, people.change(who, arguments.text(person_id, 60), None, bool(disabled)))
            await self._show(who)

    @event
    async def make_key(self, form: dict[str, Any]) -> Any:
        """A key in the chosen project; a member's is under the own address."""
        who = await authz.current_caller(self)
        if not isinstance(form, dict) or not may_somewhere(who, ProjectRole.MEMBER):
            return None
        given: dict[str, Any] = {"project_id": self.project, "label": arguments.text(form.get("label"), 101)}
        self.at, self.made_at, self.made = "keys", "keys", ""
        row = await tried(self, container.current().services.key_admin.make(who, Role.CALLER.value, given))
        if row is not None:
            self.made, self.made_what = row["api_key"], f"The key {given['label']}, shown this once"
        await self._show(who)
        return emptied("new-key") if row is not None else None

    @event
    async def rotate_key(self, key_id: str) -> None:
        """A new key in the place of one, which stays good for a day."""
        who = await authz.current_caller(self)
        if may_somewhere(who, ProjectRole.MEMBER):
            self.at, self.made_at, self.made = "keys", "keys", ""
            row = await tried(self, container.current().services.key_admin.rotate(who, arguments.text(key_id, 60)))
            if row is not None:
                said = row["key"]["label"] or row["key"]["email"] or key_id
                self.made = row["api_key"]
                self.made_what = f"The new key {said}, shown this once; the old one works for another day"
            await self._show(who)

    @event
    async def set_objective(self, key_id: str, objective: str) -> None:
        """Whether a key's requests get what is cheapest, or the best answers, where they say nothing themselves."""
        who = await authz.current_caller(self)
        if may_somewhere(who, ProjectRole.MEMBER):
            self.at, given = "keys", {"tolerance": OBJECTIVES[arguments.choice(objective, OBJECTIVES, "default")]}
            await tried(self, container.current().services.key_admin.change(who, arguments.text(key_id, 60), given))
            await self._show(who)

    @event
    async def set_budget(self, form: dict[str, Any]) -> Any:
        """Dollars a month for the chosen project, by its clock."""
        who = await authz.current_caller(self)
        services = container.current().services
        if not isinstance(form, dict) or not services.key_admin.may_limit(who, "project", self.project):
            return None
        self.at, zone = "budget", await services.key_admin.timezone_of("project", self.project)
        limit = arguments.text(form.get("dollars"), 40)
        budget: dict[str, Any] = {
            "scope": "project",
            "subject": self.project,
            "period": "month",
            "limit_usd": limit,
            "timezone": zone,
        }
        row = await tried(self, services.budgets.put(who, **budget))
        await self._show(who)
        return emptied("new-budget") if row is not None else None

    @event
    async def drop_budget(self, budget_id: str) -> None:
        """Remove a budget of the chosen project, which is asked twice."""
        who = await authz.current_caller(self)
        services, picked = container.current().services, arguments.text(budget_id, 40)
        of_project = await services.budgets.of_scope(project_scope(self.project), who)
        if not services.key_admin.may_drop(who, of_project, picked):
            return
        if self.sure != picked:
            self.sure = picked
            return
        self.sure, self.at = "", "budget"
        await tried(self, services.budgets.drop(who, picked))
        await self._show(who)

    @event
    async def set_key(self, key_id: str, status: str) -> None:
        """Pause, resume or revoke a key of the project; revoking is asked twice."""
        who = await authz.current_caller(self)
        key, wanted = arguments.text(key_id, 60), arguments.choice(status, ("paused", "active", "revoked"), "")
        if wanted == "revoked" and self.sure != key:
            self.sure = key
            return
        self.sure, self.at = "", "keys"
        if wanted and may_somewhere(who, ProjectRole.MEMBER):
            await tried(self, container.current().services.key_admin.set_status(who, key, wanted))
            await self._show(who)

    async def _show(self, who: Caller) -> None:
        services = container.current().services
        self.closed = "" if may_somewhere(who, ProjectRole.VIEWER) else "yes"
        if self.closed:
            self.projects, self.members, self.people, self.keys = [], [], [], []
            self.invitations, self.operators_invited = [], []
            return
        rows = await services.key_admin.projects(who)
        ids = [one["id"] for one in rows]
        self.project = self.project if self.project in ids else ids[0]
        self.name = next(one["name"] for one in rows if one["id"] == self.project)
        projects = [
            {
                "id": one["id"],
                "name": one["name"],
                "keys": str(one["keys"]),
                "zone": one["timezone"],
                "role": "operator" if is_operator(who) else str(role_in(who, one["id"])),
                "to": f"/app/spend?project={one['id']}&by=key",
            }
            for one in rows
        ]
        self.projects, self.shown = found(projects, self.sought, "name", "id", "zone")
        self.may = next(
            (role for role in reversed(ROLES) if may(who, self.project, ProjectRole(role))), ProjectRole.VIEWER.value
        )
        self.may = "operator" if is_operator(who) else self.may
        told = await services.people.members(who, self.project)
        members = [
            {"email": one["email"], "name": one["name"] or one["email"], "role": str(one["role"])}
            for one in told["data"]
        ]
        self.members, self.members_shown = found(members, self.person, "name", "email")
        limits = await services.budgets.of_scope(project_scope(self.project), who)
        self.budgets = [views.budget_row(row, {self.project: self.name}) for row in limits]
        await self._show_people(who, told["invitations"])
        self._show_keys(await services.key_admin.listing(who), {one["id"]: one["name"] for one in rows})

    async def _show_people(self, who: Caller, waiting: Any) -> None:
        self.people, to_all = [], []
        if is_operator(who):
            everybody = await container.current().services.people.listing()
            to_all = [one for one in everybody["invitations"] if not one["project_id"]]
            rows = [
                {
                    "id": one["id"],
                    "email": one["email"],
                    "name": one["name"] or one["email"],
                    "role": one["role"],
                    "disabled": "yes" if one["disabled"] else "",
                    "projects": str(len(one["projects"])),
                }
                for one in everybody["data"]
            ]
            self.people, self.people_shown = found(rows, self.person, "name", "email", "role")
        self.invitations, self.invitations_shown = self._invited(waiting)
        self.operators_invited, self.operators_invited_shown = self._invited(to_all)

    def _invited(self, waiting: Sequence[InvitationRow]) -> tuple[list[View], str]:
        """The first of these links that fit the search for people, newest first, and how many there are."""
        rows = [
            {"id": one["id"], "email": one["email"], "role": one["role"], "expires": f"{one['expires']:.0f}"}
            for one in reversed(waiting)
        ]
        return found(rows, self.person, "email", "role")

    def _show_keys(self, rows: Any, projects: dict[str, str]) -> None:
        mine = [one for one in rows if one["project_id"] == self.project and one["status"] != "revoked"]
        fits = views.keys_with(mine, self.search)
        self.found = f"{len(fits):,} of {len(mine):,}"
        self.keys = [
            views.key_row(one, projects)
            | {"label": one["label"] or one["email"] or one["key_id"]}
            | {"objective": next((name for name, value in OBJECTIVES.items() if value == one["tolerance"]), OWN)}
            for one in fits[:MOST_KEYS]
        ]
