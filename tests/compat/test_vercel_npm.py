"""The Vercel AI SDK with its default OpenAI provider, which speaks Responses, and its Anthropic one, against a running Arbiter."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.browser import NODE
from tests.served import Served
from tests.waiting import PATIENCE_S

SCRIPT = Path(__file__).with_name("vercel_npm.mjs")


@pytest.fixture(scope="module")
def both(arbiter: Served, key: str) -> dict[str, Any]:
    """One run of the script."""
    done = subprocess.run(
        [NODE, SCRIPT, arbiter.url, key], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


@pytest.fixture(params=["openai", "anthropic"])
def seen(request: pytest.FixtureRequest, both: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = both[request.param]
    return found


def test_a_plain_answer(seen):
    assert "17 * 23" in seen["plain"]["text"] and seen["plain"]["finish"] == "stop" and seen["plain"]["tokens"] > 0


def test_a_stream_says_the_same(seen):
    assert seen["streamed"] == {"text": seen["plain"]["text"], "finish": "stop"}


def test_a_tool_loop_with_thinking_comes_to_its_end(seen):
    tools = seen["tools"]
    assert tools["text"] and tools["steps"] == 2 and len(tools["cities"]) == 1
    assert tools["thought"], "what the model thought is shown"


def test_structured_output_fits_its_schema(seen):
    assert set(seen["structured"]) == {"name", "age"}


def test_a_wrong_key_is_an_error_that_is_not_tried_again(seen):
    assert seen["failure"] == [True, 401, False]
