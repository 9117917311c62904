"""The bare pass-through to compare with: Starlette and aiohttp, nothing decided, nothing kept.

`python -m tests.bench.passthrough PORT RUNTIME_URL`.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


def application(runtime: str) -> Starlette:
    """The application in front of a runtime's base URL."""
    session: list[aiohttp.ClientSession] = []

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as one:
            session.append(one)
            yield

    async def chat(request: Request) -> Response:
        body = await request.body()
        headers = {"content-type": "application/json"}
        answer = await session[0].post(f"{runtime}/chat/completions", data=body, headers=headers)
        if answer.content_type == "text/event-stream":
            return StreamingResponse(answer.content.iter_any(), media_type="text/event-stream")
        return Response(await answer.read(), answer.status, media_type="application/json")

    async def ready(_request: Request) -> Response:
        return JSONResponse({"status": "ready"})

    routes = [Route("/v1/chat/completions", chat, methods=["POST"]), Route("/readyz", ready)]
    return Starlette(routes=routes, lifespan=lifespan)


if __name__ == "__main__":
    own = application(sys.argv[2])
    uvicorn.run(own, port=int(sys.argv[1]), loop="uvloop", http="httptools", log_level="error", access_log=False)
