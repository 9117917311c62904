"""A runtime that answers for embeddings with nothing, something else, or more than anybody can look at."""

from __future__ import annotations

import json
from typing import Any

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
        b'{"data":[{"embedding":[0.1,NaN]}]}',
        b'{"data":[{"embedding":[0.1,1e999]}]}',
        b'{"data":[{"embedding":[0.1,null]}]}',
        b'{"data":[{"embedding":[null,0.1]}]}',
        b'{"data":[{"embedding":["0.1"]}]}',
        b'{"data":[{"embedding":"not base64!"}]}',
        b'{"data":[{"embedding":[0.1]},{"embedding":[0.2]}]}',
        b'{"data":[{"embedding":[%b,NaN]}]}' % NUMBERS,
        b'{"data":[{"embedding":[%b,true]}]}' % NUMBERS,
        b'{"data":[{"embedding":[%b,]}]}' % NUMBERS,
        b'{"data":[{"embedding":[%b,1e999]}]}' % NUMBERS,
        b'{"data":[{"embedding":[%b}]}' % NUMBERS,
        b'{"data":[{"embedding":[%b]}' % NUMBERS,
        b'{"data":[{"embedding":"%b~"}]}' % (b"AAAA" * 400_000),
        b'{"data":[{"embedding":"%b' % (b"AAAA" * 400_000),
        b'{"data":[{"embedding":[%b' % (b"1" * 1_500_000),
        b'{"data":[{"embedding":[1]}],"x":"%b"}' % (b"a" * 3_000_000),
        b'{"data":[{"embedding":[%b]}],"x":"\xff"}' % NUMBERS,
        b"[" * 1_500_000,
    ],
)
def test_what_holds_no_vectors_is_the_runtimes_failure_and_on_record_once(
    over: Running, runtime: Stranger, body: bytes
) -> None:
    assert embedded(over, runtime, body).status_code == 502
    assert [row["status"] for row in over.http.get("/v1/recent").json()["data"]] == ["failed"]


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize(
    ("first", "second", "told"),
    [("[0.1,-2E+3]", "[0,5e-9]", 200), ('"AACAPw=="', '"AAAAQA=="', 200), ("[[1,2],[3,4]]", "[[5,6]]", 200)]
    + [("[0.1,0.2]", "[0.3]", 502), ('"AACAPw=="', '"AAAAQAAAAEA="', 502), ("[0.1]", '"AACAPw=="', 502)],
)
def test_vectors_of_one_answer_are_alike(
    over: Running, runtime: Stranger, first: str, second: str, told: int, *, large: bool
) -> None:
    more = "," + ",".join([f'{{"index":2,"embedding":{second}}}'] * 20_000) if large else ""
    body = f'{{"data":[{{"index":0,"embedding":{first}}},{{"index":1,"embedding":{second}}}{more}],"usage":{{"prompt_tokens":3,"total_tokens":3}}}}'
    runtime.say = lambda _: (200, "application/json", body.encode())
    form = "base64" if "==" in first else "float"
    asked = {"model": "text-embedding-3-small", "input": ["x"] * (20_002 if large else 2), "encoding_format": form}
    answer: list[httpx.Response] = []
    ask = lambda: answer.append(over.http.post("/v1/embeddings", json=asked))  # noqa: E731
    longest = min(over.longest_step_s(ask) for _ in range(3 if large else 1))  # the collector may come in between
    assert answer[0].status_code == told and longest < 0.5
    if told == 200:
        assert body.encode()[:-1] in answer[0].content
        assert answer[0].json()["arbiter"]["cost_state"] == "computed"


def test_each_text_gets_a_vector(over: Running, runtime: Stranger) -> None:
    """A client zips texts and vectors: one too few, and all that follow are another text's."""
    runtime.say = lambda _: (200, "application/json", b'{"data":[{"embedding":[1]},{"embedding":[2]}]}')
    for texts, told in (["a", "b"], 200), (["a", "b", "c"], 502), ([[5, 6], [7]], 200), ([5, 6, 7], 502), ("a", 502):
        asked = {"model": "text-embedding-3-small", "input": texts}
        assert over.http.post("/v1/embeddings", json=asked).status_code == told


PACKED = {(0.5, -0.25): "AAAAPwAAgL4=", (1.0, 2.0): "AACAPwAAAEA="}
FIRST, SECOND = PACKED
FORMS: dict[str, list[dict[str, Any]]] = {
    "numbers": [{"index": 0, "embedding": FIRST}, {"index": 1, "embedding": SECOND}],
    "base64": [{"index": 0, "embedding": PACKED[FIRST]}, {"index": 1, "embedding": PACKED[SECOND]}],
    "backwards": [{"index": 1, "embedding": SECOND}, {"index": 0, "embedding": FIRST}],
    "unnumbered": [{"embedding": FIRST}, {"embedding": SECOND}],
    "one number for all": [{"index": 0, "embedding": FIRST}, {"index": 0, "embedding": SECOND}],
}


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("asked", ["float", "base64", None])
@pytest.mark.parametrize("name", FORMS)
def test_vectors_come_in_the_form_that_was_asked_for_and_in_the_order_of_the_texts(
    over: Running, runtime: Stranger, name: str, asked: str | None, *, large: bool
) -> None:
    """openai-node unpacks numbers as if they were base64, and has vectors of a quarter of the length."""
    body = json.dumps({"data": FORMS[name], "x": "a" * (1_500_000 if large else 1)}).encode()
    runtime.say = lambda _: (200, "application/json", body)
    form = {} if asked is None else {"encoding_format": asked}
    sent = {"model": "text-embedding-3-small", "input": ["a", "b"], **form}
    rows = over.http.post("/v1/embeddings", json=sent).json()["data"]
    right = [PACKED[one] if asked == "base64" else list(one) for one in (FIRST, SECOND)]
    assert [row["embedding"] for row in rows] == right
    assert [row["index"] for row in rows] == ([0, 0] if "all" in name else [0, 1])


def test_numbers_that_cannot_be_packed_are_no_vectors(over: Running, runtime: Stranger) -> None:
    runtime.say = lambda _: (200, "application/json", b'{"data":[{"index":0,"embedding":[1e300]}]}')
    asked = {"model": "text-embedding-3-small", "input": "a", "encoding_format": "base64"}
    assert over.http.post("/v1/embeddings", json=asked).status_code == 502
    for packed, status in ("AACA", 502), ("AAAAPwAAgL4", 200):
        runtime.say = lambda _, packed=packed: (
            200,
            "application/json",
            b'{"data":[{"embedding":"%b"}]}' % packed.encode(),
        )
        answer = over.http.post("/v1/embeddings", json={**asked, "encoding_format": "float"})
        assert answer.status_code == status
    assert answer.json()["data"][0]["embedding"] == list(FIRST)


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
