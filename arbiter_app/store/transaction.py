"""The transaction that writes: its connection, and what is written in it."""

from __future__ import annotations

import logging
import secrets
import time
from typing import Any

from sqlalchemy import Connection, Dialect, Engine

from arbiter_app.pipeline.ports import DecisionRecord, Lesson
from arbiter_app.store.backends import Backend
from arbiter_app.store.batch import BatchWriter
from arbiter_app.store.db_errors import is_conflict, refusal
from arbiter_app.store.decisions import exists
from arbiter_app.store.entries import Entry, FollowUp
from arbiter_app.store.file_watch import NOBODY, FileWatch
from arbiter_app.store.marks import Batch, Marks
from arbiter_app.store.projections import LateScore, ProjectionBuilder
from arbiter_app.store.sanitize import sanitized
from arbiter_app.store.shadows import ShadowWriter
from arbiter_app.store.waiting import Failure, SharedWork, Waiting

log = logging.getLogger("arbiter.store")


class WritingConnection:
    """The one connection that this process writes by, or the other one, by which it writes what its journal kept.

    Of one thread at a time, but for `cut`.
    """

    def __init__(
        self, backend: Backend, engine: Engine, *, max_wait_s: float | None, watch: FileWatch | None = None
    ) -> None:
        """`watch` looks after the files of a SQLite database."""
        self.backend, self.engine = backend, engine
        self.marks = Marks(self.engine.dialect)
        self.max_wait_s = backend.patience_s if max_wait_s is None else max_wait_s
        self._watch = watch
        self._connection: Connection | None = None
        self._holds_log, self._connections = NOBODY, 0
        self._name, self._number = "", 0
        self.rename()

    def rename(self) -> None:
        """Write under another name from now on: what became of the last batch is in doubt."""
        self._name, self._number = secrets.token_hex(8), 0

    def batch(self) -> Batch | None:
        """The batch that is written next; None where a commit cannot be in doubt."""
        if not self.backend.shared:
            return None
        self._number += 1
        return Batch(self._name, self._number)

    def connected(self) -> Connection:
        """The connection, outside of any transaction: a new one where the server has ended the one before while it was at rest."""
        connection = self._connection
        if connection is not None and self.backend.ended(connection):
            self.disconnect()
            connection = None
        if connection is None:
            connection = self._connection = self.engine.connect()
            self._connections += 1
            self.backend.writing(connection, self.max_wait_s)
        return connection

    def begin(self, batch: Batch | None = None) -> Connection:
        """The connection inside a transaction that may write. Waits for another process's, at most `max_wait_s`."""
        connection = self.connected()
        self.backend.begin(connection, self.max_wait_s)
        if self._holds_log == NOBODY:
            self._holds_log = self._connections
            self.moved()  # which log that is
        self.mark(connection, batch)
        return connection

    def mark(self, connection: Connection, batch: Batch | None) -> None:
        """Have this batch be known as written, with the transaction."""
        if batch is not None:
            self.marks.move(connection, batch, time.time())

    def commit(self, connection: Connection) -> None:
        """Commit what was begun."""
        self.backend.commit(connection)

    def roll_back(self, connection: Connection) -> None:
        """Undo what was begun."""
        self.backend.roll_back(connection)

    def disconnect(self) -> None:
        """Let go; the next use connects anew."""
        connection, self._connection, self._holds_log = self._connection, None, NOBODY
        if connection is not None:
            connection.invalidate()
            connection.close()

    def cut(self) -> None:
        """Have whatever waits for the database on this connection fail; from any thread."""
        connection = self._connection
        if connection is not None:
            self.backend.cut(connection)

    def moved(self) -> str:
        """What became of the database's file; empty while it is in its place."""
        return "" if self._watch is None else self._watch.problem(lambda: self._holds_log)


