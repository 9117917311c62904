"""SQLite: one file in WAL mode, one writer at a time, which takes turns with those of other processes."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sqlite3
import time
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import chain
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Dialect, Engine, Table, bindparam, create_engine, event
from sqlalchemy.dialects import sqlite

from arbiter_app.store.backends.backend import Backend, InsertRows, Row, StoreUnusable, Taught, upsert
from arbiter_app.store.db_errors import is_lock

log = logging.getLogger("arbiter")

BUSY_MS = 2_000
CHECKPOINT_PAGES = 300
"""Pages of the log after which a commit also moves them to the database. SQLite's own 1,000 hold up that commit, and everybody
who waits for one, for 11 ms; little is gained below 300."""
MIGRATING_MS = 60_000
LOCK_POLL_S = 0.0005, 0.002
CHUNKS = (64, 48, 32, 24, *range(16, 0, -1))


class SqliteBackend(Backend):
    """A file. With synchronous=NORMAL a committed transaction survives the end of the process at any moment; after a power cut
    the file is intact, but the last moments may be missing unless durability is `power`.
    """

    name = "sqlite"
    insert = staticmethod(sqlite.insert)

    def __init__(self, url: URL) -> None:
        super().__init__(url)
        self.path = file_of(url)

    @property
    def shared(self) -> bool:
        """A file is one machine's, or in memory one process's."""
        return False

    def engine(self, *, durability: str = "strict", read_only: bool = False, connections: int = 1) -> Engine:
        """Connections that are handed from thread to thread, never used by two at once; none of them makes a file."""
        engine = create_engine(self.url, **_connecting(self.url))
        synchronous = "FULL" if durability == "power" else "NORMAL"

        @event.listens_for(engine, "connect")
        def _on_connect(connection: sqlite3.Connection, _record: Any) -> None:
            connection.isolation_level = None
            cursor = connection.cursor()
            cursor.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            cursor.execute("PRAGMA query_only=ON" if read_only else "PRAGMA journal_mode=WAL")
            cursor.execute(f"PRAGMA synchronous={synchronous}")
            cursor.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
            cursor.execute("PRAGMA cache_size=-8000")
            cursor.execute("PRAGMA temp_store=MEMORY")
            cursor.execute("PRAGMA secure_delete=ON")  # what is deleted is overwritten, as it is by default on Debian
            cursor.close()
            _teach_logarithms(connection)

        if read_only:

            @event.listens_for(engine, "begin")
            def _on_begin(connection: Connection) -> None:
                connection.exec_driver_sql("BEGIN")  # everything a read asks is answered from one snapshot

        return engine

    def make_place(self) -> None:
        """A file that only its owner can read."""
        if self.path is not None:
            _make_private(self.path)

    def before_migrating(self, revision: str | None, head: str) -> None:
        """An existing file is backed up."""
        if revision is not None and self.path is not None:
            stamp = time.strftime("%Y%m%dT%H%M%S")
            back_up(self.path, self.path.with_name(f"{self.path.name}.before-{head}.{stamp}"))

    def migrate_alone(self, connection: Connection) -> None:
        """Take the file's lock."""
        connection.exec_driver_sql(f"PRAGMA busy_timeout={MIGRATING_MS}")
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    def strangers(self, connection: Connection) -> str:
        """A trigger or a view."""
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        for kind, name in made_by_others(driver):
            return f"{kind} that Arbiter did not make ({name[:80]!r})"
        return ""

    def unsound(self, connection: Connection) -> str:
        """What SQLite's quick check finds."""
        found = str(connection.exec_driver_sql("PRAGMA quick_check(1)").scalar())
        return "" if found == "ok" else found

    def in_words(self, error: Exception) -> str:
        """Whether the file is damaged, or something is in the way."""
        said = str(getattr(error, "orig", error))
        if "not a database" in said or "malformed" in said:
            return (
                f"{self.shown} is damaged or not a database ({said}). Nothing was changed. Restore a backup with "
                "`python -m arbiter_app restore FILE`, or move the file away to start anew."
            )
        return f"{self.shown} cannot be used: {said}"

    def writing(self, connection: Connection, patience_s: float) -> None:
        """`begin` does the waiting."""
        connection.connection.cursor().execute("PRAGMA busy_timeout=0")

    def begin(self, connection: Connection, patience_s: float) -> None:
        """BEGIN IMMEDIATE. SQLite's own waiting grows to 100 ms a step; writers take turns faster by asking often."""
        driver: Any = connection.connection.driver_connection
        until = time.monotonic() + patience_s
        pause_s, longest_s = LOCK_POLL_S
        while True:
            try:
                driver.execute("BEGIN IMMEDIATE")
                return
            except Exception as error:
                if not is_lock(error) or time.monotonic() >= until:
                    raise
            time.sleep(pause_s)
            pause_s = min(longest_s, pause_s * 1.5)

    def commit(self, connection: Connection) -> None:
        """SQLAlchemy knows of the transaction where it has run something in it; most records go past it."""
        if connection.in_transaction():
            connection.commit()
        else:
            connection.connection.commit()

    def roll_back(self, connection: Connection) -> None:
        """Also what SQLAlchemy does not know of."""
        connection.rollback()
        connection.connection.rollback()

    @staticmethod
    def taught(connection: Connection) -> Taught:
        """SQLite counts the commits of other connections."""
        found = connection.exec_driver_sql("PRAGMA data_version").scalar()
        return id(connection.connection.dbapi_connection), int(found or 0)

    @staticmethod
    def in_one_go(connection: Connection) -> AbstractContextManager[object]:
        """Each insert is done at once."""
        return nullcontext()

    @staticmethod
    def inserting(
        dialect: Dialect, target: Table, columns: Sequence[str], add: Iterable[str], put: Iterable[str]
    ) -> InsertRows:
        """Rows travel in multi-row inserts of a few fixed sizes, whose texts the driver keeps prepared."""
        insert = sqlite.insert(target).values({name: bindparam(name) for name in columns})
        by_size = _multi_row(str(upsert(insert, target, add, put).compile(dialect=dialect)), len(columns))

        def run(connection: Connection, rows: Sequence[Row]) -> None:
            driver: Any = connection.connection.driver_connection
            at, left = 0, len(rows)
            for size in CHUNKS:
                while left >= size:
                    driver.execute(by_size[size], list(chain.from_iterable(rows[at : at + size])))
                    at, left = at + size, left - size
                if not left:
                    return

        return run


