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
    asked = {"model": "text-embedding-3-small", "input": ["x"] * (20_002 if large else 2)}
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
