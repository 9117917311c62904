"""The database is gone for a while, stands still, or is being migrated: no answer fails, nothing is lost or written twice.

`OUTAGE=60 pytest -s tests/chaos/test_the_database_is_gone.py` has it gone for a minute, and says how long the return took.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest

from arbiter_app.bench.client import Client
from arbiter_app.bench.workload import workload
from arbiter_app.store import open_store, writer
from arbiter_app.store.backends.postgresql import ONE_WRITER
from arbiter_app.store.decisions import Filter
from tests import databases
from tests.conftest import running
from tests.served import OPERATOR, TLS, Served, served, start
from tests.waiting import PATIENCE_S, soon, until

OUTAGE_S = float(os.environ.get("OUTAGE", "5"))
BACK_S = 5.0
"""Writes go through again so soon after the database is back."""
SETTINGS = {"ARBITER_JUDGE_SAMPLE": "1", "ARBITER_CACHE": "0"}


class Load:
    """Callers that send without a pause until the end of the block; `said` counts statuses, `answered` holds decisions."""

    def __init__(self, url: str, seed: int = 7, callers: int = 6) -> None:
        self.said: Counter[int] = Counter()
        self.answered: set[str] = set()
        self._asks = cycle(workload(10_000, seed, 0.3))
        self._client = Client(url, OPERATOR)
        self._ending = threading.Event()
        self._more = threading.Condition()
        self._threads = [threading.Thread(target=self._call) for _ in range(callers)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._client.close()

    def more(self, n: int) -> None:
        """Until so many more have been answered."""
        with self._more:
            wanted = len(self.answered) + n
            assert self._more.wait_for(lambda: len(self.answered) >= wanted, PATIENCE_S), "no answers any more"

    def _call(self) -> None:
        while not self._ending.is_set():
            with self._more:
                ask = next(self._asks)
            answer = self._client.chat(ask.body)
            with self._more:
                self.said[answer.status] += 1
                if answer.status == 200 and answer.arbiter:
                    self.answered.add(answer.arbiter["decision_id"])
                self._more.notify_all()


@contextmanager
def gone() -> Iterator[None]:
    """While the server is down."""
    databases.postgres().stop()
    try:
        yield
    finally:
        databases.postgres().start()


def health(one: Served) -> dict[str, Any]:
    told: dict[str, Any] = httpx.get(f"{one.url}/health", verify=TLS).json()
    return told


def at_work(one: Served) -> bool:
    """Whether something is still to be judged or written."""
    told = httpx.get(f"{one.url}/metrics", verify=TLS).text
    values = dict(line.rsplit(" ", 1) for line in told.splitlines() if not line.startswith("#"))
    names = "arbiter_judgements_pending", "arbiter_store_pending", "arbiter_journal_entries"
    return any(float(values[name]) for name in names)


def test_answers_go_on_while_it_is_gone_and_all_of_them_are_on_record_afterwards(tmp_path: Path) -> None:
    where = databases.place("postgres", tmp_path / "arbiter.db")
    with served(tmp_path, ARBITER_DB=where, **SETTINGS) as one:
        with Load(one.url) as load:
            load.more(50)
            before = len(load.answered)
            with gone():
                until_s = time.monotonic() + OUTAGE_S
                load.more(20)
                said = health(one)
                assert "refuses writes" in said["store"] and said["learning"] == "paused"
                assert "entries wait for the database" in said["journal"]
                assert httpx.get(f"{one.url}/readyz", verify=TLS).status_code == 200
                while time.monotonic() < until_s:
                    load.more(10)
                during = len(load.answered) - before
            back = time.monotonic()
            soon(lambda: health(one)["store"] == "ok", BACK_S)
            took_s = time.monotonic() - back
            load.more(50)
        until(lambda: not at_work(one))
        assert load.said.keys() == {200}
        assert health(one)["journal"] == "empty"
    look_at_the_books(where, load.answered)
    print(f"{during} answers in {OUTAGE_S:g} s without a database; writes go through {took_s:.1f} s after its return")


def test_a_host_that_is_killed_meanwhile_has_its_journal_written_at_its_next_start(tmp_path: Path) -> None:
    where = databases.place("postgres", tmp_path / "arbiter.db")
    one = start(tmp_path, ARBITER_DB=where, **SETTINGS)
    with Load(one.url) as load:
        load.more(30)
        with gone():
            load.more(60)
            one.kill()
            answered = set(load.answered)
            load._ending.set()
    with served(tmp_path, ARBITER_DB=where, **SETTINGS) as one:
        assert health(one)["journal"] == "empty"
        with Load(one.url, seed=8) as load:
            load.more(20)
        until(lambda: not at_work(one))
    look_at_the_books(where, answered | load.answered)


def test_a_host_goes_on_while_the_next_version_migrates(tmp_path: Path) -> None:
    """Stands for a later migration: it takes the lock that migrations take, holds tables, and adds to them."""
    where = databases.place("postgres", tmp_path / "arbiter.db")
    with served(tmp_path, ARBITER_DB=where, **SETTINGS) as one:
        with Load(one.url) as load:
            load.more(30)
            with psycopg.connect(where) as migrating:
                migrating.execute(f"SELECT pg_advisory_xact_lock({ONE_WRITER})")
                for name in ("decision", "decision_trace", "statistic", "rollup"):
                    migrating.execute(f"ALTER TABLE {name} ADD COLUMN later VARCHAR NOT NULL DEFAULT ''")
                load.more(100)
            load.more(50)
        until(lambda: not at_work(one))
        assert load.said.keys() == {200}
    look_at_the_books(where, load.answered)


def test_it_is_said_what_the_server_says_now_not_what_it_said_at_first(tmp_path: Path) -> None:
    """Its sessions end, as in a restart; then it lets nobody in, as after a change of the password."""
    server, role = databases.postgres(), f"r_{os.getpid()}"
    server.sql(f"CREATE ROLE {role} LOGIN")
    server.sql(f"CREATE DATABASE {role} OWNER {role}")
    where = server.url(role).replace("postgres@", f"{role}@")
    with served(tmp_path, ARBITER_DB=where, **SETTINGS) as one:
        with Load(one.url) as load:
            load.more(20)
            server.sql(f"ALTER ROLE {role} NOLOGIN")
            server.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'")
            until(lambda: "is not permitted to log in" in health(one)["store"])
            load.more(20)
            read = httpx.get(
                f"{one.url}/v1/recent", headers={"authorization": f"Bearer {OPERATOR}"}, timeout=30, verify=TLS
            )
            assert read.status_code == 503 and "is not permitted to log in" in read.json()["error"]["message"]
            assert "\n" not in read.json()["error"]["message"]
            server.sql(f"ALTER ROLE {role} LOGIN")
            until(lambda: health(one)["store"] == "ok")
        until(lambda: not at_work(one))
        assert load.said.keys() == {200}
    look_at_the_books(where, load.answered)


def test_a_database_that_stands_still_holds_up_answers_for_a_moment_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "STALLED_S", 1.0)
    with running(tmp_path, database="postgres", **SETTINGS) as one:
        assert one.chat("Calculate 2 + 2").status_code == 200
        databases.postgres().pause()
        try:
            answers = [one.chat(f"Calculate {at} + 2") for at in range(5)]
        finally:
            databases.postgres().resume()
        assert [answer.status_code for answer in answers] == [200] * 5
        assert "learning is paused" in answers[-1].json()["arbiter"]["degraded"]
        until(lambda: one.http.get("/health").json()["store"] == "ok")
        one.settle()
        ids = {answer.json()["arbiter"]["decision_id"] for answer in answers}
        where = one.settings.db
    look_at_the_books(where, ids)


def look_at_the_books(where: str, answered: set[str]) -> None:
    """Every answered request is on record once, and the report is the sum of the records."""
    store = open_store(where)
    try:
        rows = list(store.stretch(Filter()))
        on_record = Counter(row["id"] for row in rows)
        assert answered and not answered - on_record.keys()
        assert set(on_record.values()) == {1}
        (total,) = asyncio.run(store.totals(()))
        assert total["calls"] == len(rows)
        assert total["judge_pico"] == sum(row["judge_cost_pico"] or 0 for row in rows)
        assert total["cost_pico"] == sum(row["cost_pico"] or 0 for row in rows)
    finally:
        store.close()
