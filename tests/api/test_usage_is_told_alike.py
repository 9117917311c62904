"""One usage in every front dialect: cached and written tokens are among a chat's prompt and beside a message's input."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.conftest import Running
from tests.stranger import Stranger, chunk, plain, stream

ASK = "What is the capital of France? " * 100
USAGE = {
    "prompt_tokens": 1_000,
    "completion_tokens": 90,
    "total_tokens": 1_090,
    "prompt_tokens_details": {
        "cached_tokens": 600,
        "cache_write_tokens": 300,
        "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
    },
    "completion_tokens_details": {"reasoning_tokens": 40},
}
MESSAGES: dict[str, Any] = {"messages": [{"role": "user", "content": ASK}]}
CHAT = ("/v1/chat/completions", {**MESSAGES, "stream_options": {"include_usage": True}}, USAGE)
DIALECTS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "chat": CHAT,
    "completions": ("/v1/completions", {"prompt": ASK, "stream_options": {"include_usage": True}}, USAGE),
    "messages": (
        "/v1/messages",
        {**MESSAGES, "max_tokens": 100},
        {
            "input_tokens": 100,
            "cache_read_input_tokens": 600,
            "cache_creation_input_tokens": 300,
            "cache_creation": {"ephemeral_5m_input_tokens": 200, "ephemeral_1h_input_tokens": 100},
            "output_tokens": 90,
        },
    ),
    "responses": (
        "/v1/responses",
        {"input": ASK},
        {
            "input_tokens": 1_000,
            "input_tokens_details": {"cached_tokens": 600, "cache_write_tokens": 300},
            "output_tokens": 90,
            "output_tokens_details": {"reasoning_tokens": 40},
            "total_tokens": 1_090,
        },
    ),
}


@pytest.mark.parametrize("streamed", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize("name", DIALECTS)
def test_the_same_tokens_and_the_same_cost(over: Running, runtime: Stranger, name: str, streamed: bool) -> None:
    path, body, expected = DIALECTS[name]
    ends = [chunk({"content": "Paris."}), chunk({}, "stop"), {**chunk({}), "choices": [], "usage": USAGE}]
    runtime.say = lambda sent: stream(*ends) if streamed else plain(usage=USAGE)
    own = {key: value for key, value in body.items() if streamed or key != "stream_options"}
    sent = {**own, "stream": streamed, "arbiter_pin": "gpt-4o-mini", "arbiter_no_cache": True}
    told = over.http.post(path, json=sent)
    assert told.status_code == 200, told.text
    seen = [told.json()] if not streamed else _events(told.text)
    usages = [one["usage"] for event in seen if (one := event.get("response", event)) and one.get("usage")]
    assert usages[-1] == expected
    arbiter = next(one["arbiter"] for event in reversed(seen) if (one := event.get("response", event)).get("arbiter"))
    mini, share = 0.15e-6, {"cached": 0.5, "write": 1.25, "hour": 2.0}
    cost = mini * (100 + 600 * share["cached"] + 200 * share["write"] + 100 * share["hour"]) + 90 * 0.60e-6
    assert (arbiter["cost_state"], arbiter["cost"]) == ("computed", pytest.approx(cost, rel=1e-9))


def _events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: {")]
