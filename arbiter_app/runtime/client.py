"""The one client of the runtime. Every call of every stage goes through here, over one pool for the process's life."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import httpx
import orjson

from arbiter_app import exact_json
from arbiter_app.dialects.openai_chat.upstream import CHAT
from arbiter_app.dialects.wire import Reader, Wire, WireRequest
from arbiter_app.pipeline.completions import completed, may_name_own, without_own, without_own_bytes
from arbiter_app.pipeline.native import NativeEvents
from arbiter_app.pipeline.ports import LARGE_BYTES, Reply, ReplyStream, RuntimeFault
from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.budget import FREE_BYTES, Budget, Hold
from arbiter_app.runtime.claims import secrets
from arbiter_app.runtime.claims.facts import Rows, rows_of
from arbiter_app.runtime.claims.secrets import hide_bytes
from arbiter_app.runtime.encoding import EncodingError, decoder_of
from arbiter_app.runtime.faults import fault_of, refusal, stated_error
from arbiter_app.runtime.large import PIECE_BYTES, outline_of, without_end
from arbiter_app.runtime.sse import (
    DONE,
    EventSplitter,
    EventTooLarge,
    StreamAssembler,
    event_data,
    events_of,
    has_payload,
    separated,
)
from arbiter_app.runtime.transport import FOREVER_S, Headers, HttpResponse, PooledTransport, Timeouts, origin_of

MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_ANSWERS_BYTES = 64_000_000
MAX_ERROR_BYTES = 64 * 1024
MOST_INFLATED = 1_032
"""Bytes that one of deflate can say."""
MODELS_DEADLINE_S = 15.0
MAX_LIST_BYTES = 8 * 1024 * 1024
"""Of a model list: a hundred times that of the largest router."""
USAGE_BYTES = 8_192
_USAGE = re.compile(rb'"usage"\s*:\s*(\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\})')
_VERSIONED = re.compile(r"/v\d|/openai(?:/|$)|/api/")


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
        asked, reader = self._asked(payload, native), self._wire.reader()
        head = self._plain + _lines(native) if native else self._plain
        response, first_byte_ms = await self._send(head, asked.body, self._whole, deadline, request_id)
        headers = _decoded(response.headers)
        hold = Hold(self._budget)
        pieces = await self._read(response, self._max_answer_bytes, hold, deadline)
        if reader is not None:
            reply, body = _translated(reader, headers, _joined(pieces), first_byte_ms, hold)
            return replace(reply, dropped=asked.dropped, native=body if native is not None else b"")
        if sum(map(len, pieces)) > LARGE_BYTES:
            outline = await outline_of(pieces)
            if outline is not None:
                return Reply(headers, b"", first_byte_ms, outline, hold, without_end(pieces), asked.dropped)
        reply = _reply(headers, _joined(pieces), first_byte_ms, hold)
        return replace(reply, dropped=asked.dropped) if asked.dropped else reply

    async def stream(
        self,
        payload: bytes,
        *,
        deadline: float,
        request_id: str | None = None,
        native: Mapping[str, str] | None = None,
    ) -> ReplyStream:
        """A streamed answer, returned when its first payload has arrived, so that until then another model can serve."""
        started = time.perf_counter()
        asked, hold = self._asked(payload, native), Hold(self._budget)
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

    def _asked(self, payload: bytes, native: Mapping[str, str] | None) -> WireRequest:
        """The request as the runtime gets it."""
        return self._wire.ask(payload) if native is None else WireRequest(payload)

    async def embed(self, payload: bytes, *, deadline: float, request_id: str | None = None) -> Reply:
        """Vectors for texts, as they came; of more than `LARGE_BYTES` only the usage is looked at. Raises RuntimeFault."""
        response, first_byte_ms = await self._send(self._embeddings, payload, self._whole, deadline, request_id)
        headers, hold = _decoded(response.headers), Hold(self._budget)
        body = _joined(await self._read(response, self._max_answer_bytes, hold, deadline)).strip()
        if len(body) > LARGE_BYTES:
            return Reply(headers, body, first_byte_ms, _usage_alone(body), hold)
        answer, body = _json(headers, body)
        if (error := stated_error(answer, headers, body)) is not None:
            raise error
        if not isinstance(answer, dict) or not isinstance(answer.get("data"), list):
            raise RuntimeFault("protocol", "the runtime's answer holds no vectors")
        return Reply(headers, body, first_byte_ms, answer, hold)

    async def models(self) -> Rows:
        """The rows of the runtime's model list; where there is none, of that under `/v1`, which is then the base. Raises RuntimeFault."""
        try:
            return await self._listing(self._models)
        except RuntimeFault as fault:
            if _VERSIONED.search(self._base_url) or not (fault.kind == "protocol" or fault.status in (404, 405)):
                raise
            below = self._head("GET", httpx.URL(f"{self._base_url}/v1{self._wire.models}"), "application/json")
            try:
                rows = await self._listing(below)
            except RuntimeFault:
                raise fault from None
            self._point(f"{self._base_url}/v1")
            return rows

    async def details(self) -> Rows:
        """What a LiteLLM proxy tells of its models besides their names. Raises RuntimeFault, also where there is no such route."""
        return await self._listing(self._details)

    async def _listing(self, head: bytes) -> Rows:
        deadline = time.monotonic() + MODELS_DEADLINE_S
        response, _ = await self._send(head, b"", self._timeouts, deadline)
        pieces = await self._read(response, MAX_LIST_BYTES, Hold(self._budget), deadline)
        listing, _ = _json(_decoded(response.headers), _joined(pieces))
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
            raise refusal(status, _decoded(answer.headers), await self._read_error(answer))
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
            return _joined(await self._read(answer, MAX_ERROR_BYTES, Hold(self._budget), time.monotonic()))
        except RuntimeFault:
            return b""


