"""Kill -9 under load, again and again. Every answered request is on record once, and the sums equal the records.

`KILLS=40 pytest -s tests/chaos/test_kill9_loses_nothing_that_was_answered.py` kills forty times and prints how long the
restarts took.
"""

from __future__ import annotations

import asyncio
import os
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from arbiter_app.bench.client import BenchAnswer, Client
from arbiter_app.bench.workload import workload
from arbiter_app.services.alert_outcome import concerned
from arbiter_app.store import Store, open_store
from arbiter_app.store.decisions import Filter
from tests.served import OPERATOR, Served, served, start
from tests.stores import connected, rounded
from tests.waiting import PATIENCE_S, until

ROUNDS = int(os.environ.get("KILLS", "12"))
CALLERS = 6


class Load:
    """Callers that send without a pause until told to stop; `answered` holds what came back whole."""

    def __init__(self, url: str, seed: int) -> None:
        self.answered: list[BenchAnswer] = []
        self._asks = workload(2_000, seed, 0.3)
        self._client = Client(url, OPERATOR)
        self._stopped = threading.Event()
        self._more = threading.Condition()
        self._threads = [threading.Thread(target=self._call, args=(at,)) for at in range(CALLERS)]
        for thread in self._threads:
            thread.start()

    def wait_for(self, n: int) -> None:
        """Until `n` requests have been answered."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.answered) >= n, PATIENCE_S), "no answers any more"

    def stop(self) -> None:
        """End the callers."""
        self._stopped.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
        self._client.close()

    def _call(self, at: int) -> None:
        for ask in self._asks[at::CALLERS]:
            if self._stopped.is_set():
                return
            answer = self._client.chat(ask.body)
            if answer.status == 200 and answer.arbiter:
                with self._more:
                    self.answered.append(answer)
                    self._more.notify()


@contextmanager
def opened(directory: Path) -> Iterator[Store]:
    """The store of a stopped Arbiter."""
    store = open_store(str(directory / "arbiter.db"))
    try:
        yield store
    finally:
        store.close()


def asked_beside(directory: Path) -> list[tuple[str, str, str, str, int | None]]:
    """Decision, bucket, model, status and pico-dollars of every model that was asked beside an answer."""
    query = "SELECT s.decision_id, d.bucket, s.model, s.status, s.cost_pico FROM shadow s JOIN decision d ON d.id = s.decision_id"
    with connected(directory / "arbiter.db") as connection:
        return connection.execute(query).fetchall()


def outcomes(rows: list[dict[str, Any]], beside: list[tuple[Any, ...]]) -> tuple[Counter[Any], Counter[Any]]:
    """Calls and trials by (bucket, model) that the decisions tell of, and what was asked beside them."""
    calls: Counter[Any] = Counter((bucket, model) for _, bucket, model, status, _ in beside if status == "ok")
    explored = Counter(calls)
    for row in rows:
        if row["status"] != "ok" or row["cache"] == "hit":
            continue
        calls[row["bucket"], row["model"]] += 1
        explored[row["bucket"], row["model"]] += row["mode"] == "explore"
        if row["cascaded_from"]:
            calls[row["bucket"], row["cascaded_from"]] += 1
    return calls, +explored


def test_kills_under_load_lose_no_answer(tmp_path):
    rng = random.Random(9)
    answered: list[BenchAnswer] = []
    took_s = []
    for number in range(ROUNDS):
        started = time.perf_counter()
        one = start(tmp_path, ARBITER_SHADOW="on")
        took_s.append(time.perf_counter() - started)
        load = Load(one.url, seed=number)
        load.wait_for(rng.randint(5, 60))
        one.kill()
        load.stop()
        answered += load.answered

    restarts = sorted(took_s[1:])
    with opened(tmp_path) as store:
        rows = list(store.stretch(Filter()))
        print(f"{ROUNDS} kills, {len(answered)} answers, {len(rows)} records; restart {restarts[-1]:.1f} s at worst")
        on_record = Counter(row["id"] for row in rows)
        lost = [one.decision_id for one in answered if on_record[one.decision_id] != 1]
        assert len(answered) > 15 * ROUNDS and lost == []
        cost_of = {row["id"]: row["cost_pico"] for row in rows}
        assert [one for one in answered if one.arbiter["cost"] * 10**12 != cost_of[one.decision_id]] == []

        beside = asked_beside(tmp_path)
        calls, explored = outcomes(rows, beside)
        known = {(bucket, model): sums for bucket, model, sums in asyncio.run(store.load_policy())[0]}
        assert {key: sums.calls for key, sums in known.items() if sums.calls} == calls
        assert {key: sums.explore_n for key, sums in known.items() if sums.explore_n} == explored

        totals = asyncio.run(store.totals(("bucket",)))
        assert sum(total["calls"] for total in totals) == len(rows)
        assert sum(total["cost_pico"] for total in totals) == sum(row["cost_pico"] or 0 for row in rows)
        assert asyncio.run(store.counters())["decisions"] == len(rows)

        charged = Counter[str]()
        for decision_id, _, _, _, pico in beside:
            charged[decision_id] += pico or 0
        print(f"{len(beside)} models were asked beside them, for ${sum(charged.values()) / 1e12:.6f}")
        assert len(beside) > ROUNDS and on_record.keys() >= charged.keys()
        assert {row["id"]: row["learning_cost_pico"] for row in rows if row["learning_cost_pico"]} == +charged
        assert sum(total["learning_pico"] for total in totals) == sum(charged.values())


def _state(one: Served) -> dict[str, Any]:
    with closing(Client(one.url, OPERATOR)) as client:
        overview, report = client.get("/v1/overview"), client.get("/v1/report")
        told = {
            "policy": client.get("/v1/policy"),
            "feed": client.get("/v1/recent?limit=500"),
            "alerts": client.get("/v1/alerts"),
            "counters": [overview["classifier"], overview["decisions"], overview["cache_hits"]],
            "report": report,
        }
        return {name: rounded(value) for name, value in told.items()}


def test_what_was_learned_survives_a_restart(tmp_path):
    """Policy, feed, alerts, counters and report are the same before and after; price multipliers are not kept."""
    with served(tmp_path, command=True, ARBITER_JUDGE_SAMPLE="0") as one, closing(Client(one.url, OPERATOR)) as client:
        asks = workload(900, 4, 0.3)
        for ask in asks[:200]:
            assert client.chat(ask.body).status == 200
        newest = client.get("/v1/recent?limit=60")["data"]
        served_by = Counter((row["task"], row["model"]) for row in newest if row["cost"] and row["mode"] == "exploit")
        (_, favourite), _ = served_by.most_common(1)[0]
        client.post("/v1/simulate-price", {"model": favourite, "multiplier": 8})
        asked = 200
        while asked < 300 or not client.get("/v1/alerts")["data"]:  # few may go to the model that is dearer
            assert client.chat(asks[asked].body).status == 200
            asked += 1
        assert list(client.get("/v1/overview")["active_price_overrides"]) == [favourite]
        before = _settled(one)
        assert one.stop() == 0
    with served(tmp_path, command=True) as again, closing(Client(again.url, OPERATOR)) as client:
        assert _state(again) == before
        assert before["counters"][1] == asked
        assert not client.get("/v1/overview")["active_price_overrides"]


def _settled(one: Served) -> dict[str, Any]:
    """The state once alerts have been followed up to the last request and late grades have stopped coming in."""
    with closing(Client(one.url, OPERATOR)) as client:
        until(lambda: _followed_up(client))
    state, again = _state(one), _state(one)
    while state != again:
        state, again = again, _state(one)
    return again


def _followed_up(client: Client) -> bool:
    """Whether every alert tells of all requests since; what has settled stays as it is."""
    newest_first = client.get("/v1/recent?limit=500")["data"]
    alerts = client.get("/v1/alerts")["data"]
    return bool(alerts) and all(
        alert["settled"] is not None or (alert["outcome"] or {}).get("requests") == _since(alert, newest_first)
        for alert in alerts
    )


def _since(alert: dict[str, Any], newest_first: list[dict[str, Any]]) -> int:
    """How many requests came after an alert that it is about."""
    return len(concerned(alert, [row for row in newest_first if row["ts"] >= alert["ts"]]))
