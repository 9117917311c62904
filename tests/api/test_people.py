"""People: invited by a link that works once, signed in without a key, named in the audit log, out everywhere once disabled."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from arbiter_app.services.sessions import COOKIE
from tests import databases
from tests.served import OPERATOR, TLS, Served, served
from tests.waiting import soon

KEY = {"authorization": f"Bearer {OPERATOR}"}


@pytest.fixture(scope="module", params=databases.KINDS)
def host(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("people")
    with served(folder, ARBITER_DB=databases.place(request.param, folder / "arbiter.db")) as one:
        yield one


def invite(url: str, email: str, **more: Any) -> dict[str, Any]:
    answer = httpx.post(f"{url}/v1/people/invitations", json={"email": email, **more}, headers=KEY, verify=TLS)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def code_of(invitation: dict[str, Any]) -> str:
    return str(invitation["path"]).partition("=")[2]


def accept(url: str, code: str, name: str = "Grace Hopper") -> httpx.Response:
    return httpx.post(f"{url}/session", json={"invitation": code, "name": name}, verify=TLS)


def people(url: str) -> dict[str, Any]:
    return dict(httpx.get(f"{url}/v1/people", headers=KEY, verify=TLS).json())


def who(url: str, answer: httpx.Response) -> dict[str, Any] | int:
    told = httpx.get(f"{url}/v1/key", headers={"cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}, verify=TLS)
    return dict(told.json()) if told.status_code == 200 else told.status_code


def test_a_link_signs_in_once_and_its_person_is_an_operator(host: Served) -> None:
    invited = invite(host.url, " Grace@Example.com ")
    assert invited["email"] == "grace@example.com"
    first, second = (accept(host.url, code_of(invited)) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 401)
    assert second.json()["error"]["code"] == "invalid_invitation"
    known = who(host.url, first)
    assert isinstance(known, dict)
    assert (known["email"], known["role"]) == ("grace@example.com", "operator")
    (row,) = [one for one in people(host.url)["data"] if one["email"] == "grace@example.com"]
    assert (row["id"], row["name"], row["disabled"]) == (known["key_id"], "Grace Hopper", False)


def test_of_twenty_who_press_at_once_one_gets_in(host: Served) -> None:
    code = code_of(invite(host.url, "crowd@example.com"))
    with ThreadPoolExecutor(20) as crowd:
        said = sorted(crowd.map(lambda at: accept(host.url, code, f"No. {at}").status_code, range(20)))
    assert said == [200] + [401] * 19


def test_looking_at_a_link_uses_nothing_up_and_its_form_signs_in(host: Served) -> None:
    invited = invite(host.url, "form@example.com")
    with httpx.Client(base_url=host.url, verify=TLS) as browser:
        pages = [browser.get(invited["path"]) for _ in range(2)]
        assert [page.status_code for page in pages] == [200, 200]
        assert pages[0].headers["referrer-policy"] == "same-origin" and code_of(invited) in pages[0].text
        form = {"invitation": code_of(invited), "name": "Ada", "next": "https://evil.example"}
        foreign = browser.post("/session", data=form, headers={"origin": "https://evil.example"})
        assert foreign.status_code == 403
        answer = browser.post("/session", data=form, headers={"origin": host.url})
        assert (answer.status_code, answer.headers["location"]) == (303, "/app")
        assert browser.get("/v1/key").json()["email"] == "form@example.com"
    odd = httpx.get(f"{host.url}/session/invitation?code=%22%3E%3Cscript%3E", verify=TLS).text
    assert "<script>" not in odd


def test_links_end_by_time_withdrawal_and_by_another_for_the_same_address(host: Served) -> None:
    first, later = invite(host.url, "a@example.com"), invite(host.url, "a@example.com")
    assert accept(host.url, code_of(first)).status_code == 401
    gone = httpx.delete(f"{host.url}/v1/people/invitations/{later['id']}", headers=KEY, verify=TLS)
    assert gone.json() == {"id": later["id"], "withdrawn": True}
    assert accept(host.url, code_of(later)).status_code == 401
    assert not any(one["email"] == "a@example.com" for one in people(host.url)["invitations"])
    body = {"email": "a@example.com", "lasts_s": 5}
    short = httpx.post(f"{host.url}/v1/people/invitations", json=body, headers=KEY, verify=TLS)
    assert (short.status_code, short.json()["error"]["param"]) == (422, "lasts_s")


def test_who_is_disabled_is_out_and_no_link_lets_them_in(host: Served) -> None:
    entered = accept(host.url, code_of(invite(host.url, "leaves@example.com")))
    person = who(host.url, entered)
    assert isinstance(person, dict)
    place = f"{host.url}/v1/people/{person['key_id']}"
    assert httpx.post(place, json={"disabled": True}, headers=KEY, verify=TLS).json()["disabled"] is True
    assert who(host.url, entered) == 401
    assert accept(host.url, code_of(invite(host.url, "leaves@example.com"))).status_code == 401
    httpx.post(place, json={"disabled": False}, headers=KEY, verify=TLS)
    again = who(host.url, accept(host.url, code_of(invite(host.url, "leaves@example.com")), "Somebody else"))
    assert isinstance(again, dict) and again["key_id"] == person["key_id"]


def test_what_people_do_is_in_the_audit_log_under_their_names(host: Served) -> None:
    entered = accept(host.url, code_of(invite(host.url, "audit@example.com")))
    person = who(host.url, entered)
    assert isinstance(person, dict)
    mine = {"cookie": f"{COOKIE}={entered.cookies[COOKIE]}", "origin": host.url}
    made = httpx.post(f"{host.url}/v1/projects", json={"name": f"p{time.time()}"}, headers=mine, verify=TLS)
    assert made.status_code == 200
    log = httpx.get(f"{host.url}/v1/audit", headers=KEY, verify=TLS).json()["data"]
    assert [(row["action"], row["key_id"], row["email"]) for row in log[:2]] == [
        ("project.make", person["key_id"], "audit@example.com"),
        ("invitation.accept", person["key_id"], "audit@example.com"),
    ]
    own = httpx.post(f"{host.url}/v1/people/{person['key_id']}", json={"disabled": True}, headers=mine, verify=TLS)
    assert (own.status_code, own.json()["error"]["param"]) == (422, "disabled")


def test_people_are_the_same_at_every_host_and_no_code_is_stored(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()
    shared = {"ARBITER_DB": databases.place("postgres", tmp_path / "arbiter.db")}
    with served(folders[0], **shared) as one, served(folders[1], **shared) as other:
        entered = accept(other.url, code_of(invite(one.url, "both@example.com")))
        person = who(one.url, entered)  # has never heard of them
        assert isinstance(person, dict) and person == who(other.url, entered)
        place = f"{other.url}/v1/people/{person['key_id']}"
        httpx.post(place, json={"disabled": True}, headers=KEY, verify=TLS)
        soon(lambda: who(one.url, entered) == 401)
    with served(folders[0]) as alone:
        code = code_of(invite(alone.url, "secret@example.com"))
    with sqlite3.connect(folders[0] / "arbiter.db") as store:
        assert code not in repr(store.execute("SELECT * FROM invitation").fetchall())
    assert not any(code.encode() in file.read_bytes() for file in folders[0].glob("arbiter.db*"))
