"""What waits while a PostgreSQL is gone is kept on this host's disk, within a bound, and written once, also in the order it came."""

from __future__ import annotations

import asyncio
import os
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Connection

from arbiter_app.pipeline.ports import Lesson, Settlement
from arbiter_app.pipeline.types import Grade
from arbiter_app.policy.agreement import Pairs
from arbiter_app.policy.statistics import ModelStats
from arbiter_app.store import Store, open_store, rollups
from arbiter_app.store.backends import StoreUnusable, url_of
from arbiter_app.store.decisions import Filter
from arbiter_app.store.entries import Entry, FollowUp, packed, unpacked
from arbiter_app.store.journal import Journal
from arbiter_app.store.marks import Batch
from tests import databases
from tests.stores import call_now, file_all, mixed, record, rows_of, run, summed
from tests.waiting import until

TAUGHT, PAIRED = ("code", "gpt-4o", ModelStats(graded=1.0)), (("j", "code", "people"), Pairs(1.0))
LESSON = Lesson((TAUGHT,), (), {"k": b"\x00\xff"}, (PAIRED,))
SETTLED = Settlement("r_1", (("bud_1", 1_790_000_000),), 5)
GRADE = Grade(0.5, "late", "judge")
SHADOW = {"model": "gpt-4o-mini", "ts": 1.5, "cost_pico": 2**62, "quality": None}
ENTRIES: list[Entry] = [
    *mixed(5),
    FollowUp("d_1", grade=GRADE, judge_pico=7, lesson=LESSON, settlement=SETTLED),
    FollowUp("d_1", shadow=SHADOW, lesson=LESSON),
    FollowUp("d_1", shadow_grades={"gpt-4o-mini": GRADE}),
    FollowUp(settlement=SETTLED),
]


@contextmanager
def opened(tmp_path: Path, *, where: str = "", **options: Any) -> Iterator[Store]:
    """A store on PostgreSQL with a journal."""
    found = where or databases.place("postgres", tmp_path / "arbiter.db")
    with closing(open_store(found, journal=tmp_path / "journal.db", **options)) as store:
        yield store


@contextmanager
def gone() -> Iterator[None]:
    """While the server is down."""
    databases.postgres().stop()
    try:
        yield
    finally:
        databases.postgres().start()


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_an_entry_comes_out_as_it_went_in(entry: Entry) -> None:
    assert unpacked(packed(entry)) == entry


def test_a_record_of_an_earlier_version_has_nothing_in_newer_columns() -> None:
    older = record()
    del older.row["learning_cost_pico"]
    assert unpacked(packed(older)) == record(id=older.row["id"], learning_cost_pico=None)


def test_what_comes_during_an_outage_is_on_disk_before_it_is_told_and_written_once_afterwards(tmp_path: Path) -> None:
    before, during, after = mixed(20, seed=1), mixed(300, seed=2), mixed(20, seed=3)
    with opened(tmp_path) as store:
        run(lambda: asyncio.gather(*[store.ledger.record(one) for one in before]))
        with gone():
            run(lambda: _record_all(store, during))
            assert store.ledger.degraded and store.journal is not None
            assert store.journal.waiting == len(during) + 1
        until(lambda: not store.ledger.degraded and not store.journal.waiting)
        run(lambda: asyncio.gather(*[store.ledger.record(one) for one in after]))
        assert store.journal.waiting == store.writer.lost == store.writer.pending == 0
        _hold(store, before + during + after, graded=during[0].row["id"])


def test_a_process_that_is_killed_during_an_outage_leaves_a_journal_that_the_next_one_writes(tmp_path: Path) -> None:
    before, during = mixed(20, seed=1), mixed(300, seed=2)
    where = databases.place("postgres", tmp_path / "arbiter.db")
    with opened(tmp_path, where=where) as store:
        run(lambda: asyncio.gather(*[store.ledger.record(one) for one in before]))
    with gone():
        pass
    killed = open_store(where, journal=tmp_path / "journal.db")
    with gone():
        run(lambda: _record_all(killed, during))
        killed.writer._outage._ending.set()  # type: ignore[union-attr]  # as far as the database is concerned it is dead
        left = (tmp_path / "journal.db").read_bytes(), (tmp_path / "journal.db-wal").read_bytes()
    killed.close()
    for _ in range(2):  # the second time with what the first one has written already
        for name, data in zip(("journal.db", "journal.db-wal"), left, strict=True):
            (tmp_path / name).write_bytes(data)
        (tmp_path / "journal.db-shm").unlink(missing_ok=True)
        with opened(tmp_path, where=where) as store:
            assert store.journal is not None and store.journal.waiting == 0
            _hold(store, before + during, graded=during[0].row["id"])


