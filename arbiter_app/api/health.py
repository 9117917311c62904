"""Liveness, readiness, metrics."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response

from arbiter_app import __version__
from arbiter_app.api.guard import Guarded
from arbiter_app.api.reports import services_of
from arbiter_app.metrics import exposition
from arbiter_app.services.rows.gateway import HealthAnswer, ReadyAnswer

router = APIRouter(tags=["health"], route_class=Guarded)


@router.get("/health", response_model=HealthAnswer)
async def health(request: Request) -> Response:
    """Alive: answers without touching store or runtime. `store` is ok, or why it refuses writes; learning pauses then.

    `journal` is what this host keeps until its database is back: empty, how much waits, or why it takes nothing more; none
    where there is none.

    `runtime` is ok, or what it refuses the operator: its key, or credit. `neighbour` is none, or the other
    Arbiter that serves from the same database file.
    """
    services = services_of(request)
    mode = "sandbox" if services.settings.sandbox else "live"
    uptime_s = round(time.monotonic() - services.status.started_at, 1)
    degraded = services.store.ledger.degraded
    told = {"store": degraded or "ok", "learning": "paused" if degraded else "on"}
    journal = services.store.journal
    told["journal"] = "none" if journal is None else journal.told
    told["runtime"] = services.standing.told or "ok"
    told["neighbour"] = services.status.neighbour or "none"
    return JSONResponse({"status": "ok", "version": __version__, "mode": mode, "uptime_s": uptime_s, **told})


@router.get("/readyz", response_model=ReadyAnswer)
async def readyz(request: Request) -> Response:
    """Ready: what is answered is kept, in the store or in this host's journal, and the runtime has been seen. 503 with the reasons when not."""
    services = services_of(request)
    reasons = []
    if services.requests.draining:
        reasons.append("draining")
    if services.status.not_ready:
        reasons.append(services.status.not_ready)
    if not services.store.journals and (trouble := await services.store.trouble()):
        reasons.append(trouble)
    if services.status.runtime_seen_at is None:
        reasons.append("the runtime has not been seen yet")
    body = {"status": "ready" if not reasons else "not ready", "reasons": reasons}
    return JSONResponse(body, 200 if not reasons else 503)


@router.get("/metrics")
async def metrics(request: Request) -> Response:
    """Prometheus text: of this process, and, asked of the one that serves the pages, of the gateway workers too."""
    services = services_of(request)
    own = {services.broadcast.process: services.telemetry.snapshot()}
    text = exposition(own | await services.broadcast.others())
    return PlainTextResponse(text, media_type="text/plain; version=0.0.4")
