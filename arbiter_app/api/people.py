"""People, who sign in without a key, and the links by which they come in."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.services.rows.people import MadeInvitation, PeopleList, PersonRow
from arbiter_app.services.rows.removals import Withdrawn

router = APIRouter(tags=["people"], route_class=Guarded)


class InvitationBody(BaseModel):
    """A new link."""

    model_config = ConfigDict(strict=True, extra="forbid")
    email: str
    lasts_s: float | None = Field(None, description="seconds for which it works; three days where it is left out")
    project_id: str = Field("", description="the project that it lets somebody into; empty for all of this Arbiter")
    role: str = Field("operator", description="`operator`, or in a project `viewer`, `member` or `owner`")


class PersonBody(BaseModel):
    """What changes of a person."""

    model_config = ConfigDict(strict=True, extra="forbid")
    name: str | None = None
    disabled: bool | None = Field(None, description="whether they may not sign in; their sessions end at once")


@router.get("/v1/people")
async def listing(request: Request) -> PeopleList:
    """Everybody who signs in without a key, and the links that still work."""
    return await services_of(request).people.listing()


@router.post("/v1/people/invitations")
async def invite(request: Request, body: InvitationBody) -> MadeInvitation:
    """A link that lets whoever has it sign in once as who has an e-mail address, an operator or with a role in a project; its `path` is
    shown this once. Owners invite to their projects."""
    return await services_of(request).people.invite(
        request.state.caller, body.email, body.lasts_s, project_id=body.project_id, role=body.role
    )


@router.delete("/v1/people/invitations/{invitation_id}")
async def withdraw(request: Request, invitation_id: str) -> Withdrawn:
    """Let a link work no longer."""
    await services_of(request).people.withdraw(request.state.caller, invitation_id)
    return {"id": invitation_id, "withdrawn": True}


@router.post("/v1/people/{person_id}")
async def change(request: Request, person_id: str, body: PersonBody) -> PersonRow:
    """Rename somebody, or let them in no longer, or again."""
    return await services_of(request).people.change(request.state.caller, person_id, body.name, body.disabled)
