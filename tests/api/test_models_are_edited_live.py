"""Operators add, edit and retire models while Arbiter serves: at once, for good, on record, and in every worker."""

from __future__ import annotations

import csv
import io
import json
import sqlite3
import tomllib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Running, running
from tests.served import OPERATOR as SERVED_KEY
from tests.served import TLS, free_port, served
from tests.stranger import Said, Stranger, plain, stranger
from tests.waiting import soon, until

HERE = ("gpt-4o", "gpt-4o-mini")
NEW = "claude-sonnet-4-5"
NO_JOIN = {"ARBITER_CATALOG_REFRESH_S": "3600", "ARBITER_JOIN": "!*"}


def lists(runtime: Stranger, *models: str) -> None:
    rows = [{"id": name} for name in models]
    runtime.listing = lambda: (200, "application/json", json.dumps({"object": "list", "data": rows}).encode())

    def answer(body: bytes) -> Said:
        return plain(model=json.loads(body)["model"])

    runtime.say = answer


@pytest.fixture
def runtime() -> Iterator[Stranger]:
    with stranger() as one:
        lists(one, *HERE, NEW, "house-model")
        yield one


@pytest.fixture
def over(runtime: Stranger, tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path, **runtime.settings, **NO_JOIN) as one:
        yield one


@pytest.fixture(scope="module")
def unedited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """For what changes nothing."""
    with stranger() as one:
        lists(one, *HERE, NEW, "house-model")
        with running(tmp_path_factory.mktemp("unedited"), **one.settings, **NO_JOIN) as gateway:
            yield gateway


def models(over: Running) -> dict[str, dict[str, Any]]:
    return {row["id"]: row for row in over.http.get("/v1/pool/models").json()["data"]}


def pool(over: Running) -> set[str]:
    return {row["id"] for row in over.http.get("/v1/pricing").json()["data"] if row["routable"]}


def acts(over: Running) -> list[tuple[str, str, Any, Any]]:
    rows = over.http.get("/v1/audit").json()["data"]
    return [(row["action"], row["subject"], row["before"], row["after"]) for row in rows]


def test_what_the_runtime_offers_is_new_here_and_one_request_adds_it(over: Running) -> None:
    offers = {row["id"]: row for row in over.http.get("/v1/pool/models").json()["new"]}
    assert set(offers) == {NEW, "house-model"}
    assert (offers[NEW]["input_per_million"], offers[NEW]["price_from"]) == (3.0, "library")
    assert offers["house-model"]["input_per_million"] is None
    row = over.http.post("/v1/pool/models", json={"id": NEW})
    assert row.status_code == 200, row.text
    assert row.json()["sources"] == {
        "price": "library",
        "context": "library",
        "capabilities": "runtime",
        "routable": "catalog",
    }
    assert pool(over) == {*HERE, NEW}
    answer = over.chat("Hello", arbiter_pin=NEW)
    assert answer.json()["arbiter"]["model"] == NEW
    assert NEW not in {row["id"] for row in over.http.get("/v1/pool/models").json()["new"]}
    assert acts(over) == [("model.add", NEW, None, {"added": True})]
    assert over.http.post("/v1/pool/models", json={"id": NEW}).status_code == 422


def test_a_price_is_edited_counts_at_once_and_is_taken_back(over: Running) -> None:
    before = over.chat("Calculate 3 * 4", arbiter_pin="gpt-4o", arbiter_no_cache=True).json()["arbiter"]["cost"]
    changed = over.http.patch("/v1/pool/models/gpt-4o", json={"input": 25, "output": 100}).json()
    assert (changed["input_per_million"], changed["sources"]["price"]) == (25.0, "operator")
    after = over.chat("Calculate 3 * 4", arbiter_pin="gpt-4o", arbiter_no_cache=True).json()["arbiter"]["cost"]
    assert after == pytest.approx(10 * before)
    back = over.http.patch("/v1/pool/models/gpt-4o", json={"input": None, "output": None}).json()
    assert (back["input_per_million"], back["sources"]["price"], back["edit"]) == (2.5, "catalog", {})
    edit = {"input": 25.0, "output": 100.0}
    assert acts(over) == [("model.edit", "gpt-4o", edit, None), ("model.edit", "gpt-4o", None, edit)]


