"""Liveness, readiness, metrics."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from arbiter_app import __version__
from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import arbiter_of
from arbiter_app.metrics import exposition
from arbiter_app.services.rows import HealthAnswer, ReadyAnswer

router = APIRouter(tags=["health"], route_class=Guarded)


@router.get("/health", response_model=HealthAnswer)
async def health(request: Request) -> Response:
    """Alive: answers without touching store or runtime. `store` is ok, or why it refuses writes; learning pauses then.

    `runtime` is ok, or what it refuses the operator: its key, or credit. `neighbour` is none, or the other
    Arbiter that serves from the same database file.
    """
    arbiter = arbiter_of(request)
    mode = "sandbox" if arbiter.settings.sandbox else "live"
    uptime_s = round(time.monotonic() - arbiter.status.started_at, 1)
    degraded = arbiter.store.ledger.degraded
    told = {"store": degraded or "ok", "learning": "paused" if degraded else "on"}
    told["runtime"] = arbiter.standing.told or "ok"
    told["neighbour"] = arbiter.status.neighbour or "none"
    return JSONResponse({"status": "ok", "version": __version__, "mode": mode, "uptime_s": uptime_s, **told})


@router.get("/readyz", response_model=ReadyAnswer)
async def readyz(request: Request) -> Response:
    """Ready: the store takes writes and the runtime has been seen. 503 with the reasons when not."""
    arbiter = arbiter_of(request)
    reasons = []
    if arbiter.requests.draining:
        reasons.append("draining")
    if arbiter.status.not_ready:
        reasons.append(arbiter.status.not_ready)
    if trouble := await arbiter.store.trouble():
        reasons.append(trouble)
    if arbiter.status.runtime_seen_at is None:
        reasons.append("the runtime has not been seen yet")
    body = {"status": "ready" if not reasons else "not ready", "reasons": reasons}
    return JSONResponse(body, 200 if not reasons else 503)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus text: of this process, and, asked of the one that serves the pages, of the gateway workers too."""
    arbiter = arbiter_of(request)
    own = {arbiter.broadcast.process: arbiter.telemetry.snapshot()}
    text = exposition(own | await arbiter.broadcast.others())
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")
