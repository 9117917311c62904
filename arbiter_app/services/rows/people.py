"""People, invitations, and the log of what they did."""

from __future__ import annotations

from typing import Any

from typing_extensions import TypedDict


class AuditRow(TypedDict):
    """An administrative act: who did what to which subject, what that was before and is after; null for nothing."""

    id: int
    ts: float
    key_id: str
    email: str
    action: str
    subject: str
    before: Any
    after: Any


class AuditList(TypedDict):
    """A page of the audit log, newest first; `next` is where to page on, null at the end."""

    data: list[AuditRow]
    next: int | None


class PersonRow(TypedDict):
    """Somebody who signs in without a key. `disabled`: may not at the moment. `projects`: ids, and the roles there."""

    id: str
    email: str
    name: str
    role: str
    created: float
    disabled: bool
    projects: dict[str, str]


class MemberRow(TypedDict):
    """Somebody with a role in a project: viewer, member or owner; null once it was taken."""

    id: str
    email: str
    name: str
    role: str | None
    disabled: bool


class InvitationRow(TypedDict):
    """A link that has not been used, and the role that it gives: operator, or one in a project."""

    id: str
    email: str
    created: float
    expires: float
    project_id: str
    role: str


class MadeInvitation(InvitationRow):
    """A new link: `path` is where it leads to at this Arbiter, with its code, shown this once."""

    path: str


class PeopleList(TypedDict):
    """Everybody, in the order in which they came, and the links that still work."""

    data: list[PersonRow]
    invitations: list[InvitationRow]


class MemberList(TypedDict):
    """Who has a role in a project, and for its owners the links to it that still work."""

    data: list[MemberRow]
    invitations: list[InvitationRow]