def test_what_is_edited_outlives_a_restart_and_a_reset(runtime: Stranger, tmp_path: Path) -> None:
    with running(tmp_path, **runtime.settings, **NO_JOIN) as one:
        one.http.post("/v1/pool/models", json={"id": NEW, "input": 4, "output": 20}).raise_for_status()
        one.http.delete("/v1/pool/models/gpt-4o-mini").raise_for_status()
        one.http.post("/v1/reset").raise_for_status()
        assert pool(one) == {"gpt-4o", NEW}
    with running(tmp_path, **runtime.settings, **NO_JOIN) as again:
        assert pool(again) == {"gpt-4o", NEW}
        assert models(again)[NEW]["input_per_million"] == 4.0
        assert models(again)["gpt-4o-mini"]["retired"] is True
        again.http.patch("/v1/pool/models/gpt-4o-mini", json={"retired": False}).raise_for_status()
        assert pool(again) == {*HERE, NEW}


def test_an_edit_that_the_file_no_longer_allows_is_left_out_and_does_not_stop_the_start(
    runtime: Stranger, tmp_path: Path
) -> None:
    with running(tmp_path, database="sqlite", **runtime.settings, **NO_JOIN) as one:
        one.http.post("/v1/pool/models", json={"id": NEW}).raise_for_status()
    with closing(sqlite3.connect(tmp_path / "arbiter.db")) as db:
        db.execute("INSERT INTO model_edit VALUES (?, 1.0, ?)", ("gpt-4o-mini", b'{"input": "much"}'))
        db.commit()
    with running(tmp_path, database="sqlite", **runtime.settings, **NO_JOIN) as again:
        assert pool(again) == {*HERE, NEW} and models(again)["gpt-4o-mini"]["edit"] == {}


WRONG: list[tuple[str, str, Any]] = [
    ("PATCH", "/v1/pool/models/gpt-4o", {"input": -1}),
    ("PATCH", "/v1/pool/models/gpt-4o", {"context": 0}),
    ("PATCH", "/v1/pool/models/gpt-4o", {"colour": "red"}),
    ("PATCH", "/v1/pool/models/gpt-4o", {}),
    ("PATCH", "/v1/pool/models/gpt-4o", {"aliases": ["gpt-4o-mini"]}),
    ("PATCH", "/v1/pool/models/gpt-4o", {"retired": True}),
    ("POST", "/v1/pool/models", {"id": "auto", "input": 1, "output": 1}),
    ("POST", "/v1/pool/models", {"id": "x\u200by", "input": 1, "output": 1}),
    ("POST", "/v1/pool/models", {"id": "new", "input": 1}),
    ("POST", "/v1/pool/models", {"input": 1, "output": 1}),
    ("DELETE", "/v1/pool/models/gpt-4o", None),
]


@pytest.mark.parametrize(("method", "path", "body"), WRONG)
def test_what_breaks_a_rule_is_refused_and_changes_nothing(
    unedited: Running, method: str, path: str, body: Any
) -> None:
    before = models(unedited)
    answer = unedited.http.request(method, path, json=body)
    assert answer.status_code == 422, answer.text
    assert models(unedited) == before and acts(unedited) == []


def test_nobody_but_operators_and_no_model_that_is_not_there(over: Running) -> None:
    assert over.http.patch("/v1/pool/models/nobody", json={"input": 1}).status_code == 404
    assert over.http.delete("/v1/pool/models/nobody").status_code == 404
    with over.client(over.run(lambda: over.arbiter.keys.mint("caller", "a@b.cd", "x")).secret) as caller:
        assert caller.patch("/v1/pool/models/gpt-4o", json={"input": 1}).status_code == 403


def test_the_price_list_goes_out_and_comes_in_with_its_difference_first(over: Running) -> None:
    text = over.http.get("/v1/pool/prices.toml").text
    assert tomllib.loads(text)["models"]["gpt-4o"]["input"] == 2.5
    same = over.http.post("/v1/pool/prices", json={"text": text}).json()
    assert (same["changes"], same["applied"]) == ([], False)
    head, *rows = csv.reader(io.StringIO(over.http.get("/v1/pool/prices.csv").text))
    assert head[:4] == ["model", "input", "output", "cached"] and "gpt-4o" in {row[0] for row in rows}
    sheet = f"model,input,output,context\ngpt-4o,3,,\n{NEW},2.5,12,150000\n"
    shown = over.http.post("/v1/pool/prices", json={"text": sheet}).json()
    wanted = [
        {"model": "gpt-4o", "key": "input", "before": 2.5, "after": 3, "new": False},
        {"model": NEW, "key": "input", "before": None, "after": 2.5, "new": True},
        {"model": NEW, "key": "output", "before": None, "after": 12, "new": True},
        {"model": NEW, "key": "context", "before": None, "after": 150_000, "new": True},
    ]
    assert (shown["changes"], shown["applied"]) == (wanted, False)
    assert models(over)["gpt-4o"]["input_per_million"] == 2.5 and NEW not in models(over)
    done = over.http.post("/v1/pool/prices", json={"text": sheet, "apply": True}).json()
    assert done["applied"] is True
    assert models(over)["gpt-4o"]["input_per_million"] == 3.0
    assert (models(over)[NEW]["input_per_million"], models(over)[NEW]["context"]) == (2.5, 150_000)
    assert {(action, subject) for action, subject, _, _ in acts(over)} == {
        ("price_list.import", "gpt-4o"),
        ("price_list.import", NEW),
    }
    again = over.http.post("/v1/pool/prices", json={"text": over.http.get("/v1/pool/prices.csv").text}).json()
    assert again["changes"] == []


