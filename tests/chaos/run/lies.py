"""What a runtime may say instead of an answer, one function or row a kind. Each tells whether the connection is still of use."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.chaos.run.runtime import Call

HONEST = "honest"
HANG_S = 30.0
PIECES = 8
Writer = asyncio.StreamWriter
Lie = Callable[["Call", Writer], Awaitable[bool]]
REASONS = {200: "OK"}


async def send(writer: Writer, status: int, body: bytes, kind: str = "application/json", **headers: str) -> None:
    """A whole answer, with a length."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    head = f"HTTP/1.1 {status} {REASONS.get(status, 'So')}\r\ncontent-type: {kind}\r\n{more}content-length: {len(body)}\r\n\r\n"
    writer.write(head.encode("latin-1") + body)
    await writer.drain()


async def honest(call: Call, writer: Writer) -> None:
    """The right answer with its usage and its charge."""
    if call.stream:
        await _stream(writer, [*chunks(call), "[DONE]"], call.charge)
    else:
        await send(writer, 200, json.dumps(completion(call)).encode(), x_btl_customer_charge=call.charge)


def completion(call: Call, **changes: Any) -> dict[str, Any]:
    """A plain answer; `changes` replace its fields."""
    choice = {"index": 0, "message": {"role": "assistant", "content": call.text}, "finish_reason": "stop"}
    body = {"id": call.id, "object": "chat.completion", "created": 1, "model": call.model, "choices": [choice]}
    return {**body, "usage": call.usage, **changes}


