"""The one client of the runtime. Every call of every stage goes through here, over one pool for the process's life."""

from __future__ import annotations

import asyncio
import email.utils
import time
from collections.abc import AsyncIterator, Mapping

import httpx
import orjson

from arbiter_app.pipeline.ports import Reply, ReplyStream, RuntimeFault
from arbiter_app.pipeline.types import Json
from arbiter_app.runtime.sse import EventSplitter, EventTooLarge
from arbiter_app.runtime.transport import PooledTransport, timeouts

MAX_ANSWER_BYTES = 32 * 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024


class HttpRuntime:
    """An OpenAI-compatible runtime over HTTP (`pipeline.ports.Runtime`). Faults never carry the key."""

    def __init__(
        self,
        base_url: str,
        api_key: str,
        *,
        connect_timeout_s: float = 5.0,
        first_byte_timeout_s: float = 30.0,
        gap_timeout_s: float = 30.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._chat_url = httpx.URL(f"{self._base_url}/chat/completions")
        self._models_url = httpx.URL(f"{self._base_url}/models")
        self._headers = {"authorization": f"Bearer {api_key}", "host": self._chat_url.netloc.decode()}
        self._timeout = timeouts(connect_timeout_s, first_byte_timeout_s, gap_timeout_s)
        self._transport = transport or PooledTransport()

    def __repr__(self) -> str:
        return f"HttpRuntime({self._base_url!r})"

    async def complete(self, payload: bytes, *, deadline: float) -> Reply:
        """A whole answer. Raises RuntimeFault for everything that is not a JSON answer with status 2xx."""
        response, first_byte_ms = await self._send("POST", self._chat_url, payload, deadline, "application/json")
        try:
            body = await _read(response, MAX_ANSWER_BYTES)
        finally:
            await response.stream.aclose()  # type: ignore[union-attr]
        headers = _headers(response)
        if body.lstrip()[:1] != b"{":
            kind = headers.get("content-type", "no content type")
            raise RuntimeFault("protocol", f"the runtime's answer is not JSON ({kind}, {len(body)} bytes)")
        return Reply(headers, body, first_byte_ms)

    async def stream(self, payload: bytes, *, deadline: float) -> ReplyStream:
        """A streamed answer, returned when its first event has arrived, so that until then another model can serve."""
        started = time.perf_counter()
        response, _ = await self._send("POST", self._chat_url, payload, deadline, "text/event-stream")
        stream = HttpReplyStream(response, started)
        kind = stream.headers.get("content-type", "")
        if "text/event-stream" not in kind:
            await stream.aclose()
            raise RuntimeFault("protocol", f"the runtime did not stream ({kind or 'no content type'})")
        await stream.first()
        return stream

    async def models(self) -> list[Json]:
        """The runtime's `GET /models` list."""
        deadline = asyncio.get_running_loop().time() + 15.0
        response, _ = await self._send("GET", self._models_url, b"", deadline, "application/json")
        try:
            listing = orjson.loads(await _read(response, MAX_ANSWER_BYTES))
        except orjson.JSONDecodeError as error:
            raise RuntimeFault("protocol", "the model list is not JSON") from error
        finally:
            await response.stream.aclose()  # type: ignore[union-attr]
        rows = listing.get("data") if isinstance(listing, dict) else listing
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()

    async def _send(
        self, method: str, url: httpx.URL, payload: bytes, deadline: float, accept: str
    ) -> tuple[httpx.Response, float]:
        """The response with its body unread, and the time to its head; faults for every status but 2xx."""
        headers = {**self._headers, "accept": accept}
        if payload:
            headers["content-type"] = "application/json"
        extensions = {"timeout": self._timeout, "deadline": deadline}
        request = httpx.Request(method, url, headers=headers, content=payload, extensions=extensions)
        started = time.perf_counter()
        try:
            response = await self._transport.handle_async_request(request)
        except httpx.TransportError as error:
            raise _fault(error) from error
        if not 200 <= response.status_code < 300 or response.status_code == 204:
            raise await _refusal(response)
        return response, (time.perf_counter() - started) * 1000


class HttpReplyStream:
    """The events of one streamed answer (`pipeline.ports.ReplyStream`)."""

    def __init__(self, response: httpx.Response, started: float) -> None:
        self.headers: Mapping[str, str] = _headers(response)
        self.first_byte_ms = 0.0
        self._started = started
        self._response = response
        self._splitter = EventSplitter()
        self._bytes = response.stream.__aiter__()  # type: ignore[union-attr]
        self._ready: list[bytes] = []

    async def first(self) -> None:
        """Wait for the first event."""
        while not self._ready:
            if not await self._more():
                raise RuntimeFault("protocol", "the runtime's stream is empty")
        self.first_byte_ms = (time.perf_counter() - self._started) * 1000

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            ready, self._ready = self._ready, []
            for event in ready:
                yield event
            if not self._ready and not await self._more():
                break
        rest = self._splitter.rest()
        if rest:
            yield rest

    async def aclose(self) -> None:
        """End the exchange; the connection is closed unless the stream was read to its end."""
        await self._response.stream.aclose()  # type: ignore[union-attr]

    async def _more(self) -> bool:
        """Read on until there is at least one event; False at the end of the stream."""
        try:
            async for data in self._bytes:
                self._ready = self._splitter.feed(data)
                if self._ready:
                    return True
        except httpx.TransportError as error:
            raise _fault(error) from error
        except EventTooLarge as error:
            await self.aclose()
            raise RuntimeFault("protocol", str(error)) from error
        return False


async def _read(response: httpx.Response, limit: int) -> bytes:
    parts, size = [], 0
    try:
        async for data in response.stream:  # type: ignore[union-attr]
            parts.append(data)
            size += len(data)
            if size > limit:
                raise RuntimeFault("protocol", f"the runtime's answer is larger than {limit} bytes")
    except httpx.TransportError as error:
        raise _fault(error) from error
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _refusal(response: httpx.Response) -> RuntimeFault:
    """The fault for a status that is no answer, with what the runtime said (bounded)."""
    status, headers = response.status_code, _headers(response)
    try:
        body = await _read(response, MAX_ERROR_BYTES)
    except RuntimeFault:
        body = b""
    finally:
        await response.stream.aclose()  # type: ignore[union-attr]
    if status < 400:
        return RuntimeFault("protocol", f"the runtime answered with status {status}", body=body)
    wait = _retry_after_s(headers.get("retry-after"))
    return RuntimeFault("status", _said(body) or f"status {status}", status=status, body=body, retry_after_s=wait)


def _said(body: bytes) -> str:
    """The message of an OpenAI error body; empty when there is none."""
    try:
        error = orjson.loads(body)["error"]
        return str(error["message"] if isinstance(error, dict) else error)[:500]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return ""


def _retry_after_s(value: str | None) -> float | None:
    """Seconds of a Retry-After header, given as seconds or as an HTTP date."""
    if value is None:
        return None
    try:
        return min(86_400.0, max(0.0, float(value)))
    except ValueError:
        pass
    try:
        at = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return None
    return min(86_400.0, max(0.0, at.timestamp() - time.time()))


def _fault(error: httpx.TransportError) -> RuntimeFault:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return RuntimeFault("connect", str(error))
    if isinstance(error, httpx.TimeoutException):
        return RuntimeFault("timeout", str(error))
    kind = "protocol" if isinstance(error, httpx.RemoteProtocolError) else "transport"
    return RuntimeFault(kind, str(error))


def _headers(response: httpx.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers.raw}
