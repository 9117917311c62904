"""Fields without meaning for the answer: a runtime that refuses one is asked once again without them, and only then another model."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Running
from tests.stranger import Said, Stranger, chunk, plain, stream

MARKED = "cache_control"
MARK = {"cache_control": {"type": "ephemeral"}}
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"properties": {"cache_control": {"type": "string"}}}},
}
FIELDS: dict[str, Any] = {
    "prompt_cache_key": "k1",
    "safety_identifier": "s1",
    "metadata": {"a": "b"},
    "store": True,
    "user": "u1",
    "presence_penalty": 0.0,
    "logit_bias": {},
    "n": 1,
    "seed": None,
    "temperature": 0.5,
}
ASK: dict[str, Any] = {
    "messages": [{"role": "user", "content": [{"type": "text", "text": "What is the capital of France?", **MARK}]}],
    "arbiter_no_cache": True,
}


def heard(runtime: Stranger) -> list[dict[str, Any]]:
    """What it was asked by callers; Arbiter asks it to judge, too."""
    bodies = [body for body in runtime.heard if b"You are Arbiter's" not in body]
    return [json.loads(body) for body in bodies]


def refuses(name: str, said: Callable[[str], tuple[int, Any]], then: Said) -> Callable[[bytes], Said]:
    """A runtime that refuses requests with a field."""

    def say(body: bytes) -> Said:
        status, value = said(name)
        here = name in json.loads(body) or name == MARKED and b"ephemeral" in body
        return (status, "application/json", json.dumps(value).encode()) if here else then

    return say


WORDS: dict[str, Callable[[str], tuple[int, Any]]] = {
    "OpenAI, unknown": lambda name: (
        400,
        {"error": {"message": f"Unknown parameter: '{name}'.", "param": name, "code": "unknown_parameter"}},
    ),
    "OpenAI, old": lambda name: (
        400,
        {"error": {"message": f"Unrecognized request argument supplied: {name}", "type": "invalid_request_error"}},
    ),
    "unsupported": lambda name: (
        400,
        {"error": {"message": f"Unsupported parameter: '{name}' is not supported with this model."}},
    ),
    "Mistral": lambda name: (
        422,
        {"detail": [{"type": "extra_forbidden", "loc": ["body", name], "msg": "Extra inputs are not permitted"}]},
    ),
    "xAI": lambda name: (
        400,
        {
            "code": "Client specified an invalid argument",
            "error": "Argument not supported on this model: "
            + name.split("_")[0]
            + "".join(word.title() for word in name.split("_")[1:]),
        },
    ),
    "Groq": lambda name: (
        400,
        {"error": {"message": f"property '{name}' is unsupported", "type": "invalid_request_error"}},
    ),
}


@pytest.mark.parametrize("words", WORDS)
@pytest.mark.parametrize("name", [name for name in FIELDS if name != "temperature"])
def test_it_is_asked_again_without_what_has_no_meaning(over: Running, runtime: Stranger, name: str, words: str) -> None:
    runtime.say = refuses(name, WORDS[words], plain())
    told = over.http.post("/v1/chat/completions", json={**ASK, **FIELDS}).json()
    first, second = heard(runtime)
    assert first["model"] == second["model"] and first[name] == FIELDS[name]
    assert second.keys() == {"model", "messages", "temperature"}
    assert told["arbiter"]["failover_from"] is None and name in told["arbiter"]["dropped"]
    trace = over.http.get(f"/v1/decisions/{told['arbiter']['decision_id']}").json()
    assert [one["status"] for one in trace["trace"]["call"]["attempts"]][1:] == [200]


def test_marks_go_from_messages_parts_and_tools_but_not_from_the_work(over: Running, runtime: Stranger) -> None:
    said = {"error": {"message": "messages.0.content.0.cache_control: Extra inputs are not permitted"}}
    runtime.say = refuses(MARKED, lambda _: (400, said), plain())
    messages = [*ASK["messages"], {"role": "user", "content": "What is 1.50 * 3?", **MARK}]
    body = {**ASK, "messages": messages, "tools": [{**TOOL, **MARK}], "tool_choice": "none"}
    told = over.http.post("/v1/chat/completions", json=body).json()
    second = heard(runtime)[1]
    assert second["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "What is the capital of France?"}]},
        {"role": "user", "content": "What is 1.50 * 3?"},
    ]
    assert second["tools"] == [TOOL] and told["arbiter"]["dropped"] == ["cache_control"]


def test_what_it_does_not_know_it_is_not_sent_again(over: Running, runtime: Stranger) -> None:
    runtime.say = refuses("prompt_cache_key", WORDS["OpenAI, unknown"], plain())
    models = [
        over.http.post("/v1/chat/completions", json={**ASK, **FIELDS, "arbiter_pin": "gpt-4o"}).json()["arbiter"][
            "dropped"
        ]
        for _ in range(2)
    ]
    assert len(heard(runtime)) == 3 and "store" in models[0] and models[1] == ["prompt_cache_key"]
    assert heard(runtime)[2]["store"] is True


def test_a_value_that_is_refused_is_kept_for_others(over: Running, runtime: Stranger) -> None:
    said = {
        "error": {
            "message": "Invalid 'prompt_cache_key': string too long",
            "param": "prompt_cache_key",
            "code": "string_too_long",
        }
    }
    runtime.say = refuses("prompt_cache_key", lambda _: (400, said), plain())
    for _ in range(2):
        assert (
            over.http.post("/v1/chat/completions", json={**ASK, **FIELDS, "arbiter_pin": "gpt-4o"}).status_code == 200
        )
    assert len(heard(runtime)) == 4


def test_streams_are_begun_again_too_and_even_without_their_options(over: Running, runtime: Stranger) -> None:
    runtime.say = refuses(
        "stream_options", WORDS["OpenAI, old"], stream(chunk({"content": "Paris."}), chunk({}, "stop"))
    )
    told = over.http.post("/v1/chat/completions", json={**ASK, "stream": True}).text
    assert "Paris." in told and '"dropped":["stream_options","cache_control"]' in told


def test_what_has_a_meaning_is_not_left_out(over: Running, runtime: Stranger) -> None:
    runtime.say = refuses("temperature", WORDS["unsupported"], plain())
    told = over.http.post("/v1/chat/completions", json={**ASK, **FIELDS, "arbiter_pin": "gpt-4o"})
    assert told.status_code == 400 and len(heard(runtime)) == 1


def test_one_that_refuses_again_gives_way_to_another_model(over: Running, runtime: Stranger) -> None:
    runtime.say = lambda body: (
        (400, "application/json", json.dumps(WORDS["unsupported"]("store")[1]).encode())
        if json.loads(body)["model"] == heard(runtime)[0]["model"]
        else plain()
    )
    told = over.http.post("/v1/chat/completions", json={**ASK, "store": False}).json()
    first, again, other = heard(runtime)
    assert first["model"] == again["model"] != other["model"]
    assert "store" in other and "dropped" not in told["arbiter"]


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/completions"])
def test_no_runtime_is_sent_what_would_choose_another_model_there(over: Running, runtime: Stranger, path: str) -> None:
    others = {"models": ["o3-pro"], "route": "fallback", "fallbacks": ["o3-pro"], "api_base": "http://127.0.0.1:9"}
    asked = {"prompt": "What is the capital of France?"} if path == "/v1/completions" else ASK
    told = over.http.post(path, json={**asked, **others}).json()
    assert heard(runtime) and all(others.keys().isdisjoint(body) for body in heard(runtime))
    assert others.keys() <= set(told["arbiter"]["dropped"])