def test_a_full_journal_says_so_and_what_comes_then_is_held_in_memory_within_a_bound(tmp_path: Path) -> None:
    during = mixed(600, seed=2)
    with opened(tmp_path, journal_bytes=200_000) as store:
        journal, store.writer._max_pending = store.journal, 400
        assert journal is not None
        with gone():
            run(lambda: _record_all(store, during[:400]))
            assert "is full" in journal.refuses and journal.told == journal.refuses and not store.journals
            assert journal.size <= 200_000 and os.path.getsize(journal.path) <= 200_000
            assert journal.waiting > 0 and journal.waiting + store.writer.pending == 401
            assert store.writer.lost == 0
            run(lambda: asyncio.gather(*[store.ledger.record(one) for one in during[400:]]))
            assert 0 < store.writer.lost == 601 - journal.waiting - store.writer.pending
            lost = store.writer.lost
        until(lambda: not store.ledger.degraded and not store.writer.pending and not journal.waiting)
        assert store.journals and journal.told == "empty"
        _hold(store, during[: len(during) - lost], graded=during[0].row["id"])


def test_an_entry_that_cannot_be_kept_or_written_costs_no_other(tmp_path: Path) -> None:
    sound = mixed(10)
    odd = [record(reason="half \ud800 and \0"), record(prompt_tokens=2**70), record(model=None)]
    with opened(tmp_path) as store:
        with gone():
            run(lambda: _record_all(store, [*sound, *odd]))
        until(lambda: not store.ledger.degraded and not store.journal.waiting)
        on_record = {row["id"]: row for row in store.stretch(Filter())}
        assert on_record.keys() == {one.row["id"] for one in [*sound, *odd[:2]]}
        assert on_record[odd[0].row["id"]]["reason"] == "half ? and ?"
        assert on_record[odd[1].row["id"]]["prompt_tokens"] is None
        assert store.writer.lost == 1


@pytest.mark.parametrize("reaches", [True, False], ids=["it-was-made", "it-was-not"])
@pytest.mark.parametrize("journal", [True, False], ids=["journal", "memory"])
@pytest.mark.parametrize("what", ["records", "follow-ups"])
def test_a_commit_in_doubt_counts_once(tmp_path: Path, what: str, journal: bool, reaches: bool) -> None:
    records = mixed(40)
    where = databases.place("postgres", tmp_path / "arbiter.db")
    with _cutting(databases.postgres().port) as cutter:
        through = where.replace(f":{databases.postgres().port}/", f":{cutter.port}/")
        with closing(open_store(through, journal=tmp_path / "journal.db" if journal else None)) as store:
            written = records if what == "follow-ups" else records[:1]
            run(lambda: asyncio.gather(*[store.ledger.record(one) for one in written]))
            cutter.arm(reaches)
            if what == "records":
                run(lambda: asyncio.gather(*[store.ledger.record(one) for one in records[1:]]))
            run(lambda: _follow_up(store, records[0].row["id"]))
            until(lambda: cutter.struck and not store.ledger.degraded and not store.writer.pending)
            until(lambda: store.journal is None or not store.journal.waiting)
            assert store.writer.lost == 0
            _hold(store, records, graded=records[0].row["id"])


def test_a_batch_that_is_known_as_unwritten_cannot_be_written_any_more(tmp_path: Path) -> None:
    with opened(tmp_path) as store:
        marks = store.writer._line.marks
        call_now(store, lambda c: marks.move(c, Batch("w", 1), 1.0))
        call_now(store, lambda c: marks.move(c, Batch("w", 2), 2.0))

        def doubt(connection: Connection) -> set[Batch]:
            return marks.written(connection, [Batch("w", 2), Batch("w", 3), Batch("v", 1)], 3.0)

        assert call_now(store, doubt) == {Batch("w", 2)}
        for late in (Batch("w", 3), Batch("v", 1), Batch("w", 2)):
            with pytest.raises(psycopg.errors.NotNullViolation):
                call_now(store, lambda c, one=late: marks.move(c, one, 4.0))


