"""Streams: when one begins to be an answer, and answers that come in the other form."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from arbiter_app.pipeline.ports import Refused, RuntimeFault
from arbiter_app.runtime.assembler import StreamAssembler
from arbiter_app.runtime.reply_stream import TURN_BYTES
from tests.peer import (
    CHUNK,
    DONE,
    END,
    SSE,
    Peer,
    chunked,
    events_of,
    fault_of,
    plain,
    replying,
    run,
    serving,
    soon,
)


@pytest.mark.parametrize(
    "reply",
    [
        SSE + b"0\r\n\r\n",
        SSE + chunked(b": only a comment\n\n") + b"0\r\n\r\n",
        SSE + chunked(DONE) + b"0\r\n\r\n",
        SSE + chunked(b": ping\n\nevent: x\n\n" + DONE) + b"0\r\n\r\n",
        SSE + chunked(b"data: not json\n\n") + b"0\r\n\r\n",
        plain(b"<html>login</html>", headers=b"content-type: text/html\r\n"),
        plain(b'{"a":1}'),
        plain(b"[1]"),
        plain(b""),
    ],
    ids=["empty", "comment", "done", "pings", "text", "page", "object", "list", "nothing"],
)
def test_what_is_not_a_stream_is_a_fault_before_the_first_byte_goes_out(reply: bytes) -> None:
    async def test() -> None:
        async with serving(replying(reply)) as (_, runtime):
            with pytest.raises(RuntimeFault) as caught:
                await runtime.stream(b"{}", deadline=soon())
            assert caught.value.kind == "protocol"

    run(test())


def test_an_error_frame_with_a_status_counts_as_that_status() -> None:
    async def test() -> None:
        frame = b'data: {"error":{"message":"slow down","code":429}}\n\n'
        async with serving(replying(SSE + chunked(b": hi\n\n") + chunked(frame))) as (_, runtime):
            fault = await fault_of(runtime, stream=True)
            assert (fault.kind, fault.status, fault.message) == ("status", 429, "slow down")

    run(test())


def test_a_stream_without_end_is_cut_at_its_bound() -> None:
    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(SSE)
        while True:
            await peer.say(chunked(CHUNK * 500))

    async def test() -> None:
        async with serving(script, max_answer_bytes=500_000) as (_, runtime):
            assert (await fault_of(runtime, stream=True)).kind == "protocol"

    run(test())


def test_of_events_that_came_at_once_a_bounded_part_is_looked_at_in_a_turn() -> None:
    async def test() -> None:
        async with serving(replying(SSE + chunked(CHUNK * 4_000 + END + DONE))) as (server, runtime):
            stream = await runtime.stream(b"{}", deadline=soon())
            await server.answered.wait()
            looked_at, seen = [0], list[bytes]()
            turning = asyncio.create_task(each_turn(looked_at))
            while events := await stream.together():
                looked_at[0] += sum(map(len, events))
                assert looked_at[0] <= 2 * TURN_BYTES
                seen += events
            turning.cancel()
            await stream.aclose()
            assert seen == [CHUNK.strip()] * 4_000 + [END.strip(), DONE.strip()]

    run(test())


async def each_turn(looked_at: list[int]) -> None:
    while True:
        looked_at[0] = 0
        await asyncio.sleep(0)


ROLE = b'data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}\n\n'
ERROR = b'data: {"error":{"message":"Overloaded","code":503}}\n\n'
WHOLE: dict[str, object] = {
    "id": "x",
    "model": "m",
    "created": 7,
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"},
        {
            "index": 1,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            "finish_reason": "tool_calls",
        },
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
}


def assembled(events: list[bytes]) -> dict[str, object]:
    assembler = StreamAssembler()
    for event in events:
        assembler.feed(event)
    assert assembler.done and assembler.error is None
    return assembler.body()


@pytest.mark.parametrize(
    "before", [b"", b": ping\n\n" * 3, ROLE, ROLE * 2 + b": ping\n\n", b'data: {"choices":[]}\n\n']
)
@pytest.mark.parametrize("then", [b"", ERROR, DONE], ids=["end", "error", "done"])
def test_until_the_first_payload_a_stream_is_no_answer(before: bytes, then: bytes) -> None:
    async def test() -> None:
        async with serving(replying(SSE + chunked(before + then or b": ") + b"0\r\n\r\n")) as (_, runtime):
            with pytest.raises(RuntimeFault) as caught:
                await runtime.stream(b"{}", deadline=soon())
            assert caught.value.status == (503 if then == ERROR else 0)

    run(test())


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"reasoning_content": "x"},
        {"reasoning": "x"},
        {"refusal": "no"},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]},
        {"audio": {"id": "a"}},
    ],
    ids=lambda delta: next(iter(delta)),
)
def test_any_payload_begins_the_answer_and_what_was_held_back_comes_first(delta: dict[str, object]) -> None:
    first = b"data: " + orjson.dumps({"choices": [{"index": 0, "delta": delta}]})

    async def script(peer: Peer) -> None:
        await peer.ask()
        await peer.say(SSE + chunked(ROLE))
        await peer.say(chunked(first + b"\n\n"))
        await peer.until_closed()

    async def test() -> None:
        async with serving(script) as (_, runtime):
            stream = await runtime.stream(b"{}", deadline=soon())
            assert list(await stream.together()) == [ROLE.strip(), first]
            await stream.aclose()

    run(test())


@pytest.mark.parametrize("kind", [b"application/json", b"text/plain", b"text/event-stream", b""])
@pytest.mark.parametrize("indent", [False, True])
def test_a_whole_answer_to_a_streamed_request_is_taken_as_a_stream(kind: bytes, indent: bool) -> None:
    body = orjson.dumps(WHOLE, option=orjson.OPT_INDENT_2 if indent else 0)
    headers = b"content-type: %b\r\n" % kind if kind else b""

    async def test() -> None:
        async with serving(replying(plain(body, headers=headers))) as (_, runtime):
            stream = await runtime.stream(b"{}", deadline=soon())
            assert assembled(await events_of(stream)) == {**WHOLE, "object": "chat.completion"}

    run(test())


@pytest.mark.parametrize("kind", [b"text/event-stream", b"application/json", b""])
@pytest.mark.parametrize("end", [DONE, b""])
def test_a_stream_to_a_plain_request_is_taken_as_the_answer_it_comes_to(kind: bytes, end: bytes) -> None:
    headers = b"content-type: %b\r\n" % kind if kind else b""

    async def test() -> None:
        async with serving(replying(plain(ROLE + CHUNK + END + end, headers=headers))) as (_, runtime):
            reply = await runtime.complete(b"{}", deadline=soon())
            assert reply.json["choices"][0]["message"]["content"] == "hi"
            assert orjson.loads(reply.body) == reply.json
        async with serving(replying(plain(ROLE + CHUNK, headers=headers))) as (_, runtime):
            assert (await fault_of(runtime)).kind == "transport"
        async with serving(replying(plain(ROLE + ERROR, headers=headers))) as (_, runtime):
            assert (await fault_of(runtime)).status == 503

    run(test())


@pytest.mark.parametrize("stream", [False, True])
def test_an_error_with_status_200_is_the_error_that_it_states(stream: bool) -> None:
    body = b'{"error":{"message":"Insufficient credits","code":402}}'

    async def test() -> None:
        async with serving(replying(plain(body))) as (_, runtime):
            fault = await fault_of(runtime, stream=stream)
            assert (fault.status, fault.means, fault.message) == (402, Refused.OUT_OF_CREDIT, "Insufficient credits")

    run(test())
