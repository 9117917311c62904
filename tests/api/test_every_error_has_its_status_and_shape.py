"""Every line of the error table: the right status, OpenAI's shape, a sentence that helps, and nothing learned."""

from __future__ import annotations

import json
import socket
from typing import Any

import httpx
import pytest

from tests.conftest import OPERATOR, Running
from tests.served import TLS
from tests.waiting import PATIENCE_S

ASK = {"messages": [{"role": "user", "content": "What is the capital of France?"}]}
CHAT = "/v1/chat/completions"


def shape(answer: httpx.Response, status: int, code: str | None = None) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert set(error) >= {"message", "type", "param", "code"}
    assert len(error["message"]) > 10
    assert "Traceback" not in answer.text
    assert answer.headers["x-request-id"]
    if code is not None:
        assert error["code"] == code
    return dict(error)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"not json",
        b'{"messages": NaN}',
        b'{"messages": [{"role": "user", "content": Infinity}]}',
        b"[" * 200_000,
        b'{"a":' * 100_000,
        b"\xff\xfe{}",
        b'"a string"',
        b"[1, 2]",
        b"null",
        b'{"messages": "\xff"}',
        b'{"messages": [{"role": "user", "content": "hi"}], "metadata": ' + b'{"a":' * 300 + b"1" + b"}" * 301,
        b'{"messages": [{"role": "user", "content": "hi"}], "x": [' + b"[]," * 60_000 + b"1]}",
        b'{"messages": [' + b'"",' * 500_000 + b'""]}',
    ],
    ids=lambda body: repr(body[:24]),
)
def test_what_is_no_json_object_is_400(gateway: Running, body: bytes) -> None:
    shape(gateway.http.post(CHAT, content=body), 400, "invalid_json")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": {"role": "user"}}, "messages"),
        ({"messages": ["hi"]}, "messages[0]"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": 7, "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": ["hi"]}]}, "messages[0].content"),
        ({**ASK, "stream": "yes"}, "stream"),
        ({**ASK, "stream": True, "stream_options": [1]}, "stream_options"),
        ({**ASK, "arbiter_max_cost": "1"}, "arbiter_max_cost"),
        ({**ASK, "arbiter_max_cost": True}, "arbiter_max_cost"),
        ({**ASK, "arbiter_max_cost": -1}, "arbiter_max_cost"),
        ({**ASK, "arbiter_max_latency": 0}, "arbiter_max_latency"),
        ({**ASK, "arbiter_max_latency": [1]}, "arbiter_max_latency"),
        ({**ASK, "arbiter_no_cache": "true"}, "arbiter_no_cache"),
        ({**ASK, "arbiter_models": "gpt-4o"}, "arbiter_models"),
        ({**ASK, "arbiter_models": []}, "arbiter_models"),
        ({**ASK, "arbiter_models": [1]}, "arbiter_models"),
        ({**ASK, "arbiter_models": ["no-such-model"]}, "arbiter_models"),
        ({**ASK, "arbiter_pin": 1}, "arbiter_pin"),
        ({**ASK, "arbiter_pin": "no-such-model"}, "arbiter_pin"),
        ({**ASK, "arbiter_maxcost": 1}, "arbiter_maxcost"),
    ],
    ids=lambda value: json.dumps(value)[-50:] if isinstance(value, dict) else value,
)
def test_what_means_nothing_is_422_and_names_the_field(gateway: Running, body: dict[str, Any], param: str) -> None:
    assert shape(gateway.http.post(CHAT, json=body), 422)["param"] == param


def test_text_full_of_marks_and_quotes_is_not_taken_for_many_values(gateway: Running) -> None:
    prose = 'He said, "[{,}]" and "\\", then \\" again. ' * 8_000
    answer = gateway.http.post(CHAT, json={"messages": [{"role": "user", "content": prose}]})
    assert answer.status_code == 200, answer.text[:200]


def test_a_prompt_over_every_window_is_400_with_the_numbers(gateway: Running) -> None:
    error = shape(gateway.chat("word " * 1_100_000), 400, "context_length_exceeded")
    assert "maximum context length is 1048576 tokens" in error["message"]


def test_a_prompt_over_the_allowed_windows_is_400(gateway: Running) -> None:
    answer = gateway.chat("word " * 140_000, arbiter_models=["gpt-4o", "deepseek-chat-v3"])
    assert "maximum context length is 128000 tokens" in shape(answer, 400, "context_length_exceeded")["message"]


def test_a_feature_no_allowed_model_has_is_400(gateway: Running) -> None:
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    body = {"messages": [{"role": "user", "content": [picture]}], "arbiter_models": ["deepseek-chat-v3"]}
    assert "image" in shape(gateway.http.post(CHAT, json=body), 400, "no_capable_model")["message"]


