"""Runtimes that say nothing, stop, or drip, under every dialect: bounded in time, told in the caller's dialect, and nobody waits on.

While a model is silent in mid-stream, its caller gets a sign of life.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import anthropic
import openai
import pytest

from tests.api import test_every_dialect_over_every_runtime as dialects
from tests.api.test_every_dialect_over_every_runtime import CHAT, MESSAGES, MODELS, RESPONSES
from tests.api.test_streams_cut_anywhere import FRONTS, PATHS, STREAMS, asked, ends_whole
from tests.conftest import OPERATOR, Running, running
from tests.raw_runtime import EVENTS, HEAD, UNTIL_CLOSED, RawRuntime, raw_runtime, silent, waiting
from tests.stranger import stranger
from tests.waiting import FAR_S, PATIENCE_S

DRIP_S = 0.1
REQUEST_S, SILENCE_S, PING_S = 2.5, 1.5, 0.1
REQUEST, SILENCE = "REQUEST_TIMEOUT", ("ARBITER_FIRST_BYTE_TIMEOUT_S", "ARBITER_GAP_TIMEOUT_S")
"""Settings of the bounds: on a whole request, and on a runtime's silence."""
EMBEDDINGS = "openai-embeddings"
JSON_HEAD = HEAD + b"content-type: application/json\r\ncontent-length: 500\r\n\r\n"
STREAM_HEAD = EVENTS + UNTIL_CLOSED
FIRST = {
    CHAT: STREAMS[CHAT].index(b"\n\n") + 2,
    MESSAGES: STREAMS[MESSAGES].index(b"\n\n", STREAMS[MESSAGES].index(b"_delta")) + 2,
    RESPONSES: STREAMS[RESPONSES].index(b"\n\n", STREAMS[RESPONSES].index(b".delta")) + 2,
}
"""Where the event ends with which an answer begins."""


@pytest.fixture(scope="module")
def runtime() -> Iterator[RawRuntime]:
    with raw_runtime() as one:
        yield one


@contextmanager
def bounded(runtime: RawRuntime, directory: Path, **near: float) -> Iterator[Running]:
    """A gateway of which these bounds alone are near: no other can be what ends a request, however busy the machine is."""
    path = directory / "catalog.toml"
    path.write_text(dialects.CATALOG.format(claude=runtime.url, gpt=runtime.url))
    parts = dict.fromkeys(("BASELINE_MODEL", "ARBITER_CLASSIFIER_MODEL", "ARBITER_JUDGE_MODEL"), MODELS[CHAT])
    quiet = {"ARBITER_JUDGE_SAMPLE": "0", "ARBITER_CASCADE": "0", "ARBITER_CATALOG": str(path)}
    rests = {"ARBITER_QUARANTINE_S": "1e-9", "ARBITER_QUARANTINE_MAX_S": "1e-9", "CLAUDE_KEY": "k", "GPT_KEY": "k"}
    times = {name: str(near.get(name, FAR_S)) for name in (REQUEST, *SILENCE)}
    times["ARBITER_PING_S"] = str(PING_S)
    with stranger() as lists:
        settings = {**lists.settings, **parts, **quiet, **rests, **times, "BTL_BASE_URL": runtime.url}
        with running(directory, **settings) as one:
            yield one


