"""While it serves, Arbiter routes to what its runtime lists just now, and no list that fails or lies stops it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Running, running
from tests.served import OPERATOR as SERVED_KEY
from tests.served import TLS, free_port, served
from tests.stranger import NO_LIST, Said, Stranger, plain, stranger
from tests.waiting import PATIENCE_S, until

FOUR = ("gpt-4o", "gpt-4o-mini", "gemini-2.5-flash", "house-model")
OFTEN = {"ARBITER_CATALOG_REFRESH_S": "0.1"}


@pytest.fixture
def runtime() -> Iterator[Stranger]:
    """A runtime that answers as whichever model it is asked for, and serves only what it lists."""
    with stranger() as one:
        shows(one, *FOUR)
        yield one


@pytest.fixture
def over(runtime: Stranger, tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, **runtime.settings, **OFTEN) as one:
        yield one


@pytest.fixture(scope="module")
def _common(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stranger, Running]]:
    with stranger() as one:
        shows(one, *FOUR)
        with running(tmp_path_factory.mktemp("pool"), **one.settings, **OFTEN) as gateway:
            yield one, gateway


@pytest.fixture
def common(_common: tuple[Stranger, Running]) -> tuple[Stranger, Running]:
    """A runtime and a gateway as at first, for what is put right by the next list."""
    shows(_common[0], *FOUR)
    until(lambda: pool(_common[1]) == set(FOUR))
    return _common


def says(*rows: Any) -> Said:
    return 200, "application/json", json.dumps({"object": "list", "data": rows}).encode()


def shows(runtime: Stranger, *models: str) -> None:
    """From now on it lists these models, and refuses others."""

    def answer(body: bytes) -> Said:
        if json.loads(body)["model"] in models:
            return plain(model=json.loads(body)["model"])
        return 404, "application/json", b'{"error":{"message":"no such model","code":"model_not_found"}}'

    runtime.listing = lambda: says(*({"id": name} for name in models))
    runtime.say = answer


def pool(over: Running) -> set[str]:
    """What it says that it routes to."""
    return {row["id"] for row in over.http.get("/v1/models").json()["data"] if row["owned_by"] != "arbiter"}


def asked(runtime: Stranger, times: int = 4) -> None:
    """Wait until the list was asked for so often again."""
    since = runtime.listings
    until(lambda: runtime.listings >= since + times)


def answers(over: Running, **fields: Any) -> str:
    """The model that answers a request."""
    answer = over.chat("Tell me of the sea.", arbiter_no_cache=True, **fields)
    assert answer.status_code == 200, answer.text
    model: str = answer.json()["arbiter"]["model"]
    return model


def test_a_model_that_is_listed_later_joins_goes_and_comes_back(runtime: Stranger, over: Running) -> None:
    assert pool(over) == set(FOUR)
    shows(runtime, *FOUR, "new-model")
    until(lambda: "new-model" in pool(over))
    assert answers(over, arbiter_pin="new-model") == "new-model"
    shows(runtime, *FOUR)
    until(lambda: pool(over) == set(FOUR))
    assert over.chat("Hello.", arbiter_pin="new-model").status_code == 422
    shows(runtime, *FOUR, "new-model")
    until(lambda: "new-model" in pool(over))
    assert answers(over, arbiter_pin="new-model") == "new-model"


def test_when_the_baseline_goes_another_answers_until_it_is_back(runtime: Stranger, over: Running) -> None:
    shows(runtime, *FOUR[1:])
    until(lambda: pool(over) == set(FOUR[1:]))
    assert all(answers(over) in FOUR[1:] for _ in range(20))
    assert over.http.get("/v1/report").json()["baseline_model"] in FOUR[1:]
    shows(runtime, *FOUR)
    until(lambda: over.http.get("/v1/report").json()["baseline_model"] == "gpt-4o")


def test_a_pool_that_is_exchanged_as_a_whole_is_believed_when_it_is_said_twice(
    runtime: Stranger, over: Running
) -> None:
    shows(runtime, "one-model", "another-model")
    until(lambda: pool(over) == {"one-model", "another-model"})
    assert {answers(over) for _ in range(8)} <= {"one-model", "another-model"}


def test_two_lists_that_alternate_lose_no_model(runtime: Stranger, over: Running) -> None:
    lists = (says(*({"id": name} for name in FOUR)), says({"id": "gpt-4o"}))
    runtime.listing = lambda: lists[runtime.listings % 2]
    asked(runtime, 12)
    assert pool(over) == set(FOUR)


NO_LISTS: dict[str, Said] = {
    "an error of the server": (500, "application/json", b'{"error":{"message":"broken"}}'),
    "no such route": NO_LIST,
    "no key": (401, "application/json", b'{"error":{"message":"bad key"}}'),
    "too many": (429, "application/json", b'{"error":{"message":"slow down"}}'),
    "a page": (200, "text/html", b"<html>Welcome</html>"),
    "half of it": (200, "application/json", b'{"data":[{"id":"gpt-4o"},{"id":'),
    "nothing": (200, "application/json", b""),
    "no bytes of text": (200, "application/json", b"\xff\xfe\x00" * 100),
    "an empty list": says(),
    "null": (200, "application/json", b"null"),
    "a number": (200, "application/json", b"7"),
    "no names": says({"id": 5}, {"id": None}, {}, 7, None, [["x"]]),
    "nothing that chats": says({"id": "text-embedding-3-small"}, {"id": "whisper-1"}),
    "deep": (200, "application/json", b"[" * 200_000),
    "deep inside a row": (200, "application/json", b'{"data":[{"id":"x","pricing":' + b'{"a":' * 100_000 + b"}]}"),
    "larger than any list": (200, "application/json", b'{"data":["' + b"x" * 30_000_000 + b'"]}'),
}


@pytest.mark.parametrize("name", NO_LISTS)
def test_what_is_no_list_changes_nothing_and_the_next_list_counts(common: tuple[Stranger, Running], name: str) -> None:
    runtime, over = common
    runtime.listing = lambda: NO_LISTS[name]
    asked(runtime)
    assert pool(over) == set(FOUR) and answers(over) in FOUR
    shows(runtime, *FOUR, "new-model")
    until(lambda: "new-model" in pool(over))


def test_a_list_that_never_comes_keeps_nobody_waiting(runtime: Stranger, over: Running) -> None:
    come, waiting = threading.Event(), threading.Event()

    def late() -> Said:
        waiting.set()
        come.wait(PATIENCE_S)
        return NO_LISTS["an error of the server"]

    runtime.listing = late
    assert waiting.wait(PATIENCE_S)
    assert pool(over) == set(FOUR) and answers(over) in FOUR
    come.set()
    shows(runtime, *FOUR, "new-model")
    until(lambda: "new-model" in pool(over))


DIGITS = "9" * 5_000
ABSURD: dict[str, str] = {
    "dear beyond reason": '"pricing":{"prompt":"99999","completion":1e300}',
    "below nothing": '"pricing":{"prompt":-1,"completion":"-0.5"},"context_length":-5',
    "no numbers": '"pricing":{"prompt":"NaN","completion":[],"input":{}},"context_length":"much"',
    "no JSON numbers": '"pricing":{"prompt":NaN,"completion":Infinity},"context_length":-Infinity',
    "windows that none has": '"context_length":1000000000000000000000000000000,"max_model_len":0',
    "numbers of 5,000 digits": f'"context_length":{DIGITS},"pricing":{{"prompt":{DIGITS}}}',
    "parts of other kinds": '"pricing":[1,2],"capabilities":7,"providers":[null,3],"architecture":"x"',
    "switches that are words": '"active":"no","supports_vision":"yes","supported_parameters":"tools"',
    "half a character": '"owned_by":"\\ud83d","type":"\\ud83d"',
}


@pytest.mark.parametrize("name", ABSURD)
def test_absurd_facts_are_set_aside_and_the_models_serve(common: tuple[Stranger, Running], name: str) -> None:
    runtime, over = common
    before = {row["id"]: row for row in over.http.get("/v1/pricing").json()["data"]}
    rows = ",".join(f'{{"id":"{model}",{ABSURD[name]}}}' for model in FOUR)
    runtime.listing = lambda: (200, "application/json", f'{{"data":[{rows}]}}'.encode())
    asked(runtime)
    after = {row["id"]: row for row in over.http.get("/v1/pricing").json()["data"]}
    for model in FOUR[:3]:
        facts = ("input_per_million", "output_per_million", "context")
        assert [after[model][fact] for fact in facts] == [before[model][fact] for fact in facts]
    assert all(answers(over, arbiter_pin=model) == model for model in FOUR)
    assert pool(over) == set(FOUR)


def test_a_huge_list_leaves_the_models_that_serve_and_bounds_the_rest(runtime: Stranger, over: Running) -> None:
    rows = [{"id": name} for name in FOUR] + [{"id": f"m-{at}"} for at in range(5_000)]
    runtime.listing = lambda: says(*rows)
    until(lambda: len(pool(over)) == 64)
    assert set(FOUR) <= pool(over)
    shows(runtime, *FOUR)
    until(lambda: pool(over) == set(FOUR))


def test_models_that_come_and_go_under_new_names_do_not_pile_up(runtime: Stranger, over: Running) -> None:
    numbers = iter(range(10_000))
    runtime.listing = lambda: says(*({"id": f"m-{next(numbers)}"} for _ in range(60)), {"id": "gpt-4o"})
    asked(runtime, 20)
    assert len(over.http.get("/v1/pricing").json()["data"]) < 500
    assert 60 <= len(pool(over)) <= 64
    shows(runtime, *FOUR)
    until(lambda: pool(over) == set(FOUR))


def test_every_gateway_worker_follows_the_list(runtime: Stranger, tmp_path: Path) -> None:
    port = free_port()
    workers = {"ARBITER_WORKERS": "2", "ARBITER_GATEWAY_PORT": str(port)}
    with served(tmp_path, **runtime.settings, **OFTEN, **workers):

        def statuses() -> set[int]:
            """Of requests for the new model, each over a connection of its own, so that both workers get some."""
            body = {"messages": [{"role": "user", "content": "Hello."}], "arbiter_pin": "new-model"}
            url, key = f"http://127.0.0.1:{port}/v1/chat/completions", {"authorization": f"Bearer {SERVED_KEY}"}
            return {httpx.post(url, json=body, headers=key, verify=TLS).status_code for _ in range(16)}

        assert statuses() == {422}
        shows(runtime, *FOUR, "new-model")
        until(lambda: statuses() == {200})
        runtime.listing = lambda: NO_LISTS["an error of the server"]
        asked(runtime, 12)
        assert statuses() == {200}
        shows(runtime, *FOUR)
        until(lambda: statuses() == {422})
