"""A store moves from a file to a server, or back, whole: also when it is cut short, and only into an empty one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection

from arbiter_app.store import Store, move, open_store, rollups
from arbiter_app.store.backends import StoreUnusable
from arbiter_app.store.decisions import Filter
from tests import databases
from tests.stores import KEYS, NOW, file_all, mixed, record, rounded, run


def filled(where: str, count: int = 700) -> dict[str, Any]:
    """A store with all kinds of things in it; what it tells."""
    store = open_store(where)
    records = [*mixed(count, days=40), record(reason="a \0 zero")]
    run(lambda: asyncio.gather(*[store.ledger.record(one) for one in records]))
    file_all(store)
    run(lambda: asyncio.gather(*[store.ledger.record(one) for one in mixed(50, seed=9)]))
    run(lambda: store.mint_key(role="caller", email="a@b.c", label="mine"))
    run(lambda: store.count("k", {"week": 5}))
    told = tells(store)
    store.close()
    return told


def tells(store: Store) -> dict[str, Any]:
    return {
        "rows": [row | {"reason": row["reason"].replace("\0", "?")} for row in store.stretch(Filter())],
        "totals": rounded(sorted(store.read_now(rollups.totals, ("bucket", "model"), now=NOW), key=str)),
        "month": rounded(store.read_now(rollups.totals, (), since=NOW - 30 * 86_400, scope=KEYS[1], now=NOW)),
        "days": rounded(store.read_now(rollups.series, bucket_s=86_400, buckets=45, now=NOW)),
        "learned": sorted(map(str, run(store.load_policy)[0])),
        "keys": run(store.keys),
        "counters": {name: n for name, n in run(store.counters).items() if not name.startswith("store.")},
        "used": run(lambda: store.usage("k"))["week"].used,
    }


def tells_of(where: str) -> dict[str, Any]:
    store = open_store(where)
    try:
        return tells(store)
    finally:
        store.close()


@pytest.mark.parametrize(("source", "target"), [("sqlite", "postgres"), ("postgres", "sqlite"), ("sqlite", "sqlite")])
def test_everything_arrives_and_the_source_is_untouched(tmp_path: Path, source: str, target: str) -> None:
    here = databases.place(source, tmp_path / "here.db")
    there = databases.place(target, tmp_path / "there.db", empty=True)
    told = filled(here)
    said: list[str] = []
    move.move(here, there, said.append)
    assert tells_of(there) == told == tells_of(here)
    assert said[-1].startswith("751 decisions and ")
    store = open_store(there)  # what comes next is numbered on
    newest = next(store.stretch(Filter()))["seq"]
    run(lambda: store.ledger.record(record(NOW + 1)))
    assert next(store.stretch(Filter()))["seq"] > newest
    store.close()


def test_a_move_that_is_cut_short_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here, there = str(tmp_path / "here.db"), databases.place("postgres", tmp_path / "there", empty=True)
    told = filled(here)
    monkeypatch.setattr(move, "ROWS", 40)
    monkeypatch.setattr(move, "SAY_S", -1.0)
    tries = 0

    class CutShort(Exception):
        pass

    for stop_at in range(3, 200, 23):
        steps: list[str] = []

        def say(text: str, steps: list[str] = steps, stop_at: int = stop_at) -> None:
            steps.append(text)
            if len(steps) == stop_at:
                raise CutShort

        try:
            move.move(here, there, say)
            break
        except CutShort:
            tries += 1
    assert tries > 2
    assert tells_of(there) == told == tells_of(here)


def test_a_target_that_holds_anything_is_refused(tmp_path: Path) -> None:
    here, there = str(tmp_path / "here.db"), databases.place("postgres", tmp_path / "there")
    filled(here, 10)
    told = filled(there, 20)
    with pytest.raises(StoreUnusable, match="holds a store already"):
        move.move(here, there, print)
    assert tells_of(there) == told
    with pytest.raises(StoreUnusable, match="no such file"):
        move.move(str(tmp_path / "none.db"), there, print)
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("data", [b"no database " * 500, b"", b"SQLite format 3\0" + b"\xff" * 8_000])
def test_what_is_no_store_is_said_and_nothing_is_left_beside_it(tmp_path: Path, data: bytes) -> None:
    source = tmp_path / "here.db"
    source.write_bytes(data)
    with pytest.raises(StoreUnusable) as caught:
        move.move(str(source), str(tmp_path / "there.db"), print)
    assert "cut short" not in str(caught.value) and "here.db" in str(caught.value)
    assert [one.name for one in tmp_path.iterdir()] == ["here.db"] and source.read_bytes() == data


def test_no_transaction_of_the_target_rests_while_the_source_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends one that rests for ten seconds, and counting a large source takes longer."""
    here, there = str(tmp_path / "here.db"), databases.place("postgres", tmp_path / "there", empty=True)
    filled(here, 20)
    count, resting = move._totals, []

    def look(connection: Connection) -> list[tuple[str, int]]:
        if connection.dialect.name == "sqlite":
            name = there.rpartition("/")[2]
            query = f"SELECT state FROM pg_stat_activity WHERE datname = '{name}' AND state LIKE 'idle in tr%'"
            resting.append(databases.postgres().sql(query))
        return count(connection)

    monkeypatch.setattr(move, "_totals", look)
    move.move(here, there, lambda _: None)
    assert resting == [[]]
