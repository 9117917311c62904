"""How real runtimes ask to be left alone: in headers, in members of their errors, in words, one row a way."""

from __future__ import annotations

import email.utils
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from arbiter_app.runtime.claims.waits import MOST_S, wait_s

HIGHER = "Please upgrade your plan to raise your limits."


def later(seconds: float) -> datetime:
    return datetime.fromtimestamp(time.time() + seconds, UTC)


WORDS: dict[str, float | None] = {
    # OpenAI, Groq.
    "Rate limit reached for gpt-4o on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. Visit x.": 20,
    "Please try again in 20ms.": 0.02,
    "Limit 6000, Used 5800, Requested 900. Please try again in 7.66s. Need more tokens?": 7.66,
    "Please try again in 1m30s.": 90,
    "Please try again in 6m0s.": 360,
    "Please try again in 1h2m3.5s.": 3_723.5,
    # Azure, Gemini, GitHub Models, LiteLLM, and others.
    "Requests have exceeded call rate limit of your tier. Please retry after 20 seconds. Please go here: https://aka.ms/x": 20,
    f"You exceeded your quota. Please retry in 25.362s. {HIGHER}": 25.362,
    "429 You exceeded your quota.\nretry_delay {\n  seconds: 30\n}\n": 30,
    "Rate limit of 10 per 60s exceeded for UserByModelByMinute. Please wait 42 seconds before retrying.": 42,
    "No deployments available for selected model, Try again in 5 seconds. Passed model=gpt-4o": 5,
    "Too many requests. Retry after 30": 30,
    "Too many requests. Please retry after 30. Thank you": 30,
    "Please try again in about 3 minutes.": 180,
    "Try again in 2 minutes and 5 seconds.": 125,
    "\u8bf7\u6c42\u8fc7\u4e8e\u9891\u7e41\uff0c\u8bf7\u5728 5 \u79d2\u540e\u91cd\u8bd5": 5,
    "Try again in 99999999 seconds": MOST_S,
    # What is no wait.
    "Rate limit exceeded: free-models-per-min. Limit 100 per 60s.": None,
    "Please try again later. Retry 3 times.": None,
    "Retry in 5 attempts": None,
    "it took 30 seconds": None,
}  # fmt: skip


@pytest.mark.parametrize("words", WORDS)
def test_a_wait_in_words_is_read(words: str) -> None:
    for body in (
        {"error": {"message": words}},
        {"message": words},
        {"error": {"message": json.dumps({"error": words})}},
    ):
        assert wait_s({}, json.dumps(body).encode()) == WORDS[words]
    assert wait_s({}, words.encode()) == WORDS[words]


@pytest.mark.parametrize(
    "form",
    [
        "You can retry after %Y-%m-%dT%H:%M:%SZ",
        "Limit resets at: %Y-%m-%d %H:%M:%S UTC",
        "You will regain access on %Y-%m-%d at %H:%M UTC.",
        "Try again at %Y-%m-%dT%H:%M:%S+00:00",
    ],
)
def test_a_time_in_words_is_read(form: str) -> None:
    found = wait_s({}, json.dumps({"error": {"message": later(7_200).strftime(form)}}).encode())
    assert found == pytest.approx(7_200, abs=70)
    assert wait_s({}, later(-7_200).strftime(form).encode()) == 0


MEMBERS: dict[str, tuple[Any, float | None]] = {
    "Gemini": ({"error": {"details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"}]}}, 30),
    "Gemini, in a string": ({"error": {"message": json.dumps({"error": {"details": [{"retryDelay": "7.5s"}]}})}}, 7.5),
    "Gemini, as an object": ({"retry_delay": {"seconds": 33}}, 33),
    "seconds": ({"error": {"retry_after": 3}}, 3),
    "text": ({"error": {"retryAfter": "12"}}, 12),
    "milliseconds": ({"retry_after_ms": 300}, 0.3),
    "Hugging Face": ({"error": "Model x is currently loading", "estimated_time": 20.5}, 20.5),
    "null": ({"retry_after": None}, None),
    "another type": ({"retry_after": ["x"]}, None),
    "a member before the words": ({"error": {"message": "try again in 5s", "retry_after": 3}}, 3),
}  # fmt: skip


@pytest.mark.parametrize("name", MEMBERS)
def test_a_wait_in_a_member_is_read(name: str) -> None:
    body, expected = MEMBERS[name]
    assert wait_s({}, json.dumps(body).encode()) == expected


def test_openrouters_time_in_milliseconds_is_read() -> None:
    headers = {"X-RateLimit-Limit": "20", "X-RateLimit-Reset": str(int((time.time() + 40) * 1_000))}
    body = {"error": {"message": "Rate limit exceeded", "code": 429, "metadata": {"headers": headers}}}
    assert wait_s({}, json.dumps(body).encode()) == pytest.approx(40, abs=5)


def test_a_header_counts_before_the_body_and_comes_in_many_forms() -> None:
    body = b'{"error":{"message":"try again in 5s"}}'
    for value, expected in (("7", 7.0), ("20s", 20.0), ("1m30s", 90.0), ("-3", 0.0), ("inf", MOST_S), ("soon", 5.0)):
        assert wait_s({"retry-after": value}, body) == expected
    for at in (later(60).isoformat(), email.utils.formatdate(time.time() + 60), str(int(time.time() + 60))):
        assert wait_s({"retry-after": at}, body) == pytest.approx(60, abs=5)
    assert wait_s({"retry-after": "9", "retry-after-ms": "250"}, body) == 0.25


@pytest.mark.parametrize(
    "text", ["try again in ", "again for for ", "1", "1s ", "1 s and ", "retry\t", '"retry_after":']
)
def test_hostile_words_are_read_in_little_time(text: str) -> None:
    started = time.thread_time()
    wait_s({}, (text * 64_000)[:64_000].encode())
    assert time.thread_time() - started < 0.5
