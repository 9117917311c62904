"""Opening the database: connection settings, migrations with a backup before, and clear words when a file is no good."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import DatabaseError

from alembic import command

log = logging.getLogger("arbiter")

BUSY_MS = 2_000
CHECKPOINT_PAGES = 300
"""Pages of the log after which a commit also moves them to the database. SQLite's own 1,000 hold up that commit, and everybody
who waits for one, for 11 ms; little is gained below 300."""
MIGRATING_MS = 60_000
Identity = tuple[int, int]
MIGRATIONS = Path(__file__).resolve().parent.parent.parent / "alembic"


class StoreUnusable(RuntimeError):
    """The database cannot be opened; the message says why and what to do."""


def url_of(where: str) -> URL:
    """A SQLAlchemy URL from a file path or a URL."""
    return make_url(where) if "://" in where else URL.create("sqlite", database=where)


def sqlite_path(url: URL) -> Path | None:
    """The file of a SQLite URL; None for other databases and in-memory ones."""
    if url.get_backend_name() != "sqlite" or not url.database or url.database == ":memory:":
        return None
    return Path(url.database)


def engine_for(url: URL, *, durability: str = "strict", read_only: bool = False) -> Engine:
    """An engine whose connections suit one writer and many readers.

    SQLite in WAL mode with synchronous=NORMAL: a committed transaction survives the end of the process at any moment;
    after a power cut the file is intact, but the last moments may be missing unless durability is `power`.
    """
    engine = create_engine(url, **_connecting(url))
    if url.get_backend_name() == "sqlite":
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


def prepare(url: URL) -> None:
    """Create or upgrade the schema in one transaction; an existing file is backed up first. Raises StoreUnusable."""
    path = sqlite_path(url)
    if path is not None:
        _make_private(path)
    engine = engine_for(url)
    try:
        current = _checked(engine, url)
        if current == head():
            return
        if current is not None and path is not None:
            back_up(path, path.with_name(f"{path.name}.before-{head()}.{time.strftime('%Y%m%dT%H%M%S')}"))
        _upgrade(engine)
    except DatabaseError as error:
        raise StoreUnusable(in_words(error, url)) from error
    finally:
        engine.dispose()


def made_by_others(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """Kind and name of the triggers and views in a file: Arbiter makes none, and what they do would be done in its name."""
    query = "SELECT type, name FROM sqlite_master WHERE type IN ('trigger', 'view') ORDER BY type, name"
    return [(str(kind), str(name)) for kind, name in connection.execute(query)]


NOBODY = 0
CLOSED = -1


class FileWatch:
    """The files of a SQLite database, as they were when it was opened: whether they are still those.

    `seal` is the number in its head (`seal.py`), None while there is none. `damage` and `foreign` are what reading it has
    shown to be wrong: for good, and for as long as it is so.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        there = path.resolve()  # SQLite keeps the log beside the file, not beside a link to it
        self._beside = {
            there.with_name(f"{there.name}-wal"): "the log of the database",
            there.with_name(f"{there.name}-shm"): "the index of the database's log",
        }
        found = path.stat()
        self._same = _identity(found), _identity(path.lstat())
        self._size = found.st_size
        self._log_same: list[Identity | None] = []
        self._log_of = NOBODY
        self._log_problem = ""
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self._head = self._read_head()
        self.seal: int | None = None
        self.damage = self.foreign = ""

    def close(self) -> None:
        """Let go of the file; only after SQLite has, whose locks on it would end with this."""
        file, self._file = self._file, CLOSED
        if file != CLOSED:
            os.close(file)

    def problem(self, holder: Callable[[], int]) -> str:
        """What became of the files, and what to do; empty while they are in their place.

        `holder`: the number of the writer's connection while it holds the log open (it has begun a transaction), else NOBODY,
        for SQLite itself takes the log away with the last connection that does.
        """
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return (
                f"the database file {self.path} was deleted or moved away; put it back, or restart to begin a new one"
            )
        except OSError as error:
            return f"the database file {self.path} cannot be reached: {error.strerror}"
        if (_identity(found), _identity(self.path.lstat())) != self._same:
            return f"the database file {self.path} was replaced by another one; restart to use that, or put it back"
        if found.st_size < self._size:  # SQLite shortens a file with VACUUM only, which Arbiter does not use
            what = "truncated" if found.st_size else "emptied"
            return f"the database file {self.path} was {what}; stop Arbiter and restore a backup"
        self._size = found.st_size
        return self._look_at_head() or self.damage or self.foreign or self._log_problem or self._look_at_log(holder)

    def _read_head(self) -> tuple[bytes, int]:
        """What says that this is a SQLite file, and its seal."""
        head = os.pread(self._file, 64, 0)
        return head[:16], int.from_bytes(head[60:64], "big")

    def _look_at_head(self) -> str:
        """The seal counts from when it has come from the log into the file; until then the file has the one before."""
        if self._file == CLOSED:
            return ""
        head = self._read_head()
        if self.seal is not None and head[1] == self.seal:
            self._head = head
        if head == self._head:
            return ""
        return f"the database file {self.path} was overwritten; stop Arbiter and restore a backup, or put it back"

    def _look_at_log(self, holder: Callable[[], int]) -> str:
        """Once the log was taken away under an open connection, nothing may be written until a restart."""
        before = holder()
        found = [_identity_of(path) for path in self._beside]
        if before == NOBODY or holder() != before:  # the look may have been at the log of no connection
            return ""
        if before != self._log_of:
            self._log_of, self._log_same = before, found
        elif found != self._log_same:
            at = [now == before for now, before in zip(found, self._log_same, strict=True)].index(False)
            path, what = list(self._beside.items())[at]
            self._log_problem = f"{path}, {what}, was deleted or replaced; restart Arbiter"
        return self._log_problem


