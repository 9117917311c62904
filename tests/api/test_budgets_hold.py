"""A budget in dollars is never overrun: not by a storm of streams, not by a third of them aborted, not by calls that fail."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from arbiter_app.pipeline.types import PICO_PER_USD
from arbiter_app.store.tables import StoredDecision, StoredReservation, table
from tests.conftest import Running, running
from tests.metered import Metered, metered
from tests.storm import storm
from tests.waiting import PATIENCE_S, until


@pytest.fixture
def over_meter(tmp_path: Path) -> Iterator[tuple[Running, Metered]]:
    with (
        metered(seed=7) as runtime,
        running(
            tmp_path,
            **runtime.settings,
            ARBITER_MAX_CONCURRENCY="300",
            ARBITER_MAX_QUEUE="600",
            ARBITER_QUEUE_WAIT_S="60",
            ARBITER_SIGNUP="1",
            ARBITER_LIMIT_6H="100000",
            ARBITER_LIMIT_WEEK="100000",
        ) as one,
    ):
        yield one, runtime


def budget(one: Running, subject: str, limit: str, *, scope: str = "key", period: str = "month", **more: Any) -> Any:
    body = {"scope": scope, "subject": subject, "period": period, "limit_usd": limit, **more}
    answer = one.http.post("/v1/budgets", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()


def books(one: Running) -> tuple[int, int]:
    """What the decisions say was charged, and what is still reserved, in pico-dollars."""
    decision, reservation = table(StoredDecision), table(StoredReservation)
    columns = (decision.c.cost_pico, decision.c.judge_cost_pico, decision.c.learning_cost_pico)
    charged = sum(func.coalesce(func.sum(func.coalesce(column, 0)), 0) for column in columns)
    return one.run(
        lambda: one.arbiter.store.read(
            lambda c: (
                c.execute(select(charged)).scalar_one(),
                c.execute(select(func.count()).select_from(reservation)).scalar_one(),
            )
        )
    )


def test_a_storm_of_streams_on_one_key_spends_no_more_than_its_budget(over_meter: tuple[Running, Metered]) -> None:
    one, _ = over_meter
    key = one.caller()
    made = budget(one, key[:12], "1.00")
    seen = asyncio.run(storm([one.url], key, 11))
    one.settle()
    until(lambda: books(one)[1] == 0)
    charged, reserved = books(one)
    (row,) = one.http.get("/v1/budgets").json()["data"]
    print(seen, charged / PICO_PER_USD, row)
    assert reserved == 0 and row["reserved_usd"] == 0
    assert row["id"] == made["id"] and row["spent_usd"] == charged / PICO_PER_USD
    assert 0 < charged <= PICO_PER_USD
    assert seen["402"] > 0 and seen["left"] > 20 and seen["200"] > 100


def test_a_budget_that_is_set_in_the_middle_of_a_storm_counts_all_of_it(over_meter: tuple[Running, Metered]) -> None:
    one, _ = over_meter
    key, ended, under_way = one.caller(), itertools.count(), threading.Event()
    setting = threading.Thread(target=lambda: (under_way.wait(PATIENCE_S), budget(one, key[:12], "100", period="day")))
    setting.start()
    asyncio.run(
        storm([one.url], key, 5, callers=96, waves=1, heard=lambda: under_way.set() if next(ended) == 10 else None)
    )
    setting.join()
    one.settle()
    until(lambda: books(one)[1] == 0)
    one.run(lambda: one.arbiter.budgets.sweep())
    (row,) = one.http.get("/v1/budgets").json()["data"]
    assert row["spent_usd"] == books(one)[0] / PICO_PER_USD
    assert 10 <= row["counted_calls"] < 97 and 0 < row["counted_usd"] <= row["spent_usd"]


ASK = {"messages": [{"role": "user", "content": "Calculate 37 * 24"}], "max_tokens": 100}
DIALECTS: dict[str, tuple[str, dict[str, Any]]] = {
    "chat": ("/v1/chat/completions", ASK),
    "messages": ("/v1/messages", ASK),
    "responses": ("/v1/responses", {"input": "Calculate 37 * 24", "max_output_tokens": 100}),
    "completions": ("/v1/completions", {"prompt": "Calculate 37 * 24", "max_tokens": 100}),
}
PAID = {"arbiter_models": ["gpt-4o"], "arbiter_no_cache": True}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
def test_every_dialect_tells_what_is_left_and_refuses_in_its_own_shape(
    gateway: Running, dialect: str, stream: bool
) -> None:
    path, body = DIALECTS[dialect]
    with gateway.client(gateway.caller()) as caller:
        key_id = caller.get("/v1/key").json()["key_id"]
        budget(gateway, key_id, "0.5")
        answer = caller.post(path, json={**body, **PAID, "stream": stream})
        assert answer.status_code == 200, answer.text
        assert 0 < float(answer.headers["x-arbiter-budget-remaining"]) < 0.5
        budget(gateway, key_id, "0.0005")  # less than the call may cost, more than the first one did
        refused = caller.post(path, json={**body, **PAID, "stream": stream})
        assert refused.status_code == 402, refused.text
        error = refused.json()["error"]
        assert error["code"] == "budget_exceeded" and "it renews at" in error["message"], error
        assert error["type"] == ("billing_error" if dialect == "messages" else "insufficient_quota")
        assert 0 <= float(refused.headers["x-arbiter-budget-remaining"]) < 0.0005
        assert refused.headers["x-arbiter-budget-renews"].endswith("+00:00")
        assert "retry-after" not in refused.headers  # who waits for that waits for weeks


def test_embeddings_count(gateway: Running) -> None:
    with gateway.client(gateway.caller()) as caller:
        budget(gateway, caller.get("/v1/key").json()["key_id"], "0.000000001")
        body = {"model": "text-embedding-3-small", "input": "one"}
        refused = caller.post("/v1/embeddings", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (402, "budget_exceeded")


def test_a_tag_and_a_project_are_limited_wherever_they_are_named(gateway: Running) -> None:
    def send(headers: dict[str, str] | None = None, **more: Any) -> int:
        body = {**ASK, **PAID, **more}
        return gateway.http.post("/v1/chat/completions", json=body, headers=headers).status_code

    made = [budget(gateway, "team:data", "0", scope="tag"), budget(gateway, "user:eve", "0", scope="tag")]
    try:
        assert send() == 200
        assert send({"x-arbiter-tags": "nightly, team:data"}) == 402
        assert send(metadata={"team": "data"}) == 402
        assert send(user="eve") == 402
        assert send(user="adam") == 200
    finally:
        for one in made:
            assert gateway.http.delete(f"/v1/budgets/{one['id']}").json() == {"status": "removed"}
    assert send(user="eve") == 200
    acts = [(one["action"], one["subject"]) for one in gateway.http.get("/v1/audit").json()["data"][:4]]
    assert acts == [("budget.remove", f"tag {tag}") for tag in ("user:eve", "team:data")] + [
        ("budget.set", f"tag {tag}") for tag in ("user:eve", "team:data")
    ]


@pytest.mark.parametrize("written", ["utf-8", "latin-1"])
def test_a_tag_that_is_not_ascii_is_limited_however_the_header_is_written(gateway: Running, written: str) -> None:
    made = budget(gateway, "größe", "0", scope="tag")
    headers = {b"x-arbiter-tags": "a, größe".encode(written)}
    answer = gateway.http.post("/v1/chat/completions", json={**ASK, **PAID}, headers=list(headers.items()))
    gateway.http.delete(f"/v1/budgets/{made['id']}")
    assert answer.status_code == 402, answer.text


@pytest.mark.parametrize("tag", ["x" * 101, "a\u202eb", "a\u200bb", "a\nb"])
def test_a_budget_of_a_tag_that_no_request_can_have_is_refused(gateway: Running, tag: str) -> None:
    body = {"scope": "tag", "subject": tag, "period": "month", "limit_usd": "1"}
    answer = gateway.http.post("/v1/budgets", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "subject"), answer.text


@pytest.mark.parametrize("key", ["settings-²", "settings-٣", "settings-" + "9" * 180, "settings-"])
def test_a_budget_of_what_is_no_key_is_refused(gateway: Running, key: str) -> None:
    body = {"scope": "key", "subject": key, "period": "month", "limit_usd": "1"}
    answer = gateway.http.post("/v1/budgets", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "subject"), answer.text


@pytest.mark.parametrize("limit", [True, [1], None])
def test_a_wrong_limit_is_named_as_it_was_sent(gateway: Running, limit: Any) -> None:
    body = {"scope": "project", "subject": "default", "period": "month", "limit_usd": limit}
    answer = gateway.http.post("/v1/budgets", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, "limit_usd"), answer.text


def test_where_a_model_does_not_fit_a_cheaper_one_serves(gateway: Running) -> None:
    with gateway.client(gateway.caller()) as caller:
        budget(gateway, caller.get("/v1/key").json()["key_id"], "0.0005")
        body = {**ASK, "arbiter_models": ["gpt-4o", "gpt-4o-mini"], "arbiter_no_cache": True}
        answer = caller.post("/v1/chat/completions", json=body)
        assert (answer.status_code, answer.json()["arbiter"]["model"]) == (200, "gpt-4o-mini"), answer.text


def test_a_decision_tells_its_tags_what_it_reserved_and_how_much_a_dollar_weighed(gateway: Running) -> None:
    with gateway.client(gateway.caller()) as caller:
        budget(gateway, caller.get("/v1/key").json()["key_id"], "0.003", soft=0.0, period="all")
        body = {**ASK, "arbiter_no_cache": True, "metadata": {"team": "search"}}
        for models in (["gpt-4o"], ["gpt-4o", "gpt-4o-mini"]):
            answer = caller.post("/v1/chat/completions", json={**body, "arbiter_models": models})
            assert answer.status_code == 200, answer.text
        arbiter = answer.json()["arbiter"]
        trace = caller.get(f"/v1/decisions/{arbiter['decision_id']}").json()["trace"]
        assert trace["request"]["tags"] == ["team:search"]
        assert trace["call"]["reserved"] > arbiter["cost"] > 0
        assert trace["route"]["dollar_weight"] > 1 and "near the limit of a budget" in arbiter["reason"]


def test_a_soft_limit_warns(gateway: Running) -> None:
    with gateway.client(gateway.caller()) as caller:
        key_id = caller.get("/v1/key").json()["key_id"]
        budget(gateway, key_id, "1", soft=0.0)
        assert caller.post("/v1/chat/completions", json={**ASK, **PAID}).headers["x-arbiter-budget-warning"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("scope", "team"),
        ("period", "fortnight"),
        ("limit_usd", "-1"),
        ("limit_usd", "NaN"),
        ("limit_usd", "1e9"),
        ("limit_usd", "much"),
        ("limit_usd", "1,5"),
        ("limit_usd", "1,2,3"),
        ("soft", 1.5),
        ("timezone", "Mars/Olympus"),
        ("timezone", "localtime"),
        ("timezone", "right/UTC"),
        ("subject", " "),
    ],
)
def test_what_is_no_budget_is_refused(gateway: Running, field: str, value: Any) -> None:
    body = {"scope": "key", "subject": "settings-1", "period": "day", "limit_usd": "1", field: value}
    answer = gateway.http.post("/v1/budgets", json=body)
    assert (answer.status_code, answer.json()["error"]["param"]) == (422, field), answer.text


def test_a_budget_is_of_what_is_there_and_no_secret_is_kept(own_gateway: Running) -> None:
    secret = own_gateway.caller()
    body = {"scope": "key", "period": "month", "limit_usd": "5"}
    for scope, subject in (("key", "arb_nosuch12"), ("project", "nosuch"), ("tag", secret)):
        refused = own_gateway.http.post("/v1/budgets", json={**body, "scope": scope, "subject": subject})
        assert (refused.status_code, refused.json()["error"]["param"]) == (422, "subject"), refused.text
    assert own_gateway.http.post("/v1/budgets", json={**body, "subject": secret}).json()["subject"] == secret[:12]
    project = own_gateway.http.post("/v1/projects", json={"name": "Data team"}).json()["id"]
    named = own_gateway.http.post("/v1/budgets", json={**body, "scope": "project", "subject": "Data team"}).json()
    assert named["subject"] == project
    for path in ("/v1/budgets", "/v1/audit"):
        assert secret[12:] not in own_gateway.http.get(path).text
    rotated = own_gateway.http.post(f"/v1/keys/{secret[:12]}/rotate", json={}).json()
    again = own_gateway.http.post("/v1/budgets", json={**body, "subject": rotated["api_key"], "limit_usd": "6"}).json()
    assert (again["subject"], again["limit_usd"]) == (secret[:12], 6.0), "the one of the line"
