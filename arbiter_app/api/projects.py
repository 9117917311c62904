"""Projects: what keys belong to, and by whose clock their budgets begin."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.services.rows.keys import ProjectList, ProjectRow
from arbiter_app.services.rows.people import MemberList, MemberRow

router = APIRouter(tags=["projects"], route_class=Guarded)


class ProjectBody(BaseModel):
    """A new project."""

    model_config = ConfigDict(strict=True, extra="forbid")
    name: str
    timezone: str = Field("UTC", description="IANA name by which its budgets' periods begin")


class ChangeBody(BaseModel):
    """What changes of a project; a time zone holds for budgets that are set from then on."""

    model_config = ConfigDict(strict=True, extra="forbid")
    name: str | None = None
    timezone: str | None = Field(None, description="IANA name")
    content_hours: float | None = Field(
        None, allow_inf_nan=False, description="for how long what its keys ask and are answered is kept; 0: not at all"
    )
    redact: list[str] | None = Field(
        None, description="what is taken out before: email, card, phone, ip, or regular expressions"
    )


@router.get("/v1/projects")
async def listing(request: Request) -> ProjectList:
    """Every project, and for people those in which they have a role; `default` is always there, and keys are in it until somebody says
    otherwise."""
    return {"data": await services_of(request).key_admin.projects(request.state.caller)}


class MemberBody(BaseModel):
    """The role of somebody who is known here; who is not is invited."""

    model_config = ConfigDict(strict=True, extra="forbid")
    email: str
    role: str | None = Field(description="`viewer`, `member` or `owner`; null takes the role")


@router.get("/v1/projects/{project_id}/members")
async def members(request: Request, project_id: str) -> MemberList:
    """Who has a role in it, and for its owners the invitations to it."""
    return await services_of(request).people.members(request.state.caller, project_id)


@router.post("/v1/projects/{project_id}/members")
async def put_member(request: Request, project_id: str, body: MemberBody) -> MemberRow:
    """Give somebody a role in it, or take it; it holds everywhere within a second."""
    return await services_of(request).people.put_member(request.state.caller, project_id, body.email, body.role)


@router.post("/v1/projects")
async def make(request: Request, body: ProjectBody) -> ProjectRow:
    """A new project."""
    return await services_of(request).key_admin.make_project(request.state.caller, body.name, body.timezone)


@router.post("/v1/projects/{project_id}")
async def change(request: Request, project_id: str, body: ChangeBody) -> ProjectRow:
    """Rename it, change its time zone, or what is kept of its contents: fewer hours hold for what is kept already, too."""
    admin, given = services_of(request).key_admin, body.model_dump(exclude_none=True)
    return await admin.change_project(request.state.caller, project_id, given)
