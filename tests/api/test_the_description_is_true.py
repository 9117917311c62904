"""`/v1/openapi.json` describes what the routes really answer; `/v1/reference` shows all of it without foreign parts."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet
from jsonschema import Draft202012Validator

from arbiter_app.api.roles import ROLES
from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.runtime.sandbox.world import Fault
from tests.conftest import Running, running
from tests.served import TLS
from tests.waiting import until

UNTYPED = (
    ("GET", "/metrics"),
    ("GET", "/v1/openapi.json"),
    ("GET", "/v1/reference"),
    ("GET", "/v1/audit.csv"),
    ("GET", "/v1/spend.csv"),
    ("GET", "/v1/pool/prices.toml"),
    ("GET", "/v1/pool/prices.csv"),
    ("GET", "/v1/contents.jsonl"),
)
"""Routes that answer with text, or with the description itself."""
READS = sorted(path for method, path in ROLES if method == "GET" and "{" not in path and ("GET", path) not in UNTYPED)


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Running]:
    """One that can keep contents."""
    key = Fernet.generate_key().decode()
    with running(tmp_path_factory.mktemp("gateway"), database=database, ARBITER_CONTENT_KEYS=key) as one:
        yield one


@pytest.fixture(scope="module")
def lived_in(gateway: Running) -> Running:
    """A gateway with answers, failures, a judged grade, a cached answer and an alert behind it."""
    pool = ["mistral-small-3.2-24b-instruct-2506", "gpt-4o-mini"]
    for at in range(30):
        gateway.chat(f"Calculate {at} * 24", arbiter_models=pool)
    gateway.http.post("/v1/simulate-price", json={"model": pool[0], "multiplier": 16})
    gateway.http.post("/v1/simulate-price", json={"model": pool[1], "multiplier": 16})
    for at in range(30):
        gateway.chat(f"Calculate {at} * 31", arbiter_models=pool, seed=1)
    gateway.chat("Calculate 1 * 31", arbiter_models=pool, seed=1)
    gateway.chat("Write a poem about the sea", stream=True)
    gateway.world.faults["gpt-4o"] = Fault(status=500)
    gateway.chat("Calculate 2 * 5", arbiter_pin="gpt-4o")
    budget = {"scope": "tag", "subject": "team:data", "period": "month", "limit_usd": "5"}
    gateway.http.post("/v1/budgets", json=budget)
    gateway.http.post("/v1/budgets", json={**budget, "scope": "key", "subject": "settings-1"})
    gateway.http.post("/v1/keys", json={"label": "nightly"})
    gateway.http.post("/v1/calibrations", json={"jsonl": '{"prompt": "Calculate 3 * 3"}'})
    gateway.run(lambda: gateway.arbiter.audit.note(Caller("k", Role.OPERATOR), "model.edit", "gpt-4o"))
    rule = {"name": "on call", "channel": "webhook", "address": "http://127.0.0.1:9/", "events": ["price_shift"]}
    made = gateway.http.post("/v1/notifications/rules", json=rule).json()
    gateway.http.post(f"/v1/notifications/rules/{made['id']}/test")
    invited = gateway.http.post("/v1/people/invitations", json={"email": "ada@example.org"}).json()
    gateway.run(lambda: gateway.arbiter.people.accept(invited["path"].partition("=")[2], "Ada"))
    gateway.http.post("/v1/projects/default", json={"content_hours": 1})
    gateway.chat("Calculate 5 * 5")
    until(lambda: gateway.arbiter.exchanges.kept == 1)
    gateway.settle()
    return gateway


def described(gateway: Running) -> dict[str, Any]:
    document: dict[str, Any] = httpx.get(f"{gateway.url}/v1/openapi.json", verify=TLS).json()
    return document


def check(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    Draft202012Validator({**schema, "components": document["components"]}).validate(value)


def answer_of(document: dict[str, Any], method: str, path: str) -> dict[str, Any]:
    content = document["paths"][path][method.lower()]["responses"]["200"]["content"]
    schema: dict[str, Any] = content["application/json"]["schema"]
    return schema


def component(schema: dict[str, Any]) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def fields_of(document: dict[str, Any], name: str) -> set[str]:
    return set(document["components"]["schemas"][name]["properties"])


def test_every_schema_is_sound_and_every_reference_leads_somewhere(gateway: Running) -> None:
    document = described(gateway)
    assert document["openapi"].startswith("3.1")
    for schema in document["components"]["schemas"].values():
        Draft202012Validator.check_schema(schema)
    named = set(
        re.findall(r'"#/components/schemas/(\w+)"', httpx.get(f"{gateway.url}/v1/openapi.json", verify=TLS).text)
    )
    assert named <= set(document["components"]["schemas"])
    for method, path in ROLES:
        if (method, path) not in UNTYPED:
            assert "$ref" in answer_of(document, method, path), f"what {method} {path} answers has no type"


@pytest.mark.parametrize("path", READS)
def test_reads_answer_as_described(lived_in: Running, path: str) -> None:
    document = described(lived_in)
    value = lived_in.http.get(path).json()
    check(document, answer_of(document, "GET", path), value)
    assert set(value) == fields_of(document, component(answer_of(document, "GET", path)))
    if isinstance(value.get("data"), list):
        assert value["data"], f"{path} has nothing to check"


def test_decisions_answer_as_described(lived_in: Running) -> None:
    document = described(lived_in)
    rows = lived_in.http.get("/v1/recent?limit=100").json()["data"]
    assert {row["status"] for row in rows} == {"ok", "failed"}
    assert {"hit", "miss"} <= {row["cache"] for row in rows}
    for row in rows:
        assert set(row) == fields_of(document, "DecisionRow")
        value = lived_in.http.get(f"/v1/decisions/{row['id']}").json()
        check(document, answer_of(document, "GET", "/v1/decisions/{decision_id}"), value)
        assert set(value) == fields_of(document, "TracedDecision")


def test_the_chat_route_and_what_changes_things_answer_as_described(lived_in: Running) -> None:
    document = described(lived_in)
    answer = lived_in.chat("Calculate 3 * 14").json()
    check(document, answer_of(document, "POST", "/v1/chat/completions"), answer)
    assert set(answer["arbiter"]) == fields_of(document, "Arbiter")
    vote = {"decision_id": answer["arbiter"]["decision_id"], "rating": "up"}
    posts = {
        "/v1/feedback": vote,
        "/v1/simulate-price": {"model": "gpt-4o", "multiplier": 1},
        "/v1/calibrations": {"jsonl": '{"prompt": "Calculate 2 * 3"}', "start": True},
        "/v1/register": {"email": "a@b.cd"},
    }
    for path, body in posts.items():
        check(document, answer_of(document, "POST", path), lived_in.http.post(path, json=body).json())
    with lived_in.client(lived_in.caller()) as caller:
        for path in ("/v1/key/pause", "/v1/key/resume", "/v1/key/revoke"):
            check(document, answer_of(document, "POST", path), caller.post(path).json())


def test_errors_have_the_described_shape(lived_in: Running) -> None:
    document = described(lived_in)
    error = document["components"]["schemas"]["Error"]
    for status, answer in {
        401: httpx.get(f"{lived_in.url}/v1/key", verify=TLS),
        404: lived_in.http.get("/v1/nothing"),
        405: lived_in.http.put("/v1/report"),
        422: lived_in.http.get("/v1/recent?limit=x"),
    }.items():
        assert answer.status_code == status
        check(document, error, answer.json())


def test_the_page_shows_every_route_and_loads_nothing_from_elsewhere(gateway: Running) -> None:
    text = httpx.get(f"{gateway.url}/v1/reference", verify=TLS).text
    for method, path in ROLES:
        assert f"<code>{method} {path}</code>" in text
    assert "<script" not in text
    assert not re.search(r"(src|href)=['\"]?(https?:)?//", text)
