"""Who spent it: by project, key, tag, end user, model and runtime, in slots, of a month as CSV, and down to the decisions."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from tests.conftest import Running

DATABASES = ("sqlite", "postgres")
ASK = {"messages": [{"role": "user", "content": "Calculate 37 * 24"}], "arbiter_no_cache": True, "max_tokens": 100}


class Team:
    """A project with a key, and its requests."""

    def __init__(self, one: Running, name: str) -> None:
        self.id = one.http.post("/v1/projects", json={"name": name}).json()["id"]
        made = one.http.post("/v1/keys", json={"label": f"key of {name}", "project_id": self.id}).json()
        self.key_id, self.http = made["key"]["key_id"], one.client(made["api_key"])

    def ask(self, path: str = "/v1/chat/completions", tags: str = "", **more: Any) -> dict[str, Any]:
        answer = self.http.post(path, json={**ASK, **more}, headers={"x-arbiter-tags": tags} if tags else {})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@pytest.fixture(scope="module")
def teams(gateway: Running) -> Iterator[tuple[Team, Team]]:
    data, web = Team(gateway, "Data"), Team(gateway, "Web")
    for at in range(3):
        data.ask(tags="nightly, feature:search", user=f"user-{at % 2}")
    data.ask("/v1/messages", model="auto", metadata={"user_id": "user-9"})
    web.ask(tags="feature:search", safety_identifier="user-0", metadata={"env": "prod"})
    gateway.settle()
    yield data, web
    data.http.close()
    web.http.close()


def spend(one: Running, by: str, **narrowed: Any) -> dict[str, Any]:
    answer = one.http.get("/v1/spend", params={"by": by, **narrowed})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def calls(answer: dict[str, Any], *names: str) -> dict[Any, int]:
    return {tuple(row[name] for name in names) if names[1:] else row[names[0]]: row["calls"] for row in answer["data"]}


def test_every_way_to_ask(gateway: Running, teams: tuple[Team, Team]) -> None:
    data, web = teams
    by_project = spend(gateway, "project")
    assert calls(by_project, "project") == {data.id: 4, web.id: 1}
    assert {row["project_name"] for row in by_project["data"]} == {"Data", "Web"}
    total = sum(Decimal(row["spend_exact"]) for row in by_project["data"])
    assert total == Decimal(by_project["total"]["spend_exact"]) > 0
    assert total == Decimal(gateway.http.get("/v1/report").json()["actual_spend_exact"])
    assert calls(spend(gateway, "key", project=data.id), "key") == {data.key_id: 4}
    assert calls(spend(gateway, "tag"), "tag") == {"nightly": 3, "feature:search": 4, "env:prod": 1}
    assert calls(spend(gateway, "user,project"), "user", "project") == {
        ("user-0", data.id): 2,
        ("user-1", data.id): 1,
        ("user-9", data.id): 1,
        ("user-0", web.id): 1,
    }
    assert calls(spend(gateway, "key", tag="feature:search"), "key") == {data.key_id: 3, web.key_id: 1}
    assert spend(gateway, "project", user="user-0", project=data.id)["total"]["calls"] == 2
    slots = spend(gateway, "project", bucket_seconds=900, since=time.time() - 1800)
    assert sum(row["calls"] for row in slots["data"]) == 5 and all(row["ts"] % 900 == 0 for row in slots["data"])
    first = spend(gateway, "user,project", limit=1)
    assert len(first["data"]) == 1 and first["data"][0]["calls"] + first["others"]["calls"] == 5


def test_the_month_as_csv_adds_up(gateway: Running, teams: tuple[Team, Team]) -> None:
    month = f"{datetime.now(UTC):%Y-%m}"
    answer = gateway.http.get("/v1/spend.csv", params={"month": month, "by": "project,tag"})
    assert answer.headers["content-type"].startswith("text/csv") and month in answer.headers["content-disposition"]
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert lines[0]["project_name"] == "Data" and lines[-1]["project"] == "total"
    plain = gateway.http.get("/v1/spend.csv", params={"month": month, "by": "project"}).text
    rows = list(csv.DictReader(io.StringIO(plain)))
    assert sum(Decimal(row["spend"]) for row in rows[:-1]) == Decimal(rows[-1]["spend"])
    assert Decimal(rows[-1]["spend"]) == Decimal(gateway.http.get("/v1/report").json()["actual_spend_exact"])
    assert len(gateway.http.get("/v1/spend.csv", params={"timezone": "Asia/Kathmandu"}).text.splitlines()) == 2, "last"


def test_reports_charts_and_activity_of_a_project(gateway: Running, teams: tuple[Team, Team]) -> None:
    data, web = teams
    assert gateway.http.get("/v1/report", params={"project": data.id}).json()["calls"] == 4
    assert gateway.http.get("/v1/report", params={"key": web.key_id}).json()["calls"] == 1
    slots = gateway.http.get("/v1/timeseries", params={"project": data.id}).json()["data"]
    assert sum(slot["calls"] for slot in slots) == 4
    changed = gateway.http.get("/v1/spend-change", params={"project": web.id}).json()
    assert changed["after"]["calls"] == 1

    def listed(**narrowed: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = gateway.http.get("/v1/recent", params=narrowed).json()["data"]
        return found

    assert {row["project_id"] for row in listed(project=data.id)} == {data.id} and len(listed(project=data.id)) == 4
    assert len(listed(tag="feature:search")) == 4 and len(listed(tag="feature:search", project=web.id)) == 1
    (row,) = listed(user="user-0", key=web.key_id)
    assert (row["end_user"], row["tags"]) == ("user-0", ["user:user-0", "feature:search", "env:prod"])
    assert listed(tag="FEATURE:search") == []


def test_a_caller_sees_its_own_alone_and_nobody_sees_who(gateway: Running, teams: tuple[Team, Team]) -> None:
    data, web = teams
    assert calls(web.http.get("/v1/spend", params={"by": "tag"}).json(), "tag") == {"feature:search": 1, "env:prod": 1}
    assert web.http.get("/v1/spend", params={"key": data.key_id}).status_code == 404
    assert web.http.get("/v1/spend", params={"project": data.id}).status_code == 404
    assert web.http.get("/v1/report", params={"project": data.id}).status_code == 404
    assert web.http.get("/v1/recent", params={"key": data.key_id}).status_code == 404
    with gateway.client(None) as nobody:
        assert nobody.get("/v1/spend").status_code == 401
        assert nobody.get("/v1/recent", params={"tag": "nightly"}).status_code == 401
        assert nobody.get("/v1/report", params={"project": data.id}).status_code == 401
        rows = nobody.get("/v1/recent").json()["data"]
        assert rows and {(row["project_id"], row["end_user"], row["tags"]) for row in rows} == {(None, None, None)}


@pytest.mark.parametrize(
    "wrong",
    [
        {"by": "planet"},
        {"by": "project,project"},
        {"by": "tag,user"},
        {"by": "tag", "user": "ann"},
        {"bucket_seconds": "1000"},
        {"bucket_seconds": "900", "since": "1"},
        {"since": "20", "until": "10"},
    ],
)
def test_what_makes_no_sense_is_said(gateway: Running, wrong: dict[str, str]) -> None:
    answer = gateway.http.get("/v1/spend", params=wrong)
    assert answer.status_code == 422 and answer.json()["error"]["param"] in ("by", "bucket_seconds", "since")
    for month in ("2026-13", "soon", "0001-01", "\uff12\uff10\uff12\uff16-11", "\u0662026-11"):
        assert gateway.http.get("/v1/spend.csv", params={"month": month}).status_code == 422
