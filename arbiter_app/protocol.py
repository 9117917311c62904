"""HTTP/1.1 as uvicorn speaks it, with four additions: an answer goes to the socket in one piece, one that is known as a whole is
written as a whole (`answer`), whoever serves a request can be told when its caller hangs up, and a caller who reads nothing
of what waits for it is cut off, with everything that its request holds.

Uvicorn writes the head of an answer and its body one after the other, and each is a system call (with TCP_NODELAY: a packet
of its own); on a loopback that costs as much as classifying a request. To learn of a caller's end by ASGI alone takes a task
that waits for it, for each request.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from starlette.types import Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from arbiter_app.notices import bounds

Call = Callable[[], None]
Headers = list[tuple[bytes, bytes]]
WHEN_GONE = "arbiter.when_gone"


def when_gone(scope: Scope) -> Callable[[Call | None], None]:
    """Call what this gives with what is to be called when the caller of a request hangs up, or with None for nothing."""
    told: Callable[[Call | None], None] = scope.get("extensions", {}).get(WHEN_GONE, _nobody_tells)
    return told


def _nobody_tells(_call: Call | None) -> None:
    """Another server serves: it ends with its request."""


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


def _is_plain(cycle: RequestResponseCycle) -> bool:
    """Whether an answer may be written as it is: the first, on a connection that stays, to somebody who reads."""
    waits = cycle.response_started or cycle.flow.write_paused or cycle.waiting_for_100_continue
    return cycle.keep_alive and not waits and not cycle.disconnected


class Corked:
    """A transport that gathers what is written until the event loop has run what is ready; everything else is passed on."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._held: list[bytes] = []
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        """Write with what else is written in this step."""
        if not self._held:
            self._loop.call_soon(self._flush)
        self._held.append(data)

    def close(self) -> None:
        """Close once everything has been written."""
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        held = self._held
        if held:
            self._held = []
            self._transport.write(held[0] if len(held) == 1 else b"".join(held))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


class Protocol(HttpToolsProtocol):
    """One connection of a caller."""

    write_timeout_s = 30.0
    _gone: Call | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller has connected."""
        super().connection_made(cast(asyncio.Transport, Corked(transport, self.loop)))

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["extensions"] = cast(Any, {WHEN_GONE: self._when_gone})

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has hung up, or the answer was its last."""
        super().connection_lost(exc)
        self.resume_writing()
        gone, self._gone = self._gone, None
        if gone is not None:
            gone()

    def pause_writing(self) -> None:
        """More waits to be sent than there is room for: the caller has some time to read."""
        super().pause_writing()
        if self._stalled is None:
            self._stalled = self.loop.call_later(self.write_timeout_s, self._cut_off)

    def resume_writing(self) -> None:
        """The caller reads."""
        super().resume_writing()
        if self._stalled is not None:
            self._stalled.cancel()
            self._stalled = None

    def _cut_off(self) -> None:
        bounds.count("write_time", f"a caller who read nothing for {self.write_timeout_s:g} s was cut off")
        self.transport.abort()

    def _when_gone(self, call: Call | None) -> None:
        self._gone = call