def _identity(found: os.stat_result) -> Identity:
    return found.st_dev, found.st_ino


def _identity_of(path: Path) -> Identity | None:
    try:
        return _identity(path.stat())
    except OSError:
        return None


def back_up(source: Path, target: Path) -> None:
    """A consistent copy of a SQLite file, also while it is in use; without its seal."""
    with contextlib.closing(sqlite3.connect(source)) as reader, contextlib.closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)
        writer.execute("PRAGMA user_version = 0")
    target.chmod(0o600)


def integrity(url: URL) -> str:
    """`ok`, or what the database says is wrong with it."""
    engine = engine_for(url, read_only=True)
    try:
        with engine.connect() as connection:
            if engine.dialect.name != "sqlite":
                connection.execute(text("SELECT 1"))
                return "ok"
            return str(connection.execute(text("PRAGMA quick_check(1)")).scalar())
    except DatabaseError as error:
        return in_words(error, url)
    finally:
        engine.dispose()


def _teach_logarithms(connection: sqlite3.Connection) -> None:
    """`ln` and `floor`, where SQLite was built without its mathematical functions."""
    try:
        connection.execute("SELECT ln(1.0), floor(1.0)").close()
    except sqlite3.OperationalError:
        connection.create_function("ln", 1, math.log, deterministic=True)
        connection.create_function("floor", 1, math.floor, deterministic=True)


def _make_private(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not path.exists():
            os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
        elif path.stat().st_size == 0:
            log.warning("the database file %s is empty: this start makes a new store in it", path)
    except OSError as error:
        raise StoreUnusable(f"{path}: {error.strerror}; set ARBITER_DB to a place that can be written") from error


def revision(engine: Engine) -> str | None:
    """The schema's revision; None before the first start."""
    with engine.connect() as connection:
        known = engine.dialect.has_table(connection, "alembic_version")
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if known else None
        return None if found is None else str(found)


def head() -> str:
    """The revision that this version of Arbiter works with."""
    return ScriptDirectory.from_config(_config()).get_current_head() or ""


def known_revisions() -> set[str]:
    """Every revision that this version of Arbiter can upgrade from, and its own."""
    return {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}


def in_words(error: DatabaseError, url: URL) -> str:
    """What is wrong with the database, and what to do."""
    said = str(error.orig)
    where = url.database or url.render_as_string(hide_password=True)
    if "not a database" in said or "malformed" in said:
        return (
            f"{where} is damaged or not a database ({said}). Nothing was changed. Restore a backup with "
            "`python -m arbiter_app restore FILE`, or move the file away to start anew."
        )
    return f"{where} cannot be used: {said}"


def _checked(engine: Engine, url: URL) -> str | None:
    """The revision, once it is certain that the database is ours and not from a later version."""
    found = revision(engine)
    if found is None:
        with engine.connect() as connection:
            foreign = [name for name in engine.dialect.get_table_names(connection) if name != "alembic_version"]
        if foreign:
            raise StoreUnusable(f"{url.database} holds other data ({foreign[0]}, ...); set ARBITER_DB to another place")
    elif engine.dialect.name == "sqlite" and (others := _others(engine)):
        kind, name = others[0]
        raise StoreUnusable(
            f"{url.database} has a {kind} that Arbiter did not make ({name[:80]!r}): drop it, then start again"
        )
    elif found not in known_revisions():
        raise StoreUnusable(
            f"{url.database} was written by a newer version of Arbiter (schema {found}, known is {head()}); "
            "upgrade Arbiter, or restore an older backup"
        )
    return found


def _others(engine: Engine) -> list[tuple[str, str]]:
    with engine.connect() as connection:
        driver = connection.connection.driver_connection
        assert isinstance(driver, sqlite3.Connection)
        return made_by_others(driver)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _upgrade(engine: Engine) -> None:
    """Every pending migration or none: a process that dies half-way leaves the old schema, a second one waits."""
    config = _config()
    with engine.begin() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql(f"PRAGMA busy_timeout={MIGRATING_MS}")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _connecting(url: URL) -> dict[str, Any]:
    """How to connect. SQLite connections are handed from thread to thread, never used by two at once; none of them makes a file."""
    path = sqlite_path(url)
    if path is not None and not url.query:
        where = f"{path.absolute().as_uri()}?mode=rw"
        return {"creator": lambda: sqlite3.connect(where, uri=True, check_same_thread=False)}
    return {"connect_args": {"check_same_thread": False} if url.get_backend_name() == "sqlite" else {}}
