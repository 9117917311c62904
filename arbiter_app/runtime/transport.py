"""An httpx transport for one runtime: pooled HTTP/1.1 connections over asyncio protocols.

httpx's default transport costs milliseconds a request under concurrency (it scans its pool and locks through several
layers); this one keeps idle connections on a stack. A connection is closed, never reused, unless its answer was read
to the end. TCP_NODELAY is on (asyncio sets it), so that small writes never wait for an acknowledgement.

`ask` does the same for a request that is bytes already: who sends the same head every time need not have it made anew.
"""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import httpx

from arbiter_app import values
from arbiter_app.runtime.connection import ClosedEarly, HttpConnection, Outbox

DRAIN_S = 1.0
FOREVER_S = 3600.0

Origin = tuple[str, str, int]
Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long a request may take: to connect, to its first byte, and from one byte to the next; in seconds.

    `first_gap_s`: from the head to the first byte of the body, where that is another than `gap_s`.
    """

    connect_s: float = FOREVER_S
    first_byte_s: float = FOREVER_S
    gap_s: float = FOREVER_S
    first_gap_s: float | None = None


@values.value(frozen=True, slots=True)
class HttpResponse:
    """The head of an answer, with lower-case names of headers, and its body, still to be read."""

    status: int
    headers: Headers
    body: BodyStream


class BodyStream(httpx.AsyncByteStream):
    """The body of one answer. Closing it before its end closes the connection; `release` lets the end arrive first."""

    def __init__(
        self, transport: PooledTransport, origin: Origin, connection: HttpConnection, timeouts: Timeouts, end: float
    ):
        self._transport = transport
        self._origin = origin
        self._connection: HttpConnection | None = connection
        self._gap_s = timeouts.gap_s
        self._next_gap_s = timeouts.gap_s if timeouts.first_gap_s is None else timeouts.first_gap_s
        self._end = end

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        connection = self._connection
        if connection is None:
            raise StopAsyncIteration
        now = time.monotonic()
        try:
            data = await connection.chunk(min(now + self._next_gap_s, self._end))
        except TimeoutError:
            self._drop()
            raise httpx.ReadTimeout(_waited(self._next_gap_s, now, self._end)) from None
        except BaseException:
            self._drop()
            raise
        if not data:
            await self.aclose()
            raise StopAsyncIteration
        self._next_gap_s = self._gap_s
        return data

    async def read(self, most_bytes: int, grow: Callable[[int], Awaitable[None]]) -> list[bytes] | None:
        """The whole body in pieces, and the connection back to its pool; None when it is larger.

        `grow` waits until so much may be held.
        """
        connection = self._connection
        if connection is not None and connection.complete:
            data, self._connection = connection.arrived(), None
            self._transport.give_back(self._origin, connection)
            return [data] if len(data) <= most_bytes else None
        parts: list[bytes] = []
        size = 0
        try:
            async for data in self:
                parts.append(data)
                size += len(data)
                if size > most_bytes:
                    return None
                await grow(size)
                if self._connection is not None and self._connection.ended:
                    break
        except BaseException:
            parts.clear()  # whoever looks into the error holds no answer
            raise
        finally:
            await self.aclose()
        return parts

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.give_back(self._origin, connection)

    def release(self) -> None:
        """Give the connection back although the last bytes of the body may still be on their way; they are dropped."""
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.drain(self._origin, connection)

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.drop(connection)


class PooledTransport(httpx.AsyncBaseTransport):
    """Keeps idle connections per origin, newest first.

    Reads its deadlines from `request.extensions`: `timeout` = {connect, read, gap} in seconds, `deadline` by `time.monotonic`.
    """

    def __init__(self, *, max_idle: int = 512, idle_s: float = 55.0, verify: ssl.SSLContext | None = None) -> None:
        self._idle: dict[Origin, list[HttpConnection]] = {}
        self._max_idle = max_idle
        self._idle_s = idle_s
        self._ssl = verify
        self._outbox = Outbox()
        self._busy: set[HttpConnection] = set()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        given: dict[str, float] = request.extensions.get("timeout", {})
        read_s = given.get("read") or FOREVER_S
        timeouts = Timeouts(given.get("connect") or FOREVER_S, read_s, given.get("gap") or read_s)
        end = request.extensions.get("deadline", float("inf"))
        answer = await self.ask(origin_of(request.url), _render(request), timeouts, end)
        return httpx.Response(answer.status, headers=answer.headers, stream=answer.body, request=request)

    async def ask(self, origin: Origin, data: bytes, timeouts: Timeouts, end: float) -> HttpResponse:
        """Send a whole request, and wait for the head of its answer; `end` is by `time.monotonic`. Raises httpx's errors."""
        first_byte_at = min(time.monotonic() + timeouts.first_byte_s, end)
        while True:
            if self._closed:
                raise httpx.ConnectError("the client is closed")
            now = time.monotonic()
            if now >= end:
                raise httpx.ReadTimeout("the deadline passed before the request was sent")
            connection = self._take(origin, now)
            fresh = connection is None  # an idle one that had been closed meanwhile is replaced
            if connection is None:
                connection = await self._connect(origin, min(now + timeouts.connect_s, end))
                if self._closed:
                    connection.abort()
                    continue
            self._busy.add(connection)
            try:
                connection.send(data)
                await connection.head(first_byte_at)
            except ClosedEarly:
                self.drop(connection)
                if fresh:
                    raise httpx.ReadError("the runtime closed the connection without an answer") from None
            except TimeoutError:
                self.drop(connection)
                raise httpx.ReadTimeout("the runtime sent nothing in time") from None
            except BaseException:
                self.drop(connection)
                raise
            else:
                stream = BodyStream(self, origin, connection, timeouts, end)
                return HttpResponse(connection.status, connection.headers, stream)

    def give_back(self, origin: Origin, connection: HttpConnection) -> None:
        """Keep a connection whose answer was read to the end; close any other."""
        self._busy.discard(connection)
        idle = self._idle.setdefault(origin, [])
        now = time.monotonic()
        if idle and now - idle[0].idle_since > self._idle_s:
            idle.pop(0).abort()
        if connection.reusable() and len(idle) < self._max_idle and not self._closed:
            connection.idle_since = now
            idle.append(connection)
        else:
            connection.abort()

    def drain(self, origin: Origin, connection: HttpConnection) -> None:
        """Keep a connection of which only the end of its answer is missing, once that has come."""
        until = time.monotonic() + DRAIN_S
        connection.drain(lambda one: self.give_back(origin, one), until)

    def drop(self, connection: HttpConnection) -> None:
        """Close a connection in the middle of its exchange."""
        self._busy.discard(connection)
        connection.abort()

    async def aclose(self) -> None:
        """Close every connection, in use or idle, at once."""
        self._closed = True
        for connection in [*self._busy, *(one for idle in self._idle.values() for one in idle)]:
            connection.abort()
        self._idle.clear()
        self._busy.clear()
        await asyncio.sleep(0)

    def _take(self, origin: Origin, now: float) -> HttpConnection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable and now - connection.idle_since < self._idle_s:
                return connection
            connection.abort()
        return None

    async def _connect(self, origin: Origin, connect_at: float) -> HttpConnection:
        loop = asyncio.get_running_loop()
        scheme, host, port = origin
        context = self._context() if scheme == "https" else None
        try:
            async with asyncio.timeout_at(connect_at):
                _, connection = await loop.create_connection(
                    lambda: HttpConnection(loop, self._outbox), host, port, ssl=context
                )
        except TimeoutError:
            raise httpx.ConnectTimeout(f"no connection to {host}:{port} in time") from None
        except OSError as error:
            raise httpx.ConnectError(f"no connection to {host}:{port}: {error.strerror or error}") from error
        return connection

    def _context(self) -> ssl.SSLContext:
        if self._ssl is None:
            self._ssl = httpx.create_ssl_context()
            self._ssl.set_alpn_protocols(["http/1.1"])
        return self._ssl


def origin_of(url: httpx.URL) -> Origin:
    """Scheme, host and port."""
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _render(request: httpx.Request) -> bytes:
    """Request line, headers and body in one write. Raises LocalProtocolError for a header with a line break."""
    lines = [request.method.encode() + b" " + request.url.raw_path + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in request.headers.raw]
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) - 1 or head.count(b"\r") != len(lines) - 1:
        raise httpx.LocalProtocolError("a request header has a line break")
    return head + b"\r\n\r\n" + request.content


def _waited(gap_s: float, since: float, end: float) -> str:
    return f"nothing came for {gap_s:g} s" if since + gap_s <= end else "the deadline passed in mid-answer"


def timeouts(connect_s: float, first_byte_s: float, gap_s: float) -> dict[str, Any]:
    """The `timeout` extension of a request."""
    return {"connect": connect_s, "read": first_byte_s, "gap": gap_s}
