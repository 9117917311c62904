"""Opening the database: migrations with a backup before, and clear words when it is no good."""

from __future__ import annotations

import time
from collections.abc import Mapping, Set
from functools import cache
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, Engine, inspect, text
from sqlalchemy.exc import DatabaseError

from alembic import command
from arbiter_app.store import tables
from arbiter_app.store.backends import Backend, StoreUnusable, backend_of

VERSION = "alembic_version"
MIGRATIONS = Path(__file__).resolve().parent.parent.parent / "alembic"


def prepare(url: URL) -> None:
    """Create or upgrade the schema in one transaction; an existing file is backed up first. Raises StoreUnusable."""
    backend = backend_of(url)
    backend.make_place()
    engine = backend.engine(connections=2)
    try:
        current = checked(engine, backend)
        if current != head():
            backend.before_migrating(current, head())
            _upgrade(engine, backend)
        _make_days(engine, backend)
    except DatabaseError as error:
        raise StoreUnusable(backend.in_words(error)) from error
    finally:
        engine.dispose()


def _make_days(engine: Engine, backend: Backend) -> None:
    """Have partitions for the days to come, where the database has any."""
    now = time.time()
    with engine.begin() as connection:
        if backend.days_missing(connection, now):
            backend.migrate_alone(connection)
            backend.make_days(connection, now)


def unsound(url: URL) -> str:
    """What is wrong with the database by its own account; empty when nothing is."""
    backend = backend_of(url)
    engine = backend.engine(read_only=True)
    try:
        with engine.connect() as connection:
            return backend.unsound(connection)
    except DatabaseError as error:
        return backend.in_words(error)
    finally:
        engine.dispose()


def revision(engine: Engine) -> str | None:
    """The schema's revision; None before the first start."""
    with engine.connect() as connection:
        known = VERSION in _tables(connection)
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar() if known else None
        return None if found is None else str(found)


@cache
def head() -> str:
    """The revision that this version of Arbiter works with."""
    return ScriptDirectory.from_config(migrations()).get_current_head() or ""


def known_revisions() -> set[str]:
    """Every revision that this version of Arbiter can upgrade from, and its own."""
    return {script.revision for script in ScriptDirectory.from_config(migrations()).walk_revisions()}


def migrations() -> Config:
    """Where the migrations are."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    return config


def _tables(connection: Connection) -> list[str]:
    return sorted(inspect(connection).get_table_names())


def checked(engine: Engine, backend: Backend) -> str | None:
    """The revision, once it is certain that the database is ours, not from a later version, and fit for a store. Raises StoreUnusable."""
    if unfit := backend.unfit(engine):
        raise StoreUnusable(unfit)
    found = revision(engine)
    if found is None:
        with engine.connect() as connection:
            foreign = [name for name in _tables(connection) if name != VERSION]
        if not foreign:
            return None
        found = revision(engine)  # again: who starts in the same moment may have made the tables since
    if found is None:
        raise StoreUnusable(f"{backend.shown} holds other data ({foreign[0]}, ...); set ARBITER_DB to another place")
    with engine.connect() as connection:
        strange = backend.strangers(connection)
    if strange:
        raise StoreUnusable(f"{backend.shown} has a {strange}: drop it, then start again")
    if found == head():
        with engine.connect() as connection:
            here = inspect(connection).get_multi_columns()
        if lost := lacking({name: {one["name"] for one in columns} for (_, name), columns in here.items()}):
            raise StoreUnusable(f"{backend.shown} {lost}; restore a backup, or set ARBITER_DB to another place")
    if found not in known_revisions():
        raise StoreUnusable(
            f"{backend.shown} was written by a newer version of Arbiter (schema {found}, known is {head()}); "
            "upgrade Arbiter, or restore an older backup"
        )
    return found


def lacking(columns: Mapping[str, Set[str]]) -> str:
    """What a database of this version's schema has not, of the columns by table that it should have; empty when it has all."""
    for name, wanted in sorted(tables.StoredDecision.metadata.tables.items()):
        if name not in columns:
            return f"has no table {name}, although its schema says so"
        if lost := sorted(set(wanted.columns.keys()) - columns[name]):
            return f"has no column {lost[0]} in its table {name}, although its schema says so"
    return ""


def _upgrade(engine: Engine, backend: Backend) -> None:
    """Every pending migration or none: a process that dies half-way leaves the old schema, a second one waits."""
    config = migrations()
    with engine.begin() as connection:
        backend.migrate_alone(connection)
        config.attributes["connection"] = connection
        if backend.begins_at and not _tables(connection):
            connection.exec_driver_sql((MIGRATIONS / f"{backend.name}_{backend.begins_at}.sql").read_text())
            command.stamp(config, backend.begins_at)
        command.upgrade(config, "head")
