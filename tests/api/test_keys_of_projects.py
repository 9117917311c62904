"""Keys belong to projects, expire, may use some models only, have a tolerance of their own, and are rotated with an overlap."""

from __future__ import annotations

import time
from typing import Any

import pytest

from tests.conftest import Running
from tests.waiting import until

ASK = {"messages": [{"role": "user", "content": "Calculate 37 * 24"}], "arbiter_no_cache": True, "max_tokens": 100}


def made(one: Running, **fields: Any) -> tuple[str, dict[str, Any]]:
    answer = one.http.post("/v1/keys", json={"email": "ada@example.com", **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()["api_key"], answer.json()["key"]


def test_a_key_may_use_its_models_and_no_other(gateway: Running) -> None:
    secret, key = made(gateway, models=["gpt-4o-mini", "text-embedding-3-small"])
    assert key["models"] == ["gpt-4o-mini", "text-embedding-3-small"]
    with gateway.client(secret) as caller:
        answer = caller.post("/v1/chat/completions", json=ASK).json()
        assert answer["arbiter"]["model"] == "gpt-4o-mini"
        for path, body in (
            ("/v1/chat/completions", {**ASK, "arbiter_pin": "gpt-4o"}),
            ("/v1/embeddings", {"model": "text-embedding-3-large", "input": "one"}),
        ):
            refused = caller.post(path, json=body)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "model_not_allowed"), refused.text
        assert caller.post("/v1/chat/completions", json={**ASK, "arbiter_pin": "gpt-4o-mini"}).status_code == 200
    gateway.http.post(f"/v1/keys/{key['key_id']}", json={"models": None})
    with gateway.client(secret) as caller:
        assert caller.post("/v1/chat/completions", json={**ASK, "arbiter_pin": "gpt-4o"}).status_code == 200


def test_a_key_has_a_tolerance_of_its_own(gateway: Running) -> None:
    secret, _ = made(gateway, tolerance=0.5)
    with gateway.client(secret) as caller:
        assert "tolerance 0.5" in caller.post("/v1/chat/completions", json=ASK).json()["arbiter"]["reason"]
        own = caller.post("/v1/chat/completions", json={**ASK, "arbiter_tolerance": 0.2}).json()
        assert "tolerance 0.2" in own["arbiter"]["reason"]


def test_a_key_expires_at_once_though_it_was_used_a_moment_ago(gateway: Running) -> None:
    used = 0
    for lasts_s in (1.5, 6.0, 24.0):  # on a busy machine its first use may take that long
        secret, key = made(gateway, expires=time.time() + lasts_s)
        with gateway.client(secret) as caller:
            used = caller.get("/v1/key").status_code
        if used == 200:
            break
    with gateway.client(secret) as caller:
        assert used == 200
        until(lambda: caller.get("/v1/key").status_code == 401)
        assert time.time() >= key["expires"]
        refused = caller.post("/v1/chat/completions", json=ASK)
        assert (refused.status_code, refused.json()["error"]["code"]) == (401, "key_expired")


def test_a_rotated_key_keeps_budgets_and_limits_and_the_old_one_ends(gateway: Running) -> None:
    secret, key = made(gateway, label="nightly  batch", models=["gpt-4o"])
    assert key["label"] == "nightly batch"
    body = {"scope": "key", "subject": key["key_id"], "period": "all", "limit_usd": "1"}
    gateway.http.post("/v1/budgets", json=body)
    with gateway.client(secret) as old:
        first = old.post("/v1/chat/completions", json=ASK)
        assert old.get("/v1/key").json()["used_6h"] == 1
        answer = old.post("/v1/key/rotate", json={"overlap_s": 1.0}).json()
        assert answer["key"]["origin"] == key["key_id"] and answer["key"]["models"] == ["gpt-4o"]
        with gateway.client(answer["api_key"]) as new:
            assert old.get("/v1/key").status_code == 200
            second = new.post("/v1/chat/completions", json=ASK)
            assert new.get("/v1/key").json()["used_6h"] == 2
            left = [float(one.headers["x-arbiter-budget-remaining"]) for one in (first, second)]
            assert 1 > left[0] > left[1]
            until(lambda: old.get("/v1/key").status_code == 401)
            assert new.get("/v1/key").status_code == 200


def test_projects_limit_all_their_keys_by_their_own_clock(gateway: Running) -> None:
    name = {"name": "data team", "timezone": "Asia/Tokyo"}
    project = gateway.http.post("/v1/projects", json=name).json()
    assert (project["name"], project["timezone"], project["keys"]) == ("data team", "Asia/Tokyo", 0)
    assert gateway.http.post("/v1/projects", json=name).status_code == 422
    keys = [made(gateway, project_id=project["id"])[0] for _ in range(2)]
    body = {"scope": "project", "subject": project["id"], "period": "day", "limit_usd": "0"}
    budget = gateway.http.post("/v1/budgets", json=body).json()
    assert budget["timezone"] == "Asia/Tokyo" and budget["began"] % 86_400 == 15 * 3_600
    for secret in keys:
        with gateway.client(secret) as caller:
            refused = caller.post("/v1/chat/completions", json={**ASK, "arbiter_pin": "gpt-4o"})
            assert refused.status_code == 402 and "+09:00" in refused.headers["x-arbiter-budget-renews"]
    with gateway.client(keys[0]) as caller:
        caller.post("/v1/key/revoke").raise_for_status()
    renamed = gateway.http.post(f"/v1/projects/{project['id']}", json={"name": "data"}).json()
    assert (renamed["name"], renamed["timezone"], renamed["keys"]) == ("data", "Asia/Tokyo", 1)
    assert [one["id"] for one in gateway.http.get("/v1/projects").json()["data"]][0] == "default"


def test_when_a_key_was_used_is_known(gateway: Running) -> None:
    secret, key = made(gateway)
    assert key["last_used"] is None
    before = time.time()
    with gateway.client(secret) as caller:
        caller.get("/v1/key")

    def used() -> float | None:
        rows = gateway.http.get("/v1/keys").json()["data"]
        found: float | None = next(one["last_used"] for one in rows if one["key_id"] == key["key_id"])
        return found

    until(lambda: (used() or 0) >= before)


def test_every_act_is_in_the_audit_log_without_a_secret(gateway: Running) -> None:
    secret, key = made(gateway, label="audited")
    gateway.http.post(f"/v1/keys/{key['key_id']}", json={"tolerance": 0.1})
    gateway.http.post(f"/v1/keys/{key['key_id']}/rotate", json={})
    for act in ("pause", "resume", "revoke"):
        gateway.http.post(f"/v1/key/{act}", headers={"authorization": f"Bearer {secret}"}).raise_for_status()
    rows = gateway.http.get(f"/v1/audit?subject={key['key_id']}").json()["data"]
    assert [one["action"] for one in rows] == [*["key.change"] * 3, "key.rotate", "key.change", "key.make"]
    assert (rows[4]["before"], rows[4]["after"]) == ({"tolerance": None}, {"tolerance": 0.1})
    assert (rows[0]["before"], rows[0]["after"]) == ({"status": "active"}, {"status": "revoked"})
    assert rows[0]["key_id"] == key["key_id"]
    assert secret[12:] not in gateway.http.get("/v1/audit").text


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("label", "x" * 101),
        ("email", "nobody"),
        ("project_id", "prj_none"),
        ("expires", 5.0),
        ("models", []),
        ("tolerance", 1.5),
        ("role", "king"),
    ],
)
def test_what_means_nothing_is_refused(gateway: Running, field: str, value: Any) -> None:
    answer = gateway.http.post("/v1/keys", json={field: value})
    assert answer.status_code in (404, 422), answer.text


def test_keys_of_the_settings_are_changed_there(gateway: Running) -> None:
    assert gateway.http.post("/v1/keys/settings-1", json={"tolerance": 0.1}).status_code == 403
    assert gateway.http.post("/v1/key/rotate", json={}).status_code == 403
