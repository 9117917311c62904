"""`GET /export/decisions.csv` and `.json`: every decision under the activity page's filters, streamed.

Each page is read and made into text in one go on a connection that goes back to the pool before the page is sent: a
visitor who does not read holds nothing but one of the few places for downloads, and that only until the connection's
write deadline (`protocol.py`) ends it.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from arbiter_app import browsers
from arbiter_app.addresses import address_of
from arbiter_app.api import query, visibility
from arbiter_app.api.visibility import Seen, Sight
from arbiter_app.bootstrap import Services
from arbiter_app.dialects.openai_chat import error_body
from arbiter_app.notices import bounds
from arbiter_app.pipeline.errors import ArbiterError, Unauthorized, Unprocessable
from arbiter_app.pipeline.plain import is_digits
from arbiter_app.pipeline.types import Caller
from arbiter_app.services.csv_text import as_csv, inert
from arbiter_app.services.reads import exported
from arbiter_app.services.rows.decisions import DecisionRow
from arbiter_app.store import StoreError, decisions
from arbiter_app.store.decisions import Filter
from arbiter_app.store.fair_executor import visitor

log = logging.getLogger("arbiter.web")

KINDS = {"/export/decisions.csv": "csv", "/export/decisions.json": "json"}
COLUMNS = (
    ("id", "time", "ts", "task", "difficulty", "bucket", "classified_by", "model", "mode", "reason", "propensity")
    + (
        "quality",
        "quality_source",
        "cost",
        "cost_state",
        "answer_cost",
        "classifier_cost",
        "judge_cost",
        "learning_cost",
    )
    + (
        "baseline",
        "saved",
        "prompt_tokens",
        "completion_tokens",
        "latency_ms",
        "first_byte_ms",
        "overhead_ms",
        "stream",
    )
    + ("status", "error_code", "cache", "cascaded_from", "runtime")
    + ("project_id", "key_id", "end_user", "tags")
)
AGES = {"15m": 900.0, "1h": 3_600.0, "24h": 86_400.0, "7d": 604_800.0, "30d": 2_592_000.0}
LABELS = ("project", "key", "tag", "user", "runtime")
"""What decisions are narrowed by for whoever has signed in."""
TIMES = ("since", "until")
PARAMETERS = ("task", "model", "mode", "status", "age", *TIMES, *LABELS)
PAGE_ROWS = 200
MOST_DIGITS = 12
RETRY_S = 10
Page = tuple[bytes, int | None]
Encode = Callable[[list[dict[str, Any]]], bytes]


class Full(Exception):
    """No place for another download."""


class Downloads:
    """The places for downloads: `most` at once, and no more than half of them (at least one) for one visitor."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._each = max(1, most // 2)
        self._of: Counter[str] = Counter()

    @contextmanager
    def place(self, visitor: str) -> Iterator[None]:
        """A place for as long as the block runs. Raises Full."""
        if self._of.total() >= self._most or self._of[visitor] >= self._each:
            raise Full
        self._of[visitor] += 1
        try:
            yield
        finally:
            self._of[visitor] -= 1
            self._of += Counter()  # drops those who have none left