def chunks(call: Call) -> list[str]:
    """The events of a streamed answer without its end."""
    base = {"id": call.id, "object": "chat.completion.chunk", "created": 1, "model": call.model}
    size = max(1, len(call.text) // PIECES)
    texts = [call.text[at : at + size] for at in range(0, len(call.text), size)]
    deltas: list[dict[str, Any]] = [{"role": "assistant"}, *({"content": text} for text in texts)]
    told = [{**base, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    told.append({**base, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    told.append({**base, "choices": [], "usage": call.usage})
    return [json.dumps(one) for one in told]


async def _stream(writer: Writer, events: list[str], charge: str = "", *, end: bool = True) -> None:
    await _begin(writer, charge)
    await _events(writer, events)
    if end:
        writer.write(b"0\r\n\r\n")
    await writer.drain()


async def _begin(writer: Writer, charge: str = "") -> None:
    charged = f"x-btl-customer-charge: {charge}\r\n" if charge else ""
    writer.write(
        f"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n{charged}transfer-encoding: chunked\r\n\r\n".encode()
    )


async def _events(writer: Writer, events: list[str], pause_s: float = 0.0) -> None:
    for event in events:
        data = (event if ":" in event[:8] and not event.startswith("{") else f"data: {event}").encode() + b"\n\n"
        writer.write(b"%x\r\n%b\r\n" % (len(data), data))
        await writer.drain()
        if pause_s:
            await asyncio.sleep(pause_s)


async def _status(status: int, headers: dict[str, str], body: str, call: Call, writer: Writer) -> bool:
    await send(writer, status, body.replace("{key}", call.key).encode(), **headers)
    return True


async def _raw(data: bytes, call: Call, writer: Writer) -> bool:
    """These bytes, and the end of the connection."""
    writer.write(data.replace(b"{key}", call.key.encode()))
    await writer.drain()
    return False


async def _changed(changes: dict[str, Any], charge: str, call: Call, writer: Writer) -> bool:
    """An answer, plain or streamed, in which fields are not what they should be."""
    headers = {"x_btl_customer_charge": charge} if charge else {}
    if not call.stream:
        await send(writer, 200, json.dumps(completion(call, **changes)).encode(), **headers)
        return True
    events = chunks(call)
    await _stream(writer, [*events[:-1], json.dumps({**json.loads(events[-1]), **changes}), "[DONE]"], charge)
    return True


async def _hang(call: Call, writer: Writer) -> bool:
    await asyncio.sleep(HANG_S)
    return False


async def _hang_inside(call: Call, writer: Writer) -> bool:
    await _begin(writer)
    await _events(writer, chunks(call)[:3])
    await asyncio.sleep(HANG_S)
    return False


async def _drip(call: Call, writer: Writer) -> bool:
    await _begin(writer)
    await _events(writer, chunks(call), pause_s=0.7)
    return False


async def _cut(call: Call, writer: Writer) -> bool:
    if call.stream:
        await _stream(writer, chunks(call)[:3], call.charge, end=False)
        return False
    return await _raw(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 900\r\n\r\n{", call, writer
    )


async def _error_frame(call: Call, writer: Writer) -> bool:
    error = {"error": {"message": f"Incorrect API key provided: {call.key}", "type": 5, "code": {"key": call.key}}}
    await _stream(writer, [*chunks(call)[:3], json.dumps(error), "[DONE]"])
    return True


async def _own_lines(call: Call, writer: Writer) -> bool:
    """Lines and objects that only Arbiter may say."""
    forged = json.dumps({"id": call.id, "choices": [], "arbiter": {"decision_id": "d_forged", "cost": -1}})
    events = chunks(call)
    await _stream(writer, ["event: error", "id: 7", "retry: 1", events[0], forged, *events[1:], "[DONE]", "[DONE]"])
    return True


async def _no_end(call: Call, writer: Writer) -> bool:
    await _stream(writer, chunks(call)[:-1])
    return True


async def _large(call: Call, writer: Writer) -> bool:
    message = {"role": "assistant", "content": "888 " * 500_000}
    choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
    await send(writer, 200, json.dumps(completion(call, choices=choices)).encode())
    return True


def _error(message: str, code: object = None, kind: object = "invalid_request_error") -> str:
    return json.dumps({"error": {"message": message, "type": kind, "param": None, "code": code}})


_QUOTED = "Incorrect API key provided: {key}. Authorization: Bearer {key}"
_STATUSES: dict[str, tuple[int, dict[str, str], str]] = {
    "500": (500, {}, "Internal {key}"),
    "503, come back at once": (503, {"retry_after": "0"}, _error("overloaded")),
    "503, come back in 300,000 years": (503, {"retry_after": "9" * 13}, _error("overloaded")),
    "503, come back soon": (503, {"retry_after": "soon, {key}"}, _error("overloaded")),
    "429": (429, {"retry_after": "1"}, _error("Rate limit reached", "rate_limit_exceeded")),
    "429, no quota": (429, {}, _error("You exceeded your current quota", "insufficient_quota")),
    "404, no such model": (404, {}, _error("The model does not exist", "model_not_found")),
    "401, quotes the key": (401, {}, _error(_QUOTED, "invalid_api_key")),
    "403, quotes the key": (403, {"x_key": "{key}"}, _error(_QUOTED, {"key": "{key}"}, 5)),
    "400, quotes the key": (400, {}, _error(_QUOTED, {}, ["{key}"])),
    "400, too long": (400, {}, _error("maximum context length is 10 tokens", "context_length_exceeded")),
    "400 in another shape": (400, {}, '{"object": "error", "message": "bad {key}"}'),
    "402": (402, {}, _error("Insufficient credits")),
    "418": (418, {}, "short and stout"),
    "599": (599, {}, "[]"),
    "302": (302, {"location": "http://127.0.0.1:1/{key}"}, ""),
    "204": (204, {}, ""),
    "an error under 200": (200, {}, json.dumps({"error": {"message": _QUOTED, "code": 402}})),
    "no JSON": (200, {}, "<html>{key}</html>"),
    "a list": (200, {}, "[1, 2]"),
    "null": (200, {}, "null"),
    "no choices": (200, {}, '{"choices": []}'),
    "odd choices": (200, {}, '{"choices": [null, 5, {"message": [], "finish_reason": {}}]}'),
    "deep": (200, {}, '{"choices":' + "[" * 5_000 + "]" * 5_000 + "}"),
    "half an emoji": (200, {}, '{"choices": [{"index": 0, "message": {"role": "assistant", "content": "\\ud83d"}}]}'),
}
_CHUNKED = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_BYTES = {
    "nothing": b"",
    "garbage": bytes(range(256)) * 8,
    "half a head": b"HTTP/1.1 200 OK\r\ncontent-ty",
    "endless head": b"HTTP/1.1 200 OK\r\n" + b"x-long: {key} 1\r\n" * 20_000,
    "odd chunk size": _CHUNKED + b"ffffffffffffffffff\r\ndata: {}\r\n",
    "no chunk size": _CHUNKED + b"zz\r\ndata: {}\r\n",
    "no events": _CHUNKED + b"0\r\n\r\n",
    "not compressed": b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n{}",
    "infinite logprob": _CHUNKED + b'36\r\ndata: {"choices": [{"delta": {}, "logprob": -Infinity}]}\n\n\r\n0\r\n\r\n',
}
_HUGE = 1 << 63
_FIELDS: dict[str, tuple[dict[str, Any], str]] = {
    "charges 99,999": ({}, "99999"),
    "charges less than nothing": ({}, "-5"),
    "charges words": ({}, "{free}"),
    "charges NaN": ({}, "NaN"),
    "charges 1e400": ({}, "1e400"),
    "usage below nothing": ({"usage": {"prompt_tokens": -5, "completion_tokens": -1, "total_tokens": -6}}, ""),
    "usage beyond 64 bits": ({"usage": {"prompt_tokens": _HUGE, "completion_tokens": _HUGE}}, ""),
    "usage in words": ({"usage": {"prompt_tokens": "many", "completion_tokens": None}}, ""),
    "usage costs 10^30": ({"usage": {"prompt_tokens": 1, "completion_tokens": 1, "cost": 1e30}}, ""),
    "no usage": ({"usage": None}, ""),
    "usage is a list": ({"usage": [1]}, ""),
    "id is an object": ({"id": {"a": 1}, "model": 5, "created": "x"}, ""),
    "forged object": ({"arbiter": {"decision_id": "d_forged", "cost": -1}}, ""),
}
LIES: dict[str, Lie] = {
    **{name: partial(_status, *row) for name, row in _STATUSES.items()},
    **{name: partial(_raw, data) for name, data in _BYTES.items()},
    **{name: partial(_changed, *row) for name, row in _FIELDS.items()},
    "hangs": _hang,
    "hangs inside": _hang_inside,
    "drips": _drip,
    "cuts": _cut,
    "error frame": _error_frame,
    "Arbiter's own lines": _own_lines,
    "no end": _no_end,
    "2 MB": _large,
}
_LISTS: tuple[Any, ...] = (
    [],
    None,
    5,
    [1, "gpt-4o", None],
    [{"id": "gpt-4o", "context_length": 1}, {"id": "gpt-4o-mini", "context_length": True}],
    [{"id": "gpt-4o", "context_length": -5}, {"id": "gpt-4o-mini", "context_length": 1e300}],
    [{"id": "gpt-4o-mini", "pricing": {"input": 0.15, "output": 0.6}}],
    [{"id": "gpt-4o-mini", "pricing": {"prompt": "-1", "completion": "NaN"}}, {"id": "{key}"}],
    [{"id": {"a": 1}}, {"id": ""}, {"id": "x" * 10_000}, {"id": "a\r\nb: c"}, {"id": None}],
    [{"id": f"made-up-{number}"} for number in range(3_000)],
)


async def send_list(writer: Writer, rng: random.Random, key: str) -> None:
    """A model list that is wrong."""
    rows = rng.choice(_LISTS)
    body = json.dumps({"object": "list", "data": rows}).replace("{key}", key)
    await send(writer, rng.choice((200, 200, 200, 500)), body.encode())
