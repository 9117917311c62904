"""`GET /export/decisions.csv` and `.json`: every decision under the activity page's filters, streamed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import orjson
from starlette.concurrency import iterate_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.services.reads import shown
from arbiter_app.store.decisions import Filter
from arbiter_app.web.charts.table import as_csv, inert
from arbiter_app.web.reads import Reads
from arbiter_app.web.session import Sessions

KINDS = {"/export/decisions.csv": "csv", "/export/decisions.json": "json"}
COLUMNS = (
    ("id", "ts", "task", "difficulty", "bucket", "classified_by", "model", "mode", "reason", "propensity")
    + ("quality", "quality_source", "cost", "cost_state", "answer_cost", "classifier_cost", "judge_cost", "baseline")
    + ("saved", "prompt_tokens", "completion_tokens", "latency_ms", "first_byte_ms", "overhead_ms", "stream")
    + ("status", "error_code", "cache", "cascaded_from")
)
AGES = {"15m": 900.0, "1h": 3_600.0, "24h": 86_400.0, "7d": 604_800.0}


class Export:
    """Streams decisions to whoever may see them; a caller gets the calls of the own key."""

    def __init__(self, arbiter: Any, reads: Reads, sessions: Sessions) -> None:
        self._arbiter = arbiter
        self._reads = reads
        self._sessions = sessions

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        await (await self._answer(Request(scope, receive)))(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        kind = KINDS.get(request.url.path)
        if kind is None or request.method != "GET":
            return JSONResponse({"error": {"message": "there is no such export", "code": "not_found"}}, 404)
        who = await self._who(request)
        if who is None and not self._arbiter.settings.reads_open:
            return JSONResponse({"error": {"message": "sign in with a key first", "code": "missing_api_key"}}, 401)
        narrowed = self._narrowed(request, who)
        rows = (shown(row) for row in self._arbiter.store.stretch(narrowed))
        body = csv_lines(rows) if kind == "csv" else json_lines(rows)
        return StreamingResponse(
            iterate_in_threadpool(body),
            media_type="text/csv; charset=utf-8" if kind == "csv" else "application/json",
            headers={
                "Content-Disposition": f'attachment; filename="arbiter-decisions.{kind}"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            },
        )

    async def _who(self, request: Request) -> Caller | None:
        key_id = self._sessions.key_of("", request.headers.get("cookie", ""), time.time())
        return await self._reads.caller(key_id) if key_id else None

    def _narrowed(self, request: Request, who: Caller | None) -> Filter:
        asked = request.query_params
        age = AGES.get(asked.get("age", ""))
        everything = self._arbiter.settings.reads_open or (who is not None and who.role is Role.OPERATOR)
        return Filter(
            task=asked.get("task") or None,
            model=asked.get("model") or None,
            mode=asked.get("mode") or None,
            since=time.time() - age if age else None,
            key_id=None if everything or who is None else who.key_id,
        )


def csv_lines(rows: Iterator[dict[str, Any]]) -> Iterator[str]:
    """CSV in pieces; cells that a spreadsheet would run are made harmless."""
    yield as_csv(COLUMNS, [])
    for row in rows:
        yield as_csv([inert(_plain(row.get(name))) for name in COLUMNS], [])


def json_lines(rows: Iterator[dict[str, Any]]) -> Iterator[bytes]:
    """One JSON array in pieces."""
    glue = b"[\n"
    for row in rows:
        yield glue + orjson.dumps({name: row.get(name) for name in COLUMNS})
        glue = b",\n"
    yield b"[]\n" if glue == b"[\n" else b"\n]\n"


def _plain(value: Any) -> str:
    return "" if value is None else str(value)
