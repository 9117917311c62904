"""Keys: sign-up, the caller's own key and its state."""

from __future__ import annotations

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict

from arbiter_app.addresses import address_of
from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.services.rows import KeyStatus, KeyUsage, MintedSecret

router = APIRouter(tags=["keys"], route_class=Guarded)


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


async def _set(request: Request, status: str) -> KeyStatus:
    key_id = request.state.caller.key_id
    await services_of(request).keys.set_status(key_id, status)
    return {"key_id": key_id, "status": status}
