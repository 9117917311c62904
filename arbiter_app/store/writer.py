"""The one writer: a thread that commits whatever has queued while its last commit ran.

A lone write waits for one commit, a burst shares one. When the database refuses (gone, locked, full, read-only, damaged) the
store is degraded and says why: nobody waits any more, answers go on, and what has to be kept (records, late grades,
votes) waits, bounded, and is written in order once the database takes writes again: in the journal where there is one, else in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection

from arbiter_app.pipeline.ports import DecisionRecord
from arbiter_app.store import projections
from arbiter_app.store.backends import Backend
from arbiter_app.store.db_errors import refusal
from arbiter_app.store.entries import FollowUp
from arbiter_app.store.file_watch import FileWatch
from arbiter_app.store.journal import Journal, JournalRefuses
from arbiter_app.store.marks import Batch
from arbiter_app.store.outage import FIRST_RETRY_S, LAST_RETRY_S, Outage
from arbiter_app.store.statistics_sync import StatisticsSync
from arbiter_app.store.transaction import EntryWriter, WritingConnection
from arbiter_app.store.usage import UsageMeter
from arbiter_app.store.waiting import Failure, StoreError, Waiting, WritesPaused, let_go, tell
from arbiter_app.turns import goes_ahead, has_gone

__all__ = ["StoreError", "Writer", "WritesPaused"]

log = logging.getLogger("arbiter.store")

T = TypeVar("T")
Q = TypeVar("Q")

BATCH = 1_024
KEPT_AT_ONCE = 64
"""Entries of one transaction of the journal: where they do not all fit, none of them is in it."""
RECOVERED = {"store.recovered": 1}
STALLED_S = 10.0
"""After so long in one transaction the connection is given up: the server, or the way to it, has stopped without a word."""


class _Refused(Exception):
    """The database refuses every write at the moment; the text says why."""


class Writer:
    """Owns the writing connection. Thread-safe; futures belong to the event loop that asked.

    `degraded` is why the database refuses writes, empty when it takes them; `lost` counts records that could not be
    kept, `commits` and `write_s` what was done.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        durability: str = "strict",
        max_wait_s: float | None = None,
        max_pending: int = 20_000,
        watch: FileWatch | None = None,
        journal: Journal | None = None,
    ) -> None:
        """`watch` looks after the files of a SQLite database. What the journal holds is written first; raises what the database says."""
        self._backend = backend
        engine = backend.engine(durability=durability, connections=2)  # the other one for what the journal kept
        self._line = WritingConnection(backend, engine, max_wait_s=max_wait_s, watch=watch)
        dialect = engine.dialect
        self.entries = EntryWriter(dialect)
        self.batch, self.projections, self.shadows = self.entries.batch, self.entries.projections, self.entries.shadows
        self.meter, self.statistics = UsageMeter(dialect), StatisticsSync(dialect)
        self._max_pending = max_pending
        self._queue: deque[Waiting] = deque()
        self._held: deque[Waiting] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._asleep = False
        self._closing = False
        self._unfiled = dict(projections.SLICES)  # not known yet
        self._unsettled = False
        self._in_hand = self._doubtful = 0
        self._spilling = False
        self._turning: float | None = None
        self.degraded = ""
        self.dropped = 0
        self.commits = 0
        self.write_s = 0.0
        self.journal = journal
        self._outage = None
        if journal is not None:
            ring = partial(self._bell.put, None)
            line = WritingConnection(backend, engine, max_wait_s=max_wait_s)
            self._outage = Outage(journal, line, self.entries, ring=ring, tell=self._still_out)
            self._outage.catch_up()
        self._thread = threading.Thread(target=self._run, name="arbiter-writer", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Writes that are queued, held, or in the transaction under way; not what is in the journal."""
        return len(self._queue) + len(self._held) + self._in_hand

    @property
    def lost(self) -> int:
        """Records that could not be kept."""
        return self.dropped + self.entries.lost

    @property
    def max_wait_s(self) -> float:
        """How long to wait for other processes."""
        return self._line.max_wait_s

    @max_wait_s.setter
    def max_wait_s(self, seconds: float) -> None:
        self._line.max_wait_s = seconds

    @property
    def _engine(self) -> Any:
        return self._line.engine

    @property
    def thread_id(self) -> int:
        """The thread that writes, as `time.pthread_getcpuclockid` wants it."""
        return self._thread.ident or 0

    def record(self, *records: DecisionRecord, wait: bool = True) -> asyncio.Future[None]:
        """Queue decision records. The future is done when all are committed, or, with `degraded` saying why, kept.

        Unless `wait`, it is done at once. It rings at once: to wait for others makes commits fewer, but no request cheaper, and more of
        them wait for the same commit with nothing to do meanwhile.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        *others, last = records
        for record in others:
            self._put(Waiting(record, None, None, True))
        self._put(Waiting(last, None, future if wait else None, True))
        if not wait:
            future.set_result(None)
        return future

    def follow_up(self, one: FollowUp) -> asyncio.Future[None]:
        """Queue what comes after a record; as `record`."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        self._put(Waiting(one, None, future, True), loop)
        return future

    def call(self, work: Callable[[Connection], T], *, keep: bool = False) -> asyncio.Future[T]:
        """Run a function in the writer's transaction; done with its result once that is committed.

        It may run twice when its transaction has to be made again. While the database refuses writes it fails with
        WritesPaused; with `keep` its future is done then, and it runs after the recovery, if this process lives to see it.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(Waiting(None, work, future, keep), loop)
        return future

    def share(self, work: Callable[[Connection, Sequence[Q]], Sequence[T]], question: Q) -> asyncio.Future[T]:
        """The same with a function that is run once in a transaction, for all who ask for it then; done with one's own answer."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(Waiting(None, None, future, False, shared=work, question=question), loop)
        return future

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what is queued (for a bounded time) and end."""
        self._closing = True
        self._bell.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.error("the database did not finish in %s s; %s writes are open", timeout_s, self.pending)
        if self._outage is not None:
            self._outage.close(timeout_s)

    def look(self) -> None:
        """Degrade soon where the database's file is no longer in its place, or the server has stopped, also while nothing is written."""
        turning = self._turning
        if turning is not None and time.monotonic() - turning > STALLED_S:
            log.error("the database has not answered for %s s", STALLED_S)
            self._turning = None
            self._line.cut()
        if not self.degraded and self._line.moved():
            self._put(Waiting(None, _nothing, None, False))

    def _put(self, item: Waiting, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Queue an item. Once degraded nobody waits for the database; once there is no room what comes new is refused, not what waits.

        With a loop, it rings once that has run what is ready, for others may have something to write, too.
        """
        if self.degraded:
            kept = item.keep and self.pending < self._max_pending
            self.dropped += item.keep and not kept
            if not kept or self._outage is None or item.entry is None:
                let_go(item, self.degraded)
            if not kept:
                return
        else:
            goes_ahead(self)
        self._queue.append(item)
        if self._asleep:
            self._asleep = False
            if loop is None:
                self._bell.put(None)
            else:
                loop.call_soon(self._bell.put, None)

    def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while self._await_work(retry_s):
            self._turning = time.monotonic()
            try:
                if self.degraded and self._outage is not None:
                    self._sit_out(self._outage)
                else:
                    goes_ahead(self)
                    records = self._turn()
                    has_gone(self)
                    self._file(records)
                retry_s = FIRST_RETRY_S
            except _Refused as refused:
                self._degrade(str(refused))
                if self._outage is None:
                    if self._closing:
                        break
                    time.sleep(retry_s)
                    retry_s = min(LAST_RETRY_S, retry_s * 2)
            except Exception as error:  # without this thread everybody would wait for ever
                log.exception("the writer failed and tries again")
                self._degrade(f"writing failed: {error!r}")
                if self._closing:
                    break
                time.sleep(retry_s)
                retry_s = min(LAST_RETRY_S, retry_s * 2)
            finally:
                self._turning = None
        if unwritten := [*self._held, *self._queue]:
            self.dropped += sum(item.keep for item in unwritten)
            log.error("closed with %s writes unwritten: %s", len(unwritten), self.degraded)
        self._line.disconnect()

    def _await_work(self, probe_s: float) -> bool:
        """Sleep until there is something to write, or, while degraded, it is time to probe; False at the end."""
        probes = bool(self.degraded) and self._outage is None
        while not self._queue and not self._closing and not self._returns:
            self._asleep = True
            if not self._queue and not self._closing:  # what was put a moment before has not rung
                with contextlib.suppress(Empty):
                    self._bell.get(timeout=probe_s if probes else None)
            self._asleep = False
            if probes:
                break
        return bool(self._queue) or not self._closing

    @property
    def _returns(self) -> bool:
        """Whether the database is back and this thread does not write yet, or the journal is written and something is held still."""
        if self._outage is None:
            return False
        return self._outage.over if self.degraded else bool(self._held) and not self._outage.draining

    def _turn(self) -> int:
        """One transaction with what is queued once the lock is held, a BATCH at most: how many records it wrote. Raises _Refused, with
        all put back.
        """
        items: list[Waiting] = []
        if gone := self._line.moved():
            self._line.disconnect()
            raise _Refused(gone)
        batch = self._line.batch()
        try:
            self._settle_doubts()
            self._set_follow_ups_aside()
            connection = self._line.connected()
            if self._backend.in_one_pass and (most := self._plain()):
                started = time.perf_counter()
                items = self._take(most)
                outcomes = self._passed(connection, items, batch)
            else:
                connection = self._line.begin(batch)
                started = time.perf_counter()
                items = self._take(BATCH)
                outcomes = self._written(connection, items, batch)
                self._line.commit(connection)
        except Exception as error:
            why = self._line.moved() or refusal(error) or f"the database refuses writes: {error}"
            self._line.disconnect()
            self._put_back(items, batch)
            raise _Refused(why) from error
        self.write_s += time.perf_counter() - started
        self.commits += 1
        self._in_hand = 0
        if self.degraded:
            log.warning("the database takes writes again")
            self.degraded = ""
        tell(items, outcomes)
        return sum(isinstance(item.entry, DecisionRecord) for item in items)

    def _take(self, most: int) -> list[Waiting]:
        """The oldest items that wait."""
        self._in_hand = min(len(self._queue), most)
        return [self._queue.popleft() for _ in range(self._in_hand)]

    def _put_back(self, items: list[Waiting], batch: Batch | None) -> None:
        """Items of a transaction that did not end well: it may have been committed all the same."""
        if items and batch is not None:
            self._line.rename()
            self._doubtful = sum(item.keep for item in items)
            for item in items:
                item.doubt = batch if item.keep else None
        self._queue.extendleft(reversed(items))
        self._in_hand = 0

    def _settle_doubts(self) -> None:
        """Let go of what was written, as it turns out now, though its commit was cut short."""
        if not self._doubtful:
            return
        connection = self._line.begin()
        doubts = [item.doubt for item in islice(self._queue, self._doubtful) if item.doubt is not None]
        written = self._line.marks.written(connection, doubts, time.time())
        self._line.commit(connection)
        front = [self._queue.popleft() for _ in range(self._doubtful)]
        self._doubtful = 0
        done = [item for item in front if item.doubt in written]
        self._queue.extendleft(reversed([item for item in front if item.doubt not in written]))
        for item in front:
            item.doubt = None
        tell(done, [None] * len(done))

    def _plain(self) -> int:
        """How much waits, where that is records and shared work, and nothing else that has to be seen from in between; else nothing."""
        waiting = list(islice(self._queue, BATCH))
        records = [item.entry for item in waiting if isinstance(item.entry, DecisionRecord)]
        shared = sum(item.shared is not None for item in waiting)
        plain = len(records) + shared == len(waiting) and not self.degraded and self.batch.is_plain(records)
        return len(waiting) if plain else 0

    def _passed(self, connection: Connection, items: list[Waiting], batch: Batch | None) -> list[Any]:
        """Write and commit what is plain in one pass; where one of them fails, all are made anew."""
        outcomes: list[Any] = []

        def inserts() -> None:
            self._line.mark(connection, batch)
            outcomes[:] = self.entries.write(connection, items)

        try:
            self._backend.pass_through(connection, inserts)
        except Exception as error:
            if refusal(error) is not None:
                raise
            log.info("one of %s records fails and will be singled out: %s", len(items), error)
            self._line.roll_back(connection)
            connection = self._line.begin(batch)
            outcomes = [self.entries.guarded(connection, item) for item in items]
            self._line.commit(connection)
        return outcomes

    def _written(self, connection: Connection, items: list[Waiting], batch: Batch | None) -> list[Any]:
        """The result of each item, or its error. When one of them fails, all are made anew, each guarded by itself."""
        if self.degraded:
            self.batch.count(connection, RECOVERED)
        try:
            return self.entries.write(connection, items)
        except Exception as error:
            if refusal(error) is not None:
                raise
            log.info("one of %s writes fails and will be singled out: %s", len(items), error)
        self._line.roll_back(connection)
        connection = self._line.begin(batch)
        return [self.entries.guarded(connection, item) for item in items]

    def _file(self, records: int) -> None:
        """Once a slice has gathered, after everybody has been told: file it, one kind in turn. Left for later when refused."""
        for what in self._unfiled:
            self._unfiled[what] += records
        due = [what for what, waiting in self._unfiled.items() if waiting >= projections.SLICES[what]]
        if due:
            what = due[0]
            self._unfiled[what] = self._unfiled.pop(what)  # to the end: whatever becomes of it, the other kind is next
            self._behind(partial(self._file_slice, what=what, most=len(projections.SLICES) * records))
        if self._unsettled:
            self._behind(self._settle)

    def _file_slice(self, connection: Connection, what: str, most: int) -> None:
        """A slice, or `most` where that is more: what comes between two turns of a kind, so that filing never falls behind."""
        waiting = self.projections.waiting(connection, what)
        if waiting >= projections.SLICES[what]:  # else another process was faster
            waiting -= self.projections.build(connection, what, max(most, projections.SLICES[what]))
            self._unsettled = self._unsettled or self.projections.opened(connection) >= projections.OPEN_MOST
        self._unfiled[what] = waiting

    def _settle(self, connection: Connection) -> None:
        self._unsettled = self.projections.settle(connection) > 0

    def _behind(self, work: Callable[[Connection], None]) -> None:
        """A transaction that nobody waits for."""
        try:
            connection = self._line.begin()
            work(connection)
            self._line.commit(connection)
        except Exception as error:  # noqa: BLE001 - nothing is lost: what is not filed is read as it is
            self._line.disconnect()
            log.warning("decisions were not filed and will be later: %s", error)

    def _degrade(self, why: str) -> None:
        """Keep what has to be kept, and let nobody wait any longer."""
        has_gone(self)
        if not self.degraded:
            where = "memory" if self._outage is None else f"the journal {self._outage.journal.path}"
            log.error("%s; records are kept in %s until it recovers", why, where)
        self.degraded = why
        if self._outage is not None:
            self._outage.begin()
            return
        self._in_hand = len(self._queue)
        waiting = [self._queue.popleft() for _ in range(self._in_hand)]
        tell(waiting, [None if item.keep else Failure(WritesPaused(why)) for item in waiting])
        self._queue.extendleft(reversed([item for item in waiting if item.keep]))
        self._in_hand = 0

    def _still_out(self, why: str) -> None:
        """Why the database is out now; by the thread that looks for it."""
        if self.degraded:
            self.degraded = why

    def _sit_out(self, outage: Outage) -> None:
        """Put what waits into the journal, until the database is back. What cannot go there is held in memory, and all after it."""
        if outage.over and self._returned(outage):
            return
        items = self._take(KEPT_AT_ONCE)
        entries = [item for item in items if item.entry is not None]
        self._held += [item for item in items if item.keep and item.entry is None]
        self._journal_or_hold(outage, entries)
        self._in_hand = 0
        tell(items, [None if item.keep else Failure(WritesPaused(self.degraded)) for item in items])

    def _journal_or_hold(self, outage: Outage, entries: list[Waiting]) -> bool:
        """Keep entries somewhere; False where the journal has been written, and they can go on."""
        if entries and not self._spilling:
            try:
                lost = outage.keep(entries)
            except JournalRefuses as refused:
                self._spilling = True
                log.error("%s; records are kept in memory, the next %s of them", refused, self._max_pending)
            else:
                self.dropped += lost or 0
                return lost is not None
        self._held += entries
        return True

    def _set_follow_ups_aside(self) -> None:
        """While the journal is being written, what comes after records goes behind those that it holds."""
        outage = self._outage
        if outage is None:
            return
        if not outage.draining:
            self._release()
            return
        waiting = [self._queue.popleft() for _ in range(len(self._queue))]
        after = [item for item in waiting if isinstance(item.entry, FollowUp)]
        if after and self._journal_or_hold(outage, after):
            waiting = [item for item in waiting if not isinstance(item.entry, FollowUp)]
            tell(after, [None] * len(after))
        self._queue.extendleft(reversed(waiting))

    def _returned(self, outage: Outage) -> bool:
        """Write again; False where the database is gone again."""
        try:
            connection = self._line.begin()
            self.batch.count(connection, RECOVERED)
            self._line.commit(connection)
        except Exception as error:  # noqa: BLE001 - whatever it is, the outage goes on
            self._line.disconnect()
            log.warning("the database was back for a moment: %s", refusal(error) or error)
            outage.begin()
            return False
        log.warning("the database takes writes again; in the journal: %s", outage.journal.told)
        self._doubtful = len(self._held)
        self._release()
        self.degraded = ""
        return True

    def _release(self) -> None:
        """What was held in memory goes on, before what waits."""
        self._queue.extendleft(reversed(self._held))
        self._held.clear()
        self._spilling = False


def _nothing(_: Connection) -> None:
    """A write that only shows whether writing works."""
