"""The built pages as static files: precompressed, hashed assets cached for ever, pages revalidated, unknown paths 404."""

from __future__ import annotations

import os
from pathlib import Path

from reflex.utils.precompressed_staticfiles import PrecompressedStaticFiles
from starlette.responses import FileResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

HASHED = "assets/"
_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Content-Security-Policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' ws: wss:; object-src 'none'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
}


class Pages(PrecompressedStaticFiles):
    """Serves one build. A route with parameters has no file of its own and gets the shell; others get a real 404."""

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Prefer `start.html` to the folder `start/`, so that `/start` is answered without a redirect."""
        if path not in ("", ".") and not Path(path).suffix:
            full_path, found = super().lookup_path(path + ".html")
            if found is not None:
                return full_path, found
        return super().lookup_path(path)

    def file_response(self, *args: object, **kwargs: object) -> Response:
        """Add what every page needs: caching by kind, and headers that keep it from being framed or sniffed."""
        response = super().file_response(*args, **kwargs)  # type: ignore[arg-type]
        for name, value in _SECURITY.items():
            response.headers.setdefault(name, value)
        return response

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file behind `path`, with its cache lifetime."""
        response = await super().get_response(path, scope)
        known = path.startswith(HASHED) and response.status_code in (200, 304)
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if known else "no-cache"
        return response


def pages(directory: Path, routes: Path) -> Pages:
    """The static server of a build; `routes` is the route table that the build wrote beside it."""
    from functools import partial

    import orjson
    from reflex.route import get_router
    from reflex.utils.exec import _match_routable_page

    router = partial(_match_routable_page, get_router(orjson.loads(routes.read_bytes())))
    return Pages(directory=directory, html=True, encodings=["brotli", "gzip"], router=router)


def fallback(page: Path) -> ASGIApp:
    """One self-contained dashboard file at `/`, for when the pages were not built; everything else is 404."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        answer: Response = (
            FileResponse(page, headers={"Cache-Control": "no-cache"} | _SECURITY)
            if scope["path"] == "/"
            else Response("Not found. The web pages were not built; the dashboard is at /\n", 404)
        )
        await answer(scope, receive, send)

    return serve
