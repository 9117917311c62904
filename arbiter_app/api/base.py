"""The base URL itself, which clients and people ask to see whether anybody is there."""

from __future__ import annotations

from fastapi import APIRouter, Request

from arbiter_app import __version__
from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.services.rows.gateway import BaseAnswer

router = APIRouter(tags=["health"], route_class=Guarded)


@router.get("/")
async def root(request: Request) -> BaseAnswer:
    """What answers here, and where its routes are described. Where there are pages, they are here instead."""
    return _base(request)


@router.get("/v1")
async def base(request: Request) -> BaseAnswer:
    """What answers here, and where its routes are described."""
    return _base(request)


def _base(request: Request) -> BaseAnswer:
    root_path = services_of(request).settings.root_path
    return {
        "name": "arbiter",
        "version": __version__,
        "base_url": f"{root_path}/v1",
        "reference": f"{root_path}/v1/reference",
        "openapi": f"{root_path}/v1/openapi.json",
    }
