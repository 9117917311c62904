"""The one client of the runtime. Every call of every stage goes through here, over one pool for the process's life."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Mapping, Sequence
from itertools import dropwhile

import httpx
import orjson

from arbiter_app.pipeline.ports import Reply, ReplyStream, RuntimeFault
from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.faults import fault_of, refusal, stated_error
from arbiter_app.runtime.sse import DONE, EventSplitter, EventTooLarge, event_data
from arbiter_app.runtime.transport import Answer, Headers, Limits, PooledTransport, origin_of

MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
MODELS_DEADLINE_S = 15.0


class HttpRuntime:
    """An OpenAI-compatible runtime over HTTP (`pipeline.ports.Runtime`). Faults never carry the key.

    Raises ValueError for a base URL that is not http(s), and for a key that cannot stand in a header.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        connect_timeout_s: float = 5.0,
        first_byte_timeout_s: float = 30.0,
        gap_timeout_s: float = 30.0,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        transport: PooledTransport | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        url = httpx.URL(self._base_url)
        if url.scheme not in ("http", "https") or not url.host:
            raise ValueError(f"the runtime's base URL must start with http:// or https://, not {self._base_url!r}")
        self._key = api_key.strip()
        if not _fits_header(self._key):
            raise ValueError("the runtime's key has characters that cannot stand in a header")
        self._origin = origin_of(url)
        self._plain = self._head("POST", httpx.URL(f"{self._base_url}/chat/completions"), "application/json")
        self._streamed = self._head("POST", httpx.URL(f"{self._base_url}/chat/completions"), "text/event-stream")
        self._models = self._head("GET", httpx.URL(f"{self._base_url}/models"), "application/json")
        self._limits = Limits(connect_timeout_s, first_byte_timeout_s, gap_timeout_s)
        self._max_answer_bytes = max_answer_bytes
        self._transport = transport or PooledTransport()

    def _head(self, method: str, url: httpx.URL, accept: str) -> bytes:
        """The head of a request up to what differs between requests: the id, and the length of the body."""
        lines = [f"{method} {url.raw_path.decode()} HTTP/1.1", f"host: {url.netloc.decode()}", f"accept: {accept}"]
        lines += ["content-type: application/json", *([f"authorization: Bearer {self._key}"] if self._key else [])]
        return "\r\n".join([*lines, ""]).encode()

    def __repr__(self) -> str:
        return f"HttpRuntime({self._base_url!r})"

    async def complete(self, payload: bytes, *, deadline: float, request_id: str | None = None) -> Reply:
        """A whole answer. Raises RuntimeFault for everything that is not a JSON object with status 2xx."""
        response, first_byte_ms = await self._send(self._plain, payload, deadline, request_id)
        body = await self._read(response, self._max_answer_bytes)
        headers = _decoded(response.headers)
        answer = _json(headers, body)
        if not isinstance(answer, dict):
            raise RuntimeFault("protocol", "the runtime's answer is not a JSON object")
        error = stated_error(answer, body)
        if error is not None:
            raise self._without_key(error)
        return Reply(headers, body, first_byte_ms, answer)

    async def stream(self, payload: bytes, *, deadline: float, request_id: str | None = None) -> ReplyStream:
        """A streamed answer, returned when its first chunk has arrived, so that until then another model can serve."""
        started = time.perf_counter()
        response, _ = await self._send(self._streamed, payload, deadline, request_id)
        stream = HttpReplyStream(response, started, self._max_answer_bytes)
        try:
            await stream.first()
        except RuntimeFault as fault:
            await stream.aclose()
            raise self._without_key(fault) from None
        except BaseException:
            await stream.aclose()
            raise
        return stream

    async def models(self) -> list[Json]:
        """The rows of the runtime's `GET /models`. Raises RuntimeFault."""
        deadline = time.monotonic() + MODELS_DEADLINE_S
        response, _ = await self._send(self._models, b"", deadline)
        listing = _json(_decoded(response.headers), await self._read(response, self._max_answer_bytes))
        rows = listing.get("data") if isinstance(listing, dict) else listing
        if not isinstance(rows, list):
            raise RuntimeFault("protocol", "the runtime's model list has no data")
        return [row for row in rows if isinstance(row, dict)]

    async def aclose(self) -> None:
        """Close every connection at once; calls under way end in a fault."""
        await self._transport.aclose()

    async def _send(
        self, head: bytes, payload: bytes, deadline: float, request_id: str | None = None
    ) -> tuple[Answer, float]:
        """The answer with its body unread, and the milliseconds to its head; faults for every status but 2xx."""
        named = b""
        if request_id and _fits_header(request_id):
            named = b"x-request-id: %b\r\n" % request_id.encode()
        data = b"%b%bcontent-length: %d\r\n\r\n%b" % (head, named, len(payload), payload)
        started = time.perf_counter()
        try:
            answer = await self._transport.ask(self._origin, data, self._limits, deadline)
        except httpx.TransportError as error:
            raise fault_of(error) from error
        status = answer.status
        if not 200 <= status < 300 or status == 204:
            raise self._without_key(refusal(status, _decoded(answer.headers), await self._read_error(answer)))
        return answer, (time.perf_counter() - started) * 1000

    async def _read(self, answer: Answer, limit: int) -> bytes:
        try:
            body = await answer.body.read(limit)
        except httpx.TransportError as error:
            raise fault_of(error) from error
        if body is None:
            raise RuntimeFault("protocol", f"the runtime's answer is larger than {limit} bytes")
        return body

    async def _read_error(self, answer: Answer) -> bytes:
        """What the runtime says about its refusal; the status stands even when that cannot be read."""
        try:
            return await self._read(answer, MAX_ERROR_BYTES)
        except RuntimeFault:
            return b""

    def _without_key(self, fault: RuntimeFault) -> RuntimeFault:
        """Runtimes like to quote a key they refuse; it goes no further."""
        if self._key:
            fault.message = fault.message.replace(self._key, "[key]")
            fault.body = fault.body.replace(self._key.encode(), b"[key]")
            fault.args = (fault.message,)
        return fault


