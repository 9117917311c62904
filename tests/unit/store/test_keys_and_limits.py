"""Keys are shown once and kept as digests; limits count exactly, also from several processes."""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
from typing import Any

from arbiter_app.store import Store, open_store, usage
from arbiter_app.store.keys import make_key, public_id, well_formed
from tests.stores import NOW, call_now, rows_of, run
from tests.unit.store.conftest import Place

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


def test_a_window_fills_up_then_starts_anew_and_refunds_count(store: Store) -> None:
    def reserve(now: float) -> Any:
        return call_now(store, lambda connection: store.writer.meter.reserve(connection, "k", LIMITS, now))

    assert [reserve(NOW + at) for at in range(10)] == [None] * 10
    kind, window = reserve(NOW + 10)
    assert (kind, window.used, window.resets_in_s) == ("six_hours", 10, 6 * 3_600 - 10)
    call_now(store, lambda connection: store.writer.meter.refund(connection, "k", NOW + 11))
    assert reserve(NOW + 12) is None
    assert reserve(NOW + 13) is not None
    assert reserve(NOW + 6 * 3_600) is None
    used = store.read_now(usage.of, "k", NOW + 6 * 3_600)
    assert (used["six_hours"].used, used["week"].used) == (1, 11)


def test_a_clock_that_is_set_back_begins_the_window_anew_and_forgets_no_use(store: Store) -> None:
    def reserve(now: float) -> Any:
        return call_now(store, lambda connection: store.writer.meter.reserve(connection, "k", LIMITS, now))

    assert [reserve(NOW) for _ in range(9)] == [None] * 9
    back = NOW - 400 * 86_400
    assert reserve(back) is None
    kind, window = reserve(back + 10)
    assert (kind, window.used, window.resets_in_s) == ("six_hours", 10, 6 * 3_600 - 10)
    assert reserve(back + 6 * 3_600) is None


def test_the_weekly_limit_holds_over_many_short_windows(store: Store) -> None:
    limits = {"six_hours": 10, "week": 12}

    def reserve(now: float) -> Any:
        return call_now(store, lambda connection: store.writer.meter.reserve(connection, "k", limits, now))

    said = [reserve(NOW + at * 6 * 3_600) for at in range(13)]
    assert said[:12] == [None] * 12
    assert said[12][0] == "week"


def test_parallel_requests_at_a_limit_of_ten_let_exactly_ten_through(store: Store) -> None:
    async def burst() -> list[Any]:
        return await asyncio.gather(*[store.reserve("k", LIMITS) for _ in range(50)])

    assert sum(full is None for full in run(burst)) == 10


def test_two_processes_at_a_limit_of_ten_let_exactly_ten_through(store: Store, place: Place) -> None:
    context = multiprocessing.get_context("spawn")
    with context.Pool(2) as pool:
        through = pool.map(_reserve_25, [place("arbiter.db")] * 2, chunksize=1)
    assert sum(through) == 10
    assert rows_of(store, "SELECT kind, used FROM usage ORDER BY kind") == [("six_hours", 10), ("week", 10)]


def _reserve_25(path: str) -> int:
    store = open_store(path)

    async def burst() -> int:
        return sum(full is None for full in await asyncio.gather(*[store.reserve("k", LIMITS) for _ in range(25)]))

    try:
        return asyncio.run(burst())
    finally:
        store.close()
