"""Kill -9 in the middle of a storm of streams, again and again: reservations expire, and what was spent equals the outcomes on record.

`KILLS=40 pytest -s --timeout 1800 tests/chaos/test_budgets_survive_kill9.py` kills forty times.
"""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path

import httpx
from sqlalchemy import func, select

from arbiter_app.pipeline.types import PICO_PER_USD
from arbiter_app.store import open_store
from arbiter_app.store.tables import BudgetPeriod, StoredDecision, StoredReservation, table
from tests.metered import metered
from tests.served import OPERATOR, TLS, free_port, served, start
from tests.stores import run
from tests.storm import storm
from tests.waiting import PATIENCE_S, until

ROUNDS = int(os.environ.get("KILLS", "4"))
LIMIT_USD = 1 + ROUNDS // 4
"""A storm of them spends some tenths of a dollar."""
OPEN = {"ARBITER_SIGNUP": "1", "REQUEST_TIMEOUT": "2", "ARBITER_LIMIT_6H": "100000"}
HEAD = {"authorization": f"Bearer {OPERATOR}"}


def books(directory: Path) -> tuple[int, int, int]:
    """By the store: what decisions were charged, what budgets were, pico-dollars; and the reservations that are left."""
    store, decision, period = open_store(str(directory / "arbiter.db")), table(StoredDecision), table(BudgetPeriod)
    columns = (decision.c.cost_pico, decision.c.judge_cost_pico, decision.c.learning_cost_pico)
    charged = sum(func.coalesce(column, 0) for column in columns)
    sums = func.coalesce(func.sum(charged), 0), func.coalesce(func.sum(period.c.spent_pico), 0)
    queries = select(sums[0]), select(sums[1]), select(func.count()).select_from(table(StoredReservation))
    try:
        found = run(lambda: store.read(lambda c: tuple(int(c.execute(one).scalar_one()) for one in queries)))
        return found[0], found[1], found[2]
    finally:
        store.close()


def limited(url: str, limit: str) -> str:
    """A new key with so much to spend."""
    key: str = httpx.post(f"{url}/v1/register", json={"email": "dev@example.com"}, verify=TLS).json()["api_key"]
    set_one(url, key, "all", limit)
    return key


def set_one(url: str, key: str, period: str, limit: str) -> None:
    body = {"scope": "key", "subject": key[:12], "period": period, "limit_usd": limit}
    assert httpx.post(f"{url}/v1/budgets", json=body, headers=HEAD, verify=TLS).status_code == 200


def left_of(url: str, period: str = "all") -> dict[str, float]:
    rows = httpx.get(f"{url}/v1/budgets", headers=HEAD, verify=TLS).json()["data"]
    return next(dict(row) for row in rows if row["period"] == period)


def test_reservations_expire_and_the_books_equal_the_outcomes(tmp_path: Path) -> None:
    with metered(seed=3, piece_s=0.02) as runtime:
        settings, key, stranded = {**runtime.settings, **OPEN}, "", 0
        for at in range(ROUNDS):
            one = start(tmp_path, **settings)
            key = key or limited(one.url, f"{LIMIT_USD}")
            enough, ended = threading.Event(), [0]

            def heard(ended: list[int] = ended, enough: threading.Event = enough) -> None:
                ended[0] += 1
                if ended[0] >= 12:
                    enough.set()

            killer = threading.Thread(target=lambda one=one, enough=enough: (enough.wait(PATIENCE_S), one.kill()))
            killer.start()
            asyncio.run(storm([one.url], key, at, callers=96, waves=1, heard=heard))
            killer.join()
            charged, spent, reserved = books(tmp_path)
            assert charged == spent <= LIMIT_USD * PICO_PER_USD, at
            stranded += reserved
        assert stranded > 0, "no call was in work when the process was killed"
        with served(tmp_path, **settings) as one:
            until(lambda: left_of(one.url)["reserved_usd"] == 0)
            spent_usd = left_of(one.url)["spent_usd"]
            until(lambda: books(tmp_path)[2] == 0)
        charged, spent, reserved = books(tmp_path)
        print(f"{ROUNDS} kills, {stranded} calls in work, ${spent_usd} spent")
        assert (charged, reserved) == (spent, 0) and spent_usd == spent / PICO_PER_USD


def test_several_processes_share_one_budget_exactly(tmp_path: Path) -> None:
    port = free_port()
    with (
        metered(seed=5) as runtime,
        served(tmp_path, **runtime.settings, **OPEN, ARBITER_WORKERS="2", ARBITER_GATEWAY_PORT=str(port)) as one,
    ):
        key = limited(one.url, "0.30")
        until(lambda: _counts(one.url, key) and _counts(f"http://127.0.0.1:{port}", key))
        under_way, ended = threading.Event(), iter(range(1_000))
        another = threading.Thread(target=lambda: (under_way.wait(PATIENCE_S), set_one(one.url, key, "month", "100")))
        another.start()
        seen = asyncio.run(
            storm(
                [one.url, f"http://127.0.0.1:{port}"],
                key,
                1,
                callers=128,
                heard=lambda: under_way.set() if next(ended) == 10 else None,
            )
        )
        another.join()
        until(lambda: left_of(one.url)["reserved_usd"] == 0)
        assert seen["402"] > 0 and seen["200"] > 0, seen
        spent_usd = left_of(one.url)["spent_usd"]
        until(lambda: left_of(one.url, "month")["spent_usd"] == spent_usd)
        counted = left_of(one.url, "month")["counted_calls"]
        assert 0 < counted < seen.total(), counted
    charged, spent, reserved = books(tmp_path)
    assert (2 * charged, reserved) == (spent, 0)
    assert 0 < charged <= 0.3 * PICO_PER_USD
    print(seen, spent / PICO_PER_USD)


def _counts(url: str, key: str) -> bool:
    """Whether every process behind an address knows the budget of this key."""
    ask = {"messages": [{"role": "user", "content": "Calculate 2 + 2"}], "max_tokens": 1, "arbiter_no_cache": True}
    head = {"authorization": f"Bearer {key}"}
    answers = [httpx.post(f"{url}/v1/chat/completions", json=ask, headers=head, verify=TLS) for _ in range(6)]
    return all("x-arbiter-budget-remaining" in answer.headers for answer in answers)
