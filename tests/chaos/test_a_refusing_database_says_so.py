"""A full or read-only disk: answers go on, learning is paused, everything says so, and it is over without a restart."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from arbiter_app.store.decisions import Filter
from tests.conftest import Running, running
from tests.stores import Pragma
from tests.waiting import until

CODE = "Write a Python function that adds two numbers."


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Running]:
    """A gateway that learns from one call a request and from nothing else."""
    with running(tmp_path, ARBITER_JUDGE_SAMPLE="0", ARBITER_CACHE="0", ARBITER_CASCADE="0") as one:
        yield one


def learned(gateway: Running) -> float:
    """Calls that the policy knows of."""
    return sum(stats.calls for _, _, stats in gateway.arbiter.policy.rows())


def stored(gateway: Running) -> float:
    """Calls that the stored statistics know of."""
    rows, _ = gateway.run(gateway.arbiter.store.load_policy)
    return sum(stats.calls for _, _, stats in rows)


def told(gateway: Running) -> tuple[str, str, bool, bool]:
    """What /health, the overview, /readyz and the metrics say: store, learning, ready, degraded."""
    health, overview = gateway.http.get("/health").json(), gateway.http.get("/v1/overview").json()
    assert health["status"] == "ok" and overview["store"] == health["store"]
    ready = gateway.http.get("/readyz").status_code == 200
    return health["store"], health["learning"], ready, "arbiter_store_degraded 1.0" in gateway.http.get("/metrics").text


@pytest.mark.parametrize("pragma", ["PRAGMA max_page_count = 1", "PRAGMA query_only = ON"])
def test_answers_go_on_learning_is_paused_and_recovers_without_a_restart(gateway: Running, pragma: str) -> None:
    refusing = Pragma(gateway.arbiter.store)
    assert gateway.chat(CODE).json()["arbiter"]["degraded"] is None
    assert told(gateway) == ("ok", "on", True, False)

    refusing.set(pragma)
    first, asked = gateway.chat(CODE), 2
    while first.json()["arbiter"]["degraded"] is None:  # a full disk has room in the database's own free pages
        first, asked = gateway.chat(CODE), asked + 1
    assert first.status_code == 200
    known = learned(gateway)  # the one that finds it out had been learned from, and is kept with what it taught
    bodies = [gateway.chat(CODE).json()["arbiter"] for _ in range(5)]
    streamed = gateway.http.post(
        "/v1/chat/completions", json={"messages": [{"role": "user", "content": CODE}], "stream": True}
    )
    frames = [line[6:] for line in streamed.text.splitlines() if line.startswith("data: {")]
    for block in (first.json()["arbiter"], *bodies, orjson.loads(frames[-1])["arbiter"]):
        assert block["degraded"].startswith("learning is paused: the database refuses writes")
    assert learned(gateway) == known == asked
    store, learning, ready, degraded = told(gateway)
    assert "refuses writes" in store and (learning, ready, degraded) == ("paused", gateway.arbiter.store.journals, True)

    refusing.clear()
    until(lambda: not gateway.arbiter.store.ledger.degraded)
    assert gateway.chat(CODE).json()["arbiter"]["degraded"] is None
    assert learned(gateway) == stored(gateway) == asked + 1
    ids = [row["id"] for row in gateway.arbiter.store.stretch(Filter())]
    assert len(ids) == asked + 7 and {block["decision_id"] for block in bodies} <= set(ids)
    assert gateway.http.get("/v1/report").json()["calls"] == asked + 7
    assert told(gateway)[:2] == ("ok", "on")


@pytest.mark.parametrize(("fail", "status"), [("open", 200), ("closed", 503)])
def test_limits_that_cannot_be_counted_hold_requests_up_only_where_that_is_wanted(
    tmp_path: Path, fail: str, status: int
) -> None:
    with running(tmp_path, database="sqlite", ARBITER_LIMITS_FAIL=fail) as one, one.client(one.caller()) as caller:
        refusing = Pragma(one.arbiter.store)
        refusing.set("PRAGMA query_only=ON")
        answer = caller.post(
            "/v1/chat/completions", json={"messages": [{"role": "user", "content": "Calculate 2 + 2"}]}
        )
        assert answer.status_code == status, answer.text
        if status == 503:
            assert answer.json()["error"]["code"] == "store_unavailable"
            assert answer.headers["retry-after"] == "1"
        refusing.clear()
