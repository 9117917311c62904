"""Large answers come whole, plain and streamed, also when several at once need more memory than they may hold together."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Running, running
from tests.stranger import STREAM, plain, stranger

TEXT = "All work and no play makes Jack a dull boy. " * 120_000


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Running]:
    """A gateway that may hold two megabytes of answers, before a runtime whose answers have five."""
    whole = plain({"role": "assistant", "content": TEXT})
    chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    deltas: list[Any] = [{"content": TEXT[at : at + 50_000]} for at in range(0, len(TEXT), 50_000)]
    choices = [{"index": 0, "delta": delta, "finish_reason": None} for delta in deltas]
    choices.append({"index": 0, "delta": {}, "finish_reason": "stop"})
    lines = [f"data: {json.dumps({**chunk, 'choices': [choice]})}" for choice in choices]
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
