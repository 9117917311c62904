"""A runtime whose answers are as large as they may be, in the dialect of the route: `python -m tests.bench.large_runtime PORT`.

What a request asks for stands in it as `large:KIND`; an answer is made once, and has about 30 MB. `text` is one long text,
`escapes` one of which every second byte is an escape, `odd` the same as `text` with a number that is no JSON, `parts` many short
calls of tools, `arguments` one long call; streamed, `frames` are texts of 5 MB each, `pieces` events of a word each. Others are
answered in a few words.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from collections.abc import Iterator
from functools import cache

import uvloop

from tests.bench.runtime import OTHER_USAGE, TEXT, USAGE, Answering, Json, in_chunks, message, named, response, whole

BYTES = 30_000_000
FRAME_BYTES = 5_000_000
CALL_BYTES = 120
WORD = " 888"
KIND = re.compile(rb"large:([a-z]+)")
CHAT_HEAD = {"id": "c-1", "object": "chat.completion", "created": 1_790_000_000, "model": "m"}
CHUNK = {**CHAT_HEAD, "object": "chat.completion.chunk"}


@cache
def answer_of(route: str, kind: str, stream: bool) -> bytes:
    """Head and body of an answer."""
    if stream:
        texts = list(_texts(kind, route))
        return {"messages": _messages_stream, "responses": _responses_stream}.get(route, _chat_stream)(texts)
    made = {"messages": _message, "responses": _response}.get(route, _completion)(kind)
    if kind == "odd":
        made["odd"] = float("nan")
    return whole(made)


def _texts(kind: str, route: str) -> Iterator[str]:
    """What the events of a stream say, one after the other."""
    if kind == "frames":
        yield from [WORD * (FRAME_BYTES // len(WORD))] * (BYTES // FRAME_BYTES // (3 if route == "responses" else 1))
    elif kind == "pieces":
        yield from [WORD] * (BYTES // {"messages": 150, "responses": 220}.get(route, 180))
    else:
        yield TEXT


def _text(kind: str) -> str:
    if kind == "escapes":
        return '"\n' * (BYTES // 4)
    return WORD * (BYTES // len(WORD)) if kind in ("text", "odd") else TEXT


def _calls(kind: str) -> list[Json]:
    """The tools that an answer calls, as a chat has them."""
    long = {"arguments": (1, json.dumps({"text": WORD * (BYTES // len(WORD))})), "parts": (BYTES // CALL_BYTES, "{}")}
    count, arguments = long.get(kind, (0, ""))
    return [
        {"id": f"call_{at}", "type": "function", "function": {"name": "tool_0", "arguments": arguments}}
        for at in range(count)
    ]


def _completion(kind: str) -> Json:
    calls = _calls(kind)
    said: Json = {"role": "assistant", "content": _text(kind), **({"tool_calls": calls} if calls else {})}
    choice = {"index": 0, "message": said, "finish_reason": "tool_calls" if calls else "stop"}
    return {**CHAT_HEAD, "choices": [choice], "usage": USAGE}


def _message(kind: str) -> Json:
    uses = [
        {"type": "tool_use", "id": one["id"], "name": "tool_0", "input": json.loads(one["function"]["arguments"])}
        for one in _calls(kind)
    ]
    blocks: list[Json] = [{"type": "text", "text": _text(kind)}, *uses]
    return message(blocks, stop_reason="tool_use" if uses else "end_turn")


def _response(kind: str) -> Json:
    content = [{"type": "output_text", "text": _text(kind), "annotations": [], "logprobs": []}]
    said = {"id": "item_1", "type": "message", "status": "completed", "role": "assistant", "content": content}
    calls = [
        {"type": "function_call", "id": f"fc_{at}", "call_id": one["id"], "status": "completed", **one["function"]}
        for at, one in enumerate(_calls(kind))
    ]
    return response([said, *calls])


def _chat_stream(texts: list[str]) -> bytes:
    told: list[Json] = [{**CHUNK, "choices": [{"index": 0, "delta": {"content": text}}]} for text in texts]
    told.append({**CHUNK, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    told.append({**CHUNK, "choices": [], "usage": USAGE})
    return in_chunks(b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in told) + b"data: [DONE]\n\n")


def _messages_stream(texts: list[str]) -> bytes:
    ended = {"stop_reason": "end_turn", "stop_sequence": None}
    deltas = [{"type": "text_delta", "text": text} for text in texts]
    return named(
        [
            {"type": "message_start", "message": message([])},
            {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": OTHER_USAGE},
            {"type": "message_stop"},
        ]
    )


def _responses_stream(texts: list[str]) -> bytes:
    """Its last events say all of the text again."""
    at, text = {"item_id": "item_1", "output_index": 0, "content_index": 0}, "".join(texts)
    part = {"type": "output_text", "annotations": [], "logprobs": []}
    said: Json = {"id": "item_1", "type": "message", "status": "completed", "role": "assistant"}
    said["content"] = [{**part, "text": text}]
    told: list[Json] = [
        {"type": "response.created", "response": response([], "in_progress")},
        {"type": "response.output_item.added", "output_index": 0, "item": {**said, "content": []}},
        {"type": "response.content_part.added", **at, "part": {**part, "text": ""}},
        *({"type": "response.output_text.delta", **at, "delta": piece, "logprobs": []} for piece in texts),
        {"type": "response.output_item.done", "output_index": 0, "item": said},
        {"type": "response.completed", "response": response([said])},
    ]
    return named([{**one, "sequence_number": number} for number, one in enumerate(told)])


class Large(Answering):
    """One connection."""

    def on_body(self, body: bytes) -> None:
        self._parts.append(body)

    def on_message_complete(self) -> None:
        self._body = b"".join(self._parts)
        asked = KIND.search(self._body)
        if asked is None:
            super().on_message_complete()
            return
        stream = re.search(rb'"stream": ?true', self._body) is not None
        self._transport.write(answer_of(self._route.rpartition(b"/")[2].decode(), asked[1].decode(), stream))
        self._begin()

    def _begin(self) -> None:
        self._parts: list[bytes] = []
        super()._begin()


async def main(port: int) -> None:
    """Answer until the process is ended."""
    server = await asyncio.get_running_loop().create_server(Large, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1])))
