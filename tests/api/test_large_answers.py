"""Large answers come whole, plain and streamed, also when several at once need more memory than they may hold together."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.conftest import Running, running
from tests.stranger import STREAM, Stranger, chunk, plain, stranger
from tests.stranger import stream as streamed

TEXT = "All work and no play makes Jack a dull boy. " * 120_000


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Running]:
    """A gateway that may hold two megabytes of answers, before a runtime whose answers have five."""
    whole = plain({"role": "assistant", "content": TEXT})
    head = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas: list[Any] = [{"content": TEXT[at : at + 50_000]} for at in range(0, len(TEXT), 50_000)]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    lines = [f"data: {json.dumps({**head, 'choices': [choice]})}" for choice in choices]
    streamed = 200, STREAM, "\n\n".join([*lines, "data: [DONE]", ""]).encode()
    with stranger() as runtime:
        runtime.say = lambda body: streamed if b'"stream":true' in body.replace(b" ", b"") else whole
        settings = {**runtime.settings, "ARBITER_MAX_ANSWERS_BYTES": "2000000", "ARBITER_JUDGE_SAMPLE": "0"}
        with running(tmp_path, **settings) as one:
            yield one


def test_large_answers_come_whole_and_are_not_graded(gateway: Running) -> None:
    with ThreadPoolExecutor(6) as callers:
        answers = list(callers.map(lambda at: gateway.chat(f"Tell me tale {at}", stream=at % 2 == 1), range(6)))
    assert [one.status_code for one in answers] == [200] * 6
    for at, one in enumerate(answers):
        if at % 2 == 0:
            body = one.json()
            assert body["choices"][0]["message"]["content"] == TEXT
            assert body["arbiter"]["quality"] is None
        else:
            chunks = [json.loads(line[6:]) for line in one.text.splitlines() if line.startswith("data: {")]
            assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks) == TEXT
            assert "arbiter" in chunks[-1]
    held = gateway.arbiter.runtime._budget.held
    assert held == 0


def test_large_streams_come_whole_in_other_dialects(gateway: Running) -> None:
    said = {"stream": True, "arbiter_no_cache": True}
    events = told(gateway.http.post("/v1/responses", json={"input": "Tell me a tale", **said}).text)
    assert "".join(one["delta"] for one in events if one["type"] == "response.output_text.delta") == TEXT
    assert events[-1]["type"] == "response.completed"
    assert events[-1]["response"]["output"][0]["content"][0]["text"] == TEXT
    asked = {"messages": [{"role": "user", "content": "Tell me a tale"}], "max_tokens": 100, **said}
    events = told(gateway.http.post("/v1/messages", json=asked).text)
    assert "".join(one["delta"]["text"] for one in events if one["type"] == "content_block_delta") == TEXT
    assert events[-1]["type"] == "message_stop"


def told(stream: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in stream.splitlines() if line.startswith("data: {")]


CATALOG = """
[runtimes.claude]
base_url = "{claude}"
dialect = "anthropic-messages"
key_env = "CLAUDE_KEY"

[models."deepseek-v4"]
input = 0.5
output = 1.5
context = 128_000

[models."claude-sonnet"]
input = 3
output = 15
context = 128_000
[[models."claude-sonnet".deployments]]
runtime = "claude"
"""
LONGEST_STEP_S, LONGEST_STEP, TRIES = 0.035, 1.2, 12
"""Of the event loop's CPU time: so long, or in times that reading and writing the answer twice (30 ms) takes just then, where that is more.