class Export:
    """Streams decisions to whoever may see them; a caller gets the calls of the own key."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._downloads = Downloads(services.settings.max_downloads)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        who = await self._services.keys.signed_in(browsers.cookies(scope["headers"]))
        visitor.set(address_of(scope) if who is None else who.key_id)
        refused = self._refused(request, who)
        if refused is not None:
            await refused(scope, receive, send)
            return
        try:
            with self._downloads.place(visitor.get()):
                answer = await self._stream(request, who)
                await answer(scope, receive, send)
        except Full:
            bounds.count("downloads", "a download was refused: too many at once (ARBITER_MAX_DOWNLOADS)")
            busy = _error(503, "too_many_downloads", f"too many downloads at once; try again in {RETRY_S} s")
            busy.headers["retry-after"] = str(RETRY_S)
            await busy(scope, receive, send)
        except (
            StoreError
        ) as error:  # in mid-answer: the server cuts the connection, so that it cannot be taken for whole
            log.warning("a download broke off: %s", error)

    def _refused(self, request: Request, who: Caller | None) -> Response | None:
        if request.url.path not in KINDS:
            return _error(404, "not_found", "there is no such export")
        if request.method not in ("GET", "HEAD"):
            refused = _error(405, "method_not_allowed", "GET downloads")
            refused.headers["allow"] = "GET, HEAD"
            return refused
        if visibility.sight("decisions", who, self._services.settings) is Sight.NOTHING:
            return _error(401, "missing_api_key", "sign in with a key first")
        try:
            query.check(request.query_params.multi_items(), dict.fromkeys(PARAMETERS, False))
            query.choice("age", request.query_params.get("age"), AGES)
            for name in TIMES:
                _time(name, request.query_params.get(name))
            _whose(request.query_params, who, self._services)
            if who is None and any(request.query_params.get(name) for name in LABELS):
                raise Unauthorized("sign in to look for what belongs to somebody", code="missing_api_key")
        except ArbiterError as error:
            return Response(error_body(error), error.status, media_type="application/json")
        return None

    async def _stream(self, request: Request, who: Caller | None) -> Response:
        """The answer, once its first page could be read."""
        kind = KINDS[request.url.path]
        narrowed, encode = self._narrowed(request, who), csv_rows if kind == "csv" else json_rows

        def told(rows: list[dict[str, Any]]) -> bytes:
            settings = self._services.settings
            return encode([dict(visibility.told(cast(DecisionRow, row), who, settings)) for row in rows])

        async def read(before: int | None) -> Page:
            return await self._services.store.read(_page, narrowed, before, told)

        try:
            first = await read(None)
        except StoreError as error:
            return _error(503, "store_unavailable", f"the store does not take this at the moment: {error}")
        pages = _pages(first, read)
        return StreamingResponse(
            csv_file(pages) if kind == "csv" else json_file(pages),
            media_type="text/csv; charset=utf-8" if kind == "csv" else "application/json",
            headers={
                "Content-Disposition": f'attachment; filename="arbiter-decisions.{kind}"',
                "Cache-Control": "no-store",
                "X-Content-Type-Options": "nosniff",
            },
        )

    def _narrowed(self, request: Request, who: Caller | None) -> Filter:
        asked = request.query_params
        age, seen = AGES.get(asked.get("age", "")), _whose(asked, who, self._services)
        return Filter(
            task=asked.get("task") or None,
            model=asked.get("model") or None,
            mode=asked.get("mode") or None,
            status=asked.get("status") or None,
            since=time.time() - age if age else _time("since", asked.get("since")),
            until=_time("until", asked.get("until")),
            key_id=seen.key_id,
            project_id=seen.project_id,
            runtime=asked.get("runtime") or None,
            end_user=asked.get("user") or None,
            tag=asked.get("tag") or None,
        )


def _whose(asked: Mapping[str, str], who: Caller | None, services: Services) -> Seen:
    """The key and project whose decisions are downloaded. Raises NotFound and Unauthorized where they are not this visitor's."""
    project, key = asked.get("project") or None, asked.get("key") or None
    return visibility.narrowed("decisions", who, services.settings, project=project, key=key)


def _time(name: str, text: str | None) -> float | None:
    """Unix seconds. Raises Unprocessable."""
    if not text:
        return None
    if not is_digits(text, MOST_DIGITS):
        raise Unprocessable(f"{name} must be in whole unix seconds", param=name)
    return float(text)


async def _pages(first: Page, read: Callable[[int | None], Awaitable[Page]]) -> AsyncIterator[bytes]:
    """The text of page after page."""
    text, before = first
    while text:
        yield text
        text, before = await read(before)


def _page(connection: Any, narrowed: Filter, before: int | None, encode: Encode) -> Page:
    """One page as text, and the cursor of the next; no text when there are no more rows."""
    rows = decisions.page(connection, narrowed, limit=PAGE_ROWS, before=before)
    return (encode([exported(row) for row in rows]), rows[-1]["seq"]) if rows else (b"", None)


def csv_rows(rows: list[dict[str, Any]]) -> bytes:
    """Lines of CSV; cells that a spreadsheet would run are made harmless."""
    return "".join(as_csv([inert(_plain(row.get(name))) for name in COLUMNS], []) for row in rows).encode()


def json_rows(rows: list[dict[str, Any]]) -> bytes:
    """JSON objects with commas between them."""
    return b",\n".join(orjson.dumps({name: row.get(name) for name in COLUMNS}) for row in rows)


async def csv_file(pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A head line and the pages."""
    yield as_csv(COLUMNS, []).encode()
    async for page in pages:
        yield page


async def json_file(pages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """One JSON array of the pages."""
    glue = b"[\n"
    async for page in pages:
        yield glue + page
        glue = b",\n"
    yield b"[]\n" if glue == b"[\n" else b"\n]\n"


def _plain(value: Any) -> str:
    return "" if value is None else ", ".join(value) if isinstance(value, list) else str(value)


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse(
        {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": code}}, status
    )
