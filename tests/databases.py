"""A database for a test, of either kind: a SQLite file in a folder, or a database of a PostgreSQL server for that folder."""

from __future__ import annotations

import atexit
import hashlib
from functools import cache
from pathlib import Path

from arbiter_app.store.backends import url_of
from arbiter_app.store.engine import prepare
from tests import template
from tests.postgres import PostgresServer

KINDS = ("sqlite", "postgres")
chosen = "sqlite"
"""By the option `--database` of the run."""
TEMPLATE = "arbiter_template"


def place(kind: str, path: Path, *, empty: bool = False) -> str:
    """Where a store of this kind is that has the name of a path: the same one each time. Not `empty`: with its tables."""
    if kind == "sqlite":
        if not empty and path.parent.is_dir():
            template.copy_to(path)
        return str(path)
    name = f"t_{hashlib.sha256(str(path).encode()).hexdigest()[:20]}"
    server = postgres()
    if not server.sql(f"SELECT 1 FROM pg_database WHERE datname = '{name}'"):
        server.sql(f"CREATE DATABASE {name}" if empty else f"CREATE DATABASE {name} TEMPLATE {_template()}")
    return server.url(name)


@cache
def postgres() -> PostgresServer:
    """The server of this process's tests, running from its first use to the end."""
    server = PostgresServer()
    atexit.register(server.remove)
    server.start()
    return server


def end() -> None:
    """Remove the server of this process, where it has one: at the end of a run, since a worker's process may be cut off before its own end."""
    if postgres.cache_info().currsize:
        postgres().remove()
        postgres.cache_clear()


@cache
def _template() -> str:
    postgres().sql(f"CREATE DATABASE {TEMPLATE}")
    prepare(url_of(postgres().url(TEMPLATE)))
    return TEMPLATE
