"""One HTTP/1.1 connection to the runtime as an asyncio protocol: llhttp parses, a future wakes the reader.

Everything a runtime can send is bounded: the head of an answer in bytes, the unread body by pausing the socket.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools
import httpx

HIGH_WATER_BYTES = 256 * 1024
TOGETHER = 4
"""Requests that are written at once, at most: 1 takes a tenth more CPU, any number a fifth more time with a runtime of 50 ms."""
MAX_HEADER_BYTES = 64 * 1024
TOO_LARGE = "the head of the runtime's answer is too large"


LENIENCIES = {
    "lenient_headers": True,  # lines that are folded, zeros in values
    "lenient_version": True,  # a later HTTP/1 is read as this one (RFC 9110, 2.5)
    "lenient_chunked_length": True,
    "lenient_optional_cr_before_lf": True,
}
_HEADER = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*(.*?)[ \t]*\r?", re.DOTALL)


def _mended(data: bytes) -> bytes:
    """The first bytes of an answer with a head that can be parsed; nothing where it stays in doubt what was meant.

    A length that is stated several times alike is one (RFC 9112, 6.3), no space belongs to a name (5.1), a line without a name says
    nothing.
    """
    head, end, body = data.partition(b"\r\n\r\n" if b"\r\n\r\n" in data else b"\n\n")
    first, _, rest = head.partition(b"\n")
    headers = [found.groups() for line in rest.split(b"\n") if (found := _HEADER.fullmatch(line)) is not None]
    lengths = {one.strip() for name, value in headers if name.lower() == b"content-length" for one in value.split(b",")}
    if not end or len(lengths) > 1:
        return b""
    kept = [header for header in headers if header[0].lower() != b"content-length"]
    kept += [(b"content-length", one) for one in lengths]
    return b"\r\n".join([first.rstrip(b"\r"), *(b"%b: %b" % one for one in kept), b"", body])


class ClosedEarly(Exception):
    """The connection ended before a single byte of the answer: on a reused connection, worth one retry."""


class Outbox:
    """Writes the requests of all connections: those of one step of the event loop together, for it is dear to wake a runtime that
    sleeps; but a few at a time, or everybody's answers would come in one burst, too, with nothing to do before."""

    def __init__(self) -> None:
        self._held: list[tuple[asyncio.Transport, bytes]] = []

    def put(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, data: bytes) -> None:
        """Write this soon."""
        if not self._held:
            loop.call_soon(self._write)
        self._held.append((transport, data))
        if len(self._held) >= TOGETHER:
            self._write()

    def _write(self) -> None:
        held, self._held = self._held, []
        for transport, data in held:
            if not transport.is_closing():  # else its exchange hears of that; uvloop would raise here
                transport.write(data)


