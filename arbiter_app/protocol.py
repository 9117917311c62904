"""HTTP/1.1 as uvicorn speaks it, with three additions: an answer that is known as a whole is written as a whole (`answer`),
whoever serves a request can be told when its caller hangs up, and what a caller sends, or does not send or take, is bounded
(`bounds.py`) before any application sees it. And with three things put right: what asks for another
protocol than a socket's is served as if it had not, a target with a host in it counts for `Host`, and HTTP/1.0 gets no chunks.

Uvicorn writes the head of an answer and its body one after the other, and each is a system call (with TCP_NODELAY: a packet
of its own); on a loopback that costs as much as classifying a request. To learn of a caller's end by ASGI alone takes a task
that waits for it, for each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Callable, Sequence
from enum import Enum
from functools import partial
from itertools import chain
from typing import Any, cast

import httptools
import orjson
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from arbiter_app.connections import ConnectionLimiter, ConnectionRefusal
from arbiter_app.notices import bounds
from arbiter_app.turns import next_large_turn

Call = Callable[[], None]
Headers = list[tuple[bytes, bytes]]
WHEN_GONE = "arbiter.when_gone"
BETWEEN = "arbiter.between"
LINGER_S = 2.0
"""How long what a refused caller still sends is read and dropped: closed at once, the refusal would not reach it."""
LEAST_TAKEN = 16_384
"""Bytes that a caller has to take of an answer in every `ARBITER_WRITE_TIMEOUT_S`, to be said to read it."""
FRAME_BURST_S = 5.0
ANSWER_PIECE_BYTES = 131_072
PIECE_BYTES = 4_096
"""A socket's frames are looked at in pieces of this size, so that a flood is seen before it has cost a moment."""


def when_gone(scope: Scope, call: Call) -> None:
    """Have this called when the caller of a request hangs up, also after it was answered. Another server tells nobody."""
    tell: Callable[[Call], None] | None = scope.get("extensions", {}).get(WHEN_GONE)
    if tell is not None:
        tell(call)


def between(scope: Scope) -> Callable[[bytes], None]:
    """What this gives writes something between two parts of a streamed answer at once, unless its caller reads nothing."""
    write: Callable[[bytes], None] = scope.get("extensions", {}).get(BETWEEN, _nothing_between)
    return write


def _nothing_between(_part: bytes) -> None:
    """Another server serves."""


async def answer(send: Send, status: int, headers: Headers, body: bytes) -> None:
    """Send a whole answer; `headers` are in lower case and have no line breaks in them (RuntimeError).

    By ASGI it takes two messages, for each of which a server checks what it may assume of nobody: as long as parsing the request.
    """
    cycle = getattr(send, "__self__", None)
    headers = [*headers, (b"content-length", b"%d" % len(body))]
    if not isinstance(cycle, RequestResponseCycle) or not _is_plain(cycle):
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
        return
    lines = [b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)]
    head = b"%b%b\r\n" % (STATUS_LINE[status], b"".join(lines))
    if not head.count(b"\n") == head.count(b"\r") == len(lines) + 2:
        raise RuntimeError("a header has a line break")
    cycle.response_started = cycle.response_complete = True
    cycle.transport.write(head + body)
    cycle.message_event.set()
    cycle.on_response()


async def refuse_socket(receive: Receive, send: Send) -> None:
    """Answer the handshake of a socket with 403."""
    await receive()
    await send({"type": "websocket.close", "code": 1008, "reason": ""})


async def answer_in_pieces(send: Send, status: int, headers: Headers, parts: Sequence[bytes | memoryview]) -> None:
    """Send a large answer as its caller takes it, so that it is there once."""
    length = sum(map(len, parts))
    started = {"type": "http.response.start", "status": status}
    await send({**started, "headers": [*headers, (b"content-length", b"%d" % length)]})
    for part in parts:
        await send_in_pieces(send, part)
    await send({"type": "http.response.body", "body": b""})


async def send_in_pieces(send: Send, part: bytes | memoryview) -> None:
    """Send a part of an answer, no faster than its caller takes it."""
    view = memoryview(part)
    for at in range(0, len(view), ANSWER_PIECE_BYTES):
        await send({"type": "http.response.body", "body": bytes(view[at : at + ANSWER_PIECE_BYTES]), "more_body": True})
        await next_large_turn()  # also for whoever is to say that nobody takes any more


def _is_plain(cycle: RequestResponseCycle) -> bool:
    """Whether an answer may be written as it is: the first, on a connection that stays, to somebody who reads."""
    waits = cycle.response_started or cycle.flow.write_paused or cycle.waiting_for_100_continue
    return cycle.keep_alive and not waits and not cycle.disconnected