class HttpReplyStream:
    """The events of one streamed answer (`pipeline.ports.ReplyStream`). `[DONE]` ends it.

    With a `reader` they are what it makes of the runtime's own, which are in `native` where it is one.
    """

    def __init__(
        self,
        answer: HttpResponse,
        started: float,
        limit: int,
        hold: Hold,
        deadline: float,
        reader: Reader | None = None,
        dropped: Sequence[str] = (),
    ) -> None:
        self._reader = reader
        self.dropped = dropped
        self.native: NativeEvents | None = None
        self.headers: Mapping[str, str] = _decoded(answer.headers)
        self.first_byte_ms = 0.0
        self._started = started
        self._body = answer.body
        self._decoder = decoder_of(self.headers.get("content-encoding"), limit)
        self._splitter = EventSplitter()
        self._ready: list[bytes] = []
        self._left = limit
        self._over = False
        self._hold = hold
        self._deadline = deadline

    async def first(self) -> None:
        """Wait for the first event that carries something for the caller; what comes before it is held back with it.

        Until then it is no answer: an error frame is a fault like an error status, the end is one too. A body of JSON
        instead of a stream counts as what it says, an error or a whole answer.
        """
        if "json" in self.headers.get("content-type", "").lower():
            body = await self._rest()
            if not _looks_streamed(body):
                self._take_whole(body)
                return
            self._ready = self._read(_events(body))
        looked = 0
        while True:
            while looked < len(self._ready):
                data = event_data(self._ready[looked])
                if data and self._begins(data.strip()):
                    self.first_byte_ms = (time.perf_counter() - self._started) * 1000
                    del self._ready[: self._silent(looked)]
                    return
                looked += 1
            if not await self._more():
                break
        if any(event_data(event) for event in self._ready):
            raise RuntimeFault("transport", "the runtime's stream ended before its answer began")
        self._take_whole(b"\n\n".join(self._ready))

    def _begins(self, data: bytes) -> bool:
        """Whether the answer has begun with this event. Raises RuntimeFault when it is an error, or none at all."""
        if data == DONE:
            raise RuntimeFault("protocol", "the runtime's stream is empty")
        try:
            frame = exact_json.loads(data)
        except ValueError:
            raise RuntimeFault("protocol", "the runtime's stream begins with something that is not JSON") from None
        error = stated_error(frame, self.headers, data)
        if error is not None:
            raise error
        return has_payload(frame)

    def _silent(self, at: int) -> int:
        """How many comments and empty events stand before the first data of the events up to `at`."""
        return next(position for position in range(at + 1) if event_data(self._ready[position]))

    def _take_whole(self, body: bytes) -> None:
        """A body that is no stream: an error, or a whole answer, which is taken as the events it would have come in."""
        self.native = None
        kind = self.headers.get("content-type", "")[:100] or "no content type"
        if not body.strip():
            raise RuntimeFault("protocol", "the runtime's stream is empty")
        try:
            answer = exact_json.loads(body)
        except ValueError:
            raise RuntimeFault("protocol", f"the runtime did not stream ({kind})") from None
        error = stated_error(answer, self.headers, body)
        if error is not None:
            raise error
        if isinstance(answer, dict):
            if self._reader is not None:
                answer = _chat(self._reader, answer, body)
            completed(answer, time.time_ns())
        events = events_of(answer)
        if not events:
            raise RuntimeFault("protocol", f"the runtime did not stream ({kind})")
        self.first_byte_ms = (time.perf_counter() - self._started) * 1000
        self._ready = events

    async def _rest(self) -> bytes:
        """All that is still to come, as it is."""
        parts: list[bytes] = []
        size = 0
        try:
            async for data in self._body:
                parts.append(self._counted(data))
                size += len(parts[-1])
                await self._hold.grow(size, self._deadline)
        except httpx.TransportError as error:
            raise fault_of(error) from error
        except (EventTooLarge, EncodingError) as error:
            await self.aclose()
            raise RuntimeFault("protocol", str(error)) from error
        return _joined(parts)

    async def together(self) -> Sequence[bytes]:
        """The next event and those that have come with it, `[DONE]` at most; none at the end."""
        while not self._ready:
            if self._over or not await self._more():
                return ()
        events, self._ready = self._ready, []
        for at, event in enumerate(events):
            if event.endswith(DONE) and event_data(event).strip() == DONE:
                self._over = True
                return events[: at + 1]
        return events

    async def aclose(self) -> None:
        """End the exchange; the connection is closed unless the stream was read to its end."""
        if self._over:
            self._body.release()
        await self._body.aclose()
        self._ready = []
        self._hold.release()

    async def _more(self) -> bool:
        """Read on until there is at least one event; False at the end of the stream."""
        self._hold.shrink(self._splitter.size)
        try:
            async for data in self._body:
                events = self._splitter.feed(self._counted(data))
                if self._splitter.size > FREE_BYTES:
                    await self._hold.grow(self._splitter.size, self._deadline)
                if events:
                    self._ready.extend(self._read([hide_bytes(one) for event in events for one in separated(event)]))
                    return True
        except httpx.TransportError as error:
            raise fault_of(error) from error
        except (EventTooLarge, EncodingError) as error:
            await self.aclose()
            raise RuntimeFault("protocol", str(error)) from error
        rest = self._splitter.rest()
        self._splitter = EventSplitter()
        if rest:
            self._ready.extend(self._read([hide_bytes(one) for one in separated(rest)]))
        return bool(rest)

    def _read(self, events: list[bytes]) -> list[bytes]:
        """The events as a chat's."""
        if self._reader is None:
            return events
        made: list[bytes] = []
        for event in events:
            data = event_data(event)
            made += self._reader.chunks(data) if data else [event]
            if self.native is not None and not self._reader.failed:
                passed = self.native.ending if self._reader.ended else self.native.ready
                passed.append(without_own_event(event, data) + b"\n\n")
        return made

    def _counted(self, data: bytes) -> bytes:
        """The bytes as they were before they were compressed. Raises EventTooLarge at the bound of an answer."""
        if self._decoder is not None:
            data = self._decoder.feed(data)
        self._left -= len(data)
        if self._left < 0:
            raise EventTooLarge("the runtime's stream is larger than any answer")
        return data


