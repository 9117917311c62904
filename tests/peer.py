"""A server that plays a script on every connection, byte for byte, and the client of the runtime in front of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import uvloop

from arbiter_app.pipeline.ports import ReplyStream, RuntimeFault
from arbiter_app.runtime.client import HttpRuntime
from arbiter_app.runtime.transport import PooledTransport
from tests.waiting import PATIENCE_S

KEY = "sk-secret-0123456789"
ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":'
    b'[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'
)
SSE = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNK = b'data: {"choices":[{"delta":{"content":"hi"}}]}\n\n'
DONE = b"data: [DONE]\n\n"
END = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'

Script = Callable[["Peer"], Awaitable[None]]


class Peer:
    """The server's end of one connection: `ask` reads a request, `say` writes bytes as they are."""

    def __init__(self, server: Server, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.server, self.reader, self.writer = server, reader, writer

    async def ask(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(
            (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0
        )
        self.server.requests.append(head + await self.reader.readexactly(length))
        return self.server.requests[-1]

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()
        self.server.answered.set()

    async def until_closed(self) -> None:
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass
        self.server.hung_up.set()


class Server:
    """A TCP server that plays `script` on every connection; it counts connections and keeps requests."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.requests: list[bytes] = []
        self.connections = 0
        self.answered = asyncio.Event()
        self.hung_up = asyncio.Event()
        self.tasks: set[asyncio.Task[None]] = set()
        self.port = 0

    async def play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task is not None
        self.tasks.add(task)
        try:
            await self.script(Peer(self, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self.tasks.discard(task)
            writer.transport.abort()


@contextlib.asynccontextmanager
async def serving(script: Script, **options: object) -> AsyncIterator[tuple[Server, HttpRuntime]]:
    """A server that plays `script`, and a runtime client for it."""
    server = Server(script)
    context = options.pop("server_ssl", None)
    listening = await asyncio.start_server(server.play, "127.0.0.1", 0, ssl=context)  # type: ignore[arg-type]
    port = server.port = listening.sockets[0].getsockname()[1]
    runtime = HttpRuntime(f"{'https' if context else 'http'}://127.0.0.1:{port}/v1", KEY, **options)  # type: ignore[arg-type]
    try:
        yield server, runtime
    finally:
        await runtime.aclose()
        listening.close()
        for task in server.tasks:
            task.cancel()
        await asyncio.gather(*server.tasks, return_exceptions=True)
        await listening.wait_closed()


def run(test: Awaitable[None]) -> None:
    """Run on the loop that production uses."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(asyncio.wait_for(test, PATIENCE_S))


async def until(holds: Callable[[], object]) -> None:
    """Wait, at most as long as `run` lets us, for something that has no event of its own."""
    while not holds():  # noqa: ASYNC110
        await asyncio.sleep(0.002)


def soon(seconds: float = PATIENCE_S) -> float:
    return asyncio.get_running_loop().time() + seconds


def plain(
    body: bytes = ANSWER, status: str = "200 OK", headers: bytes = b"content-type: application/json\r\n"
) -> bytes:
    return b"HTTP/1.1 %s\r\n%scontent-length: %d\r\n\r\n%s" % (status.encode(), headers, len(body), body)


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def replying(*replies: bytes) -> Script:
    """Answers the requests of a connection with these bytes in turn, the last one forever."""

    async def script(peer: Peer) -> None:
        at = 0
        while True:
            await peer.ask()
            await peer.say(replies[min(at, len(replies) - 1)])
            at += 1

    return script


def closing(reply: bytes) -> Script:
    """Answers one request with these bytes and closes in good order."""

    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(reply)
        peer.writer.close()
        await peer.writer.wait_closed()

    return script


async def silent(peer: Peer) -> None:
    await peer.ask()
    await peer.until_closed()


async def events_of(stream: ReplyStream) -> list[bytes]:
    """Every event that is still to come."""
    found: list[bytes] = []
    while events := await stream.together():
        found += events
    return found


def open_connections(runtime: HttpRuntime) -> int:
    """Connections in use, and idle ones that are still open."""
    transport = runtime._transport
    assert isinstance(transport, PooledTransport)
    return len(transport._busy) + sum(one.usable for idle in transport._idle.values() for one in idle)


async def fault_of(runtime: HttpRuntime, *, stream: bool = False, deadline_s: float = PATIENCE_S) -> RuntimeFault:
    """The fault that a call ends in, streamed to its end or not."""
    with pytest.raises(RuntimeFault) as caught:
        if stream:
            answer = await runtime.stream(b"{}", deadline=soon(deadline_s))
            try:
                await events_of(answer)
            finally:
                await answer.aclose()
        else:
            await runtime.complete(b"{}", deadline=soon(deadline_s))
    return caught.value
