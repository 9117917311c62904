"""The one writer: a thread that commits whatever has queued while its last commit ran.

A lone write waits for one commit, a burst shares one. When the database refuses (locked, full, read-only) records are
kept and tried again until it recovers; nobody waits longer than `max_wait_s` for that.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError, OperationalError

from arbiter_app.pipeline.ports import DecisionRecord
from arbiter_app.store.batch import BatchWriter

log = logging.getLogger("arbiter.store")

T = TypeVar("T")
Work = Callable[[Connection], Any]

FIRST_RETRY_S = 0.05
LAST_RETRY_S = 1.0


class StoreError(RuntimeError):
    """A write that was not made; the message says why."""


class NotDurable(StoreError):
    """The record is kept in memory and will be written when the database recovers."""


@dataclass(slots=True)
class _Item:
    """A decision record, or a function to run in the transaction, and whom to tell."""

    record: DecisionRecord | None
    work: Work | None
    tell: Callable[[Any, BaseException | None], None] | None
    since: float = field(default_factory=time.monotonic)


class Writer:
    """Owns the writing connection. Thread-safe; futures belong to the event loop that asked."""

    def __init__(self, engine: Engine, *, max_wait_s: float = 1.0, max_pending: int = 20_000) -> None:
        self._engine = engine
        self.batch = BatchWriter(engine.dialect)
        self.max_wait_s = max_wait_s
        self._max_pending = max_pending
        self._queue: deque[_Item] = deque()
        self._wake = threading.Condition()
        self._closing = False
        self._connection: Connection | None = None
        self.degraded = ""
        self.lost = 0
        self.commits = 0
        self.write_s = 0.0
        self._tells: dict[asyncio.AbstractEventLoop, list[tuple[asyncio.Future[Any], Any, BaseException | None]]] = {}
        self._thread = threading.Thread(target=self._run, name="arbiter-writer", daemon=True)
        self._thread.start()

    @property
    def pending(self) -> int:
        """Writes that are queued."""
        return len(self._queue)

    def record(self, record: DecisionRecord, *, wait: bool = True) -> asyncio.Future[None]:
        """Queue a decision record; done when committed, or failed with NotDurable after `max_wait_s`."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if not wait:
            future.set_result(None)
        self._put(_Item(record, None, self._teller(future) if wait else None))
        return future

    def call(self, work: Callable[[Connection], T]) -> asyncio.Future[T]:
        """Run a function inside the writer's transaction; done with its result once that is committed."""
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._put(_Item(None, work, self._teller(future)))
        return future

    def call_now(self, work: Callable[[Connection], T], timeout_s: float = 10.0) -> T:
        """The same from a thread without an event loop. Raises StoreError."""
        done = threading.Event()
        outcome: list[Any] = [None, None]

        def tell(result: Any, error: BaseException | None) -> None:
            outcome[:] = [result, error]
            done.set()

        self._put(_Item(None, work, tell))
        if not done.wait(timeout_s):
            raise StoreError("the database did not answer in time")
        if outcome[1] is not None:
            raise outcome[1]
        result: T = outcome[0]
        return result

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what is queued (for a bounded time) and end."""
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(timeout_s)

    def _put(self, item: _Item) -> None:
        with self._wake:
            self._queue.append(item)
            if len(self._queue) > self._max_pending:
                self._lose()
            self._wake.notify()

    def _lose(self) -> None:
        """The queue is full because the database has been refusing for long: the oldest record goes, and is counted."""
        item = self._queue.popleft()
        self.lost += 1
        if item.tell is not None:
            item.tell(None, NotDurable("the queue of unwritten records is full"))

    def _teller(self, future: asyncio.Future[Any]) -> Callable[[Any, BaseException | None], None]:
        loop = future.get_loop()

        def tell(result: Any, error: BaseException | None) -> None:
            self._tells.setdefault(loop, []).append((future, result, error))

        return tell

    def _run(self) -> None:
        retry_s = FIRST_RETRY_S
        while True:
            with self._wake:
                while not self._queue and not self._closing:
                    self._wake.wait()
                if not self._queue:
                    break
                items = list(self._queue)
                self._queue.clear()
            refused = self._commit(items)
            self._flush_tells()
            if refused is None:
                retry_s = FIRST_RETRY_S
                continue
            if not self._hold(items, refused):
                break
            time.sleep(retry_s)
            retry_s = min(LAST_RETRY_S, retry_s * 2)
        self._disconnect()

    def _commit(self, items: list[_Item]) -> DBAPIError | None:
        """Write and commit; the error when the database refuses, None when every item has its outcome."""
        started = time.perf_counter()
        try:
            results = self._write(items)
        except OperationalError as error:
            self._disconnect()
            return error
        except Exception as error:  # noqa: BLE001 - told to whoever asked, and logged
            # One bad item must not cost the others their record: each is tried alone.
            self._disconnect()
            if len(items) == 1:
                self._give_up(items[0], error)
            else:
                for at, item in enumerate(items):
                    if (refused := self._commit([item])) is not None:
                        self._requeue(items[at:])
                        return refused
            return None
        self.write_s += time.perf_counter() - started
        self.commits += 1
        if self.degraded:
            log.warning("the database takes writes again")
            self.degraded = ""
        for item, result in zip(items, results, strict=True):
            if item.tell is not None:
                item.tell(result, None)
        return None

    def _write(self, items: list[_Item]) -> list[Any]:
        """One transaction. Runs of decision records go out as one batch, in order with the other writes."""
        connection = self._connected()
        if self._engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        results: list[Any] = []
        run: list[DecisionRecord] = []
        for item in items:
            if item.record is not None:
                run.append(item.record)
                results.append(None)
                continue
            self.batch.write(connection, run)
            run = []
            assert item.work is not None
            results.append(item.work(connection))
        self.batch.write(connection, run)
        connection.commit()
        return results

    def _hold(self, items: list[_Item], error: DBAPIError) -> bool:
        """Keep refused records for later, tell who has waited long enough; False when closing ends the waiting."""
        if not self.degraded:
            log.error("the database refuses writes, learning is kept in memory: %s", error.orig)
        self.degraded = f"the database refuses writes: {error.orig}"
        late = time.monotonic() - self.max_wait_s
        kept = []
        for item in items:
            if item.since <= late or self._closing:
                self._tell_late(item)
            if item.record is not None or item.tell is not None:
                kept.append(item)
        self._flush_tells()
        if self._closing:
            self.lost += sum(item.record is not None for item in kept)
            log.error("closing with %s records unwritten", self.lost)
            return False
        self._requeue(kept)
        return True

    def _tell_late(self, item: _Item) -> None:
        tell, item.tell = item.tell, None
        if tell is not None:
            tell(None, NotDurable(self.degraded))

    def _give_up(self, item: _Item, error: Exception) -> None:
        log.error("a write failed: %s", error)
        if item.tell is not None:
            item.tell(
                None, error if isinstance(error, StoreError | LookupError | ValueError) else StoreError(str(error))
            )

    def _requeue(self, items: Sequence[_Item]) -> None:
        with self._wake:
            self._queue.extendleft(reversed(items))

    def _connected(self) -> Connection:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()
            connection.close()

    def _flush_tells(self) -> None:
        """Hand all outcomes to each event loop with one call."""
        tells, self._tells = self._tells, {}
        for loop, outcomes in tells.items():
            try:
                loop.call_soon_threadsafe(_resolve, outcomes)
            except RuntimeError:
                log.debug("an event loop was gone before its writes were")


def _resolve(outcomes: list[tuple[asyncio.Future[Any], Any, BaseException | None]]) -> None:
    for future, result, error in outcomes:
        if future.done():
            continue
        if error is not None:
            future.set_exception(error)
            future.exception()
        else:
            future.set_result(result)
