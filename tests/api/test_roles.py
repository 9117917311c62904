"""The whole matrix of routes and roles, generated from the table: what is not allowed is refused."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from arbiter_app.api.roles import ROLES
from tests.conftest import OPERATOR, Running, running

WHO = ("nobody", "caller", "operator")
MAY: dict[str, dict[str, tuple[bool, bool, bool]]] = {
    # rule: (nobody, caller, operator), open sandbox and closed
    "anonymous": {"open": (True, True, True), "closed": (True, True, True)},
    "reads": {"open": (True, True, True), "closed": (False, True, True)},
    "caller": {"open": (False, True, True), "closed": (False, True, True)},
    "operator": {"open": (False, False, True), "closed": (False, False, True)},
    "demo": {"open": (False, True, True), "closed": (False, False, True)},
    "signup": {"open": (True, True, True), "closed": (False, False, False)},
    "loopback": {"open": (True, True, True), "closed": (True, True, True)},
}


@pytest.fixture(scope="module")
def gateways(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Running]]:
    with running(tmp_path_factory.mktemp("open")) as first, running(tmp_path_factory.mktemp("closed")) as second:
        key = second.caller()
        closed = {"signup": False, "public_reads": False, "gateway_api_key": "set"}
        second.arbiter.settings = second.arbiter.settings.model_copy(update=closed)
        second.minted = key  # type: ignore[attr-defined]
        first.minted = first.caller()  # type: ignore[attr-defined]
        yield {"open": first, "closed": second}


@pytest.mark.parametrize("world", ["open", "closed"])
@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("route", sorted(ROLES), ids=lambda route: " ".join(route))
def test_the_matrix(gateways: dict[str, Running], world: str, who: str, route: tuple[str, str]) -> None:
    gateway, (method, path) = gateways[world], route
    key = {"nobody": None, "caller": gateway.minted, "operator": OPERATOR}[who]  # type: ignore[attr-defined]
    if path.startswith("/v1/key/") and who == "caller":
        key = gateway.run(lambda: gateway.arbiter.keys.mint("caller", "a@b.c", "matrix")).secret
    with gateway.client(key) as client:
        answer = client.request(method, path.replace("{decision_id}", "d_none").replace("{model}", "auto"), json={})
    allowed = MAY[ROLES[route]][world][WHO.index(who)]
    assert (answer.status_code not in (401, 403)) == allowed or _own_settings_key(path, who), answer.text


def _own_settings_key(path: str, who: str) -> bool:
    """An operator's key from the settings cannot be paused over the API: 403 is right there."""
    return path.startswith("/v1/key/") and who == "operator"


def test_every_route_of_the_application_is_in_the_table(gateways: dict[str, Running]) -> None:
    document = gateways["open"].http.get("/v1/openapi.json").json()
    assert {(m.upper(), p) for p, methods in document["paths"].items() for m in methods} == set(ROLES)


def test_a_caller_sees_its_own_decisions_only(gateways: dict[str, Running]) -> None:
    gateway = gateways["open"]
    answer = gateway.chat("Calculate 7 * 6", arbiter_no_cache=True).json()
    decision_id = answer["arbiter"]["decision_id"]
    with gateway.client(gateway.minted) as caller:  # type: ignore[attr-defined]
        assert caller.get(f"/v1/decisions/{decision_id}").status_code == 404
        assert decision_id not in caller.get("/v1/recent").text
        assert caller.get("/v1/report").json()["calls"] == 0
        refused = caller.post("/v1/feedback", json={"decision_id": decision_id, "rating": "up"})
        assert refused.status_code == 404


def test_metrics_are_for_this_machine_or_an_operator(gateways: dict[str, Running]) -> None:
    url, elsewhere = gateways["open"].url, {"x-forwarded-for": "203.0.113.9"}
    assert httpx.get(url + "/metrics").status_code == 200
    assert httpx.get(url + "/metrics", headers=elsewhere).status_code == 401
    signed = {**elsewhere, "authorization": f"Bearer {OPERATOR}"}
    assert httpx.get(url + "/metrics", headers=signed).status_code == 200
