"""The official `openai` package for Python, unchanged: embeddings of a running Arbiter."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from tests.served import OPERATOR, TLS, Served, served
from tests.stranger import Stranger, stranger

SMALL = "text-embedding-3-small"
TEXTS = ["a cup of tea", "a pot of tea"]


@pytest.fixture(scope="module")
def client(base_url: str, key: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=base_url, api_key=key, max_retries=0) as one:
        yield one


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stranger, openai.OpenAI, httpx.Client]]:
    """An Arbiter over a runtime that says what a test wants: its clients, the official one and a plain one."""
    headers = {"authorization": f"Bearer {OPERATOR}"}
    with (
        stranger() as runtime,
        served(tmp_path_factory.mktemp("over"), **runtime.settings) as one,
        openai.OpenAI(base_url=f"{one.url}/v1", api_key=OPERATOR, max_retries=0) as client,
        httpx.Client(base_url=one.url, headers=headers, verify=TLS) as http,
    ):
        yield runtime, client, http


def vectors(usage: Any = None, **more: Any) -> tuple[int, str, bytes]:
    data = [{"object": "embedding", "index": 0, "embedding": [0.1, -0.25]}]
    told = {
        "object": "list",
        "data": data,
        "model": "m",
        "usage": usage or {"prompt_tokens": 30_000, "total_tokens": 30_000},
    }
    return 200, "application/json", json.dumps(told | more).encode()


@pytest.mark.parametrize("encoding", ["float", "base64", None])
def test_vectors_come_in_either_encoding(client, encoding):
    fields = {} if encoding is None else {"encoding_format": encoding}
    answer = client.embeddings.create(model=SMALL, input=TEXTS, **fields)
    found = [one.embedding for one in answer.data]
    if encoding == "base64":
        assert all(len(base64.b64decode(one)) == 4 * 1_536 for one in found)
    else:
        assert [len(one) for one in found] == [1_536, 1_536] and found[0] != found[1]
        assert math.isclose(sum(part * part for part in found[0]), 1.0, rel_tol=1e-4)
    assert (answer.model, answer.usage.prompt_tokens) == (SMALL, 6)
    arbiter = answer.model_extra["arbiter"]
    assert (arbiter["mode"], arbiter["model"], arbiter["task"]) == ("embedding", SMALL, None)
    assert (arbiter["cost"], arbiter["cost_state"], arbiter["saved"]) == (1.2e-07, "settled", None)


def test_both_encodings_are_the_same_vectors_and_dimensions_are_kept(client):
    plain = client.embeddings.create(model=SMALL, input="tea", encoding_format="float", dimensions=8).data[0].embedding
    packed = client.embeddings.create(model=SMALL, input="tea", dimensions=8).data[0].embedding
    assert len(plain) == 8 and packed == pytest.approx(plain, rel=1e-6)


def test_texts_as_tokens_are_taken_by_the_hundred_thousand(client):
    answer = client.embeddings.create(model=SMALL, input=[list(range(1_000))] * 120, dimensions=2)
    assert len(answer.data) == 120 and answer.usage.total_tokens == 120_000


def test_large_answers_come_whole(client):
    answer = client.embeddings.create(model="text-embedding-3-large", input=["tea"] * 300)
    assert len(answer.data) == 300 and {len(one.embedding) for one in answer.data} == {3_072}
    assert answer.model_extra["arbiter"]["cost"] == pytest.approx(300 * 0.13e-6)


def test_each_is_on_record_and_counts_neither_as_saving_nor_as_learned(arbiter: Served, key: str):
    headers = {"authorization": f"Bearer {key}"}
    with httpx.Client(base_url=arbiter.url, headers=headers, verify=TLS) as http:
        before, policy = http.get("/v1/report").json(), http.get("/v1/policy").json()
        told = http.post("/v1/embeddings", json={"model": SMALL, "input": TEXTS})
        decision = http.get(f"/v1/decisions/{told.headers['x-arbiter-decision']}").json()
        after = http.get("/v1/report").json()
        assert (decision["mode"], decision["model"], decision["status"]) == ("embedding", SMALL, "ok")
        assert (decision["task"], decision["quality"], decision["prompt_tokens"]) == ("", None, 6)
        assert http.get("/v1/recent?mode=embedding&limit=1").json()["data"][0]["id"] == decision["id"]
        assert after["calls"] == before["calls"] + 1
        assert after["actual_spend"] - before["actual_spend"] == pytest.approx(6 * 0.02e-6, rel=1e-3)
        assert after["saved"] == pytest.approx(before["saved"], abs=1e-12)
        assert http.get("/v1/policy").json() == policy
        assert 'mode="embedding"' in http.get("/metrics").text


def test_the_request_goes_on_byte_for_byte_and_is_priced_by_the_list(over):
    runtime, _, http = over
    runtime.say = lambda body: vectors(arbiter="theirs")
    sent = b' {"input" :"tea","model": "text-embedding-3-small", "extra": 1.50}'
    told = http.post("/v1/embeddings", content=sent)
    assert runtime.heard[-1] == sent and told.json()["data"][0]["embedding"] == [0.1, -0.25]
    arbiter = told.json()["arbiter"]
    assert (arbiter["cost"], arbiter["cost_state"]) == (0.0006, "computed") and told.text.count('"arbiter"') == 1


def test_what_nobody_knows_the_price_of_has_none(over):
    runtime, client, _ = over
    runtime.say = lambda body: vectors()
    arbiter = client.embeddings.create(model="my-own-embedder", input="tea").model_extra["arbiter"]
    assert (arbiter["cost"], arbiter["cost_state"]) == (None, "unknown")


@pytest.mark.parametrize(
    ("said", "kind", "code", "words"),
    [
        (
            (404, {"message": "The model `m` does not exist", "code": "model_not_found"}),
            openai.NotFoundError,
            "model_not_found",
            "does not exist",
        ),
        (
            (400, {"message": "dimensions is too large", "param": "dimensions"}),
            openai.BadRequestError,
            "upstream_rejected",
            "too large",
        ),
        ((429, {"message": "Rate limit reached"}), openai.RateLimitError, "runtime_rate_limited", "Rate limit"),
        ((401, {"message": "Incorrect API key"}), openai.InternalServerError, "runtime_key_refused", "key"),
        ((500, {"message": "boom"}), openai.InternalServerError, "runtime_unavailable", "boom"),
    ],
    ids=str,
)
def test_what_the_runtime_refuses_is_an_error_in_openais_shape_on_record(over, said, kind, code, words):
    runtime, client, http = over
    runtime.say = lambda body: (said[0], "application/json", json.dumps({"error": said[1]}).encode())
    heard = len(runtime.heard)
    with pytest.raises(kind) as caught:
        client.embeddings.create(model=SMALL, input="tea")
    assert caught.value.code == code and words in caught.value.message
    assert len(runtime.heard) == heard + 1
    row = http.get("/v1/recent?limit=1").json()["data"][0]
    assert (row["mode"], row["status"], row["error_code"]) == ("embedding", "failed", code)


@pytest.mark.parametrize("said", [b"nothing", b"[]", b'{"object":"list"}', b'{"data":1}'], ids=str)
def test_an_answer_without_vectors_is_none(over, said):
    runtime, client, _ = over
    runtime.say = lambda body: (200, "application/json", said)
    with pytest.raises(openai.InternalServerError):
        client.embeddings.create(model=SMALL, input="tea")


@pytest.mark.parametrize(
    ("fields", "status", "param"),
    [
        ({"model": "auto"}, 400, "model"),
        ({"model": ""}, 400, "model"),
        ({"model": "x" * 300}, 400, "model"),
        ({"input": []}, 422, "input"),
        ({"input": ""}, 422, "input"),
        ({"extra_body": {"arbiter_pin": SMALL}}, 422, "arbiter_pin"),
    ],
    ids=str,
)
def test_a_wrong_request_is_the_right_exception(client, fields, status, param):
    with pytest.raises(openai.APIStatusError) as caught:
        client.embeddings.create(**{"model": SMALL, "input": "tea", **fields})
    assert (caught.value.status_code, caught.value.param) == (status, param)


def test_a_key_of_a_caller_is_needed_and_counted(client, minted):
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="arb_wrong").embeddings.create(model=SMALL, input="tea")
    raw = client.with_options(api_key=minted).embeddings.with_raw_response.create(model=SMALL, input="tea")
    assert int(raw.headers["x-ratelimit-remaining-requests"]) == int(raw.headers["x-ratelimit-limit-requests"]) - 1
