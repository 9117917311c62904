"""A runtime that costs next to nothing: fixed answers over a raw protocol, so that only the gateway is measured.

`python -m tests.bench.runtime PORT [SECONDS]`. A body with `"stream":true` is answered with 63 events at once, one with
`30 MB` in it with so much text; each answer comes after so many seconds.
"""

from __future__ import annotations

import asyncio
import json
import sys

import httptools
import uvloop

EVENTS = 63
BIG = b"30 MB"
BIG_BYTES = 30_000_000
CHARGE = b"x-btl-customer-charge: 0.000012\r\n"
USAGE = {"prompt_tokens": 20, "completion_tokens": EVENTS, "total_tokens": 20 + EVENTS}


def plain(text: str = f"37 * 24 = 888.{' So it is.' * 12}") -> bytes:
    """A whole answer, head and body."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "c-1", "object": "chat.completion", "created": 1_790_000_000, "model": "m"}
    body = json.dumps({**head, "choices": [choice], "usage": USAGE})
    return _head("application/json", CHARGE + f"content-length: {len(body)}\r\n".encode()) + body.encode()


def streamed() -> bytes:
    """A whole streamed answer in chunked encoding, with usage in its last chunk."""
    base = {"id": "c-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "m"}
    told = [{**base, "choices": [{"index": 0, "delta": {"content": " 888"}}]} for _ in range(EVENTS - 1)]
    told.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    told.append({**base, "choices": [], "usage": USAGE})
    events = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in told) + b"data: [DONE]\n\n"
    chunk = f"{len(events):x}\r\n".encode() + events + b"\r\n0\r\n\r\n"
    return _head("text/event-stream", CHARGE + b"transfer-encoding: chunked\r\n") + chunk


def _head(kind: str, more: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: " + kind.encode() + b"\r\n" + more + b"\r\n"


class Answering(asyncio.Protocol):
    """One connection."""

    PLAIN, STREAMED = plain(), streamed()
    LARGE = plain("888 " * (BIG_BYTES // 4))
    after_s = 0.0
    MODELS = _head("application/json", b"content-length: 11\r\n") + b'{"data":[]}'

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._begin()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        stream = b'"stream":true' in self._body or b'"stream": true' in self._body
        whole = self.LARGE if BIG in self._body else self.PLAIN
        answer = self.MODELS if not self._body else self.STREAMED if stream else whole
        if self.after_s:
            asyncio.get_running_loop().call_later(self.after_s, self._transport.write, answer)
        else:
            self._transport.write(answer)
        self._begin()

    def _begin(self) -> None:
        self._body = b""
        self._parser = httptools.HttpRequestParser(self)


async def main(port: int, after_s: float = 0.0) -> None:
    """Answer until the process is ended."""
    Answering.after_s = after_s
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), *map(float, sys.argv[2:])))
