"""Three Arbiters with folders of their own on one PostgreSQL, as on three machines: one brain, one set of books.

`KILLS=20 pytest -s tests/chaos/test_hosts_share_one_database.py` kills twenty times, the database included.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from arbiter_app.bench.client import Client
from arbiter_app.bench.workload import workload
from arbiter_app.store import open_store
from arbiter_app.store.decisions import Filter
from tests import databases
from tests.balancer import balanced
from tests.chaos.test_kill9_loses_nothing_that_was_answered import outcomes
from tests.served import OPERATOR, TLS, Served, free_port, start
from tests.stores import rows_of
from tests.waiting import soon, until

HOSTS = 3
ROUNDS = int(os.environ.get("KILLS", "6"))
ASK = {"messages": [{"role": "user", "content": "Calculate 2 + 2"}]}


class Cluster:
    """The hosts by number, each of which can be killed and started anew on its port."""

    def __init__(self, directory: Path, **environ: str) -> None:
        self.where = databases.place("postgres", directory / "arbiter.db")
        self.ports = [free_port() for _ in range(HOSTS)]
        self._directory, self._environ = directory, environ
        self.hosts: list[Served] = [self._start(at) for at in range(HOSTS)]

    def _start(self, at: int) -> Served:
        folder = self._directory / f"host-{at}"
        folder.mkdir(exist_ok=True)
        return start(folder, ARBITER_DB=self.where, ARBITER_PORT=str(self.ports[at]), **self._environ)

    def kill(self, at: int) -> None:
        self.hosts[at].kill()

    def start(self, at: int) -> None:
        self.hosts[at] = self._start(at)

    def get(self, at: int, path: str) -> Any:
        headers = {"authorization": f"Bearer {OPERATOR}"}
        return httpx.get(f"{self.hosts[at].url}{path}", headers=headers, verify=TLS).json()

    def post(self, at: int, path: str, body: dict[str, Any]) -> Any:
        headers = {"authorization": f"Bearer {OPERATOR}"}
        answer = httpx.post(f"{self.hosts[at].url}{path}", headers=headers, json=body, verify=TLS)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def at_work(self, at: int) -> bool:
        """Whether a host still judges answers, or asks models beside them."""
        told = httpx.get(f"{self.hosts[at].url}/metrics", verify=TLS).text
        return any(
            re.search(rf"^arbiter_{name}_pending [1-9]", told, re.M) for name in ("judgements", "shadow", "store")
        )

    def learned(self, at: int) -> Any:
        """How much a host knows of every model in every bucket."""
        buckets = self.get(at, "/v1/policy")["buckets"]
        return {
            (bucket, row["model"]): round(row["n"], 6)
            for bucket, rows in sorted(buckets.items())
            for row in rows
            if row["n"]
        }


@contextlib.contextmanager
def cluster(directory: Path, **environ: str) -> Iterator[Cluster]:
    one = Cluster(directory, **environ)
    try:
        yield one
    finally:
        for host in one.hosts:
            if host.process.poll() is None:
                host.stop()


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster(tmp_path_factory.mktemp("hosts")) as one:
        yield one


def test_a_key_that_is_revoked_at_one_host_is_refused_at_all_within_a_second(three: Cluster) -> None:
    with balanced(three.ports) as url:
        key = httpx.post(f"{url}/v1/register", json={"email": "a@example.com"}, verify=TLS).json()["api_key"]
    headers = {"authorization": f"Bearer {key}"}
    for host in three.hosts:  # a fresh key works everywhere at once
        assert httpx.post(f"{host.url}/v1/chat/completions", json=ASK, headers=headers, verify=TLS).status_code == 200
    assert httpx.post(f"{three.hosts[0].url}/v1/key/revoke", headers=headers, verify=TLS).status_code == 200

    def refused() -> bool:
        return all(
            httpx.get(f"{host.url}/v1/key", headers=headers, verify=TLS).status_code == 401 for host in three.hosts
        )

    soon(refused)


def test_a_host_that_stands_still_keeps_the_house_no_longer(three: Cluster) -> None:
    """Its connection stays open, as that of a machine that is gone without a word does."""

    def leading(asked: int) -> list[str]:
        return [row["name"] for row in three.get(asked, "/v1/hosts")["data"] if row["leads"]]

    until(lambda: leading(0))
    (before,) = leading(0)
    still = next(at for at in range(HOSTS) if before.endswith(f":{three.ports[at]}"))
    other = (still + 1) % HOSTS
    three.hosts[still].process.send_signal(signal.SIGSTOP)
    try:
        until(lambda: set(leading(other)) - {before})
    finally:
        three.hosts[still].process.send_signal(signal.SIGCONT)
    until(lambda: len(leading(still)) == 1 and leading(still) != [before])


def test_a_limit_of_fifty_lets_exactly_fifty_through_while_a_host_is_killed(tmp_path: Path) -> None:
    with cluster(tmp_path, ARBITER_LIMIT_6H="50", ARBITER_LIMITS_FAIL="closed") as hosts, balanced(hosts.ports) as url:
        key = httpx.post(f"{url}/v1/register", json={"email": "a@example.com"}, verify=TLS).json()["api_key"]

        def ask(at: int) -> int:
            if at == 40:
                hosts.kill(0)
            try:
                headers = {"authorization": f"Bearer {key}"}
                return httpx.post(f"{url}/v1/chat/completions", json=ASK, headers=headers, verify=TLS).status_code
            except httpx.TransportError:
                return 0  # it was at the host that was killed: counted or not, but not answered

        with ThreadPoolExecutor(20) as callers:
            said = Counter(callers.map(ask, range(200)))
        store = open_store(hosts.where)
        used = asyncio.run(store.usage(key[:12]))["six_hours"].used
        store.close()
        assert used == 50
        assert said[200] <= 50 <= said[200] + said[0], said
        assert said[429] == 200 - said[200] - said[0] - said[503]


def test_a_workload_through_a_balancer_is_learned_by_all_and_adds_up_to_the_last_digit(tmp_path: Path) -> None:
    asks = workload(300, 7, 0.3)
    with cluster(tmp_path) as hosts, balanced(hosts.ports) as url:
        client = Client(url, OPERATOR)
        with ThreadPoolExecutor(12) as callers:
            answers = list(callers.map(lambda ask: client.chat(ask.body), asks))
        client.close()
        assert Counter(answer.status for answer in answers) == {200: 300}
        until(lambda: not any(hosts.at_work(at) for at in range(HOSTS)))
        soon(lambda: hosts.learned(0) == hosts.learned(1) == hosts.learned(2) != {})
        reports = [hosts.get(at, "/v1/report") for at in range(HOSTS)]
        assert [report["calls"] for report in reports] == [300] * HOSTS
    _look_at_the_books(hosts.where, {answer.arbiter["decision_id"] for answer in answers}, taught=True)


def test_kill_9_of_any_process_and_of_the_database_loses_and_doubles_nothing(tmp_path: Path) -> None:
    rng, answered = random.Random(7), set[str]()
    asks = iter(workload(20_000, 7, 0.3))
    with cluster(tmp_path) as hosts, balanced(hosts.ports) as url:
        client = Client(url, OPERATOR)

        def ask() -> None:
            answer = client.chat(next(asks).body)
            if answer.status == 200 and answer.arbiter:
                answered.add(answer.arbiter["decision_id"])

        for at in range(ROUNDS):
            victim = at % (HOSTS + 1)
            with ThreadPoolExecutor(6) as callers:
                waiting = [callers.submit(ask) for _ in range(60)]
                waiting[rng.randrange(5, 40)].result()
                if victim == HOSTS:
                    databases.postgres().kill()
                    databases.postgres().start()
                else:
                    hosts.kill(victim)
            if victim < HOSTS:
                hosts.start(victim)
            until(lambda: all(hosts.get(at, "/health")["store"] == "ok" for at in range(HOSTS)))
            print(
                f"round {at + 1}: {'the database' if victim == HOSTS else f'host {victim}'}, {len(answered)} answered"
            )
        client.close()
    _look_at_the_books(hosts.where, answered, taught=False)  # answers teach nothing while the database is gone


def _look_at_the_books(where: str, answered: set[str], *, taught: bool) -> None:
    """Every answered request is on record once, the report is the sum of the records, and so is what was learned."""
    store = open_store(where)
    try:
        rows = list(store.stretch(Filter()))
        on_record = Counter(row["id"] for row in rows)
        assert answered and not answered - on_record.keys()
        assert set(on_record.values()) == {1}
        (total,) = asyncio.run(store.totals(()))
        assert total["calls"] == len(rows)
        for name in ("cost_pico", "judge_pico", "classifier_pico"):
            column = {
                "cost_pico": "cost_pico",
                "judge_pico": "judge_cost_pico",
                "classifier_pico": "classifier_cost_pico",
            }
            assert total[name] == sum(row[column[name]] or 0 for row in rows)
        beside = (
            "SELECT decision_id, bucket, shadow.model, shadow.status, 0 FROM shadow JOIN decision ON id = decision_id"
        )
        calls, explored = outcomes(rows, rows_of(store, beside))
        known = {(bucket, model): sums for bucket, model, sums in asyncio.run(store.load_policy())[0]}
        assert all(sums.calls <= calls[key] and sums.explore_n <= explored[key] for key, sums in known.items())
        if taught:
            assert {key: sums.calls for key, sums in known.items() if sums.calls} == calls
            assert {key: sums.explore_n for key, sums in known.items() if sums.explore_n} == explored
    finally:
        store.close()
