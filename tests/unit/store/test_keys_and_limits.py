"""Keys are shown once and kept as digests; limits count exactly, also from several processes."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import threading
from typing import Any

from sqlalchemy import Connection

from arbiter_app.pipeline.types import Caller, Role
from arbiter_app.services.audit import entry
from arbiter_app.store import Store, open_store, usage
from arbiter_app.store.budgets import AskedReservation, BudgetLimit
from arbiter_app.store.keys import make_key, public_id, well_formed
from arbiter_app.store.usage import Counted, Window
from tests.stores import NOW, call_now, rows_of, run
from tests.unit.store.conftest import Place
from tests.waiting import PATIENCE_S

LIMITS = {"six_hours": 10, "week": 600}


def test_a_key_carries_its_own_check(store: Store) -> None:
    key = make_key()
    assert well_formed(key)
    assert key.startswith(f"{public_id(key)}") and len(public_id(key)) == 12
    for at in range(len(key)):
        assert not well_formed(key[:at] + ("A" if key[at] != "A" else "B") + key[at + 1 :])
    for wrong in ("", "arb_", "sk-123", key[:-1], key + "A", "arb_" + "é" * 57, "arb_\ud800"):
        assert not well_formed(wrong)
    assert len({make_key() for _ in range(1_000)}) == 1_000


def test_only_the_digest_of_a_key_is_in_the_file(file_store: Store) -> None:
    minted = run(lambda: file_store.mint_key(role="caller", email="a@b.c", label="mine"))
    assert list(run(file_store.keys)) == [hashlib.sha256(minted.secret.encode()).hexdigest()]
    file_store.close()
    assert file_store.path is not None
    everything = b"".join(part.read_bytes() for part in file_store.path.parent.iterdir())
    assert minted.key.id.encode() in everything
    assert minted.secret[12:].encode() not in everything


def test_a_revoked_key_stays_revoked(store: Store) -> None:
    key_id = run(lambda: store.mint_key(role="caller", email="", label="")).key.id
    said = [
        run(lambda s=status: store.set_key_status(key_id, s)) for status in ("paused", "active", "revoked", "active")
    ]
    assert said == [True, True, True, False]
    assert [key.status for key in run(store.keys).values()] == ["revoked"]
    assert not run(lambda: store.set_key_status("arb_nobody00", "paused"))


def count(store: Store, now: float, limits: dict[str, int] = LIMITS) -> Counted:
    return call_now(store, lambda connection: store.writer.meter.count(connection, [("k", limits)], now))[0]


def test_a_window_fills_up_then_starts_anew_and_refunds_count(store: Store) -> None:
    assert [count(store, NOW + at).full for at in range(10)] == [""] * 10
    counted = count(store, NOW + 10)
    assert (counted.full, counted.windows["six_hours"]) == ("six_hours", Window(10, 6 * 3_600 - 10))
    call_now(store, lambda connection: store.writer.meter.refund(connection, "k", NOW + 11))
    assert not count(store, NOW + 12).full
    assert count(store, NOW + 13).full
    assert not count(store, NOW + 6 * 3_600).full
    used = store.read_now(usage.of, "k", NOW + 6 * 3_600)
    assert (used["six_hours"].used, used["week"].used) == (1, 11)


def test_a_clock_that_is_set_back_begins_the_window_anew_and_forgets_no_use(store: Store) -> None:
    assert [count(store, NOW).full for _ in range(9)] == [""] * 9
    back = NOW - 400 * 86_400
    assert not count(store, back).full
    counted = count(store, back + 10)
    assert (counted.full, counted.windows["six_hours"]) == ("six_hours", Window(10, 6 * 3_600 - 10))
    assert not count(store, back + 6 * 3_600).full


def test_the_weekly_limit_holds_over_many_short_windows(store: Store) -> None:
    said = [count(store, NOW + at * 6 * 3_600, {"six_hours": 10, "week": 12}).full for at in range(13)]
    assert said == [*[""] * 12, "week"]


def test_parallel_requests_at_a_limit_of_ten_let_exactly_ten_through(store: Store) -> None:
    async def burst() -> list[Counted]:
        return await asyncio.gather(*[store.count("k", LIMITS) for _ in range(50)])

    counted = run(burst)
    assert [one.full for one in counted] == [*[""] * 10, *["six_hours"] * 40]
    assert [one.windows["week"].used for one in counted] == [*range(1, 11), *[10] * 40]


def test_requests_that_wait_at_the_same_time_are_counted_by_one_transaction(file_store: Store) -> None:
    """64 requests of two keys, and 64 reservations of one budget, are read and written once a key and once a budget."""
    writer, said, go = file_store.writer, list[str](), threading.Event()

    def wait(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection
        driver.set_trace_callback(said.append)
        go.wait(PATIENCE_S)

    async def burst() -> list[Any]:
        held = writer.call(wait)
        keys = [file_store.count(f"k{at % 2}", {"week": 20}) for at in range(64)]
        wanted = [AskedReservation(f"res_{at}", [(budget, 0)], 10, 1.0, 2.0) for at in range(64)]
        waiting = [
            *map(asyncio.ensure_future, keys),
            *[writer.share(writer.batch.budgets.reserve, one) for one in wanted],
        ]
        await asyncio.sleep(0)  # all are queued
        go.set()
        await held
        return await asyncio.gather(*waiting)

    limit = BudgetLimit("", "key", "k0", "month", "UTC", 320, 0.5, 0.0, 0.0, 0)
    act = entry(Caller("settings-1", Role.OPERATOR), "budget.set", "test")
    budget = call_now(file_store, lambda c: writer.batch.budgets.put(c, limit, 9, act))
    before = writer.commits
    done = run(burst)
    assert sum(not one.full for one in done[:64]) == 40
    assert [fits for fits, _ in done[64:]] == [*[True] * 32, *[False] * 32]
    assert writer.commits - before <= 2
    asked = [one.split()[0] for one in said if "usage" in one or "reservation" in one]
    assert (asked.count("SELECT"), asked.count("INSERT")) == (3, 2)


def test_two_processes_at_a_limit_of_ten_let_exactly_ten_through(store: Store, place: Place) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        through = pool.map(_reserve_25, [place("arbiter.db")] * 2, chunksize=1)
    assert sum(through) == 10
    assert rows_of(store, "SELECT kind, used FROM usage ORDER BY kind") == [("six_hours", 10), ("week", 10)]


def _reserve_25(path: str) -> int:
    store = open_store(path)

    async def burst() -> int:
        return sum(not one.full for one in await asyncio.gather(*[store.count("k", LIMITS) for _ in range(25)]))

    try:
        return asyncio.run(burst())
    finally:
        store.close()