class EntryWriter:
    """What is written inside the one transaction that writes. `lost` counts records that cannot be written, `untaught` lessons that
    were not, because what they are about is not on record, or was taught already."""

    def __init__(self, dialect: Dialect) -> None:
        self.batch = BatchWriter(dialect)
        self.projections = ProjectionBuilder(dialect)
        self.shadows = ShadowWriter(dialect)
        self.lost = self.untaught = 0

    def write(self, connection: Connection, items: list[Waiting]) -> list[Any]:
        """The result of each item. Entries go out together, records first: what comes after one finds it there. Last comes what is shared."""
        results: list[Any] = []
        run: list[Entry] = []
        met: set[str] = set()
        sharing: dict[SharedWork, list[int]] = {}
        for at, item in enumerate(items):
            once = item.entry.once if isinstance(item.entry, FollowUp) else ""
            if item.work is not None or once in met:
                self._write_run(connection, run)
                run, met = [], set()
            if item.entry is not None:
                run.append(item.entry)
            if once:
                met.add(once)
            if item.shared is not None:
                sharing.setdefault(item.shared, []).append(at)
            results.append(None if item.work is None else item.work(connection))
        self._write_run(connection, run)
        for work, askers in sharing.items():
            answers = work(connection, [items[at].question for at in askers])
            for at, answer in zip(askers, answers, strict=True):
                results[at] = answer
        return results

    def _write_run(self, connection: Connection, run: list[Entry]) -> None:
        """Entries of which no two change the same."""
        self.batch.write(connection, [one for one in run if isinstance(one, DecisionRecord)])
        several = [(at, one) for at, one in enumerate(run) if isinstance(one, FollowUp)]
        if not several:
            return
        taught = self._follow_up(connection, [one for _, one in several])
        self.untaught += taught.count(False)
        last = {key: at for at, one in enumerate(run) if isinstance(one, DecisionRecord) for key in one.state}
        lessons = [(at, one.lesson) for (at, one), teaches in zip(several, taught, strict=True) if teaches]
        lesson = Lesson(
            [delta for _, one in lessons for delta in one.deltas],
            [alert for _, one in lessons for alert in one.alerts],
            {key: blob for at, one in lessons for key, blob in one.state.items() if at > last.get(key, -1)},
            [pair for _, one in lessons for pair in one.pairs],
        )
        if lesson.deltas or lesson.alerts or lesson.state or lesson.pairs:
            self.batch.write_learned(connection, lesson)

    def guarded(self, connection: Connection, item: Waiting) -> Any:
        """Write one item under a savepoint; its error becomes its outcome, unless the database refuses altogether."""
        try:
            with connection.begin_nested():
                return self.write(connection, [item])[0]
        except Exception as error:
            if refusal(error) is not None:
                raise
            if not isinstance(item.entry, DecisionRecord):
                log.warning("a write failed: %s", error)
                return Failure(error)
            return self._rescued(connection, item.entry, error)

    def _follow_up(self, connection: Connection, several: list[FollowUp]) -> list[bool]:
        """Follow-ups, each of another `once`; whether each teaches: its decision is there, its shadow is new."""
        self.batch.settle(connection, [one.settlement for one in several if one.settlement is not None])
        scores = {
            one.decision_id: LateScore(one.grade.quality, one.grade.source, one.grade.reason, one.judge_pico)
            for one in several
            if one.grade is not None
        }
        found = self.projections.grade(connection, scores) if scores else set()
        came = [(one.decision_id, one.shadow) for one in several if one.shadow is not None]
        new = self.shadows.add(connection, came) if came else set()
        self.shadows.grade(connection, [(one.decision_id, one.shadow_grades) for one in several])
        return [
            (one.grade is None or one.decision_id in found)
            and (one.shadow is None or (one.decision_id, one.shadow["model"]) in new)
            for one in several
        ]

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
            self.untaught += 1
            log.error("a decision record cannot be written: %s", second)
            return None
        log.warning("a decision record was written without what cannot be stored: %s", error)
        return None
