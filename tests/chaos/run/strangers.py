"""Those who want nothing but harm: raw connections that stall, flood, and speak anything but HTTP."""

from __future__ import annotations

import asyncio
import random
import re
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.chaos.run.ledger import Ledger
from tests.served import OPERATOR

STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3})")
LONGEST_S = 12.0
FLOOD_BYTES = 20_000_000
SIP_BYTES = 500
CHAT = "POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer " + OPERATOR + "\r\n"
ASK = b'{"stream": true, "messages": [{"role": "user", "content": "Write a Python function of 7 lines"}]}'
PATHS = (
    *("/", "/%00", "/app", "/app/decisions", "/docs", "/session", "/_event", "/_event/?EIO=4&transport=websocket"),
    *("/export/decisions.csv", "/" + "a" * 255, "/" + "a/" * 5_000, "/%ff%fe", "//", "/v1/%2e%2e/x", "/v1/models/%00"),
    *("/chat/completions", "*", "http://elsewhere/", "/v1/recent?limit=NaN&before=99999999999999999999", "/\xe9"),
)
METHODS = ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE", "CONNECT", "PROPFIND", "get", "G\x00T")
UPGRADE = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
Reader, Writer = asyncio.StreamReader, asyncio.StreamWriter


class Strangers:
    """So many at once at each of `ports`; each does one thing after the other until cancelled."""

    def __init__(self, ports: list[int], ledger: Ledger, rng: random.Random) -> None:
        self.ports = ports
        self._ledger, self._rng = ledger, rng
        self._ways: tuple[Callable[[int], Awaitable[None]], ...] = (
            *(self._say_nothing, self._half_head, self._half_body, self._read_slowly, self._leave_unread),
            *(self._flood_head, self._flood_body, self._babble, self._odd_request, self._odd_request, self._socket),
        )

    async def trouble(self) -> None:
        """One stranger."""
        while True:
            way = self._rng.choice(self._ways)
            with suppress(OSError, EOFError, TimeoutError):
                async with asyncio.timeout(LONGEST_S):
                    await way(self._rng.choice(self.ports))
            await asyncio.sleep(0.05)

    async def _open(self, port: int, *, buffer: int = 0) -> tuple[Reader, Writer]:
        one = socket.socket()
        if buffer:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        one.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(one, ("127.0.0.1", port))
        except BaseException:
            one.close()
            raise
        return await asyncio.open_connection(sock=one, limit=4096 if buffer else 65_536)

    async def _told(self, what: str, reader: Reader, writer: Writer) -> None:
        """Read what is answered, until the end."""
        data = b""
        try:
            while len(data) < 1_000_000 and (piece := await reader.read(65_536)):
                data += piece
        finally:
            found = STATUS.match(data)
            self._ledger.seen(what, int(found[1]) if found else 0, data)
            writer.transport.abort()

    async def _say(self, what: str, port: int, data: bytes, *, buffer: int = 0) -> None:
        reader, writer = await self._open(port, buffer=buffer)
        writer.write(data)
        await self._told(what, reader, writer)

    async def _say_nothing(self, port: int) -> None:
        await self._say("silence", port, b"")

    async def _half_head(self, port: int) -> None:
        await self._say("half a head", port, CHAT.encode())

    async def _half_body(self, port: int) -> None:
        path = self._rng.choice(("/v1/chat/completions", "/session", "/v1/register"))
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {OPERATOR}\r\n"
        await self._say(f"half a body of {path}", port, f"{head}content-length: 5000\r\n\r\n{{".encode())

    async def _read_slowly(self, port: int) -> None:
        reader, writer = await self._open(port, buffer=2048)
        writer.write(f"{CHAT}content-length: {len(ASK)}\r\n\r\n".encode() + ASK)
        try:
            while await reader.read(SIP_BYTES):  # noqa: ASYNC110 - slowness is the point
                await asyncio.sleep(0.3)
        finally:
            writer.transport.abort()

    async def _leave_unread(self, port: int) -> None:
        path = self._rng.choice(("/export/decisions.json", "/export/decisions.csv", "/v1/recent?limit=500"))
        _, writer = await self._open(port, buffer=2048)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n\r\n".encode())
            await asyncio.sleep(self._rng.uniform(1, LONGEST_S))
        finally:
            writer.transport.abort()

    async def _flood_head(self, port: int) -> None:
        line = self._rng.choice((b"x-a: b\r\n" * 8_000, b"x-long: " + b"y" * 60_000 + b"\r\n", b"y" * 8_000))
        await self._flood("a flood of head", port, b"GET /health HTTP/1.1\r\nhost: 127.0.0.1\r\n", line)

    async def _flood_body(self, port: int) -> None:
        length = self._rng.choice(("content-length: 50000000", "transfer-encoding: chunked"))
        piece = b" " * 65_536 if "length" in length else b"10000\r\n" + b" " * 65_536 + b"\r\n"
        path = self._rng.choice(("/v1/chat/completions", "/session", "/v1/calibrations"))
        head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {OPERATOR}\r\n{length}\r\n\r\n"
        await self._flood(f"a flood of body to {path}", port, head.encode(), piece)

    async def _flood(self, what: str, port: int, start: bytes, piece: bytes) -> None:
        reader, writer = await self._open(port)
        writer.write(start)
        telling = asyncio.create_task(self._told(what, reader, writer))
        try:
            with suppress(OSError):
                for _ in range(FLOOD_BYTES // len(piece)):
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)  # draining does not wait while there is room
                    if telling.done():
                        break
            await telling
        finally:
            telling.cancel()

    async def _babble(self, port: int) -> None:
        data = self._rng.randbytes(self._rng.randrange(1, 5_000))
        starts = (
            b"",
            b"\x16\x03\x01\x02\x00",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"GET / HTTP/9.9\r\n\r\n",
            b"\r\n" * 500,
        )
        await self._say("babble", port, self._rng.choice(starts) + data)

    async def _odd_request(self, port: int) -> None:
        method, path = self._rng.choice(METHODS), self._rng.choice(PATHS)
        headers = self._rng.choice(
            (
                "host: 127.0.0.1\r\nconnection: close\r\n",
                "connection: close\r\n",
                "host: 127.0.0.1\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n",
                "host: 127.0.0.1\r\ncookie: arbiter_session=\xff; a=b\r\nconnection: close\r\n",
                "host: evil.example\r\norigin: http://evil.example\r\nconnection: close\r\n",
                f"host: 127.0.0.1\r\nauthorization: Bearer {'x' * 5_000}\r\nconnection: close\r\n",
                "host: 127.0.0.1\r\nauthorization: Basic !!!\r\nexpect: 100-continue\r\ncontent-length: 1\r\n",
            )
        )
        data = f"{method} {path} HTTP/1.1\r\n{headers}\r\n".encode("latin-1")
        await self._say(f"{method} {path[:30]} {headers[:30]!r}", port, data)

    async def _socket(self, port: int) -> None:
        path = self._rng.choice(("/_event?EIO=4&transport=websocket", "/v1/recent", "/", "/_event/x"))
        head = f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n{UPGRADE}\r\n"
        await self._say(f"a socket to {path}", port, head.encode() + self._rng.randbytes(300))
