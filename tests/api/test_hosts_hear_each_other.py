"""Two Arbiters on one PostgreSQL, each with a runtime of its own: what happens at one holds at the other within a second."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from arbiter_app.runtime.sandbox.world import Fault
from tests import databases
from tests.conftest import Running, running
from tests.waiting import until

SOON_S = 1.0
BUSY = 3.0
"""How much longer a machine that runs other tests meanwhile may take."""
Pair = tuple[Running, Running]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("hosts")
    where = databases.place("postgres", directory / "arbiter.db")
    with running(directory, ARBITER_DB=where) as one, running(directory, ARBITER_DB=where) as other:
        yield one, other


def soon(condition: object) -> None:
    until(condition, SOON_S * BUSY)  # type: ignore[arg-type]


def test_one_of_the_two_keeps_the_house(pair: Pair) -> None:
    assert sorted(host.arbiter.store.leads for host in pair) == [False, True]


def test_a_revoked_key_is_refused_at_the_other(pair: Pair) -> None:
    one, other = pair
    key = one.caller()
    with one.client(key) as here, other.client(key) as there:
        assert there.get("/v1/key").status_code == 200
        assert here.post("/v1/key/revoke").status_code == 200
        soon(lambda: there.get("/v1/key").status_code == 401)


def test_a_switch_and_a_simulated_price_hold_at_the_other(pair: Pair) -> None:
    one, other = pair
    one.http.patch("/v1/pool/models/gpt-4o-mini", json={"routable": False}).raise_for_status()
    other.http.post("/v1/simulate-price", json={"model": "gpt-4o", "multiplier": 3.0})
    soon(lambda: not other.arbiter.catalog.models["gpt-4o-mini"].routable)
    soon(lambda: one.arbiter.prices.active() == {"gpt-4o": 3.0})
    other.http.patch("/v1/pool/models/gpt-4o-mini", json={"routable": True}).raise_for_status()
    soon(lambda: one.arbiter.catalog.models["gpt-4o-mini"].routable)
    one.http.post("/v1/simulate-price", json={"model": "gpt-4o", "multiplier": 1.0})
    soon(lambda: other.arbiter.prices.active() == {})


def test_a_model_that_rests_at_one_rests_at_the_other(pair: Pair) -> None:
    one, other = pair
    one.world.faults["gpt-4o"] = Fault(status=500, count=1)
    one.chat("Calculate 2 + 2", model="gpt-4o")
    soon(lambda: "gpt-4o" in other.arbiter.health.snapshot(time.monotonic()))


def test_what_one_learns_the_other_knows(pair: Pair) -> None:
    one, other = pair
    for at in range(12):
        (one if at % 2 else other).chat(f"Calculate {at} + {at}")

    def equal() -> bool:
        here, there = ({(row[0], row[1]): row[2] for row in host.arbiter.policy.rows()} for host in pair)
        return here.keys() == there.keys() and all(
            math.isclose(value, getattr(there[key], name), rel_tol=1e-6)
            for key, stats in here.items()
            for name, value in stats.as_dict().items()
        )

    soon(equal)
    assert sum(stats.calls for _, _, stats in one.arbiter.policy.rows()) >= 12


def test_an_alert_and_a_reset_reach_the_other(pair: Pair) -> None:
    one, other = pair
    other.chat("Calculate 2 + 2")
    one.http.post("/v1/reset")
    soon(lambda: not list(other.arbiter.policy.rows()))
    soon(lambda: not list(one.arbiter.policy.rows()))
    assert other.http.get("/v1/report").json()["calls"] == 0


def test_a_host_that_comes_later_is_told_how_things_stand(pair: Pair, tmp_path: Path) -> None:
    one, _ = pair
    one.http.post("/v1/simulate-price", json={"model": "gpt-4o", "multiplier": 2.0})
    with running(tmp_path, ARBITER_DB=one.settings.db) as late:
        soon(lambda: late.arbiter.prices.active() == {"gpt-4o": 2.0})
    one.http.post("/v1/simulate-price", json={"model": "gpt-4o", "multiplier": 1.0})
    soon(lambda: pair[1].arbiter.prices.active() == {})


def test_hosts_hear_each_other_again_after_the_server_was_gone(pair: Pair) -> None:
    one, other = pair
    databases.postgres().kill()
    assert one.chat("Calculate 2 + 2").status_code == 200
    one.http.post("/v1/simulate-price", json={"model": "gpt-4o-mini", "multiplier": 5.0})
    databases.postgres().start()
    until(lambda: other.arbiter.prices.active() == {"gpt-4o-mini": 5.0})
    until(lambda: sorted(host.arbiter.store.leads for host in pair) == [False, True])
    one.http.post("/v1/simulate-price", json={"model": "gpt-4o-mini", "multiplier": 1.0})


def test_a_price_that_was_cleared_while_a_host_was_deaf_is_cleared_there_when_it_hears_again(pair: Pair) -> None:
    one, other = pair
    one.http.post("/v1/simulate-price", json={"model": "gpt-4o", "multiplier": 4.0})
    one.http.post("/v1/simulate-price", json={"model": "gpt-4.1", "multiplier": 2.0})
    soon(lambda: other.arbiter.prices.active() == {"gpt-4o": 4.0, "gpt-4.1": 2.0})
    channel = other.arbiter.store._channel
    assert channel is not None
    hear, channel._hear = channel._hear, lambda kind, data: None
    one.http.post("/v1/simulate-price", json={"model": "gpt-4o", "multiplier": 1.0})
    one.http.post("/v1/simulate-price", json={"model": "gpt-4.1", "multiplier": 3.0})
    third = one.http.post("/v1/simulate-price", json={"model": "gpt-4o-mini", "multiplier": 2.0})
    until(lambda: not one.arbiter.store._channel._waiting and third.status_code == 200)  # type: ignore[union-attr]
    channel._hear = hear
    databases.postgres().sql(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'arbiter'"
    )
    until(lambda: other.arbiter.prices.active() == {"gpt-4.1": 3.0, "gpt-4o-mini": 2.0})
    assert one.arbiter.prices.active() == {"gpt-4.1": 3.0, "gpt-4o-mini": 2.0}
    one.http.post("/v1/reset")
    soon(lambda: one.arbiter.prices.active() == other.arbiter.prices.active() == {})
