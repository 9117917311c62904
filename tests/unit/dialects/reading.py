"""Answers of runtimes of other dialects, read as the product reads them."""

from __future__ import annotations

import json
from typing import Any

from arbiter_app.dialects.wire import Wire
from arbiter_app.pipeline.completions import completed
from arbiter_app.runtime.assembler import StreamAssembler


def read(wire: Wire, said: dict[str, Any]) -> dict[str, Any]:
    """A whole answer as a chat completion."""
    body = json.dumps(said).encode()
    chat = wire.reader().whole(json.loads(body), body)
    completed(chat, 1)
    return chat


def streamed(wire: Wire, events: list[Any]) -> tuple[dict[str, Any], list[dict[str, Any]], StreamAssembler]:
    """The same of a stream, put together; its chunks; and what the core says of it."""
    reader, chunks = wire.reader(), []
    assembler, read_again = StreamAssembler(), StreamAssembler()
    for event in events:
        reader.take(event if isinstance(event, bytes) else json.dumps(event).encode())
        for made in reader.taken():
            assembler.feed(made)
            if made.startswith(b"data: {"):
                chunks.append(json.loads(made.removeprefix(b"data: ")))
                read_again.feed(bytes(made))
    assert read_again.body() == assembler.body()
    return assembler.body(), chunks, assembler


def details(chunks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        one for chunk in chunks for choice in chunk["choices"] for one in choice["delta"].get("reasoning_details", [])
    ]


def finish_of(assembler: StreamAssembler) -> object:
    """Why the answer that was put together ended."""
    assert assembler.finished
    return assembler.body()["choices"][0]["finish_reason"]
