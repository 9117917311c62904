"""A runtime that dies at any byte of its stream: the caller gets a stream of its own dialect that says so, and nothing is learned.

Of a recorded stream of each runtime's dialect those bytes are its last in turn where an event ends or begins, and many between; callers'
dialects and ways to die take turns.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import anthropic
import pytest
from anthropic.lib.streaming._messages import accumulate_event
from openai.types import Completion
from openai.types.chat import ChatCompletionChunk
from openai.types.responses import ResponseStreamEvent

from tests.api import test_every_dialect_over_every_runtime as dialects
from tests.api.test_every_dialect_over_every_runtime import CHAT, MESSAGES, MODELS, RESPONSES, Answer, Case
from tests.conftest import OPERATOR, Running, running
from tests.raw_runtime import EVENTS, UNTIL_CLOSED, RawRuntime, raw_runtime
from tests.sdk_types import adapter
from tests.stranger import stranger
from tests.waiting import PATIENCE_S

TEXTS = "openai-completions"
FRONTS = [*dialects.FRONTS, TEXTS]
PATHS = {**dialects.PATHS, TEXTS: "/v1/completions"}
ANSWER = Answer("I look.", dialects.THOUGHT, 1)
STREAMS = {wire: dialects.said_by(wire, ANSWER, streamed=True)[2] for wire in dialects.FRONTS}
FINISH = {
    CHAT: b'"finish_reason": "tool_calls"',
    MESSAGES: b'"type": "message_delta"',
    RESPONSES: b"response.completed",
}
DEATHS = ("closed", "cut", "chunked")


def finished_at(wire: str) -> int:
    """How many bytes of its stream say that the answer is finished: to the end of the data of that event."""
    stream = STREAMS[wire]
    return stream.index(b"\n\n", stream.rindex(FINISH[wire]))


def lasts(wire: str) -> list[int]:
    """After how many bytes it dies."""
    stream = STREAMS[wire]
    edges = [at + off for at in range(len(stream)) if stream.startswith(b"\n\n", at) for off in range(-3, 6)]
    between = range(0, len(stream), max(1, len(stream) // 701))
    return sorted({at for at in (*edges, *between) if at <= len(stream)})


def dying_after(wire: str, until: int, death: str) -> Callable[[bytes, bytes, BinaryIO], None]:
    """Sends so much of a stream, and dies: in good order (an answer without a length), or amidst of it."""
    whole = STREAMS[wire]

    def say(head: bytes, body: bytes, out: BinaryIO) -> None:
        framed = {
            "closed": UNTIL_CLOSED,
            "cut": b"content-length: %d\r\n\r\n" % (len(whole) + 1),
            "chunked": b"transfer-encoding: chunked\r\n\r\n%x\r\n" % (len(whole) + 1),
        }
        out.write(EVENTS + framed[death] + whole[:until])

    return say


@pytest.fixture(scope="module")
def dying() -> Iterator[RawRuntime]:
    with raw_runtime() as one:
        yield one


@pytest.fixture(scope="module")
def over(dying: RawRuntime, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("cut")
    path: Path = directory / "catalog.toml"
    path.write_text(dialects.CATALOG.format(claude=dying.url, gpt=dying.url))
    parts = dict.fromkeys(("BASELINE_MODEL", "ARBITER_CLASSIFIER_MODEL", "ARBITER_JUDGE_MODEL"), MODELS[CHAT])
    quiet = {"ARBITER_JUDGE_SAMPLE": "0", "ARBITER_CASCADE": "0", "ARBITER_CATALOG": str(path)}
    rests = {"ARBITER_QUARANTINE_S": "1e-9", "ARBITER_QUARANTINE_MAX_S": "1e-9", "CLAUDE_KEY": "k", "GPT_KEY": "k"}
    with stranger() as lists:
        settings = {**lists.settings, **parts, **quiet, **rests, "BTL_BASE_URL": dying.url}
        with running(directory, **settings) as one:
            yield one


def asked(front: str, wire: str) -> dict[str, Any]:
    if front == TEXTS:
        return {"prompt": dialects.ASK, "stream": True, "arbiter_pin": MODELS[wire], "arbiter_no_cache": True}
    return dialects.asked_by(front, wire, Case(ANSWER, streamed=True, asked=dialects.TOOLS))


def events_of(text: str) -> list[str]:
    """The data of the events, each complete."""
    assert text.endswith("\n\n")
    return [
        "\n".join(line[6:] for line in one.split("\n") if line.startswith("data: ")) for one in text[:-2].split("\n\n")
    ]


def ends_whole(front: str, text: str) -> bool:
    """Whether a stream, which is valid in its dialect, ends as a whole answer does; else in one error, the last event."""
    events = events_of(text)
    if front in (CHAT, TEXTS):
        whole = events[-1] == "[DONE]"
        frames = [json.loads(one) for one in (events[:-1] if whole else events)]
        for one in frames if whole else frames[:-1]:
            if front == TEXTS:  # its type does not know that streams have null here
                one["choices"] = [
                    {**choice, "finish_reason": choice["finish_reason"] or "stop"} for choice in one["choices"]
                ]
            (ChatCompletionChunk if front == CHAT else Completion).model_validate(one)
        assert whole or frames[-1].keys() == {"error"} and isinstance(frames[-1]["error"]["message"], str)
        assert not any("error" in one for one in (frames if whole else frames[:-1]))
        return whole
    told = [json.loads(one) for one in events]
    return (_message if front == MESSAGES else _response)(told)


def _message(told: list[dict[str, Any]]) -> bool:
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    open_block, blocks = None, 0
    for one in told[:-1] if told[-1]["type"] == "error" else told:
        if one["type"] == "ping":
            continue
        if one["type"] == "content_block_start":
            assert open_block is None and one["index"] == blocks
            open_block, blocks = blocks, blocks + 1
        elif one["type"].startswith("content_block"):
            assert one["index"] == open_block
            open_block = None if one["type"] == "content_block_stop" else open_block
        event = adapter(anthropic.types.RawMessageStreamEvent).validate_python(one)
        snapshot = accumulate_event(
            event=event, current_snapshot=snapshot, json_bufs=buffers, output_format=anthropic.NOT_GIVEN
        )
    if told[-1]["type"] == "error":
        assert isinstance(told[-1]["error"]["message"], str) and told[-1]["error"]["type"] in (
            "api_error",
            "timeout_error",
        )
        return False
    assert told[-1]["type"] == "message_stop" and open_block is None
    return True


def _response(told: list[dict[str, Any]]) -> bool:
    for number, one in enumerate(told):
        adapter(ResponseStreamEvent).validate_python(one)
        assert one["sequence_number"] == number
    if told[-1]["type"] == "error":
        assert told[-2]["type"] == "response.failed" and told[-2]["response"]["status"] == "failed"
        return False
    assert told[-1]["type"] == "response.completed"
    return True


@pytest.mark.parametrize("wire", dialects.FRONTS)
def test_any_byte_of_a_stream_may_be_its_last(
    over: Running, dying: RawRuntime, wire: str, request: pytest.FixtureRequest
) -> None:
    over.http.post("/v1/reset")
    end = finished_at(wire)
    whole = 0
    client = http.client.HTTPConnection(over.url.removeprefix("http://"), timeout=PATIENCE_S)
    request.addfinalizer(client.close)
    bodies = {front: json.dumps(asked(front, wire)) for front in FRONTS}
    for at, until in enumerate(lasts(wire)):
        front, death = FRONTS[at % 4], DEATHS[at % 3]
        # An event counts without its blank line where the stream ends in good order.
        finished = until >= (end if death == "closed" else end + len("\n\n"))
        dying.say = dying_after(wire, until, death)
        client.request("POST", PATHS[front], bodies[front], {"authorization": f"Bearer {OPERATOR}"})
        answer = client.getresponse()
        text = answer.read().decode()
        case = f"{front} over {wire}, {death} after {until} bytes: {text[-600:]}"
        if answer.status == 200:
            assert ends_whole(front, text) == finished, case
            whole += finished
        else:
            assert answer.status == 502 and not finished and "message" in json.loads(text)["error"], case
    calls = sum(stats.calls for _, _, stats in over.arbiter.policy.rows())
    assert calls == whole > 0
