"""The official `@anthropic-ai/sdk` package for Node.js, unchanged, against a running Arbiter: what it saw is asserted here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.browser import NODE
from tests.served import Served
from tests.waiting import PATIENCE_S

SCRIPT = Path(__file__).with_name("anthropic_npm.mjs")


@pytest.fixture(scope="module")
def seen(arbiter: Served, key: str) -> dict[str, Any]:
    """One run of the script."""
    done = subprocess.run(
        [NODE, SCRIPT, arbiter.url, key], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def kinds(message: dict[str, Any]) -> list[str]:
    return [block["type"] for block in message["content"]]


def test_a_plain_answer_is_an_ordinary_message(seen):
    plain = seen["plain"]
    assert (plain["type"], plain["role"], plain["stop_reason"]) == ("message", "assistant", "end_turn")
    assert "17 * 23" in plain["content"][0]["text"] and plain["usage"]["output_tokens"] > 0
    assert (plain["arbiter"]["task"], plain["model"]) == ("math", "gpt-4o")


def test_a_stream_says_the_same_event_by_event(seen):
    streamed = seen["streamed"]
    block = ["content_block_start", "content_block_stop"]
    assert streamed["kinds"] == ["message_start", *block, "message_delta", "message_stop"]
    assert streamed["message"]["content"][0]["text"] == seen["plain"]["content"][0]["text"]
    assert streamed["message"]["stop_reason"] == "end_turn"


def test_thinking_is_a_signed_block_plain_and_streamed(seen):
    whole, streamed = seen["thinking"], seen["thinkingStreamed"]["message"]
    assert kinds(whole) == kinds(streamed) == ["thinking", "text"]
    assert whole["content"][0] == streamed["content"][0] and whole["content"][0]["signature"]


def test_a_tool_loop_with_thinking_comes_to_its_end(seen):
    first, second = seen["tool"]["first"], seen["tool"]["second"]
    assert (first["stop_reason"], kinds(first)) == ("tool_use", ["thinking", "tool_use"])
    assert isinstance(first["content"][1]["input"]["city"], str)
    assert second["stop_reason"] == "end_turn" and second["content"][-1]["text"]


def test_structured_output_fits_its_schema(seen):
    assert set(seen["structured"]) == {"name", "age"}


def test_tokens_are_counted_and_models_listed_in_pages(seen):
    assert 0 < seen["counted"] < 40
    assert seen["models"][0] == "auto" and len(seen["models"]) == len(set(seen["models"])) >= 15


def test_errors_are_of_the_right_class(seen):
    assert seen["errors"] == {
        "wrong key": ["AuthenticationError", 401, "authentication_error", True],
        "max_tokens": ["BadRequestError", 400, "invalid_request_error", True],
        "too long": ["BadRequestError", 400, "invalid_request_error", True],
        "too large": ["ContentTooLargeError", 413, "request_too_large", True],
        "no such model": ["NotFoundError", 404, "not_found_error", True],
    }
