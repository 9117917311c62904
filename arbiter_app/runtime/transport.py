"""An httpx transport for one runtime: pooled HTTP/1.1 connections over asyncio protocols.

httpx's default transport costs milliseconds a request under concurrency (it scans its pool and locks through several
layers); this one keeps idle connections on a stack and parses with llhttp. A connection is closed, never reused,
unless its answer was read to the end.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, cast

import httptools
import httpx

HIGH_WATER_BYTES = 256 * 1024
MAX_HEADER_BYTES = 64 * 1024

Origin = tuple[str, str, int]


class _Closed(Exception):
    """The connection ended before a single byte of the answer: on a reused connection, worth one retry."""


class Connection(asyncio.Protocol):
    """One connection, one answer at a time. llhttp calls the `on_*` methods."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._lost = False
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._header_bytes = 0
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self._head_done = False
        self._sized = False
        self._any_byte = False
        self.complete = False
        self._keep_alive = False
        self._error: Exception | None = None

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        if self.complete:
            self.abort()
            return
        self._any_byte = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx.RemoteProtocolError(f"the runtime does not speak HTTP: {error}"))
        if self._buffered > HIGH_WATER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if not self.complete and self._error is None:
            if self._head_done and not self._sized and exc is None:
                self.complete = True
            elif not self._any_byte:
                self._error = _Closed()
            else:
                self._error = httpx.ReadError("the runtime closed the connection in mid-answer")
        self._wake()

    # llhttp

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise httptools.HttpParserError("the headers are too large")
        lowered = name.lower()
        if lowered in (b"content-length", b"transfer-encoding"):
            self._sized = True
        self.headers.append((lowered, value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self._head_done = True
            self._sized = self._sized or self.status in (204, 304)

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        if self.status < 200:
            self.headers, self._sized = [], False
            return
        self.complete = True
        self._keep_alive = self._parser.should_keep_alive()

    # the transport's side

    @property
    def usable(self) -> bool:
        """Whether another request may be sent on this connection."""
        return not self._lost and self._transport is not None and not self._transport.is_closing()

    def send(self, data: bytes) -> None:
        """Start a new exchange."""
        self._begin()
        if self._transport is not None:
            self._transport.write(data)

    async def head(self, timeout_at: float) -> None:
        """Wait for status and headers. Raises _Closed, httpx errors, or TimeoutError at `timeout_at` (loop time)."""
        while not self._head_done:
            await self._wait(timeout_at)

    async def chunk(self, timeout_at: float) -> bytes:
        """The bytes of the body that have arrived, empty at its end."""
        while not self._chunks:
            if self.complete:
                return b""
            await self._wait(timeout_at)
        data = b"".join(self._chunks) if len(self._chunks) > 1 else self._chunks[0]
        self._chunks.clear()
        self._buffered = 0
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()
        return data

    def reusable(self) -> bool:
        """Whether the answer was read to its end and the connection stays open."""
        return self.complete and not self._chunks and self._keep_alive and self.usable and self._error is None

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    async def _wait(self, timeout_at: float) -> None:
        if self._error is not None:
            raise self._error
        if self.complete:
            return
        waiter = self._waiter = self._loop.create_future()
        timer = self._loop.call_at(timeout_at, _expire, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            self._waiter = None

    def _fail(self, error: Exception) -> None:
        self._error = error
        self.abort()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


def _expire(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


class BodyStream(httpx.AsyncByteStream):
    """The body of one answer. Closing it before its end closes the connection."""

    def __init__(self, transport: PooledTransport, origin: Origin, connection: Connection, gap_s: float, end: float):
        self._transport = transport
        self._origin = origin
        self._connection: Connection | None = connection
        self._gap_s = gap_s
        self._end = end

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self._connection is not None:
            now = asyncio.get_running_loop().time()
            try:
                data = await self._connection.chunk(min(now + self._gap_s, self._end))
            except TimeoutError:
                self._abort()
                raise httpx.ReadTimeout(_waited("nothing came", self._gap_s, now, self._end)) from None
            except BaseException:
                self._abort()
                raise
            if not data:
                break
            yield data
        await self.aclose()

    async def aclose(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._transport.give_back(self._origin, connection)

    def _abort(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.abort()


class PooledTransport(httpx.AsyncBaseTransport):
    """Keeps idle connections per origin, newest first.

    Reads its deadlines from `request.extensions`: `timeout` = {connect, read, gap} in seconds, `deadline` in loop time.
    """

    def __init__(self, *, max_idle: int = 512, idle_s: float = 55.0, verify: ssl.SSLContext | None = None) -> None:
        self._idle: dict[Origin, list[Connection]] = {}
        self._max_idle = max_idle
        self._idle_s = idle_s
        self._ssl = verify
        self._busy: set[Connection] = set()
        self._closed = False

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        loop = asyncio.get_running_loop()
        timeout: dict[str, float] = request.extensions.get("timeout", {})
        end = request.extensions.get("deadline", float("inf"))
        url = request.url
        origin = (url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80))
        data = _render(request)
        first_byte_at = min(loop.time() + (timeout.get("read") or 3600.0), end)
        connection = await self._exchange(origin, data, timeout, first_byte_at, end, loop)
        stream = BodyStream(self, origin, connection, timeout.get("gap") or timeout.get("read") or 3600.0, end)
        return httpx.Response(connection.status, headers=connection.headers, stream=stream, request=request)

    async def _exchange(
        self,
        origin: Origin,
        data: bytes,
        timeout: dict[str, float],
        first_byte_at: float,
        end: float,
        loop: asyncio.AbstractEventLoop,
    ) -> Connection:
        """Send, and wait for the head; an idle connection that had been closed meanwhile is replaced by a new one."""
        while True:
            connection = self._take(origin, loop.time())
            fresh = connection is None
            if connection is None:
                connect_at = min(loop.time() + (timeout.get("connect") or 60.0), end)
                connection = await self._connect(origin, connect_at, loop)
            self._busy.add(connection)
            try:
                connection.send(data)
                await connection.head(first_byte_at)
            except _Closed:
                self._drop(connection)
                if fresh:
                    raise httpx.ReadError("the runtime closed the connection without an answer") from None
            except TimeoutError:
                self._drop(connection)
                raise httpx.ReadTimeout("the runtime sent nothing in time") from None
            except BaseException:
                self._drop(connection)
                raise
            else:
                return connection

    def give_back(self, origin: Origin, connection: Connection) -> None:
        """Keep a connection whose answer was read to the end; close any other."""
        self._busy.discard(connection)
        idle = self._idle.setdefault(origin, [])
        if connection.reusable() and len(idle) < self._max_idle and not self._closed:
            connection.idle_since = asyncio.get_running_loop().time()
            idle.append(connection)
        else:
            connection.abort()

    async def aclose(self) -> None:
        self._closed = True
        for connection in [*self._busy, *(one for idle in self._idle.values() for one in idle)]:
            connection.abort()
        self._idle.clear()
        self._busy.clear()
        await asyncio.sleep(0)

    def _take(self, origin: Origin, now: float) -> Connection | None:
        idle = self._idle.get(origin)
        while idle:
            connection = idle.pop()
            if connection.usable and now - connection.idle_since < self._idle_s:
                return connection
            connection.abort()
        return None

    def _drop(self, connection: Connection) -> None:
        self._busy.discard(connection)
        connection.abort()

    async def _connect(self, origin: Origin, connect_at: float, loop: asyncio.AbstractEventLoop) -> Connection:
        scheme, host, port = origin
        context = self._context() if scheme == "https" else None
        try:
            async with asyncio.timeout_at(connect_at):
                _, connection = await loop.create_connection(lambda: Connection(loop), host, port, ssl=context)
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


def _render(request: httpx.Request) -> bytes:
    """Request line, headers and body in one write."""
    lines = [request.method.encode() + b" " + request.url.raw_path + b" HTTP/1.1"]
    lines += [name + b": " + value for name, value in request.headers.raw]
    return b"\r\n".join(lines) + b"\r\n\r\n" + request.content


def _waited(what: str, gap_s: float, since: float, end: float) -> str:
    return f"{what} for {gap_s:g} s" if since + gap_s <= end else "the deadline passed in mid-answer"


def timeouts(connect_s: float, first_byte_s: float, gap_s: float) -> dict[str, Any]:
    """The `timeout` extension of a request."""
    return {"connect": connect_s, "read": first_byte_s, "gap": gap_s}
