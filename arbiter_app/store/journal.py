"""Where a host keeps what it cannot write at the moment: a SQLite file of its own, bounded, which outlives the end of the process.

Entries are numbered in their order, and no number is used twice; so the mark of the journal in the database, which moves with
what is written of it, tells which are written already. Gateway workers of a host share the file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import URL

from arbiter_app.store.backends import StoreUnusable, backend_of

WAIT_S = 5.0
"""For a worker of this host that has the file."""
LOG_PAGES = 300
Kept = tuple[int, str, bytes]
"""Number, the batch in which it may be written already (empty: in none), and body of an entry."""

_TABLES = """
CREATE TABLE IF NOT EXISTS entry (seq INTEGER PRIMARY KEY AUTOINCREMENT, doubt TEXT NOT NULL, body BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS journal (id TEXT NOT NULL, store TEXT NOT NULL);
"""
_WAITING = "SELECT coalesce((SELECT max(seq) FROM entry) - (SELECT min(seq) FROM entry) + 1, 0)"


class JournalRefuses(Exception):
    """Nothing more can be kept; the text says why."""


class Journal:
    """`id` is this file's in the marks of the database, `waiting` how many entries it holds, `size` the bytes that they take;
    `refuses` why it took nothing more when it was last asked, empty while it does. Thread-safe."""

    def __init__(self, path: Path, most_bytes: int, *, store: URL, durability: str) -> None:
        """Raises StoreUnusable where there can be no file, or it holds entries of another database."""
        self.path, self.most_bytes = path, most_bytes
        self.refuses = ""
        self.waiting = self.size = 0
        self._lock = threading.Lock()
        try:
            self._file = _opened(path, durability)
            self._page_bytes = int(self._one("PRAGMA page_size"))
            self._one(f"PRAGMA max_page_count={max(1, most_bytes // self._page_bytes)}")
            self._look()
            self.id = self._identity(store)
        except (OSError, sqlite3.Error) as error:
            raise StoreUnusable(
                f"ARBITER_JOURNAL: {path}: {error}; name a file that this host can write, its own"
            ) from error

    @property
    def told(self) -> str:
        """How full it is, in words."""
        if self.refuses:
            return self.refuses
        if not self.waiting:
            return "empty"
        return f"{self.waiting:,} entries wait for the database, {self.size:,} of {self.most_bytes:,} bytes"

    def append(self, entries: Sequence[tuple[str, bytes]]) -> None:
        """Keep entries, each a doubt and a body: all or none. Raises JournalRefuses."""
        with self._lock:
            try:
                with self._transaction():
                    self._file.executemany("INSERT INTO entry (doubt, body) VALUES (?, ?)", entries)
                self._look()
                self.refuses = ""
            except sqlite3.Error as error:
                self._look()
                what = f"is full ({self.size:,} of {self.most_bytes:,} bytes)" if _is_full(error) else f"fails: {error}"
                self.refuses = f"the journal {self.path} {what}"
                raise JournalRefuses(self.refuses) from error

    def oldest(self, most: int) -> list[Kept]:
        """The first entries."""
        with self._lock:
            return self._file.execute("SELECT seq, doubt, body FROM entry ORDER BY seq LIMIT ?", (most,)).fetchall()

    def doubts(self) -> list[str]:
        """The batches in which entries may be written already."""
        with self._lock:
            return [doubt for (doubt,) in self._file.execute("SELECT DISTINCT doubt FROM entry WHERE doubt != ''")]

    def settle(self, written: Iterable[str], unwritten: Iterable[str]) -> None:
        """Let go what batches have written, and take the doubt off the others."""
        with self._lock:
            with self._transaction():
                self._file.executemany("DELETE FROM entry WHERE doubt = ?", [(one,) for one in written])
                self._file.executemany("UPDATE entry SET doubt = '' WHERE doubt = ?", [(one,) for one in unwritten])
            self._look()

    def drop(self, upto: int) -> None:
        """Let go of the entries up to a number; they are written."""
        with self._lock:
            with self._transaction():
                self._file.execute("DELETE FROM entry WHERE seq <= ?", (upto,))
            self._look()
            if not self.waiting:
                self.refuses = ""
                with contextlib.suppress(sqlite3.Error):  # another worker has the file: the room is used again later
                    self._file.execute("VACUUM")
                    self._file.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._file.close()

    def _identity(self, store: URL) -> str:
        of_it = backend_of(store).shown
        with self._transaction():
            found = self._file.execute("SELECT id, store FROM journal").fetchone()
            if found is None:
                found = secrets.token_hex(8), of_it
                self._file.execute("INSERT INTO journal (id, store) VALUES (?, ?)", found)
            elif found[1] != of_it and not self.waiting:
                self._file.execute("UPDATE journal SET store = ?", (of_it,))
        if found[1] != of_it and self.waiting:
            raise StoreUnusable(
                f"ARBITER_JOURNAL: {self.path} holds {self.waiting:,} entries of {found[1]}; start once with that database, "
                "or name another file"
            )
        return str(found[0])

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            if self._file.in_transaction:
                self._file.execute("ROLLBACK")
            raise
        self._file.execute("COMMIT")

    def _look(self) -> None:
        self.waiting = int(self._one(_WAITING))
        used = int(self._one("PRAGMA page_count")) - int(self._one("PRAGMA freelist_count"))
        self.size = used * self._page_bytes

    def _one(self, query: str) -> int:
        return int(self._file.execute(query).fetchone()[0])


def _opened(path: Path, durability: str) -> sqlite3.Connection:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    file = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=WAIT_S)
    file.execute("PRAGMA journal_mode=WAL")
    file.execute(f"PRAGMA synchronous={'FULL' if durability == 'power' else 'NORMAL'}")
    file.execute(f"PRAGMA wal_autocheckpoint={LOG_PAGES}")
    file.execute("PRAGMA secure_delete=ON")
    file.executescript(_TABLES)
    return file


def _is_full(error: sqlite3.Error) -> bool:
    return getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL
