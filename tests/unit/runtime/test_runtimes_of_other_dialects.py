"""Runtimes that speak Messages or Responses, over real HTTP: where they are asked, with what, and what their answers become."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from arbiter_app.dialects.wires import WIRES
from arbiter_app.pipeline.ports import Refused, Reply, RuntimeFault
from arbiter_app.runtime.assembler import StreamAssembler
from arbiter_app.runtime.client import HttpRuntime
from arbiter_app.runtime.clients import CLIENTS
from tests.bench.hops import Follower
from tests.stranger import STREAM, Said, Stranger, stranger
from tests.unit.dialects import test_messages_answers_become_chats as messages
from tests.unit.dialects import test_responses_answers_become_chats as responses

MESSAGES, RESPONSES = "anthropic-messages", "openai-responses"
ANSWERS = {MESSAGES: messages.message([messages.TEXT]), RESPONSES: responses.response([responses.said("Hello")])}
EVENTS = {
    MESSAGES: messages.events_of(ANSWERS[MESSAGES]),
    RESPONSES: responses.events_of(ANSWERS[RESPONSES]),
}
WHOLE_CHAT: dict[str, Any] = {
    "id": "c",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
}
CHAT = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "Hi"}], "seed": 4}
both = pytest.mark.parametrize("dialect", [MESSAGES, RESPONSES])


@pytest.fixture
def runtime() -> Iterator[Stranger]:
    with stranger() as one:
        yield one


def framed(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), json.dumps(event).encode())


def whole(dialect: str) -> Said:
    return 200, "application/json", json.dumps(ANSWERS[dialect]).encode()


def stream(events: list[dict[str, Any]]) -> Said:
    return 200, STREAM, b": hello\n\n" + b"".join(map(framed, events))


def refusal(status: int, kind: str, said: str, **more: Any) -> Said:
    return (
        status,
        "application/json",
        json.dumps({"type": "error", "error": {"type": kind, "message": said, **more}}).encode(),
    )


async def completed(
    runtime: Stranger, dialect: str, base: str = "", *, native: dict[str, str] | None = None, **options: Any
) -> Reply:
    client = CLIENTS[dialect](base or runtime.url, "secret-key-of-it", **options)
    try:
        return await client.complete(json.dumps(CHAT).encode(), deadline=time.monotonic() + 10, native=native)
    finally:
        await client.aclose()


async def streamed(runtime: Stranger, dialect: str) -> StreamAssembler:
    client: HttpRuntime = CLIENTS[dialect](runtime.url, "secret-key-of-it")
    chat = json.dumps({**CHAT, "stream": True}).encode()
    try:
        opened = await client.stream(chat, deadline=time.monotonic() + 10)
        assert opened.dropped == ("seed",)
        assembler = StreamAssembler()
        while not assembler.done and (events := await opened.together()):
            for event in events:
                assembler.feed(event)
        await opened.aclose()
        return assembler
    finally:
        await client.aclose()


def text_of(body: dict[str, Any]) -> str:
    told: str = body["choices"][0]["message"]["content"]
    return told


def test_every_dialect_of_a_catalog_has_a_client() -> None:
    assert CLIENTS.keys() == WIRES.keys() == {"openai-chat", MESSAGES, RESPONSES}


@both
def test_a_whole_answer(runtime: Stranger, dialect: str) -> None:
    runtime.say = lambda body: whole(dialect)
    reply = asyncio.run(completed(runtime, dialect))
    assert (text_of(reply.json), reply.dropped) == ("Hello", ("seed",))
    assert json.loads(reply.body) == reply.json
    path, headers = runtime.heads[0]
    if dialect == MESSAGES:
        assert (path, headers["x-api-key"]) == ("/v1/messages", "secret-key-of-it")
        assert (headers["anthropic-version"], "authorization" in headers) == ("2023-06-01", False)
    else:
        assert (path, headers["authorization"]) == ("/v1/responses", "Bearer secret-key-of-it")
    assert json.loads(runtime.heard[0])["model"] == "claude-sonnet-4-5"


@both
def test_a_base_without_a_version_is_asked_under_the_first(runtime: Stranger, dialect: str) -> None:
    runtime.say = lambda body: whole(dialect)
    asyncio.run(completed(runtime, dialect, runtime.url.removesuffix("/v1")))
    assert runtime.heads[0][0].startswith("/v1/")


def test_an_authorization_of_the_catalogs_own_stands_in_the_place_of_the_key(runtime: Stranger) -> None:
    runtime.say = lambda body: whole(MESSAGES)
    asyncio.run(completed(runtime, MESSAGES, headers={"authorization": "Bearer other", "anthropic-beta": "x"}))
    headers = runtime.heads[0][1]
    assert (headers["authorization"], headers["anthropic-beta"]) == ("Bearer other", "x")
    assert ("x-api-key" in headers, headers["anthropic-version"]) == (False, "2023-06-01")


@both
@pytest.mark.parametrize("form", ["stream", "whole"])
def test_a_stream_or_what_comes_in_its_place(runtime: Stranger, dialect: str, form: str) -> None:
    runtime.say = lambda body: stream(EVENTS[dialect]) if form == "stream" else whole(dialect)
    assembler = asyncio.run(streamed(runtime, dialect))
    assert (assembler.done, text_of(assembler.body())) == (True, "Hello")
    assert json.loads(runtime.heard[0])["stream"] is True


@both
def test_a_stream_in_the_place_of_a_whole_answer(runtime: Stranger, dialect: str) -> None:
    runtime.say = lambda body: stream(EVENTS[dialect])
    assert text_of(asyncio.run(completed(runtime, dialect)).json) == "Hello"


@both
def test_a_chat_completion_where_the_runtime_speaks_that_after_all(runtime: Stranger, dialect: str) -> None:
    assert text_of(asyncio.run(completed(runtime, dialect)).json) == "Paris."


@both
def test_an_answer_in_no_known_shape_is_a_fault(runtime: Stranger, dialect: str) -> None:
    for body in (b'{"id":"x"}', b"[]", b"null"):
        runtime.say = lambda _, body=body: (200, "application/json", body)  # type: ignore[misc]
        with pytest.raises(RuntimeFault) as caught:
            asyncio.run(completed(runtime, dialect))
        assert caught.value.kind == "protocol"


def test_an_error_before_the_first_word_is_a_fault_so_that_others_are_asked(runtime: Stranger) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    runtime.say = lambda body: stream([*EVENTS[MESSAGES][:2], error])
    with pytest.raises(RuntimeFault) as caught:
        asyncio.run(streamed(runtime, MESSAGES))
    assert caught.value.means is Refused.OVERLOADED
    runtime.say = lambda body: stream(EVENTS[RESPONSES][:2])
    with pytest.raises(RuntimeFault) as caught:
        asyncio.run(streamed(runtime, RESPONSES))


@pytest.mark.parametrize(
    ("said", "means"),
    [
        (refusal(401, "authentication_error", "invalid x-api-key"), Refused.KEY),
        (refusal(402, "billing_error", "There is a problem with your billing."), Refused.OUT_OF_CREDIT),
        (
            refusal(400, "invalid_request_error", "Your credit balance is too low to access the API."),
            Refused.OUT_OF_CREDIT,
        ),
        (refusal(403, "permission_error", "Your API key does not have permission."), Refused.KEY),
        (refusal(404, "not_found_error", "model: claude-9"), Refused.GONE),
        (refusal(413, "request_too_large", "Request exceeds the maximum size"), Refused.TOO_LONG),
        (refusal(429, "rate_limit_error", "This request would exceed your rate limit."), Refused.RATE_LIMITED),
        (refusal(529, "overloaded_error", "Overloaded"), Refused.OVERLOADED),
        (refusal(500, "api_error", "Internal server error"), Refused.BROKEN),
        (refusal(504, "timeout_error", "Request timed out"), Refused.BROKEN),
        (
            refusal(400, "invalid_request_error", "prompt is too long: 210000 tokens > 200000 maximum"),
            Refused.TOO_LONG,
        ),
        (
            refusal(400, "invalid_request_error", "messages.1.content.0: Invalid `signature` in `thinking` block"),
            Refused.FOREIGN,
        ),
        (
            refusal(
                400,
                "invalid_request_error",
                "max_tokens: 99999 > 8192, which is the maximum allowed number of output tokens for m",
            ),
            Refused.UNSUPPORTED,
        ),
        (
            refusal(400, "invalid_request_error", "tools.0.name: String should match pattern"),
            Refused.INVALID,
        ),
    ],
)
def test_what_a_runtime_of_messages_refuses_means_what_it_says(runtime: Stranger, said: Said, means: Refused) -> None:
    runtime.say = lambda body: said
    with pytest.raises(RuntimeFault) as caught:
        asyncio.run(completed(runtime, MESSAGES))
    assert (caught.value.means, caught.value.status) == (means, said[0])
    assert caught.value.message == json.loads(said[2])["error"]["message"]


def test_its_list_of_models_is_read(runtime: Stranger) -> None:
    rows = [
        {"type": "model", "id": "claude-sonnet-4-5", "display_name": "Sonnet", "created_at": "2025-09-29T00:00:00Z"}
    ]
    runtime.listing = lambda: (200, "application/json", json.dumps({"data": rows, "has_more": False}).encode())

    async def listed() -> list[dict[str, Any]]:
        client = CLIENTS[MESSAGES](runtime.url, "secret-key-of-it")
        try:
            return list(await client.models())
        finally:
            await client.aclose()

    assert [row["id"] for row in asyncio.run(listed())] == ["claude-sonnet-4-5"]


LONG = "So it is. " * 300_000


def long_answer(dialect: str) -> dict[str, Any]:
    if dialect == MESSAGES:
        return messages.message([{"type": "text", "text": LONG}])
    return responses.response([responses.said(LONG)])


@both
def test_a_large_answer_in_the_callers_dialect_passes_in_the_pieces_that_it_came_in(
    runtime: Stranger, dialect: str
) -> None:
    body = json.dumps(long_answer(dialect)).encode()
    runtime.say = lambda _: (200, "application/json", body)
    reply = asyncio.run(completed(runtime, dialect, native={}))
    assert not reply.body and len(reply.native) > 1 and b"".join(reply.native) + b"}" == body
    assert reply.json["choices"][0]["finish_reason"] == "stop" and reply.json["usage"]["total_tokens"]
    asked_of_a_chat = asyncio.run(completed(runtime, dialect))
    assert asked_of_a_chat.json["choices"][0]["message"]["content"] == LONG and not asked_of_a_chat.native


@pytest.mark.parametrize("odd", ["translated", "no JSON", "many parts", "ours"])
def test_a_large_answer_that_has_to_be_looked_at_is_not_read_on_the_event_loop(runtime: Stranger, odd: str) -> None:
    dialect, answer = "openai-chat", WHOLE_CHAT
    if odd == "translated":
        dialect, answer = MESSAGES, long_answer(MESSAGES)
    elif odd == "no JSON":
        answer = {**answer, "score": float("nan"), "note": LONG}
    elif odd == "many parts":
        answer = {**answer, "notes": [f"note {at}" for at in range(100_000)]}
    else:
        answer = {**answer, "arbiter": {"model": "forged"}, "note": LONG}
    runtime.say = lambda _: (200, "application/json", json.dumps(answer).encode())
    follower = Follower()

    async def followed() -> Reply:
        sys.setprofile(follower)
        try:
            return await completed(runtime, dialect)
        finally:
            sys.setprofile(None)

    assert asyncio.run(followed()).json["choices"]
    called = {name for _, name in follower.hops}
    assert "HttpRuntime.complete" in called and called.isdisjoint(
        {"joined", "answered", "hide_bytes", "reply_of", "translated"}
    )
