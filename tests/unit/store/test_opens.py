"""Opening: the schema is migrated with a backup before, and a file that is no good is refused in words, untouched."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import sqlite3
import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Engine, event
from sqlmodel import SQLModel

from alembic import command
from arbiter_app.pipeline.ports import DecisionRecord
from arbiter_app.settings import load_settings
from arbiter_app.store import Store, decisions, engine, open_store, projections, rollup_math, rollups
from arbiter_app.store.backends import StoreUnusable, backend_of, url_of
from arbiter_app.store.decisions import Filter
from arbiter_app.store.engine import prepare
from arbiter_app.store.file_watch import NOBODY, FileWatch
from arbiter_app.store.health import examine
from arbiter_app.store.upkeep import restore
from arbiter_app.store.waiting import WritesPaused
from tests.stores import KEYS, NOW, call_now, connected, file_all, mixed, record
from tests.waiting import PATIENCE_S, until


@contextmanager
def opened_engine(path: Path) -> Iterator[Engine]:
    """An engine of the store's own kind, let go at the end. No engine makes a file."""
    path.touch()
    made = backend_of(url_of(str(path))).engine()
    try:
        yield made
    finally:
        made.dispose()


@contextmanager
def at_revision(path: Path, revision: str) -> Iterator[sqlite3.Connection]:
    """A database of an older version."""
    config = engine.migrations()
    with opened_engine(path) as made, made.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
    with connected(path) as old:
        yield old


def first_schema(path: Path) -> None:
    """Two keys' sums over two hours of one day, as the first version kept them."""
    with at_revision(path, "0001") as old:
        names = [row[1] for row in old.execute("PRAGMA table_info(rollup)")]
        for resolution, start, key_id, pico in [
            (300, 3_600, "a", 10),
            (300, 7_200, "a", 20),
            (300, 7_500, "b", 2**53 + 1),
            (86_400, 0, "a", 30),
            (86_400, 0, "b", 2**53 + 1),
        ]:
            values = dict.fromkeys(names, 0) | {"resolution": resolution, "start": start, "bucket": "code"}
            values |= {"model": "m", "mode": "exploit", "key_id": key_id, "calls": 1, "cost_pico": pico}
            old.execute(f"INSERT INTO rollup VALUES ({','.join('?' * len(names))})", [values[name] for name in names])
        old.executemany("INSERT INTO latency_bin VALUES (?, ?, 'm', 40, ?)", [(300, 3_600, 1), (300, 3_900, 2)])
        then = {row[1] for row in old.execute("PRAGMA table_info(decision)")}
        row = {name: value for name, value in record().row.items() if name in then}
        marks = ",".join("?" * len(row))
        old.execute(f"INSERT INTO decision ({','.join(row)}) VALUES ({marks})", list(row.values()))
        old.execute("INSERT INTO api_key VALUES ('k', 'd', 'caller', 'e', '', 'active', 1, 1)")


def second_schema(path: Path, records: Sequence[DecisionRecord]) -> None:
    """What the second version left behind: half of the sums folded, the newer half still open."""
    with at_revision(path, "0002") as old:
        names = [row[1] for row in old.execute("PRAGMA table_info(rollup)")]
        then = {row[1] for row in old.execute("PRAGMA table_info(decision)")}
        for at, one in enumerate(records):
            row = {name: value for name, value in one.row.items() if name in then}
            marks = ",".join("?" * len(row))
            old.execute(f"INSERT INTO decision ({','.join(row)}) VALUES ({marks})", list(row.values()))
            folded = at < len(records) // 2
            for resolution in rollup_math.RESOLUTIONS if folded else (0,):
                for key_id in (row["key_id"], "*") if folded else (row["key_id"],):
                    _add_0002(old, names, row, resolution, key_id)
            _add_latency_0002(old, row, rollup_math.RESOLUTIONS if folded else (0,))
        old.executemany("INSERT INTO counter VALUES (?, ?)", [("decisions", len(records)), ("store.recovered", 1)])


def _add_0002(old: sqlite3.Connection, names: list[str], row: dict[str, Any], resolution: int, key_id: str) -> None:
    start = int(row["ts"]) // 300 * 300
    values = dict.fromkeys(names, 0) | {name: row[name] for name in ("bucket", "model", "mode")}
    values |= {"resolution": resolution, "start": start - start % (resolution or 300), "key_id": key_id}
    values |= {"calls": 1, "cost_pico": row["cost_pico"] or 0, "failed": int(row["status"] == "failed")}
    values |= {"compared": int(row["status"] == "ok")}
    sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in ("calls", "cost_pico", "failed", "compared"))
    marks = ",".join("?" * len(names))
    old.execute(
        f"INSERT INTO rollup VALUES ({marks}) ON CONFLICT DO UPDATE SET {sums}", [values[name] for name in names]
    )