class HttpReplyStream:
    """The events of one streamed answer (`pipeline.ports.ReplyStream`). `[DONE]` ends it."""

    def __init__(self, answer: Answer, started: float, limit: int) -> None:
        self.headers: Mapping[str, str] = _decoded(answer.headers)
        self.first_byte_ms = 0.0
        self._started = started
        self._body = answer.body
        self._splitter = EventSplitter()
        self._ready: list[bytes] = []
        self._left = limit
        self._over = False

    async def first(self) -> None:
        """Wait for the first event with data, and look at it: an error frame is a fault like an error status."""
        kind = self.headers.get("content-type", "")
        if "text/event-stream" not in kind.lower():
            raise RuntimeFault("protocol", f"the runtime did not stream ({kind[:100] or 'no content type'})")
        while not self._ready:
            if not await self._more():
                raise RuntimeFault("protocol", "the runtime's stream is empty")
            if self.first_byte_ms == 0.0:
                self.first_byte_ms = (time.perf_counter() - self._started) * 1000
            self._ready = list(dropwhile(_says_nothing, self._ready))
        data = event_data(self._ready[0]).strip()
        if data == DONE:
            raise RuntimeFault("protocol", "the runtime's stream is empty")
        if b'"error"' in data:
            fault = _error_frame(data)
            if fault is not None:
                raise fault

    async def together(self) -> Sequence[bytes]:
        """The next event and those that have come with it, `[DONE]` at most; none at the end."""
        if not self._ready and (self._over or not await self._more()):
            return ()
        events, self._ready = self._ready, []
        for at, event in enumerate(events):
            if event.endswith(DONE) and event_data(event).strip() == DONE:
                self._over = True
                return events[: at + 1]
        return events

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        events = await self.together()
        if not events:
            raise StopAsyncIteration
        if not self._over or len(events) > 1:
            self._ready, self._over = list(events[1:]), False
        return events[0]

    async def aclose(self) -> None:
        """End the exchange; the connection is closed unless the stream was read to its end."""
        if self._over:
            self._body.release()
        await self._body.aclose()

    async def _more(self) -> bool:
        """Read on until there is at least one event; False at the end of the stream."""
        try:
            async for data in self._body:
                self._left -= len(data)
                if self._left < 0:
                    raise EventTooLarge("the runtime's stream is larger than any answer")
                self._ready.extend(self._splitter.feed(data))
                if self._ready:
                    return True
        except httpx.TransportError as error:
            raise fault_of(error) from error
        except EventTooLarge as error:
            await self.aclose()
            raise RuntimeFault("protocol", str(error)) from error
        rest = self._splitter.rest()
        self._splitter = EventSplitter()
        if rest:
            self._ready.append(rest)
        return bool(rest)


def _says_nothing(event: bytes) -> bool:
    return not event_data(event)


def _fits_header(value: str) -> bool:
    return value.isascii() and value.isprintable()


def _json(headers: Mapping[str, str], body: bytes) -> object:
    """The parsed body of an answer with status 2xx. Raises RuntimeFault when it is not JSON, or does not say so."""
    kind = headers.get("content-type", "")[:100]
    if kind and "json" not in kind.lower():
        raise RuntimeFault("protocol", f"the runtime's answer is not JSON ({kind}, {len(body)} bytes)")
    try:
        parsed: object = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise RuntimeFault("protocol", f"the runtime's answer is not valid JSON ({len(body)} bytes)") from error
    return parsed


def _error_frame(data: bytes) -> RuntimeFault | None:
    try:
        frame = orjson.loads(data)
    except orjson.JSONDecodeError:
        return RuntimeFault("protocol", "the runtime's stream begins with something that is not JSON")
    return stated_error(frame, data) if isinstance(frame, dict) else None


def _decoded(headers: Headers) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
