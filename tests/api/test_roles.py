"""The whole matrix of routes and roles, generated from the table: what is not allowed is refused, as the table says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from arbiter_app.api.gateway import DIALECTS
from arbiter_app.api.roles import IN_PROJECTS, ROLES
from arbiter_app.dialects import openai_embeddings
from arbiter_app.pipeline.errors import Unauthorized
from arbiter_app.pipeline.types import Caller, ProjectRole, Role
from arbiter_app.services.sessions import COOKIE
from tests.conftest import OPERATOR, Running, running
from tests.served import OPERATOR as SERVED_OPERATOR
from tests.served import TLS, served

BY = Caller("the tests", Role.OPERATOR)
ASKING = [where for dialect in (*DIALECTS, openai_embeddings) for where in dialect.PATHS]
WHO = (
    "nobody",
    "caller",
    "paused",
    "revoked",
    "operator",
    "minted operator",
    "person",
    "person of a provider",
    "disabled person",
    *(f"project {role}" for role in ProjectRole),
)
RANKS = list(IN_PROJECTS)
MISSING = {"{decision_id}": "d_none", "{model}": "auto", "{calibration_id}": "cal_none"}
MISSING |= {"{person_id}": "per_none", "{invitation_id}": "inv_none"}
MISSING |= {"{project_id}": "default", "{key_id}": "arb_none"}
MISSING |= {"{rule_id}": "rule_none", "{notification_id}": "msg_none"}


@dataclass(frozen=True)
class World:
    """What the settings say, and what that opens."""

    settings: dict[str, object]
    sandbox: bool
    signup: bool
    reads: bool


WORLDS = {
    "sandbox": World({}, True, True, True),
    "closed sandbox": World({"signup": False, "public_reads": False}, True, False, False),
    "live": World({"gateway_api_key": "set"}, False, False, False),
    "open live": World({"gateway_api_key": "set", "signup": True, "public_reads": True}, False, True, True),
}


def expected(rule: str, who: str, world: World) -> int:
    """0 where it is allowed, else the status of the refusal."""
    if rule in ("anonymous", "loopback"):
        return 0
    if rule == "signup":
        return 0 if world.signup else 403
    nobody = who in ("nobody", "disabled person")  # a cookie that is no good is none
    if who == "revoked" or (nobody and not (rule == "reads" and world.reads)):
        return 401
    enough = (
        "operator" in who
        or who == "person"
        or rule in ("reads", "caller", "owner")
        or (rule == "demo" and world.sandbox)
        or (rule in RANKS and who in RANKS and RANKS.index(who) >= RANKS.index(rule))
    )
    return 0 if enough else 403


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("matrix")) as one:
        yield one


def key_of(gateway: Running, who: str) -> str | None:
    if who in ("nobody", "operator"):
        return OPERATOR if who == "operator" else None
    role = "operator" if who == "minted operator" else "caller"
    minted = gateway.run(lambda: gateway.arbiter.keys.mint(role, "a@b.cd", "matrix"))
    if who in ("paused", "revoked"):
        gateway.run(lambda: gateway.arbiter.keys.set_status(BY, minted.key.id, who))
    return str(minted.secret)


def browser_of(gateway: Running, who: str, email: str) -> httpx.Client:
    """A browser at which a person signed in: a caller whom a provider vouches for, or an operator who was invited."""
    people, by = gateway.arbiter.people, gateway.arbiter.keys.authenticate(OPERATOR)
    if who == "person of a provider" or who in RANKS:
        person = gateway.run(lambda: people.enter(email, "Grace", "caller"))
        if who in RANKS:
            gateway.run(lambda: people.put_member(by, "default", email, IN_PROJECTS[who]))
    else:
        code = gateway.run(lambda: people.invite(by, email))["path"].partition("=")[2]
        person = gateway.run(lambda: people.accept(code, "Grace"))
    assert person is not None
    secret = gateway.run(lambda: gateway.arbiter.sessions.begin(person))
    if who == "disabled person":
        gateway.run(lambda: people.change(by, person.key_id, None, True))
    client = gateway.client(None)
    client.headers.update({"cookie": f"{COOKIE}={secret}", "origin": gateway.url})
    return client


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("world", WORLDS)
def test_the_matrix(matrix: Running, world: str, who: str) -> None:
    before = matrix.arbiter.settings
    matrix.arbiter.settings = before.model_copy(update=WORLDS[world].settings)
    wrong = []
    signed_in = "person" in who or who in RANKS
    email = f"{who}@{world}.example".replace(" ", "-")
    client = browser_of(matrix, who, email) if signed_in else matrix.client(key_of(matrix, who))
    try:
        for (method, path), rule in ROLES.items():
            want = expected(rule, who, WORLDS[world])
            if who in ("paused", "project viewer") and path in ASKING:
                want = 403  # a viewer looks, and asks nothing
            if (
                who in ("operator", "person", "person of a provider", *RANKS)
                and method == "POST"
                and path.startswith("/v1/key/")
            ):
                want = 403  # a key from the settings is changed there, and a person has none
            for name, value in MISSING.items():
                path = path.replace(name, value)
            status = client.request(method, path, json={}).status_code
            if path.startswith("/v1/key") and not signed_in:  # a key may have changed itself
                client.close()
                client = matrix.client(key_of(matrix, who))
            if (status if status in (401, 403) else 0) != want:
                wrong.append(f"{method} {path}: {status} instead of {want or 'allowed'}")
    finally:
        matrix.arbiter.settings = before
        client.close()
    assert wrong == []


def test_every_route_of_the_application_is_in_the_table(gateway: Running) -> None:
    document = gateway.http.get("/v1/openapi.json").json()
    assert {(m.upper(), p) for p, methods in document["paths"].items() for m in methods} == set(ROLES)


def test_a_caller_sees_its_own_decisions_only(gateway: Running) -> None:
    decision_id = gateway.chat("Calculate 7 * 6", arbiter_no_cache=True).json()["arbiter"]["decision_id"]
    with gateway.client(gateway.caller()) as caller:
        body = {"messages": [{"role": "user", "content": "Calculate 8 * 6"}]}
        own = caller.post("/v1/chat/completions", json=body).json()["arbiter"]["decision_id"]
        assert caller.get(f"/v1/decisions/{own}").json()["id"] == own
        assert gateway.http.get(f"/v1/decisions/{own}").status_code == 200
        assert caller.get(f"/v1/decisions/{decision_id}").status_code == 404
        assert [row["id"] for row in caller.get("/v1/recent").json()["data"]] == [own]
        assert caller.get("/v1/report").json()["calls"] == 1
        refused = caller.post("/v1/feedback", json={"decision_id": decision_id, "rating": "up"})
        assert refused.status_code == 404
        assert caller.post("/v1/feedback", json={"decision_id": own, "rating": "up"}).status_code == 200
    assert httpx.get(f"{gateway.url}/v1/decisions/{own}", verify=TLS).status_code == 401


def test_metrics_are_for_this_machine_or_an_operator(gateway: Running) -> None:
    url, elsewhere = gateway.url, {"x-forwarded-for": "203.0.113.9"}
    assert httpx.get(url + "/metrics", verify=TLS).status_code == 200
    assert httpx.get(url + "/metrics", headers=elsewhere, verify=TLS).status_code == 401
    signed = {**elsewhere, "authorization": f"Bearer {OPERATOR}"}
    assert httpx.get(url + "/metrics", headers=signed, verify=TLS).status_code == 200


def test_a_wrong_key_does_no_harm_where_none_is_asked_for(gateway: Running) -> None:
    for authorization in ("Bearer wrong", "Basic abc"):
        for path in ("/health", "/readyz", "/v1/openapi.json", "/v1/reference", "/metrics"):
            assert (
                httpx.get(gateway.url + path, headers={"authorization": authorization}, verify=TLS).status_code == 200
            ), path
    assert (
        httpx.get(f"{gateway.url}/v1/report", headers={"authorization": "Bearer wrong"}, verify=TLS).status_code == 401
    )


def test_a_browser_that_signed_in_reads_everywhere_and_changes_things_from_our_pages_only(tmp_path: Path) -> None:
    with served(tmp_path, ARBITER_PUBLIC_READS="0") as one, httpx.Client(base_url=one.url, verify=TLS) as browser:
        key = browser.post("/v1/register", json={"email": "a@b.cd"}).json()["api_key"]
        assert browser.get("/v1/report").status_code == 401
        cookie = browser.post("/session", json={"api_key": key}).headers["set-cookie"].lower()
        assert "httponly" in cookie and "samesite=strict" in cookie
        assert browser.get("/v1/key").json()["email"] == "a@b.cd"
        assert browser.get("/v1/report").status_code == 200
        for headers in (
            {},
            {"origin": "https://elsewhere.example"},
            {"origin": "null"},
            {"sec-fetch-site": "cross-site"},
        ):
            refused = browser.post("/v1/key/pause", headers=headers)
            assert (refused.status_code, refused.json()["error"]["code"]) == (403, "wrong_origin")
        assert browser.post("/v1/key/pause", headers={"origin": one.url}).status_code == 200
        assert browser.post("/v1/key/resume", headers={"sec-fetch-site": "same-origin"}).status_code == 200
        assert browser.post("/v1/reset", headers={"origin": one.url}).status_code == 403
        ask = {"messages": [{"role": "user", "content": "Calculate 2 + 2"}]}
        assert browser.post("/v1/chat/completions", json=ask).status_code == 403
        assert browser.post("/v1/chat/completions", json=ask, headers={"origin": one.url}).status_code == 200
        revoked = httpx.post(f"{one.url}/v1/key/revoke", headers={"authorization": f"Bearer {key}"}, verify=TLS)
        assert revoked.status_code == 200
        assert browser.get("/v1/key").status_code == 401
        listing = httpx.get(f"{one.url}/v1/recent", headers={"x-api-key": SERVED_OPERATOR}, verify=TLS).json()["data"]
        assert len(listing) == 1


def test_a_key_stays_revoked_whatever_was_read_before(gateway: Running) -> None:
    keys = gateway.arbiter.keys

    async def revoked_while_others_read() -> list[str]:
        async def read() -> None:
            while not done.is_set():
                await keys.refresh()

        done, wrong = asyncio.Event(), []
        reading = [asyncio.create_task(read()) for _ in range(4)]
        for number in range(60):
            minted = await keys.mint("caller", "a@b.cd", str(number))
            await keys.set_status(BY, minted.key.id, "revoked")
            for _ in range(20):
                await asyncio.sleep(0)
                with contextlib.suppress(Unauthorized):
                    keys.authenticate(minted.secret)
                    wrong.append(minted.key.id)
        done.set()
        await asyncio.gather(*reading)
        return wrong

    assert gateway.run(revoked_while_others_read) == []