def _add_latency_0002(old: sqlite3.Connection, row: dict[str, Any], resolutions: Sequence[int]) -> None:
    for resolution in resolutions:
        start = int(row["ts"]) // (resolution or 300) * (resolution or 300)
        for model in (row["model"], "*") if resolution else (row["model"],):
            where = (resolution, start, model, 40)
            old.execute("INSERT INTO latency_bin VALUES (?, ?, ?, ?, 1) ON CONFLICT DO UPDATE SET n = n + 1", where)


def backups(path: Path) -> list[Path]:
    return sorted(path.parent.glob(f"{path.name}.before-*"))


def test_a_new_store_is_private_and_made_without_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "made" / "arbiter.db"
    open_store(str(path)).close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert backups(path) == []


def test_the_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    open_store(str(tmp_path / "arbiter.db")).close()
    with opened_engine(tmp_path / "arbiter.db") as made, made.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SQLModel.metadata) == []


def test_the_first_schema_is_upgraded_with_its_data_and_a_backup(tmp_path: Path) -> None:
    path = tmp_path / "arbiter.db"
    first_schema(path)
    store = open_store(str(path))
    assert store.read_now(rollups.totals, ())[0]["cost_pico"] == 30 + 2**53 + 1
    assert store.read_now(rollups.totals, (), scope="a")[0]["cost_pico"] == 30
    hours = store.read_now(rollups.series, bucket_s=3_600, buckets=3, now=8_000.0)
    assert [slot["cost_pico"] for slot in hours] == [0, 10, 20 + 2**53 + 1]
    assert hours[1]["p50_ms"] == pytest.approx(1.15**40.5, rel=1e-3)
    (kept,) = store.read_now(decisions.after, 0)
    assert (kept["rejected"], kept["asked_tokens"], kept["beyond_pico"]) == ([], None, None)
    assert store.read_now(rollups.totals, ())[0]["asked"] == 2, "answered calls whose charge is known"
    assert [key.id for key in asyncio.run(store.keys()).values()] == ["k"]
    store.close()
    (backup,) = backups(path)
    assert stat.S_IMODE(backup.stat().st_mode) == 0o600
    with connected(backup) as old:
        assert old.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        assert old.execute("SELECT count(*) FROM rollup").fetchone() == (5,)


