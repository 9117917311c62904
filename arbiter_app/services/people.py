"""People, who sign in without a key: by a link that an operator made for them, or by OpenID Connect, each under an own name."""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from arbiter_app.pipeline.errors import Forbidden, NotFound, Unprocessable
from arbiter_app.pipeline.plain import is_email, quoted
from arbiter_app.pipeline.types import Caller, ProjectRole, Role
from arbiter_app.services.audit import entry
from arbiter_app.services.project_roles import home_of, is_operator, may, require
from arbiter_app.services.projects import known_project
from arbiter_app.services.rows.people import InvitationRow, MadeInvitation, MemberList, MemberRow, PeopleList, PersonRow
from arbiter_app.store import Store, StoreError, people
from arbiter_app.store.keys import DEFAULT_PROJECT, digest_of
from arbiter_app.store.people import PREFIX, StoredInvitation, StoredPerson

log = logging.getLogger("arbiter.people")

LASTS_S = 3 * 86_400.0
"""For how long a link works, where nobody says."""
LONGEST_S = 30 * 86_400.0
MOST_INVITATIONS, MOST_NAME_CHARS = 1_000, 100
CODE_BYTES = 32
PLACE = "/session/invitation"
"""Where a link leads to."""


class People:
    """Everybody by id, in memory; `send` tells other processes of changes here."""

    def __init__(self, store: Store, *, send: Callable[[str, Any], None] = lambda kind, data: None) -> None:
        self._store = store
        self._send = send
        self._by_id: dict[str, StoredPerson] = {}
        self._version: tuple[float, ...] = ()
        self.stale = asyncio.Event()
        """Set when another process says that it changed people."""

    async def refresh(self) -> None:
        """Read everybody anew. Raises StoreError."""
        self._by_id.update(await self._store.read(people.everyone))

    async def follow(self) -> None:
        """Bring in what other processes changed, if anything. Raises StoreError."""
        version = await self._store.read(people.version)
        if version != self._version:
            await self.refresh()
            self._version = version

    async def caller(self, person_id: str) -> Caller | None:
        """The present state of a person as a caller; None once they may not sign in. Who came in elsewhere a moment ago is looked up."""
        if person_id not in self._by_id:
            try:
                self._by_id.update(await self._store.read(people.everyone, person_id=person_id))
            except StoreError as error:
                log.warning("a person could not be looked up: %s", error)
        return self.known(person_id)

    def known(self, person_id: str) -> Caller | None:
        """The same, of who is known to this process."""
        person = self._by_id.get(person_id)
        if person is None or person.disabled:
            return None
        held = person.memberships
        home = home_of(held, DEFAULT_PROJECT)
        return Caller(person.id, Role(person.role), person.email, project=home, memberships=held)

    async def listing(self) -> PeopleList:
        """Everybody, and the links that still work."""
        await self.refresh()
        waiting = await self._store.read(people.invitations, time.time())
        return {
            "data": [_person(one) for one in self._by_id.values()],
            "invitations": [_invitation(one) for one in waiting],
        }

    async def members(self, by: Caller, project_id: str) -> MemberList:
        """Who has a role in a project, for those who have one, and the links to it, for its owners. Raises NotFound."""
        require(by, project_id, ProjectRole.VIEWER)
        await self.refresh()
        waiting = await self._store.read(people.invitations, time.time())
        own = may(by, project_id, ProjectRole.OWNER)
        found = [(one, dict(one.memberships).get(project_id)) for one in self._by_id.values()]
        return {
            "data": [_member(one, role) for one, role in found if role is not None],
            "invitations": [_invitation(one) for one in waiting if own and one.project_id == project_id],
        }

    async def put_member(self, by: Caller, project_id: str, email: str, role: str | None) -> MemberRow:
        """Give somebody who is known a role in a project, or take it (None). Raises NotFound, Forbidden and Unprocessable."""
        require(by, project_id, ProjectRole.OWNER)
        await known_project(self._store, project_id)
        if role is not None:
            _checked_role(role, tuple(ProjectRole))
        await self.refresh()
        address = email.strip().lower()
        known = next((one for one in self._by_id.values() if one.email == address), None)
        if known is None or (role is None and project_id not in dict(known.memberships)):
            raise NotFound(
                f"nobody here has the address {quoted(address, 60)}; invite them: POST /v1/people/invitations"
            )
        before = dict(known.memberships).get(project_id)
        self._check_last_owner(by, project_id, known, role)
        told = {"email": address, "role": role}
        act = entry(by, "project.member", project_id, before={"email": address, "role": before}, after=told)
        now = time.time()
        await self._store.writer.call(lambda c: people.put_member(c, project_id, address, role, now, act))
        self._changed(await self._store.read(people.everyone, person_id=known.id))
        return _member(self._by_id[known.id], role)

    def _check_last_owner(self, by: Caller, project_id: str, known: StoredPerson, role: str | None) -> None:
        """A project's last owner stays one, unless an operator says otherwise: else nobody but they could let anybody in."""
        owners = [one.id for one in self._by_id.values() if dict(one.memberships).get(project_id) is ProjectRole.OWNER]
        if not is_operator(by) and role != ProjectRole.OWNER and owners == [known.id]:
            raise Unprocessable("a project keeps an owner; make somebody else one first", param="role")

    async def invite(
        self,
        by: Caller,
        email: str,
        lasts_s: float | None = None,
        *,
        project_id: str = "",
        role: str = Role.OPERATOR.value,
    ) -> MadeInvitation:
        """A link by which whoever has it signs in once as who has this address: an operator, or somebody with a `role` in a project. It
        takes the place of any other for the same.

        Raises Unprocessable, NotFound and Forbidden.
        """
        _checked_role(role, tuple(ProjectRole) if project_id else (Role.OPERATOR,))
        if project_id:
            require(by, project_id, ProjectRole.OWNER)
            await known_project(self._store, project_id)
        elif not is_operator(by):
            raise Forbidden("operators are invited by operators; name a project of yours, and a role in it")
        address, lasts = email.strip().lower(), LASTS_S if lasts_s is None else lasts_s
        if not is_email(address):
            raise Unprocessable(f"{quoted(email)} is not an e-mail address", param="email")
        if not 60 <= lasts <= LONGEST_S:
            raise Unprocessable(f"lasts_s must be between 60 and {LONGEST_S:,.0f}", param="lasts_s")
        code, now = secrets.token_urlsafe(CODE_BYTES), time.time()
        row = StoredInvitation(
            f"inv_{secrets.token_hex(6)}", digest_of(code), address, now, now + lasts, project_id, role
        )
        told = {"email": address, "expires": row.expires, "role": role, "project_id": project_id}
        act = entry(by, "invitation.make", row.id, after=told)
        if not await self._store.writer.call(lambda c: people.invite(c, row, MOST_INVITATIONS, now, act)):
            raise Unprocessable(f"{MOST_INVITATIONS:,} invitations wait already; withdraw some", param="email")
        return {**_invitation(row), "path": f"{PLACE}?code={code}"}

    async def withdraw(self, by: Caller, invitation_id: str) -> None:
        """Let a link work no longer; for operators, and owners of the project that it leads to. Raises NotFound."""
        waiting = await self._store.read(people.invitations, time.time())
        found = next((one for one in waiting if one.id == invitation_id), None)
        if found is None or not (is_operator(by) or may(by, found.project_id, ProjectRole.OWNER)):
            raise NotFound(f"no invitation {quoted(invitation_id, 40)}; see GET /v1/people")
        act = entry(by, "invitation.withdraw", invitation_id)
        if not await self._store.writer.call(lambda c: people.withdraw(c, invitation_id, act)):
            raise NotFound(f"no invitation {quoted(invitation_id, 40)}; see GET /v1/people")

    async def is_open(self, code: str) -> bool:
        """Whether a link's code still works; looking uses nothing up. Raises StoreError."""
        return await self._store.read(people.is_open, digest_of(code), time.time())

    async def accept(self, code: str, name: str) -> Caller | None:
        """Whom a link's code, which works once, lets in; None where it does not work. Raises Unprocessable and StoreError."""
        named, now = name_of("name", name) if name.strip() else "", time.time()
        act = entry(Caller("", Role.ANONYMOUS), "invitation.accept", "", after={"name": named})
        person = await self._store.writer.call(lambda c: people.accept(c, digest_of(code), named, now, act))
        if person is None:
            return None
        self._changed({person.id: person})
        return self.known(person.id)

    async def enter(self, email: str, name: str, role: str | None) -> Caller | None:
        """Who has this address, which a provider vouches for; new with a `role`, where one is given. None where nobody may sign in.

        Raises StoreError.
        """
        address, now = email.strip().lower(), time.time()
        if not is_email(address):
            return None
        named = "".join(char for char in " ".join(name.split()) if char.isprintable())[:MOST_NAME_CHARS]
        act = entry(Caller("", Role.ANONYMOUS), "person.enter", "", after={"name": named, "role": role})
        person = await self._store.writer.call(lambda c: people.enter(c, address, named, role, now, act))
        if person is None:
            return None
        if self._by_id.get(person.id) != person:
            self._changed({person.id: person})
        return self.known(person.id)

    async def change(self, by: Caller, person_id: str, name: str | None, disabled: bool | None) -> PersonRow:
        """Rename somebody, or let them in no longer, or again. Raises NotFound and Unprocessable."""
        known = await self._store.read(people.everyone, person_id=person_id)
        if person_id not in known:
            raise NotFound(f"no person {quoted(person_id, 40)}; see GET /v1/people")
        if disabled and by.key_id == person_id:
            raise Unprocessable("nobody disables themselves; another operator can", param="disabled")
        given: dict[str, Any] = {} if name is None else {"name": name_of("name", name)}
        given |= {} if disabled is None else {"disabled": disabled}
        before = {one: getattr(known[person_id], one) for one in given}
        act, now = entry(by, "person.change", person_id, before=before, after=given), time.time()
        if given:
            await self._store.writer.call(lambda c: people.change(c, person_id, given, now, act))
        self._changed(await self._store.read(people.everyone, person_id=person_id))
        return _person(self._by_id[person_id])

    def _changed(self, rows: Mapping[str, StoredPerson]) -> None:
        self._by_id.update(rows)
        self._version = ()
        self._send("people", None)