def test_a_pinned_model_that_cannot_serve_says_why(gateway: Running) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    answer = gateway.chat("hi", tools=[tool], arbiter_pin="hermes-3-llama-3.1-405b")
    assert "hermes" in shape(answer, 400, "no_capable_model")["message"]


@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_callers_own_mistake_comes_back_as_the_runtime_said_it(own_gateway: Running, status: int) -> None:
    own_gateway.http.post("/v1/reset")
    own_gateway.world.faults["*"] = fault(status=status)
    before = own_gateway.http.get("/v1/policy").json()["buckets"]
    error = shape(own_gateway.chat("What is the capital of France?"), status)
    assert error["message"] == f"scripted fault {status}"
    assert own_gateway.http.get("/v1/policy").json()["buckets"] == before
    assert own_gateway.http.get("/v1/overview").json()["quarantined"] == {}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer"},
        {"authorization": "Basic abc"},
        {"authorization": "Bearer wrong"},
        {"authorization": "Bearer arb_" + "x" * 60},
        {"authorization": "Bearer " + "x" * 5_000},
        {"x-api-key": "wrong"},
    ],
    ids=str,
)
def test_a_missing_or_wrong_key_is_401(gateway: Running, headers: dict[str, str]) -> None:
    answer = httpx.post(gateway.url + CHAT, json=ASK, headers=headers, verify=TLS)
    shape(answer, 401)
    assert answer.headers["www-authenticate"] == "Bearer"


KEY = ("authorization", f"Bearer {OPERATOR}")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([KEY, ("authorization", "Bearer arb_other")], 400),
        ([("authorization", "Bearer arb_other"), KEY], 400),
        ([("x-api-key", OPERATOR), ("x-api-key", "arb_other")], 400),
        ([("api-key", "arb_other"), ("api-key", OPERATOR)], 400),
        ([KEY, KEY], 200),
        ([KEY, ("x-api-key", "arb_other")], 200),
        ([("x-api-key", "arb_other"), KEY], 200),
        ([("x-api-key", OPERATOR), ("authorization", "Bearer arb_other")], 401),
        ([("authorization", "Basic b2s6b2s="), ("x-api-key", OPERATOR)], 200),
        ([("api-key", "arb_other"), ("x-api-key", OPERATOR)], 200),
    ],
)
@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings", "/v1/key"])
def test_one_key_counts_in_whatever_order_they_come(
    gateway: Running, path: str, headers: list[tuple[str, str]], status: int
) -> None:
    if path == "/v1/key":
        answer = httpx.get(gateway.url + path, headers=headers, verify=TLS)
    else:
        ask = ASK if path == CHAT else {"model": "text-embedding-3-small", "input": "a"}
        answer = httpx.post(gateway.url + path, json=ask, headers=headers, verify=TLS)
    assert answer.status_code == status, answer.text
    if status >= 400:
        shape(answer, status, "two_keys" if status == 400 else "invalid_api_key")


def test_a_paused_key_reads_but_does_not_route_and_a_revoked_one_is_401(gateway: Running) -> None:
    with gateway.client(gateway.caller()) as caller:
        assert caller.post(CHAT, json=ASK).status_code == 200
        assert caller.post("/v1/key/pause").json()["status"] == "paused"
        shape(caller.post(CHAT, json=ASK), 403, "key_paused")
        assert caller.get("/v1/key").json()["status"] == "paused"
        caller.post("/v1/key/resume")
        assert caller.post(CHAT, json=ASK).status_code == 200
        caller.post("/v1/key/revoke")
        shape(caller.post(CHAT, json=ASK), 401, "key_revoked")
        shape(caller.get("/v1/key"), 401)


def test_out_of_credit_is_402_after_failover(own_gateway: Running) -> None:
    own_gateway.world.faults["*"] = fault(status=402)
    shape(own_gateway.chat("What is the capital of France?"), 402)
    assert sum(own_gateway.world.calls.values()) == 3


def test_unknown_routes_ids_and_methods(gateway: Running) -> None:
    shape(gateway.http.get("/v1/nothing"), 404)
    shape(gateway.http.get("/v1/decisions/d_nothing"), 404)
    shape(gateway.http.get("/v1/models/nothing"), 404)
    shape(gateway.http.get(CHAT), 405)
    shape(gateway.http.delete("/v1/report"), 405)
    shape(gateway.http.put(CHAT), 405)