def test_the_second_schema_is_upgraded_with_lists_and_slots(tmp_path: Path) -> None:
    path, records = tmp_path / "arbiter.db", mixed(600, days=3)
    second_schema(path, records)
    store = open_store(str(path))
    assert store.read_now(projections.listed) == store.read_now(projections.summed) == len(records)
    more = mixed(30, seed=9, until=NOW + 600)
    asyncio.run(_written(store, more))
    for filed in (False, True):
        assert not filed or file_all(store) == len(more)
        for key_id in (None, KEYS[1]):
            for since in (None, NOW - 86_400, NOW - 7_200):
                of = [one.row for one in (*records, *more) if key_id in (None, one.row["key_id"])]
                of = [row for row in of if since is None or row["ts"] >= since // 300 * 300]
                (told,) = store.read_now(rollups.totals, (), since=since, scope=key_id, now=NOW)
                assert (told["calls"], told["cost_pico"]) == (len(of), sum(row["cost_pico"] or 0 for row in of))
                assert told["failed"] == sum(row["status"] == "failed" for row in of)
                days = store.read_now(rollups.series, bucket_s=86_400, buckets=5, now=NOW + 900, scope=key_id)
                assert since or sum(day["cost_pico"] for day in days) == told["cost_pico"]
                assert since or Counter(_spread(days)) == Counter(row["mode"] for row in of)
        assert store.read_now(rollups.series, bucket_s=86_400, buckets=5, now=NOW)[2]["p50_ms"] is not None
    for narrowed in (Filter(task="math"), Filter(status="failed"), Filter(key_id=KEYS[1], until=NOW - 86_400)):
        wanted = [one.row["id"] for one in (*records, *more) if _fits(one.row, narrowed)]
        assert [row["id"] for row in store.stretch(narrowed)] == wanted[::-1]
    assert asyncio.run(store.counters())["decisions"] == len(records) + len(more)
    store.close()
    assert len(backups(path)) == 1


async def _written(store: Store, records: Sequence[DecisionRecord]) -> None:
    await asyncio.gather(*[store.ledger.record(one) for one in records])


def _spread(days: list[dict[str, Any]]) -> Iterator[str]:
    for day in days:
        for mode, calls in day["modes"].items():
            yield from [mode] * calls


def _fits(row: dict[str, Any], narrowed: Filter) -> bool:
    named = all(getattr(narrowed, name) in (None, row[name]) for name in ("task", "status", "key_id"))
    return named and (narrowed.until is None or row["ts"] < narrowed.until)


def test_a_migration_that_breaks_leaves_the_old_schema_whole(tmp_path: Path) -> None:
    path = tmp_path / "arbiter.db"
    first_schema(path)
    with connected(path) as old:
        old.execute("CREATE TABLE latency_bin_0001 (in_the_way)")  # the migration trips over it half-way
    with pytest.raises(StoreUnusable, match="latency_bin_0001"):
        open_store(str(path))
    with connected(path) as old:
        assert old.execute("SELECT count(*) FROM rollup").fetchone() == (5,)
        assert old.execute("SELECT version_num FROM alembic_version").fetchone() == ("0001",)
        old.execute("DROP TABLE latency_bin_0001")
    open_store(str(path)).close()


@pytest.mark.parametrize("read", range(1, 5))
def test_tables_that_another_process_makes_between_two_looks_are_no_other_data(tmp_path: Path, read: int) -> None:
    backend, looks = backend_of(url_of(str(tmp_path / "arbiter.db"))), count(1)
    with opened_engine(tmp_path / "arbiter.db") as made:

        @event.listens_for(made, "checkin")
        def _after_each_look(*_: object) -> None:
            if next(looks) == read:
                prepare(backend.url)

        assert engine.checked(made, backend) in (None, engine.head())


def test_processes_that_start_at_once_migrate_once(tmp_path: Path) -> None:
    path = tmp_path / "arbiter.db"
    first_schema(path)
    context = multiprocessing.get_context("spawn")
    starting = [context.Process(target=_open, args=(str(path),)) for _ in range(2)]
    for process in starting:
        process.start()
    for process in starting:
        process.join(PATIENCE_S)
    assert [process.exitcode for process in starting] == [0, 0]
    with connected(path) as now:
        assert now.execute("SELECT count(*) FROM rollup WHERE key_id = 'a' AND resolution = 3600").fetchone() == (2,)


def _open(path: str) -> None:
    open_store(path).close()


def test_a_newer_schema_is_refused_without_touching_it(tmp_path: Path) -> None:
    path = tmp_path / "arbiter.db"
    open_store(str(path)).close()
    with connected(path) as newer:
        newer.execute("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(StoreUnusable, match="newer version of Arbiter .schema 9999"):
        open_store(str(path))
    assert backups(path) == []


LOST = {
    "has no table decision": "DROP TABLE decision",
    "has no table rollup": "DROP TABLE rollup",
    "has no column timezone in its table project": "ALTER TABLE project DROP COLUMN timezone",
}


@pytest.mark.parametrize("lost", LOST)
def test_a_schema_that_is_not_what_it_says_is_named_and_no_backup_is_restored_from_it(
    tmp_path: Path, lost: str
) -> None:
    open_store(str(tmp_path / "arbiter.db")).close()
    (tmp_path / "backup.db").write_bytes((tmp_path / "arbiter.db").read_bytes())
    with connected(tmp_path / "backup.db") as backup:
        backup.execute(LOST[lost])
    before = (tmp_path / "arbiter.db").read_bytes()
    with pytest.raises(StoreUnusable, match=f"it {lost}, although its schema says so"):
        restore(tmp_path / "backup.db", tmp_path / "arbiter.db")
    assert (tmp_path / "arbiter.db").read_bytes() == before
    with pytest.raises(StoreUnusable, match=f"{lost}, although its schema says so; restore a backup"):
        open_store(str(tmp_path / "backup.db"))
    assert lost in examine(str(tmp_path / "backup.db")).problem


@pytest.mark.parametrize("content", [b"this is not a database at all" * 200, b"SQLite format 3\0" + b"\xff" * 4_096])
def test_a_damaged_file_is_named_with_what_to_do_and_kept(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "arbiter.db"
    path.write_bytes(content)
    with pytest.raises(StoreUnusable, match="damaged or not a database.*restore"):
        open_store(str(path))
    assert path.read_bytes() == content


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "other.db"
    with connected(path) as other:
        other.execute("CREATE TABLE songs (title)")
    with pytest.raises(StoreUnusable, match="holds other data .songs"):
        open_store(str(path))
    with connected(path) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("songs",)]


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreUnusable, match="set ARBITER_DB"):
        open_store(str(tmp_path / "file" / "arbiter.db"))


@pytest.mark.parametrize(
    "where", ["", " ", ":memory:", "file:a.db?mode=ro", "sqlite://", "sqlite:///:memory:", "sqlite:///file:a?uri=true"]
)
def test_what_names_no_file_is_refused(where: str) -> None:
    with pytest.raises(StoreUnusable, match="names no file"):
        url_of(where)


@pytest.mark.parametrize("where", ["~/arbiter.db", "sqlite:///~/arbiter.db"])
def test_a_tilde_is_the_home_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert open_store_path(where) == tmp_path / "arbiter.db"
    found = load_settings(
        {"ARBITER_JOURNAL": "~/j.db", "ARBITER_CATALOG": "~/c.toml", "HOME": str(tmp_path)}, env_file=None
    )
    assert (found.journal, found.catalog) == (str(tmp_path / "j.db"), tmp_path / "c.toml")


def test_a_url_opens_the_same_store(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'arbiter.db'}"
    prepare(url_of(url))
    assert open_store_path(url) == tmp_path / "arbiter.db"


def open_store_path(url: str) -> Path | None:
    store = open_store(url)
    store.close()
    return store.path


def test_a_power_cut_is_outlived_only_when_every_commit_is_synced(tmp_path: Path) -> None:
    for durability, synchronous in (("strict", 1), ("relaxed", 1), ("power", 2)):
        store = open_store(str(tmp_path / "arbiter.db"), durability=durability)
        got = call_now(store, lambda connection: connection.exec_driver_sql("PRAGMA synchronous").scalar())
        assert got == synchronous
        assert call_now(store, lambda c: c.exec_driver_sql("PRAGMA journal_mode").scalar()) == "wal"
        store.close()


def test_a_log_that_was_taken_away_before_the_writer_held_it_is_no_fault(tmp_path: Path) -> None:
    """SQLite deletes the log with the last connection: one that others leave behind is not the writer's."""
    path = tmp_path / "arbiter.db"
    others = sqlite3.connect(path)
    others.execute("PRAGMA journal_mode=WAL")
    others.execute("CREATE TABLE anything (at INTEGER)")
    watch = FileWatch(path)
    assert watch.problem(lambda: NOBODY) == ""
    others.close()
    (tmp_path / "takes-the-inode").touch()
    with contextlib.closing(sqlite3.connect(path)) as writer:
        writer.execute("INSERT INTO anything VALUES (1)")
        assert watch.problem(lambda: 1) == ""
        (tmp_path / "arbiter.db-wal").unlink()
        assert "the log of the database" in watch.problem(lambda: 1)


def test_a_log_that_went_with_the_connection_that_held_it_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "arbiter.db"
    with contextlib.closing(sqlite3.connect(path)) as first:
        first.execute("PRAGMA journal_mode=WAL")
        first.execute("CREATE TABLE anything (at INTEGER)")
        watch = FileWatch(path)
        assert watch.problem(lambda: 1) == ""
    (tmp_path / "takes-the-inode").touch()
    with contextlib.closing(sqlite3.connect(path)) as second:
        second.execute("INSERT INTO anything VALUES (1)")
        assert watch.problem(lambda: 2) == ""
        holder = iter((2, NOBODY))
        (tmp_path / "arbiter.db-wal").unlink()
        assert watch.problem(lambda: next(holder)) == ""  # it was let go of meanwhile
        assert "the log of the database" in watch.problem(lambda: 2)


def test_a_file_that_is_moved_while_it_is_looked_at_is_gone_or_there(tmp_path: Path) -> None:
    path, away = tmp_path / "arbiter.db", tmp_path / "away.db"
    open_store(str(path)).close()
    watch = FileWatch(path)
    moving = multiprocessing.get_context("spawn").Process(target=_move, args=(path, away))
    moving.start()
    seen = Counter[str]()
    while moving.is_alive():
        seen[watch.problem(lambda: 0).partition(" was ")[2].partition(";")[0]] += 1
    watch.close()
    assert seen.keys() == {"", "deleted or moved away"}


def _move(path: Path, away: Path) -> None:
    for _ in range(5_000):
        path.rename(away)
        away.rename(path)


def test_a_writer_that_fails_says_so_and_writes_once_it_can(tmp_path: Path) -> None:
    store = open_store(str(tmp_path / "arbiter.db"))
    watch = store._watch
    assert watch is not None
    there, watch.path = watch.path, None  # type: ignore[assignment]  # a fault of our own
    with pytest.raises(WritesPaused, match="writing failed"):
        asyncio.run(store.mint_key(role="caller", email="a@example.com", label=""))
    watch.path = there
    until(lambda: not store.ledger.degraded)
    assert asyncio.run(store.mint_key(role="caller", email="a@example.com", label="")).secret
    store.close()
