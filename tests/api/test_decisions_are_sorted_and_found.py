"""The dearest, slowest and worst decisions, and those of one request, each within what its reader may see."""

from __future__ import annotations

import pytest

from tests.conftest import Running

FIGURES = {"dearest": ("cost", True), "slowest": ("latency_ms", True), "worst": ("quality", False)}
FIGURES["most_saved"] = ("saved", True)


@pytest.fixture(scope="module")
def busy(gateway: Running) -> Running:
    for at in range(24):
        gateway.chat(f"Calculate {at} * 24" + " and show every step" * (at % 5))
    gateway.settle()
    return gateway


@pytest.mark.parametrize("order", FIGURES)
def test_the_first_are_those_of_all_by_their_figure(busy: Running, order: str) -> None:
    name, largest = FIGURES[order]
    rows = busy.http.get("/v1/recent", params={"limit": 500}).json()["data"]
    wanted = sorted([row[name] for row in rows if row[name] is not None], reverse=largest)[:10]
    found = busy.http.get("/v1/recent", params={"limit": 10, "sort": order}).json()
    assert [row[name] for row in found["data"]] == wanted and len(wanted) == 10
    assert found["next"] is None


def test_an_order_keeps_to_the_filter_and_an_unknown_one_is_refused(busy: Running) -> None:
    model = busy.http.get("/v1/recent?limit=1").json()["data"][0]["model"]
    rows = busy.http.get("/v1/recent", params={"sort": "dearest", "model": model}).json()["data"]
    assert rows and {row["model"] for row in rows} == {model}
    assert busy.http.get("/v1/recent?sort=longest").status_code == 422


def test_a_request_is_found_by_its_id_and_by_nobody_else(busy: Running) -> None:
    body = {"messages": [{"role": "user", "content": "Calculate 5 * 5"}]}
    with busy.client(busy.caller()) as caller, busy.client(busy.caller("other@example.com")) as other:
        sent = caller.post("/v1/chat/completions", json=body, headers={"x-request-id": "req-of-ada-1"})
        decision = sent.json()["arbiter"]["decision_id"]
        for reader, found in ((busy.http, [decision]), (caller, [decision]), (other, [])):
            rows = reader.get("/v1/recent", params={"request_id": "req-of-ada-1"}).json()["data"]
            assert [row["id"] for row in rows] == found
    assert busy.http.get("/v1/recent", params={"request_id": "nobody-sent-it"}).json()["data"] == []
