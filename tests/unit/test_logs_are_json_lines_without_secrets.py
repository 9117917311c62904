"""One JSON object a line, with the request id; no secret and, unless asked for, no prompt."""

from __future__ import annotations

import io
import json
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from arbiter_app import logs
from tests.waiting import PATIENCE_S

KEY = "arb_" + "k3y9" * 12
Read = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def log() -> Iterator[tuple[logging.Logger, Callable[..., Read]]]:
    """The product's logger, and a way to set it up that returns how to read what was written."""
    root, arbiter = logging.getLogger(), logging.getLogger("arbiter")
    before = root.handlers[:], root.level, arbiter.level
    writers: list[logs.BackgroundWriter] = []

    def set_up(**how: Any) -> Read:
        stream = io.StringIO()
        writers.append(logs.set_up("info", stream=stream, **{"content": False, **how}))

        def read() -> list[dict[str, Any]]:
            writers[-1].flush()
            return [json.loads(line) for line in stream.getvalue().splitlines()]

        return read

    yield arbiter, set_up
    logging.captureWarnings(False)
    root.handlers[:], root.level, arbiter.level = before


def test_every_line_is_one_json_object_with_its_request(log):
    logger, set_up = log
    read = set_up()
    token = logs.request_id.set("req_1")
    logger.warning("two\nlines", extra={"model": "gpt-4o", "cost_pico": 12})
    logs.request_id.reset(token)
    logger.info("later")
    first, second = read()
    assert first["message"] == "two\nlines" and first["level"] == "warning" and first["ts"] > 1.7e9
    assert (first["request_id"], first["model"], first["cost_pico"]) == ("req_1", "gpt-4o", 12)
    assert "request_id" not in second


def test_an_exception_is_part_of_its_line(log):
    logger, set_up = log
    read = set_up()
    try:
        raise RuntimeError(f"refused {KEY}")
    except RuntimeError:
        logger.exception("failed")
    (line,) = read()
    assert "RuntimeError: refused [redacted]" in line["exception"]


@pytest.mark.parametrize(
    "text",
    [
        f"key {KEY} was refused",
        "sk-proj-abcdEFGH1234",
        "Authorization: Bearer abc.def",
        "http://user:hunter2@127.0.0.1/v1",
        "AIzaSyA1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8",
        "the operator's own word: opensesame",
    ],
)
def test_secrets_never_reach_a_line(log, text):
    logger, set_up = log
    read = set_up(secrets=["opensesame"])
    logger.warning(
        text, extra={"headers": {"note": text, "Authorization": "plain"}, "api_key": "plain", "list": [text]}
    )
    (line,) = read()
    written = json.dumps(line)
    assert "[redacted]" in line["message"] and "plain" not in written
    for secret in (KEY, "abcdEFGH1234", "abc.def", "hunter2", "AIzaSyA1", "opensesame"):
        assert secret not in written


def test_ordinary_words_stay_readable(log):
    logger, set_up = log
    read = set_up()
    text = "deepseek-v4-flash answered d_0123456789abcdef in /usr/lib/python3.11/site-packages/some_long_module_name.py"
    logger.warning(text, extra={"prompt_tokens": 12, "key_id": "settings-1"})
    (line,) = read()
    assert line["message"] == text and line["prompt_tokens"] == 12 and line["key_id"] == "settings-1"


@pytest.mark.parametrize(("content", "kept"), [(False, False), (True, True)])
def test_prompts_and_answers_are_logged_only_when_asked_for(log, content, kept):
    logger, set_up = log
    read = set_up(content=content)
    logger.info("asked", extra={"prompt": "tell me", "trace": {"answer": "a story", "n": 1}})
    (line,) = read()
    assert ("prompt" in line, "answer" in line["trace"]) == (kept, kept)


def test_foreign_loggers_and_warnings_take_the_same_way(log):
    _, set_up = log
    server = logging.getLogger("uvicorn.error")
    server.addHandler(logging.StreamHandler(io.StringIO()))
    server.setLevel("CRITICAL")
    read = set_up()
    server.error("port in use")
    logging.getLogger("py.warnings").warning("old")
    assert [line["logger"] for line in read()] == ["uvicorn.error", "py.warnings"]


def test_lines_go_on_after_another_library_has_shut_logging_down(log):
    """`logging.config.dictConfig`, which servers call, closes every handler there is."""
    logger, set_up = log
    read = set_up()
    logging.shutdown([lambda: logging.getLogger().handlers[0]])
    logger.info("still here")
    assert [line["message"] for line in read()] == ["still here"]


def test_a_reader_that_stands_still_holds_nobody_up(monkeypatch):
    """Logging goes on at full speed while the stream blocks; what does not fit is dropped and counted."""
    monkeypatch.setattr(logs, "MAX_WAITING_LINES", 5)
    gate = threading.Event()
    written: list[str] = []

    class Stuck(io.StringIO):
        def write(self, text: str) -> int:
            gate.wait(PATIENCE_S)
            written.append(text)
            return len(text)

    writer = logs.BackgroundWriter(Stuck())
    writer.setFormatter(logs.JsonLines())
    for number in range(20):
        writer.emit(logging.makeLogRecord({"msg": str(number), "levelno": logging.INFO}))
    gate.set()
    writer.flush()
    lines = [json.loads(line) for text in written for line in text.splitlines()]
    assert any("log lines were dropped" in line["message"] for line in lines)
    assert 6 <= len(lines) <= 8


@given(st.dictionaries(st.text(max_size=8), st.recursive(st.none() | st.floats() | st.text(), st.lists, max_leaves=5)))
def test_whatever_is_logged_is_one_line_of_json(fields):
    record = logging.makeLogRecord({"msg": "x", "extra_fields": fields})
    line = logs.JsonLines().format(record)
    assert "\n" not in line and json.loads(line)["message"] == "x"