class TimedTransport:
    """A transport that is given up when the caller takes nothing of what is written; everything else is passed on."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop, write_s: float) -> None:
        self._transport, self._loop, self._write_s = transport, loop, write_s
        self._waits: asyncio.TimerHandle | None = None
        self._ended = False
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write, unless the connection was lost meanwhile, or was told its last word."""
        if not (self._ended or self.is_closing()):
            self._transport.write(data)

    def write_eof(self) -> None:
        """Nothing more is said; what others were about to say is dropped."""
        self._ended = True
        self._transport.write_eof()

    def close(self) -> None:
        """Close once everything has been written, or the caller takes nothing of it."""
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self.expect_taken()

    def expect_taken(self) -> None:
        """Give the connection up unless the caller goes on taking what waits to be sent."""
        if self._waits is None:
            waiting = self._transport.get_write_buffer_size()
            self._waits = self._loop.call_later(self._write_s, self._look, waiting)

    def taken(self) -> None:
        """What waited has been taken, or the connection is gone."""
        if self._waits is not None:
            self._waits.cancel()
            self._waits = None

    def _look(self, before: int) -> None:
        self._waits = None
        waiting = self._transport.get_write_buffer_size()
        if waiting and before - waiting < LEAST_TAKEN:
            bounds.count("write_time", f"a caller took nothing of its answer for {self._write_s:g} s and was cut off")
            self._transport.abort()
        elif waiting:
            self.expect_taken()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Stage(Enum):
    """What of a request a connection waits for."""

    HEAD = "head"
    BODY = "body"
    NOTHING = "nothing"


_HEAD = Stage.HEAD
_READING = ("GET", "HEAD")
_WITH_HOST = re.compile(rb"[a-z][a-z0-9+.-]*://(?:[^/?#@]*@)?(?P<host>[^/?#@]*)", re.IGNORECASE)


SOCKET_LINE_BYTES = 8_000
"""Longest line of the head that the parser of sockets' handshakes takes, about."""


def _lines_of(name: bytes, value: bytes) -> Sequence[bytes]:
    """A header's value; that of cookies in as many as it takes to keep lines short: a browser brings all of a host's, of any port."""
    if name != b"cookie" or len(value) <= SOCKET_LINE_BYTES:
        return (value,)
    lines = [b""]
    for cookie in value.split(b"; "):
        if len(lines[-1]) + len(cookie) > SOCKET_LINE_BYTES:
            lines.append(b"")
        lines[-1] += b"; " + cookie if lines[-1] else cookie
    return lines


class Unchunked(RequestResponseCycle):
    """An answer to HTTP/1.0, which knows no chunks: where its length is not told, it ends with the connection."""

    async def send(self, message: Any) -> None:
        """Send a part, which may be of any length."""
        if message["type"] == "http.response.body":
            self.expected_content_length = len(message.get("body", b""))
        await super().send(message)


