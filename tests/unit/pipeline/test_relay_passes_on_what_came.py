"""A stream on its way to the caller: what came together goes out together, nothing that came is held back or lost."""

from __future__ import annotations

import asyncio
import json
from collections import deque

import pytest

from arbiter_app.dialects.openai_chat.frames import Frames
from arbiter_app.pipeline.ports import RuntimeFault
from arbiter_app.pipeline.relay import Relay
from arbiter_app.runtime.assembler import StreamAssembler


class Arrivals:
    """A stream whose events arrive in given groups, and may break off after the last one."""

    headers: dict[str, str] = {}
    first_byte_ms = 0.0

    def __init__(self, *groups: list[bytes], breaks: bool = False) -> None:
        self._groups = deque(groups)
        self._breaks = breaks

    async def together(self) -> list[bytes]:
        if self._groups:
            return self._groups.popleft()
        if self._breaks:
            raise RuntimeFault("transport", "broken off")
        return []

    async def aclose(self) -> None:
        return None


HEAD = {"id": "c", "object": "chat.completion.chunk", "created": 5, "model": "m"}
ROLE = b'data: {"id":"c","object":"chat.completion.chunk","created":5,"model":"m","choices":[{"index":0,"delta":{"role":"assistant"},"finish_reason":null}]}'


def text(content: str, finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": finish}
    return b"data: " + json.dumps({**HEAD, "choices": [choice]}).encode()


USAGE = b'data: {"id": "c", "choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}'
DONE = b"data: [DONE]"


def relayed(stream: Arrivals) -> tuple[list[bytes], Relay, RuntimeFault | None]:
    relay, made, frames, fault = Relay(stream, StreamAssembler()), Frames(), [], None

    async def run() -> None:
        async for chunks in relay.chunks():
            if passed := b"".join(part for chunk in chunks for part in made.of(chunk)):
                frames.append(passed)

    try:
        asyncio.run(run())
    except RuntimeFault as error:
        fault = error
    return frames, relay, fault


def framed(*events: bytes) -> bytes:
    return b"".join(event + b"\n\n" for event in events)


def test_what_came_together_goes_out_together_and_what_came_alone_at_once() -> None:
    a, b, c, end = text("a"), text("b"), text("c"), text("", "stop")
    frames, relay, fault = relayed(Arrivals([ROLE], [a], [b, c], [end, USAGE, DONE]))
    assert frames == [framed(ROLE), framed(a), framed(b, c)]
    assert fault is None
    assert relay.body()["choices"][0]["message"]["content"] == "abc"
    assert relay.body()["usage"]["completion_tokens"] == 2


def test_what_had_come_before_a_break_goes_out_before_the_error() -> None:
    error = b'data: {"error": {"message": "no more"}}'
    for stream in (Arrivals([ROLE, text("a"), text("b")], breaks=True), Arrivals([ROLE, text("a"), text("b"), error])):
        frames, _, fault = relayed(stream)
        assert frames == [framed(ROLE, text("a"), text("b"))]
        assert fault is not None


@pytest.mark.parametrize("groups", [[[ROLE, text("a")]], [[ROLE, text("a")], [USAGE]]])
def test_a_stream_that_ends_without_a_finish_is_broken(groups: list[list[bytes]]) -> None:
    frames, _, fault = relayed(Arrivals(*groups))
    assert frames == [framed(ROLE, text("a"))]
    assert fault is not None and "before the answer was finished" in fault.message
