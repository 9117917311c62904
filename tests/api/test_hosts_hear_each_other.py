"""Two Arbiters on one PostgreSQL, each with a runtime of its own: what happens at one holds at the other within a second."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from arbiter_app import __version__
from arbiter_app.runtime.sandbox.world import Fault
from arbiter_app.services.rows.gateway import HostList, HostRow
from arbiter_app.store import hosts
from tests import databases
from tests.conftest import Running, running
from tests.waiting import soon, until

Pair = tuple[Running, Running]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("hosts")
    where = databases.place("postgres", directory / "arbiter.db")
    west = {"ARBITER_DB": where, "ARBITER_HOST_NAME": "west"}
    with running(directory, ARBITER_DB=where, ARBITER_HOST_NAME="east") as one, running(directory, **west) as other:
        yield one, other


def listed(host: Running) -> dict[str, HostRow]:
    told: HostList = host.http.get("/v1/hosts").json()
    return {row["name"]: row for row in told["data"]}


def test_each_tells_of_both_and_one_of_the_two_keeps_the_house(pair: Pair) -> None:
    one, other = pair
    for host in (*pair, *pair):  # twice: rates are those since the first time
        host.run(host.arbiter.fleet.tell)
    for host in pair:
        rows = listed(host)
        assert list(rows) == ["east", "west"]
        assert sorted(row["leads"] for row in rows.values()) == [False, True]
        for row in rows.values():
            assert (row["state"], row["version"], row["trouble"]) == ("serving", __version__, "")
            assert row["memory_bytes"] > 10_000_000 and row["silent_s"] < 5 and row["learned_age_s"] < 5
            assert row["cpu_cores"] is not None and row["requests_per_s"] is not None
            assert row["clock_ahead_s"] is not None and abs(row["clock_ahead_s"]) < 1
        database = host.http.get("/v1/hosts").json()["database"]
        assert database["kind"] == "PostgreSQL" and 2 <= database["ours"] <= database["used"] <= database["most"]


def test_a_host_that_ends_is_gone_and_one_that_is_killed_is_silent(pair: Pair, tmp_path: Path) -> None:
    one, _ = pair
    call = one.arbiter.store.writer.call
    with running(tmp_path, ARBITER_DB=one.settings.db, ARBITER_HOST_NAME="south") as south:
        south.run(south.arbiter.fleet.tell)
        assert listed(one)["south"]["state"] == "serving"
    assert "south" not in listed(one)
    odd = {"version": 7, "processes": ["none", {"running": "many", "learned_age_s": 1e300}], "trouble": None}
    one.run(lambda: call(lambda c: hosts.tell(c, "killed", "north", up_s=9.0, report=odd)))
    databases.postgres().sql("UPDATE host SET seen = seen - 20 WHERE id = 'killed'", database_of(one))
    assert listed(one)["north"]["state"] == "silent"
    assert (listed(one)["north"]["version"], listed(one)["north"]["running"]) == ("", 0)
    one.run(lambda: call(lambda c: hosts.tell(c, "anew", "north", up_s=0.0, report={})))
    assert (listed(one)["north"]["id"], listed(one)["north"]["state"]) == ("anew", "serving")
    one.run(lambda: call(lambda c: hosts.leave(c, "anew")))


def database_of(host: Running) -> str:
    return host.settings.db.rpartition("/")[2]


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
    one.http.post("/v1/reset").raise_for_status()
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
    missed: list[str] = []
    hear, channel._hear = channel._hear, lambda kind, data: missed.append(kind)
    for model, multiplier in (("gpt-4o", 1.0), ("gpt-4.1", 3.0), ("gpt-4o-mini", 2.0)):
        one.http.post("/v1/simulate-price", json={"model": model, "multiplier": multiplier}).raise_for_status()
    until(lambda: missed.count("price") == 3)
    channel._hear = hear
    databases.postgres().sql(
        "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'arbiter'"
    )
    until(lambda: other.arbiter.prices.active() == {"gpt-4.1": 3.0, "gpt-4o-mini": 2.0})
    assert one.arbiter.prices.active() == {"gpt-4.1": 3.0, "gpt-4o-mini": 2.0}
    one.http.post("/v1/reset").raise_for_status()
    soon(lambda: one.arbiter.prices.active() == other.arbiter.prices.active() == {})


def test_what_is_learned_of_a_segment_at_one_is_known_at_the_other(pair: Pair) -> None:
    one, other = pair

    def graded(host: Running) -> float:
        parts = host.arbiter.policy._segments.parts.get(("math", "tag"))  # type: ignore[attr-defined]
        return 0.0 if parts is None or "told" not in parts.sums else float(parts.sums["told"][0].sum())

    for host, sums in ((one, 4), (other, 2)):
        for at in range(sums):
            asked = {"messages": [{"role": "user", "content": f"Calculate {at} * 1{sums}"}]}
            tagged = host.http.post("/v1/chat/completions", json=asked, headers={"x-arbiter-tags": "told"})
            assert tagged.status_code == 200
        host.settle()
    until(lambda: graded(one) == graded(other) >= 6.0)