class Protocol(HttpToolsProtocol):
    """One connection of a caller. Everything that it may send is bounded, in size and in time."""

    def __init__(self, *given: Any, limiter: ConnectionLimiter, **named: Any) -> None:
        super().__init__(*given, **named)
        self._limiter, self._settings = limiter, limiter.settings
        self._timed: TimedTransport | None = None
        self._gone: Call | None = None
        self._stage = self._awaited = Stage.NOTHING
        self._deadline: asyncio.TimerHandle | None = None
        self._unfinished = self._trailing = 0
        self._refusal: ConnectionRefusal | None = None
        self._refused = False
        self._ignored = False
        """A request asks for another protocol than a socket's; it is read anew without that."""
        self.silent = True
        self._idle_since: float | None = None

    @property
    def resting(self) -> bool:
        """Whether no answer is in work: nothing, a part of a request, or all that was asked and answered."""
        return self._stage is not Stage.NOTHING or self.cycle is None or self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller has connected."""
        self._timed = TimedTransport(transport, self.loop, self._settings.write_timeout_s)
        super().connection_made(cast(asyncio.Transport, self._timed))
        refusal = self._limiter.enter(self, self.client[0] if self.client else "")
        if refusal is not None:
            self._refuse(refusal)
        else:
            self._stage = Stage.HEAD
            self._await_stage()

    def data_received(self, data: bytes) -> None:
        """Some of a request has come, or of several."""
        if self._refused:
            return
        self._idle_since = None
        if self._stage is not Stage.BODY:
            self._unfinished += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserUpgrade:
            if self._should_upgrade():
                self._upgrade()
                return
        except httptools.HttpParserError:
            self._refuse(self._refusal or MALFORMED)
            return
        if self._stage is Stage.NOTHING and self._unfinished and not self._busy():
            self._stage = Stage.HEAD  # blank lines, which are no request yet
        if self._stage is Stage.HEAD and self._unfinished > self._settings.max_head_bytes:
            self._refuse(self._too_long() or self._too_large())
        elif self._stage is not self._awaited:
            self._await_stage()

    def eof_received(self) -> bool:  # type: ignore[override]
        """The caller sends no more. Who reads gets the answer: only half of a connection may be closed.

        No model goes on for a caller who has most likely gone: whoever is to be told of that, is.
        """
        if self._refused or not self._busy() or self.scope["method"] not in _READING:
            return False
        self.cycle.keep_alive = False
        return True

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self._stage, self._trailing = Stage.HEAD, 0
        self.scope["extensions"] = cast(Any, {WHEN_GONE: self._when_gone, BETWEEN: self._between})

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header; one that follows the body is dropped, for what it would change has begun."""
        if self._stage is _HEAD:  # as uvicorn does: a call of its own for each header is felt
            name = name.lower()
            if name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append((name, value))
            return
        self._trailing += len(name) + len(value)
        if self._trailing > self._settings.max_head_bytes:
            self._reject(self._too_large())

    def on_headers_complete(self) -> None:
        """The head is complete: look at its size, then serve it."""
        settings = self._settings
        size = len(self.url) + sum(map(len, chain.from_iterable(self.headers)))
        if len(self.url) > settings.max_line_bytes:
            self._reject(self._too_long())
        if len(self.headers) > settings.max_headers:
            message = f"more than {settings.max_headers} headers (ARBITER_MAX_HEADERS)"
            self._reject(ConnectionRefusal("headers", 431, "too_many_headers", message))
        if size > settings.max_head_bytes:
            self._reject(self._too_large())
        if self.parser.should_upgrade() and not self._should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._ignored = True
            return
        if (target := _WITH_HOST.match(self.url)) is not None:
            self._take_host_of(target)
        if len(self.pipeline) >= settings.max_pipelined:
            message = f"more than {settings.max_pipelined} requests before an answer (ARBITER_MAX_PIPELINED)"
            self._reject(ConnectionRefusal("pipelined", 429, "too_many_requests", message))
        super().on_headers_complete()
        if self.scope["http_version"] in ("1.0", "0.9"):
            self.cycle.__class__ = Unchunked
            self.cycle.chunked_encoding = False
        self._stage, self._unfinished, self.silent = Stage.BODY, 0, False

    def on_message_complete(self) -> None:
        """The whole request is there."""
        if self._ignored:
            return
        super().on_message_complete()
        self._stage = Stage.NOTHING

    def _should_upgrade(self) -> bool:
        """Whether a socket is asked for, which is done with GET."""
        return self.parser.get_method() == b"GET" and super()._should_upgrade()

    def _feed(self, data: bytes) -> None:
        """Parse what has come. The parser leaves the body of a request for another protocol unread: it is read again without."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                if not self._ignored:
                    raise
                data = self._head_without_upgrade() + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self._ignored = False

    def _head_without_upgrade(self) -> bytes:
        version = self.parser.get_http_version().encode()
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, version)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] not in (b"upgrade", b"http2-settings")]
        return b"\r\n".join(lines) + b"\r\n\r\n"

    def _take_host_of(self, target: re.Match[bytes]) -> None:
        """A target like `http://host/path` is that path; its host counts, whatever `Host` says (RFC 9112, 3.2.2)."""
        path = self.url[target.end() :]
        self.url = path if path.startswith(b"/") else b"/" + path
        others = [header for header in self.headers if header[0] != b"host"]
        self.headers[:] = [(b"host", target["host"]), *others]  # in place: the scope holds this list

    def pause_writing(self) -> None:
        """More waits to be taken than should."""
        super().pause_writing()
        if self._timed is not None:
            self._timed.expect_taken()

    def resume_writing(self) -> None:
        """Enough has been taken."""
        super().resume_writing()
        if self._timed is not None:
            self._timed.taken()

    def on_response_complete(self) -> None:
        """As uvicorn's, but one timer serves all pauses of a connection: it is neither made nor cancelled with each request."""
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            self._start_asgi_task(*self.pipeline.pop())
            return
        self._idle_since = self.loop.time()
        if self.timeout_keep_alive_task is None:
            self._look_after(self.timeout_keep_alive)

    def timeout_keep_alive_handler(self) -> None:
        """Nothing was asked for a while after an answer. That is as it should be: counted, but no line in the log."""
        self.timeout_keep_alive_task = None
        if self._idle_since is None:
            return
        left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_s > 0:
            self._look_after(left_s)
        else:
            bounds.counts["idle_time"] += 1
            super().timeout_keep_alive_handler()

    def _look_after(self, seconds: float) -> None:
        self.timeout_keep_alive_task = self.loop.call_later(seconds, self.timeout_keep_alive_handler)

    def give_way(self) -> None:
        """Close, for another to come in."""
        self._refused = True
        self._let_go()
        self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has hung up, or the answer was its last."""
        self._limiter.leave(self)
        self._forget_deadline()
        super().connection_lost(exc)
        if self._timed is not None:
            self._timed.taken()
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()

    def _between(self, part: bytes) -> None:
        cycle = self.cycle
        if cycle.response_started and not (cycle.response_complete or cycle.flow.write_paused or cycle.disconnected):
            self.transport.write(b"%x\r\n%b\r\n" % (len(part), part) if cycle.chunked_encoding else part)

    def _when_gone(self, call: Call) -> None:
        self._gone = call

    def _upgrade(self) -> None:
        """Hand the connection on to a socket, unless there are too many."""
        refusal = self._limiter.refuse_socket(self.client[0] if self.client else "")
        if refusal is not None:
            self._refuse(refusal)
            return
        self._forget_deadline()
        self._limiter.leave(self)
        self.scope["headers"] = [(name, part) for name, value in self.headers for part in _lines_of(name, value)]
        self.handle_websocket_upgrade()

    def _await_stage(self) -> None:
        """Set the time by which the part of a request that is waited for has to be there; it is not moved by a part of it."""
        self._forget_deadline()
        self._awaited = self._stage
        if self._stage is Stage.HEAD:
            self._deadline = self.loop.call_later(self._settings.head_timeout_s, self._too_late)
        elif self._stage is Stage.BODY:
            self._deadline = self.loop.call_later(self._settings.body_timeout_s, self._too_late)

    def _too_late(self) -> None:
        """The part of a request that was waited for has not come in time."""
        self._deadline = None
        if self._stage is Stage.BODY:
            within, setting = self._settings.body_timeout_s, "ARBITER_BODY_TIMEOUT_S"
            message = f"the body did not arrive within {within:g} s ({setting})"
            self._refuse(ConnectionRefusal("body_time", 408, "request_timeout", message))
        elif self._busy():
            self._await_stage()  # a part of the next request has come, and the answer to the one before goes on
        else:
            within, setting = self._settings.head_timeout_s, "ARBITER_HEAD_TIMEOUT_S"
            message = f"no request came within {within:g} s ({setting})"
            self._refuse(ConnectionRefusal("head_time", 408, "request_timeout", message))

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _forget_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_long(self) -> ConnectionRefusal | None:
        most = self._settings.max_line_bytes
        if len(self.url) <= most:
            return None
        return ConnectionRefusal(
            "line_bytes", 414, "path_too_long", f"the path is over {most:,} bytes (ARBITER_MAX_LINE_BYTES)"
        )

    def _too_large(self) -> ConnectionRefusal:
        most = self._settings.max_head_bytes
        message = f"the head of the request is over {most:,} bytes (ARBITER_MAX_HEAD_BYTES)"
        return ConnectionRefusal("head_bytes", 431, "head_too_large", message)

    def _reject(self, refusal: ConnectionRefusal | None) -> None:
        """From within the parser: end it with a refusal."""
        self._refusal = refusal
        raise ValueError("refused")

    def _refuse(self, refusal: ConnectionRefusal) -> None:
        """Answer with a refusal where that can be said, and close. Nothing of what still comes is kept."""
        if refusal.bound:
            bounds.count(refusal.bound, refusal.message)
        begun = self.cycle is not None and self.cycle.response_started and not self.cycle.response_complete
        answered = self._stage is Stage.BODY and self.cycle is not None and self.cycle.response_complete
        said = not begun and not answered and not (self._stage is Stage.HEAD and self._is_unasked())
        self._refused = True
        self._let_go()
        if said:
            self.transport.write(_written(refusal))
        with contextlib.suppress(OSError, RuntimeError, NotImplementedError):
            self.transport.write_eof()
            self.transport.resume_reading()
        self._deadline = self.loop.call_later(LINGER_S if said else 0.0, self.transport.close)

    def _is_unasked(self) -> bool:
        """Whether nothing of a request has come."""
        return self._unfinished == 0 and self._refusal is None

    def _let_go(self) -> None:
        """Whoever works for this connection learns that its caller is gone."""
        self._forget_deadline()
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        if self._busy():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()


MALFORMED = ConnectionRefusal("", 400, "bad_request", "this is not a valid HTTP request")


def _written(refusal: ConnectionRefusal) -> bytes:
    """A refusal as HTTP/1.1, in OpenAI's shape."""
    kind = "invalid_request_error" if refusal.status < 500 else "server_error"
    told = {"message": refusal.message, "type": kind, "param": None, "code": refusal.code}
    body = orjson.dumps({"error": told})
    wait = b"retry-after: 1\r\n" if refusal.status in (429, 503) else b""
    lines = b"content-type: application/json\r\ncontent-length: %d\r\nconnection: close\r\n" % len(body)
    return b"%b%b%b\r\n%b" % (STATUS_LINE[refusal.status], lines, wait, body)