def test_a_journal_of_another_database_is_left_alone_until_it_is_empty(tmp_path: Path) -> None:
    with opened(tmp_path):
        pass
    other = databases.place("postgres", tmp_path / "another")
    with opened(tmp_path, where=other) as store:
        assert store.journal is not None
        store.journal.append([("", packed(record()))])
    with pytest.raises(StoreUnusable, match="holds 1 entries of postgresql://"), opened(tmp_path):
        pass


def test_a_journal_that_cannot_be_made_is_said_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "journal.db").mkdir()
    with pytest.raises(StoreUnusable, match="ARBITER_JOURNAL: .*journal.db"), opened(tmp_path):
        pass


def test_the_room_of_what_is_written_is_given_back(tmp_path: Path) -> None:
    place = databases.place("postgres", tmp_path / "arbiter.db")
    with opened(tmp_path, where=place) as store:
        journal = store.journal
        assert isinstance(journal, Journal)
        journal.append([("", b"x" * 10_000)] * 100)
        assert os.path.getsize(journal.path) + os.path.getsize(f"{journal.path}-wal") > 1_000_000
        journal.drop(100)
        assert os.path.getsize(journal.path) + os.path.getsize(f"{journal.path}-wal") < 50_000


async def _record_all(store: Store, records: list[Any]) -> None:
    """Records, and what comes after the first."""
    await asyncio.gather(*[store.ledger.record(one) for one in records])
    await _follow_up(store, records[0].row["id"])


async def _follow_up(store: Store, decision_id: str) -> None:
    await store.ledger.grade(decision_id, GRADE, LESSON, judge_pico=7, settlement=SETTLED)


def _hold(store: Store, records: list[Any], *, graded: str) -> None:
    """The books: every record once, the grade and what it settled and taught once."""
    file_all(store)
    assert sorted(row["id"] for row in store.stretch(Filter())) == sorted(one.row["id"] for one in records)
    (total,) = store.read_now(rollups.totals, ())
    assert (total["calls"], total["cost_pico"], total["judge_pico"]) == (len(records), summed(records, "cost_pico"), 7)
    found = run(lambda: store.decision(graded))
    assert (found["quality"], found["judge_cost_pico"]) == (0.5, 7)
    assert rows_of(store, "SELECT spent_pico, settled FROM budget_period") == [(5, 1)]
    assert rows_of(store, "SELECT n FROM agreement") == [(1.0,)]
    answered = sum(one.row["status"] == "ok" for one in records)
    assert rows_of(store, "SELECT sum(calls) FROM statistic") == [(answered,)]


class _Cutter:
    """A way to the server that ends with the next COMMIT: before it arrives, or before its answer does."""

    def __init__(self, port: int) -> None:
        self._to = port
        self._armed: bool | None = None
        self.struck = False
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, reaches: bool) -> None:
        self._armed = reaches

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        try:
            while True:
                client, _ = self._listening.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()
        except OSError:
            return

    def _relay(self, client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", self._to)) as server, selectors.DefaultSelector() as ready:
            ready.register(client, selectors.EVENT_READ, server)
            ready.register(server, selectors.EVENT_READ, client)
            while True:
                for key, _ in ready.select():
                    data = key.fileobj.recv(1 << 20)  # type: ignore[union-attr]
                    if not data:
                        return
                    if key.fileobj is client and self._armed is not None and b"COMMIT" in data:
                        reaches, self._armed, self.struck = self._armed, None, True
                        if reaches:
                            server.sendall(data)
                            server.recv(1 << 20)  # the answer of the server, or its first words: it is at it
                            _read_on(server)
                        return
                    key.data.sendall(data)


def _read_on(server: socket.socket) -> None:
    """Until the server has said everything."""
    server.settimeout(0.3)
    try:
        while server.recv(1 << 20):
            pass
    except TimeoutError:
        return


@contextmanager
def _cutting(port: int) -> Iterator[_Cutter]:
    cutter = _Cutter(port)
    try:
        yield cutter
    finally:
        cutter.close()


def test_a_journal_that_holds_only_what_turns_out_to_be_written_is_empty(tmp_path: Path) -> None:
    where = url_of(databases.place("postgres", tmp_path / "arbiter.db"))
    journal = Journal(tmp_path / "journal.db", 10**7, store=where, durability="strict")
    journal.append([("a:1", b"x"), ("b:2", b"y")])
    journal.settle({"a:1"}, {"b:2"})
    assert journal.waiting == 1 and journal.doubts() == []
    journal.append([("c:3", b"z")])
    journal.drop(2)
    journal.settle({"c:3"}, set())
    assert (journal.waiting, journal.told) == (0, "empty")
    journal.close()
