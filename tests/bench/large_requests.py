"""Requests that are large, or whose answers are: by name, as bytes. Made for `holds`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from tests.bench.dialects import CHAT, MADE, MESSAGES, PATHS, RESPONSES, WIRES
from tests.served import OPERATOR

Json = dict[str, Any]
MB = 1_000_000
BODY, PROMPT, SHORT_PROMPT = 20 * MB, 10 * MB, 190_000
"""Bytes. Of a short prompt: one that is read on the event loop."""
PIXELS = "iVBORw0KGgoAAAANSUhEUgAA"
SAID = "I read the file and changed line 12, then ran the tests: two of them fail. "
PROMPTS = {
    "sentences": SAID,
    "spaces": " ",
    "digits": "7",
    "parentheses": "(",
    "lines": "\n",
    "sums": "1+",
    "words": "aA_",
    "quotes": "`",
    "braces": '{"',
    "dots": "a.b@",
    "wide": "\u00e9",
    "backslashes": "\\",
}
"""What a prompt says over and over."""


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent to a gateway before a runtime that speaks `wire`."""

    wire: str
    make: Callable[[], bytes]


def posted(path: str, asked: Json | bytes) -> bytes:
    """A request after which the connection is closed."""
    body = asked if isinstance(asked, bytes) else json.dumps(asked, ensure_ascii=False).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {OPERATOR}\r\nconnection: close\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def asking(front: str, said: list[Json], **more: object) -> bytes:
    """A conversation in a caller's dialect."""
    if front == RESPONSES:
        return posted(PATHS[front], {"model": "auto", "input": said, **more})
    return posted(PATHS[front], {"model": "auto", "messages": said, "max_tokens": 128, **more})


def _prompt(front: str, content: object, *, stream: bool = False) -> bytes:
    return asking(front, [{"role": "user", "content": content}], stream=stream)


def _image(front: str) -> bytes:
    data = PIXELS * (BODY // len(PIXELS))
    url = f"data:image/png;base64,{data}"
    source = {"type": "base64", "media_type": "image/png", "data": data}
    parts: dict[str, list[Json]] = {
        CHAT: [{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": url}}],
        MESSAGES: [{"type": "text", "text": "What is it?"}, {"type": "image", "source": source}],
        RESPONSES: [{"type": "input_text", "text": "What is it?"}, {"type": "input_image", "image_url": url}],
    }
    return _prompt(front, parts[front])


def _history(front: str, *, turns: int) -> bytes:
    times = BODY // turns // 2 // len(SAID)
    said = [{"role": role, "content": f"{at}: {SAID * times}"} for at in range(turns) for role in ("user", "assistant")]
    return asking(front, [*said, said[0]])


def _calls(front: str, *, turns: int) -> bytes:
    """An agent's turns with a tool."""
    return posted(PATHS[front], {"model": "auto", **MADE[front]("Be brief.", turns)})


def _tools(front: str) -> bytes:
    schema = {"type": "object", "properties": {f"p{at}": {"type": "string", "description": SAID} for at in range(15)}}
    named = [{"name": f"tool_{at}", "description": SAID} for at in range(1_000)]
    tools: dict[str, list[Json]] = {
        CHAT: [{"type": "function", "function": {**one, "parameters": schema}} for one in named],
        MESSAGES: [{**one, "input_schema": schema} for one in named],
        RESPONSES: [{"type": "function", **one, "parameters": schema, "strict": False} for one in named],
    }
    return asking(front, [{"role": "user", "content": "Calculate 37 * 24"}], tools=tools[front])


def _deep() -> bytes:
    return posted(PATHS[CHAT], b'{"messages":[],"metadata":' + b"[" * MB + b"]" * MB + b"}")


def _inputs() -> bytes:
    return posted("/v1/embeddings", {"model": "m", "input": [f"{at} {SAID}" for at in range(10_000)]})


def _counted() -> bytes:
    said = [{"role": "user", "content": SAID * (BODY // len(SAID))}]
    return posted("/v1/messages/count_tokens", {"model": "auto", "messages": said})


CASES: dict[str, Case] = {
    **{
        f"{front} answer {kind} from {wire}": Case(wire, partial(_prompt, front, f"large:{kind}"))
        for kind in ("text", "escapes", "odd", "parts", "arguments")
        for front in PATHS
        for wire in WIRES
    },
    **{
        f"{front} stream {kind} from {wire}": Case(wire, partial(_prompt, front, f"large:{kind}", stream=True))
        for kind in ("frames", "pieces")
        for front in PATHS
        for wire in WIRES
    },
    **{
        f"{front} request {kind} to {wire}": Case(wire, partial(make, front))
        for kind, make in {
            "image": _image,
            "long turns": partial(_history, turns=20),
            "short turns": partial(_history, turns=5_000),
            "calls": partial(_calls, turns=2_000),
            "tools": _tools,
        }.items()
        for front in PATHS
        for wire in WIRES
    },
    **{
        f"chat prompt of {kind}": Case(CHAT, partial(_prompt, CHAT, part * (PROMPT // len(part))))
        for kind, part in PROMPTS.items()
    },
    **{
        f"chat short prompt of {kind}": Case(CHAT, partial(_prompt, CHAT, part * (SHORT_PROMPT // len(part))))
        for kind, part in PROMPTS.items()
    },
    "nested": Case(CHAT, _deep),
    "embeddings": Case(CHAT, _inputs),
    "count tokens": Case(CHAT, _counted),
}
