"""A runtime that costs next to nothing: fixed answers over a raw protocol, so that only the gateway is measured.

`python -m tests.bench.runtime PORT [SECONDS]`. A body with `"stream":true` is answered with 63 events at once, one with
`30 MB` in it with so much text; each answer comes after so many seconds. It speaks what its routes do: chat completions, and
Messages and Responses, in which it says the same text in as many pieces.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import httptools
import uvloop

EVENTS = 63
BIG = b"30 MB"
BIG_BYTES = 30_000_000
CHARGE = b"x-btl-customer-charge: 0.000012\r\n"
USAGE = {"prompt_tokens": 20, "completion_tokens": EVENTS, "total_tokens": 20 + EVENTS}
OTHER_USAGE = {"input_tokens": 20, "output_tokens": EVENTS}
TEXT = f"37 * 24 = 888.{' So it is.' * 12}"
PIECES = [" 888"] * (EVENTS - 1)
Json = dict[str, Any]


def plain(text: str = TEXT) -> bytes:
    """A whole answer, head and body."""
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    head = {"id": "c-1", "object": "chat.completion", "created": 1_790_000_000, "model": "m"}
    return whole({**head, "choices": [choice], "usage": USAGE})


def streamed() -> bytes:
    """A whole streamed answer in chunked encoding, with usage in its last chunk."""
    base = {"id": "c-1", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "m"}
    told = [{**base, "choices": [{"index": 0, "delta": {"content": piece}}]} for piece in PIECES]
    told.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    told.append({**base, "choices": [], "usage": USAGE})
    return in_chunks(b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in told) + b"data: [DONE]\n\n")


def message(blocks: list[Json], **ended: Any) -> Json:
    """Anthropic's message."""
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m"}
    return {**head, "content": blocks, "stop_reason": None, "stop_sequence": None, "usage": OTHER_USAGE, **ended}


def messages_events() -> list[Json]:
    """The same as `streamed`, as the events of a message."""
    told: list[Json] = [
        {"type": "message_start", "message": message([])},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    ]
    for piece in PIECES:
        told.append({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}})
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    return [
        *told,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": ended, "usage": OTHER_USAGE},
        {"type": "message_stop"},
    ]


def item(text: str = "", status: str = "completed") -> Json:
    """A message among the items of a response."""
    content = [{"type": "output_text", "text": text, "annotations": [], "logprobs": []}] if text else []
    return {"id": "item_1", "type": "message", "status": status, "role": "assistant", "content": content}


def response(output: list[Json], status: str = "completed") -> Json:
    """OpenAI's response."""
    usage = {**OTHER_USAGE, "total_tokens": 20 + EVENTS} if status == "completed" else None
    head = {"id": "resp_1", "object": "response", "created_at": 1_790_000_000, "model": "m", "status": status}
    return {**head, "error": None, "incomplete_details": None, "output": output, "usage": usage}


def responses_events() -> list[Json]:
    """The same as `streamed`, as the events of a response."""
    at, text = {"item_id": "item_1", "output_index": 0, "content_index": 0}, "".join(PIECES)
    begun, part = response([], "in_progress"), {"type": "output_text", "annotations": [], "logprobs": []}
    told: list[Json] = [
        {"type": "response.created", "response": begun},
        {"type": "response.in_progress", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": item(status="in_progress")},
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []} for piece in PIECES),
        {"type": "response.output_text.done", **at, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **at, "part": {**part, "text": text}},
        {"type": "response.output_item.done", "output_index": 0, "item": item(text)},
        {"type": "response.completed", "response": response([item(text)])},
    ]
    return [{**one, "sequence_number": number} for number, one in enumerate(told)]


def named(told: list[Json]) -> bytes:
    """A streamed answer whose events are named by their types."""
    return in_chunks(
        b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in told),
    )


def whole(answer: Json) -> bytes:
    """An answer, head and body."""
    body = json.dumps(answer).encode()
    return _head("application/json", CHARGE + f"content-length: {len(body)}\r\n".encode()) + body


def in_chunks(events: bytes) -> bytes:
    """A stream in chunked encoding, head and body."""
    chunk = f"{len(events):x}\r\n".encode() + events + b"\r\n0\r\n\r\n"
    return _head("text/event-stream", CHARGE + b"transfer-encoding: chunked\r\n") + chunk


def _head(kind: str, more: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: " + kind.encode() + b"\r\n" + more + b"\r\n"


class Answering(asyncio.Protocol):
    """One connection."""

    CHAT = plain(), streamed()
    BY_ROUTE = {
        b"messages": (
            whole(message([{"type": "text", "text": TEXT}], stop_reason="end_turn")),
            named(messages_events()),
        ),
        b"responses": (whole(response([item(TEXT)])), named(responses_events())),
    }
    LARGE = plain("888 " * (BIG_BYTES // 4))
    after_s = 0.0
    MODELS = _head("application/json", b"content-length: 11\r\n") + b'{"data":[]}'

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._begin()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._route += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        stream = b'"stream":true' in self._body or b'"stream": true' in self._body
        plain, streamed = self.BY_ROUTE.get(self._route.rpartition(b"/")[2], self.CHAT)
        whole = self.LARGE if BIG in self._body else plain
        answer = self.MODELS if not self._body else streamed if stream else whole
        if self.after_s:
            asyncio.get_running_loop().call_later(self.after_s, self._transport.write, answer)
        else:
            self._transport.write(answer)
        self._begin()

    def _begin(self) -> None:
        self._body = self._route = b""
        self._parser = httptools.HttpRequestParser(self)


async def main(port: int, after_s: float = 0.0) -> None:
    """Answer until the process is ended."""
    Answering.after_s = after_s
    server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), *map(float, sys.argv[2:])))
