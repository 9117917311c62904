"""The number that tells the database which is served from any other that is put in its place without a new file.

It is drawn anew when Arbiter begins to serve and stands in the file's head (`PRAGMA user_version`, bytes 60 to 63), where
`FileWatch` reads it without SQLite. A backup does not have it.
"""

from __future__ import annotations

import random
import sqlite3
from pathlib import Path
from typing import cast

from sqlalchemy import Connection
from sqlmodel import SQLModel

from arbiter_app.store.backends.sqlite import made_by_others


def draw(connection: Connection) -> int:
    """Give the database a new number."""
    number = random.SystemRandom().randrange(1, 1 << 31)
    connection.exec_driver_sql(f"PRAGMA user_version = {number}")
    return number


def of(connection: Connection) -> int:
    """The number of the database."""
    return int(connection.exec_driver_sql("PRAGMA user_version").scalar_one())


def wrong(connection: Connection, path: Path, number: int) -> str:
    """What is wrong with the content, and what to do; empty when it is the database with this number, as Arbiter made it."""
    if of(connection) != number:
        return f"the database file {path} was overwritten with another one; restart to use that, or put it back"
    driver = cast(sqlite3.Connection, connection.connection.driver_connection)
    for kind, name in made_by_others(driver):
        return f"{path} has a {kind} that Arbiter did not make ({name[:80]!r}): drop it"
    tables = {name for (name,) in driver.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for name in sorted(set(SQLModel.metadata.tables) - tables):
        return f"{path} has no table {name} any more; stop Arbiter and restore a backup"
    return ""
