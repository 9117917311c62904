"""What a caller may wish for: presets in the place of a model, a tolerance, an objective, models left out, free ones only; and the
decision without a call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Running, running

CATALOG = """
baseline = "big"
classifier = "small"
judge = "big"
[models.big]
input = 10
output = 30
[models.small]
input = 1
output = 2
aliases = ["tiny"]
[presets.batch]
objective = "cost"
models = ["!big"]
[presets.tight]
max_cost = 0
"""
PROMPT = {"messages": [{"role": "user", "content": "Calculate 17 * 24"}]}


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A pool of two."""
    directory = tmp_path_factory.mktemp("wishes")
    yield from two_models(directory)


def two_models(directory: Path, **settings: str) -> Iterator[Running]:
    (directory / "catalog.toml").write_text(CATALOG)
    own = {"ARBITER_CATALOG": str(directory / "catalog.toml"), "BASELINE_MODEL": "big", "ARBITER_JOIN": "!*"}
    with running(directory, **own, **settings) as one:
        yield one


def ask(gateway: Running, **fields: Any) -> dict[str, Any]:
    told = gateway.http.post("/v1/chat/completions", json={**PROMPT, "arbiter_no_cache": True, **fields})
    assert told.status_code == 200, told.text
    block: dict[str, Any] = told.json()["arbiter"]
    return block


def refused(gateway: Running, **fields: Any) -> tuple[int, str, str]:
    told = gateway.http.post("/v1/chat/completions", json={**PROMPT, **fields})
    error = told.json()["error"]
    return told.status_code, error["param"], error["message"]


def test_a_preset_stands_in_the_place_of_a_model(gateway: Running) -> None:
    assert "(cost" in ask(gateway, model="auto:cheap")["reason"]
    best = ask(gateway, model="auto:best")
    assert best["model"] == "big" and "(quality" in best["reason"]
    assert "(latency" in ask(gateway, model="auto:fast")["reason"]


@pytest.mark.parametrize("name", ["auto:batch", "AUTO:Batch", "arbiter/auto:batch", "openai/auto:batch"])
def test_so_does_one_of_the_operators_own_in_any_form_that_clients_write(gateway: Running, name: str) -> None:
    block = ask(gateway, model=name)
    assert block["model"] == "small" and "(cost" in block["reason"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/messages", {**PROMPT, "max_tokens": 50}),
        ("/v1/responses", {"input": "Calculate 17 * 24"}),
        ("/v1/completions", {"prompt": "Calculate 17 * 24 ="}),
    ],
)
def test_every_dialect_takes_it(gateway: Running, path: str, body: dict[str, Any]) -> None:
    told = gateway.http.post(path, json={**body, "model": "auto:batch"})
    assert told.json()["arbiter"]["model"] == "small"


def test_a_field_of_the_request_goes_before_its_preset(gateway: Running) -> None:
    block = ask(gateway, model="auto:batch", arbiter_models=["big"], arbiter_objective="quality")
    assert block["model"] == "big" and "(quality" in block["reason"]


def test_a_preset_that_does_not_exist_is_refused_with_those_that_do(gateway: Running) -> None:
    status, param, message = refused(gateway, model="auto:chaep")
    assert (status, param) == (422, "model")
    assert "auto:cheap" in message and "auto:batch" in message


@pytest.mark.parametrize("name", ["gpt-4o", "auto", "autos:cheap", "", "small", "a:b:c"])
def test_any_other_name_is_ignored(gateway: Running, name: str) -> None:
    assert "as the caller wishes" not in ask(gateway, model=name)["reason"]


def test_models_behind_a_mark_are_left_out(gateway: Running) -> None:
    assert ask(gateway, arbiter_models=["!big"])["model"] == "small"
    assert ask(gateway, arbiter_models=["!tiny"])["model"] == "big"
    assert ask(gateway, arbiter_models=["big", "small", "!small"])["model"] == "big"
    assert ask(gateway, arbiter_models=["!of-last-year", "small"])["model"] == "small"
    assert refused(gateway, arbiter_models=["!big", "!small"])[:2] == (422, "arbiter_models")
    assert refused(gateway, arbiter_models=["!big"], arbiter_pin="big")[:2] == (400, "arbiter_pin")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("arbiter_tolerance", -0.1),
        ("arbiter_tolerance", 1.01),
        ("arbiter_tolerance", "0.1"),
        ("arbiter_tolerance", True),
        ("arbiter_objective", "speed"),
        ("arbiter_objective", ["cost"]),
        ("arbiter_objective", 1),
    ],
)
def test_a_wish_that_means_nothing_is_refused_by_name(gateway: Running, field: str, value: Any) -> None:
    assert refused(gateway, **{field: value})[:2] == (422, field)