class HttpConnection(asyncio.Protocol):
    """One connection, one answer at a time. llhttp calls the `on_*` methods."""

    def __init__(self, loop: asyncio.AbstractEventLoop, outbox: Outbox) -> None:
        self._loop = loop
        self._outbox = outbox
        self._transport: asyncio.Transport | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._limit_at = 0.0
        self._drained: Callable[[HttpConnection], None] | None = None
        self._lost = False
        self.idle_since = 0.0
        self._begin()

    def _begin(self) -> None:
        self._new_parser()
        self._head = b""
        self._head_bytes = 0
        self._chunks: deque[bytes] = deque()
        self._buffered = 0
        self._paused = False
        self._head_done = False
        self._any_byte = False
        self.complete = False
        self._keep_alive = False
        self._error: Exception | None = ClosedEarly() if self._lost else None

    def _new_parser(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._parser.set_dangerous_leniencies(**LENIENCIES)
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self._sized = self._unsure = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's transports do not inherit from asyncio's

    def data_received(self, data: bytes) -> None:
        if self.complete:  # nobody asked for anything: whatever this is, it is not an answer
            self.abort()
            return
        self._any_byte = True
        if not self._head_done:
            self._head_bytes += len(data)
            self._head += data
        try:
            self._feed(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(httpx.RemoteProtocolError(f"the runtime does not speak HTTP: {error}"))
        if not self._head_done and self._head_bytes > MAX_HEADER_BYTES:
            self._fail(httpx.RemoteProtocolError(TOO_LARGE))
        if self._drained is not None:
            self._drain()
            return
        if self._buffered > HIGH_WATER_BYTES and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        self._wake()

    def _feed(self, data: bytes) -> None:
        """Parse what has come; a head that the parser refuses once more, mended."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            head = b"" if self._head_done else _mended(self._head)
            if not head:
                raise
            self._new_parser()
            self._parser.feed_data(head)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        if not self.complete and self._error is None:
            if self._head_done and not self._sized and exc is None:
                self.complete = True
            elif not self._any_byte:
                self._error = ClosedEarly()
            else:
                self._error = httpx.ReadError("the runtime closed the connection in mid-answer")
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._drained is not None:
            self._drain()
        self._wake()

    # llhttp

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.complete:
            self._refuse_second()
        if self._head_done:
            return  # a trailer
        lowered = name.lower()
        if lowered in (b"content-length", b"transfer-encoding"):
            self._unsure = self._sized  # both: it may end elsewhere than is read
            self._sized = True
        self.headers.append((lowered, value))

    def on_headers_complete(self) -> None:
        if self.complete:
            self._refuse_second()
        self.status = self._parser.get_status_code()
        if self.status >= 200:
            self._head_done, self._head = True, b""
            self._sized = self._sized or self.status in (204, 304)
            if self._head_bytes > MAX_HEADER_BYTES and self._header_bytes() > MAX_HEADER_BYTES:
                self._fail(httpx.RemoteProtocolError(TOO_LARGE))
                raise ValueError(TOO_LARGE)

    def on_body(self, body: bytes) -> None:
        self._chunks.append(body)
        self._buffered += len(body)

    def on_message_complete(self) -> None:
        if self.status < 200:  # 100 Continue, 103 Early Hints: the answer is still to come
            self.headers, self._sized = [], False
            return
        self.complete = True
        self._keep_alive = self._parser.should_keep_alive() and not self._unsure

    def _header_bytes(self) -> int:
        return sum(len(name) + len(value) for name, value in self.headers)

    def _refuse_second(self) -> None:
        raise ValueError("a second answer to one request")

    # the pool's side

    @property
    def usable(self) -> bool:
        """Whether another request may be sent on this connection."""
        return not self._lost and self._transport is not None and not self._transport.is_closing()

    @property
    def ended(self) -> bool:
        """Whether the body has been read to its end."""
        return self.complete and not self._chunks

    def reusable(self) -> bool:
        """Whether the answer was read to its end and the connection stays open."""
        return self.complete and not self._chunks and self._keep_alive and self._error is None and self.usable

    def send(self, data: bytes) -> None:
        """Start a new exchange."""
        self._begin()
        if self._transport is not None:
            self._outbox.put(self._loop, self._transport, data)

    async def head(self, timeout_at: float) -> None:
        """Wait for status and headers. Raises ClosedEarly, httpx errors, or TimeoutError at `timeout_at`, by `time.monotonic`."""
        while not self._head_done:
            await self._wait(timeout_at)

    async def chunk(self, timeout_at: float) -> bytes:
        """The bytes of the body that have arrived, empty at its end. Raises httpx errors, or TimeoutError."""
        while not self._chunks:
            if self.complete:
                return b""
            await self._wait(timeout_at)
        return self.arrived()

    def arrived(self) -> bytes:
        """The bytes of the body that have arrived and were not read yet."""
        data = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        self._chunks.clear()
        self._buffered = 0
        if self._paused:
            self._resume()
        return data

    def drain(self, done: Callable[[HttpConnection], None], timeout_at: float) -> None:
        """Swallow what is left of the answer; `done` is called once, at its end, its failure or `timeout_at`."""
        self._drained = done
        self._arm(timeout_at)
        self._resume()
        self._drain()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    def _drain(self) -> None:
        self._chunks.clear()
        self._buffered = 0
        if self.complete or self._error is not None:
            done, self._drained = self._drained, None
            if done is not None:
                done(self)

    def _resume(self) -> None:
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    async def _wait(self, timeout_at: float) -> None:
        if self._error is not None:
            raise self._error
        if self.complete:
            return
        self._waiter = self._loop.create_future()
        self._arm(timeout_at)
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _arm(self, timeout_at: float) -> None:
        """Set the limit. One timer lives on over many waits and moves only when it fires, or when it would be late."""
        self._limit_at = timeout_at
        if self._timer is not None:
            if self._timer_at <= timeout_at:
                return
            self._timer.cancel()
        self._timer_at = timeout_at
        self._timer = self._loop.call_at(timeout_at, self._tick)

    def _tick(self) -> None:
        self._timer = None
        if self._waiter is None and self._drained is None:
            return
        if time.monotonic() < self._limit_at - 0.001:
            self._arm(self._limit_at)
        elif self._drained is not None:
            self._error = TimeoutError()
            self._drain()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(TimeoutError())

    def _fail(self, error: Exception) -> None:
        if self._error is None:
            self._error = error
        self.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