def test_a_body_over_the_limit_is_413_with_and_without_a_length(gateway: Running) -> None:
    big = b'{"messages": "' + b"x" * 10_000_001 + b'"}'
    shape(gateway.http.post(CHAT, content=big), 413)

    def drip() -> Any:
        for at in range(0, len(big), 1 << 20):
            yield big[at : at + (1 << 20)]

    shape(gateway.http.post(CHAT, content=drip()), 413)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/register", {"email": "not an address"}),
        ("/v1/register", {"email": 7}),
        ("/v1/register", {}),
        ("/v1/simulate-price", {"model": "no-such-model", "multiplier": 2}),
        ("/v1/simulate-price", {"model": "gpt-4o", "multiplier": -1}),
        ("/v1/simulate-price", {"model": "gpt-4o", "multiplier": "8"}),
        ("/v1/simulate-price", {"model": "gpt-4o", "multiplier": 1e9}),
        ("/v1/feedback", {"rating": "up"}),
        ("/v1/feedback", {"rating": "sideways", "model": "gpt-4o", "task": "math"}),
        ("/v1/feedback", {"rating": "up", "model": "no-such-model", "task": "math"}),
        ("/v1/feedback", {"rating": "up", "model": "gpt-4o", "task": "gardening"}),
    ],
    ids=str,
)
def test_other_routes_refuse_nonsense_with_422(gateway: Running, path: str, body: dict[str, Any]) -> None:
    shape(gateway.http.post(path, json=body), 422)


def test_an_unreachable_runtime_is_502_and_names_the_models_tried(own_gateway: Running) -> None:
    own_gateway.world.faults["*"] = fault(status=500)
    error = shape(own_gateway.chat("What is the capital of France?"), 502, "runtime_unavailable")
    assert error["message"].count("scripted fault 500") == 3


def test_a_runtime_that_limits_its_rate_is_429_with_its_own_wait(own_gateway: Running) -> None:
    own_gateway.world.faults["*"] = fault(status=429, retry_after="7")
    answer = own_gateway.chat("What is the capital of France?")
    shape(answer, 429, "runtime_rate_limited")
    assert answer.headers["retry-after"] == "7"


@pytest.mark.parametrize("body", ["<html>busy</html>", "", "[]", '{"choices": []}', '{"choices": null}'])
def test_an_answer_that_is_none_is_502(own_gateway: Running, body: str) -> None:
    own_gateway.world.faults["*"] = fault(body=body)
    shape(own_gateway.chat("What is the capital of France?"), 502)


def test_a_key_over_its_limit_is_429_with_retry_after(gateway: Running) -> None:
    with gateway.client(gateway.caller()) as caller:
        for _ in range(50):
            assert caller.post(CHAT, json={**ASK, "arbiter_pin": "gpt-4o-mini"}).status_code == 200
        answer = caller.post(CHAT, json=ASK)
        shape(answer, 429, "rate_limit_exceeded")
        assert 0 < int(answer.headers["retry-after"]) <= 6 * 3600
        told = caller.post("/v1/responses", json={"input": "hi"})  # Codex would stand still for all that time
        assert told.status_code == 429 and "retry-after" not in told.headers
        assert told.json()["error"]["code"] == "rate_limit_exceeded"
        assert caller.get("/v1/key").json()["used_6h"] == 50


def test_a_failure_is_recorded_with_its_error_and_teaches_nothing(own_gateway: Running) -> None:
    own_gateway.world.faults["*"] = fault(status=500)
    own_gateway.chat("Calculate 2 + 2")
    newest = own_gateway.http.get("/v1/recent?limit=1").json()["data"][0]
    assert (newest["status"], newest["error_code"]) == ("failed", "runtime_unavailable")
    assert own_gateway.http.get("/v1/policy").json()["buckets"] == {}


def test_a_header_that_is_no_http_is_answered_and_the_gateway_lives_on(gateway: Running) -> None:
    with socket.create_connection(("127.0.0.1", gateway.port), timeout=PATIENCE_S) as raw:
        raw.sendall(b"\x16\x03\x01 nonsense\r\n\r\n")
        assert raw.recv(100).startswith(b"HTTP/1.1 400")
    assert gateway.http.get("/health").status_code == 200


def test_an_own_request_id_is_echoed_when_sane(gateway: Running) -> None:
    assert gateway.http.get("/health", headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"
    long = gateway.http.get("/health", headers={"x-request-id": "x" * 200}).headers["x-request-id"]
    assert long.startswith("req_")


def test_the_operators_key_is_not_in_any_error(gateway: Running) -> None:
    answer = httpx.post(gateway.url + CHAT, json=ASK, headers={"authorization": f"Bearer {OPERATOR}x"}, verify=TLS)
    assert OPERATOR not in answer.text


def fault(**fields: Any) -> Any:
    from arbiter_app.runtime.sandbox.world import Fault

    return Fault(**fields)