def _usage_alone(body: bytes) -> Json:
    """The usage of a large object, which stands before or after what makes it large. Raises RuntimeFault for what is no object."""
    if not (body.startswith(b"{") and body.endswith(b"}")):
        raise RuntimeFault("protocol", f"the runtime's answer is not valid JSON ({len(body)} bytes)")
    for part in (body[-USAGE_BYTES:], body[:USAGE_BYTES]):
        found = _USAGE.search(part)
        if found is not None:
            try:
                return {"usage": orjson.loads(found[1])}
            except orjson.JSONDecodeError:
                continue
    return {}


def _lines(headers: Mapping[str, str]) -> bytes:
    """Headers of a caller that go along, as lines of a head."""
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items() if _fits_header(value)]).encode()


def _fits_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def without_own_event(event: bytes, data: bytes) -> bytes:
    """An event as it came, unless it has a member of our name; then the same without it."""
    if not may_name_own(data):
        return event
    try:
        said = exact_json.exact(data)
    except ValueError:
        return event
    ours = without_own(said)
    if said == ours:
        return event
    named = b"".join(line + b"\n" for line in event.split(b"\n") if line.startswith(b"event:"))
    return named + b"data: " + exact_json.dumps(ours)


def _joined(pieces: Sequence[bytes]) -> bytes:
    """A body in one, without a byte order mark and without secrets."""
    return hide_bytes(b"".join(pieces).removeprefix(exact_json.BOM))


