"""A runtime that streams answers of random length and bills each by its tokens; some calls fail. Seeded, and real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.waiting import PATIENCE_S

FAILS = 0.05
"""Share of calls that end with a status of 500 before their first byte, or break off after it."""
WORD = "word "


class Metered:
    """`url` is its base URL. Every answer is streamed in pieces; an answer has as many tokens as pieces, `max_tokens` at most."""

    def __init__(self, seed: int, *, piece_s: float = 0.002, pieces: int = 12) -> None:
        self._rng = random.Random(seed)
        self.piece_s, self.pieces = piece_s, pieces
        self.calls = 0
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(PATIENCE_S)

    @property
    def settings(self) -> dict[str, str]:
        """What an Arbiter over it is told."""
        return {"BTL_BASE_URL": self.url, "GATEWAY_API_KEY": "key-of-the-meter"}

    def close(self) -> None:
        """End it."""
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(PATIENCE_S)

    async def _run(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        self._ready.set()
        await self._ended.wait()
        server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                length = next(
                    (line[15:] for line in head.lower().split("\r\n") if line.startswith("content-length:")), "0"
                )
                body = await reader.readexactly(int(length))
                if head.startswith("GET"):
                    self._say(writer, "404 Not Found", {"error": {"message": "no list here"}})
                else:
                    await self._answer(json.loads(body), writer)
                await writer.drain()

    async def _answer(self, asked: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        self.calls += 1
        drawn, tokens = self._rng.random(), self._rng.randint(1, asked.get("max_tokens") or 64)
        usage = {"prompt_tokens": 20, "completion_tokens": tokens, "total_tokens": 20 + tokens}
        head = {"id": f"c{self.calls}", "created": 5, "model": asked["model"]}
        if drawn < FAILS / 2:
            self._say(writer, "500 Internal Server Error", {"error": {"message": "it broke"}})
        elif not asked.get("stream"):
            message = {"role": "assistant", "content": WORD * tokens}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            self._say(writer, "200 OK", {**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        else:
            await self._stream(writer, {**head, "object": "chat.completion.chunk"}, usage, breaks=drawn < FAILS)

    async def _stream(self, writer: asyncio.StreamWriter, head: Any, usage: Any, *, breaks: bool) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        left = usage["completion_tokens"]
        step = -(-left // self.pieces)
        while left > 0:
            words, left = WORD * min(step, left), left - step
            self._event(writer, {**head, "choices": [{"index": 0, "delta": {"content": words}, "finish_reason": None}]})
            await writer.drain()
            await asyncio.sleep(self.piece_s)
            if breaks:
                raise ConnectionResetError
        self._event(writer, {**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}], "usage": usage})
        self._chunk(writer, b"data: [DONE]\n\n")
        writer.write(b"0\r\n\r\n")

    def _event(self, writer: asyncio.StreamWriter, event: Any) -> None:
        self._chunk(writer, b"data: " + json.dumps(event).encode() + b"\n\n")

    def _chunk(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        writer.write(b"%x\r\n%s\r\n" % (len(data), data))

    def _say(self, writer: asyncio.StreamWriter, status: str, body: Any) -> None:
        data = json.dumps(body).encode()
        head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
        writer.write(head.encode() + data)


@contextmanager
def metered(seed: int, **how: Any) -> Iterator[Metered]:
    """A runtime for a while."""
    one = Metered(seed, **how)
    try:
        yield one
    finally:
        one.close()