Twelve megabytes hold the loop for 11 to 16 ms as they come and go, for 25 in a process that has had a thousand tests; translated on it, for
52 and more.
"""


def read_and_written_s(answer: bytes) -> float:
    """The CPU time of reading and writing an answer twice, just then."""
    before = time.thread_time()
    orjson.dumps(orjson.loads(orjson.dumps(orjson.loads(answer))))
    return time.thread_time() - before


def over_both(directory: Path, runtime: Stranger, claude: Stranger) -> AbstractContextManager[Running]:
    """An Arbiter over a runtime of chats and one of Messages."""
    catalog = directory / "catalog.toml"
    catalog.write_text(CATALOG.format(claude=claude.url))
    parts = dict.fromkeys(("BASELINE_MODEL", "ARBITER_CLASSIFIER_MODEL", "ARBITER_JUDGE_MODEL"), "deepseek-v4")
    own = {"ARBITER_CATALOG": str(catalog), "CLAUDE_KEY": "key-of-claude-0123", "ARBITER_JUDGE_SAMPLE": "0"}
    return running(directory, **runtime.settings, **parts, **own)


def test_large_answers_are_translated_beside_the_event_loop(tmp_path: Path) -> None:
    text = "All work and no play makes Jack a dull boy. " * 280_000
    block = {"type": "text", "text": text}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [block]}
    message |= {"stop_reason": "end_turn", "usage": {"input_tokens": 5, "output_tokens": 2}}
    chat, translated = plain({"role": "assistant", "content": text}), json.dumps(message).encode()
    with stranger() as runtime, stranger() as claude:
        runtime.say, claude.say = lambda body: chat, lambda body: (200, "application/json", translated)
        with over_both(tmp_path, runtime, claude) as over:
            for path, model in (
                ("/v1/messages", "deepseek-v4"),
                ("/v1/responses", "deepseek-v4"),
                ("/v1/chat/completions", "claude-sonnet"),
                ("/v1/responses", "claude-sonnet"),
            ):
                asked: Any = {"messages": [{"role": "user", "content": "Tell me a tale"}], "max_tokens": 100}
                asked = {"input": "Tell me a tale"} if path.endswith("responses") else asked
                asked |= {"arbiter_pin": model, "arbiter_no_cache": True}

                def ask(path: str = path, asked: Any = asked) -> None:
                    answer = over.http.post(path, json=asked, headers={"x-arbiter-task": "open"})
                    assert answer.status_code == 200 and text[:1_000] in answer.text and len(answer.content) > len(text)

                held = []
                while not held or (held[-1] >= 1 and len(held) < TRIES):
                    longest = max(LONGEST_STEP_S, LONGEST_STEP * read_and_written_s(translated))
                    held.append(over.longest_step_s(ask) / longest)
                assert held[-1] < 1, f"{path} of {model} held the event loop: {held} times as long as it may"


def test_large_events_of_a_stream_take_turns(tmp_path: Path) -> None:
    """Each of seven megabytes, which held the loop for 50 ms and more."""
    text = "All work and no play makes Jack a dull boy. " * 160_000
    start: dict[str, Any] = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": []}
    start |= {"stop_reason": None, "stop_sequence": None, "usage": {"input_tokens": 5, "output_tokens": 1}}
    block, delta = {"type": "text", "text": ""}, {"type": "text_delta", "text": text}
    ended = {"delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": {"output_tokens": 2}}
    events = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": block},
        *[{"type": "content_block_delta", "index": 0, "delta": delta}] * 3,
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", **ended},
        {"type": "message_stop"},
    ]
    typed = b"".join(b"event: %b\ndata: %b\n\n" % (str(one["type"]).encode(), orjson.dumps(one)) for one in events)
    chats = streamed(*[chunk({"content": text})] * 3, chunk({}, "stop"))
    with stranger() as runtime, stranger() as claude:
        runtime.say, claude.say = lambda body: chats, lambda body: (200, STREAM, typed)
        with over_both(tmp_path, runtime, claude) as over:
            for path, model in (
                ("/v1/chat/completions", "deepseek-v4"),
                ("/v1/chat/completions", "claude-sonnet"),
                ("/v1/messages", "claude-sonnet"),
            ):
                asked: Any = {"messages": [{"role": "user", "content": "Tell me a tale"}], "max_tokens": 100}
                asked |= {"arbiter_pin": model, "arbiter_no_cache": True, "stream": True}

                def ask(path: str = path, asked: Any = asked) -> None:
                    answer = over.http.post(path, json=asked, headers={"x-arbiter-task": "open"})
                    assert answer.status_code == 200 and answer.content.count(text.encode()) == 3

                held = []
                while not held or (held[-1] >= 1 and len(held) < TRIES):
                    longest = max(LONGEST_STEP_S, LONGEST_STEP * read_and_written_s(orjson.dumps(text)))
                    held.append(over.longest_step_s(ask) / longest)
                assert held[-1] < 1, f"{path} of {model} held the event loop: {held} times as long as it may"