def _events(body: bytes) -> list[bytes]:
    """The events of a whole body. Raises RuntimeFault for one that is too large."""
    splitter = EventSplitter()
    try:
        events = [*splitter.feed(body), *filter(None, [splitter.rest()])]
        return [one for event in events for one in separated(event)]
    except EventTooLarge as error:
        raise RuntimeFault("protocol", str(error)) from error


def _looks_streamed(body: bytes) -> bool:
    """Whether a body is made of events, whatever it is called."""
    return body.lstrip().startswith((b"data:", b"event:", b": ", b"id:", b"retry:"))


def _is_stream(headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a plain request was answered with a stream."""
    return "text/event-stream" in headers.get("content-type", "").lower() or _looks_streamed(body)


def _assembled(headers: Mapping[str, str], body: bytes, first_byte_ms: float, hold: Hold) -> Reply:
    """The whole answer that a stream comes to. Raises RuntimeFault for an error frame, and for one that breaks off."""
    assembler = StreamAssembler(most_chars=len(body))
    for event in _events(body):
        if not event_data(event):
            continue
        assembler.feed(event)
        if assembler.error is not None:
            raise assembler.error
        if assembler.done:
            break
    if not assembler.done and assembler.finish_reason is None:
        raise RuntimeFault("transport", "the runtime's stream ended before the answer was finished")
    answer = assembler.body()
    completed(answer, time.time_ns())
    return Reply(headers, orjson.dumps(answer), first_byte_ms, answer, hold)


def _reply(headers: Mapping[str, str], body: bytes, first_byte_ms: float, hold: Hold) -> Reply:
    """A plain request's answer. Raises RuntimeFault for what is not one."""
    if _is_stream(headers, body):
        return _assembled(headers, body, first_byte_ms, hold)
    answer, body = _json(headers, body)
    error = stated_error(answer, headers, body)
    if error is not None:
        raise error
    if not isinstance(answer, dict):
        raise RuntimeFault("protocol", "the runtime's answer is not a JSON object")
    now_ns = time.time_ns()
    if completed(answer, now_ns):  # to the letter of what was written, which `answer` does not hold
        said = exact_json.exact(body)
        completed(said, now_ns)
        body = exact_json.dumps(said)
    return Reply(headers, body, first_byte_ms, answer, hold)


def _translated(
    reader: Reader,
    headers: Mapping[str, str],
    body: bytes,
    first_byte_ms: float,
    hold: Hold,
) -> tuple[Reply, bytes]:
    """The answer of a runtime of another dialect, as a chat completion, and as it came where it came whole. Raises RuntimeFault for what
    is not one.
    """
    if _is_stream(headers, body):
        chunks = [made for event in _events(body) for made in reader.chunks(event_data(event))]
        stream = b"".join([made + b"\n\n" for made in chunks])
        return _assembled(headers, stream, first_byte_ms, hold), b""
    answer, body = _json(headers, body)
    error = stated_error(answer, headers, body)
    if error is not None:
        raise error
    if not isinstance(answer, dict):
        raise RuntimeFault("protocol", "the runtime's answer is not a JSON object")
    chat = _chat(reader, answer, body)
    completed(chat, time.time_ns())
    spoken = b"" if chat is answer else without_own_bytes(body.strip())
    return Reply(headers, orjson.dumps(chat), first_byte_ms, chat, hold), spoken


def _chat(reader: Reader, answer: Json, body: bytes) -> Json:
    """A whole answer as a chat completion. Raises RuntimeFault for what is none."""
    if isinstance(answer.get("choices"), list):
        return answer
    try:
        return reader.whole(answer, body)
    except ValueError as error:
        raise RuntimeFault("protocol", f"the runtime's answer cannot be read: {error}") from error


def _json(headers: Mapping[str, str], body: bytes) -> tuple[object, bytes]:
    """The parsed body of an answer with status 2xx, and the body as valid JSON: NaN, half characters and the like are no reason
    to lose an answer. Raises RuntimeFault when it is not JSON, or does not say so."""
    kind = headers.get("content-type", "")[:100]
    try:
        return orjson.loads(body), body
    except orjson.JSONDecodeError as error:
        if kind and "json" not in kind.lower():
            raise RuntimeFault("protocol", f"the runtime's answer is not JSON ({kind}, {len(body)} bytes)") from error
        try:
            return exact_json.loads(body), exact_json.dumps(exact_json.exact(body))
        except ValueError:
            raise RuntimeFault("protocol", f"the runtime's answer is not valid JSON ({len(body)} bytes)") from error


def _decoded(headers: Headers) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