@pytest.fixture(scope="module")
def over(runtime: RawRuntime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Neither bound is near."""
    with bounded(runtime, tmp_path_factory.mktemp("patient")) as one:
        yield one


@pytest.fixture(scope="module")
def hurried(runtime: RawRuntime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A whole request has little time."""
    with bounded(runtime, tmp_path_factory.mktemp("hurried"), **{REQUEST: REQUEST_S}) as one:
        yield one


@pytest.fixture(scope="module")
def wary(runtime: RawRuntime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A runtime may not be silent for long."""
    with bounded(runtime, tmp_path_factory.mktemp("wary"), **dict.fromkeys(SILENCE, SILENCE_S)) as one:
        yield one


@pytest.fixture(autouse=True)
def fresh(runtime: RawRuntime) -> None:
    runtime.asked.clear()
    runtime.gone.clear()


def body_of(front: str, wire: str, *, streamed: bool) -> dict[str, Any]:
    if front == EMBEDDINGS:
        return {"model": MODELS[wire], "input": "x"}
    body = asked(front, wire)
    if not streamed:
        body |= {"stream": False}
        body.pop("stream_options", None)
    return body


def post(over: Running, front: str, body: dict[str, Any]) -> tuple[int, str, float]:
    """Status, text and the seconds it took."""
    client, began = http.client.HTTPConnection(over.url.removeprefix("http://"), timeout=PATIENCE_S), time.monotonic()
    try:
        path = "/v1/embeddings" if front == EMBEDDINGS else PATHS[front]
        client.request("POST", path, json.dumps(body), {"authorization": f"Bearer {OPERATOR}"})
        answer = client.getresponse()
        return answer.status, answer.read().decode(), time.monotonic() - began
    finally:
        client.close()


def dripping(begun: bytes, drop: bytes) -> Any:
    """One drop now and then, until nobody takes them."""

    def say(head: bytes, body: bytes, out: BinaryIO) -> None:
        out.write(begun)
        while True:
            out.write(drop)
            threading.Event().wait(DRIP_S)

    return say


CELLS = [(front, wire) for front in FRONTS for wire in dialects.FRONTS]


def all_of(over: Running, cells: list[tuple[str, str]], *, streamed: bool) -> list[tuple[str, str, int, str, float]]:
    """What each is answered, at once: front, wire, status, text and seconds."""

    def one(cell: tuple[str, str]) -> tuple[str, str, int, str, float]:
        return (*cell, *post(over, cell[0], body_of(*cell, streamed=streamed)))

    with ThreadPoolExecutor(len(cells)) as pool:
        return list(pool.map(one, cells))


@pytest.mark.parametrize("how", ["nothing", "head", "drip"])
def test_a_plain_answer_that_does_not_come_ends_at_the_deadline(
    hurried: Running, runtime: RawRuntime, how: str
) -> None:
    runtime.say = {"nothing": silent, "head": waiting(JSON_HEAD), "drip": dripping(JSON_HEAD, b" ")}[how]
    for front, wire, status, text, took_s in all_of(hurried, [*CELLS, (EMBEDDINGS, CHAT)], streamed=False):
        assert status == 504 and took_s > REQUEST_S - 0.1, (front, wire, text)
        assert "message" in json.loads(text)["error"]


@pytest.mark.parametrize("how", ["nothing", "head", "comments"])
def test_a_stream_that_does_not_begin_is_an_error_with_its_status(
    hurried: Running, wary: Running, runtime: RawRuntime, how: str
) -> None:
    drips = dripping(STREAM_HEAD, b": still at work\n\n")
    runtime.say = {"nothing": silent, "head": waiting(STREAM_HEAD), "comments": drips}[how]
    near, bound_s = (hurried, REQUEST_S) if how == "comments" else (wary, SILENCE_S)
    for front, wire, status, text, took_s in all_of(near, CELLS, streamed=True):
        assert status == 504 and took_s > bound_s - 0.1, (front, wire, text)
        assert "message" in json.loads(text)["error"]


@pytest.mark.parametrize("how", ["stall", "drip"])
@pytest.mark.parametrize("wire", dialects.FRONTS)
def test_a_stream_that_stops_ends_in_an_error_of_its_callers_dialect(
    hurried: Running, wary: Running, runtime: RawRuntime, wire: str, how: str
) -> None:
    begun = STREAM_HEAD + STREAMS[wire][: FIRST[wire]]
    runtime.say = waiting(begun) if how == "stall" else dripping(begun + b"data: {", b" ")
    near, bound_s = (wary, SILENCE_S) if how == "stall" else (hurried, REQUEST_S)
    for front, _, status, text, took_s in all_of(near, [(front, wire) for front in FRONTS], streamed=True):
        assert status == 200 and took_s > bound_s - 0.1, (front, text)
        assert ends_whole(front, text) is False


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(("front", "wire"), [*CELLS, (EMBEDDINGS, CHAT)])
def test_a_caller_who_hangs_up_is_noticed_and_its_runtime_let_go(
    over: Running, runtime: RawRuntime, front: str, wire: str, streamed: bool
) -> None:
    begun = STREAM_HEAD + STREAMS[wire][: FIRST[wire]]
    runtime.say = waiting(begun) if streamed and front != EMBEDDINGS else silent
    client = http.client.HTTPConnection(over.url.removeprefix("http://"), timeout=PATIENCE_S)
    path = "/v1/embeddings" if front == EMBEDDINGS else PATHS[front]
    body = json.dumps(body_of(front, wire, streamed=streamed))
    client.request("POST", path, body, {"authorization": f"Bearer {OPERATOR}"})
    assert runtime.asked.wait(PATIENCE_S)
    assert client.sock is not None
    client.sock.close()
    client.close()
    assert runtime.gone.wait(PATIENCE_S)


@pytest.mark.parametrize(("front", "wire"), CELLS)
def test_a_caller_gets_signs_of_life_while_its_model_is_silent(
    over: Running, runtime: RawRuntime, front: str, wire: str
) -> None:
    whole, enough = STREAMS[wire], threading.Event()

    def say(head: bytes, body: bytes, out: BinaryIO) -> None:
        out.write(STREAM_HEAD + whole[: FIRST[wire]])
        enough.wait(PATIENCE_S)
        out.write(whole[FIRST[wire] :])

    runtime.say = say
    client = http.client.HTTPConnection(over.url.removeprefix("http://"), timeout=PATIENCE_S)
    try:
        client.request("POST", PATHS[front], json.dumps(asked(front, wire)), {"authorization": f"Bearer {OPERATOR}"})
        answer, text, pings = client.getresponse(), "", 0
        while line := answer.readline().decode():
            text += line
            pings += is_ping(front, line)
            if pings >= 3:
                enough.set()
    finally:
        client.close()
    assert enough.is_set(), text
    assert ends_whole(front, text)


def is_ping(front: str, line: str) -> bool:
    if front == MESSAGES:
        return line == "event: ping\n"
    if front == RESPONSES:
        return line == ": ping\n"
    return (
        '"delta":{},"finish_reason":null' in line or '"text":"","index":0,"logprobs":null,"finish_reason":null' in line
    )


def test_the_official_clients_take_them(over: Running, runtime: RawRuntime) -> None:
    def say(head: bytes, body: bytes, out: BinaryIO) -> None:
        whole = STREAMS[CHAT]
        out.write(STREAM_HEAD + whole[: FIRST[CHAT]])
        threading.Event().wait(3 * PING_S)
        out.write(whole[FIRST[CHAT] :])

    runtime.say = say
    chat = openai.OpenAI(base_url=f"{over.url}/v1", api_key=OPERATOR, max_retries=0)
    claude = anthropic.Anthropic(base_url=over.url, api_key=OPERATOR, max_retries=0)
    messages: Any = [{"role": "user", "content": dialects.ASK}]
    pin = {"arbiter_pin": MODELS[CHAT]}
    with chat, claude:
        chunks = chat.chat.completions.create(model="auto", messages=messages, stream=True, extra_body=pin)
        assert "".join(one.choices[0].delta.content or "" for one in chunks) == "I look."
        texts = chat.completions.create(model="auto", prompt=dialects.ASK, stream=True, extra_body=pin)
        assert "".join(one.choices[0].text for one in texts) == "I look."
        with chat.responses.stream(model="auto", input=dialects.ASK, extra_body=pin) as response:
            assert response.get_final_response().output_text == "I look."
        with claude.messages.stream(model="auto", messages=messages, max_tokens=50, extra_body=pin) as message:
            assert message.get_final_text() == "I look."
