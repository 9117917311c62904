"""The one writer: a thread that commits whatever has queued while its last commit ran.

A lone write waits for one commit, a burst shares one. When the database refuses (locked, full, read-only, damaged) the
store is degraded and says why: nobody waits any more, answers go on, and what has to be kept (records, late grades,
votes) stays in memory, bounded, and is written in order once the database takes writes again.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from sqlalchemy import Connection

from arbiter_app.pipeline import ports
from arbiter_app.pipeline.ports import DecisionRecord
from arbiter_app.store import projections
from arbiter_app.store.backends import Backend
from arbiter_app.store.batch import BatchWriter
from arbiter_app.store.db_errors import is_conflict, refusal
from arbiter_app.store.decisions import exists
from arbiter_app.store.file_watch import NOBODY, FileWatch
from arbiter_app.store.projections import ProjectionBuilder
from arbiter_app.store.sanitize import sanitized
from arbiter_app.store.shadows import ShadowWriter
from arbiter_app.store.statistics_sync import StatisticsSync
from arbiter_app.store.usage import UsageMeter

log = logging.getLogger("arbiter.store")

T = TypeVar("T")
Work = Callable[[Connection], Any]
Told = tuple["asyncio.Future[Any]", Any]

FIRST_RETRY_S, LAST_RETRY_S = 0.05, 1.0
BATCH = 1_024


class StoreError(RuntimeError):
    """A write that was not made; the message says why."""


class WritesPaused(StoreError, ports.NotDurable):
    """A write that was not made because the database refuses writes at the moment."""


class _Refused(Exception):
    """The database refuses every write at the moment; the text says why."""


@dataclass(frozen=True, slots=True)
class _Failure:
    """The outcome of a write that failed."""

    error: Exception


@dataclass(slots=True)
class _Item:
    """A decision record, or a function to run in the transaction, and whom to tell. `keep`: survives a refusal."""

    record: DecisionRecord | None
    work: Work | None
    future: asyncio.Future[Any] | None
    keep: bool


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
    ) -> None:
        """`watch` looks after the files of a SQLite database."""
        self._backend = backend
        self._engine = engine = backend.engine(durability=durability)
        self._watch = watch
        self.batch = BatchWriter(engine.dialect)
        self.projections = ProjectionBuilder(engine.dialect)
        self.meter = UsageMeter(engine.dialect)
        self.shadows = ShadowWriter(engine.dialect)
        self.statistics = StatisticsSync(engine.dialect)
        self.max_wait_s = backend.patience_s if max_wait_s is None else max_wait_s
        self._max_pending = max_pending
        self._queue: deque[_Item] = deque()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._asleep = False
        self._closing = False
        self._connection: Connection | None = None
        self._holds_log, self._connections = NOBODY, 0
        self._unfiled = dict(projections.SLICES)  # not known yet
        self._unsettled = False
        self._in_hand = 0
        self.degraded = ""
        self.lost = 0
        self.commits = 0
        self.write_s = 0.0
        self._thread = threading.Thread(target=self._run, name="arbiter-writer", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Writes that are queued or in the transaction under way."""
        return len(self._queue) + self._in_hand

    @property
    def thread_id(self) -> int:
        """The thread that writes, as `time.pthread_getcpuclockid` wants it."""
        return self._thread.ident or 0

    def record(self, *records: DecisionRecord, wait: bool = True) -> asyncio.Future[None]:
        """Queue decision records. The future is done when all are committed, or, with `degraded` saying why, kept in memory.

        Unless `wait`, it is done at once.
        """
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        *others, last = records
        for record in others:
            self._put(_Item(record, None, None, True))
        self._put(_Item(last, None, future if wait else None, True))
        if not wait:
            future.set_result(None)
        return future

    def call(self, work: Callable[[Connection], T], *, keep: bool = False) -> asyncio.Future[T]:
        """Run a function in the writer's transaction; done with its result once that is committed.

        It may run twice when its transaction has to be made again. While the database refuses writes it fails with
        WritesPaused; with `keep` its future is done then, and it runs after the recovery.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._put(_Item(None, work, future, keep), loop)
        return future

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what is queued (for a bounded time) and end."""
        self._closing = True
        self._bell.put(None)
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            log.error("the database did not finish in %s s; %s writes are open", timeout_s, self.pending)

    def look(self) -> None:
        """Degrade soon where the database's file is no longer in its place, also while nothing is written."""
        if not self.degraded and self._moved():
            self._put(_Item(None, _nothing, None, False))

    def _moved(self) -> str:
        """What became of the database's file; empty while it is in its place."""
        return "" if self._watch is None else self._watch.problem(lambda: self._holds_log)

    def _put(self, item: _Item, loop: asyncio.AbstractEventLoop | None = None) -> None:
        """Queue an item. Once degraded nobody waits; once the queue is full what comes new is refused, not what waits.

        With a loop, it rings once that has run what is ready, for others may have something to write, too.
        """
        if self.degraded:
            kept = item.keep and self.pending < self._max_pending
            self.lost += item.keep and not kept
            _let_go(item, self.degraded)
            if not kept:
                return
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
            try:
                self._turn()
            except _Refused as refused:
                self._degrade(str(refused))
                if self._closing:
                    break
                time.sleep(retry_s)
                retry_s = min(LAST_RETRY_S, retry_s * 2)
            else:
                retry_s = FIRST_RETRY_S
        if self._queue:
            self.lost += sum(item.keep for item in self._queue)
            log.error("closed with %s writes unwritten: %s", len(self._queue), self.degraded)
        self._disconnect()

    def _await_work(self, probe_s: float) -> bool:
        """Sleep until there is something to write, or, while degraded, it is time to probe; False at the end."""
        while not self._queue and not self._closing:
            self._asleep = True
            if not self._queue and not self._closing:  # what was put a moment before has not rung
                with contextlib.suppress(Empty):
                    self._bell.get(timeout=probe_s if self.degraded else None)
            self._asleep = False
            if self.degraded:
                break
        return bool(self._queue) or not self._closing

    def _turn(self) -> None:
        """One transaction with what is queued once the lock is held, a BATCH at most. Raises _Refused, with all put back."""
        items: list[_Item] = []
        if gone := self._moved():
            self._disconnect()
            raise _Refused(gone)
        try:
            connection = self._connected()
            if self._backend.in_one_pass and (records := self._leading_records()):
                started = time.perf_counter()
                items = self._take(len(records))
                outcomes = self._passed(connection, items, records)
            else:
                connection = self._begin()
                started = time.perf_counter()
                items = self._take(BATCH)
                outcomes = self._written(connection, items)
                self._backend.commit(connection)
        except Exception as error:
            why = self._moved() or refusal(error) or f"the database refuses writes: {error}"
            self._disconnect()
            self._queue.extendleft(reversed(items))
            self._in_hand = 0
            raise _Refused(why) from error
        self.write_s += time.perf_counter() - started
        self.commits += 1
        self._in_hand = 0
        if self.degraded:
            log.warning("the database takes writes again")
            self.degraded = ""
        _tell(items, outcomes)
        self._file(sum(item.record is not None for item in items))

    def _take(self, most: int) -> list[_Item]:
        """The oldest items that wait."""
        self._in_hand = min(len(self._queue), most)
        return [self._queue.popleft() for _ in range(self._in_hand)]

    def _leading_records(self) -> list[DecisionRecord]:
        """What waits, where that is records and nothing else that has to be seen from in between; else nothing."""
        waiting = list(islice(self._queue, BATCH))
        records = [item.record for item in waiting if item.record is not None]
        plain = len(records) == len(waiting) and not self.degraded and self.batch.is_plain(records)
        return records if plain else []

    def _passed(self, connection: Connection, items: list[_Item], records: list[DecisionRecord]) -> list[Any]:
        """Write and commit records in one pass; where one of them fails, all are made anew."""
        try:
            self._backend.pass_through(connection, partial(self.batch.write, connection, records))
        except Exception as error:
            if refusal(error) is not None:
                raise
            log.info("one of %s records fails and will be singled out: %s", len(items), error)
            self._backend.roll_back(connection)
            connection = self._begin()
            outcomes = [self._guarded(connection, item) for item in items]
            self._backend.commit(connection)
            return outcomes
        return [None] * len(items)

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
            connection = self._begin()
            work(connection)
            self._backend.commit(connection)
        except Exception as error:  # noqa: BLE001 - nothing is lost: what is not filed is read as it is
            self._disconnect()
            log.warning("decisions were not filed and will be later: %s", error)

    def _written(self, connection: Connection, items: list[_Item]) -> list[Any]:
        """The result of each item, or its error. When one of them fails, all are made anew, each guarded by itself."""
        if self.degraded:
            self.batch.count(connection, {"store.recovered": 1})
        try:
            return self._write(connection, items)
        except Exception as error:
            if refusal(error) is not None:
                raise
            log.info("one of %s writes fails and will be singled out: %s", len(items), error)
        self._backend.roll_back(connection)
        connection = self._begin()
        return [self._guarded(connection, item) for item in items]

    def _write(self, connection: Connection, items: list[_Item]) -> list[Any]:
        """Runs of decision records go out as one batch, in order with the other writes."""
        results: list[Any] = []
        run: list[DecisionRecord] = []
        for item in items:
            if item.record is not None:
                run.append(item.record)
                results.append(None)
            elif item.work is not None:
                self.batch.write(connection, run)
                run = []
                results.append(item.work(connection))
        self.batch.write(connection, run)
        return results

    def _guarded(self, connection: Connection, item: _Item) -> Any:
        """Write one item under a savepoint; its error becomes its outcome, unless the database refuses altogether."""
        try:
            with connection.begin_nested():
                return self._write(connection, [item])[0]
        except Exception as error:
            if refusal(error) is not None:
                raise
            if item.record is None:
                log.warning("a write failed: %s", error)
                return _Failure(error)
            return self._rescued(connection, item.record, error)

    def _rescued(self, connection: Connection, record: DecisionRecord, error: Exception) -> Any:
        """A record that cannot be written as it is: fine when it is there already, else without what cannot be stored.

        Never an error to the caller, who has an answer that was paid for: it is logged and counted in `lost`.
        """
        if is_conflict(error) and exists(connection, record.row["id"]):
            return None
        try:
            with connection.begin_nested():
                self.batch.write(connection, [sanitized(record)])
        except Exception as second:
            if refusal(second) is not None:
                raise
            self.lost += 1
            log.error("a decision record cannot be written: %s", second)
            return None
        log.warning("a decision record was written without what cannot be stored: %s", error)
        return None

    def _degrade(self, why: str) -> None:
        """Keep what has to be kept, and let nobody wait any longer."""
        if not self.degraded:
            log.error("%s; records are kept in memory until it recovers", why)
        self.degraded = why
        self._in_hand = len(self._queue)
        waiting = [self._queue.popleft() for _ in range(self._in_hand)]
        _tell(waiting, [None if item.keep else _Failure(WritesPaused(why)) for item in waiting])
        kept = [item for item in waiting if item.keep]
        for item in kept:
            item.future = None
        self._queue.extendleft(reversed(kept))
        self._in_hand = 0

    def _begin(self) -> Connection:
        """The connection inside a transaction that may write. Waits for another process's, at most `max_wait_s`."""
        connection = self._connected()
        self._backend.begin(connection, self.max_wait_s)
        if self._holds_log == NOBODY:
            self._holds_log = self._connections
            self._moved()  # which log that is
        return connection

    def _connected(self) -> Connection:
        connection = self._connection
        if connection is None:
            connection = self._connection = self._engine.connect()
            self._connections += 1
            self._backend.writing(connection, self.max_wait_s)
        return connection

    def _disconnect(self) -> None:
        connection, self._connection, self._holds_log = self._connection, None, NOBODY
        if connection is not None:
            connection.invalidate()
            connection.close()


def _tell(items: list[_Item], outcomes: list[Any]) -> None:
    """Hand the outcomes over, to each event loop with one call."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Told]] = {}
    for item, outcome in zip(items, outcomes, strict=True):
        if item.future is not None:
            by_loop.setdefault(item.future.get_loop(), []).append((item.future, outcome))
    for loop, told in by_loop.items():
        try:
            loop.call_soon_threadsafe(_settle_all, told)
        except RuntimeError:
            log.debug("an event loop was gone before its writes were")


def _settle_all(told: list[Told]) -> None:
    for future, outcome in told:
        _settle(future, outcome)


def _settle(future: asyncio.Future[Any], outcome: Any) -> None:
    if future.done():
        return
    if isinstance(outcome, _Failure):
        future.set_exception(outcome.error)
        future.exception()  # read once, so that nobody has to
    else:
        future.set_result(outcome)


def _nothing(_: Connection) -> None:
    """A write that only shows whether writing works."""


def _let_go(item: _Item, why: str) -> None:
    """Called by the one who asked, while degraded: a kept write is done for now, another one fails."""
    future, item.future = item.future, None
    if future is not None:
        _settle(future, None if item.keep else _Failure(WritesPaused(why)))
