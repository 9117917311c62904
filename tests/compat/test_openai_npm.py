"""The official `openai` package for Node.js, unchanged, against a running Arbiter: what it saw is asserted here."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.browser import NODE
from tests.waiting import PATIENCE_S

SCRIPT = Path(__file__).with_name("openai_npm.mjs")


@pytest.fixture(scope="module")
def seen(base_url: str, key: str) -> dict[str, Any]:
    """One run of the script."""
    done = subprocess.run(
        [NODE, SCRIPT, base_url, key], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def test_a_plain_answer_is_an_ordinary_completion(seen):
    plain = seen["plain"]
    assert plain["object"] == "chat.completion" and "17 * 23" in plain["choices"][0]["message"]["content"]
    assert plain["usage"]["total_tokens"] > 0 and plain["arbiter"]["task"] == "math"


def test_a_stream_is_iterated_to_its_end(seen):
    assert "17 * 23" in seen["streamed"]["text"]
    assert seen["streamed"]["arbiter"]["model"] == seen["streamed"]["model"]
    assert seen["streamed"]["usage"] > 0


def test_the_stream_helper_assembles_the_answer(seen):
    assert "17 * 23" in seen["helper"]


def test_a_tool_call_has_arguments_of_its_schema(seen):
    assert seen["tool"]["name"] == "forecast" and isinstance(seen["tool"]["arguments"]["city"], str)


def test_structured_output_fits_its_schema(seen):
    assert set(seen["structured"]) == {"name", "age"}


def test_the_model_list_begins_with_auto(seen):
    assert seen["models"][0] == "auto" and len(seen["models"]) == 18


def test_errors_are_of_the_right_class(seen):
    assert seen["errors"] == {
        "wrong key": ["AuthenticationError", 401, "invalid_api_key"],
        "messages": ["UnprocessableEntityError", 422, "invalid_value"],
        "too long": ["BadRequestError", 400, "context_length_exceeded"],
        "no such model": ["NotFoundError", 404, "not_found"],
    }


def test_responses_are_ordinary_too(seen):
    responses = seen["responses"]
    plain, streamed = responses["plain"], responses["streamed"]
    assert "17 * 23" in plain["output_text"] and plain["arbiter"]["task"] == "math"
    assert streamed["numbers"] == list(range(len(streamed["numbers"])))
    assert (streamed["kinds"][0], streamed["kinds"][-1]) == ("response.created", "response.completed")
    assert streamed["last"]["arbiter"]["model"] == streamed["last"]["model"]
    assert responses["tool"]["name"] == "forecast" and isinstance(responses["tool"]["arguments"]["city"], str)
    assert responses["tool"]["text"] and set(responses["structured"]) == {"name", "age"}
    assert responses["errors"] == {
        "wrong key": ["AuthenticationError", 401, "invalid_api_key"],
        "input": ["BadRequestError", 400, "missing_required_parameter"],
        "stored": ["BadRequestError", 400, "unsupported_parameter"],
        "fetched": ["BadRequestError", 400, "unsupported_parameter"],
    }
