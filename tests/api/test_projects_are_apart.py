"""Roles in projects: who may do what there, and that no route, whatever its rule, shows or changes anything of another project."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from cryptography.fernet import Fernet

from arbiter_app.api.roles import IN_PROJECTS, ROLES
from arbiter_app.services.sessions import COOKIE
from tests.conftest import OPERATOR, Running, running
from tests.served import TLS
from tests.waiting import until

DATABASES = ("sqlite", "postgres")
ASK = {"messages": [{"role": "user", "content": "Calculate 37 * 24"}], "arbiter_no_cache": True, "max_tokens": 100}
RANKS = list(IN_PROJECTS.values())
THEIRS = "xyzzy"
"""What is in every name of the other project."""


@dataclass
class Project:
    """A project with a key, a budget, an invitation, a decision, and a browser of somebody of each role."""

    id: str
    key_id: str
    budget: str
    invitation: str
    decision: str
    email: str
    browsers: dict[str, httpx.Client]


def made(one: Running, name: str) -> Project:
    op = one.http
    project = op.post("/v1/projects", json={"name": name}).json()["id"]
    assert op.post(f"/v1/projects/{project}", json={"content_hours": 1}).status_code == 200
    key = op.post(
        "/v1/keys", json={"label": f"key of {name}", "project_id": project, "email": f"dev@{name}.example"}
    ).json()
    with one.client(key["api_key"]) as caller:
        headers = {"x-arbiter-tags": f"tag-{name}"}
        answer = caller.post("/v1/chat/completions", json={**ASK, "user": f"user-{name}"}, headers=headers).json()
    until(lambda: op.get(f"/v1/decisions/{answer['arbiter']['decision_id']}/content").status_code == 200)
    budget = {"scope": "project", "subject": project, "period": "month", "limit_usd": "100"}
    invited = {"email": f"new@{name}.example", "project_id": project, "role": "viewer"}
    return Project(
        project,
        key["key"]["key_id"],
        op.post("/v1/budgets", json=budget).json()["id"],
        op.post("/v1/people/invitations", json=invited).json()["id"],
        answer["arbiter"]["decision_id"],
        f"owner@{name}.example",
        {role: browser(one, f"{role}@{name}.example", project, role) for role in RANKS},
    )


def browser(one: Running, email: str, project: str, role: str) -> httpx.Client:
    people, by = one.arbiter.people, one.arbiter.keys.authenticate(OPERATOR)
    person = one.run(lambda: people.enter(email, "Grace", "caller"))
    one.run(lambda: people.put_member(by, project, email, role))
    secret = one.run(lambda: one.arbiter.sessions.begin(person))
    client = one.client(None)
    client.headers.update({"cookie": f"{COOKIE}={secret}", "origin": one.url})
    return client


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, database: str) -> Iterator[Running]:
    """One that can keep contents."""
    key = Fernet.generate_key().decode()
    with running(tmp_path_factory.mktemp("gateway"), database=database, ARBITER_CONTENT_KEYS=key) as one:
        yield one


@pytest.fixture(scope="module")
def both(gateway: Running) -> Iterator[tuple[Project, Project]]:
    found = made(gateway, "ours"), made(gateway, THEIRS)
    gateway.settle()
    yield found
    for project in found:
        for client in project.browsers.values():
            client.close()


def bodies(of: Project) -> dict[tuple[str, str], dict[str, Any]]:
    """What a request says to each route about roles in projects to do something in this project."""
    return {
        ("GET", "/v1/decisions/{decision_id}/content"): {},
        ("POST", "/v1/decisions/{decision_id}/again"): {"model": "gpt-4o-mini"},
        ("GET", "/v1/contents"): {},
        ("GET", "/v1/contents.jsonl"): {},
        ("DELETE", "/v1/decisions/{decision_id}/content"): {},
        ("GET", "/v1/budgets"): {},
        ("POST", "/v1/budgets"): {"scope": "project", "subject": of.id, "period": "day", "limit_usd": "1"},
        ("DELETE", "/v1/budgets/{budget_id}"): {},
        ("GET", "/v1/keys"): {},
        ("POST", "/v1/keys"): {"label": "made", "project_id": of.id},
        ("POST", "/v1/keys/{key_id}"): {"label": "changed"},
        ("POST", "/v1/keys/{key_id}/rotate"): {"overlap_s": 60},
        ("GET", "/v1/projects"): {},
        ("POST", "/v1/projects/{project_id}"): {"timezone": "Europe/Berlin"},
        ("GET", "/v1/projects/{project_id}/members"): {},
        ("POST", "/v1/projects/{project_id}/members"): {"email": of.email, "role": "owner"},
        ("POST", "/v1/people/invitations"): {"email": "x@example.com", "project_id": of.id, "role": "viewer"},
        ("DELETE", "/v1/people/invitations/{invitation_id}"): {},
    }


def filled(path: str, of: Project) -> str:
    names = {"project_id": of.id, "key_id": of.key_id, "budget_id": of.budget, "invitation_id": of.invitation}
    for name, value in (names | {"decision_id": of.decision}).items():
        path = path.replace("{" + name + "}", value)
    return path


def acts(one: Running) -> int:
    """The newest administrative act on record, but for looking through the own contents."""
    found = one.http.get("/v1/audit", params={"limit": 500}).json()["data"]
    return max(
        (int(row["id"]) for row in found if row["action"] not in ("content.search", "content.export")), default=0
    )


def test_every_route_about_roles_is_tried(both: tuple[Project, Project]) -> None:
    assert set(bodies(both[0])) == {where for where, rule in ROLES.items() if rule in IN_PROJECTS}


@pytest.mark.parametrize("role", RANKS)
def test_nobody_reaches_into_another_project(gateway: Running, both: tuple[Project, Project], role: str) -> None:
    ours, theirs = both
    client, before, wrong = ours.browsers[role], acts(gateway), []
    for (method, path), body in bodies(theirs).items():
        answer = client.request(method, filled(path, theirs), json=body)
        listing = "{" not in path and method == "GET"
        if (
            THEIRS in answer.text
            or theirs.id in answer.text.replace(filled(path, theirs), "").split("see GET")[0]
            and listing
        ):
            wrong.append(f"{method} {path} shows {answer.text[:300]}")
        if answer.status_code not in ((200, 403) if listing else (403, 404)):
            wrong.append(f"{method} {path}: {answer.status_code} {answer.text[:200]}")
    assert wrong == [] and acts(gateway) == before


@pytest.mark.parametrize("role", RANKS)
def test_no_read_shows_anything_of_another_project(gateway: Running, both: tuple[Project, Project], role: str) -> None:
    ours, theirs = both
    client, wrong = ours.browsers[role], []
    for (method, path), _ in ROLES.items():
        if method != "GET" or path in ("/v1/openapi.json", "/v1/reference", "/metrics"):
            continue
        for params in ({}, {"project": theirs.id}, {"key": theirs.key_id}, {"tag": f"tag-{THEIRS}"}):
            answer = client.get(filled(path, theirs), params=params)
            found = (
                answer.json().get("data") if answer.headers.get("content-type") == "application/json" else answer.text
            )
            if THEIRS in str(found) or theirs.decision in str(found) or theirs.key_id in str(found):
                wrong.append(f"{path} {params}: {answer.text[:300]}")
    for path in ("/v1/report", "/v1/timeseries", "/v1/spend-change", "/v1/spend", "/v1/recent"):
        assert client.get(path, params={"project": theirs.id}).status_code == 404, path
    assert wrong == []
    assert client.get("/v1/report").json()["calls"] == 1
    assert [row["id"] for row in client.get("/v1/recent").json()["data"]] == [ours.decision]
    assert client.get("/v1/spend", params={"by": "tag"}).json()["data"][0]["tag"] == "tag-ours"
    assert client.get(f"/v1/decisions/{ours.decision}").status_code == 200
    assert client.get(f"/v1/decisions/{theirs.decision}").status_code == 404
    if role == "owner":
        assert [row["decision_id"] for row in client.get("/v1/contents").json()["data"]] == [ours.decision]
        assert len(client.get("/v1/contents.jsonl").text.splitlines()) == 1


@pytest.mark.parametrize("role", RANKS)
def test_what_a_role_may_do_in_its_own_project(gateway: Running, role: str) -> None:
    own = made(gateway, f"own-{role}")
    client, wrong = own.browsers[role], []
    mine = {"label": "mine", "project_id": own.id}
    for where, body in bodies(own).items():
        method, path = where
        least = IN_PROJECTS[ROLES[where]]
        enough = RANKS.index(role) >= RANKS.index(least)
        if path.startswith("/v1/keys/{key_id}"):
            enough = role == "owner"  # it is somebody else's key
        status = client.request(method, filled(path, own), json=body).status_code
        if (status == 200) != enough:
            wrong.append(f"{method} {path}: {status}")
    asked = client.post("/v1/chat/completions", json=ASK)
    assert (asked.status_code == 200) == (role != "viewer"), asked.text
    assert wrong == []
    if role == "member":
        made_by_me = client.post("/v1/keys", json={**mine, "email": "somebody@else.example"}).json()["key"]
        assert made_by_me["email"] == "member@own-member.example"
        assert client.post(f"/v1/keys/{made_by_me['key_id']}", json={"label": "renamed"}).status_code == 200
        assert client.post(f"/v1/keys/{made_by_me['key_id']}", json={"models": None}).status_code == 403
        assert client.post("/v1/keys", json={**mine, "role": "operator"}).status_code == 403
    if role == "owner":
        assert client.post(f"/v1/projects/{own.id}", json={"content_hours": 0.0}).status_code == 403
        assert client.post(f"/v1/keys/{own.key_id}", json={"project_id": "default"}).status_code in (403, 404)
        for body in ({"email": "y@example.com"}, {"email": "y@example.com", "role": "viewer"}):
            assert client.post("/v1/people/invitations", json=body).status_code in (403, 422)
        assert (
            client.post(
                "/v1/budgets", json={"scope": "tag", "subject": "t", "period": "day", "limit_usd": "1"}
            ).status_code
            == 403
        )
        last = client.post(f"/v1/projects/{own.id}/members", json={"email": own.email, "role": None})
        assert (last.status_code, last.json()["error"]["param"]) == (422, "role")
        client.post(f"/v1/projects/{own.id}/members", json={"email": f"viewer@own-{role}.example", "role": None})
        assert own.browsers["viewer"].get("/v1/projects").status_code == 403, "out at once"
    for one in own.browsers.values():
        one.close()


def test_an_invitation_gives_a_role_in_a_project_and_no_other(gateway: Running, both: tuple[Project, Project]) -> None:
    ours, _ = both
    body = {"email": "invited@example.com", "project_id": ours.id, "role": "member"}
    made_by_owner = ours.browsers["owner"].post("/v1/people/invitations", json=body).json()
    code = made_by_owner["path"].partition("=")[2]
    entered = httpx.post(f"{gateway.url}/v1/people", json={}, verify=TLS)
    assert entered.status_code in (401, 405)
    person = gateway.run(lambda: gateway.arbiter.people.accept(code, "Ada"))
    assert person is not None and (person.role, person.project) == ("caller", ours.id)
    assert person.memberships == ((ours.id, "member"),)
    members = ours.browsers["viewer"].get(f"/v1/projects/{ours.id}/members").json()["data"]
    assert ("invited@example.com", "member") in {(one["email"], one["role"]) for one in members}
