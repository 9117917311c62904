"""Keys: sign-up, the caller's own key and its state."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from arbiter_app.addresses import address_of
from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.services.rows.keys import KeyEntry, KeyList, KeyStatus, KeyUsage, MintedEntry, MintedSecret
from arbiter_app.services.rows.spending import BudgetList

router = APIRouter(tags=["keys"], route_class=Guarded)
NULLABLE = frozenset({"expires", "models", "tolerance"})
"""Where null says something."""


class RegisterBody(BaseModel):
    """Who asks for a key."""

    model_config = ConfigDict(strict=True, extra="forbid")
    email: str


@router.post("/v1/register")
async def register(request: Request, body: RegisterBody) -> MintedSecret:
    """Mint a key. It is shown this once."""
    return {"api_key": await services_of(request).keys.register(body.email, address_of(request.scope))}


@router.get("/v1/key")
async def key(request: Request) -> KeyUsage:
    """The caller's own key: state and usage against its limits."""
    return await services_of(request).keys.info(request.state.caller)


@router.get("/v1/key/budgets")
async def budgets(request: Request) -> BudgetList:
    """The budgets of the caller's own key and of its project, with what is left of each."""
    return {"data": await services_of(request).budgets.listing(request.state.caller)}


@router.post("/v1/key/pause")
async def pause(request: Request) -> KeyStatus:
    """Stop routing for the caller's own key until it is resumed."""
    return await _set(request, "paused")


@router.post("/v1/key/resume")
async def resume(request: Request) -> KeyStatus:
    """Route again for the caller's own key."""
    return await _set(request, "active")


@router.post("/v1/key/revoke")
async def revoke(request: Request) -> KeyStatus:
    """End the caller's own key for ever."""
    return await _set(request, "revoked")


class KeyBody(BaseModel):
    """What operators say of a key. Absent: as it was, or as usual."""

    model_config = ConfigDict(strict=True, extra="forbid")
    label: str | None = Field(None, description="its name")
    email: str | None = Field(None, description="whose it is")
    project_id: str | None = Field(None, description="the project that it belongs to; `default` when absent")
    expires: float | None = Field(None, description="when it is no longer good, unix seconds; null for never")
    models: list[str] | None = Field(None, description="the models that it may use; null for all")
    tolerance: float | None = Field(None, description="its own tolerance of quality, 0 to 1; null for the operator's")

    def given(self) -> dict[str, Any]:
        """The members that the caller sent; a null where that means nothing is as absent."""
        told = self.model_dump(include=self.model_fields_set - {"role"})
        return {name: value for name, value in told.items() if value is not None or name in NULLABLE}


class MintBody(KeyBody):
    """A new key."""

    role: str = Field("caller", description="`caller` or `operator`")


class RotateBody(BaseModel):
    """For how long the old key stays good."""

    model_config = ConfigDict(strict=True, extra="forbid")
    overlap_s: float | None = Field(None, description="seconds; a day when absent")


@router.post("/v1/key/rotate")
async def rotate_own(request: Request, body: RotateBody) -> MintedEntry:
    """A new key in the place of the caller's own, which stays good for a while."""
    caller = request.state.caller
    return await services_of(request).key_admin.rotate(caller, caller.key_id, body.overlap_s)


@router.get("/v1/keys")
async def listing(request: Request) -> KeyList:
    """Every minted key, without its secret; people see those of their projects."""
    return {"data": await services_of(request).key_admin.listing(request.state.caller)}


@router.post("/v1/keys")
async def make(request: Request, body: MintBody) -> MintedEntry:
    """A new key, shown this once."""
    return await services_of(request).key_admin.make(request.state.caller, body.role, body.given())


@router.post("/v1/keys/{key_id}")
async def change(request: Request, key_id: str, body: KeyBody) -> KeyEntry:
    """Change what is given; it holds everywhere within a second."""
    return await services_of(request).key_admin.change(request.state.caller, key_id, body.given())


@router.post("/v1/keys/{key_id}/rotate")
async def rotate(request: Request, key_id: str, body: RotateBody) -> MintedEntry:
    """A new key with the rights, budgets and limits of this one, which stays good for a while."""
    return await services_of(request).key_admin.rotate(request.state.caller, key_id, body.overlap_s)


async def _set(request: Request, status: str) -> KeyStatus:
    caller = request.state.caller
    await services_of(request).keys.set_status(caller, caller.key_id, status)
    return {"key_id": caller.key_id, "status": status}