def is_person(key_id: str) -> bool:
    """Whether this is the id of a person, and not of a key."""
    return key_id.startswith(PREFIX)


def name_of(field: str, name: str) -> str:
    """A name, of whatever it is, as it is kept. Raises Unprocessable."""
    text = " ".join(name.split())
    if not 0 < len(text) <= MOST_NAME_CHARS or not text.isprintable():
        raise Unprocessable(f"{field} must be 1 to {MOST_NAME_CHARS} visible characters", param=field)
    return text


def _person(one: StoredPerson) -> PersonRow:
    return {
        "id": one.id,
        "email": one.email,
        "name": one.name,
        "role": one.role,
        "created": one.created,
        "disabled": one.disabled,
        "projects": {project: role.value for project, role in one.memberships},
    }


def _member(one: StoredPerson, role: str | None) -> MemberRow:
    return {"id": one.id, "email": one.email, "name": one.name, "role": role, "disabled": one.disabled}


def _checked_role(role: str, known: Sequence[str]) -> None:
    if role not in known:
        raise Unprocessable(f"role {quoted(role, 40)} is unknown here; known are {', '.join(known)}", param="role")


def _invitation(one: StoredInvitation) -> InvitationRow:
    return {
        "id": one.id,
        "email": one.email,
        "created": one.created,
        "expires": one.expires,
        "project_id": one.project_id,
        "role": one.role,
    }
