"""The one client of the runtime. Every call of every stage goes through here, over one pool for the process's life."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from types import MappingProxyType

import httpx
import orjson

from arbiter_app.dialects.openai_chat.upstream import CHAT
from arbiter_app.dialects.wire import Wire, WireRequest, unable
from arbiter_app.pipeline.completions import cut_own, may_name_own, without_own_bytes
from arbiter_app.pipeline.native import NativeEvents
from arbiter_app.pipeline.ports import LARGE_BYTES, Reply, ReplyStream, RuntimeFault
from arbiter_app.pipeline.types import Json
from arbiter_app.runtime import vectors
from arbiter_app.runtime.budget import Budget, Hold
from arbiter_app.runtime.claims import secrets
from arbiter_app.runtime.claims.facts import Rows, rows_of
from arbiter_app.runtime.encoding import EncodingError, decoder_of
from arbiter_app.runtime.faults import fault_of, refusal, stated_error
from arbiter_app.runtime.large import chat_in, outline_of, without_end
from arbiter_app.runtime.replies import UNREADABLE, answered, chat_of, decoded, joined, parsed
from arbiter_app.runtime.reply_stream import HttpReplyStream
from arbiter_app.runtime.transport import FOREVER_S, HttpResponse, PooledTransport, Timeouts, origin_of
from arbiter_app.turns import PIECE_BYTES, beside

MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_ANSWERS_BYTES = 64_000_000
MAX_ERROR_BYTES = 64 * 1024
MOST_INFLATED = 1_032
"""Bytes that one of deflate can say."""
MODELS_DEADLINE_S = 15.0
MOST_PAGES = 20
"""Of a model list, after its first."""
NO_VECTORS = "the runtime's answer holds no vectors that can be used"
MAX_LIST_BYTES = 8 * 1024 * 1024
"""Of a model list: a hundred times that of the largest router."""
_VERSIONED = re.compile(r"/v\d|/openai(?:/|$)|/api/")
_MODEL = re.compile(rb'"model"\s*:\s*"([^"\\]{1,200})"')


class HttpRuntime:
    """A runtime over HTTP (`pipeline.ports.Runtime`) that speaks the dialect of its `wire`. Faults never carry the key.

    `headers`, by lower-case names, go with every request; an `authorization` stands in the place of the key. `budget` is of
    answers in memory, where several runtimes share one.

    Raises ValueError for a base URL that is not http(s), and for a key that cannot stand in a header.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        wire: Wire = CHAT,
        connect_timeout_s: float = 5.0,
        first_byte_timeout_s: float = 30.0,
        gap_timeout_s: float = 30.0,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        max_answers_bytes: int = MAX_ANSWERS_BYTES,
        headers: Mapping[str, str] = MappingProxyType({}),
        budget: Budget | None = None,
        transport: PooledTransport | None = None,
    ) -> None:
        self._wire = wire
        self._base_url = base_url.rstrip("/")
        url = httpx.URL(self._base_url)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"the runtime's base URL must start with http:// or https://, not {self._base_url!r}")
        self._key = api_key.strip()
        secrets.keep(self._key)
        secrets.keep_url(self._base_url)
        if not _fits_header(self._key):
            raise ValueError("the runtime's key has characters that cannot stand in a header")
        self._headers = dict(headers)
        self._point(self._base_url)
        self._timeouts = Timeouts(connect_timeout_s, first_byte_timeout_s, gap_timeout_s)
        self._whole = Timeouts(connect_timeout_s, gap_s=gap_timeout_s, first_gap_s=FOREVER_S)
        self._max_answer_bytes = max_answer_bytes
        self._budget = budget or Budget(max_answers_bytes)
        self._transport = transport or PooledTransport()

    @property
    def dialect(self) -> str:
        """What it speaks, by its name in a catalog."""
        return self._wire.dialect

    @property
    def budget(self) -> Budget:
        """Of the answers that it holds in memory."""
        return self._budget

    @property
    def base_url(self) -> str:
        """Where the runtime's routes are; another than was asked for once its list was found under `/v1`."""
        return self._base_url

    def _point(self, base_url: str) -> None:
        """Make the heads of the requests to a base URL."""
        self._base_url, url = base_url, httpx.URL(base_url)
        self._origin = origin_of(url)
        asked = httpx.URL(self._wire.url(base_url))
        self._plain = self._head("POST", asked, "application/json")
        self._streamed = self._head("POST", asked, "text/event-stream")
        self._models = self._head("GET", httpx.URL(f"{base_url}{self._wire.models}"), "application/json")
        self._embeddings = self._head("POST", httpx.URL(f"{base_url}/embeddings"), "application/json")
        self._details = self._head("GET", httpx.URL(f"{base_url}/model/info"), "application/json")

    def _head(self, method: str, url: httpx.URL, accept: str) -> bytes:
        """The head of a request up to what differs between requests: the id, and the length of the body."""
        lines = [f"{method} {url.raw_path.decode()} HTTP/1.1", f"host: {url.netloc.decode()}", f"accept: {accept}"]
        own = {} if "authorization" in self._headers else self._wire.authorized(self._key)
        lines += [
            "content-type: application/json",
            *(f"{name}: {value}" for name, value in ({**self._wire.headers, **own, **self._headers}).items()),
        ]
        return "\r\n".join([*lines, ""]).encode()

    def __repr__(self) -> str:
        return f"HttpRuntime({self._base_url!r})"

    async def complete(
        self,
        payload: bytes,
        *,
        deadline: float,
        request_id: str | None = None,
        native: Mapping[str, str] | None = None,
    ) -> Reply:
        """A whole answer. Raises RuntimeFault for everything that is not one, with status 2xx.

        Its head comes when it is finished, so that only the deadline bounds the wait for it.
        """
        asked, reader = await self._written(payload, native), self._wire.reader()
        head = self._plain + _lines(native) if native else self._plain
        response, first_byte_ms = await self._send(head, asked.body, self._whole, deadline, request_id)
        headers = decoded(response.headers)
        hold = Hold(self._budget)
        pieces = await self._read(response, self._max_answer_bytes, hold, deadline)
        if sum(map(len, pieces)) <= LARGE_BYTES:
            reply = answered(reader, headers, pieces, first_byte_ms, hold)
        elif (outlined := await self._outlined(pieces, native=native is not None)) is not None:
            chat, kept = outlined, without_end(pieces)
            passed, spoken = ((), kept) if reader is not None else (kept, ())
            reply = Reply(headers, b"", first_byte_ms, chat, hold, passed, native=spoken)
        else:
            reply = await beside(answered, reader, headers, pieces, first_byte_ms, hold)
        if native is None and reply.native:
            reply = replace(reply, native=())
        return replace(reply, dropped=asked.dropped) if asked.dropped else reply

    async def _outlined(self, pieces: list[bytes], *, native: bool) -> Json | None:
        """The chat completion that a large answer's outline is, where it can pass as it came: it is one, or is in the caller's dialect.
        Raises RuntimeFault for what is no answer.
        """
        reader = self._wire.reader()
        if reader is not None and not native or (outline := await outline_of(pieces)) is None:
            return None
        if reader is None:
            return chat_in(outline)
        answer: Json = orjson.loads(outline)
        chat = chat_of(reader, answer, outline)
        return None if chat is answer or reader.stray else chat

    async def stream(
        self,
        payload: bytes,
        *,
        deadline: float,
        request_id: str | None = None,
        native: Mapping[str, str] | None = None,
    ) -> ReplyStream:
        """A streamed answer, returned when its first payload has arrived, so that until then another model can serve."""
        started, hold = time.perf_counter(), Hold(self._budget)
        asked = await self._written(payload, native)
        head = self._streamed + _lines(native) if native else self._streamed
        response, _ = await self._send(head, asked.body, self._timeouts, deadline, request_id)
        try:
            stream = HttpReplyStream(
                response, started, self._max_answer_bytes, hold, deadline, self._wire.reader(), asked.dropped
            )
            stream.native = NativeEvents() if native is not None else None
        except EncodingError as error:
            await response.body.aclose()
            raise RuntimeFault("protocol", str(error)) from error
        try:
            await stream.first()
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def _written(self, payload: bytes, native: Mapping[str, str] | None) -> WireRequest:
        """The request as this runtime is sent it; what is large is written beside the event loop."""
        return (
            self._asked(payload, native) if len(payload) <= LARGE_BYTES else await beside(self._asked, payload, native)
        )

    def _asked(self, payload: bytes, native: Mapping[str, str] | None) -> WireRequest:
        """The request as the runtime gets it. Raises RuntimeFault for what has no words there, of whatever kinds its values are."""
        if native is not None:
            return WireRequest(payload)
        try:
            return self._wire.ask(payload)
        except UNREADABLE as error:
            raise unable("body", "what stands in it cannot be said to this runtime") from error

    async def embed(self, payload: bytes, *, texts: int, deadline: float, request_id: str | None = None) -> Reply:
        """Vectors for so many texts, in the form that was asked for; the reply's JSON is their outline (`vectors`). Raises RuntimeFault."""
        response, first_byte_ms = await self._send(self._embeddings, payload, self._whole, deadline, request_id)
        headers, hold = decoded(response.headers), Hold(self._budget)
        body = joined(await self._read(response, self._max_answer_bytes, hold, deadline)).strip()
        try:
            outline = await vectors.outline_of(body)
            if (error := stated_error(outline, headers, body)) is not None:
                raise error
            vectors.hold_vectors(outline, texts)
            body, packed = _passed_on(headers, body), vectors.asks_packed(payload)
            if not vectors.is_as_asked(outline, packed=packed):
                put_right = partial(vectors.as_asked, body, packed=packed)
                body = put_right() if len(body) <= LARGE_BYTES else await beside(put_right)
        except ValueError as unread:
            raise RuntimeFault("protocol", f"{NO_VECTORS}: {unread}") from unread
        return Reply(headers, body, first_byte_ms, outline, hold)

    async def models(self) -> Rows:
        """The rows of the runtime's model list; where there is none, of that under `/v1`, which is then the base. Raises RuntimeFault."""
        try:
            return await self._pages(self._models, f"{self._base_url}{self._wire.models}")
        except RuntimeFault as fault:
            if _VERSIONED.search(self._base_url) or not (fault.kind == "protocol" or fault.status in (404, 405)):
                raise
            below = self._head("GET", httpx.URL(f"{self._base_url}/v1{self._wire.models}"), "application/json")
            try:
                rows = await self._pages(below, f"{self._base_url}/v1{self._wire.models}")
            except RuntimeFault:
                raise fault from None
            self._point(f"{self._base_url}/v1")
            return rows

    async def details(self) -> Rows:
        """What a LiteLLM proxy tells of its models besides their names. Raises RuntimeFault, also where there is no such route."""
        return await self._listing(self._details, time.monotonic() + MODELS_DEADLINE_S)

    async def _pages(self, head: bytes, url: str) -> Rows:
        """A list of models, page by page where it has several: what cannot be had of a later one is left out, and the list no whole one."""
        deadline = time.monotonic() + MODELS_DEADLINE_S
        rows = page = await self._listing(head, deadline)
        known = {str(row.get("id")) for row in rows}
        for _ in range(MOST_PAGES):
            if not page.next_page:
                break
            asked = httpx.URL(f"{url}{'&' if '?' in url else '?'}{page.next_page}")
            try:
                page = await self._listing(self._head("GET", asked, "application/json"), deadline)
            except RuntimeFault:
                break
            new = [row for row in page if str(row.get("id")) not in known]
            if not new:
                break
            known |= {str(row.get("id")) for row in new}
            rows += new
            rows.whole = page.whole
        return rows

    async def _listing(self, head: bytes, deadline: float) -> Rows:
        response, _ = await self._send(head, b"", self._timeouts, deadline)
        pieces = await self._read(response, MAX_LIST_BYTES, Hold(self._budget), deadline)
        listing, _ = parsed(decoded(response.headers), joined(pieces))
        rows = rows_of(listing)
        if rows is None:
            raise RuntimeFault("protocol", "the runtime's model list has no data")
        return rows

    async def aclose(self) -> None:
        """Close every connection at once; calls under way end in a fault."""
        await self._transport.aclose()

    async def _send(
        self, head: bytes, payload: bytes, timeouts: Timeouts, deadline: float, request_id: str | None = None
    ) -> tuple[HttpResponse, float]:
        """The answer with its body unread, and the milliseconds to its head; faults for every status but 2xx."""
        named = b""
        if request_id and _fits_header(request_id):
            named = b"x-request-id: %b\r\n" % request_id.encode()
        data = b"%b%bcontent-length: %d\r\n\r\n%b" % (head, named, len(payload), payload)
        started = time.perf_counter()
        try:
            answer = await self._transport.ask(self._origin, data, timeouts, deadline)
        except httpx.TransportError as error:
            raise fault_of(error) from error
        status = answer.status
        if not 200 <= status < 300 or status == 204:
            asked = _MODEL.search(payload)
            model = asked[1].decode("utf-8", "replace") if asked is not None else ""
            raise refusal(status, decoded(answer.headers), await self._read_error(answer), model)
        return answer, (time.perf_counter() - started) * 1000

    async def _read(self, answer: HttpResponse, limit: int, hold: Hold, deadline: float) -> list[bytes]:
        """The whole body, decoded, in pieces; it is held by `hold`."""
        try:
            encoding = next((value for name, value in answer.headers if name == b"content-encoding"), None)
            decoder = None if encoding is None else decoder_of(encoding.decode("latin-1"), limit)
            pieces = await answer.body.read(limit, lambda size: hold.grow(size, deadline))
            if pieces is not None and decoder is not None:
                body = b"".join(pieces)
                await hold.grow(min(limit, len(body) * MOST_INFLATED), deadline)
                body = decoder.feed(body)
                hold.shrink(len(body))
                pieces = [body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES)]
        except httpx.TransportError as error:
            raise fault_of(error) from error
        except EncodingError as error:
            await answer.body.aclose()
            raise RuntimeFault("protocol", str(error)) from error
        if pieces is None:
            raise RuntimeFault("protocol", f"the runtime's answer is larger than {limit} bytes")
        return pieces

    async def _read_error(self, answer: HttpResponse) -> bytes:
        """What the runtime says about its refusal; the status stands even when that cannot be read."""
        try:
            return joined(await self._read(answer, MAX_ERROR_BYTES, Hold(self._budget), time.monotonic()))
        except RuntimeFault:
            return b""


def _passed_on(headers: Mapping[str, str], body: bytes) -> bytes:
    """An answer whose outline is known, as valid JSON without members of our name. Raises ValueError and RuntimeFault."""
    if len(body) > LARGE_BYTES:
        return cut_own(body) if may_name_own(body) else body
    return without_own_bytes(parsed(headers, body)[1])


def _lines(headers: Mapping[str, str]) -> bytes:
    """Headers of a caller that go along, as lines of a head."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items() if _fits_header(value)]).encode()


def _fits_header(value: str) -> bool:
    return value.isascii() and value.isprintable()