BAD_FILES = (
    "",
    "no file at all",
    '[models."gpt-4o"]\ninput = "x"',
    '[models."gpt-4o"]\ncolour = 1',
    "model,input\ngpt-4o,much",
    "model,input\ngpt-4o,1\ngpt-4o,2",
    "model,input\ngpt-4o,1,2,3",
    "model,input\ngpt-4o,-1",
    "[" * 10_000,
    "model,input\n" + "x" * 200_000 + ",1",
    "a = " + "9" * 5_000,
    "[models.x]\ninput = 2026-99-99",
    "[[models.x]]\n" * 3,
)


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_file_with_one_fault_changes_nothing(unedited: Running, text: str) -> None:
    before = models(unedited)
    for apply in (False, True):
        answer = unedited.http.post("/v1/pool/prices", json={"text": text, "apply": apply})
        assert answer.status_code == 422 and answer.json()["error"]["message"], answer.text
    assert models(unedited) == before


@pytest.mark.parametrize(
    "text", ["a" + ".a" * 400_000 + " = 1", '[models."x".' + "a." * 400_000 + "b]", "x = {" + "a." * 400_000 + "b = 1}"]
)
def test_keys_of_many_parts_cost_no_time(unedited: Running, text: str) -> None:
    answers: list[int] = []

    def send() -> None:
        answers.append(unedited.http.post("/v1/pool/prices", json={"text": text}).status_code)

    assert unedited.longest_step_s(send) < 0.5
    assert answers == [422]


def test_a_new_model_is_tried_alone_and_within_its_cap(over: Running, runtime: Stranger) -> None:
    over.http.post("/v1/pool/models", json={"id": NEW}).raise_for_status()
    runtime.heard.clear()
    trial = over.http.post(f"/v1/pool/models/{NEW}/trial", json={"max_usd": 0.5}).json()
    assert (trial["models"], trial["prompts"], trial["max_usd"]) == (1, 20, 0.5)
    path = f"/v1/calibrations/{trial['id']}"
    until(lambda: over.http.get(path).json()["state"] != "running", 60)
    seen = over.http.get(path).json()
    assert seen["state"] == "done", seen
    assert {row["model"] for row in seen["table"]} == {NEW} and seen["spent_usd"] <= 0.5
    assert over.http.post("/v1/pool/models/house-model/trial", json={}).status_code == 404


def test_two_operators_at_once_lose_no_edit(over: Running) -> None:
    async def both() -> None:
        import asyncio

        from arbiter_app.pipeline.types import Caller, Role

        who, edits = Caller("k", Role.OPERATOR), over.arbiter.model_edits
        await asyncio.gather(
            *(edits.edit(who, "gpt-4o", {name: at}) for at, name in enumerate(("input", "output", "cached"), 1))
        )

    over.run(both)
    assert models(over)["gpt-4o"]["edit"] == {"input": 1, "output": 2, "cached": 3}


def test_every_worker_hears_of_an_edit_within_two_seconds(runtime: Stranger, tmp_path: Path) -> None:
    port = free_port()
    workers = {"ARBITER_WORKERS": "2", "ARBITER_GATEWAY_PORT": str(port)}
    head = {"authorization": f"Bearer {SERVED_KEY}"}
    with served(tmp_path, **runtime.settings, **NO_JOIN, **workers) as site:
        del site
        url = f"http://127.0.0.1:{port}"

        def statuses(model: str) -> set[int]:
            """Over connections of their own, so that both workers get some."""
            body = {"messages": [{"role": "user", "content": "Hello."}], "arbiter_pin": model, "arbiter_no_cache": True}
            asked = [httpx.post(f"{url}/v1/chat/completions", json=body, headers=head, verify=TLS) for _ in range(16)]
            return {one.status_code for one in asked}

        assert statuses(NEW) == {422}
        added = httpx.post(f"{url}/v1/pool/models", json={"id": NEW}, headers=head, verify=TLS)
        assert added.status_code == 200, added.text
        soon(lambda: statuses(NEW) == {200})
        httpx.delete(f"{url}/v1/pool/models/{NEW}", headers=head, verify=TLS).raise_for_status()
        soon(lambda: statuses(NEW) == {422})