def test_a_wish_is_on_record(gateway: Running) -> None:
    block = ask(gateway, arbiter_objective="quality", arbiter_tolerance=0.2)
    row = gateway.http.get(f"/v1/decisions/{block['decision_id']}").json()
    assert (row["trace"]["request"]["objective"], row["trace"]["request"]["tolerance"]) == ("quality", 0.2)


@pytest.mark.parametrize("fields", [{"arbiter_max_cost": 0}, {"model": "auto:tight"}])
def test_a_ceiling_of_nothing_means_free_models_only(gateway: Running, fields: dict[str, Any]) -> None:
    status, param, message = refused(gateway, **fields)
    assert (status, param) == (400, "arbiter_max_cost")
    assert "free" in message


def test_the_list_of_models_names_the_presets(gateway: Running) -> None:
    ids = [one["id"] for one in gateway.http.get("/v1/models").json()["data"]]
    assert ids == ["auto", "big", "small", "auto:cheap", "auto:best", "auto:fast", "auto:batch", "auto:tight"]
    assert gateway.http.get("/v1/models/auto:batch").json()["id"] == "auto:batch"


def test_a_named_model_is_honoured_where_the_operator_says_so(tmp_path: Path) -> None:
    for gateway in two_models(tmp_path, ARBITER_HONOUR_MODEL="true"):
        for name in ("small", "tiny", "openai/small"):
            block = ask(gateway, model=name)
            assert (block["model"], block["mode"]) == ("small", "pinned"), name
        assert ask(gateway, model="big")["model"] == "big"
        assert ask(gateway, model="gpt-9")["mode"] != "pinned"
        assert ask(gateway, model="small", arbiter_pin="big")["model"] == "big"
        assert "(quality" in ask(gateway, model="auto:best")["reason"]


def test_a_decision_is_told_without_a_call(gateway: Running) -> None:
    calls, records = dict(gateway.world.kinds), gateway.http.get("/v1/recent").json()["data"]
    told = gateway.http.post("/v1/route", json={**PROMPT, "arbiter_models": ["small", "big"], "arbiter_max_cost": 1})
    assert told.status_code == 200
    route = told.json()
    assert (route["object"], route["task"], route["baseline"]) == ("route", "math", "big")
    assert route["model"] == route["order"][0] and sorted(route["order"]) == ["big", "small"]
    by_name = {one["model"]: one for one in route["candidates"]}
    assert route["expected_cost"] == by_name[route["model"]]["cost"]
    assert route["baseline_cost"] == by_name["big"]["cost"] > by_name["small"]["cost"] > 0
    assert by_name[route["model"]]["why_not"] == ""
    assert dict(gateway.world.kinds) == calls
    assert gateway.http.get("/v1/recent").json()["data"] == records


def test_it_is_the_decision_that_a_chat_gets(gateway: Running) -> None:
    wish = {"model": "auto:best", "arbiter_models": ["!small"]}
    route = gateway.http.post("/v1/route", json={**PROMPT, **wish}).json()
    block = ask(gateway, **wish)
    assert (route["model"], route["reason"]) == (block["model"], block["reason"])
    assert route["rejected"] == {"small": "left out by the caller"}


def test_what_a_chat_is_refused_for_this_is_refused_for(gateway: Running) -> None:
    for body, status in (({}, 422), ({**PROMPT, "arbiter_max_cost": 0}, 400), ({**PROMPT, "arbiter_pin": "x"}, 422)):
        assert gateway.http.post("/v1/route", json=body).status_code == status
    assert gateway.http.post("/v1/route", content=b"{").status_code == 400


def test_it_heeds_the_task_that_its_caller_names(gateway: Running) -> None:
    route = gateway.http.post("/v1/route", json=PROMPT, headers={"x-arbiter-task": "code:hard"}).json()
    assert (route["task"], route["difficulty"], route["classified_by"]) == ("code", "hard", "caller")