def file_of(url: URL) -> Path | None:
    """The file of a SQLite URL; None for other databases and in-memory ones."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


LEAST_BYTES = 512
"""The smallest page, and so the smallest database, of SQLite."""


def _make_private(path: Path) -> None:
    """Have a file there that only its owner can read. Raises StoreUnusable."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        elif not path.is_file():
            raise StoreUnusable(f"{path} is no file; set ARBITER_DB to another place")
        elif 0 < path.stat().st_size < LEAST_BYTES:  # SQLite would take that for nothing, and write over it
            raise StoreUnusable(f"{path} is no database, and too small to be one; move it away to start anew")
        elif path.stat().st_size == 0:
            log.warning("the database file %s is empty: this start makes a new store in it", path)
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}; set ARBITER_DB to a place that can be written") from error


def back_up(source: Path, target: Path) -> None:
    """A consistent copy of a SQLite file, also while it is in use; without its seal."""
    with contextlib.closing(sqlite3.connect(source)) as reader, contextlib.closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)
        writer.execute("PRAGMA user_version = 0")
    target.chmod(0o600)


def made_by_others(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Kind and name of the triggers and views in a file: Arbiter makes none, and what they do would be done in its name."""
    query = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY type, name"
    return [(str(kind), str(name)) for kind, name in connection.execute(query)]


def _teach_logarithms(connection: sqlite3.Connection) -> None:
    """`ln` and `floor`, where SQLite was built without its mathematical functions."""
    try:
        connection.execute("SELECT ln(1.0), floor(1.0)").close()
    except sqlite3.OperationalError:
        connection.create_function("ln", 1, math.log, deterministic=True)
        connection.create_function("floor", 1, math.floor, deterministic=True)


def _connecting(url: URL) -> dict[str, Any]:
    path = file_of(url)
    if path is not None and not url.query:
        where = f"{path.absolute().as_uri()}?mode=rw"
        return {"creator": lambda: sqlite3.connect(where, uri=True, check_same_thread=False)}
    return {"connect_args": {"check_same_thread": False}}


def _multi_row(sql: str, columns: int) -> dict[int, str]:
    """The statement for each chunk size, from the one for a single row."""
    values = f"({', '.join('?' * columns)})"
    head, _, tail = sql.partition(f"VALUES {values}")
    if not tail and not sql.endswith(values):
        raise RuntimeError(f"cannot make a multi-row insert of: {sql}")
    return {size: f"{head}VALUES {', '.join([values] * size)}{tail}" for size in CHUNKS}