class Socket(WebSocketsSansIOProtocol):
    """One open socket of a page: its frames are bounded, whatever kind they are."""

    silent = resting = False

    def __init__(self, *given: Any, limiter: ConnectionLimiter, **named: Any) -> None:
        super().__init__(*given, **named)
        self._limiter = limiter
        self._rate = limiter.settings.socket_frames_per_s
        self._tokens = self._rate * FRAME_BURST_S
        self._at = self.loop.time()
        self._accepted = True

    def connection_made(self, transport: Any) -> None:
        """The connection has asked to be a socket."""
        super().connection_made(transport)
        self._limiter.open_socket(self, self.client[0] if self.client else "")

    def connection_lost(self, exc: Exception | None) -> None:
        """The page is gone."""
        self._limiter.close_socket(self, self.client[0] if self.client else "")
        cast(TimedTransport, self.transport).taken()
        super().connection_lost(exc)

    def give_way(self) -> None:
        """A socket is never asked to."""

    def handle_connect(self, event: Request) -> None:
        """The handshake has come. Frames before its answer are nobody's: they are read when the socket has been accepted."""
        super().handle_connect(event)
        if not self.transport.is_closing():
            self.transport.pause_reading()
            self._accepted = False

    async def send(self, message: Any) -> None:
        """Send what the application says; once it has accepted, what the page sends is read."""
        await super().send(message)
        if not self._accepted and self.handshake_complete and not self.transport.is_closing():
            self._accepted = True
            self.transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        """Frames have come."""
        for at in range(0, len(data), PIECE_BYTES):
            if self.close_sent or self.transport.is_closing():
                return
            super().data_received(data[at : at + PIECE_BYTES])
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self._refuse_handshake()

    def _refuse_handshake(self) -> None:
        """Answer what is no handshake, and close: nobody else would, ever."""
        self.handshake_initiated = self.close_sent = True
        said = b"".join(self.conn.data_to_send())
        self.transport.write(said or _written(MALFORMED))
        self.transport.close()

    def handle_events(self) -> None:
        """Look at how many frames have come, then at them."""
        frames = len(self.conn.events)
        now = self.loop.time()
        self._tokens = min(self._rate * FRAME_BURST_S, self._tokens + (now - self._at) * self._rate) - frames
        self._at = now
        if self._tokens >= 0:
            super().handle_events()
            return
        bounds.count("socket_frames", f"a socket sent more than {self._rate:g} frames a second and was closed")
        self.queue.put_nowait({"type": "websocket.disconnect", "code": 1008})
        self.conn.send_close(1008)
        self.handle_parser_exception()

    def handle_parser_exception(self) -> None:
        """What came is no frame, too large, or too much: close."""
        if self.conn.close_sent is not None and self.conn.close_sent.code == 1009:
            bounds.count("socket_bytes", "a socket's message was too large, and it was closed")
        super().handle_parser_exception()

    def pause_writing(self) -> None:
        """More waits to be taken than should."""
        super().pause_writing()
        cast(TimedTransport, self.transport).expect_taken()

    def resume_writing(self) -> None:
        """Enough has been taken."""
        super().resume_writing()
        cast(TimedTransport, self.transport).taken()


def protocols(limiter: ConnectionLimiter) -> dict[str, Any]:
    """The two protocols of a server whose connections `limiter` knows, as uvicorn takes them."""
    return {"http": partial(Protocol, limiter=limiter), "ws": partial(Socket, limiter=limiter)}
