"""The hosts that serve from one database. For operators."""

from __future__ import annotations

from fastapi import APIRouter, Request

from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.services.rows.gateway import HostList

router = APIRouter(tags=["hosts"], route_class=Guarded)


@router.get("/v1/hosts")
async def listing(request: Request) -> HostList:
    """Every host with its load, version and lag, as it said itself some seconds ago, and the database that they share."""
    return await services_of(request).fleet.listing()
