"""While a database is gone: entries go into the journal, and from there into the database once that is back, each once.

One thread keeps what comes, another one looks for the database; so no answer waits for a connection that cannot be made. Once it is
back, records are written as ever, beside what the journal still holds.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial

from sqlalchemy import Connection

from arbiter_app.pipeline.ports import DecisionRecord
from arbiter_app.store.db_errors import refusal
from arbiter_app.store.entries import Entry, packed, unpacked
from arbiter_app.store.journal import Journal, Kept
from arbiter_app.store.marks import Batch, batch_of
from arbiter_app.store.sanitize import sanitized
from arbiter_app.store.transaction import EntryWriter, WritingConnection
from arbiter_app.store.waiting import Waiting

log = logging.getLogger("arbiter.store")

BATCH = 512
"""Entries that one transaction takes out of the journal: it holds up other hosts for as long."""
FIRST_RETRY_S, LAST_RETRY_S = 0.05, 1.0
PROBED = {"store.probed": 1}
REST_S = 0.02
"""Between looks at a journal that is almost empty."""


class Outage:
    """One process's way through outages. `over` says that the database takes writes again, `draining` that the journal is not empty
    yet: until then what comes after records goes there, too, behind those."""

    def __init__(
        self,
        journal: Journal,
        line: WritingConnection,
        entries: EntryWriter,
        *,
        ring: Callable[[], None],
        tell: Callable[[str], None],
    ) -> None:
        """`line` is a connection of the outage's own. Its thread calls `ring` when the database is back, and `tell` with why it still is
        not: a server that was stopped may come back and refuse."""
        self.journal = journal
        self._line, self._entries, self._ring, self._tell = line, entries, ring, tell
        self._ending = threading.Event()
        self._gate = threading.Lock()
        self._thread: threading.Thread | None = None
        self._doubtful = True
        self.over = self.draining = False

    def catch_up(self) -> None:
        """At the start: write what an earlier process of this host has kept. Raises what the database says."""
        if not self.journal.waiting:
            return
        log.warning("what the journal kept is written: %s", self.journal.told)
        try:
            while self._drain():
                pass
        finally:
            self._line.disconnect()

    def begin(self) -> None:
        """Look for the database from now on."""
        with self._gate:
            self.over, self._doubtful = False, True
            if self.draining:
                return  # the thread is still at it
            self.draining = True
        self._thread = threading.Thread(target=self._look, name="arbiter-journal", daemon=True)
        self._thread.start()

    def keep(self, items: Sequence[Waiting]) -> int | None:
        """Put entries into the journal, all or none; how many cannot be packed and are lost. None: it has been written, and is not
        needed any more. Raises JournalRefuses."""
        found = [(item, _packed(item.entry)) for item in items if item.entry is not None]
        with self._gate:
            if not self.draining:
                return None
            self.journal.append([("" if item.doubt is None else str(item.doubt), body) for item, body in found if body])
        return sum(not body for _, body in found)

    def close(self, timeout_s: float) -> None:
        """Stop looking; what is in the journal is written at the next start."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(timeout_s)
        self.journal.close()

    def _look(self) -> None:
        retry_s, said = FIRST_RETRY_S, ""
        while not self._ending.wait(retry_s):
            try:
                more = self._drain()
            except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again, and nothing is lost
                self._line.disconnect()
                retry_s = min(LAST_RETRY_S, max(FIRST_RETRY_S, retry_s * 2))
                if (told := refusal(error) or f"the journal cannot be written: {error}") != said:
                    log.info("still out: %s", told)
                    if not self.over:
                        self._tell(told)
                said = told
                continue
            retry_s = 0.0 if more else REST_S
            if not self.over:
                self.over = True
                self._ring()
            with self._gate:
                if self.over and not self.journal.waiting:
                    self.draining = False
                    break
        self._line.disconnect()
        self._ring()

    def _settle_doubts(self) -> None:
        """Find out which entries are written already: their batches' commits were under way when the database went."""
        self._doubtful = False
        doubts = self.journal.doubts()
        if not doubts:
            return
        connection = self._line.begin()
        written = self._line.marks.written(connection, map(batch_of, doubts), time.time())
        self._line.commit(connection)
        names = {str(one) for one in written}
        self.journal.settle(names, set(doubts) - names)

    def _drain(self) -> bool:
        """Write the oldest entries; whether there may be more. The transaction also shows that the database takes writes."""
        if self._doubtful:
            self._settle_doubts()
        kept = self.journal.oldest(BATCH)
        mark = Batch(self.journal.id, kept[-1][0]) if kept else None
        try:
            self._write(kept, mark, self._entries.write)
        except Exception as error:
            if refusal(error) is not None:
                raise
            log.info("one of %s entries fails and will be singled out: %s", len(kept), error)
            self._line.disconnect()
            self._write(kept, mark, self._each)
        if mark is not None:
            self.journal.drop(mark.number)
        return len(kept) == BATCH  # with fewer, all that was there is written, although more keeps coming

    def _write(
        self, kept: Sequence[Kept], mark: Batch | None, write: Callable[[Connection, list[Waiting]], object]
    ) -> None:
        connection = self._line.begin()
        last = self._line.marks.last(connection, self.journal.id)
        write(connection, [one for seq, _, body in kept if seq > last and (one := _waiting(body)) is not None])
        if mark is None:
            self._entries.batch.count(connection, PROBED)
        elif mark.number > last:
            self._line.mark(connection, mark)
        self._line.commit(connection)

    def _each(self, connection: Connection, items: list[Waiting]) -> None:
        for item in items:
            self._entries.guarded(connection, item)


def _packed(entry: Entry) -> bytes:
    """Empty, once that is said, where even what can be stored of it cannot."""
    for attempt in (partial(packed, entry), partial(_packed_sound, entry)):
        try:
            return attempt()
        except Exception as error:  # noqa: BLE001 - one entry that is wrong costs no other
            said = error
    log.error("an entry cannot be kept: %s", said)
    return b""


def _packed_sound(entry: Entry) -> bytes:
    return packed(sanitized(entry) if isinstance(entry, DecisionRecord) else entry)


def _waiting(body: bytes) -> Waiting | None:
    try:
        return Waiting(unpacked(body), None, None, True)
    except Exception as error:  # noqa: BLE001 - one entry that is wrong costs no other
        log.error("an entry of the journal cannot be read: %s", error)
        return None
