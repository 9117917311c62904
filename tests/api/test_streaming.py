"""The streaming contract: frames pass through, `arbiter` rides in the last chunk, `[DONE]` comes once and last."""

from __future__ import annotations

import json
from typing import Any

import pytest

from arbiter_app.runtime.sandbox.world import Fault
from tests.conftest import Running

FACT = "What is the capital of France?"


def frames(gateway: Running, ask: str = FACT, **fields: Any) -> list[str]:
    body = {"messages": [{"role": "user", "content": ask}], "stream": True, "arbiter_no_cache": True, **fields}
    with gateway.http.stream("POST", "/v1/chat/completions", json=body) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-arbiter-model"]
        assert answer.headers["x-arbiter-task"]
        text = "".join(answer.iter_text())
    assert text.endswith("\n\n")
    lines = text[:-2].split("\n\n")
    assert all(line.startswith("data: ") for line in lines)
    return [line.removeprefix("data: ") for line in lines]


def test_the_last_chunk_carries_arbiter_and_done_comes_once_and_last(gateway: Running) -> None:
    *chunks, done = frames(gateway)
    assert done == "[DONE]"
    parsed = [json.loads(chunk) for chunk in chunks]
    assert all(chunk["object"] == "chat.completion.chunk" for chunk in parsed)
    assert [("arbiter" in chunk) for chunk in parsed].count(True) == 1
    last = parsed[-1]
    assert last["arbiter"]["decision_id"].startswith("d_")
    assert all(len(chunk["choices"]) == 1 for chunk in parsed), (
        "loops over chunk.choices[0] must not end in an IndexError"
    )
    assert [chunk["choices"][0]["finish_reason"] for chunk in parsed[-2:]] == [None, "stop"]


def test_usage_is_there_only_when_asked_for(gateway: Running) -> None:
    silent = [json.loads(chunk) for chunk in frames(gateway)[:-1]]
    assert not any(chunk.get("usage") for chunk in silent)
    asked = [json.loads(chunk) for chunk in frames(gateway, stream_options={"include_usage": True})[:-1]]
    assert [bool(chunk.get("usage")) for chunk in asked].count(True) == 1
    assert asked[-1]["usage"]["completion_tokens"] > 0
    assert "arbiter" in asked[-1]


def test_a_streamed_answer_is_graded_priced_and_recorded_like_a_plain_one(gateway: Running) -> None:
    arbiter = json.loads(frames(gateway, "Calculate 37 * 24", arbiter_pin="gpt-4.1")[-2])["arbiter"]
    plain = gateway.chat("Calculate 37 * 24", arbiter_pin="gpt-4.1", arbiter_no_cache=True).json()["arbiter"]
    for name in ("task", "quality", "cost", "cost_state", "model", "mode"):
        assert arbiter[name] == plain[name], name
    stored = gateway.http.get(f"/v1/decisions/{arbiter['decision_id']}").json()
    assert stored["stream"] is True
    assert stored["cost"] == arbiter["cost"]


def test_a_stream_that_breaks_ends_in_one_error_frame_and_teaches_nothing(own_gateway: Running) -> None:
    own_gateway.world.faults["*"] = Fault(cut_after=4)
    told = frames(own_gateway)
    assert "[DONE]" not in told
    error = json.loads(told[-1])["error"]
    assert (error["type"], error["code"]) == ("server_error", "runtime_unavailable")
    assert not any('finish_reason":"stop' in frame for frame in told)
    newest = own_gateway.http.get("/v1/recent?limit=1").json()["data"][0]
    assert (newest["status"], newest["cost_state"]) == ("failed", "unknown")
    assert own_gateway.http.get("/v1/policy").json()["buckets"] == {}


def test_before_the_first_byte_a_stream_fails_over_or_fails_as_json(own_gateway: Running) -> None:
    first = json.loads(frames(own_gateway)[-2])["arbiter"]["model"]
    own_gateway.world.faults[first] = Fault(status=500)
    own_gateway.http.post("/v1/reset")
    told = json.loads(frames(own_gateway)[-2])["arbiter"]
    assert told["failover_from"] == [first]
    own_gateway.world.faults["*"] = Fault(status=500)
    own_gateway.http.post("/v1/reset")
    body = {"messages": [{"role": "user", "content": FACT}], "stream": True}
    answer = own_gateway.http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "runtime_unavailable"


def test_streamed_tool_calls_arrive_whole(gateway: Running) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tool = {"type": "function", "function": {"name": "weather", "parameters": schema}}
    told = [json.loads(frame) for frame in frames(gateway, "Weather?", tools=[tool], arbiter_pin="gpt-4.1")[:-1]]
    deltas = [chunk["choices"][0]["delta"] for chunk in told if chunk["choices"]]
    arguments = "".join(call["function"].get("arguments", "") for d in deltas for call in d.get("tool_calls", []))
    assert json.loads(arguments)["city"]
    assert told[-1]["arbiter"]["quality"] == 1.0


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("same", [{"temperature": 0}, {"seed": 18446744073709551616}, {"arbiter_cache": True}], ids=str)
def test_a_repeated_prompt_is_served_from_the_cache(gateway: Running, stream: bool, same: dict[str, Any]) -> None:
    ask = f"Calculate 11 * 12 + {int(stream)}"
    fresh = gateway.chat(ask, arbiter_models=["gpt-4.1"], **same).json()
    assert fresh["arbiter"]["cache"] == "miss"
    if stream:
        told = [
            json.loads(one)
            for one in frames(gateway, ask, arbiter_models=["gpt-4.1"], arbiter_no_cache=False, **same)[:-1]
        ]
        again = told[-1]["arbiter"]
        assert all(len(chunk["choices"]) == 1 for chunk in told) and told[-1]["choices"][0]["finish_reason"] == "stop"
        content = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in told)
        assert content == fresh["choices"][0]["message"]["content"]
    else:
        again = gateway.chat(ask, arbiter_models=["gpt-4.1"], **same).json()["arbiter"]
    assert (again["cache"], again["mode"], again["cost"]) == ("hit", "cache", 0.0)
    assert again["cache_similarity"] == 1.0


@pytest.mark.parametrize("fields", [{"temperature": 1}, {}], ids=str)
def test_who_regenerates_gets_a_fresh_answer(gateway: Running, fields: dict[str, Any]) -> None:
    told = [gateway.chat("Calculate 13 * 17", arbiter_models=["gpt-4.1"], **fields).json()["arbiter"] for _ in range(2)]
    assert [one["cache"] for one in told] == ["off", "off"]
