"""A runtime that answers for embeddings with nothing, something else, or more than anybody can look at."""

from __future__ import annotations

import json

import httpx
import pytest

from arbiter_app.pipeline.completions import cut_own
from tests.conftest import Running
from tests.stranger import Stranger

NUMBERS = b"0.1," * 400_000 + b"0.1"
ROW = b'"data":[{"embedding":[%b]}]' % NUMBERS


def embedded(over: Running, runtime: Stranger, body: bytes) -> httpx.Response:
    runtime.say = lambda _: (200, "application/json", body)
    return over.http.post("/v1/embeddings", json={"model": "text-embedding-3-small", "input": "x"})


@pytest.mark.parametrize(
    "body",
    [
        b'{"data":[]}',
        b'{"data":[5]}',
        b'{"data":[{}]}',
        b'{"data":[{"embedding":[]}]}',
        b'{"data":[{"embedding":null}]}',
        b'{"error":{"message":"no"},"x":"%b"}' % (b"a" * 1_500_000),
        b'{"arbiter":[[,%b}' % ROW,
        b'{"arbiter":%b,%b}' % (b"[" * 100_000, ROW),
    ],
    ids=["none", "a number", "an empty row", "no numbers", "null", "a large error", "no JSON", "deep"],
)
def test_what_holds_no_vectors_is_the_runtimes_failure_and_on_record_once(
    over: Running, runtime: Stranger, body: bytes
) -> None:
    assert embedded(over, runtime, body).status_code == 502
    assert [row["status"] for row in over.http.get("/v1/recent").json()["data"]] == ["failed"]


def test_a_large_answer_that_names_us_is_passed_on_at_once(over: Running, runtime: Stranger) -> None:
    body = b'{"arbiter":{"a":1}, %b,"arbiter":{"arbiter":[2]},"usage":{"prompt_tokens":3}}' % ROW
    longest = over.longest_step_s(lambda: embedded(over, runtime, body))
    answer = embedded(over, runtime, body).json()
    assert answer["arbiter"]["mode"] == "embedding" and len(answer["data"][0]["embedding"]) == 400_001
    assert longest < 0.5


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ('{"arbiter" : 5 , "a":1}', '{ "a":1}'),
        ('{"a":1,"arbiter":{"x":{"arbiter":5}}}', '{"a":1}'),
        (
            '{"a":{"arbiter":"x"},"b":"say \\"arbiter\\": x","c":"arbiter"}',
            '{"a":{},"b":"say \\"arbiter\\": x","c":"arbiter"}',
        ),
        ('{"a":1, "arbiter":1, "arbiter":2}', '{"a":1}'),
        ('{"arbiter":1}', "{}"),
    ],
)
def test_members_of_our_name_are_cut_out(given: str, kept: str) -> None:
    assert cut_own(given.encode()).decode() == kept and json.loads(kept) is not None
